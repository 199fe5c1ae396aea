package limit

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// The arithmetic is the generic cell rate algorithm in its virtual scheduling
// form (ITU-T I.371, 1993): a bucket is the instant at which it will be full
// again. A unit takes period/amount to come back, which is seldom a whole number
// of nanoseconds, so instants are nanoseconds and an exact fraction of one:
// nothing is rounded and nothing drifts, however long a bucket lives.

const (
	// maxAmount is the largest amount, burst or debt, and the largest charge.
	// In nanoseconds of CPU it is eleven days.
	maxAmount = int64(1e15)
	// maxPeriod is the longest period of a rate.
	maxPeriod = 366 * 24 * time.Hour
	// maxSpan is the longest time that a bucket may take to fill from its deepest
	// debt. It leaves int64 nanoseconds room for centuries of uptime.
	maxSpan = 10 * int64(maxPeriod)
)

// ticks is a length of time: ns + frac/den nanoseconds, where den is the shape's
// and 0 ≤ frac < den.
type ticks struct{ ns, frac int64 }

func (a ticks) less(b ticks) bool { return a.ns < b.ns || a.ns == b.ns && a.frac < b.frac }

func minTicks(a, b ticks) ticks {
	if b.less(a) {
		return b
	}
	return a
}

func maxTicks(a, b ticks) ticks {
	if a.less(b) {
		return b
	}
	return a
}

// up rounds to whole nanoseconds, upwards.
func (a ticks) up() int64 {
	if a.frac > 0 {
		return a.ns + 1
	}
	return a.ns
}

// shape is a rate made ready for arithmetic. It is immutable; two buckets with
// the same shape pointer measure in the same units.
type shape struct {
	num, den int64 // one unit comes back in num/den nanoseconds, in lowest terms
	burst    int64 // units that a full bucket holds
	debt     int64 // units that settlement may take beyond an empty one
	span     ticks // time to come back of burst units
	deepest  ticks // and of burst + debt
}

var errSpan = errors.New("burst and debt take more than ten years to come back")

