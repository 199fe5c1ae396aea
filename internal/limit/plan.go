package limit

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// rule is a limit as it is for one tenant.
type rule struct {
	Limit
	shape *shape
	tally *tally // also the identity of the limit: the same for all tenants and after a change
}

// allowance is a quota as it is for one tenant.
type allowance struct {
	Quota
	tally *tally
}

// applying is what a call of one operation is charged to.
type applying struct {
	rules  []*rule
	quotas []*allowance
}

// plan is what holds for a tenant. It is immutable.
type plan struct {
	general applying // to every operation but the opening of sessions
	named   *named
}

// named is what holds for operations that are named, besides. Tenants share it
// unless they override some of it.
type named struct {
	byOperation map[string]applying
	rules       map[*tally]*rule
}

// room is where plan.of puts a list together, on the caller's stack.
type room struct {
	rules  [maxApplying]*rule
	quotas [maxApplying]*allowance
}

// of returns what a call of operation is charged to. It may lie in r.
func (p *plan) of(operation string, r *room) applying {
	own, ok := p.named.byOperation[operation]
	switch {
	case operation == SessionsOpen:
		return own
	case !ok:
		return p.general
	}
	return applying{
		rules:  append(append(r.rules[:0], p.general.rules...), own.rules...),
		quotas: append(append(r.quotas[:0], p.general.quotas...), own.quotas...),
	}
}

// free reports whether a call of operation is charged to nothing.
func (p *plan) free(operation string) bool {
	if operation != SessionsOpen && len(p.general.rules)+len(p.general.quotas) > 0 {
		return false
	}
	own := p.named.byOperation[operation]
	return len(own.rules)+len(own.quotas) == 0
}

// find returns the rule with that identity, or nil where there is none.
func (p *plan) find(t *tally) *rule {
	for _, r := range p.general.rules {
		if r.tally == t {
			return r
		}
	}
	return p.named.rules[t]
}

// plans is a whole configuration, worked out. It is immutable.
type plans struct {
	config   Config
	everyone *plan
	tenants  map[string]*plan // those with overrides
}

func (p *plans) of(tenant string) *plan {
	if own, ok := p.tenants[tenant]; ok {
		return own
	}
	return p.everyone
}

