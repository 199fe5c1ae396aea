package work

import "time"

// Stats is a picture of a scheduler at one moment.
type Stats struct {
	Tickets    int           // computations that may run at once
	Running    int           // computations that run
	Queued     int           // calls that wait for their first turn
	Resuming   int           // computations that gave their turn up and wait for the next
	Helpers    int           // goroutines of Fan that wait for a core to help a running call
	OldestWait time.Duration // of the call that has waited longest for its first turn
	Draining   bool

	Lanes          []LaneStats   // Interactive, Batch, Admin
	Tenants        []TenantStats // the busiest, at most MaxTenantStats
	TenantsOmitted int           // active tenants that are not in Tenants

	Waits    Waits             // for a first turn, over the last half to whole minute
	Granted  uint64            // first turns of calls since the start
	Canceled uint64            // calls that went away while they waited, since the start
	Yields   uint64            // turns given up to another, since the start
	Refused  map[string]uint64 // since the start, by code, such as "queue_full"

	PushedOut uint64         // calls pushed out of the full queue, since the start; most of Refused["queue_full"] are newcomers
	Lost      int            // running calls that did not return although their context ended
	LostTotal uint64         // calls that have been lost, since the start
	Adaptive  *AdaptiveStats // nil while the number of tickets is fixed
}

// AdaptiveStats says how the number of tickets follows the latency.
type AdaptiveStats struct {
	Min, Max int    // bounds of Stats.Tickets
	Changes  uint64 // of the number of tickets since the ceiling was configured
}

// MaxTenantStats is the most tenants that Stats lists.
const MaxTenantStats = 50

// LaneStats is what runs and waits in one lane.
type LaneStats struct {
	Lane     Lane
	Running  int
	Queued   int
	Resuming int
	Granted  uint64        // first turns since the start
	Service  time.Duration // recent average of the time a call computes; 0 is unknown
}

// TenantStats is what runs and waits for one tenant, over all lanes.
type TenantStats struct {
	Tenant   string
	Running  int
	Queued   int
	Resuming int
}

// Waits sums up waiting times; a turn that came at once is a wait of 0.
type Waits struct {
	Count         uint64
	P50, P95, P99 time.Duration // upper edges of buckets a quarter octave wide
}
