package work

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeLimiter lets the test set the limit, and counts samples.
type fakeLimiter struct {
	mu                       sync.Mutex
	limit                    int
	begun, recorded, dropped int
}

func newFakeLimiter(_, _, start int) Limiter { return &fakeLimiter{limit: start} }

func (l *fakeLimiter) Begin() Sample {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	return l
}

func (l *fakeLimiter) Limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

func (l *fakeLimiter) Record() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recorded++
}

func (l *fakeLimiter) Drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped++
}

func TestTicketsFollowTheLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l *fakeLimiter
		cfg := Config{Tickets: 9, Adaptive: Adaptive{Min: 2, Max: 4, New: func(least, most, start int) Limiter {
			if least != 2 || most != 4 || start != 4 {
				t.Errorf("bounds %d to %d from %d, want 2 to 4 from 4", least, most, start)
			}
			l = &fakeLimiter{limit: start}
			return l
		}}}
		s := New(cfg)
		one := func() { acquire(t, s, Claim{Tenant: "a", Lane: Interactive}).Release() }
		for _, step := range []struct{ limit, want int }{{4, 4}, {3, 3}, {1, 2}, {2, 2}, {100, 4}} {
			l.limit = step.limit
			one()
			if n := s.Stats().Tickets; n != step.want {
				t.Errorf("limit %d gives %d tickets, want %d", step.limit, n, step.want)
			}
		}
		if a := s.Stats().Adaptive; a == nil || *a != (AdaptiveStats{Min: 2, Max: 4, Changes: 3}) {
			t.Errorf("stats say %+v", a)
		}

		// A call under way when the ceiling is taken off no longer moves it.
		late := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		l.limit = 2
		if err := s.Reconfigure(Config{Tickets: 9}); err != nil {
			t.Fatal(err)
		}
		late.Release()
		if st := s.Stats(); st.Tickets != 9 || st.Adaptive != nil {
			t.Errorf("%d tickets, adaptive %v, want 9 and nil", st.Tickets, st.Adaptive)
		}
		wantQuiet(t, s)
		if l.begun != 6 || l.recorded != 6 || l.dropped != 0 {
			t.Errorf("%d samples begun, %d recorded, %d dropped, want 6, 6, 0", l.begun, l.recorded, l.dropped)
		}
	})
}

func TestOnlyUndisturbedCallsAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLimiter{limit: 1}
		s := New(Config{Tickets: 1, Adaptive: Adaptive{Max: 1, New: func(_, _, _ int) Limiter { return l }}})
		first := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		time.Sleep(2 * time.Millisecond)
		var wg sync.WaitGroup
		wg.Go(func() {
			second := acquire(t, s, Claim{Tenant: "b", Lane: Interactive})
			time.Sleep(time.Millisecond)
			second.Release()
		})
		synctest.Wait()
		if err := first.Yield(t.Context()); err != nil { // gives way to the second
			t.Error(err)
		}
		first.Release()
		wg.Wait()
		if l.begun != 2 || l.recorded != 1 || l.dropped != 1 {
			t.Errorf("%d samples begun, %d recorded, %d dropped, want 2, 1, 1", l.begun, l.recorded, l.dropped)
		}
		wantQuiet(t, s)
	})
}
