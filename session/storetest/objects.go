package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

func object(kind string, o session.Owner, id, data string) session.Object {
	return session.Object{ObjectKey: session.ObjectKey{Kind: kind, Owner: o, ID: id}, Data: []byte(data)}
}

func objectIDs(t *testing.T, s session.Store, kind string, o *session.Owner) []string {
	t.Helper()
	var all []string
	for o, err := range s.Objects(t.Context(), kind, o) {
		if err != nil {
			t.Fatalf("objects: %v", err)
		}
		if o.Kind != kind {
			t.Errorf("object %s is of kind %q, want %q", o.ID, o.Kind, kind)
		}
		all = append(all, o.ID)
	}
	slices.Sort(all)
	return all
}

func objects(t *testing.T, s session.Store) {
	a := object("job", alice, "j1", "\x00\xff{ }")
	a.Expires = epoch.Add(time.Hour)
	b := object("job", bob, "j1", "")
	put(t, s, a, b)
	for _, want := range []session.Object{a, b} {
		got, err := s.LoadObject(t.Context(), want.ObjectKey)
		if err != nil || got.ObjectKey != want.ObjectKey || !got.Expires.Equal(want.Expires) || !bytes.Equal(got.Data, want.Data) {
			t.Errorf("object: %+v, %v, want %+v", got, err, want)
		}
	}
	a.Data, a.Expires = []byte("new"), time.Time{}
	put(t, s, a)
	if got, err := s.LoadObject(t.Context(), a.ObjectKey); err != nil || string(got.Data) != "new" || !got.Expires.IsZero() {
		t.Errorf("replaced object: %+v, %v", got, err)
	}
	if err := s.DeleteObject(t.Context(), a.ObjectKey, session.ObjectKey{Kind: "job", Owner: alice, ID: "none"}); err != nil {
		t.Fatalf("delete: %v", err)
	}
	if _, err := s.LoadObject(t.Context(), a.ObjectKey); !errors.Is(err, session.ErrNoRecord) {
		t.Errorf("deleted object: %v, want ErrNoRecord", err)
	}
	if got := objectIDs(t, s, "job", nil); !slices.Equal(got, []string{"j1"}) {
		t.Errorf("objects: %q, want bob's", got)
	}
}

func objectKinds(t *testing.T, s session.Store) {
	ab, abc := session.Owner{Tenant: "ab", Issuer: "c"}, session.Owner{Tenant: "a", Issuer: "bc"}
	var many []string
	var all []session.Object
	for i := range 150 {
		id := fmt.Sprintf("m%03d", i)
		all = append(all, object("job", ab, id, "x"))
		many = append(many, id)
	}
	put(t, s, all...)
	put(t, s, object("jobs", ab, "1", "x"), object("job", abc, "2", "x"), object("abcdefghijklmnop", ab, "3", "x"))
	for _, c := range []struct {
		kind  string
		owner *session.Owner
		want  []string
	}{
		{"job", &ab, many},
		{"job", &abc, []string{"2"}},
		{"job", nil, append([]string{"2"}, many...)},
		{"jobs", nil, []string{"1"}},
		{"abcdefghijklmnop", &ab, []string{"3"}},
		{"jo", nil, nil},
		{"", nil, nil},
		{"job", &alice, nil},
	} {
		if got := objectIDs(t, s, c.kind, c.owner); !slices.Equal(got, c.want) {
			t.Errorf("%q of %v: %d objects %.60q, want %d", c.kind, c.owner, len(got), got, len(c.want))
		}
	}
}

func expired(t *testing.T, s session.Store, at time.Time, limit int) (keys, objects []string) {
	t.Helper()
	k, o, err := s.Expired(t.Context(), at, limit)
	if err != nil {
		t.Fatalf("expired: %v", err)
	}
	for _, k := range k {
		keys = append(keys, k.Owner.Subject+"/"+string(k.ID))
	}
	for _, o := range o {
		objects = append(objects, o.Kind+"/"+o.Owner.Subject+"/"+o.ID)
	}
	return keys, objects
}

