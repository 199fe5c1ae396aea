package limit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func daily(amount, block int64) Config {
	return Config{Quotas: []Quota{
		{Name: "tenant_day", Per: PerTenant, Amount: 3 * amount, Block: block},
		{Name: "owner_day", Per: PerOwner, Amount: amount, Block: block},
	}}
}

// TestQuotaDay: a day's quota to the unit, until midnight in UTC.
func TestQuotaDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock begins at midnight
		l := limiter(t, daily(5, 2), nil)
		time.Sleep(6 * time.Hour)
		for i := range 5 {
			if got := take(t, l, call("a", "k", "op")); got != "" {
				t.Fatalf("call %d refused by %q", i, got)
			}
		}
		_, d := l.Charge(t.Context(), call("a", "k", "op"))
		f := d.Fault()
		if d.Allowed || d.Limit != "owner_day" || d.RetryAfter != 18*time.Hour || f.Kind != fault.RateLimited || f.Code != "owner_day_quota_exhausted" ||
			f.Public != "quota owner_day: this owner may use 5 calls a day, and has 0 calls left; the next day begins in 18h0m0s" {
			t.Errorf("%+v, %+v", d, f)
		}
		if p, h := d.Headers(); p != `"owner_day";q=5;w=86400` || h != `"owner_day";r=0;t=64800` {
			t.Errorf("headers %s, %s", p, h)
		}
		for _, s := range []string{"b", "c"} {
			for range 5 {
				if got := take(t, l, call(s, "k", "op")); got != "" {
					t.Errorf("%s refused by %q", s, got)
				}
			}
		}
		if got := take(t, l, call("d", "k", "op")); got != "tenant_day" {
			t.Errorf("the 16th call of the tenant: %q", got)
		}
		time.Sleep(18*time.Hour - 1)
		if got := take(t, l, call("a", "k", "op")); got != "tenant_day" { // both refuse until then
			t.Errorf("a nanosecond before midnight: %q", got)
		}
		late, _ := l.Charge(t.Context(), call("b", "k", "op"))
		if late != nil {
			t.Error("b was let in again")
		}
		time.Sleep(time.Nanosecond)
		if got := take(t, l, call("a", "k", "op")); got != "" {
			t.Errorf("the next day: %q", got)
		}
	})
}

// TestQuotaOverMidnight: what was reserved yesterday is settled with yesterday.
func TestQuotaOverMidnight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, daily(5, 1), nil)
		time.Sleep(24*time.Hour - time.Second)
		r, _ := l.Charge(t.Context(), call("a", "k", "op"))
		time.Sleep(2 * time.Second)
		take(t, l, call("a", "k", "op"))
		r.Refund()
		allowed := 1
		for take(t, l, call("a", "k", "op")) == "" {
			allowed++
		}
		if allowed != 5 {
			t.Errorf("%d calls today, want 5", allowed)
		}
	})
}

// TestQuotaSettle: CPU time is reserved, and the truth is charged.
func TestQuotaSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newDisk()
		c := Config{Quotas: []Quota{{Name: "cpu_day", Per: PerTenant, Unit: CPU, Amount: int64(time.Minute), Block: int64(time.Second)}}}
		l := limiter(t, c, source)
		tx := call("a", "k", "op")
		tx.CPU = 30 * time.Second
		r1, d1 := l.Charge(t.Context(), tx)
		r2, d2 := l.Charge(t.Context(), tx)
		_, d3 := l.Charge(t.Context(), tx)
		if !d1.Allowed || !d2.Allowed || d3.Allowed {
			t.Fatalf("two ceilings of 30s fit a minute, no third: %v %v %v", d1.Allowed, d2.Allowed, d3.Allowed)
		}
		r1.Settle(Usage{CPU: 5 * time.Second})
		r2.Settle(Usage{CPU: 10 * time.Second})
		r3, d3 := l.Charge(t.Context(), tx)
		if !d3.Allowed || d3.Remaining != int64(15*time.Second) {
			t.Fatalf("after 15s of use: %+v", d3)
		}
		r3.Settle(Usage{CPU: 50 * time.Second}) // more than it said
		if _, d := l.Charge(t.Context(), call("a", "k", "op")); d.Allowed || d.Remaining != 0 {
			t.Errorf("after 65s of 60: %+v", d)
		}
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for k, used := range source.survivor().data {
			if used != int64(65*time.Second) {
				t.Errorf("%+v: %v saved, want 65s", k, time.Duration(used))
			}
		}
	})
}

// TestQuotaRestart: a process that stops in order loses nothing.
func TestQuotaRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newDisk()
		allowed := 0
		for range 20 {
			l := limiter(t, daily(50, 20), source)
			for range 4 {
				if take(t, l, call("a", "k", "op")) == "" {
					allowed++
				}
			}
			if err := l.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			source = source.survivor()
		}
		if allowed != 50 {
			t.Errorf("%d calls over 20 processes, want 50", allowed)
		}
	})
}

