package work

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// crowd lets callers wait one after another and collects how they end.
type crowd struct {
	t    *testing.T
	s    *Scheduler
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs map[string]error // by name; nil is a ticket
	got  []string         // names in the order of their turns
}

func newCrowd(t *testing.T, s *Scheduler) *crowd {
	return &crowd{t: t, s: s, errs: make(map[string]error)}
}

// wait makes a caller wait; a turn lasts a millisecond.
func (c *crowd) wait(name string, claim Claim) {
	c.wg.Go(func() {
		ticket, err := c.s.Acquire(c.t.Context(), claim)
		c.mu.Lock()
		c.errs[name] = err
		if err == nil {
			c.got = append(c.got, name)
		}
		c.mu.Unlock()
		if err == nil {
			time.Sleep(time.Millisecond)
			ticket.Release()
		}
	})
	synctest.Wait()
}

func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1})
		held := acquire(t, s, Claim{Tenant: "x", Lane: Interactive})
		c := newCrowd(t, s)
		for i := range 3 {
			c.wait(fmt.Sprint("a", i), Claim{Tenant: "a", Lane: Interactive})
			c.wait(fmt.Sprint("b", i), Claim{Tenant: "b", Lane: Interactive})
		}
		if err := s.Reconfigure(Config{Tickets: 1, TenantWeights: map[string]int{"b": -1}}); err == nil {
			t.Error("a bad configuration is taken")
		}
		weights := map[string]int{"b": 3}
		if err := s.Reconfigure(Config{Tickets: 1, TenantWeights: weights, MaxQueuedPerTenant: 3, MaxQueued: 6, MaxWait: time.Second}); err != nil {
			t.Fatal(err)
		}
		weights["b"] = 1 // the scheduler has a copy
		if n := s.Stats().Queued; n != 6 {
			t.Errorf("%d queued after the change, want 6", n)
		}
		_, err := s.Acquire(t.Context(), Claim{Tenant: "b", Lane: Interactive})
		wantFault(t, err, fault.RateLimited, "tenant_queue_full")
		held.Release()
		c.wg.Wait()
		if got, want := fmt.Sprint(c.got), "[a0 b0 b1 b2 a1 a2]"; got != want {
			t.Errorf("turns %s, want %s", got, want)
		}
		wantQuiet(t, s)
	})
}

func TestReconfigureTicketsAndTenantBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 4, MaxRunningPerTenant: 1})
		held := acquire(t, s, Claim{Tenant: "a", Lane: Interactive})
		c := newCrowd(t, s)
		c.wait("second", Claim{Tenant: "a", Lane: Interactive})
		c.wait("third", Claim{Tenant: "a", Lane: Batch})
		if len(c.got) != 0 {
			t.Errorf("%v got turns over the bound", c.got)
		}
		if err := s.Reconfigure(Config{Tickets: 2}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if fmt.Sprint(c.got) != "[second third]" {
			t.Errorf("turns %v, want those that the bound had kept", c.got)
		}
		if n := s.Stats().Tickets; n != 2 {
			t.Errorf("%d tickets, want 2", n)
		}
		held.Release()
		c.wg.Wait()
		wantQuiet(t, s)
	})
}

func TestFullQueuePushesTheFlooderOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Tickets: 1, MaxQueued: 4, TenantWeights: map[string]int{"big": 2}})
		held := acquire(t, s, Claim{Tenant: "x", Lane: Interactive})
		c := newCrowd(t, s)
		for i := range 4 {
			c.wait(fmt.Sprint("flood", i), Claim{Tenant: "flood", Subject: fmt.Sprint(i % 2), Lane: Lane(1 + i%2)})
		}
		_, err := s.Acquire(t.Context(), Claim{Tenant: "flood", Lane: Interactive})
		wantFault(t, err, fault.Overloaded, "queue_full")
		c.wait("quiet", Claim{Tenant: "quiet", Lane: Interactive})
		wantFault(t, c.errs["flood3"], fault.Overloaded, "queue_full")
		c.wait("big0", Claim{Tenant: "big", Lane: Interactive})
		wantFault(t, c.errs["flood2"], fault.Overloaded, "queue_full")
		c.wait("big1", Claim{Tenant: "big", Lane: Interactive}) // 2 of weight 2 against 2 of weight 1
		wantFault(t, c.errs["flood1"], fault.Overloaded, "queue_full")
		_, err = s.Acquire(t.Context(), Claim{Tenant: "new", Lane: Interactive}) // nobody has more than a share
		wantFault(t, err, fault.Overloaded, "queue_full")
		if st := s.Stats(); st.Queued != 4 || st.Refused["queue_full"] != 5 || st.PushedOut != 3 {
			t.Errorf("got %+v", st)
		}
		held.Release()
		c.wg.Wait()
		if len(c.got) != 4 {
			t.Errorf("%v got turns, want those four that waited", c.got)
		}
		wantQuiet(t, s)
	})
}

func TestPushedOutWhileTheCallerLeaves(t *testing.T) {
	s := New(Config{Tickets: 1})
	for _, why := range []refusal{admitted, queueTimeout} {
		loser := &Ticket{s: s, turn: make(chan struct{}, 1)}
		loser.job = *newJob("a", Interactive)
		loser.job.owner = loser
		s.q.push(&loser.job, 0)
		rival := newJob("a", Interactive)
		s.q.push(rival, 0)
		s.q.remove(rival, 0)
		loser.refused = queueFull.fault(0)
		s.q.remove(&loser.job, 0)
		before := s.Stats()
		gone, _ := loser.leave(why)
		st := s.Stats()
		counted := st.Canceled - before.Canceled + st.Refused["queue_timeout"] - before.Refused["queue_timeout"]
		if !gone || counted != 1 || st.Refused["queue_full"] != 0 {
			t.Errorf("leaving for %d: gone %t, counted %d times, %v", why, gone, counted, st.Refused)
		}
	}
	wantQuiet(t, s)
}

func TestResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewResources(Config{Tickets: 2, Sandbox: 3, Adaptive: Adaptive{Max: 4, New: newFakeLimiter}})
		if cpu, sandbox, blocking := r.CPU.Stats(), r.Sandbox.Stats(), r.Blocking.Stats(); cpu.Tickets != 2 || sandbox.Tickets != 3 ||
			blocking.Tickets != DefaultBlocking || cpu.Adaptive == nil || sandbox.Adaptive != nil || blocking.Adaptive != nil {
			t.Errorf("got %+v, %+v, %+v", cpu, sandbox, blocking)
		}
		// One tenant cannot take all processes, and CPU is not touched by it.
		first := acquire(t, r.Sandbox, Claim{Tenant: "a", Lane: Interactive})
		second := acquire(t, r.Sandbox, Claim{Tenant: "a", Lane: Interactive})
		c := newCrowd(t, r.Sandbox)
		c.wait("third", Claim{Tenant: "a", Lane: Interactive})
		acquire(t, r.Sandbox, Claim{Tenant: "b", Lane: Interactive}).Release()
		if st := r.Sandbox.Stats(); st.Running != 2 || st.Queued != 1 {
			t.Errorf("%d running and %d queued, want 2 and 1", st.Running, st.Queued)
		}
		if n := r.CPU.Stats().Running; n != 0 {
			t.Errorf("%d run on the CPU, want 0", n)
		}
		if err := r.Reconfigure(Config{Sandbox: -1}); err == nil {
			t.Error("a bad configuration is taken")
		}
		if err := r.Reconfigure(Config{Tickets: 1, Sandbox: 5, Blocking: 7}); err != nil {
			t.Fatal(err)
		}
		c.wg.Wait() // five processes: three for one tenant
		if a, b, d := r.CPU.size(), r.Sandbox.size(), r.Blocking.size(); a != 1 || b != 5 || d != 7 {
			t.Errorf("tickets %d, %d, %d, want 1, 5, 7", a, b, d)
		}
		first.Release()
		second.Release()
		wantQuiet(t, r.CPU)
		wantQuiet(t, r.Sandbox)
	})
}
