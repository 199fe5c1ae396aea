package work

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// A Scheduler hands out tickets. It is safe for concurrent use and starts no
// goroutine of its own.
type Scheduler struct {
	base    time.Time    // times are nanoseconds since then
	quantum atomic.Int64 // written under mu and read by Yield

	// pressure is the number of waiters plus that of running computations
	// above the number of tickets. It is written under mu and read by Yield.
	pressure atomic.Int64

	mu       sync.Mutex
	q        *queue
	tickets  int
	maxWait  time.Duration
	ceiling  *ceiling // nil if the number of tickets is fixed
	lost     lostCalls
	waits    waitLog
	service  [lanes]average // computing time of a whole call
	turns    [lanes]average // computing time of one turn
	granted  [lanes]uint64
	refused  [refusals]uint64
	canceled uint64
	pushed   uint64 // calls pushed out of a full queue
	yields   uint64
	away     int           // tickets that rest while their helpers compute
	idle     chan struct{} // made by Drain, closed when nothing runs or waits
	rested   bool          // idle is closed
}

// average is a running mean that forgets after about sixteen values.
type average int64

func (a *average) add(x int64) {
	if *a == 0 {
		*a = average(x)
	} else {
		*a += (average(x) - *a) / 16
	}
}

// New returns a scheduler. Fields of cfg that are 0 get their defaults; cfg
// must be valid.
func New(cfg Config) *Scheduler {
	s := &Scheduler{base: time.Now(), q: newQueue(cfg.policy())}
	s.configureLocked(&cfg)
	return s
}

// configureLocked takes over what does not concern the queue.
func (s *Scheduler) configureLocked(cfg *Config) {
	s.quantum.Store(s.q.policy.quantum)
	s.maxWait = cmp.Or(cfg.MaxWait, DefaultMaxWait)
	s.lost.after = int64(cmp.Or(cfg.LostAfter, DefaultLostAfter))
	s.lost.tell = cfg.OnLost
	s.tickets = cmp.Or(cfg.Tickets, runtime.GOMAXPROCS(0))
	s.followLocked(cfg.Adaptive)
}

// Reconfigure replaces the configuration of a scheduler at work, as New would
// set it. Waiters keep their places, and what waits beyond a lowered bound stays;
// when there are fewer tickets than run now, the surplus stops at its next Yield
// or Release. It fails, and changes nothing, if cfg is not valid. It costs
// O(n log n) in the number of active tenants.
func (s *Scheduler) Reconfigure(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s.mu.Lock()
	now := s.now()
	s.q.reform(cfg.policy(), now)
	s.configureLocked(&cfg)
	chain := s.dispatchLocked(now)
	s.mu.Unlock()
	wake(chain, nil)
	return nil
}

// policy returns what the queue needs of c, with the defaults filled in.
func (cfg *Config) policy() policy {
	p := policy{
		tenants:    maps.Clone(cfg.TenantWeights),
		maxRunning: cfg.MaxRunningPerTenant,
		maxSubject: cmp.Or(cfg.MaxQueuedPerSubject, DefaultMaxQueuedPerSubject),
		maxTenant:  cmp.Or(cfg.MaxQueuedPerTenant, DefaultMaxQueuedPerTenant),
		maxQueued:  cmp.Or(cfg.MaxQueued, DefaultMaxQueued),
		ageBatch:   int64(cmp.Or(cfg.AgeBatch, DefaultAgeBatch)),
		quantum:    int64(cmp.Or(cfg.Quantum, DefaultQuantum)),
	}
	p.laneWeights[Interactive] = int64(cmp.Or(cfg.LaneWeights.Interactive, DefaultWeightInteractive))
	p.laneWeights[Batch] = int64(cmp.Or(cfg.LaneWeights.Batch, DefaultWeightBatch))
	p.laneWeights[Admin] = int64(cmp.Or(cfg.LaneWeights.Admin, DefaultWeightAdmin))
	return p
}

// now returns the time on the scheduler's clock.
func (s *Scheduler) now() int64 { return int64(time.Since(s.base)) }

