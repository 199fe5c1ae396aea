package limit

import (
	"errors"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// A counter hands out a day's quota. What may be handed out without asking the
// source is what has been leased, and a lease is saved before any of it is used:
// so what is saved is never less than what calls were let in with. A process that
// is killed loses, to the owner's disfavour, what was leased and not used, at most
// one Block for each counter and what one call takes. To the owner's favour it
// loses only what running calls took beyond what they had reserved, and, for up to
// flushEvery, what calls had taken so when they were settled.

const (
	maxUsed       = int64(1) << 60
	flushBatch    = 256
	idleBatch     = 256
	evictBatch    = 16
	idleAfter     = 10 * time.Minute
	sourceTimeout = 5 * time.Second
	sourceRest    = time.Second    // after a failure
	keepFor       = 48 * time.Hour // beyond the day's end, for clocks that disagree
)

var (
	errResting  = errors.New("the store of quotas failed a moment ago")
	errUnknown  = errors.New("the store of quotas did not answer")
	errCounters = &fault.Error{
		Kind: fault.Overloaded, Code: "quota_table_full", RetryAfter: sweepEvery,
		Public: "too many callers have daily quotas in use",
	}
)

// counterKey names a counter. The identity of the quota is its tally.
type counterKey struct {
	limit                   *tally
	tenant, issuer, subject string
}

// counter is one quota of one party on one day. Its shard's lock owns it.
type counter struct {
	key           counterKey
	day           int64
	amount, block int64 // of the quota, when it was last charged
	open          bool  // and so is this
	used          int64 // handed out, as far as this process knows, and what the source knew
	leased        int64 // may be handed out without asking
	saved         int64 // what the source has
	loaded        bool  // the source was asked
	blind         bool  // it did not answer, and the quota is open
	refs          int32
	touched       time.Time
	dirty         bool          // it is in shard.dirty
	busy          chan struct{} // closed when the source has answered; nil if it was not asked
}

func dayOf(t time.Time) int64 { return t.Unix() / secondsPerDay }

// countLocked finds the counters of quotas. If one refuses, d says so. If some
// must ask the source first it returns the questions, or what to wait for when
// somebody has asked, or that there is no room for a counter.
func (s *shard) countLocked(l *Limiter, quotas []*allowance, tx *Transaction, cost, cpu int64, now time.Time, counted []*counter, d *Decision) (asks []lease, wait <-chan struct{}, room bool) {
	day := dayOf(now)
	var ask [maxApplying]bool
	asking := false
	for i, q := range quotas {
		c := s.counterLocked(l, q, tx)
		if c == nil {
			return nil, nil, true
		}
		counted[i] = c
		if c.busy == nil && c.day != day {
			c.day, c.used, c.leased, c.saved, c.loaded, c.blind = day, 0, 0, 0, false, false
		}
		c.amount, c.block, c.open, c.touched = q.Amount, q.Block, q.OnFailure == Open, now
		n := q.amount(cost, cpu)
		switch known := c.day == day && (c.loaded || c.blind); {
		case known && c.used+n > q.Amount || n > q.Amount:
			d.exhausted(q, c, now, n)
		case known && c.used+n <= c.leased:
			d.count(q, c, now, n)
		case c.busy != nil:
			wait = c.busy
		default:
			ask[i], asking = true, true
		}
	}
	if !d.Allowed {
		return nil, nil, false
	}
	if asking {
		for i, q := range quotas {
			if ask[i] {
				asks = append(asks, counted[i].askLocked(q.amount(cost, cpu), false))
			}
		}
	}
	return asks, wait, false
}

func (s *shard) counterLocked(l *Limiter, q *allowance, tx *Transaction) *counter {
	k := counterKey{limit: q.tally, tenant: tx.Tenant}
	if q.Per == PerOwner {
		k.issuer, k.subject = tx.Issuer, tx.Subject
	}
	c := s.counters[k]
	if c == nil {
		if l.counters.Add(1) > int64(s.plans.config.MaxCounters) {
			l.counters.Add(-1)
			return nil
		}
		c = &counter{key: k, day: -1}
		s.counters[k] = c
	}
	return c
}

// watchLocked notes c for Flush if more was used than is saved, or if the lease
// will soon be used up.
func (s *shard) watchLocked(c *counter) {
	if !c.dirty && (c.used > c.saved || c.leased-c.used < c.block/2 && c.leased < c.amount) {
		c.dirty = true
		s.dirty = append(s.dirty, c)
	}
}

// settleLocked sets the charge of c to n. What was charged on another day stays
// as it was.
func (s *shard) settleLocked(c *count, n int64) {
	c.counter.refs--
	if c.counter.day == c.day {
		c.counter.used = min(c.counter.used+n-c.n, maxUsed)
		s.watchLocked(c.counter)
	}
}
