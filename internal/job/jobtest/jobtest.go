// Package jobtest is the contract of job.Store as tests.
//
// Every store runs Run; one that outlives the process runs Durable too.
package jobtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

// Run checks a store against the contract. open returns a new empty store, and
// registers with t whatever it takes to close it.
func Run(t *testing.T, open func(t *testing.T) job.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s job.Store)
	}{
		{"empty", empty},
		{"round trip", roundTrip},
		{"large", large},
		{"replace", replace},
		{"delete", remove},
		{"keys", keys},
		{"no sharing", noSharing},
		{"leave the loop", leaveLoop},
		{"ended context", endedContext},
		{"parallel", parallel},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

// Durable checks that a store finds, when it is opened again, exactly what was
// acknowledged. open opens the store in dir and returns how to close it.
func Durable(t *testing.T, open func(t *testing.T, dir string) (s job.Store, closeStore func() error)) {
	dir := t.TempDir()
	want := map[string][]byte{}
	for round := range 3 {
		s, closeStore := open(t, dir)
		check(t, s, want)
		for i := range 20 {
			r := sample(fmt.Sprintf("jb_%d", i), "alice")
			r.Attempts = round
			put(t, s, r)
			want[name(r)] = encode(t, r)
			if i%3 == round {
				if err := s.Delete(t.Context(), r.Owner, r.ID); err != nil {
					t.Fatalf("delete: %v", err)
				}
				delete(want, name(r))
			}
		}
		check(t, s, want)
		if err := closeStore(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
}

func empty(t *testing.T, s job.Store) { check(t, s, nil) }

func roundTrip(t *testing.T, s job.Store) {
	full := sample("jb_full", "alice")
	bare := job.Record{Job: job.Job{ID: "jb_bare", Owner: session.Owner{Subject: "bob"}, State: job.Queued}}
	put(t, s, full)
	put(t, s, bare)
	check(t, s, map[string][]byte{name(full): encode(t, full), name(bare): encode(t, bare)})
}

func large(t *testing.T, s job.Store) {
	r := sample("jb_large", "alice")
	r.Checkpoint.Data = slices.Concat([]byte(`"`), bytes.Repeat([]byte("x"), 4<<20), []byte(`"`))
	put(t, s, r)
	check(t, s, map[string][]byte{name(r): encode(t, r)})
}

func replace(t *testing.T, s job.Store) {
	r := sample("jb_1", "alice")
	put(t, s, r)
	r.State, r.Result, r.Partial, r.Log = job.Completed, json.RawMessage(`[1,2]`), nil, nil
	put(t, s, r)
	check(t, s, map[string][]byte{name(r): encode(t, r)})
}

func remove(t *testing.T, s job.Store) {
	a, b := sample("jb_a", "alice"), sample("jb_b", "alice")
	put(t, s, a)
	put(t, s, b)
	for range 2 { // the second time it is not there
		if err := s.Delete(t.Context(), a.Owner, a.ID); err != nil {
			t.Fatalf("delete: %v", err)
		}
		check(t, s, map[string][]byte{name(b): encode(t, b)})
	}
	put(t, s, a)
	check(t, s, map[string][]byte{name(a): encode(t, a), name(b): encode(t, b)})
}

// keys: an owner is three texts and an id is a fourth, whatever is in them.
func keys(t *testing.T, s job.Store) {
	want := map[string][]byte{}
	all := []job.Record{}
	for _, o := range []session.Owner{
		{Tenant: "a", Issuer: "b", Subject: "c"},
		{Tenant: "a", Issuer: "c", Subject: "b"},
		{Tenant: "ab", Subject: "c"},
		{Tenant: "a", Issuer: "bc", Subject: ""},
		{Tenant: "a/b", Subject: "c"},
		{Tenant: "a", Issuer: "/b", Subject: "c"},
		{Tenant: "a\x00b", Subject: "c"},
		{Tenant: "a", Issuer: "\x00b", Subject: "c"},
		{Subject: "abc"},
		{Tenant: "ä|b", Issuer: "https://issuer.example/x?y=z", Subject: `"quoted"`},
	} {
		for _, id := range []string{"jb_1", "jb_2", "cjb_1"} {
			r := sample(id, "")
			r.Owner = o
			put(t, s, r)
			want[name(r)] = encode(t, r)
			all = append(all, r)
		}
	}
	check(t, s, want)
	for i, r := range all {
		if i%2 == 0 {
			continue
		}
		if err := s.Delete(t.Context(), r.Owner, r.ID); err != nil {
			t.Fatalf("delete: %v", err)
		}
		delete(want, name(r))
	}
	check(t, s, want)
}

func noSharing(t *testing.T, s job.Store) {
	r := sample("jb_1", "alice")
	want := map[string][]byte{name(r): encode(t, r)}
	put(t, s, r)
	spoil(r)
	check(t, s, want)
	for got, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("all: %v", err)
		}
		spoil(got)
	}
	check(t, s, want)
}

// spoil changes everything that r shares with its copies.
func spoil(r job.Record) {
	for _, b := range []json.RawMessage{r.Input, r.Partial, r.Result, r.Checkpoint.Data} {
		for i := range b {
			b[i] = '!'
		}
	}
	for i := range r.Log {
		r.Log[i].Message = "spoilt"
	}
}

func leaveLoop(t *testing.T, s job.Store) {
	want := map[string][]byte{}
	for i := range 10 {
		r := sample(fmt.Sprintf("jb_%d", i), "alice")
		put(t, s, r)
		want[name(r)] = encode(t, r)
	}
	seen := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("all: %v", err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Errorf("saw %d records before leaving, want 3", seen)
	}
	check(t, s, want) // and nothing is left locked
}

func endedContext(t *testing.T, s job.Store) {
	kept := sample("jb_kept", "alice")
	put(t, s, kept)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, sample("jb_new", "alice")); err == nil {
		t.Error("put with an ended context succeeded")
	}
	if err := s.Delete(ctx, kept.Owner, kept.ID); err == nil {
		t.Error("delete with an ended context succeeded")
	}
	failed := false
	for _, err := range s.All(ctx) {
		if failed {
			t.Error("the sequence went on after an error")
		}
		failed = failed || err != nil
	}
	if !failed {
		t.Error("all with an ended context yielded no error")
	}
	check(t, s, map[string][]byte{name(kept): encode(t, kept)})
}