// Acquire blocks the caller's goroutine until its fair turn and returns the
// ticket, which the caller must release. It costs about 0.2 µs when a core is
// free. An Inline claim gets a nil ticket at once.
//
// It fails with fault.RateLimited (code subject_queue_full or
// tenant_queue_full) or fault.Overloaded (queue_full, queue_timeout, draining),
// both with RetryAfter, or with why ctx ended; then the place in the queue is
// free again. A call that is refused for a full queue is refused at once, unless
// it waited already and has to make room for a tenant that has fewer waiting.
func (s *Scheduler) Acquire(ctx context.Context, c Claim) (*Ticket, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	switch {
	case c.Lane == Inline:
		return nil, nil
	case c.Lane >= lanes:
		return nil, fault.Newf(fault.Internal, "work: lane %d, want %s, %s or %s", c.Lane, Interactive, Batch, Admin)
	}
	return s.acquire(ctx, &c, nil)
}

// acquire waits for a first turn. A helper works for lead, which runs already: it
// waits without an end, and the figures count calls only.
func (s *Scheduler) acquire(ctx context.Context, c *Claim, lead *Ticket) (*Ticket, error) {
	helper := lead != nil
	t := &Ticket{s: s, ctx: ctx, lead: lead}
	t.lane.Store(int32(c.Lane))
	t.job.tenant, t.job.subject, t.job.session = c.Tenant, c.Subject, c.Session
	t.job.lane, t.job.helper = c.Lane, helper
	t.job.owner = t

	s.mu.Lock()
	now := s.now()
	if s.idle != nil && !helper {
		s.refused[draining]++
		s.mu.Unlock()
		return nil, draining.fault(0)
	}
	if s.q.running < s.tickets && s.q.start(&t.job, now) {
		s.begunLocked(t, now, now)
		s.mu.Unlock()
		t.resume(now)
		return t, nil
	}
	var loser *Ticket
	if r := s.q.full(&t.job); r != admitted && !helper {
		if r == queueFull {
			loser = s.pushOutLocked(&t.job, now)
		}
		if loser == nil {
			s.refused[r]++
			estimate := s.backlogLocked(&t.job, r)
			s.mu.Unlock()
			return nil, r.fault(estimate)
		}
	}
	t.job.cost = s.guessLocked(c)
	s.q.push(&t.job, now)
	t.turn = make(chan struct{}, 1)
	s.pressLocked()
	patience := s.maxWait
	s.mu.Unlock()
	wake(loser, nil)

	if helper {
		patience = 0
	}
	if err := t.await(ctx, now, patience, c.OnWait); err != nil {
		return nil, err
	}
	return t, nil
}

// pushOutLocked takes a waiter out of the full queue to make room for j, and
// returns it for wake; nil if j has to go.
func (s *Scheduler) pushOutLocked(j *job, now int64) *Ticket {
	out := s.q.excess(j)
	if out == nil {
		return nil
	}
	t := out.owner
	t.refused = queueFull.fault(s.backlogLocked(out, queueFull))
	s.q.remove(out, now)
	s.pushed++
	return t
}

// guessLocked returns what to charge for a first turn when it begins: never
// more than a quantum, because a guess that is too high lets the clocks run
// ahead until it is corrected.
func (s *Scheduler) guessLocked(c *Claim) int64 {
	quantum := s.q.policy.quantum
	guess := cmp.Or(int64(c.Cost), int64(s.turns[c.Lane]), quantum)
	return min(max(guess, 1), quantum)
}

// begunLocked records that t, waiting since then, has its first turn.
func (s *Scheduler) begunLocked(t *Ticket, since, now int64) {
	t.begun = true
	t.job.cost = s.q.policy.quantum // of the turns that may follow
	if !t.job.helper {
		if s.ceiling != nil {
			t.trial = &trial{ceiling: s.ceiling}
		}
		s.granted[t.job.lane]++
		s.waits.add(now-since, now)
	}
}

// dispatchLocked gives free slots to the next waiters and returns them, chained,
// for wake.
func (s *Scheduler) dispatchLocked(now int64) (chain *Ticket) {
	for s.q.running < s.tickets {
		j := s.q.pop(now)
		if j == nil {
			break
		}
		t := j.owner
		if !t.begun {
			s.begunLocked(t, j.since, now)
		}
		t.next, chain = chain, t
	}
	s.pressLocked()
	return chain
}

