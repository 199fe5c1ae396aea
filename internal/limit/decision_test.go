package limit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{
			Limits: []Limit{
				{Name: "tenant_calls", Per: PerTenant, Amount: 600, Period: time.Minute, Burst: 4},
				{Name: "owner_calls", Per: PerOwner, Amount: 60, Period: time.Minute, Burst: 2},
				{Name: "owner_cost", Per: PerOwner, Unit: Cost, Amount: 10, Period: time.Second, Burst: 20},
			},
			Costs: map[string]int64{"heavy": 15, "monster": 21},
		}, nil)
		_, d := l.Charge(t.Context(), call("a", "k", "op"))
		if !d.Allowed || d.Limit != "owner_calls" || d.Remaining != 1 || d.Reset != time.Second {
			t.Errorf("first: %+v", d)
		}
		if p, h := d.Headers(); p != `"owner_calls";q=2;w=2` || h != `"owner_calls";r=1;t=1` {
			t.Errorf("headers %s, %s", p, h)
		}
		l.Charge(t.Context(), call("a", "k", "op"))
		r, d := l.Charge(t.Context(), call("a", "k", "op"))
		if r != nil || d.Allowed || d.Limit != "owner_calls" || d.RetryAfter != time.Second || d.Remaining != 0 {
			t.Errorf("third: %+v", d)
		}
		f := d.Fault()
		if f.Kind != fault.RateLimited || f.Code != "owner_calls_rate_limited" || f.RetryAfter != time.Second ||
			f.Public != "limit owner_calls: this owner may use 60 calls in 1m0s, 2 calls at once; try again in 1s" {
			t.Errorf("fault %+v", f)
		}
		if p, h := d.Headers(); p != `"owner_calls";q=2;w=2` || h != `"owner_calls";r=0;t=1` {
			t.Errorf("headers %s, %s", p, h)
		}
		time.Sleep(d.RetryAfter - 1)
		if got := take(t, l, call("a", "k", "op")); got != "owner_calls" {
			t.Errorf("a nanosecond early: %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := take(t, l, call("a", "k", "op")); got != "" {
			t.Errorf("on time: %q", got)
		}

		// Of two that refuse, the longer wait is named, and is enough.
		time.Sleep(time.Minute)
		take(t, l, call("a", "k", "heavy"))
		take(t, l, call("a", "k", "op"))
		_, d = l.Charge(t.Context(), call("a", "k", "heavy"))
		if d.Limit != "owner_cost" || d.RetryAfter != 1100*time.Millisecond || d.Asked != 15 || d.Remaining != 4 {
			t.Errorf("two refuse: %+v", d)
		}
		time.Sleep(d.RetryAfter)
		if got := take(t, l, call("a", "k", "heavy")); got != "" {
			t.Errorf("after RetryAfter: %q", got)
		}

		_, d = l.Charge(t.Context(), call("a", "k", "monster"))
		f = d.Fault()
		if !d.Never || f.Kind != fault.TooLarge || f.Code != "owner_cost_never_enough" || f.RetryAfter != 0 ||
			f.Public != "this call takes 21 units of cost, and the limit owner_cost holds 20 units of cost at the most" {
			t.Errorf("monster: %+v, %+v", d, f)
		}
	})
}

// TestSettle: what was really used replaces the estimate, down to the debt.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{Limits: []Limit{
			{Name: "cpu", Per: PerOwner, Unit: CPU, Amount: int64(time.Second), Period: time.Second, Burst: int64(10 * time.Second), Debt: int64(5 * time.Second)},
		}}, nil)
		tx := call("a", "k", "op")
		tx.CPU = 4 * time.Second
		left := func() time.Duration {
			t.Helper()
			probe := call("a", "k", "op")
			r, d := l.Charge(t.Context(), probe)
			if !d.Allowed {
				return -d.RetryAfter
			}
			defer r.Refund()
			return time.Duration(d.Remaining) + minCPU
		}
		r, _ := l.Charge(t.Context(), tx)
		if got := left(); got != 6*time.Second {
			t.Errorf("after a reservation of 4s %v are left, want 6s", got)
		}
		r.Settle(Usage{CPU: time.Second})
		if got := left(); got != 9*time.Second {
			t.Errorf("after using 1s %v are left, want 9s", got)
		}
		r, _ = l.Charge(t.Context(), tx)
		r.Settle(Usage{CPU: 10 * time.Second})
		if got := left(); got != -1001*time.Millisecond {
			t.Errorf("after using 10s %v are left, want 1s of debt", got)
		}
		time.Sleep(2 * time.Second)
		tx.CPU = time.Hour // more than the bucket holds: all of it is taken
		if got := left(); got != time.Second {
			t.Fatalf("2s later %v are left, want 1s", got)
		}
		time.Sleep(9 * time.Second)
		r, d := l.Charge(t.Context(), tx)
		if !d.Allowed {
			t.Fatalf("a full bucket refuses: %+v", d)
		}
		r.Settle(Usage{CPU: time.Hour})
		if got := left(); got != -(5*time.Second + minCPU) {
			t.Errorf("after an hour %v are left, want the deepest debt, 5s", got)
		}
		time.Sleep(time.Hour)
		r, _ = l.Charge(t.Context(), tx)
		r.Settle(Usage{CPU: -time.Hour})
		if got := left(); got != 10*time.Second {
			t.Errorf("negative use left %v", got)
		}
	})
}
