package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

type thoughts struct {
	Steps []string       `json:"steps,omitempty"`
	Votes map[string]int `json:"votes,omitempty"`
}

var chain = NewSlot[thoughts]("chain")

func add(step string) func(*thoughts) error {
	return func(s *thoughts) error {
		s.Steps = append(s.Steps, step)
		if s.Votes == nil {
			s.Votes = map[string]int{}
		}
		s.Votes[step]++
		return nil
	}
}

func mustUpdate[T any](t *testing.T, s Slot[T], h *Handle, fn func(*T) error) {
	t.Helper()
	if err := s.Update(t.Context(), h, fn); err != nil {
		t.Fatalf("update %s: %v", s.Name(), err)
	}
}

func mustRead[T any](t *testing.T, s Slot[T], h *Handle) T {
	t.Helper()
	v, _, err := s.Read(h)
	if err != nil {
		t.Fatalf("read %s: %v", s.Name(), err)
	}
	return v
}

func TestSlotReadAndUpdate(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	if v, ok, err := chain.Read(h); ok || err != nil || v.Steps != nil {
		t.Errorf("read of nothing: %v, %v, %v", v, ok, err)
	}
	mustUpdate(t, chain, h, add("a"))
	mustUpdate(t, chain, h, add("b"))
	v, ok, err := chain.Read(h)
	if !ok || err != nil || !slices.Equal(v.Steps, []string{"a", "b"}) {
		t.Errorf("read: %v, %v, %v", v, ok, err)
	}
	v.Steps[0], v.Votes["a"] = "mine", 99 // a private copy
	if got := mustRead(t, chain, h); got.Steps[0] != "a" || got.Votes["a"] != 1 {
		t.Errorf("a reader changed the state: %v", got)
	}
	if h.Version() != 2 || h.Info().Version != 2 {
		t.Errorf("version %d, want 2", h.Version())
	}
	want := `{"schema":1,"data":{"steps":["a","b"],"votes":{"a":1,"b":1}}}`
	export := h.Export()
	if got := string(export["chain"]); got != want || len(export) != 1 {
		t.Errorf("export %s, want %s", got, want)
	}
	if got, want := h.Info().Bytes, int64(slotCost+len("chain")+len(want)); got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	export["chain"][0] = 'X'
	if got := mustRead(t, chain, h); len(got.Steps) != 2 {
		t.Error("changing an export changed the state")
	}
	if err := chain.Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := chain.Delete(t.Context(), h); err != nil || h.Version() != 3 || h.Info().Bytes != 0 {
		t.Errorf("after delete, twice: %v, version %d, %d bytes", err, h.Version(), h.Info().Bytes)
	}
	checkInvariants(t, d)
}

func TestSlotKeys(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	trees, other := NewSlot[int]("tree"), NewSlot[int]("treehouse")
	for i, id := range []string{"b", "a", "x/y"} {
		mustUpdate(t, trees.Key(id), h, func(n *int) error { *n = i + 1; return nil })
	}
	mustUpdate(t, trees, h, func(n *int) error { *n = 10; return nil })
	mustUpdate(t, other.Key("c"), h, func(n *int) error { *n = 20; return nil })
	if got := h.Keys("tree"); !slices.Equal(got, []string{"a", "b", "x/y"}) {
		t.Errorf("keys: %q", got)
	}
	if got := h.Keys("nothing"); len(got) != 0 {
		t.Errorf("keys of nothing: %q", got)
	}
	if got := mustRead(t, trees.Key("a"), h); got != 2 {
		t.Errorf("tree a is %d, want 2", got)
	}
	if got := h.Info().Slots; !slices.Equal(got, []string{"tree", "treehouse"}) {
		t.Errorf("slots of info: %q", got)
	}
	if err := trees.Key("a").Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got := h.Keys("tree"); !slices.Equal(got, []string{"b", "x/y"}) {
		t.Errorf("keys after delete: %q", got)
	}
	for _, name := range []string{"", "a/b"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("NewSlot took the name %q", name)
				}
			}()
			NewSlot[int](name)
		}()
	}
}