// wake tells the tickets of a chain, but for self, that their turn has come, or
// that they are refused. It
// is called after mu is unlocked.
func wake(chain, self *Ticket) {
	for t := chain; t != nil; {
		next := t.next // t belongs to its waiter once it is told
		t.next = nil
		if t != self {
			t.turn <- struct{}{}
		}
		t = next
	}
}

// pressLocked brings pressure up to date and ends a drain when all is quiet.
func (s *Scheduler) pressLocked() {
	p := int64(s.q.root.waiting + max(0, s.q.running-s.tickets))
	if s.pressure.Load() != p {
		s.pressure.Store(p)
	}
	if s.idle != nil && !s.rested && s.q.running+s.q.root.waiting+s.away == 0 {
		s.rested = true
		close(s.idle)
	}
}

// Resize sets how many computations run at once, at least 1. When there are
// fewer than run now, the surplus stops at its next Yield or Release. An adaptive
// ceiling goes on from its own figure when the next call ends.
func (s *Scheduler) Resize(tickets int) {
	s.mu.Lock()
	s.tickets = max(1, tickets)
	chain := s.dispatchLocked(s.now())
	s.mu.Unlock()
	wake(chain, nil)
}

// size returns the number of tickets.
func (s *Scheduler) size() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tickets
}

// Drain makes every later Acquire fail with fault.Overloaded (code draining)
// and waits until nothing runs or waits. It fails when ctx ends first; calling
// it again goes on waiting. Inline claims are not affected.
func (s *Scheduler) Drain(ctx context.Context) error {
	s.mu.Lock()
	if s.idle == nil {
		s.idle = make(chan struct{})
		s.pressLocked()
	}
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	running, waiting := s.q.running, s.q.root.waiting
	s.mu.Unlock()
	return fmt.Errorf("drain: %d running and %d waiting: %w", running, waiting, ended(ctx))
}

// OldestWait returns how long the call of a lane has waited that waits longest
// for its first turn, 0 if none does. It costs a step for each call of another
// lane that waits even longer.
func (s *Scheduler) OldestWait(lane Lane) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := s.q.arrivals.head; j != nil; j = j.link[inArrivals].next {
		if j.lane == lane {
			return time.Duration(s.now() - j.since)
		}
	}
	return 0
}

// Stats returns a picture of the scheduler, and looks for lost calls, as Run
// does. It costs O(active tenants).
func (s *Scheduler) Stats() Stats {
	s.findLost()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.waits.turn(now)
	st := Stats{
		Tickets: s.tickets, Running: s.q.running, Draining: s.idle != nil,
		Waits: s.waits.sum(), Canceled: s.canceled, Yields: s.yields,
		Refused: make(map[string]uint64, refusals), PushedOut: s.pushed,
		Lost: s.lost.now, LostTotal: s.lost.total,
	}
	if c := s.ceiling; c != nil {
		st.Adaptive = &AdaptiveStats{Min: c.min, Max: c.max, Changes: c.changes}
	}
	if oldest := s.q.arrivals.head; oldest != nil {
		st.OldestWait = time.Duration(now - oldest.since)
	}
	for l := Interactive; l < lanes; l++ {
		c := s.q.counts[l]
		st.Lanes = append(st.Lanes, LaneStats{
			Lane: l, Running: c.running, Queued: c.fresh, Resuming: c.resuming,
			Granted: s.granted[l], Service: time.Duration(s.service[l]),
		})
		st.Queued += c.fresh
		st.Resuming += c.resuming
		st.Helpers += c.helpers
		st.Granted += s.granted[l]
	}
	for r := subjectQueueFull; r < refusals; r++ {
		st.Refused[refusalFaults[r].Code] = s.refused[r]
	}
	st.Tenants = make([]TenantStats, 0, len(s.q.accounts))
	for name, a := range s.q.accounts {
		if a != s.q.warm {
			st.Tenants = append(st.Tenants, TenantStats{name, a.running, a.fresh, a.resuming})
		}
	}
	slices.SortFunc(st.Tenants, func(a, b TenantStats) int {
		return cmp.Or(
			cmp.Compare(b.Running+b.Queued+b.Resuming, a.Running+a.Queued+a.Resuming),
			strings.Compare(a.Tenant, b.Tenant))
	})
	if n := len(st.Tenants); n > MaxTenantStats {
		st.Tenants, st.TenantsOmitted = st.Tenants[:MaxTenantStats], n-MaxTenantStats
	}
	return st
}
