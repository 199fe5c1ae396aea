package config

import (
	"cmp"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/limit"
)

// Limits bounds how often one caller may ask: at the door by address and by
// token, and behind it, where operation and owner are known, by budgets.
type Limits struct {
	Window     time.Duration `key:"window" default:"1m" min:"1s" max:"1h" doc:"length of the sliding window that requests are counted in"`
	PerAddress int           `key:"per_address" default:"120000" min:"1" max:"1000000000" doc:"requests of one network address in a window, before its token is looked at"`
	PerToken   int           `key:"per_token" default:"60000" min:"1" max:"1000000000" doc:"requests of one token in a window"`

	Period          time.Duration `key:"period" default:"1m" min:"1s" max:"24h" doc:"time in which the amounts of the rates below come back"`
	TenantRate      int           `key:"tenant_rate" default:"0" min:"0" max:"1000000000" doc:"calls of one tenant in a period; 0 is no limit"`
	TenantBurst     int           `key:"tenant_burst" default:"0" min:"0" max:"1000000000" doc:"calls of one tenant at once; 0 is as many as in a period"`
	OwnerRate       int           `key:"owner_rate" default:"0" min:"0" max:"1000000000" doc:"calls of one subject of a tenant, whatever its tokens, in a period; 0 is no limit"`
	OwnerBurst      int           `key:"owner_burst" default:"0" min:"0" max:"1000000000" doc:"calls of one subject at once; 0 is as many as in a period"`
	TokenRate       int           `key:"token_rate" default:"0" min:"0" max:"1000000000" doc:"calls of one token in a period; 0 is no limit"`
	TokenBurst      int           `key:"token_burst" default:"0" min:"0" max:"1000000000" doc:"calls of one token at once; 0 is as many as in a period"`
	TenantCost      int           `key:"tenant_cost" default:"0" min:"0" max:"1000000000" doc:"cost of one tenant's calls in a period; 0 is no limit"`
	TenantCostBurst int           `key:"tenant_cost_burst" default:"0" min:"0" max:"1000000000" doc:"cost of one tenant's calls at once; 0 is as much as in a period"`
	OwnerCost       int           `key:"owner_cost" default:"0" min:"0" max:"1000000000" doc:"cost of one subject's calls in a period; 0 is no limit"`
	OwnerCostBurst  int           `key:"owner_cost_burst" default:"0" min:"0" max:"1000000000" doc:"cost of one subject's calls at once; 0 is as much as in a period"`
	OpenRate        int           `key:"open_rate" default:"0" min:"0" max:"1000000000" doc:"sessions that one subject may open in a period; 0 is no limit"`
	OpenBurst       int           `key:"open_burst" default:"0" min:"0" max:"1000000000" doc:"sessions that one subject may open at once; 0 is as many as in a period"`

	TenantCallsDay int           `key:"tenant_calls_day" default:"0" min:"0" max:"1000000000000" doc:"calls of one tenant in a day of UTC; 0 is no quota"`
	OwnerCallsDay  int           `key:"owner_calls_day" default:"0" min:"0" max:"1000000000000" doc:"calls of one subject in a day of UTC; 0 is no quota"`
	TenantCPUDay   time.Duration `key:"tenant_cpu_day" default:"0s" min:"0s" max:"240h" doc:"CPU time of one tenant in a day of UTC; 0s is no quota"`
	OwnerCPUDay    time.Duration `key:"owner_cpu_day" default:"0s" min:"0s" max:"240h" doc:"CPU time of one subject in a day of UTC; 0s is no quota"`
	QuotaFailure   string        `key:"quota_failure" enum:"closed|open" default:"closed" doc:"while quotas cannot be stored: closed refuses what they must be asked for, open counts in memory only"`

	Tenants    []TenantLimits    `key:"tenants" maxItems:"1000" default:"" doc:"tenants with limits of their own; a flag or variable takes the list as YAML or JSON"`
	Operations []OperationLimits `key:"operations" maxItems:"500" default:"" doc:"operations with a cost or limits of their own"`

	MaxBuckets          int `key:"max_buckets" default:"262144" min:"64" max:"100000000" doc:"subjects and tokens that are counted by themselves; beyond, those of a tenant share"`
	MaxBucketsPerTenant int `key:"max_buckets_per_tenant" default:"16384" min:"1" max:"100000000" doc:"subjects and tokens of one tenant that are counted by themselves"`
}

