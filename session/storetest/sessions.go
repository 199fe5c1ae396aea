package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

func empty(t *testing.T, s session.Store) {
	checkAbsent(t, s, session.Key{Owner: alice, ID: "rs_1"})
	checkAbsent(t, s, session.Key{})
	if got := ids(t, s, nil); len(got) != 0 {
		t.Errorf("records of a new store: %q", got)
	}
	if _, err := s.LoadObject(t.Context(), session.ObjectKey{Kind: "job", Owner: alice, ID: "x"}); !errors.Is(err, session.ErrNoRecord) {
		t.Errorf("object of a new store: %v, want ErrNoRecord", err)
	}
	for name, err := range map[string]error{
		"save nothing":          s.Save(t.Context()),
		"touch nothing":         s.Touch(t.Context()),
		"touch what is not":     s.Touch(t.Context(), session.Use{Key: session.Key{Owner: alice, ID: "rs_1"}, LastUsed: epoch, Expires: epoch}),
		"delete what is not":    s.Delete(t.Context(), session.Key{Owner: alice, ID: "rs_1"}),
		"put nothing":           s.PutObject(t.Context()),
		"delete no such object": s.DeleteObject(t.Context(), session.ObjectKey{Kind: "job", Owner: alice, ID: "x"}),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	keys, objects, err := s.Expired(t.Context(), epoch.Add(time.Hour), 10)
	if len(keys)+len(objects) != 0 || err != nil {
		t.Errorf("expired of a new store: %v, %v, %v", keys, objects, err)
	}
}

func roundTrip(t *testing.T, s session.Store) {
	full := sample(alice, "rs_full")
	cells := []session.Cell{
		cell("", 1, `null`),
		cell("a/b", 2, "{ \"x\" : 1 }\n"),
		{Name: "zz"},
		cell("z\xff", 3, "\x00\xfe"),
	}
	save(t, s, session.Change{Record: full, Create: true, Put: []session.Cell{cells[2], cells[0], cells[3], cells[1]}})
	checkSnapshot(t, s, full.Key, session.Snapshot{Record: full, Cells: cells})

	bare := session.Record{Key: session.Key{Owner: session.Owner{}, ID: "rs_bare"}}
	save(t, s, session.Change{Record: bare, Create: true})
	checkSnapshot(t, s, bare.Key, session.Snapshot{Record: bare})

	local := sample(bob, "rs_zone")
	local.Created = local.Created.In(time.FixedZone("x", 5400))
	save(t, s, session.Change{Record: local, Create: true})
	checkSnapshot(t, s, local.Key, session.Snapshot{Record: local})
}

func largeSlot(t *testing.T, s session.Store) {
	r := sample(alice, "rs_large")
	var cells []session.Cell
	for i, n := range []int{1 << 20, 1<<20 - 256, 3<<20 + 17} {
		data := bytes.Repeat(fmt.Appendf(nil, "%07d,", i), n/8+1)[:n]
		cells = append(cells, session.Cell{Name: fmt.Sprint("cell", i), Version: 1, Data: data})
	}
	save(t, s, session.Change{Record: r, Create: true, Put: cells})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells})
	cells[2].Data = cells[2].Data[:2<<20]
	cells[0].Data = []byte("1")
	save(t, s, session.Change{Record: r, From: 1, Put: []session.Cell{cells[0], cells[2]}})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells})
	save(t, s, session.Change{Record: r, From: 1, Drop: []string{"cell2"}})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells[:2]})
	o := session.Object{ObjectKey: session.ObjectKey{Kind: "result", Owner: alice, ID: "big"}, Data: bytes.Repeat([]byte("abcdefg"), 400_000)}
	put(t, s, o)
	if got, err := s.LoadObject(t.Context(), o.ObjectKey); err != nil || !bytes.Equal(got.Data, o.Data) {
		t.Errorf("large object: %d bytes, %v, want %d", len(got.Data), err, len(o.Data))
	}
}

func compareAndSwap(t *testing.T, s session.Store) {
	r := sample(alice, "rs_1")
	checkStale(t, s.Save(t.Context(), session.Change{Record: r, From: 3}), r.Key, 0, 3)
	checkStale(t, s.Save(t.Context(), session.Change{Record: r}), r.Key, 0, 0)
	r.Version = 5
	save(t, s, session.Change{Record: r, Create: true})
	checkStale(t, s.Save(t.Context(), session.Change{Record: r, Create: true}), r.Key, 5, 0)
	checkStale(t, s.Save(t.Context(), session.Change{Record: r, From: 4}), r.Key, 5, 4)
	checkStale(t, s.Save(t.Context(), session.Change{Record: r, From: 6}), r.Key, 5, 6)
	r.Version, r.Name = 9, "moved"
	save(t, s, session.Change{Record: r, From: 5})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r})

	// A change that is no commit, such as of grants, leaves the version.
	r.Extra = []byte(`{"grants":[{"issuer":"i","subject":"bob"}]}`)
	save(t, s, session.Change{Record: r, From: 9})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r})
	r.Extra = nil
	save(t, s, session.Change{Record: r, From: 9})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r})

	zero := sample(alice, "rs_0")
	zero.Version = 0
	save(t, s, session.Change{Record: zero, Create: true})
	checkStale(t, s.Save(t.Context(), session.Change{Record: zero, Create: true}), zero.Key, 0, 0)
	save(t, s, session.Change{Record: zero, From: 0})

	// The same id of another owner is another session.
	other := sample(bob, "rs_1")
	save(t, s, session.Change{Record: other, Create: true})
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r})
}

