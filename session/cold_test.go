package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestColdSessionsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{ColdAfter: time.Minute}, f)
		h := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, h, add("a"))
		mustUpdate(t, chain.Key("x"), h, add("b"))
		h.Release()
		before := d.List(alice)[0]
		time.Sleep(30 * time.Second)
		sweep := func() {
			for _, s := range d.shards {
				for s.sweepStep() {
				}
			}
		}
		if sweep(); d.Stats().Cold != 0 {
			t.Error("cold before its time")
		}
		time.Sleep(30 * time.Second)
		if sweep(); d.Stats().Cold != 1 || d.Stats().ResidentBytes != 0 || d.Stats().Bytes != before.Bytes || h.e.state.Load().cells != nil {
			t.Errorf("after its time: %+v", d.Stats())
		}
		if got := d.List(alice)[0]; fmt.Sprint(got) != fmt.Sprint(before) || f.count("load") != 0 {
			t.Errorf("a cold session says %+v, want %+v", got, before)
		}
		checkInvariants(t, d)

		f.set(f.fail, "load", errDisk)
		_, err := d.Acquire(t.Context(), alice, h.ID())
		wantUnavailable(t, "acquire", err)
		if got := d.List(alice)[0]; got.Calls != before.Calls || got.InFlight != 0 || got.LastUsed != before.LastUsed {
			t.Errorf("a call that did not come to be has left %+v", got)
		}
		checkInvariants(t, d)
		f.set(f.fail, "load", nil)
		h = mustAcquire(t, d, alice, h.ID())
		if got := h.Keys("chain"); !slices.Equal(got, []string{"x"}) || len(h.Export()) != 2 || h.Version() != 2 {
			t.Errorf("back: keys %v, export %v", got, h.Export())
		}
		mustUpdate(t, chain, h, add("c"))
		if got := mustRead(t, chain, h); !slices.Equal(got.Steps, []string{"a", "c"}) {
			t.Errorf("back: %v", got)
		}
		loads := f.count("load")
		mustAcquire(t, d, alice, h.ID()).Release()
		if f.count("load") != loads {
			t.Error("a resident session was loaded")
		}
		h.Release()
		checkInvariants(t, d)
	})
}

// A record that somebody else deletes takes the session with it.
func TestTheRecordOfAColdSessionIsGone(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	ran := 0
	h.OnEnd(func(Reason) { ran++ })
	h.Release()
	freezeAll(d)
	if err := f.Delete(t.Context(), Key{alice, h.ID()}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Acquire(t.Context(), alice, h.ID()); err != errMiss {
		t.Errorf("acquire: %v, want a miss", err)
	}
	if ran != 1 || d.Stats().Sessions != 0 {
		t.Errorf("hooks ran %d times, %+v", ran, d.Stats())
	}
	checkInvariants(t, d)
}

func TestResidentBytesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		const limit = 10_000
		d, _ := mustRestore(t, Config{MaxPerOwner: 100, MaxResidentBytes: limit}, f)
		text := NewSlot[string]("text")
		var ids []ID
		for range 20 {
			h := mustOpen(t, d, alice, Params{})
			mustUpdate(t, text, h, func(s *string) error { *s = string(make([]byte, 0, 1)) + fmt.Sprintf("%01000d", 1); return nil })
			h.Release()
			ids = append(ids, h.ID())
			tick()
		}
		held := mustAcquire(t, d, alice, ids[0])
		d.keep.shedCells()
		st := d.Stats()
		if st.ResidentBytes > limit-limit/10 || st.ResidentBytes < limit/2 || st.Bytes < 20_000 {
			t.Errorf("%d of %d bytes are resident", st.ResidentBytes, st.Bytes)
		}
		if len(d.keep.shed) != 1 {
			t.Error("nobody was asked to make room")
		}
		for i, e := range d.shardOf(alice).owners[alice].sessions {
			cold := e.state.Load().cold.Load()
			if want := i > 0 && i < st.Cold+1; cold != want {
				t.Errorf("session %d is cold: %v, want the least recent ones that are not in use, %d of them", i, cold, st.Cold)
			}
		}
		held.Release()
		checkInvariants(t, d)
	})
}

// Sessions go cold, come back, change and end under many goroutines. Each
// increment that was acknowledged is there at the end, in memory and after a
// crash.
func TestColdUnderConcurrency(t *testing.T) {
	f := newFakeStore()
	cfg := Config{MaxPerOwner: 100}
	d, _ := mustRestore(t, cfg, f)
	n := NewSlot[int]("n")
	const sessions, workers, steps = 6, 8, 150
	var ids [sessions]ID
	var want [sessions]atomic.Int64
	for i := range ids {
		ids[i] = mustIdle(t, d, alice, Params{})
	}
	done := make(chan struct{})
	var behind, work sync.WaitGroup
	behind.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				freezeAll(d)
				mustFlush(t, d)
				runtime.Gosched()
			}
		}
	})
	for w := range workers {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(9, uint64(w)))
			for range steps {
				i := rng.IntN(sessions)
				h, err := d.Acquire(t.Context(), alice, ids[i])
				if err != nil {
					t.Errorf("acquire: %v", err)
					return
				}
				if rng.IntN(3) == 0 {
					if _, _, err := n.Read(h); err != nil {
						t.Errorf("read: %v", err)
					}
				} else if err := n.Update(t.Context(), h, func(v *int) error { *v++; return nil }); err != nil {
					t.Errorf("update: %v", err)
				} else {
					want[i].Add(1)
				}
				h.Release()
			}
		})
	}
	work.Wait()
	close(done)
	behind.Wait()
	checkInvariants(t, d)
	after, _ := mustRestore(t, cfg, f.fork())
	for _, d := range []*Directory{d, after} {
		for i, id := range ids {
			h := mustAcquire(t, d, alice, id)
			if got := mustRead(t, n, h); int64(got) != want[i].Load() || h.Version() != uint64(got) {
				t.Errorf("session %d is at %d, version %d, want %d", i, got, h.Version(), want[i].Load())
			}
			h.Release()
		}
	}
	if f.count("load") == 0 {
		t.Error("nothing was ever cold")
	}
}