func expirySessions(t *testing.T, s session.Store) {
	at := func(n int) time.Time { return epoch.Add(time.Duration(n)) } // one nanosecond apart
	check := func(when time.Time, limit int, want ...string) {
		t.Helper()
		if got, _ := expired(t, s, when, limit); !slices.Equal(got, want) {
			t.Errorf("expired before %v, at most %d: %q, want %q", when.Sub(epoch), limit, got, want)
		}
	}
	for _, i := range []int{3, 1, 5, 2, 4} {
		r := sample(alice, fmt.Sprint(i))
		r.Expires = at(i)
		save(t, s, session.Change{Record: r, Create: true})
	}
	never := sample(bob, "never")
	never.Expires = time.Time{}
	save(t, s, session.Change{Record: never, Create: true})
	ancient := sample(bob, "ancient")
	ancient.Expires = time.Date(1901, 1, 1, 0, 0, 0, 0, time.UTC)
	save(t, s, session.Change{Record: ancient, Create: true})

	check(at(1), 10, "bob/ancient") // before, not at
	check(at(9), 3, "bob/ancient", "alice/1", "alice/2")
	check(at(9), 0)
	check(at(9), 10, "bob/ancient", "alice/1", "alice/2", "alice/3", "alice/4", "alice/5")

	key := func(id string) session.Key { return session.Key{Owner: alice, ID: session.ID(id)} }
	if err := s.Touch(t.Context(), session.Use{Key: key("1"), LastUsed: epoch.Add(time.Minute), Expires: at(7)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Touch(t.Context(), session.Use{Key: key("2"), LastUsed: epoch.Add(-time.Minute), Expires: at(8)}); err != nil {
		t.Fatal(err)
	}
	r := sample(alice, "5")
	r.Expires = at(0)
	save(t, s, session.Change{Record: r, From: 1})
	r = sample(alice, "3")
	r.Expires = time.Time{}
	save(t, s, session.Change{Record: r, From: 1})
	if err := s.Delete(t.Context(), key("4"), ancient.Key); err != nil {
		t.Fatal(err)
	}
	check(at(9), 10, "alice/5", "alice/2", "alice/1")
	r.Expires = at(6)
	save(t, s, session.Change{Record: r, From: 1})
	check(at(9), 10, "alice/5", "alice/2", "alice/3", "alice/1")
}

func expiryObjects(t *testing.T, s session.Store) {
	for i := range 50 {
		o := object("job", alice, fmt.Sprintf("%02d", i), "x")
		o.Expires = epoch.Add(time.Duration((i*37)%50) * time.Second)
		put(t, s, o)
	}
	put(t, s, object("job", alice, "never", "x"))
	_, got := expired(t, s, epoch.Add(time.Hour), 20)
	if len(got) != 20 {
		t.Fatalf("expired: %d, want the limit of 20", len(got))
	}
	for i, name := range got {
		var n int
		if _, err := fmt.Sscanf(name, "job/alice/%d", &n); err != nil || (n*37)%50 != i {
			t.Errorf("place %d of what expired is %s (%v)", i, name, err)
		}
	}
	o := object("job", alice, "00", "x") // the first
	o.Expires = epoch.Add(time.Minute)
	put(t, s, o)
	if err := s.DeleteObject(t.Context(), object("job", alice, "27", "").ObjectKey); err != nil { // 27·37 = 49 mod 50
		t.Fatal(err)
	}
	_, got = expired(t, s, epoch.Add(time.Hour), 100)
	if len(got) != 49 || got[0] == "job/alice/00" || got[48] != "job/alice/00" || slices.Contains(got, "job/alice/27") {
		t.Errorf("expired after a replacement and a deletion: %d, first %s, last %s", len(got), got[0], got[len(got)-1])
	}
}

func usage(t *testing.T, s session.Store) {
	check := func(sessions, objects int) session.Usage {
		t.Helper()
		u, err := s.Usage(t.Context())
		if err != nil || u.Sessions != sessions || u.Objects != objects || u.Free < 0 || u.Free > u.Bytes {
			t.Errorf("usage: %+v, %v, want %d sessions and %d objects", u, err, sessions, objects)
		}
		return u
	}
	check(0, 0)
	a := sample(alice, "a")
	save(t, s, session.Change{Record: a, Create: true}, session.Change{Record: sample(bob, "a"), Create: true})
	save(t, s, session.Change{Record: a, From: 1, Put: []session.Cell{{Name: "x", Data: make([]byte, 1000)}}})
	put(t, s, object("job", alice, "1", "x"), object("job", alice, "1", "y"), object("note", bob, "1", "x"))
	if u := check(2, 2); u.Bytes < 1000 {
		t.Errorf("usage: %d bytes with 1000 in one slot", u.Bytes)
	}
	if err := s.Save(t.Context(), session.Change{Record: a, Create: true}); err == nil {
		t.Error("created twice")
	}
	if err := s.Delete(t.Context(), a.Key, a.Key); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteObject(t.Context(), object("job", alice, "1", "").ObjectKey); err != nil {
		t.Fatal(err)
	}
	check(1, 1)
}

func invalid(t *testing.T, s session.Store) {
	noID, based := sample(alice, ""), sample(alice, "x")
	for name, err := range map[string]error{
		"session without an id":    s.Save(t.Context(), session.Change{Record: based, Create: true}, session.Change{Record: noID, Create: true}),
		"creation from a version":  s.Save(t.Context(), session.Change{Record: based, Create: true, From: 2}),
		"object without a kind":    s.PutObject(t.Context(), object("job", alice, "ok", "x"), object("", alice, "x", "x")),
		"object of a long kind":    s.PutObject(t.Context(), object("abcdefghijklmnopq", alice, "x", "x")),
		"object of a capital kind": s.PutObject(t.Context(), object("Job", alice, "x", "x")),
		"object without an id":     s.PutObject(t.Context(), object("job", alice, "", "x")),
	} {
		if fault.KindOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v, want an Invalid fault", name, err)
		}
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Sessions+u.Objects != 0 {
		t.Errorf("stored by refused calls: %+v, %v", u, err)
	}
}
