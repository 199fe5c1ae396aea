package limit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func limiter(t testing.TB, c Config, source Source) *Limiter {
	t.Helper()
	l, err := New(c, source)
	if err != nil {
		t.Fatal(err)
	}
	checkAfter(t, l)
	return l
}

// checkAfter verifies when the test ends that the table's counts are those of
// what is in it.
func checkAfter(t testing.TB, l *Limiter) { t.Cleanup(func() { checkTable(t, l) }) }

func checkTable(t testing.TB, l *Limiter) {
	t.Helper()
	members, tenants, counters := 0, 0, 0
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		seen := 0
		all := []*account{}
		for _, a := range s.accounts {
			all = append(all, a)
			if a.counted {
				tenants++
			}
		}
		if s.overflow != nil {
			all = append(all, s.overflow)
		}
		for _, a := range all {
			own := 0
			for k, b := range a.buckets {
				seen++
				if b.key != k || b.account != a || s.ring[b.place] != b {
					t.Errorf("bucket %+v is not where it says", k)
				}
				if b.member {
					own++
				}
				if b.refs < 0 {
					t.Errorf("bucket %+v has %d references", k, b.refs)
				}
			}
			if own != a.members || len(a.buckets) == 0 {
				t.Errorf("account %q has %d members and %d buckets, and counts %d", a.tenant, own, len(a.buckets), a.members)
			}
			members += own
		}
		if seen != len(s.ring) {
			t.Errorf("%d buckets, %d in the ring", seen, len(s.ring))
		}
		counters += len(s.counters)
		s.mu.Unlock()
	}
	if st := l.Stats(); st.Buckets != members || st.Tenants != tenants || st.Counters != counters {
		t.Errorf("%d buckets, %d tenants, %d counters; counted %d, %d, %d", members, tenants, counters, st.Buckets, st.Tenants, st.Counters)
	}
}

func alice(tenant string) *identity.Principal {
	return &identity.Principal{Tenant: tenant, Issuer: "https://issuer.example", Subject: "alice", TokenKey: "k1"}
}

func call(subject, token, operation string) Transaction {
	return Transaction{Tenant: "acme", Issuer: "i", Subject: subject, Token: token, Operation: operation}
}

// take charges and settles as reserved, and returns the name of the limit that
// refused, or "".
func take(t testing.TB, l *Limiter, tx Transaction) string {
	t.Helper()
	r, d := l.Charge(context.Background(), tx)
	if d.Err != nil {
		t.Errorf("charge: %v", d.Err)
	}
	r.Settle(Usage{CPU: tx.CPU})
	if d.Allowed {
		return ""
	}
	return d.Limit
}

