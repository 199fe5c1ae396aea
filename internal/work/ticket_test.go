package work

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestInlineNeedsNoTicket(t *testing.T) {
	s := New(Config{Tickets: 1})
	defer acquire(t, s, Claim{Lane: Interactive}).Release()
	ticket, err := s.Acquire(t.Context(), Claim{Lane: Inline})
	if ticket != nil || err != nil {
		t.Fatalf("got %v, %v, want a nil ticket at once", ticket, err)
	}
	if err := ticket.Yield(t.Context()); err != nil {
		t.Error(err)
	}
	ticket.Release()
	if ran := ticket.Ran(); ran != 0 {
		t.Errorf("ran %v, want 0", ran)
	}
	if got := FromContext(NewContext(t.Context(), ticket)); got != nil {
		t.Errorf("context carries %v, want nil", got)
	}
}

func TestContextCarriesTicket(t *testing.T) {
	s := New(Config{Tickets: 1})
	ticket := acquire(t, s, Claim{Lane: Batch})
	defer ticket.Release()
	if got := FromContext(NewContext(t.Context(), ticket)); got != ticket {
		t.Errorf("got %p, want %p", got, ticket)
	}
	if got := FromContext(t.Context()); got != nil {
		t.Errorf("got %p from a context without ticket", got)
	}
}

func TestYieldGivesWayAtTheEndOfAQuantum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, Quantum: time.Millisecond})
		ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		time.Sleep(10 * time.Millisecond)
		if err := ticket.Yield(t.Context()); err != nil { // nobody waits
			t.Error(err)
		}
		var wg sync.WaitGroup
		var other *Ticket
		wg.Go(func() {
			var err error
			if other, err = s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive}); err != nil {
				t.Error(err)
			}
			time.Sleep(40 * time.Millisecond) // longer than a quantum, never yields
			other.Release()
		})
		synctest.Wait()
		time.Sleep(time.Millisecond)
		before := time.Now()
		if err := ticket.Yield(t.Context()); err != nil {
			t.Error(err)
		}
		if waited := time.Since(before); waited != 40*time.Millisecond {
			t.Errorf("was away for %v, want 40ms", waited)
		}
		time.Sleep(time.Millisecond)
		if ran := ticket.Ran(); ran != 12*time.Millisecond {
			t.Errorf("ran %v, want 12ms", ran)
		}
		ticket.Release()
		ticket.Release()
		if a, b := ticket.Ran(), other.Ran(); a != 12*time.Millisecond || b != 40*time.Millisecond {
			t.Errorf("ran %v and %v, want 12ms and 40ms", a, b)
		}
		if n := s.Stats().Yields; n != 1 {
			t.Errorf("%d yields, want 1", n)
		}
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestYieldNotBeforeTheEndOfAQuantum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, Quantum: 10 * time.Millisecond})
		ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		var wg sync.WaitGroup
		var got time.Time
		wg.Go(func() {
			other, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
			if err != nil {
				t.Error(err)
			}
			got = time.Now()
			other.Release()
		})
		began := time.Now()
		synctest.Wait()
		for range 30 {
			time.Sleep(time.Millisecond)
			if err := ticket.Yield(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if waited := got.Sub(began); waited < 10*time.Millisecond || waited > 12*time.Millisecond {
			t.Errorf("the other waited %v, want 10ms to 12ms", waited)
		}
		ticket.Release()
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestYieldAfterStepsGetLonger(t *testing.T) {
	for _, tt := range []struct {
		name  string
		long  int           // steps of 1 ms before another waits
		bound time.Duration // of its wait
	}{
		{"just now", 0, maxStride * time.Millisecond},
		{"a while ago", 40, time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := New(Config{Tickets: 1, Quantum: time.Millisecond})
			ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
			step := func(d time.Duration) {
				time.Sleep(d)
				if err := ticket.Yield(t.Context()); err != nil {
					t.Error(err)
				}
			}
			for range 10_000 {
				step(0)
			}
			for range tt.long {
				step(time.Millisecond)
			}
			var wg sync.WaitGroup
			var waited time.Duration
			wg.Go(func() {
				began := time.Now()
				acquire(t, s, Claim{Tenant: "b", Lane: Interactive}).Release()
				waited = time.Since(began)
			})
			synctest.Wait()
			for range 100 {
				step(time.Millisecond)
			}
			ticket.Release()
			wg.Wait()
			if waited > tt.bound {
				t.Errorf("%s: the other waited %v, want at most %v", tt.name, waited, tt.bound)
			}
		})
	}
}

func TestYieldFailsWhenContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		ctx, cancel := context.WithCancel(t.Context())
		ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		var wg sync.WaitGroup
		release := make(chan struct{})
		wg.Go(func() {
			other, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
			if err != nil {
				t.Error(err)
			}
			<-release
			other.Release()
		})
		synctest.Wait()
		time.AfterFunc(time.Second, cancel)
		time.Sleep(2 * time.Millisecond)
		if err := ticket.Yield(ctx); !errors.Is(err, context.Canceled) { // canceled while it waits
			t.Errorf("got %v, want canceled", err)
		}
		if st := s.Stats(); st.Running != 1 || st.Resuming != 0 || st.Canceled != 0 {
			t.Errorf("got %+v, want only the other running", st)
		}
		ticket.Release()
		close(release)
		wg.Wait()

		ticket = acquire(t, s, Claim{Lane: Interactive})
		if err := ticket.Yield(ctx); !errors.Is(err, context.Canceled) { // canceled before
			t.Errorf("got %v, want canceled", err)
		}
		wantQuiet(t, s)
		ticket.Release()
		if err := ticket.Yield(t.Context()); err != nil { // without a ticket there is nothing to give up
			t.Error(err)
		}
		wantQuiet(t, s)
	})
}

func TestResumedCallsHaveNoMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxWait: time.Second})
		ticket := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		var wg sync.WaitGroup
		wg.Go(func() {
			other, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			other.Release()
		})
		synctest.Wait()
		time.Sleep(2 * time.Millisecond)
		if err := ticket.Yield(t.Context()); err != nil {
			t.Error(err)
		}
		ticket.Release()
		wg.Wait()
	})
}

// A call that moves to the batch lane makes way for interactive ones from its
// next turn on, with what helps it.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		ctx := t.Context()
		long, err := s.Acquire(ctx, Claim{Tenant: "a", Lane: Interactive})
		if err != nil {
			t.Fatal(err)
		}
		long.Move(Inline) // no lane to compute in
		long.Move(lanes)
		var turns []string
		var wg sync.WaitGroup
		for _, tenant := range []string{"b", "c"} {
			wg.Go(func() {
				ticket, err := s.Acquire(ctx, Claim{Tenant: tenant, Lane: Interactive})
				if err != nil {
					t.Error(err)
					return
				}
				turns = append(turns, tenant)
				time.Sleep(5 * DefaultQuantum)
				ticket.Release()
			})
			synctest.Wait()
		}
		long.Move(Batch)
		time.Sleep(2 * DefaultQuantum)
		if err := long.Yield(ctx); err != nil {
			t.Fatal(err)
		}
		turns = append(turns, "a")
		wg.Wait()
		if got := strings.Join(turns, " "); got != "b c a" {
			t.Errorf("turns: %s, want b c a", got)
		}
		if n := s.Stats().Lanes[1].Running; n != 1 {
			t.Errorf("%d batch calls run, want 1", n)
		}
		if helping := long.wants(); helping != Batch {
			t.Errorf("what helps it waits in lane %s, want batch", helping)
		}
		long.Release()
	})
}
