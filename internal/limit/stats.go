package limit

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// tally counts what one limit or quota did. Its address is the limit's identity.
type tally struct {
	name                                string
	allowed, refused, refunded, settled atomic.Uint64
}

// Stat is what one limit or quota did since the process started.
type Stat struct {
	Name     string
	Allowed  uint64 // charges that it let through and that were made
	Refused  uint64 // calls that were refused on its account; of several that would refuse, the one to wait longest for
	Refunded uint64 // charges given back
	Settled  uint64 // charges settled
}

// Stats is the state of a Limiter.
type Stats struct {
	Limits         []Stat // by name; also of limits that are no more
	Tenants        int    // with buckets, those with overrides not counted
	Buckets        int    // of owners and tokens
	Counters       int    // of quotas in memory
	SourceFailures uint64 // loads and saves that failed
	Unsaved        uint64 // blocks that were used without being saved, under Open
}

// Stats returns counts. They are not taken at one instant.
func (l *Limiter) Stats() Stats {
	st := Stats{
		Tenants: int(l.tenants.Load()), Buckets: int(l.members.Load()), Counters: int(l.counters.Load()),
		SourceFailures: l.failures.Load(), Unsaved: l.unsaved.Load(),
	}
	l.mu.Lock()
	for _, t := range l.tallies {
		st.Limits = append(st.Limits, Stat{
			Name: t.name, Allowed: t.allowed.Load(), Refused: t.refused.Load(), Refunded: t.refunded.Load(), Settled: t.settled.Load(),
		})
	}
	l.mu.Unlock()
	slices.SortFunc(st.Limits, func(a, b Stat) int { return cmp.Compare(a.Name, b.Name) })
	return st
}