// TestQuotaKilled kills processes at random calls of their source, before or after
// these took effect, while many goroutines charge, refund and settle: whatever
// happens, the calls that were let in and not refunded are never more than the
// quota, and at most a block is lost for each kill.
func TestQuotaKilled(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 7))
			const amount, block, kills = 300, 10, 8
			source := newDisk()
			var taken atomic.Int64
			run := func(die int) {
				source.die, source.landed = die, rng.IntN(2) == 0
				l := limiter(t, daily(amount, block), source)
				var wg sync.WaitGroup
				ctx, cancel := context.WithCancel(t.Context())
				var background sync.WaitGroup
				background.Go(func() { l.Run(ctx) })
				for g := range 8 {
					own := rand.New(rand.NewPCG(seed, uint64(100+g)))
					wg.Go(func() {
						for range 200 {
							r, d := l.Charge(t.Context(), call("a", "k", "op"))
							if d.Err != nil {
								return // dead: nobody sees any more of this process
							}
							if !d.Allowed {
								continue
							}
							if own.IntN(4) == 0 {
								r.Refund()
								continue
							}
							taken.Add(1)
							r.Settle(Usage{})
							time.Sleep(time.Duration(own.IntN(1e6)))
						}
					})
				}
				wg.Wait()
				cancel()
				background.Wait()
				source = source.survivor()
			}
			for range kills {
				run(1 + rng.IntN(12))
			}
			run(0) // the last one lives, and uses up what is left
			if n := taken.Load(); n > amount || n < amount-(kills+1)*(block+8) {
				t.Errorf("seed %d: %d calls of %d", seed, n, amount)
			}
		})
	}
}

// TestQuotaRefusedElsewhere: a call that a rate refuses does not touch the quota,
// nor does one that another quota refuses.
func TestQuotaRefusedElsewhere(t *testing.T) {
	source := newDisk()
	c := daily(10, 1)
	c.Limits = three(2, 2, 2).Limits
	l := limiter(t, c, source)
	for range 10 {
		take(t, l, call("a", "k", "op"))
	}
	if st := stat(t, l, "owner_day"); st.Allowed != 2 || st.Refused != 0 {
		t.Errorf("%+v", st)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := slices.Sorted(maps.Values(source.survivor().data)); !slices.Equal(used, []int64{2, 2}) {
		t.Errorf("saved %v, want 2 and 2", used)
	}
}

// TestCounters: they are bounded; those that nobody uses make room, by sweep or
// when there is none, and lose at most what they had leased.
func TestCounters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Config{Quotas: []Quota{{Name: "day", Per: PerOwner, Amount: 10, Block: 2}}, MaxCounters: 8}
		l := limiter(t, c, nil)
		var open []*Reservation
		for i := range 8 {
			r, d := l.Charge(t.Context(), call(fmt.Sprint("o", i), "k", "op"))
			if !d.Allowed {
				t.Fatalf("%d: %+v", i, d)
			}
			open = append(open, r)
		}
		_, d := l.Charge(t.Context(), call("more", "k", "op"))
		if f := d.Fault(); f == nil || f.Kind != fault.Overloaded || f.Code != "quota_table_full" || f.RetryAfter == 0 {
			t.Errorf("with all in use: %+v", d)
		}
		for _, r := range open {
			r.Settle(Usage{})
		}
		used := 0
		for range 20 { // each of two pushes the others out, and is let in 10 times at the most
			for _, s := range []string{"o0", "p", "q", "r", "s", "u", "v", "w", "x"} {
				if take(t, l, call(s, "k", "op")) == "" && s == "o0" {
					used++
				}
			}
		}
		if used > 9 || used < 3 {
			t.Errorf("o0 was let in %d times more, want up to 9", used)
		}
		time.Sleep(idleAfter + time.Second)
		for range 3 {
			if err := l.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := l.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.Stats().Counters; n != 0 {
			t.Errorf("%d counters are idle and still there", n)
		}
	})
}

// TestSweepSavesIdle: what an idle counter had leased and not used is not lost
// when it leaves memory.
func TestSweepSavesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{Quotas: []Quota{{Name: "day", Per: PerOwner, Amount: 10, Block: 10}}}, nil)
		for i := range 10 {
			if got := take(t, l, call("a", "k", "op")); got != "" {
				t.Fatalf("call %d: %q", i, got)
			}
			time.Sleep(idleAfter + time.Second)
			for range 3 {
				if err := errors.Join(l.Sweep(t.Context()), l.Flush(t.Context())); err != nil {
					t.Fatal(err)
				}
			}
			if n := l.Stats().Counters; n != 0 {
				t.Fatalf("%d counters", n)
			}
		}
		if got := take(t, l, call("a", "k", "op")); got != "day" {
			t.Errorf("the 11th: %q", got)
		}
	})
}
