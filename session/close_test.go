package session

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestClose(t *testing.T) {
	d := New(Config{}, nil)
	var mu sync.Mutex
	ran := map[ID]Reason{}
	note := func(h *Handle) {
		h.OnEnd(func(why Reason) {
			mu.Lock()
			defer mu.Unlock()
			ran[h.ID()] = why
		})
	}
	for range 20 {
		h := mustOpen(t, d, alice, Params{})
		note(h)
		h.Release()
	}
	busy := mustOpen(t, d, bob, Params{})
	note(busy)
	ctx := busy.Context()
	letGo := busy.Stream()
	d.Close()
	if len(ran) != 21 {
		t.Errorf("%d hooks ran, want 21, that of the session in use too", len(ran))
	}
	for _, why := range ran {
		if why != ReasonShutdown {
			t.Errorf("ended by %s, want shutdown", why)
		}
	}
	if cause := context.Cause(ctx); fault.KindOf(cause) != fault.Unavailable {
		t.Errorf("cause of the context: %v, want Unavailable", cause)
	}
	d.Close()
	letGo()
	busy.Release()
	if len(ran) != 21 {
		t.Errorf("%d hooks ran, want 21 still", len(ran))
	}
	checkInvariants(t, d)
	_, open := d.Open(t.Context(), alice, Params{})
	_, acquire := d.Acquire(t.Context(), bob, busy.ID())
	for _, err := range []error{open, acquire, d.Delete(t.Context(), bob, busy.ID())} {
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("after Close: %v, want Unavailable", err)
		}
	}
	slot := NewSlot[int]("n")
	if err := slot.Update(t.Context(), busy, func(*int) error { return nil }); err == nil {
		t.Error("committed to a closed directory")
	}
}

// Opening while the directory is closed either succeeds before or fails, and
// leaves nothing behind.
func TestCloseRacesWithOpen(t *testing.T) {
	for range 100 {
		var bus event.Bus[Event]
		d := New(Config{Shards: 1}, &bus)
		events := bus.Subscribe(t.Context())
		var wg sync.WaitGroup
		var hooks, opened atomic.Int32
		for range 4 {
			wg.Go(func() {
				h, err := d.Open(t.Context(), alice, Params{})
				if err != nil {
					if fault.KindOf(err) != fault.Unavailable {
						t.Errorf("open: %v", err)
					}
					return
				}
				opened.Add(1)
				h.OnEnd(func(Reason) { hooks.Add(1) })
				h.Release()
			})
		}
		wg.Go(d.Close)
		wg.Wait()
		checkInvariants(t, d)
		if st := d.Stats(); st.Sessions != 0 || st.Owners != 0 || st.Tenants != 0 || hooks.Load() != opened.Load() {
			t.Fatalf("after Close: %d opened, %d hooks ran, %+v", opened.Load(), hooks.Load(), st)
		}
		bus.Publish(Event{})
		alive := map[ID]int{}
		for e := range events {
			if e.Kind == "" {
				break
			}
			switch e.Kind {
			case EventOpened:
				alive[e.Info.ID]++
			case EventEnded:
				alive[e.Info.ID]--
			}
		}
		for id, n := range alive {
			if n != 0 {
				t.Errorf("session %s: one more opened than ended: %d", id, n)
			}
		}
	}
}
