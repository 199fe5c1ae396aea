package limit

import (
	"sync/atomic"
	"time"
)

// Reservation is a charge that was made. Exactly one of Settle and Refund counts,
// the first; a nil Reservation takes both and does nothing. While a reservation
// is open its buckets stay in memory.
type Reservation struct {
	limiter *Limiter
	shard   *shard
	done    atomic.Bool
	cost    int64
	cpu     int64
	charges []charge
	counts  []count
	few     [4]charge // where charges begins: a call has seldom more
}

type charge struct {
	bucket *bucket
	tally  *tally
	unit   Unit
	n      int64
	mark   mark
	epoch  uint32
}

type count struct {
	counter *counter
	tally   *tally
	unit    Unit
	block   int64
	n       int64
	day     int64
}

// Usage is what a call really used.
type Usage struct {
	CPU  time.Duration
	Cost int64 // 0 is what was reserved
}

// Settle replaces what was reserved by what was used; a call counts as one
// whatever it used. What was reserved beyond it is given back as by Refund. What
// was used beyond it is taken too, into debt if need be, down to the limit's Debt;
// a quota has no such bound. It reports whether this was the call that counted.
func (r *Reservation) Settle(used Usage) bool {
	if r == nil || r.done.Swap(true) {
		return false
	}
	r.finish(func(unit Unit, n int64) int64 {
		switch {
		case unit == CPU:
			return min(max(int64(used.CPU), 0), maxAmount)
		case unit == Cost && used.Cost > 0:
			return min(used.Cost, maxAmount)
		}
		return n
	}, func(t *tally) { t.settled.Add(1) })
	return true
}

// Refund gives a charge back: the call was cancelled before it ran. It never
// gives more than was taken, and nothing that has come back meanwhile by itself,
// so that a bucket is never fuller than without the charge. It reports whether
// this was the call that counted.
func (r *Reservation) Refund() bool {
	if r == nil || r.done.Swap(true) {
		return false
	}
	r.finish(func(Unit, int64) int64 { return 0 }, func(t *tally) { t.refunded.Add(1) })
	return true
}

// finish sets every charge to what actual says.
func (r *Reservation) finish(actual func(Unit, int64) int64, tell func(*tally)) {
	s := r.shard
	s.mu.Lock()
	now := s.tickLocked(r.limiter)
	for i := range r.charges {
		c := &r.charges[i]
		b := c.bucket
		b.refs--
		switch n := actual(c.unit, c.n); {
		case n > c.n:
			b.level = b.shape.overdraw(b.level, now, n-c.n)
		case n < c.n && c.epoch == b.epoch:
			b.level = b.shape.give(b.level, now, c.n, c.n-n, c.mark)
		}
	}
	for i := range r.counts {
		c := &r.counts[i]
		s.settleLocked(c, actual(c.unit, c.n))
	}
	s.mu.Unlock()
	for i := range r.charges {
		tell(r.charges[i].tally)
	}
	for i := range r.counts {
		tell(r.counts[i].tally)
	}
}