// newShape makes the shape of amount units per period.
func newShape(amount int64, period time.Duration, burst, debt int64) (*shape, error) {
	switch {
	case amount < 1 || amount > maxAmount:
		return nil, fmt.Errorf("amount is %d, want 1 to %d", amount, maxAmount)
	case period < 1 || period > maxPeriod:
		return nil, fmt.Errorf("period is %v, want up to %v", period, maxPeriod)
	case burst < 1 || burst > maxAmount:
		return nil, fmt.Errorf("burst is %d, want 1 to %d", burst, maxAmount)
	case debt < 0 || debt > maxAmount:
		return nil, fmt.Errorf("debt is %d, want 0 to %d", debt, maxAmount)
	}
	g := gcd(int64(period), amount)
	s := &shape{num: int64(period) / g, den: amount / g, burst: burst, debt: debt}
	s.span, s.deepest = s.price(burst), s.price(burst+debt)
	if s.deepest.ns > maxSpan {
		return nil, errSpan
	}
	return s, nil
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// price returns the time in which n units come back, exactly; more than maxSpan
// if that is what it is.
func (s *shape) price(n int64) ticks {
	if n <= 0 {
		return ticks{}
	}
	hi, lo := bits.Mul64(uint64(n), uint64(s.num))
	if hi >= uint64(s.den) {
		return ticks{ns: maxSpan + 1}
	}
	q, r := bits.Div64(hi, lo, uint64(s.den))
	if q > uint64(maxSpan) {
		return ticks{ns: maxSpan + 1}
	}
	return ticks{int64(q), int64(r)}
}

// units returns how many whole units come back in t.
func (s *shape) units(t ticks) int64 {
	hi, lo := bits.Mul64(uint64(t.ns), uint64(s.den))
	lo, carry := bits.Add64(lo, uint64(t.frac), 0)
	hi += carry
	if hi >= uint64(s.num) {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, uint64(s.num))
	return int64(min(q, math.MaxInt64))
}

func (s *shape) add(a, b ticks) ticks {
	c := ticks{a.ns + b.ns, a.frac + b.frac}
	if c.frac >= s.den {
		c.ns, c.frac = c.ns+1, c.frac-s.den
	}
	return c
}

// sub returns a − b, or nothing if b is more.
func (s *shape) sub(a, b ticks) ticks {
	if !b.less(a) {
		return ticks{}
	}
	c := ticks{a.ns - b.ns, a.frac - b.frac}
	if c.frac < 0 {
		c.ns, c.frac = c.ns-1, c.frac+s.den
	}
	return c
}

// level is the state of a bucket. The zero value is a full one.
type level struct {
	full  int64 // the instant at which it is full again: nanoseconds on the limiter's clock
	frac  int64 // and this many parts of one, of the shape's den
	given int64 // nanoseconds refunded since it was last full, rounded up; it sticks at the most
	fills uint32
}

// used returns what is missing in the bucket at now ≥ 0. A clock that went
// backwards makes a bucket look emptier than it can be; it is then as empty as
// can be, so that it never gives more than it may and is full again in the usual
// time.
func (s *shape) used(l level, now int64) ticks {
	if l.full < now {
		return ticks{}
	}
	return minTicks(ticks{l.full - now, l.frac}, s.deepest)
}

// at returns l with u missing at now. A bucket that is full starts over: what was
// taken before has come back, and cannot be refunded any more.
func (l level) at(now int64, u ticks) level {
	l.full, l.frac = now+u.ns, u.frac
	if u == (ticks{}) {
		l.given = 0
		l.fills++
	}
	return l
}

// wait returns how long it takes until n units can be taken: 0 if they can be
// now. never says that the bucket cannot hold so many.
func (s *shape) wait(l level, now, n int64) (wait time.Duration, never bool) {
	if n > s.burst {
		return 0, true
	}
	room := s.sub(s.span, s.price(n))
	return time.Duration(s.sub(s.used(l, now), room).up()), false
}

// mark is what a refund has to know about a charge.
type mark struct {
	at    int64 // when
	full  int64 // level.full after it
	frac  int64
	given int64
	fills uint32
}

// take charges n units, which wait has found to be there.
func (s *shape) take(l level, now, n int64) (level, mark) {
	u := s.used(l, now)
	if u == (ticks{}) {
		l = l.at(now, u)
	}
	l = l.at(now, s.add(u, s.price(n)))
	return l, mark{at: now, full: l.full, frac: l.frac, given: l.given, fills: l.fills}
}

// overdraw charges n units whether they are there or not, down to the deepest
// debt.
func (s *shape) overdraw(l level, now, n int64) level {
	return l.at(now, minTicks(s.add(s.used(l, now), minTicks(s.price(n), s.deepest)), s.deepest))
}

// give returns x of the n units that were charged with m.
//
// Seen as a queue that drains at the bucket's rate, a charge can only give back
// what of it is still queued: what has drained came back by itself, and giving it
// once more would let the owner exceed the burst. What is certainly still queued
// is the more of two bounds: all but what drained since the charge was made; and
// what lies between now and the charge's place, if every refund since moved it
// forward. The first is exact for a call that is refunded at once, in whatever
// order; the second for one that waited behind others.
func (s *shape) give(l level, now, n, x int64, m mark) level {
	charged := s.price(n)
	left := s.sub(charged, ticks{ns: max(now-m.at, 0)})
	if m.fills == l.fills && l.given < math.MaxInt64 {
		if ns := m.full - now - (l.given - m.given); ns >= 0 {
			left = maxTicks(left, minTicks(ticks{ns, m.frac}, charged))
		}
	}
	u := s.used(l, now)
	back := minTicks(minTicks(s.price(min(x, n)), left), u)
	if back == (ticks{}) {
		return l
	}
	if b := back.up(); l.given < math.MaxInt64-b {
		l.given += b
	} else {
		l.given = math.MaxInt64
	}
	return l.at(now, s.sub(u, back))
}

// left returns how many whole units a bucket holds at now.
func (s *shape) left(l level, now int64) int64 {
	return min(s.units(s.sub(s.span, s.used(l, now))), s.burst)
}

// reset returns how long it takes until a bucket is full.
func (s *shape) reset(l level, now int64) time.Duration {
	return time.Duration(s.used(l, now).up())
}

// convert returns the level under s of a bucket that was at l under old. What was
// used stays used, in units, rounded up. What was charged before cannot be
// refunded any more: the rates at which it came back differ.
func (s *shape) convert(old *shape, l level, now int64) level {
	u := old.used(l, now)
	n := old.units(u)
	if p := old.price(n); p.less(u) {
		n++
	}
	next := level{fills: l.fills + 1}
	return next.at(now, minTicks(s.price(n), s.deepest))
}
