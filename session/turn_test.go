package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestUpdatesAreSerialised(t *testing.T) {
	d := New(Config{}, nil)
	first := mustOpen(t, d, alice, Params{})
	const callers, each = 16, 25
	slot := NewSlot[map[string]int]("counts")
	inside := 0 // the race detector finds two updates at once
	var wg sync.WaitGroup
	for c := range callers {
		h := mustAcquire(t, d, alice, first.ID())
		wg.Go(func() {
			defer h.Release()
			for range each {
				err := slot.Update(t.Context(), h, func(m *map[string]int) error {
					inside++
					if *m == nil {
						*m = map[string]int{}
					}
					(*m)[fmt.Sprint(c)]++
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				if _, _, err := slot.Read(h); err != nil {
					t.Error(err)
				}
				h.Info()
			}
		})
	}
	wg.Wait()
	got := mustRead(t, slot, first)
	for c := range callers {
		if got[fmt.Sprint(c)] != each {
			t.Errorf("caller %d counted %d, want %d", c, got[fmt.Sprint(c)], each)
		}
	}
	if first.Version() != callers*each || inside != callers*each {
		t.Errorf("version %d, updates %d, want %d", first.Version(), inside, callers*each)
	}
	first.Release()
	checkInvariants(t, d)
}

func TestWaitingForTheTurnEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{}, nil)
		h := mustOpen(t, d, alice, Params{})
		defer h.Release()
		var wg sync.WaitGroup
		wg.Go(func() {
			mustUpdate(t, chain, h, func(*thoughts) error { time.Sleep(time.Hour); return nil })
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := chain.Update(ctx, h, add("a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("update behind a long one: %v", err)
		}
		if _, ok, err := chain.Read(h); ok || err != nil { // does not wait
			t.Errorf("read behind a long update: %v, %v", ok, err)
		}
		if got := time.Since(d.epoch); got != time.Second {
			t.Errorf("took %v, want 1s", got)
		}
		// Who computes without the turn commits when it is free.
		if err := chain.Commit(t.Context(), h, 0, thoughts{}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("commit after an update in between: %v", err)
		}
		wg.Wait()
	})
}
