package limit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// lease is a question to the source about one counter, which is busy meanwhile.
type lease struct {
	counter       *counter
	key           Key
	n             int64 // wanted at once
	used, leased  int64 // the counter's when it was asked
	amount, block int64
	load, trim    bool
	open          bool  // the quota is
	base, target  int64 // the answer: what was used before, and what may be used now
	known         bool  // base is
	done          chan struct{}
}

// askLocked makes c busy. A trim gives back what c has leased and not used.
func (c *counter) askLocked(n int64, trim bool) lease {
	if trim {
		c.leased = c.used
	}
	c.busy = make(chan struct{})
	return lease{
		done:    c.busy,
		counter: c, n: n, used: c.used, leased: c.leased, amount: c.amount, block: c.block, load: !c.loaded, open: c.open, trim: trim,
		key: Key{Quota: c.key.limit.name, Tenant: c.key.tenant, Issuer: c.key.issuer, Subject: c.key.subject, Day: c.day},
	}
}

// advance asks the source and tells the counters. It does not end with ctx: who
// goes away must not leave others with a doubtful lease. Its error says that a
// closed quota cannot go on.
func (l *Limiter) advance(ctx context.Context, s *shard, asks []lease) error {
	err := errUnknown
	defer func() { // also when the source panics: nobody may wait for ever
		if err != nil {
			l.tell(s, asks, false)
		}
	}()
	if l.clock() < l.retryAt.Load() {
		err = errResting
	} else if err = l.ask(ctx, asks); err != nil {
		l.failures.Add(1)
		l.retryAt.Store(l.clock() + int64(sourceRest))
	}
	if err == nil {
		l.tell(s, asks, true)
		return nil
	}
	if !slices.ContainsFunc(asks, func(a lease) bool { return !a.open }) {
		return nil
	}
	return &fault.Error{
		Kind: fault.Unavailable, Code: "quota_unavailable", RetryAfter: sourceRest,
		Public: "daily quotas cannot be counted at the moment", Err: err,
	}
}

// ask loads what is not known and saves the leases that grow out of it.
func (l *Limiter) ask(ctx context.Context, asks []lease) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sourceTimeout)
	defer cancel()
	records := make([]Record, 0, len(asks))
	for i := range asks {
		a := &asks[i]
		if a.load {
			base, err := l.source.Load(ctx, a.key)
			if err != nil {
				return err
			}
			a.base = min(max(base, 0), maxUsed)
		}
		a.known = true
		if a.aim(); a.target > a.base || !a.load {
			records = append(records, Record{Key: a.key, Used: a.target, Expires: a.key.Start().Add(24*time.Hour + keepFor)})
		}
	}
	if len(records) == 0 {
		return nil
	}
	return l.source.Save(ctx, records)
}

// aim sets the target: what is wanted and a block, but no more than the quota.
// What the quota does not hold is not leased; the next try will be refused.
func (a *lease) aim() {
	used := a.base + a.used
	if a.trim {
		a.target = used
		return
	}
	if used+a.n <= a.amount {
		used += a.n
	}
	a.target = max(used, min(used+a.block, a.amount), a.base+a.leased)
}

// tell brings the answer, or that there was none, to the counters, and wakes who
// waits for them.
func (l *Limiter) tell(s *shard, asks []lease, saved bool) {
	s.mu.Lock()
	for i := range asks {
		a := &asks[i]
		c := a.counter
		c.busy = nil
		if a.known && a.load {
			c.used = min(c.used+a.base, maxUsed)
			c.leased = max(c.leased+a.base, 0)
			c.saved, c.loaded, c.blind = a.base, true, false
		}
		switch {
		case saved:
			c.leased, c.saved = a.target, a.target
		case a.open && !a.trim:
			if !a.known {
				a.aim()
				c.blind = !c.loaded
			}
			c.leased = max(c.leased, a.target)
			l.unsaved.Add(1)
		}
		if !a.trim || c.used > c.saved {
			s.watchLocked(c)
		}
	}
	s.mu.Unlock()
	for i := range asks {
		close(asks[i].done)
	}
}

// Flush saves what was used beyond the leases, and leases ahead where a lease is
// half used, a bounded number of counters in each shard. Run calls it.
func (l *Limiter) Flush(ctx context.Context) error {
	var errs []error
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		asks := s.dirtyLocked()
		s.mu.Unlock()
		if asks != nil {
			errs = append(errs, l.advance(ctx, s, asks))
		}
	}
	return errors.Join(errs...)
}

// dirtyLocked takes counters out of the list and makes them busy.
func (s *shard) dirtyLocked() (asks []lease) {
	n := min(len(s.dirty), flushBatch)
	batch := s.dirty[:n:n]
	s.dirty = s.dirty[n:]
	if len(s.dirty) == 0 {
		s.dirty = nil // let go of the array
	}
	for _, c := range batch {
		c.dirty = false
		switch {
		case c.busy != nil: // its answer will look at it again
		case c.used > c.saved || c.leased < c.amount:
			asks = append(asks, c.askLocked(0, false))
		}
	}
	return asks
}

// idleLocked drops counters that are over or idle, and asks to give back what
// idle ones have leased. It looks at a bounded number, in no order.
func (s *shard) idleLocked(l *Limiter, now time.Time) (asks []lease) {
	today, looked := dayOf(now), 0
	for _, c := range s.counters {
		if looked++; looked > idleBatch {
			break
		}
		idle := c.day != today || now.Sub(c.touched) > idleAfter
		switch {
		case !idle || c.refs > 0 || c.busy != nil || c.dirty || c.used > c.saved:
		case c.day == today && c.loaded && c.leased > c.used:
			asks = append(asks, c.askLocked(0, true))
		default:
			s.forgetLocked(l, c)
		}
	}
	return asks
}

func (s *shard) forgetLocked(l *Limiter, c *counter) {
	delete(s.counters, c.key)
	l.counters.Add(-1)
}

// evict makes room for counters: it drops some that nobody uses at the moment,
// with what they have leased.
func (l *Limiter) evict() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		looked := 0
		for _, c := range s.counters {
			if looked++; looked > evictBatch {
				break
			}
			if c.refs == 0 && c.busy == nil && !c.dirty && c.used <= c.saved {
				s.forgetLocked(l, c)
			}
		}
		s.mu.Unlock()
	}
}

// Close saves every quota as it is, so that nothing leased is lost. Call it when
// no reservation is open any more; what is charged later is right all the same.
func (l *Limiter) Close(ctx context.Context) error {
	var errs []error
	for i := range l.shards {
		s := &l.shards[i]
		var asks []lease
		s.mu.Lock()
		for _, c := range s.counters {
			if c.busy == nil && (c.loaded || c.blind) && (c.leased > c.used || c.used > c.saved) {
				asks = append(asks, c.askLocked(0, true))
			}
		}
		s.mu.Unlock()
		for len(asks) > 0 {
			n := min(len(asks), flushBatch)
			errs = append(errs, l.advance(ctx, s, asks[:n]))
			asks = asks[n:]
		}
	}
	return errors.Join(errs...)
}
