package work

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// acquire fails the test if it gets no ticket.
func acquire(t *testing.T, s *Scheduler, c Claim) *Ticket {
	t.Helper()
	ticket, err := s.Acquire(t.Context(), c)
	if err != nil {
		t.Fatalf("acquire %+v: %v", c, err)
	}
	return ticket
}

// wantFault checks the kind and code of a refusal, and that it says when to
// come back.
func wantFault(t *testing.T, err error, kind fault.Kind, code string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != kind || f.Code != code {
		t.Errorf("got %v, want %s with code %s", err, kind, code)
	} else if f.RetryAfter < time.Second || f.RetryAfter > 90*time.Second || f.RetryAfter%time.Second != 0 {
		t.Errorf("%s: retry after %v, want whole seconds from 1 to 90", code, f.RetryAfter)
	}
}

// wantQuiet checks that nothing is left in s and that it still works.
func wantQuiet(t *testing.T, s *Scheduler) {
	t.Helper()
	st := s.Stats()
	if st.Running != 0 || st.Queued != 0 || st.Resuming != 0 || st.Helpers != 0 || len(st.Tenants) != 0 || st.OldestWait != 0 {
		t.Errorf("left over: %+v", st)
	}
	s.mu.Lock()
	empty(t, s.q)
	s.mu.Unlock()
	if p := s.pressure.Load(); p != 0 {
		t.Errorf("pressure is %d, want 0", p)
	}
	held := make([]*Ticket, st.Tickets)
	for i := range held {
		held[i] = acquire(t, s, Claim{Tenant: fmt.Sprintf("probe %d", i), Lane: Interactive})
	}
	for _, ticket := range held {
		ticket.Release()
	}
}

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

func TestUnknownLane(t *testing.T) {
	_, err := New(Config{}).Acquire(t.Context(), Claim{Lane: lanes})
	if fault.KindOf(err) != fault.Internal || err == nil {
		t.Errorf("got %v, want an internal fault", err)
	}
}

func TestRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxQueuedPerSubject: 1, MaxQueuedPerTenant: 2, MaxQueued: 3})
		var wg sync.WaitGroup
		held := acquire(t, s, Claim{Tenant: "x", Lane: Interactive})
		wait := func(tenant, subject string) {
			wg.Go(func() {
				ticket, err := s.Acquire(t.Context(), Claim{Tenant: tenant, Subject: subject, Lane: Interactive})
				if err != nil {
					t.Error(err)
				}
				ticket.Release()
			})
			synctest.Wait()
		}
		refused := func(tenant, subject string) error {
			_, err := s.Acquire(t.Context(), Claim{Tenant: tenant, Subject: subject, Lane: Interactive})
			return err
		}
		wait("t", "u")
		wantFault(t, refused("t", "u"), fault.RateLimited, "subject_queue_full")
		wait("t", "v")
		wantFault(t, refused("t", "w"), fault.RateLimited, "tenant_queue_full")
		wait("y", "u")
		wantFault(t, refused("z", "u"), fault.Overloaded, "queue_full")
		st := s.Stats()
		want := map[string]uint64{
			"subject_queue_full": 1, "tenant_queue_full": 1, "queue_full": 1, "queue_timeout": 0, "draining": 0,
		}
		if fmt.Sprint(st.Refused) != fmt.Sprint(want) {
			t.Errorf("refused %v, want %v", st.Refused, want)
		}
		if st.Queued != 3 || st.Running != 1 {
			t.Errorf("%d queued and %d running, want 3 and 1", st.Queued, st.Running)
		}
		held.Release()
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestRetryAfterFollowsTheEstimate(t *testing.T) {
	for _, tt := range []struct{ estimate, least, most time.Duration }{
		{0, time.Second, 2 * time.Second},
		{900 * time.Millisecond, time.Second, 2 * time.Second},
		{10 * time.Second, 10 * time.Second, 15 * time.Second},
		{time.Hour, 60 * time.Second, 90 * time.Second},
	} {
		seen := make(map[time.Duration]bool)
		for range 500 {
			f, _ := errors.AsType[*fault.Error](queueFull.fault(tt.estimate))
			if f.RetryAfter < tt.least || f.RetryAfter > tt.most {
				t.Fatalf("estimate %v: retry after %v, want %v to %v", tt.estimate, f.RetryAfter, tt.least, tt.most)
			}
			seen[f.RetryAfter] = true
		}
		if len(seen) < 2 {
			t.Errorf("estimate %v: always the same answer", tt.estimate)
		}
	}
}

func TestMaxWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxWait: 3 * time.Second})
		held := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		began := time.Now()
		_, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
		wantFault(t, err, fault.Overloaded, "queue_timeout")
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("waited %v, want 3s", waited)
		}
		if st := s.Stats(); st.Refused["queue_timeout"] != 1 || st.Canceled != 0 || st.Queued != 0 {
			t.Errorf("got %+v", st)
		}
		held.Release()
		wantQuiet(t, s)
	})
}

func TestCancelWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxQueuedPerSubject: 1})
		held := acquire(t, s, Claim{Lane: Interactive})
		stopped := &fault.Error{Kind: fault.Conflict, Code: "session_ended", Public: "an operator ended the session"}
		for _, tt := range []struct {
			cause error
			want  fault.Kind
		}{{nil, fault.Canceled}, {errors.New("gone"), fault.Canceled}, {stopped, fault.Conflict}} {
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error)
			go func() {
				_, err := s.Acquire(ctx, Claim{Lane: Interactive})
				done <- err
			}()
			synctest.Wait()
			cancel(tt.cause)
			err := <-done
			if fault.KindOf(err) != tt.want || !errors.Is(err, context.Canceled) || tt.cause != nil && !errors.Is(err, tt.cause) {
				t.Errorf("got %v, want kind %s", err, tt.want)
			}
			if n := s.Stats().Queued; n != 0 {
				t.Errorf("%d queued after the cancel, want 0", n)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("got %v, want a timeout", err)
		}
		st := s.Stats()
		for code, n := range st.Refused {
			if n != 0 {
				t.Errorf("%d refusals %s, want none", n, code)
			}
		}
		if st.Canceled != 4 {
			t.Errorf("%d canceled, want 4", st.Canceled)
		}
		held.Release()
		if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); fault.KindOf(err) != fault.Timeout {
			t.Errorf("a dead context gets %v, want a timeout", err)
		}
		wantQuiet(t, s)
	})
}

func TestOnWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		began := time.Now()
		held := acquire(t, s, Claim{Lane: Interactive})
		var wg sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		for range 2 {
			wg.Go(func() {
				if _, err := s.Acquire(ctx, Claim{Lane: Interactive}); err == nil {
					t.Error("a canceled call got a ticket")
				}
			})
			synctest.Wait()
		}
		type call struct {
			at time.Duration
			Position
		}
		var calls []call // unguarded: the race detector sees a call from another goroutine
		wg.Go(func() {
			ticket, err := s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(p Position) {
				calls = append(calls, call{time.Since(began), p})
				if st := s.Stats(); st.Queued == 0 { // no lock is held
					t.Error("nobody is queued")
				}
			}})
			if err != nil {
				t.Error(err)
				return
			}
			ticket.Release()
		})
		time.Sleep(700 * time.Millisecond)
		cancel()
		time.Sleep(2 * time.Second)
		held.Release()
		wg.Wait()
		want := []call{
			{0, Position{Ahead: 2, Queued: 3}},
			{750 * time.Millisecond, Position{Ahead: 0, Queued: 1}},
		}
		if !slices.Equal(calls, want) {
			t.Errorf("got %+v, want %+v", calls, want)
		}
		wantQuiet(t, s)
	})
}

func TestEstimate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 2})
		for range 20 { // calls take 100 ms
			ticket := acquire(t, s, Claim{Lane: Interactive})
			time.Sleep(100 * time.Millisecond)
			ticket.Release()
		}
		held := []*Ticket{acquire(t, s, Claim{Lane: Interactive}), acquire(t, s, Claim{Lane: Interactive})}
		var wg sync.WaitGroup
		var last Position
		for i := range 4 {
			wg.Go(func() {
				ticket, err := s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(p Position) {
					if i == 3 {
						last = p
					}
				}})
				if err != nil {
					t.Error(err)
				}
				ticket.Release()
			})
			synctest.Wait()
		}
		// Three calls before it and the rest of one, on two cores.
		if last.Ahead != 3 || last.Estimate != 200*time.Millisecond {
			t.Errorf("got %+v, want 3 ahead and 200ms", last)
		}
		for _, ticket := range held {
			ticket.Release()
		}
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestPanicInOnWaitLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		held := acquire(t, s, Claim{Lane: Interactive})
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not pass through")
				}
			}()
			_, _ = s.Acquire(t.Context(), Claim{Lane: Interactive, OnWait: func(Position) {
				held.Release() // the turn is given to the one that panics
				panic("boom")
			}})
		}()
		wantQuiet(t, s)
	})
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

func TestBatchAgesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, AgeBatch: 200 * time.Millisecond, LaneWeights: LaneWeights{Interactive: MaxWeight}})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				ticket, err := s.Acquire(ctx, Claim{Tenant: fmt.Sprint(i), Lane: Interactive})
				for err == nil {
					time.Sleep(time.Millisecond) // computes
					err = ticket.Yield(ctx)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		acquire(t, s, Claim{Tenant: "b", Lane: Batch}).Release()
		if waited := time.Since(began); waited < 200*time.Millisecond || waited > 202*time.Millisecond {
			t.Errorf("batch waited %v, want 200ms and at most two turns", waited)
		}
		cancel()
		wg.Wait()
		wantQuiet(t, s)
	})
}