func TestDeleteIsDurable(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	stored := func() ID {
		h := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, h, add("a"))
		h.Release()
		return h.ID()
	}
	a, b, c := stored(), stored(), stored()
	if err := d.Delete(t.Context(), alice, a); err != nil || f.get(alice, a) != nil {
		t.Errorf("delete: %v, stored %v", err, f.get(alice, a) != nil)
	}
	if err := d.EndRef(t.Context(), b.Ref(), ReasonOperator); err != nil || f.get(alice, b) != nil {
		t.Errorf("end: %v, stored %v", err, f.get(alice, b) != nil)
	}
	f.set(f.fail, "delete", errDisk)
	wantUnavailable(t, "delete", d.Delete(t.Context(), alice, c))
	wantUnavailable(t, "delete again", d.Delete(t.Context(), alice, c))
	if has(d, alice, c) || d.Stats().Unflushed < 1 {
		t.Error("the session has not ended, or nobody remembers its record")
	}
	if err := d.Delete(t.Context(), bob, c); err != errMiss {
		t.Errorf("somebody else: %v, want a miss", err)
	}
	f.set(f.fail, "delete", nil)
	if err := d.Delete(t.Context(), alice, c); err != nil || f.get(alice, c) != nil {
		t.Errorf("delete: %v", err)
	}
	if err := d.Delete(t.Context(), alice, c); err != errMiss {
		t.Errorf("delete what is gone: %v, want a miss", err)
	}
}

// A session is deleted at the worst moment: while it is stored, for the first
// time or not, or while a batch stores it. Nothing brings it back.
func TestNoResurrection(t *testing.T) {
	for _, kind := range []string{"first commit", "later commit", "write-behind"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeStore()
				d, _ := mustRestore(t, Config{}, f)
				h := mustOpen(t, d, alice, Params{})
				if kind == "later commit" {
					mustUpdate(t, chain, h, add("a"))
				}
				ran := 0
				h.OnEnd(func(Reason) { ran++ })
				var deleting sync.WaitGroup
				var once sync.Once
				deletion := errors.New("not done")
				f.hook("save", func(...Key) {
					once.Do(func() {
						deleting.Go(func() { deletion = d.Delete(t.Context(), alice, h.ID()) })
						synctest.Wait() // it has got as far as it can
					})
				})
				if kind == "write-behind" {
					h.Release()
					mustFlush(t, d)
				} else {
					err := chain.Update(t.Context(), h, add("b"))
					if err != nil {
						t.Errorf("the call in flight: %v", err)
					}
				}
				deleting.Wait()
				if deletion != nil || f.get(alice, h.ID()) != nil {
					t.Errorf("deleted: %v, stored %v", deletion, f.get(alice, h.ID()) != nil)
				}
				if kind != "write-behind" {
					if err := chain.Update(t.Context(), h, add("c")); err != nil {
						t.Errorf("a call that drains: %v", err)
					}
					h.Release()
				}
				mustFlush(t, d)
				if len(f.sessions) != 0 || ran != 1 || d.Stats().Unflushed != 0 {
					t.Errorf("%d records, hooks ran %d times, %d unflushed", len(f.sessions), ran, d.Stats().Unflushed)
				}
				checkInvariants(t, d)
			})
		})
	}
}

func TestColdSessionsAreSmall(t *testing.T) {
	const n = 10_000
	f := newFakeStore()
	d, _ := mustRestore(t, Config{MaxPerTenant: n, MaxTotal: n}, f)
	for i := range n {
		h := mustOpen(t, d, Owner{fmt.Sprint("tenant-", i%10), "https://issuer.example", fmt.Sprintf("subject-%08d", i)}, Params{
			Client: Client{Name: "bench", Version: "1", Revision: "2025-11-25", Transport: "http"},
		})
		mustUpdate(t, chain, h, add("a first thought"))
		h.Release()
	}
	d.Close()
	before := heapInUse()
	after, _ := mustRestore(t, Config{MaxPerTenant: n, MaxTotal: n}, f)
	per := (int64(heapInUse()) - int64(before)) / n
	t.Logf("%d bytes a cold session", per)
	if per >= 1024 {
		t.Errorf("a cold session takes %d bytes, want less than 1024", per)
	}
	if st := after.Stats(); st.Cold != n {
		t.Errorf("%d cold", st.Cold)
	}
	runtime.KeepAlive(d)
	runtime.KeepAlive(f)
}
