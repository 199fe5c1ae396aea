package work

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Defaults of Config.
const (
	DefaultQuantum             = time.Millisecond
	DefaultMaxQueuedPerTenant  = 512
	DefaultMaxQueuedPerSubject = 256
	DefaultMaxQueued           = 4096
	DefaultMaxWait             = 30 * time.Second
	DefaultAgeBatch            = 250 * time.Millisecond
	DefaultWeightInteractive   = 16
	DefaultWeightBatch         = 1
	DefaultWeightAdmin         = 32
	DefaultTenantWeight        = 1
	DefaultLostAfter           = 2 * time.Second
	DefaultBlocking            = 64
)

// MaxWeight is the largest weight of a lane or a tenant.
const MaxWeight = 1000

// Config sets the size of the scheduler and its bounds. The zero value works.
type Config struct {
	// Tickets is how many computations run at once. 0 is one for each core
	// that Go uses (GOMAXPROCS).
	Tickets int

	// Quantum is how long a computation runs before it gives its turn up to a
	// waiting one. 0 is DefaultQuantum.
	Quantum time.Duration

	// MaxRunningPerTenant bounds how many tickets one tenant holds at once,
	// over all lanes. 0 is no bound but Tickets.
	MaxRunningPerTenant int

	// MaxQueuedPerSubject and MaxQueuedPerTenant bound how many calls of one
	// subject and of one tenant wait, in each lane for itself: a full batch
	// queue does not refuse interactive work. Over a bound the caller gets
	// fault.RateLimited. 0 is the default.
	MaxQueuedPerSubject int
	MaxQueuedPerTenant  int

	// MaxQueued bounds how many calls wait in all. Over it somebody gets
	// fault.Overloaded: the newest waiter of the tenant that has most waiting
	// for its weight, or the caller if its tenant would come to have as many.
	// 0 is DefaultMaxQueued.
	MaxQueued int

	// MaxWait bounds how long a call waits for its first turn; then it gets
	// fault.Overloaded. 0 is DefaultMaxWait.
	MaxWait time.Duration

	// LaneWeights are the shares of the lanes while all of them wait.
	LaneWeights LaneWeights

	// TenantWeights are the shares of tenants that differ from
	// DefaultTenantWeight, from 1 to MaxWeight.
	TenantWeights map[string]int

	// AgeBatch bounds how long the batch lane goes without a turn while it
	// waits, whatever the weights say. 0 is DefaultAgeBatch.
	AgeBatch time.Duration

	// LostAfter is how long a call may go on after its context has ended
	// before it counts as lost. 0 is DefaultLostAfter.
	LostAfter time.Duration

	// OnLost is called once for each lost call, by Run or Stats on their own
	// goroutine. It may be nil.
	OnLost func(Lost)

	// Adaptive lets the number of tickets follow the latency, from Tickets on.
	Adaptive Adaptive

	// Sandbox and Blocking are how many child processes run and how many
	// outgoing requests are under way at once, see NewResources. 0 is the
	// default: as many as CPU tickets, and DefaultBlocking.
	Sandbox  int
	Blocking int
}

// LaneWeights are the shares of the lanes, from 1 to MaxWeight; 0 is the
// default of that lane.
type LaneWeights struct {
	Interactive int
	Batch       int
	Admin       int
}

// Validate reports every field that is out of range, all at once.
func (c Config) Validate() error {
	var bad []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			bad = append(bad, fmt.Errorf("work: %s is %v, want %s", field, value, want))
		}
	}
	check(c.Tickets >= 0, "Tickets", c.Tickets, "0 (one for each core) or more")
	check(c.Quantum >= 0, "Quantum", c.Quantum, "0 (the default) or a positive duration")
	check(c.MaxRunningPerTenant >= 0, "MaxRunningPerTenant", c.MaxRunningPerTenant, "0 (no bound) or more")
	check(c.MaxQueuedPerSubject >= 0, "MaxQueuedPerSubject", c.MaxQueuedPerSubject, "0 (the default) or more")
	check(c.MaxQueuedPerTenant >= 0, "MaxQueuedPerTenant", c.MaxQueuedPerTenant, "0 (the default) or more")
	check(c.MaxQueued >= 0, "MaxQueued", c.MaxQueued, "0 (the default) or more")
	check(c.MaxWait >= 0, "MaxWait", c.MaxWait, "0 (the default) or a positive duration")
	check(c.AgeBatch >= 0, "AgeBatch", c.AgeBatch, "0 (the default) or a positive duration")
	check(c.LostAfter >= 0, "LostAfter", c.LostAfter, "0 (the default) or a positive duration")
	check(c.Sandbox >= 0, "Sandbox", c.Sandbox, "0 (the default) or more")
	check(c.Blocking >= 0, "Blocking", c.Blocking, "0 (the default) or more")
	if a := c.Adaptive; a.Max != 0 || a.Min != 0 {
		check(a.Min >= 0 && a.Min <= a.Max, "Adaptive.Min", a.Min, "0 to Adaptive.Max")
		check(a.New != nil, "Adaptive.New", "nil", "a limiter")
	}
	weight := func(field string, w, least int) {
		check(w >= least && w <= MaxWeight, field, w, fmt.Sprintf("%d to %d", least, MaxWeight))
	}
	weight("LaneWeights.Interactive", c.LaneWeights.Interactive, 0)
	weight("LaneWeights.Batch", c.LaneWeights.Batch, 0)
	weight("LaneWeights.Admin", c.LaneWeights.Admin, 0)
	for _, tenant := range slices.Sorted(maps.Keys(c.TenantWeights)) {
		weight(fmt.Sprintf("TenantWeights[%q]", tenant), c.TenantWeights[tenant], 1)
	}
	return errors.Join(bad...)
}
