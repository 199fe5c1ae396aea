package limit

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestSweep: a bucket that is full again is forgotten, and nothing with it.
func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, three(100000, 10, 100000), nil)
		for i := range 200 {
			take(t, l, call(fmt.Sprint("o", i), "k", "op"))
		}
		open, _ := l.Charge(t.Context(), call("open", "k2", "op"))
		if n := l.Stats().Buckets; n != 203 { // 201 owners, 2 tokens
			t.Errorf("%d buckets", n)
		}
		time.Sleep(time.Hour)
		for range 2 {
			if err := l.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if n := l.Stats().Buckets; n != 2 {
			t.Errorf("%d buckets after an hour, want those of the open call", n)
		}
		open.Settle(Usage{})
		if err := l.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := l.Stats(); st.Buckets != 0 || st.Tenants != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestTableStaysSmall: without any sweep of its own the table holds about as many
// buckets as are not full.
func TestTableStaysSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, Config{Limits: []Limit{{Name: "a", Per: PerOwner, Amount: 60, Period: time.Minute}}}, nil)
		most := 0
		for i := range 5000 {
			take(t, l, call(fmt.Sprint("o", i), "k", "op"))
			time.Sleep(20 * time.Millisecond) // a bucket is full again after 50 of them
			most = max(most, l.Stats().Buckets)
		}
		if most > 150 {
			t.Errorf("%d buckets at the most, 50 are not full", most)
		}
	})
}

// TestCrowd: beyond the bound the tokens of a tenant share a bucket; the tenant's
// and the owners' own bounds hold; and who leaves the crowd takes its level along.
func TestCrowd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(1000, 1000, 5)
		c.MaxBucketsPerTenant = 11 // the owner and ten tokens
		l := limiter(t, c, nil)
		allowed := map[string]int{}
		for i := range 40 {
			for range 10 {
				if got := take(t, l, call("a", fmt.Sprint("k", i), "op")); got == "" {
					allowed[fmt.Sprint("k", i)]++
				} else if got != "token_calls" {
					t.Fatalf("refused by %q", got)
				}
			}
		}
		sum := 0
		for _, n := range allowed {
			sum += n
		}
		if sum != 11*5 {
			t.Errorf("%d calls of 40 tokens, want 10 tokens' 5 each and 5 of all the rest", sum)
		}
		if n := l.Stats().Buckets; n != 11 {
			t.Errorf("%d buckets", n)
		}
		// Another tenant is not crowded.
		tx := call("a", "k39", "op")
		tx.Tenant = "other"
		if got := take(t, l, tx); got != "" {
			t.Errorf("another tenant: %q", got)
		}
		// There is room: k39 gets a bucket, as empty as the one it shared.
		c.MaxBucketsPerTenant = 100
		if err := l.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		if got := take(t, l, call("a", "k39", "op")); got != "token_calls" {
			t.Errorf("out of the crowd it got away: %q", got)
		}
		time.Sleep(12 * time.Second)
		if got := take(t, l, call("a", "k39", "op")); got != "" {
			t.Errorf("one call is back: %q", got)
		}
	})
}

// TestTenantsInOverflow: tenants beyond the bound share, each within its own
// bound, and take their level along when they get an account.
func TestTenantsInOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(10, 6, 4)
		c.MaxTenants = 3
		c.Overrides = []Override{{Tenant: "vip", Name: "tenant_calls", Amount: 20}}
		l := limiter(t, c, nil)
		tx := func(tenant, subject string) Transaction {
			return Transaction{Tenant: tenant, Subject: subject, Token: subject, Operation: "op"}
		}
		for i := range 3 {
			take(t, l, tx(fmt.Sprint("first", i), "a"))
		}
		for i := range 200 {
			tenant := fmt.Sprint("t", i)
			n := 0
			for j := range 30 {
				if take(t, l, tx(tenant, fmt.Sprint("s", j))) == "" {
					n++
				}
			}
			if n > 10 {
				t.Fatalf("%s was let in %d times", tenant, n)
			}
		}
		if n := l.Stats().Tenants; n != 3 {
			t.Errorf("%d tenants", n)
		}
		vip := 0
		for j := range 30 {
			if take(t, l, tx("vip", fmt.Sprint("s", j))) == "" {
				vip++
			}
		}
		if vip != 20 {
			t.Errorf("a tenant of the configuration was let in %d times, want 20", vip)
		}
		c.MaxTenants = 1000
		if err := l.Reconfigure(c); err != nil {
			t.Fatal(err)
		}
		for i := range 200 {
			for j := range 10 {
				if got := take(t, l, tx(fmt.Sprint("t", i), fmt.Sprint("s", j))); got == "" {
					t.Fatalf("t%d got away from the overflow", i)
				}
			}
		}
	})
}

// TestBound: whatever callers come, the table stays within what it promises.
func TestBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := three(1<<40, 1<<30, 1)
		c.MaxBuckets, c.MaxTenants = 500, 20
		l := limiter(t, c, nil)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 2000 {
					tx := call(fmt.Sprint(g, "-", i), fmt.Sprint(i), "op")
					tx.Tenant = fmt.Sprint("t", i%100)
					take(t, l, tx)
				}
			})
		}
		wg.Wait()
		all := 0
		for i := range l.shards {
			all += len(l.shards[i].ring)
		}
		st := l.Stats()
		if most := 500 + 2*3*(20+shards); st.Buckets > 500 || st.Tenants > 20 || all > most {
			t.Errorf("%d buckets of their own in %d, want at most 500 in %d; %d tenants", st.Buckets, all, most, st.Tenants)
		}
	})
}

// TestReconfigureUnderLoad: a change in the middle of charges loses no count.
func TestReconfigureUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limiter(t, three(300, 300, 300), nil)
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 100 {
					if take(t, l, call("a", "k", "op")) == "" {
						allowed.Add(1)
					}
				}
			})
		}
		wg.Go(func() {
			for i := range int64(20) {
				c := three(300, 300, 300)
				for j := range c.Limits {
					c.Limits[j].Amount, c.Limits[j].Burst = 300+i, 300
				}
				if err := l.Reconfigure(c); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		if allowed.Load() != 300 {
			t.Errorf("%d allowed, want 300", allowed.Load())
		}
	})
}

func BenchmarkCharge(b *testing.B) {
	config := func(quota bool) Config {
		c := three(1e12, 1e12, 1e12)
		if quota {
			c.Quotas = []Quota{{Name: "day", Per: PerOwner, Amount: 1e15, Block: 1e9}}
		}
		return c
	}
	for _, bb := range []struct {
		name    string
		c       Config
		tenants int
	}{{"three", config(false), 1}, {"three-tenants", config(false), 64}, {"quota", config(true), 1}, {"none", Config{}, 1}} {
		txs := make([]Transaction, bb.tenants)
		for i := range txs {
			txs[i] = Transaction{
				Tenant: fmt.Sprint("tenant-", i), Issuer: "https://issuer.example.com/realm", Subject: "9a1c7c2e-subject",
				Token: "5f0c6d3a9b1e4f8a5f0c6d3a9b1e4f8a5f0c6d3a9b1e4f8a5f0c6d3a9b1e4f8a", Operation: "mcts",
			}
		}
		l := limiter(b, bb.c, nil)
		b.Run(bb.name+"/serial", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r, _ := l.Charge(context.Background(), txs[i%len(txs)])
				r.Settle(Usage{})
			}
		})
		b.Run(bb.name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					r, _ := l.Charge(context.Background(), txs[i%len(txs)])
					r.Settle(Usage{})
				}
			})
		})
	}
}