func stat(t testing.TB, l *Limiter, name string) Stat {
	t.Helper()
	for _, s := range l.Stats().Limits {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no limit %q", name)
	return Stat{}
}

func three(tenant, owner, token int64) Config {
	return Config{Limits: []Limit{
		{Name: "tenant_calls", Per: PerTenant, Amount: tenant, Period: time.Minute},
		{Name: "owner_calls", Per: PerOwner, Amount: owner, Period: time.Minute},
		{Name: "token_calls", Per: PerToken, Amount: token, Period: time.Minute},
	}}
}

func TestNothingIsFree(t *testing.T) {
	l := limiter(t, Config{}, nil)
	r, d := l.Charge(t.Context(), call("a", "k", "mcts"))
	if r != nil || !d.Allowed || r.Settle(Usage{}) || r.Refund() {
		t.Errorf("without limits: %v, %+v", r, d)
	}
	if p, h := d.Headers(); p != "" || h != "" || d.Fault() != nil {
		t.Errorf("headers %q, %q, fault %v", p, h, d.Fault())
	}
	if n := testing.AllocsPerRun(100, func() { l.Charge(context.Background(), call("a", "k", "mcts")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestExact lets 512 goroutines at one owner while no time passes: exactly the
// burst gets through, and every bucket of a charge is charged or none.
func TestExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{
			Limits: three(1000, 700, 90).Limits,
			Quotas: []Quota{{Name: "calls_day", Per: PerOwner, Amount: 650}},
		}, nil)
		var allowed, refused atomic.Int64
		var wg sync.WaitGroup
		for g := range 512 {
			wg.Go(func() {
				for i := range 4 {
					r, d := l.Charge(t.Context(), call("alice", fmt.Sprint((g+i)%10), "op"))
					if d.Allowed {
						allowed.Add(1)
						r.Settle(Usage{})
					} else {
						refused.Add(1)
					}
				}
			})
		}
		wg.Wait()
		// Ten tokens of 90 would be 900, the owner has 700, its day 650.
		if n := allowed.Load(); n != 650 || refused.Load() != 4*512-650 {
			t.Errorf("%d allowed, %d refused; want 650 of %d", n, refused.Load(), 4*512)
		}
		var sum uint64
		for _, name := range []string{"tenant_calls", "owner_calls", "token_calls", "calls_day"} {
			st := stat(t, l, name)
			if sum += st.Refused; st.Allowed != 650 || st.Settled != 650 {
				t.Errorf("%s was charged %d times and settled %d, want 650", name, st.Allowed, st.Settled)
			}
		}
		if sum != 4*512-650 {
			t.Errorf("%d refusals have a name, want %d", sum, 4*512-650)
		}
		// What is left is to the unit what was not charged.
		for _, tt := range []struct {
			subject string
			want    int
			limit   string
		}{{"alice", 0, "calls_day"}, {"bob", 350, "tenant_calls"}} {
			for i := range tt.want + 1 {
				got := take(t, l, call(tt.subject, fmt.Sprint("new", i), "op"))
				if i < tt.want && got != "" || i == tt.want && got != tt.limit {
					t.Fatalf("charge %d of %s: refused by %q", i, tt.subject, got)
				}
			}
		}
	})
}

// TestExactOverTime: against a clock that runs, no window holds more than the
// burst and what came back in it.
func TestExactOverTime(t *testing.T) {
	l := limiter(t, Config{Limits: []Limit{{Name: "a", Per: PerOwner, Amount: 20000, Period: time.Second, Burst: 100}}}, nil)
	begin := time.Now()
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := 0; i < 100 || time.Since(begin) < 50*time.Millisecond; i++ {
				if take(t, l, call("a", "k", "op")) == "" {
					allowed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if most := 100 + int64(time.Since(begin).Seconds()*20000); allowed.Load() > most || allowed.Load() < 100 {
		t.Errorf("%d allowed, want up to %d", allowed.Load(), most)
	}
}

// TestAllOrNothing: refunds and charges of many goroutines leave every bucket at
// the same level, at every moment that anybody can see.
func TestAllOrNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, three(64, 64, 64), nil)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for i := range 40 {
					r, d := l.Charge(t.Context(), call("alice", "k", "op"))
					if !d.Allowed {
						continue
					}
					if i%2 == 0 {
						r.Refund()
						continue
					}
					s := r.shard
					s.mu.Lock()
					var levels [3]int64
					for i, c := range r.charges {
						levels[i] = c.bucket.shape.left(c.bucket.level, s.now)
					}
					s.mu.Unlock()
					if levels[0] != levels[1] || levels[1] != levels[2] {
						t.Errorf("levels %v, want three times the same", levels)
					}
					r.Refund()
				}
			})
		}
		wg.Wait()
		_, d := l.Charge(t.Context(), call("alice", "k", "op"))
		if d.Remaining != 63 {
			t.Errorf("after as many refunds as charges %d are left, want 63", d.Remaining)
		}
	})
}