func TestResize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		first := acquire(t, s, Claim{Lane: Interactive})
		var wg sync.WaitGroup
		var second *Ticket
		wg.Go(func() { second = acquire(t, s, Claim{Lane: Interactive}) })
		synctest.Wait()
		s.Resize(2)
		wg.Wait() // without any release

		s.Resize(0) // means 1
		if st := s.Stats(); st.Tickets != 1 || st.Running != 2 {
			t.Errorf("%d tickets and %d running, want 1 and 2", st.Tickets, st.Running)
		}
		time.Sleep(2 * time.Millisecond)
		var back time.Time
		wg.Go(func() { // the surplus stops although nobody waits
			if err := second.Yield(t.Context()); err != nil {
				t.Error(err)
			}
			back = time.Now()
		})
		time.Sleep(time.Second)
		if n := s.Stats().Running; n != 1 {
			t.Errorf("%d running, want 1", n)
		}
		released := time.Now()
		first.Release()
		wg.Wait()
		if !back.Equal(released) {
			t.Errorf("came back %v after the release", back.Sub(released))
		}
		second.Release()
		wantQuiet(t, s)
	})
}

func TestDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		held := acquire(t, s, Claim{Lane: Interactive})
		var wg sync.WaitGroup
		wg.Go(func() { // queued before the drain: still served
			ticket, err := s.Acquire(t.Context(), Claim{Lane: Interactive})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			ticket.Release()
		})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		err := s.Drain(ctx)
		if fault.KindOf(err) != fault.Timeout || err.Error() != "drain: 1 running and 1 waiting: context deadline exceeded" {
			t.Errorf("got %v", err)
		}
		_, err = s.Acquire(t.Context(), Claim{Lane: Interactive})
		wantFault(t, err, fault.Overloaded, "draining")
		if ticket, err := s.Acquire(t.Context(), Claim{Lane: Inline}); ticket != nil || err != nil {
			t.Errorf("inline gets %v, %v, want nil, nil", ticket, err)
		}
		for range 2 {
			wg.Go(func() {
				began := time.Now()
				if err := s.Drain(t.Context()); err != nil || time.Since(began) != 3*time.Second {
					t.Errorf("drained with %v after %v, want after 3s", err, time.Since(began))
				}
			})
		}
		time.Sleep(2 * time.Second)
		held.Release()
		wg.Wait()
		if err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		if st := s.Stats(); !st.Draining || st.Refused["draining"] != 1 {
			t.Errorf("got %+v", st)
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 60})
		var held []*Ticket
		for i := range 60 {
			held = append(held, acquire(t, s, Claim{Tenant: fmt.Sprintf("t%02d", i), Lane: Lane(1 + i%2)}))
		}
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { acquire(t, s, Claim{Tenant: "t07", Lane: Interactive}).Release() })
		}
		time.Sleep(3 * time.Second)
		st := s.Stats()
		if len(st.Tenants) != MaxTenantStats || st.TenantsOmitted != 10 {
			t.Errorf("%d tenants and %d omitted, want %d and 10", len(st.Tenants), st.TenantsOmitted, MaxTenantStats)
		}
		if first := (TenantStats{Tenant: "t07", Running: 1, Queued: 10}); st.Tenants[0] != first {
			t.Errorf("busiest is %+v, want %+v", st.Tenants[0], first)
		}
		if st.OldestWait != 3*time.Second || st.Queued != 10 || st.Running != 60 || st.Granted != 60 {
			t.Errorf("got %+v", st)
		}
		for _, ticket := range held {
			ticket.Release()
		}
		wg.Wait()
		st = s.Stats()
		if w := st.Waits; w.Count != 70 || w.P50 != 0 || w.P95 < 3*time.Second || w.P99 > 4*time.Second {
			t.Errorf("waits %+v, want 60 of nothing and 10 of 3s", w)
		}
		want := []LaneStats{
			{Lane: Interactive, Granted: 40, Service: st.Lanes[0].Service},
			{Lane: Batch, Granted: 30, Service: 3 * time.Second},
			{Lane: Admin},
		}
		if !slices.Equal(st.Lanes, want) {
			t.Errorf("got %+v, want %+v", st.Lanes, want)
		}
		time.Sleep(2 * time.Minute)
		if w := s.Stats().Waits; w != (Waits{}) {
			t.Errorf("waits %+v after two minutes, want none", w)
		}
	})
}
