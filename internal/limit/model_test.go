package limit

import (
	"context"
	"fmt"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// noDeadline is a test without a deadline: that of the real clock means nothing
// in a bubble.
type noDeadline struct{ rapid.TB }

// exact is a bucket in fractions: what is used, of one key.
type exact struct {
	used *big.Rat
	at   time.Time
}

// TestModel runs random charges, settlements and refunds of several parties
// against buckets in fractions that a map holds for ever. It is in a bubble: time
// passes when the model says so.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(noDeadline{t}, func(rt *rapid.T) {
			c := Config{}
			for i := range rapid.IntRange(1, 4).Draw(rt, "limits") {
				c.Limits = append(c.Limits, Limit{
					Name: fmt.Sprint("l", i), Per: rapid.SampledFrom([]Per{PerTenant, PerOwner, PerToken}).Draw(rt, "per"),
					Operation: rapid.SampledFrom([]string{"", Each, "x"}).Draw(rt, "operation"),
					Unit:      rapid.SampledFrom([]Unit{Calls, Cost}).Draw(rt, "unit"),
					Amount:    rapid.Int64Range(1, 9).Draw(rt, "amount"), Period: time.Duration(rapid.Int64Range(1, 1000).Draw(rt, "period")),
					Burst: rapid.Int64Range(1, 12).Draw(rt, "burst"), Debt: rapid.Int64Range(1, 6).Draw(rt, "debt"),
				})
			}
			l, err := New(c, nil)
			if err != nil {
				rt.Fatal(err)
			}
			model := map[string]*exact{}
			get := func(i int, tx Transaction) *exact {
				lim := c.Limits[i]
				key := fmt.Sprint(i, "/", tx.Tenant)
				switch lim.Per {
				case PerOwner:
					key += "/" + tx.Issuer + "/" + tx.Subject
				case PerToken:
					key += "/" + tx.Token
				}
				if lim.Operation == Each {
					key += "/" + tx.Operation
				}
				if model[key] == nil {
					model[key] = &exact{new(big.Rat), time.Now()}
				}
				m := model[key]
				back := big.NewRat(time.Since(m.at).Nanoseconds()*lim.Amount, int64(lim.Period))
				if m.used.Sub(m.used, back); m.used.Sign() < 0 {
					m.used.SetInt64(0)
				}
				m.at = time.Now()
				return m
			}
			rt.Repeat(map[string]func(*rapid.T){
				"wait":  func(t *rapid.T) { time.Sleep(time.Duration(rapid.Int64Range(0, 2000).Draw(t, "ns"))) },
				"sweep": func(t *rapid.T) { _ = l.Sweep(context.Background()) },
				"charge": func(rt *rapid.T) {
					tx := Transaction{
						Tenant: rapid.SampledFrom([]string{"t", "u"}).Draw(rt, "tenant"), Subject: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "subject"),
						Token: rapid.SampledFrom([]string{"1", "2"}).Draw(rt, "token"), Operation: rapid.SampledFrom([]string{"x", "y"}).Draw(rt, "operation"),
						Cost: rapid.Int64Range(1, 6).Draw(rt, "cost"),
					}
					settled := rapid.Int64Range(0, 9).Draw(rt, "settled") // 0 refunds
					want := true
					amounts := map[int]int64{}
					for i, lim := range c.Limits {
						if lim.Operation == "x" && tx.Operation != "x" {
							continue
						}
						amounts[i] = 1
						if lim.Unit == Cost {
							amounts[i] = tx.Cost
						}
						after := new(big.Rat).Add(get(i, tx).used, rat(amounts[i]))
						want = want && after.Cmp(rat(lim.Burst)) <= 0
					}
					r, d := l.Charge(context.Background(), tx)
					if d.Allowed != want {
						rt.Fatalf("allowed is %v, want %v: %+v", d.Allowed, want, d)
					}
					if !d.Allowed {
						return
					}
					if settled == 0 {
						r.Refund()
						return
					}
					r.Settle(Usage{Cost: settled})
					for i, n := range amounts {
						lim := c.Limits[i]
						if lim.Unit == Cost {
							n = settled
						}
						m := get(i, tx)
						if m.used.Add(m.used, rat(n)); m.used.Cmp(rat(lim.Burst+lim.Debt)) > 0 {
							m.used.SetInt64(lim.Burst + lim.Debt)
						}
					}
				},
			})
			checkTable(t, l)
		})
	})
}
