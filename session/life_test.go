package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDeleteDrains(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	second := mustAcquire(t, d, alice, h.ID())
	letGo := second.Stream()
	ctx := h.Context()
	var ran []Reason
	h.OnEnd(func(why Reason) { ran = append(ran, why) })
	if err := d.Delete(t.Context(), alice, h.ID()); err != nil {
		t.Fatal(err)
	}
	if ended := new(Ended); !errors.As(context.Cause(ctx), &ended) || ended.Reason != ReasonDeleted || ctx.Err() == nil {
		t.Errorf("cause %v, want deleted", context.Cause(ctx))
	}
	if second.Context() != ctx {
		t.Error("two handles of one session have two contexts")
	}
	if _, err := d.Acquire(t.Context(), alice, h.ID()); err != errMiss {
		t.Errorf("acquire while draining: %v", err)
	}
	if err := d.Delete(t.Context(), alice, h.ID()); err != errMiss {
		t.Errorf("delete while draining: %v", err)
	}
	checkInvariants(t, d)
	for name, last := range map[string]func(){"one call": h.Release, "the other call": second.Release} {
		last()
		if len(ran) != 0 || h.Info().State != StateDraining {
			t.Errorf("after %s: hooks ran %v, state %s: want that the stream still holds it", name, ran, h.Info().State)
		}
	}
	letGo()
	if !slices.Equal(ran, []Reason{ReasonDeleted}) || h.Info().State != StateEnded {
		t.Errorf("after the last user: hooks ran %v, state %s", ran, h.Info().State)
	}
	checkInvariants(t, d)
}

// A draining session still fills its place: otherwise deleting sessions with
// calls in flight would make the caps mean nothing.
func TestDrainingCountsAgainstTheCap(t *testing.T) {
	d := New(Config{MaxPerOwner: 1}, nil)
	h := mustOpen(t, d, alice, Params{})
	if err := d.Delete(t.Context(), alice, h.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Open(t.Context(), alice, Params{}); err == nil {
		t.Error("opened beside a draining session at a cap of 1")
	}
	h.Release()
	mustOpen(t, d, alice, Params{}).Release()
}

func TestHooksRunInReverseOutsideLocksAndEvenAfterAPanic(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{})
	var order []int
	for i := range 5 {
		h.OnEnd(func(Reason) {
			d.Stats() // would deadlock under the shard's lock
			h.Info()
			order = append(order, i)
			if i == 3 {
				panic("hook 3")
			}
		})
	}
	remove := h.OnEnd(func(Reason) { t.Error("a removed hook ran") })
	remove()
	remove()
	h.Release()
	func() {
		defer func() {
			if p := recover(); p != "hook 3" {
				t.Errorf("recovered %v, want the hook's panic", p)
			}
		}()
		d.Delete(t.Context(), alice, h.ID())
	}()
	if !slices.Equal(order, []int{4, 3, 2, 1, 0}) {
		t.Errorf("hooks ran in the order %v", order)
	}
	late := Reason("")
	h.OnEnd(func(why Reason) { late = why })()
	if late != ReasonDeleted {
		t.Errorf("a hook on an ended session got %q, want that it runs at once", late)
	}
	checkInvariants(t, d)
}

func TestUseAfterTheEnd(t *testing.T) {
	d := New(Config{}, nil)
	slot := NewSlot[int]("n")
	h := mustOpen(t, d, alice, Params{})
	if err := slot.Commit(t.Context(), h, 0, 7); err != nil {
		t.Fatal(err)
	}
	unused := mustOpen(t, d, alice, Params{})
	d.Close() // ends it under the handle
	if cause := context.Cause(h.Context()); cause == nil {
		t.Error("the context of an ended session is not canceled")
	}
	var ended *Ended
	if _, _, err := slot.Read(h); !errors.As(err, &ended) {
		t.Errorf("read: %v, want *Ended", err)
	}
	if err := slot.Update(t.Context(), h, func(*int) error { return nil }); !errors.As(err, &ended) {
		t.Errorf("update: %v, want *Ended", err)
	}
	if _, _, err := slot.Read(unused); !errors.As(err, &ended) {
		t.Errorf("read of what was never written: %v, want *Ended", err)
	}
	if err := slot.Update(t.Context(), unused, func(*int) error { return nil }); !errors.As(err, &ended) {
		t.Errorf("first update after the end: %v, want *Ended", err)
	}
	if n := d.Stats().Bytes; n != 0 {
		t.Errorf("%d bytes of state, want 0", n)
	}
	h.Stream()()
	h.SetClient(Client{Name: "x"})
	h.Release()
	if err := slot.Update(t.Context(), h, func(*int) error { return nil }); !errors.Is(err, errReleased) {
		t.Errorf("update after release: %v", err)
	}
	if _, _, err := slot.Read(h); !errors.Is(err, errReleased) {
		t.Errorf("read after release: %v", err)
	}
	checkInvariants(t, d)
}

// Everything that can end a session at once, over and over: each session has
// exactly one run of its teardown, one canceled context and no user then,
// except at a Close.
func TestTeardownRunsExactlyOnce(t *testing.T) {
	const rounds, sessions = 20, 30
	for round := range rounds {
		d := New(Config{IdleTTL: time.Second, MaxTTL: 24 * time.Hour, Shards: 4, MaxPerOwner: sessions, SweepEvery: time.Millisecond}, nil)
		ctx, stop := context.WithCancel(t.Context())
		var sweeper sync.WaitGroup
		sweeper.Go(func() {
			if err := d.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		var runs [sessions]atomic.Int32
		var wg sync.WaitGroup
		contexts := make([]context.Context, sessions)
		for i := range sessions {
			h := mustOpen(t, d, alice, Params{IdleTTL: time.Duration(1 + i%3)}) // over as soon as it is idle
			id := h.ID()
			h.OnEnd(func(Reason) { runs[i].Add(1) })
			contexts[i] = h.Context()
			letGo := h.Stream()
			rng := rand.New(rand.NewPCG(uint64(round), uint64(i)))
			wg.Go(h.Release)
			wg.Go(letGo)
			for range 3 {
				switch rng.IntN(4) {
				case 0:
					wg.Go(func() { d.Delete(ctx, alice, id) })
				case 1:
					wg.Go(func() { d.EndRef(ctx, id.Ref(), ReasonOperator) })
				case 2:
					wg.Go(func() {
						if h, err := d.Acquire(ctx, alice, id); err == nil {
							h.Release()
						}
					})
				}
			}
		}
		if round%2 == 0 {
			wg.Go(d.Close)
		}
		wg.Wait()
		d.Close()
		stop()
		sweeper.Wait() // it may be about to finish what it has ended
		for i := range sessions {
			if n := runs[i].Load(); n != 1 {
				t.Errorf("round %d: the teardown of session %d ran %d times", round, i, n)
			}
			if contexts[i].Err() == nil {
				t.Errorf("round %d: the context of session %d is alive", round, i)
			}
		}
		checkInvariants(t, d)
	}
}

func TestContextIsMadeOnFirstUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{IdleTTL: time.Minute}, nil)
		h := mustOpen(t, d, alice, Params{})
		if h.e.extra != nil {
			t.Error("a session has a context that nobody asked for")
		}
		h.Release()
		time.Sleep(time.Minute)
		d.Acquire(t.Context(), alice, h.ID()) // ends it
		var ended *Ended
		if !errors.As(context.Cause(h.Context()), &ended) || ended.Reason != ReasonIdle {
			t.Errorf("first use after the end: cause %v, want idle", context.Cause(h.Context()))
		}
	})
}