func allOrNothing(t *testing.T, s session.Store) {
	a, b := sample(alice, "rs_a"), sample(bob, "rs_b")
	err := s.Save(t.Context(),
		session.Change{Record: a, Create: true, Put: []session.Cell{cell("x", 1, "1")}},
		session.Change{Record: b, From: 7})
	checkStale(t, err, b.Key, 0, 7)
	checkAbsent(t, s, a.Key)
	save(t, s, session.Change{Record: a, Create: true, Put: []session.Cell{cell("x", 1, "1")}}, session.Change{Record: b, Create: true})

	// Later changes of one call see what earlier ones leave.
	a2, a3 := a, a
	a2.Version, a3.Version = 2, 3
	checkStale(t, s.Save(t.Context(), session.Change{Record: a2, From: 1, Clear: true}, session.Change{Record: a3, From: 1}), a.Key, 2, 1)
	checkSnapshot(t, s, a.Key, session.Snapshot{Record: a, Cells: []session.Cell{cell("x", 1, "1")}})
	save(t, s,
		session.Change{Record: a2, From: 1, Put: []session.Cell{cell("x", 2, "2"), cell("y", 2, "2")}},
		session.Change{Record: a3, From: 2, Drop: []string{"x"}})
	checkSnapshot(t, s, a.Key, session.Snapshot{Record: a3, Cells: []session.Cell{cell("y", 2, "2")}})
}

func putDropClear(t *testing.T, s session.Store) {
	r := sample(alice, "rs_1")
	neighbour := sample(alice, "rs_10")
	theirs := session.Snapshot{Record: neighbour, Cells: []session.Cell{cell("a", 1, "9")}}
	save(t, s, session.Change{Record: neighbour, Create: true, Put: theirs.Cells})
	save(t, s, session.Change{Record: r, Create: true, Put: []session.Cell{cell("a", 1, "1"), cell("b", 1, "1"), cell("c", 1, "1")}})
	for _, step := range []struct {
		change session.Change
		want   []session.Cell
	}{
		{session.Change{}, []session.Cell{cell("a", 1, "1"), cell("b", 1, "1"), cell("c", 1, "1")}},
		{session.Change{Put: []session.Cell{cell("b", 2, "22")}}, []session.Cell{cell("a", 1, "1"), cell("b", 2, "22"), cell("c", 1, "1")}},
		{session.Change{Drop: []string{"a", "none"}, Put: []session.Cell{cell("d", 3, "3")}}, []session.Cell{cell("b", 2, "22"), cell("c", 1, "1"), cell("d", 3, "3")}},
		{session.Change{Drop: []string{"c"}, Put: []session.Cell{cell("c", 4, "4")}}, []session.Cell{cell("b", 2, "22"), cell("c", 4, "4"), cell("d", 3, "3")}},
		{session.Change{Clear: true, Put: []session.Cell{cell("e", 5, "5"), cell("b", 5, "5")}}, []session.Cell{cell("b", 5, "5"), cell("e", 5, "5")}},
		{session.Change{Clear: true}, nil},
	} {
		from := r.Version
		r.Version++
		step.change.Record, step.change.From = r, from
		save(t, s, step.change)
		checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: step.want})
	}
	checkSnapshot(t, s, neighbour.Key, theirs)
}

func touch(t *testing.T, s session.Store) {
	r := sample(alice, "rs_1")
	cells := []session.Cell{cell("a", 1, "1")}
	save(t, s, session.Change{Record: r, Create: true, Put: cells})
	use := session.Use{
		Key: r.Key, LastUsed: epoch.Add(time.Minute), Expires: epoch.Add(2 * time.Hour), Calls: 9, Errors: 3,
		Client: session.Client{Name: "other", Transport: "stdio"},
	}
	absent := use
	absent.Key.ID = "rs_none"
	if err := s.Touch(t.Context(), absent, use); err != nil {
		t.Fatalf("touch: %v", err)
	}
	checkAbsent(t, s, absent.Key)
	r.LastUsed, r.Expires, r.Calls, r.Errors, r.Client = use.LastUsed, use.Expires, 9, 3, use.Client
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells})

	old := use
	old.LastUsed, old.Expires, old.Calls, old.Errors, old.Client = epoch, epoch.Add(time.Hour), 8, 4, session.Client{Name: "late"}
	if err := s.Touch(t.Context(), old); err != nil {
		t.Fatalf("touch: %v", err)
	}
	r.Errors = 4
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells})

	// Two uses in one call, the later first.
	first, second := use, use
	first.LastUsed, second.LastUsed = epoch.Add(3*time.Minute), epoch.Add(2*time.Minute)
	first.Expires, second.Expires = epoch.Add(5*time.Hour), epoch.Add(4*time.Hour)
	second.Calls = 20
	if err := s.Touch(t.Context(), first, second); err != nil {
		t.Fatalf("touch: %v", err)
	}
	r.LastUsed, r.Expires, r.Calls = first.LastUsed, first.Expires, 20
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r, Cells: cells})
	// It is no commit: the version is as it was.
	save(t, s, session.Change{Record: r, From: 1})
}