// Whatever goes wrong in an Update, the state is as it was: also what fn had
// changed in place before it failed.
func TestSlotRollback(t *testing.T) {
	d := New(Config{MaxBytes: 400}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	mustUpdate(t, chain, h, add("a"))
	floats := NewSlot[float64]("float")
	failure := errors.New("fn failed")
	spoil := func(s *thoughts) {
		s.Steps[0] = "spoiled"
		s.Votes["a"] = -1
	}
	update := func(fn func(*thoughts) error) error { return chain.Update(t.Context(), h, fn) }
	for _, c := range []struct {
		name string
		do   func() error
		ok   func(error) bool
	}{
		{
			"error", func() error { return update(func(s *thoughts) error { spoil(s); return failure }) },
			func(err error) bool { return err == failure },
		},
		{"panic", func() (err error) {
			defer func() { err = fmt.Errorf("recovered %v", recover()) }()
			return update(func(s *thoughts) error { spoil(s); panic("at the disco") })
		}, func(err error) bool { return err.Error() == "recovered at the disco" }},
		{"too large", func() error {
			return update(func(s *thoughts) error { spoil(s); s.Steps = append(s.Steps, strings.Repeat("x", 400)); return nil })
		}, func(err error) bool {
			return fault.KindOf(err) == fault.TooLarge && strings.Contains(err.Error(), "limit is 400")
		}},
		{"too many slots", func() error {
			for i := range 5 {
				if err := NewSlot[int]("n").Key(fmt.Sprint(i)).Commit(t.Context(), h, 0, 1); err != nil {
					return err
				}
			}
			return nil
		}, func(err error) bool { return fault.KindOf(err) == fault.TooLarge }},
		{"no JSON", func() error {
			return floats.Update(t.Context(), h, func(f *float64) error { *f = math.NaN(); return nil })
		}, func(err error) bool { return err != nil }},
		{"ended context", func() error {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(failure)
			return chain.Update(ctx, h, func(s *thoughts) error { spoil(s); return nil })
		}, func(err error) bool { return err == failure }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, version, size := mustRead(t, chain, h), h.e.state.Load().cells["chain"].version, int64(0)
			if err := c.do(); err == nil || !c.ok(err) {
				t.Errorf("got %v", err)
			}
			mustUpdate(t, chain, h, func(s *thoughts) error { // the decoded value is clean too
				if !slices.Equal(s.Steps, before.Steps) || !maps.Equal(s.Votes, before.Votes) {
					t.Errorf("the next Update sees %v, want %v", *s, before)
				}
				return nil
			})
			if got := h.e.state.Load().cells["chain"].version; got <= version {
				t.Errorf("version went from %d to %d", version, got)
			}
			for name, raw := range h.Export() {
				size += slotSize(name, raw)
			}
			if got := h.Info().Bytes; got != size {
				t.Errorf("%d bytes accounted, %d there", got, size)
			}
		})
	}
	// A smaller state is welcome even if the session were over its limit.
	mustUpdate(t, chain, h, func(s *thoughts) error { *s = thoughts{}; return nil })
	checkInvariants(t, d)
}

