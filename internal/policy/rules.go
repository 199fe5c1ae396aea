package policy

import (
	"errors"
	"fmt"
	"time"
)

// Config is what an operator forbids. The zero value forbids nothing: scopes
// alone decide.
type Config struct {
	Tenants []Tenant
	Guards  []Guard
}

// Tenant is what one tenant may use. Entries of Allow and Deny are names of
// operations or of families.
type Tenant struct {
	Tenant   string
	Allow    []string // empty allows everything
	Deny     []string // wins over Allow
	Ceilings Ceilings
}

// Ceilings bound what one call, or one subject, of a tenant may use. Zero is no
// ceiling besides the server's own.
type Ceilings struct {
	Time        time.Duration // of computing
	Steps       int64         // elementary steps
	Nodes       int64         // objects in memory
	OutputBytes int           // of a result
	Sessions    int           // reasoning sessions of one subject
}

// Guard is a condition under which a call is refused.
type Guard struct {
	Name    string
	When    string // CEL over the variables of Variables, of type bool
	Message string // for the caller; empty names the guard
}

// Rules are a Config made ready. They do not change and may be shared.
type Rules struct {
	tenants map[string]*tenantRules
	guards  []*guard
}

// tenantRules are the rules for one tenant.
type tenantRules struct {
	allow    map[string]bool // nil allows everything
	deny     map[string]bool
	ceilings Ceilings
}

// Compile makes c ready, or says everything that is wrong with it: the error
// joins *GuardErrors and others.
func Compile(c Config) (*Rules, error) {
	r := &Rules{tenants: make(map[string]*tenantRules, len(c.Tenants))}
	var errs []error
	for _, t := range c.Tenants {
		if r.tenants[t.Tenant] != nil {
			errs = append(errs, fmt.Errorf("policy: tenant %q is listed twice", t.Tenant))
		}
		r.tenants[t.Tenant] = &tenantRules{allow: set(t.Allow), deny: set(t.Deny), ceilings: t.Ceilings}
	}
	seen := map[string]bool{}
	for _, g := range c.Guards {
		if seen[g.Name] {
			errs = append(errs, fmt.Errorf("policy: guard %q is listed twice", g.Name))
		}
		seen[g.Name] = true
		ready, err := compileGuard(g)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		r.guards = append(r.guards, ready)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return r, nil
}

// set returns the names as a set; nil if there are none.
func set(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[n] = true
	}
	return s
}

// rule returns which list keeps an operation from the tenant, in the words of
// the configuration, or "" if none does. Deny wins.
func (t *tenantRules) rule(op *Operation) string {
	switch {
	case t.deny[op.Name]:
		return "deny " + op.Name
	case t.deny[op.Family]:
		return "deny " + op.Family
	case t.allow == nil || op.Upkeep || t.allow[op.Name] || t.allow[op.Family]:
		return ""
	}
	return "not in allow"
}
