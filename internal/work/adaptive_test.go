package work

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLatencyMovesTheTickets lets calls get slower and then quicker again, in
// fake time, and watches the tickets.
func TestLatencyMovesTheTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 4, Adaptive: Adaptive{Min: 2, Max: 8, New: FollowLatency}})
		load := func(callers int, span, service time.Duration) {
			var wg sync.WaitGroup
			until := time.Now().Add(span)
			for range callers {
				wg.Go(func() {
					for time.Now().Before(until) {
						ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
						time.Sleep(service)
						ticket.Release()
					}
				})
			}
			wg.Wait()
		}
		tickets := func() int { return s.Stats().Tickets }

		load(2, time.Minute, 2*time.Millisecond)
		if n := tickets(); n != 8 {
			t.Errorf("%d tickets while calls do not get longer, want the most, 8", n)
		}
		low := 8
		for range 20 { // the machine got slow; in time that becomes the usual
			load(8, time.Second, 40*time.Millisecond)
			low = min(low, tickets())
		}
		if low >= 8 || low < 2 {
			t.Errorf("%d tickets after calls got longer, want fewer than 8 and at least 2", low)
		}
		load(2, 3*time.Minute, 2*time.Millisecond)
		if n := tickets(); n <= low {
			t.Errorf("%d tickets after calls got quicker again, want more than %d", n, low)
		}
		if a := s.Stats().Adaptive; a == nil || a.Min != 2 || a.Max != 8 || a.Changes < 4 {
			t.Errorf("stats say %+v", a)
		}
		wantQuiet(t, s)
	})
}

func TestCallsBeyondThePermitsGoOn(t *testing.T) {
	l := FollowLatency(1, 2, 1)
	first, second := l.Begin(), l.Begin()
	if first == nil || second != nil {
		t.Fatalf("samples %v and %v, want one", first, second)
	}
	first.Drop()
	if again := l.Begin(); again == nil {
		t.Error("the permit did not come back")
	} else {
		again.Record()
	}
	if n := l.Limit(); n != 1 {
		t.Errorf("limit %d after one call, want 1", n)
	}
}
