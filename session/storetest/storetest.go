// Package storetest is the contract of session.Store as tests.
//
// Every store runs Run; one that outlives the process runs Durable too.
package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// Run checks a store against the contract. open returns a new empty store, and
// registers with t whatever it takes to close it; a test may close it before.
func Run(t *testing.T, open func(t *testing.T) session.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s session.Store)
	}{
		{"empty", empty},
		{"round trip", roundTrip},
		{"large slot", largeSlot},
		{"compare and swap", compareAndSwap},
		{"all or nothing", allOrNothing},
		{"put, drop, clear", putDropClear},
		{"touch", touch},
		{"delete", remove},
		{"records", records},
		{"leave the loop", leaveLoop},
		{"writes in the loop", writesInLoop},
		{"objects", objects},
		{"object kinds", objectKinds},
		{"expiry of sessions", expirySessions},
		{"expiry of objects", expiryObjects},
		{"usage", usage},
		{"invalid", invalid},
		{"no sharing", noSharing},
		{"ended context", endedContext},
		{"closed", closed},
		{"parallel commits", parallelCommits},
		{"linearizable", linearizable},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Durable checks that a store that is closed and opened again has exactly what
// was acknowledged. prepare returns a function that opens the same store, which
// the test closes before it opens it again.
func Durable(t *testing.T, prepare func(t *testing.T) (open func() session.Store)) {
	open := prepare(t)
	want := map[session.Key]session.Snapshot{}
	wantObjects := map[session.ObjectKey][]byte{}
	for round := range 4 {
		s := open()
		for k, w := range want {
			checkSnapshot(t, s, k, w)
		}
		for k, w := range wantObjects {
			if o, err := s.LoadObject(t.Context(), k); err != nil || !bytes.Equal(o.Data, w) {
				t.Errorf("round %d: object %v: %q, %v, want %q", round, k, o.Data, err, w)
			}
		}
		if u, err := s.Usage(t.Context()); err != nil || u.Sessions != len(want) || u.Objects != len(wantObjects) {
			t.Errorf("round %d: usage %+v, %v, want %d sessions and %d objects", round, u, err, len(want), len(wantObjects))
		}
		for i := range 12 {
			r := sample(alice, fmt.Sprintf("rs_%d_%d", round, i))
			cells := []session.Cell{cell("a", 1, fmt.Sprintf(`{"round":%d}`, round)), cell("b", 1, `[1, 2]`)}
			save(t, s, session.Change{Record: r, Create: true, Put: cells})
			want[r.Key] = session.Snapshot{Record: r, Cells: cells}
			o := session.Object{ObjectKey: session.ObjectKey{Kind: "job", Owner: bob, ID: fmt.Sprint(round, i)}, Data: []byte{byte(i)}}
			put(t, s, o)
			wantObjects[o.ObjectKey] = o.Data
		}
		gone := sample(alice, fmt.Sprintf("rs_%d_3", round)).Key
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Errorf("delete: %v", err)
		}
		delete(want, gone)
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	s := open()
	keys, _, err := s.Expired(t.Context(), epoch.Add(24*time.Hour), 1000)
	if err != nil || len(keys) != len(want) {
		t.Errorf("expired after opening again: %d, %v, want %d", len(keys), err, len(want))
	}
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
	alice = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"}
	bob   = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "bob"}
)

// sample returns a record with every field set.
func sample(o session.Owner, id string) session.Record {
	return session.Record{
		Key:  session.Key{Owner: o, ID: session.ID(id)},
		Name: "Prüfung \"1\"\x00\n", Labels: map[string]string{"team": "x", "": "empty", "ünï": ""},
		Client:  session.Client{Name: "agent", Version: "1.2", Revision: "2025-11-25", Transport: "http"},
		Created: epoch, IdleTTL: 90 * time.Minute, AgeAt: epoch.Add(48 * time.Hour),
		LastUsed: epoch.Add(time.Second), Expires: epoch.Add(time.Hour),
		Calls: 7, Errors: 2, Version: 1, Bytes: 1 << 40, Extra: json.RawMessage(`{ "b":1,"a" : "<&>"}`),
	}
}

func cell(name string, version uint64, data string) session.Cell {
	return session.Cell{Name: name, Version: version, Data: json.RawMessage(data)}
}

func save(t *testing.T, s session.Store, changes ...session.Change) {
	t.Helper()
	if err := s.Save(t.Context(), changes...); err != nil {
		t.Fatalf("save: %v", err)
	}
}

func put(t *testing.T, s session.Store, objects ...session.Object) {
	t.Helper()
	if err := s.PutObject(t.Context(), objects...); err != nil {
		t.Fatalf("put: %v", err)
	}
}

// same reports whether two records are equal, field by field. Empty and nil are.
func same(a, b session.Record) bool {
	times := func(r session.Record) []time.Time { return []time.Time{r.Created, r.AgeAt, r.LastUsed, r.Expires} }
	if !slices.EqualFunc(times(a), times(b), time.Time.Equal) || !maps.Equal(a.Labels, b.Labels) || !bytes.Equal(a.Extra, b.Extra) {
		return false
	}
	return a.Key == b.Key && a.Name == b.Name && a.Client == b.Client && a.IdleTTL == b.IdleTTL &&
		a.Calls == b.Calls && a.Errors == b.Errors && a.Version == b.Version && a.Bytes == b.Bytes
}

func sameCell(a, b session.Cell) bool {
	return a.Name == b.Name && a.Version == b.Version && bytes.Equal(a.Data, b.Data)
}

func checkSnapshot(t *testing.T, s session.Store, k session.Key, want session.Snapshot) {
	t.Helper()
	got, err := s.Load(t.Context(), k)
	if err != nil {
		t.Errorf("load %s: %v", k.ID, err)
		return
	}
	if !same(got.Record, want.Record) {
		t.Errorf("load %s:\n got %+v\nwant %+v", k.ID, got.Record, want.Record)
	}
	if !slices.EqualFunc(got.Cells, want.Cells, sameCell) {
		t.Errorf("load %s: %d cells %.200q, want %d %.200q", k.ID, len(got.Cells), fmt.Sprint(got.Cells), len(want.Cells), fmt.Sprint(want.Cells))
	}
	for _, at := range []time.Time{got.Created, got.AgeAt, got.LastUsed, got.Expires} {
		if at.Location() != time.UTC {
			t.Errorf("load %s: a time is in %v, want UTC", k.ID, at.Location())
		}
	}
}

func checkAbsent(t *testing.T, s session.Store, k session.Key) {
	t.Helper()
	if _, err := s.Load(t.Context(), k); !errors.Is(err, session.ErrNoRecord) {
		t.Errorf("load %s of %v: %v, want ErrNoRecord", k.ID, k.Owner, err)
	}
}

// ids lists the ids of o's sessions, sorted.
func ids(t *testing.T, s session.Store, o *session.Owner) []string {
	t.Helper()
	var all []string
	for r, err := range s.Records(t.Context(), o) {
		if err != nil {
			t.Fatalf("records: %v", err)
		}
		all = append(all, string(r.ID))
	}
	slices.Sort(all)
	return all
}

func checkStale(t *testing.T, err error, k session.Key, stored, want uint64) {
	t.Helper()
	stale, ok := errors.AsType[*session.StaleError](err)
	if !ok || stale.Key != k || stale.Stored != stored || stale.Want != want {
		t.Errorf("error %v (%+v), want a StaleError of %s with %d stored, %d wanted", err, stale, k.ID, stored, want)
	}
}

func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
