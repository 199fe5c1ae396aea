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
		wantFault(t, refused("y", "v"), fault.Overloaded, "queue_full")
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

func TestGuess(t *testing.T) {
	s := New(Config{Quantum: time.Millisecond})
	guess := func(cost time.Duration) time.Duration {
		return time.Duration(s.guessLocked(&Claim{Lane: Batch, Cost: cost}))
	}
	for cost, want := range map[time.Duration]time.Duration{
		0: time.Millisecond, -1: 1, time.Microsecond: time.Microsecond, time.Hour: time.Millisecond,
	} {
		if got := guess(cost); got != want {
			t.Errorf("cost %v is taken for %v, want %v", cost, got, want)
		}
	}
	s.turns[Batch].add(int64(50 * time.Microsecond))
	if got := guess(0); got != 50*time.Microsecond {
		t.Errorf("an unknown cost is taken for %v, want what was measured", got)
	}
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
