package session

import (
	"math/rand/v2"
	"runtime"
	"testing"
)

// What one session may cost is a promise: 100,000 idle ones fit in one process.
func TestIdleSessionsAreSmall(t *testing.T) {
	const n = 20_000
	before, goroutines := heapInUse(), runtime.NumGoroutine()
	d := New(Config{MaxPerTenant: n, MaxTotal: n}, nil)
	fill(t, d, n, 1, 10)
	after := heapInUse()
	if per := (int64(after) - int64(before)) / n; per >= 1024 {
		t.Errorf("an idle session of an owner of its own takes %d bytes, want less than 1024", per)
	}
	if more := runtime.NumGoroutine() - goroutines; more > 0 {
		t.Errorf("%d more goroutines, want none", more)
	}
	if got := d.Stats().Idle; got != n {
		t.Errorf("%d idle sessions, want %d", got, n)
	}
}

func TestLookupAllocatesOnlyTheHandle(t *testing.T) {
	d := New(Config{}, nil)
	id := mustIdle(t, d, alice, Params{})
	ctx := t.Context()
	if got := testing.AllocsPerRun(1000, func() {
		h, err := d.Acquire(ctx, alice, id)
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}); got > 1 {
		t.Errorf("acquire and release: %v allocations, want 1", got)
	}
	if got := testing.AllocsPerRun(1000, func() { d.Acquire(ctx, bob, id) }); got != 0 {
		t.Errorf("a miss: %v allocations, want 0", got)
	}
}

func TestLookupOfAResidentSessionTouchesNoStore(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	h.Release()
	ctx := t.Context()
	if got := testing.AllocsPerRun(1000, func() {
		h, err := d.Acquire(ctx, alice, h.ID())
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}); got > 1 || f.count("load")+f.count("touch") != 0 {
		t.Errorf("acquire and release: %v allocations, %d loads, %d touches: want 1 and none", got, f.count("load"), f.count("touch"))
	}
}

type weight struct{ n, place int }

func (w *weight) weight() int    { return w.n }
func (w *weight) setPlace(i int) { w.place = i }

func TestHeaviestFindsTheHeaviest(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 5))
	var h heaviest[*weight]
	for range 5000 {
		switch k := rng.IntN(4); {
		case k == 0 && h.Len() > 0:
			h.remove(rng.IntN(h.Len()))
		case k == 1 && h.Len() > 0:
			w := h.items[rng.IntN(h.Len())]
			w.n = rng.IntN(20)
			h.fix(w.place)
		case h.Len() < 40:
			h.push(&weight{n: rng.IntN(20)})
		}
		checkRanking(t, &h)
		odd := rng.IntN(2)
		want := -1
		for i, w := range h.items {
			if w.place != i {
				t.Fatalf("element %d believes to be at %d", i, w.place)
			}
			if w.n%2 == odd {
				want = max(want, w.n)
			}
		}
		got, ok := h.find(func(w *weight) bool { return w.n%2 == odd })
		if ok != (want >= 0) || (ok && got.n != want) {
			t.Fatalf("found %+v, %v: want weight %d", got, ok, want)
		}
	}
}
