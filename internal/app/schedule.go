package app

import (
	"context"
	"fmt"
	"runtime"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// schedule is what the settings ask of the scheduler.
func (a *App) schedule(w config.Work, tickets int) work.Config {
	c := work.Config{
		Tickets: tickets, Quantum: w.Quantum, MaxRunningPerTenant: w.MaxRunningPerTenant,
		MaxQueued: w.MaxQueued, MaxQueuedPerTenant: w.MaxQueuedPerTenant, MaxQueuedPerSubject: w.MaxQueuedPerSubject, MaxWait: w.MaxWait,
		LaneWeights: work.LaneWeights{Interactive: w.WeightInteractive, Batch: w.WeightBatch, Admin: w.WeightAdmin},
		AgeBatch:    w.AgeBatch,
		OnLost: func(l work.Lost) {
			a.log.Warn("a call ignores the end of its time and holds its place", "owner_tenant", l.Tenant, "lane", l.Lane.String(), "overdue", l.Overdue)
		},
	}
	if w.AdaptiveMax > 0 {
		c.Adaptive = work.Adaptive{Min: w.AdaptiveMin, Max: w.AdaptiveMax, New: work.FollowLatency}
	}
	for _, t := range w.Tenants {
		if c.TenantWeights == nil {
			c.TenantWeights = make(map[string]int, len(w.Tenants))
		}
		c.TenantWeights[t.Tenant] = t.Weight
	}
	return c
}

// raiseThreads lets as many goroutines run as there may be computing ones, and
// two more: those that read and write HTTP must find a thread while every ticket
// computes.
func (a *App) raiseThreads(ctx context.Context, w config.Work) {
	if n := max(a.tickets, w.AdaptiveMax) + 2; runtime.GOMAXPROCS(0) < n {
		before := runtime.GOMAXPROCS(n)
		a.log.InfoContext(ctx, "raised GOMAXPROCS", "from", before, "to", n, "tickets", a.tickets)
	}
}

// Reload takes over those settings of cfg that can change while the server runs:
// the log level, budgets, the policy, certificates and how the CPU is shared. It returns the names of the others
// that differ, which need a restart. A setting that cannot be taken over changes
// nothing.
func (a *App) Reload(ctx context.Context, cfg *config.Config) (restart []string, err error) {
	var changed []string
	defer func() { a.audit.reloaded(changed, restart, err) }()
	if err := a.audit.Ready(); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	if err := cfg.Limits.Budgets().Validate(); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	rules, err := policy.Compile(cfg.Policy.Rules())
	if err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	encrypts := a.certs != nil && cfg.TLS.On()
	var next readTLS
	if encrypts {
		if next, err = readCertificates(cfg.TLS); err != nil {
			return nil, fmt.Errorf("reload: %w", err)
		}
	}
	if err := a.scheduler.Reconfigure(a.schedule(cfg.Work, a.tickets)); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	if err := a.limits.Reconfigure(cfg.Limits.Budgets()); err != nil {
		return nil, fmt.Errorf("reload: %w", err)
	}
	a.policy.Replace(rules)
	if encrypts {
		a.certs.replace(next)
	}
	a.raiseThreads(ctx, cfg.Work)
	a.level.Set(cfg.Log.Slog())
	live := []string{
		"log.level", "work.quantum", "work.max_running_per_tenant", "work.max_queued", "work.max_queued_per_tenant", "work.max_queued_per_subject",
		"work.max_wait", "work.weight_interactive", "work.weight_batch", "work.weight_admin", "work.age_batch", "work.adaptive_min", "work.adaptive_max", "work.tenants",
		"policy.tenants", "policy.guards",
	}
	if encrypts {
		live = append(live, "tls.cert_file", "tls.key_file", "tls.client_ca_file", "tls.client_auth")
	}
	for _, name := range cfg.Differs(a.cfg) {
		if slices.Contains(live, name) || isBudget(name) {
			changed = append(changed, name)
		} else {
			restart = append(restart, name)
		}
	}
	a.log.InfoContext(ctx, "settings reloaded", "changed", changed, "need_restart", restart)
	return restart, nil
}

// ReloadFailed records a reload that did not come to be: the settings could not be
// read.
func (a *App) ReloadFailed(err error) { a.audit.reloaded(nil, nil, err) }
