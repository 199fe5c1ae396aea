package limit

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestReconfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rate := func(amount, burst int64, o ...Override) Config {
			return Config{Limits: []Limit{{Name: "calls", Per: PerOwner, Amount: amount, Period: time.Hour, Burst: burst}}, Overrides: o}
		}
		l := limiter(t, rate(10, 10), nil)
		tx := call("a", "k", "op")
		remaining := func() int64 {
			t.Helper()
			r, d := l.Charge(t.Context(), tx)
			if !d.Allowed {
				return -1
			}
			defer r.Refund()
			return d.Remaining + 1
		}
		for range 7 {
			take(t, l, tx)
		}
		open, _ := l.Charge(t.Context(), tx) // 8 used
		for i, tt := range []struct {
			c    Config
			want int64
		}{
			{rate(10, 10), 2},
			{rate(10, 20), 12},
			{rate(1000, 20), 12},
			{rate(10, 9), 1},
			{rate(10, 10, Override{Tenant: "acme", Name: "calls", Amount: 100, Burst: 50}), 42},
			{rate(10, 10, Override{Tenant: "acme", Name: "calls"}), 0}, // lifted: nothing applies
			{rate(10, 10), 2},
			{rate(10, 4), -1},
		} {
			if err := l.Reconfigure(tt.c); err != nil {
				t.Fatal(err)
			}
			if got := remaining(); got != tt.want && !(tt.want == 0 && got == 1) {
				t.Errorf("%d: %d remain, want %d", i, got, tt.want)
			}
		}
		if err := l.Reconfigure(Config{Limits: []Limit{{Name: "calls", Amount: -1, Period: time.Hour}}}); err == nil {
			t.Error("a negative amount was taken")
		}
		if got := remaining(); got != -1 {
			t.Errorf("after a refused change %d remain", got)
		}
		// What was reserved under another rate is settled, and gives nothing back.
		if err := l.Reconfigure(rate(10, 10)); err != nil {
			t.Fatal(err)
		}
		before := remaining()
		if !open.Refund() {
			t.Error("the refund did not count")
		}
		if got := remaining(); got != before {
			t.Errorf("%d remain after the refund, %d before", got, before)
		}
	})
}

func TestValidate(t *testing.T) {
	ok := Limit{Name: "a", Amount: 1, Period: time.Second}
	twelve := func(operation string) (all []Limit) {
		for i := range maxApplying + 1 {
			all = append(all, Limit{Name: fmt.Sprint("n", i), Operation: operation, Amount: 1, Period: time.Second})
		}
		return all
	}
	for want, c := range map[string]Config{
		`the name "" has 0 bytes`:          {Limits: []Limit{{Amount: 1, Period: 1}}},
		`the name "A" has 'A' in it`:       {Limits: []Limit{{Name: "A"}}},
		"has 65 bytes":                     {Quotas: []Quota{{Name: strings.Repeat("a", 65)}}},
		`the name "a" is given twice`:      {Limits: []Limit{ok}, Quotas: []Quota{{Name: "a"}}},
		"limit a: period":                  {Limits: []Limit{{Name: "a", Amount: 1}}},
		"neither whom":                     {Limits: []Limit{{Name: "a", Amount: 1, Period: 1, Per: 9}}},
		"quota a: amount":                  {Quotas: []Quota{{Name: "a", Amount: -1}}},
		"quota a: block":                   {Quotas: []Quota{{Name: "a", Block: -1}}},
		"per tenant or per owner":          {Quotas: []Quota{{Name: "a", Amount: 1, Per: PerToken}}},
		"closed or open":                   {Quotas: []Quota{{Name: "a", Amount: 1, OnFailure: 2}}},
		"names its operation":              {Quotas: []Quota{{Name: "a", Amount: 1, Operation: Each}}},
		"the cost of x is -1":              {Costs: map[string]int64{"x": -1}},
		`overrides "b", which is no limit`: {Limits: []Limit{ok}, Overrides: []Override{{Tenant: "t", Name: "b"}}},
		"twice":                            {Limits: []Limit{ok}, Overrides: []Override{{Tenant: "t", Name: "a"}, {Tenant: "t", Name: "a"}}},
		"names no tenant":                  {Limits: []Limit{ok}, Overrides: []Override{{Name: "a"}}},
		`tenant "t": limit a: burst`:       {Limits: []Limit{ok}, Overrides: []Override{{Tenant: "t", Name: "a", Amount: 1, Burst: -1}}},
		"apply to every operation":         {Limits: twelve("")},
		"apply to x":                       {Limits: twelve("x")},
		"a bound on memory is -1":          {MaxBuckets: -1},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	if err := three(1, 1, 1).Validate(); err != nil {
		t.Error(err)
	}
}

// TestNamedIsShared: a thousand tenants with overrides of what is general hold one
// copy of what is for named operations.
func TestNamedIsShared(t *testing.T) {
	c := Config{Limits: []Limit{
		{Name: "a", Amount: 1, Period: time.Hour},
		{Name: "b", Operation: "x", Amount: 1, Period: time.Hour},
	}, Overrides: []Override{{Tenant: "t", Name: "a", Amount: 5}, {Tenant: "u", Name: "b", Amount: 5}}}
	p, err := newPlans(c, func(n string) *tally { return &tally{name: n} })
	if err != nil {
		t.Fatal(err)
	}
	if p.tenants["t"].named != p.everyone.named || p.tenants["u"].named == p.everyone.named {
		t.Error("what is named is shared by t, and not by u")
	}
	l := limiter(t, c, nil)
	for _, tt := range []struct {
		tenant string
		want   []string // refusals of one call after the other
	}{
		{"t", []string{"", "b"}},
		{"u", []string{"", "a"}},
		{"v", []string{"", "a"}},
	} {
		for i, want := range tt.want {
			tx := call("s", "k", "x")
			tx.Tenant = tt.tenant
			if got := take(t, l, tx); got != want {
				t.Errorf("%s, call %d: refused by %q, want %q", tt.tenant, i, got, want)
			}
		}
	}
}