// TenantLimits is what holds for one tenant instead of what holds for everybody.
// A negative value leaves that as it is.
type TenantLimits struct {
	Tenant         string        `key:"tenant" required:"true" format:"word" doc:"the tenant, as its tokens name it"`
	TenantRate     int           `key:"tenant_rate" default:"-1" min:"-1" max:"1000000000" doc:"its calls in a period; 0 is no limit, -1 as for everybody"`
	TenantBurst    int           `key:"tenant_burst" default:"0" min:"0" max:"1000000000" doc:"its calls at once, with tenant_rate; 0 is as many as in a period"`
	OwnerRate      int           `key:"owner_rate" default:"-1" min:"-1" max:"1000000000" doc:"calls of one of its subjects in a period; 0 is no limit, -1 as for everybody"`
	OwnerBurst     int           `key:"owner_burst" default:"0" min:"0" max:"1000000000" doc:"calls of one of its subjects at once, with owner_rate; 0 is as many as in a period"`
	TenantCost     int           `key:"tenant_cost" default:"-1" min:"-1" max:"1000000000" doc:"cost of its calls in a period; 0 is no limit, -1 as for everybody"`
	OwnerCost      int           `key:"owner_cost" default:"-1" min:"-1" max:"1000000000" doc:"cost of one of its subjects' calls in a period; 0 is no limit, -1 as for everybody"`
	TenantCallsDay int           `key:"tenant_calls_day" default:"-1" min:"-1" max:"1000000000000" doc:"its calls in a day; 0 is no quota, -1 as for everybody"`
	OwnerCallsDay  int           `key:"owner_calls_day" default:"-1" min:"-1" max:"1000000000000" doc:"calls of one of its subjects in a day; 0 is no quota, -1 as for everybody"`
	TenantCPUDay   time.Duration `key:"tenant_cpu_day" default:"-1s" min:"-1s" max:"240h" doc:"its CPU time in a day; 0s is no quota, -1s as for everybody"`
	OwnerCPUDay    time.Duration `key:"owner_cpu_day" default:"-1s" min:"-1s" max:"240h" doc:"CPU time of one of its subjects in a day; 0s is no quota, -1s as for everybody"`
}

// OperationLimits is what holds for one operation besides what holds for all.
type OperationLimits struct {
	Operation   string `key:"operation" required:"true" format:"word" doc:"the operation, as in the catalogue"`
	Cost        int    `key:"cost" default:"-1" min:"-1" max:"1000000000" doc:"what a call of it costs; -1 is what it says itself"`
	TenantRate  int    `key:"tenant_rate" default:"0" min:"0" max:"1000000000" doc:"calls of it by one tenant in a period; 0 is no limit"`
	TenantBurst int    `key:"tenant_burst" default:"0" min:"0" max:"1000000000" doc:"calls of it by one tenant at once; 0 is as many as in a period"`
	OwnerRate   int    `key:"owner_rate" default:"0" min:"0" max:"1000000000" doc:"calls of it by one subject in a period; 0 is no limit"`
	OwnerBurst  int    `key:"owner_burst" default:"0" min:"0" max:"1000000000" doc:"calls of it by one subject at once; 0 is as many as in a period"`
}