func TestUpdateKeepsTheDecodedValue(t *testing.T) {
	d := New(Config{}, nil)
	var seen *thoughts
	same := func(h *Handle) (same bool) {
		mustUpdate(t, chain, h, func(s *thoughts) error {
			same = s == seen
			seen = s
			return add("x")(s)
		})
		return same
	}
	a := mustOpen(t, d, alice, Params{})
	same(a)
	if !same(a) {
		t.Error("the second Update of a call decoded again")
	}
	b := mustAcquire(t, d, alice, a.ID())
	if same(b) {
		t.Error("two calls that overlap share one value")
	}
	if same(a) {
		t.Error("two calls that overlap share one value")
	}
	a.Release()
	if !same(b) {
		t.Error("the value of a call that is done was not taken over")
	}
	b.Release()
	c := mustAcquire(t, d, alice, a.ID())
	if !same(c) {
		t.Error("the next call decoded again")
	}
	// A commit from elsewhere makes it stale.
	_, at, err := chain.ReadVersion(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := chain.Commit(t.Context(), c, at, thoughts{Steps: []string{"only"}}); err != nil {
		t.Fatal(err)
	}
	mustUpdate(t, chain, c, func(s *thoughts) error {
		if !slices.Equal(s.Steps, []string{"only"}) {
			t.Errorf("Update after Commit sees %v", s.Steps)
		}
		return nil
	})
	c.Release()
}

func TestCommitIsCompareAndSwap(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	if err := chain.Commit(t.Context(), h, 0, thoughts{Steps: []string{"a"}}); err != nil {
		t.Fatal(err)
	}
	v, at, err := chain.ReadVersion(h)
	if err != nil || at != 1 || v.Steps[0] != "a" {
		t.Fatalf("read %v at %d, %v", v, at, err)
	}
	mustUpdate(t, NewSlot[int]("other"), h, func(n *int) error { *n = 1; return nil }) // another slot is no conflict
	if err := chain.Commit(t.Context(), h, at, thoughts{Steps: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	for _, stale := range []uint64{at, 0, 99} {
		err := chain.Commit(t.Context(), h, stale, thoughts{})
		if f := fault.From(err); f.Kind != fault.Conflict || f.Code != "version_conflict" || !strings.Contains(f.Public, fmt.Sprintf("at version 3, the call expects %d:", stale)) {
			t.Errorf("commit from version %d: %v, want a conflict that names both versions", stale, err)
		}
	}
	// Removed and made again is not what was read.
	if err := chain.Delete(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if err := chain.Commit(t.Context(), h, 0, thoughts{}); err != nil {
		t.Fatal(err)
	}
	if err := chain.Commit(t.Context(), h, 3, thoughts{}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("commit over a slot that was removed and made again: %v", err)
	}
}

func TestExpect(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	other := mustAcquire(t, d, alice, h.ID())
	defer h.Release()
	defer other.Release()
	conflicts := func(err error, says string) {
		t.Helper()
		if f := fault.From(err); f.Kind != fault.Conflict || f.Code != "version_conflict" || !strings.Contains(f.Public, says) {
			t.Errorf("got %v, want a conflict with %q", err, says)
		}
	}
	h.Expect(4)
	ran := false
	conflicts(chain.Update(t.Context(), h, func(*thoughts) error { ran = true; return nil }), "version 0, the call expects 4")
	if ran {
		t.Error("fn ran although the version was wrong")
	}
	h.Expect(0)
	mustUpdate(t, chain, h, add("a"))
	mustUpdate(t, chain, h, add("b")) // the expectation follows own commits
	if err := chain.Commit(t.Context(), h, 2, thoughts{}); err != nil {
		t.Error(err)
	}
	mustUpdate(t, chain, other, add("c")) // expects nothing
	conflicts(chain.Update(t.Context(), h, add("d")), "version 4, the call expects 3")
	conflicts(chain.Delete(t.Context(), h), "version 4, the call expects 3")
	conflicts(chain.Commit(t.Context(), h, 4, thoughts{}), "version 4, the call expects 3")
	h.Expect(4)
	if err := chain.Delete(t.Context(), h); err != nil {
		t.Error(err)
	}
}

func TestSlotSchemas(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	v2 := NewSlotVersion[thoughts]("chain", 2)
	mustUpdate(t, v2, h, add("a"))
	if got := string(h.Export()["chain"]); !strings.HasPrefix(got, `{"schema":2,`) {
		t.Errorf("export %s", got)
	}
	if _, _, err := chain.Read(h); err == nil || !strings.Contains(err.Error(), "schema 2, this one knows 1") {
		t.Errorf("read with another schema: %v", err)
	}
	if _, _, err := NewSlotVersion[int]("chain", 2).Read(h); err == nil {
		t.Error("read an object as a number")
	}
	if err := NewSlotVersion[int]("chain", 2).Update(t.Context(), h, func(*int) error { return nil }); err == nil {
		t.Error("updated an object as a number")
	}
	if got := mustRead(t, v2, h); got.Steps[0] != "a" {
		t.Errorf("state after wrong uses: %v", got)
	}
}

func TestExportIsValidJSON(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	defer h.Release()
	if got := h.Export(); got == nil || len(got) != 0 {
		t.Errorf("export of nothing: %v, want an empty map", got)
	}
	mustUpdate(t, chain.Key("1"), h, add(`"quoted" </script>`))
	mustUpdate(t, NewSlot[*int]("nothing"), h, func(**int) error { return nil })
	raw, err := json.Marshal(h.Export())
	if err != nil || !json.Valid(raw) {
		t.Errorf("%s, %v", raw, err)
	}
	if v, ok, err := NewSlot[*int]("nothing").Read(h); v != nil || !ok || err != nil {
		t.Errorf("a committed null reads as %v, %v, %v", v, ok, err)
	}
}