// newPlans checks c and works it out. tallyOf returns the tally of a name, the
// same for the same name.
func newPlans(c Config, tallyOf func(string) *tally) (*plans, error) {
	c.MaxBuckets = cmp.Or(c.MaxBuckets, DefaultMaxBuckets)
	c.MaxBucketsPerTenant = cmp.Or(c.MaxBucketsPerTenant, DefaultMaxBucketsPerTenant)
	c.MaxTenants = cmp.Or(c.MaxTenants, DefaultMaxTenants)
	c.MaxCounters = cmp.Or(c.MaxCounters, DefaultMaxCounters)
	var errs []error
	for _, n := range []int{c.MaxBuckets, c.MaxBucketsPerTenant, c.MaxTenants, c.MaxCounters} {
		if n < 0 {
			errs = append(errs, fmt.Errorf("a bound on memory is %d, want more than 0", n))
		}
	}
	names := map[string]bool{}
	name := func(n string) {
		if err := checkName(n); err != nil {
			errs = append(errs, err)
		} else if names[n] {
			errs = append(errs, fmt.Errorf("the name %q is given twice", n))
		}
		names[n] = true
	}
	for _, l := range c.Limits {
		name(l.Name)
	}
	for _, q := range c.Quotas {
		name(q.Name)
	}
	for operation, cost := range c.Costs {
		if cost < 0 || cost > maxAmount {
			errs = append(errs, fmt.Errorf("the cost of %s is %d, want 0 to %d", operation, cost, maxAmount))
		}
	}
	byTenant := map[string]map[string]Override{}
	for _, o := range c.Overrides {
		if o.Tenant == "" {
			errs = append(errs, fmt.Errorf("an override of %q names no tenant", o.Name))
		}
		if !names[o.Name] {
			errs = append(errs, fmt.Errorf("tenant %q overrides %q, which is no limit", o.Tenant, o.Name))
		}
		if byTenant[o.Tenant] == nil {
			byTenant[o.Tenant] = map[string]Override{}
		}
		if _, twice := byTenant[o.Tenant][o.Name]; twice {
			errs = append(errs, fmt.Errorf("tenant %q overrides %q twice", o.Tenant, o.Name))
		}
		byTenant[o.Tenant][o.Name] = o
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	all := &plans{config: c, tenants: map[string]*plan{}}
	var err error
	if all.everyone, err = newPlan(c, nil, nil, tallyOf); err != nil {
		errs = append(errs, err)
	}
	for _, tenant := range slices.Sorted(maps.Keys(byTenant)) {
		own := byTenant[tenant]
		if all.tenants[tenant], err = newPlan(c, own, all.everyone, tallyOf); err != nil {
			errs = append(errs, fmt.Errorf("tenant %q: %w", tenant, err))
		}
	}
	return all, errors.Join(errs...)
}

// isNamed reports whether a limit of that operation is for one operation only.
func isNamed(operation string) bool { return operation != "" && operation != Each }

// newPlan works out c for a tenant with its own overrides, beside the plan for
// everyone if that is known.
func newPlan(c Config, own map[string]Override, everyone *plan, tallyOf func(string) *tally) (*plan, error) {
	var errs []error
	p := &plan{named: &named{byOperation: map[string]applying{}, rules: map[*tally]*rule{}}}
	other := everyone == nil // whether something that is named differs from everyone's
	for _, l := range c.Limits {
		o, overridden := own[l.Name]
		if overridden {
			l.Amount, l.Burst, l.Debt = o.Amount, o.Burst, 0
			other = other || isNamed(l.Operation)
		}
		if l.Amount == 0 {
			continue
		}
		r, err := newRule(l, tallyOf)
		if err != nil {
			errs = append(errs, fmt.Errorf("limit %s: %w", l.Name, err))
			continue
		}
		if !isNamed(l.Operation) {
			p.general.rules = append(p.general.rules, r)
			continue
		}
		a := p.named.byOperation[l.Operation]
		a.rules = append(a.rules, r)
		p.named.byOperation[l.Operation], p.named.rules[r.tally] = a, r
	}
	for _, q := range c.Quotas {
		if o, ok := own[q.Name]; ok {
			q.Amount = o.Amount
			other = other || isNamed(q.Operation)
		}
		if err := q.check(); err != nil {
			errs = append(errs, fmt.Errorf("quota %s: %w", q.Name, err))
			continue
		}
		if q.Amount == 0 {
			continue
		}
		q.Block = min(cmp.Or(q.Block, max(1, q.Amount/defaultBlock)), q.Amount)
		k := &allowance{Quota: q, tally: tallyOf(q.Name)}
		if !isNamed(q.Operation) {
			p.general.quotas = append(p.general.quotas, k)
			continue
		}
		a := p.named.byOperation[q.Operation]
		a.quotas = append(a.quotas, k)
		p.named.byOperation[q.Operation] = a
	}
	if !other {
		p.named = everyone.named
	}
	return p, errors.Join(append(errs, p.crowded()...)...)
}

func newRule(l Limit, tallyOf func(string) *tally) (*rule, error) {
	if l.Per > PerToken || l.Unit > CPU {
		return nil, errors.New("it says neither whom it is for nor what it counts")
	}
	s, err := l.shape()
	if err != nil {
		return nil, err
	}
	return &rule{Limit: l, shape: s, tally: tallyOf(l.Name)}, nil
}

// crowded returns an error for every operation that too much applies to.
func (p *plan) crowded() (errs []error) {
	n := len(p.general.rules) + len(p.general.quotas)
	if n > maxApplying {
		return []error{fmt.Errorf("%d limits apply to every operation, want at most %d", n, maxApplying)}
	}
	for _, operation := range slices.Sorted(maps.Keys(p.named.byOperation)) {
		a := p.named.byOperation[operation]
		if all := n + len(a.rules) + len(a.quotas); all > maxApplying {
			errs = append(errs, fmt.Errorf("%d limits apply to %s, want at most %d", all, operation, maxApplying))
		}
	}
	return errs
}