// Budgets returns the limits behind the door.
func (l Limits) Budgets() limit.Config {
	rate := func(name string, per limit.Per, unit limit.Unit, operation string, amount, burst int) limit.Limit {
		return limit.Limit{Name: name, Per: per, Unit: unit, Operation: operation, Amount: int64(amount), Period: l.Period, Burst: int64(burst)}
	}
	c := limit.Config{
		Limits: []limit.Limit{
			rate("tenant_calls", limit.PerTenant, limit.Calls, "", l.TenantRate, l.TenantBurst),
			rate("owner_calls", limit.PerOwner, limit.Calls, "", l.OwnerRate, l.OwnerBurst),
			rate("token_calls", limit.PerToken, limit.Calls, "", l.TokenRate, l.TokenBurst),
			rate("tenant_cost", limit.PerTenant, limit.Cost, "", l.TenantCost, l.TenantCostBurst),
			rate("owner_cost", limit.PerOwner, limit.Cost, "", l.OwnerCost, l.OwnerCostBurst),
			rate("sessions_open", limit.PerOwner, limit.Calls, limit.SessionsOpen, l.OpenRate, l.OpenBurst),
		},
		Quotas: []limit.Quota{
			{Name: "tenant_calls_day", Per: limit.PerTenant, Unit: limit.Calls, Amount: int64(l.TenantCallsDay)},
			{Name: "owner_calls_day", Per: limit.PerOwner, Unit: limit.Calls, Amount: int64(l.OwnerCallsDay)},
			{Name: "tenant_cpu_day", Per: limit.PerTenant, Unit: limit.CPU, Amount: int64(l.TenantCPUDay)},
			{Name: "owner_cpu_day", Per: limit.PerOwner, Unit: limit.CPU, Amount: int64(l.OwnerCPUDay)},
		},
		Costs:      map[string]int64{},
		MaxBuckets: l.MaxBuckets, MaxBucketsPerTenant: l.MaxBucketsPerTenant,
	}
	if l.QuotaFailure == "open" {
		for i := range c.Quotas {
			c.Quotas[i].OnFailure = limit.Open
		}
	}
	for _, o := range l.Operations {
		if o.Cost >= 0 {
			c.Costs[o.Operation] = int64(o.Cost)
		}
		if o.TenantRate > 0 {
			c.Limits = append(c.Limits, rate(o.Operation+".tenant_calls", limit.PerTenant, limit.Calls, o.Operation, o.TenantRate, o.TenantBurst))
		}
		if o.OwnerRate > 0 {
			c.Limits = append(c.Limits, rate(o.Operation+".owner_calls", limit.PerOwner, limit.Calls, o.Operation, o.OwnerRate, o.OwnerBurst))
		}
	}
	for _, t := range l.Tenants {
		override := func(name string, amount int64, burst int) {
			if amount >= 0 {
				c.Overrides = append(c.Overrides, limit.Override{Tenant: t.Tenant, Name: name, Amount: amount, Burst: int64(burst)})
			}
		}
		override("tenant_calls", int64(t.TenantRate), t.TenantBurst)
		override("owner_calls", int64(t.OwnerRate), t.OwnerBurst)
		override("tenant_cost", int64(t.TenantCost), 0)
		override("owner_cost", int64(t.OwnerCost), 0)
		override("tenant_calls_day", int64(t.TenantCallsDay), 0)
		override("owner_calls_day", int64(t.OwnerCallsDay), 0)
		override("tenant_cpu_day", int64(t.TenantCPUDay), 0)
		override("owner_cpu_day", int64(t.OwnerCPUDay), 0)
	}
	return c
}