// parallel: each goroutine owns some keys, as the jobs of a runner do.
func parallel(t *testing.T, s job.Store) {
	const goroutines, rounds = 8, 30
	final := make([]job.Record, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			r := sample(fmt.Sprintf("jb_%d", g), "alice")
			for i := range rounds {
				r.Attempts = i
				if err := s.Put(t.Context(), r); err != nil {
					t.Errorf("put: %v", err)
				}
				if i%10 == 5 {
					if err := s.Delete(t.Context(), r.Owner, r.ID); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			}
			final[g] = r
		})
	}
	wg.Go(func() {
		for range 10 {
			for r, err := range s.All(t.Context()) {
				if err != nil {
					t.Errorf("all: %v", err)
				} else if want := sample(string(r.ID), "alice").Input; !bytes.Equal(r.Input, want) {
					t.Errorf("all yields a record with input %s, want %s", r.Input, want)
				}
			}
		}
	})
	wg.Wait()
	want := map[string][]byte{}
	for _, r := range final {
		want[name(r)] = encode(t, r)
	}
	check(t, s, want)
}

// sample returns a record with every field set, and JSON that an encoder would
// like to reformat.
func sample(id, subject string) job.Record {
	at := time.Date(2026, 3, 4, 5, 6, 7, 123456789, time.UTC)
	return job.Record{
		Job: job.Job{
			ID: job.ID(id), Owner: session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: subject},
			Operation: "mcts", SessionID: "rs_1", Created: at, Started: at.Add(1), Updated: at.Add(2), Finished: at.Add(3),
			TTL: time.Hour, Expires: at.Add(time.Hour), State: job.Interrupted, StatusMessage: "so <so>", Attempts: 3,
			Seed: 1<<64 - 1, Progress: job.Progress{Done: 0.1, Total: 3, Message: "0.1 of 3"},
			Log:        []job.Note{{At: at, Progress: job.Progress{Message: "begun"}}, {At: at.Add(9), Progress: job.Progress{Done: 1e300}}},
			Partial:    json.RawMessage("{ \"a\" :\n1 }"),
			Checkpoint: job.Checkpoint{At: at, Steps: 7, Data: json.RawMessage("[1.0, 1e0,\t\"\u2028 <&>\"]")},
			Result:     json.RawMessage(" null "), Error: job.Failure{Code: "c", Message: "m"},
			Cancel: job.Cancel{Requested: at, Acknowledged: at.Add(4), Stopped: at.Add(5)},
		},
		Input: json.RawMessage(`{"x": "` + id + `"}`), Resumable: true, Stalled: 2,
	}
}

func name(r job.Record) string { return fmt.Sprintf("%q %q", r.Owner, r.ID) }

func put(t *testing.T, s job.Store, r job.Record) {
	t.Helper()
	if err := s.Put(t.Context(), r); err != nil {
		t.Fatalf("put %s: %v", r.ID, err)
	}
}

func encode(t *testing.T, r job.Record) []byte {
	t.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		t.Fatalf("encode %s: %v", r.ID, err)
	}
	return b
}

// check compares everything in the store with want, by name.
func check(t *testing.T, s job.Store, want map[string][]byte) {
	t.Helper()
	seen := map[string]bool{}
	for r, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatalf("all: %v", err)
		}
		n := name(r)
		if seen[n] {
			t.Errorf("record %s comes twice", n)
		}
		seen[n] = true
		if got := encode(t, r); !bytes.Equal(got, want[n]) {
			t.Errorf("record %s is\n%s\nwant\n%s", n, cut(got), cut(want[n]))
		}
	}
	for n := range want {
		if !seen[n] {
			t.Errorf("record %s is missing", n)
		}
	}
}

func cut(b []byte) []byte { return b[:min(len(b), 1000)] }