func remove(t *testing.T, s session.Store) {
	a, b, c := sample(alice, "rs_a"), sample(alice, "rs_b"), sample(bob, "rs_a")
	for _, r := range []session.Record{a, b, c} {
		save(t, s, session.Change{Record: r, Create: true, Put: []session.Cell{cell("x", 1, "1")}})
	}
	if err := s.Delete(t.Context(), a.Key, session.Key{Owner: bob, ID: "rs_b"}, a.Key); err != nil {
		t.Fatalf("delete: %v", err)
	}
	checkAbsent(t, s, a.Key)
	checkSnapshot(t, s, b.Key, session.Snapshot{Record: b, Cells: []session.Cell{cell("x", 1, "1")}})
	checkSnapshot(t, s, c.Key, session.Snapshot{Record: c, Cells: []session.Cell{cell("x", 1, "1")}})
	save(t, s, session.Change{Record: a, Create: true})
	checkSnapshot(t, s, a.Key, session.Snapshot{Record: a}) // its old slot is gone
}

func records(t *testing.T, s session.Store) {
	owners := []session.Owner{
		{Tenant: "a", Issuer: "bc", Subject: "d"},
		{Tenant: "ab", Issuer: "c", Subject: "d"},
		{Tenant: "a", Issuer: "b", Subject: "cd"},
		{Tenant: "a", Issuer: "bc"},
		{Tenant: "a", Issuer: "bc", Subject: "d\x00"},
		{},
	}
	var all []string
	want := make([][]string, len(owners))
	for i, o := range owners {
		var changes []session.Change
		for j := range 100 * (i + 1) { // more than a page of some stores in sum
			id := fmt.Sprintf("rs_%d_%03d", i, j)
			changes = append(changes, session.Change{Record: sample(o, id), Create: true, Put: []session.Cell{cell("x", 1, "1")}})
			want[i] = append(want[i], id)
		}
		save(t, s, changes...)
		all = append(all, want[i]...)
	}
	for i, o := range owners {
		if got := ids(t, s, &o); !slices.Equal(got, want[i]) {
			t.Errorf("owner %d has %d sessions, want %d", i, len(got), len(want[i]))
		}
	}
	if got := ids(t, s, &session.Owner{Tenant: "a"}); len(got) != 0 {
		t.Errorf("an owner without sessions has %q", got)
	}
	slices.Sort(all)
	if got := ids(t, s, nil); !slices.Equal(got, all) {
		t.Errorf("all records: %d, want %d", len(got), len(all))
	}
	for r, err := range s.Records(t.Context(), &owners[0]) {
		if err != nil || !same(r, sample(owners[0], string(r.ID))) {
			t.Errorf("record %+v, %v", r, err)
		}
	}
}

func leaveLoop(t *testing.T, s session.Store) {
	for i := range 5 {
		save(t, s, session.Change{Record: sample(alice, fmt.Sprint("rs_", i)), Create: true})
	}
	seq := s.Records(t.Context(), nil)
	n := 0
	for range seq {
		if n++; n == 2 {
			break
		}
	}
	again := 0
	for _, err := range seq {
		if err != nil {
			t.Fatalf("records: %v", err)
		}
		again++
	}
	if n != 2 || again != 5 {
		t.Errorf("left after %d of 2, then saw %d of 5", n, again)
	}
}

// writesInLoop deadlocks in a store that holds a lock while the body runs.
func writesInLoop(t *testing.T, s session.Store) {
	for i := range 5 {
		save(t, s, session.Change{Record: sample(alice, fmt.Sprint("rs_", i)), Create: true})
	}
	for r, err := range s.Records(t.Context(), &alice) {
		if err != nil {
			t.Fatalf("records: %v", err)
		}
		if err := s.Delete(t.Context(), r.Key); err != nil {
			t.Fatalf("delete in the loop: %v", err)
		}
	}
	if got := ids(t, s, nil); len(got) != 0 {
		t.Errorf("left after deleting all: %q", got)
	}
}