// TestOnce: of many that settle or refund one reservation, one counts.
func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{
			Limits: []Limit{{Name: "cost", Per: PerOwner, Unit: Cost, Amount: 100, Period: time.Minute}},
			Quotas: []Quota{{Name: "day", Per: PerOwner, Unit: Cost, Amount: 100}},
		}, nil)
		for round := range 50 {
			tx := call("a", "k", "op")
			tx.Cost = 60
			r, d := l.Charge(t.Context(), tx)
			if !d.Allowed {
				t.Fatalf("round %d: %+v", round, d)
			}
			var counted atomic.Int64
			var wg sync.WaitGroup
			for i := range 16 {
				wg.Go(func() {
					if i%2 == 0 && r.Refund() || i%2 == 1 && r.Settle(Usage{Cost: 1}) {
						counted.Add(1)
					}
				})
			}
			wg.Wait()
			if counted.Load() != 1 {
				t.Fatalf("%d of 16 counted", counted.Load())
			}
			time.Sleep(time.Hour) // the bucket is full again; the day goes on
			if round == 22 {
				break
			}
		}
		if st := stat(t, l, "cost"); st.Refunded+st.Settled != 23 || st.Allowed != 23 {
			t.Errorf("%+v", st)
		}
	})
}

func TestOperations(t *testing.T) {
	l := limiter(t, Config{Limits: []Limit{
		{Name: "each", Per: PerOwner, Operation: Each, Amount: 3, Period: time.Hour},
		{Name: "mcts", Per: PerTenant, Operation: "mcts", Amount: 2, Period: time.Hour},
		{Name: "open", Per: PerOwner, Operation: SessionsOpen, Amount: 1, Period: time.Hour},
	}}, nil)
	for i, tt := range []struct{ subject, operation, want string }{
		{"a", "x", ""},
		{"a", "x", ""},
		{"a", "x", ""},
		{"a", "x", "each"},
		{"a", "y", ""},
		{"b", "x", ""},
		{"a", "mcts", ""},
		{"b", "mcts", ""},
		{"c", "mcts", "mcts"},
		{"a", SessionsOpen, ""},
		{"a", SessionsOpen, "open"},
		{"b", SessionsOpen, ""},
		{"b", "x", ""},
	} {
		if got := take(t, l, call(tt.subject, "k", tt.operation)); got != tt.want {
			t.Errorf("%d: %s of %s refused by %q, want %q", i, tt.operation, tt.subject, got, tt.want)
		}
	}
}

// TestNewTokensAndSessions: neither gives an owner or a tenant anything back.
func TestNewTokensAndSessions(t *testing.T) {
	l := limiter(t, Config{
		Limits: append(three(12, 8, 5).Limits, Limit{Name: "open", Per: PerOwner, Operation: SessionsOpen, Amount: 2, Period: time.Hour}),
	}, nil)
	p := alice("acme")
	allowed := 0
	for i := range 100 {
		rotated := *p
		rotated.TokenKey = fmt.Sprint("token", i)
		rotated.ClientID = fmt.Sprint("client", i)
		if i%10 == 0 {
			l.Open(t.Context(), &rotated)
		}
		r, _, err := l.Enter(t.Context(), &rotated, "op", Price{})
		if err == nil {
			allowed++
			r.Settle(Usage{})
		}
	}
	if allowed != 8 {
		t.Errorf("with 100 tokens and 10 sessions %d calls got through, want the owner's 8", allowed)
	}
	if _, err := l.Open(t.Context(), p); err == nil || err.Code != "open_rate_limited" {
		t.Errorf("a third session: %v", err)
	}
	others := 0
	for i := range 100 {
		q := *p
		q.Subject = fmt.Sprint("subject", i)
		if _, _, err := l.Enter(t.Context(), &q, "op", Price{}); err == nil {
			others++
		}
	}
	if others != 4 {
		t.Errorf("with 100 subjects %d more got through, want what the tenant had left, 4", others)
	}
	// The same subject of another issuer, or another tenant, is somebody else.
	q := alice("other")
	if _, _, err := l.Enter(t.Context(), q, "op", Price{}); err != nil {
		t.Errorf("another tenant: %v", err)
	}
}
