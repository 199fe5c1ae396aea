package app

import (
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// schedule is what the settings ask of the scheduler.
func schedule(w config.Work, tickets int) work.Config {
	c := work.Config{
		Tickets: tickets, Quantum: w.Quantum, MaxRunningPerTenant: w.MaxRunningPerTenant,
		MaxQueued: w.MaxQueued, MaxQueuedPerTenant: w.MaxQueuedPerTenant, MaxQueuedPerSubject: w.MaxQueuedPerSubject, MaxWait: w.MaxWait,
		LaneWeights: work.LaneWeights{Interactive: w.WeightInteractive, Batch: w.WeightBatch, Admin: w.WeightAdmin},
		AgeBatch:    w.AgeBatch,
	}
	for _, t := range w.Tenants {
		if c.TenantWeights == nil {
			c.TenantWeights = make(map[string]int, len(w.Tenants))
		}
		c.TenantWeights[t.Tenant] = t.Weight
	}
	return c
}