// limitRules check the budgets.
var limitRules = []rule{
	bursts("limits.tenant_burst", "limits.tenant_rate", func(l Limits) (int, int) { return l.TenantBurst, l.TenantRate }),
	bursts("limits.owner_burst", "limits.owner_rate", func(l Limits) (int, int) { return l.OwnerBurst, l.OwnerRate }),
	bursts("limits.token_burst", "limits.token_rate", func(l Limits) (int, int) { return l.TokenBurst, l.TokenRate }),
	bursts("limits.tenant_cost_burst", "limits.tenant_cost", func(l Limits) (int, int) { return l.TenantCostBurst, l.TenantCost }),
	bursts("limits.owner_cost_burst", "limits.owner_cost", func(l Limits) (int, int) { return l.OwnerCostBurst, l.OwnerCost }),
	bursts("limits.open_burst", "limits.open_rate", func(l Limits) (int, int) { return l.OpenBurst, l.OpenRate }),
	{[]string{"limits.tenants", "limits.operations", "limits.period"}, false, func(c *Config) []Problem {
		all := c.Limits.entries()
		if err := c.Limits.Budgets().Validate(); err != nil && all == nil {
			all = append(all, Problem{
				Path: "limits.period", Reason: "makes limits that cannot be kept: " + err.Error(),
				Allowed: "bursts that come back within ten years", Mend: "lower the burst, raise the rate, or shorten the period",
			})
		}
		return all
	}},
	{[]string{"limits.max_buckets_per_tenant", "limits.max_buckets"}, false, func(c *Config) []Problem {
		return when(c.Limits.MaxBucketsPerTenant > c.Limits.MaxBuckets, Problem{
			Path: "limits.max_buckets_per_tenant", Reason: fmt.Sprintf("is above limits.max_buckets, which is %d", c.Limits.MaxBuckets),
			Allowed: fmt.Sprintf("at most %d with this limits.max_buckets", c.Limits.MaxBuckets),
			Mend:    "lower limits.max_buckets_per_tenant or raise limits.max_buckets",
		})
	}},
}

// bursts refuses a burst without the rate at which it comes back.
func bursts(burst, rate string, of func(Limits) (int, int)) rule {
	return rule{[]string{burst, rate}, false, func(c *Config) []Problem {
		b, r := of(c.Limits)
		return when(b > 0 && r == 0, lonely(burst, rate, b))
	}}
}

func lonely(burst, rate string, n int) Problem {
	return Problem{
		Path: burst, Value: fmt.Sprint(n), Reason: "has no effect without " + rate,
		Allowed: "0, or a burst beside a rate", Mend: "set " + rate + " or remove the burst",
	}
}

// entries checks the lists of tenants and operations.
func (l Limits) entries() []Problem {
	var all []Problem
	once := func(seen map[string]bool, path, name string) {
		all = append(all, when(seen[name], Problem{
			Path: path, Value: name, Reason: "is listed twice", Allowed: "each once", Mend: "remove one of the two",
		})...)
		seen[name] = true
	}
	burst := func(path, rate string, b, r int) {
		all = append(all, when(b > 0 && r <= 0, lonely(path, rate, b))...)
	}
	tenants, operations := map[string]bool{}, map[string]bool{}
	for i, t := range l.Tenants {
		at := fmt.Sprintf("limits.tenants[%d].", i)
		once(tenants, at+"tenant", t.Tenant)
		burst(at+"tenant_burst", at+"tenant_rate", t.TenantBurst, t.TenantRate)
		burst(at+"owner_burst", at+"owner_rate", t.OwnerBurst, t.OwnerRate)
	}
	for i, o := range l.Operations {
		at := fmt.Sprintf("limits.operations[%d].", i)
		once(operations, at+"operation", o.Operation)
		burst(at+"tenant_burst", at+"tenant_rate", o.TenantBurst, o.TenantRate)
		burst(at+"owner_burst", at+"owner_rate", o.OwnerBurst, o.OwnerRate)
		most := cmp.Or(l.OwnerCostBurst, l.OwnerCost)
		if n := cmp.Or(l.TenantCostBurst, l.TenantCost); most == 0 || n > 0 && n < most {
			most = n
		}
		all = append(all, when(most > 0 && o.Cost > most, Problem{
			Path: at + "cost", Value: fmt.Sprint(o.Cost), Reason: "is more than a subject or tenant may take at once: no call would ever pass",
			Allowed: fmt.Sprintf("at most %d", most), Mend: "lower the cost or raise limits.owner_cost_burst and limits.tenant_cost_burst",
		})...)
	}
	return all
}
