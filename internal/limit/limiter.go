package limit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Limiter decides who may use how much. Its methods may be called from any
// goroutine.
type Limiter struct {
	source Source
	seed   maphash.Seed
	start  time.Time // clock counts from here; its monotonic part never jumps
	plans  atomic.Pointer[plans]
	shards [shards]shard

	tenants  atomic.Int64 // accounts that count
	members  atomic.Int64 // buckets that count
	counters atomic.Int64 // of quotas
	failures atomic.Uint64
	unsaved  atomic.Uint64
	retryAt  atomic.Int64 // clock before which the source is left alone, after it failed

	mu      sync.Mutex
	tallies map[string]*tally // under mu
}

// New returns a limiter under c. source keeps quotas beyond the process; nil
// keeps them in memory.
func New(c Config, source Source) (*Limiter, error) {
	if source == nil {
		source = NewMemory()
	}
	l := &Limiter{source: source, seed: maphash.MakeSeed(), start: time.Now(), tallies: map[string]*tally{}}
	for i := range l.shards {
		l.shards[i].accounts, l.shards[i].counters = map[string]*account{}, map[counterKey]*counter{}
	}
	if err := l.Reconfigure(c); err != nil {
		return nil, err
	}
	return l, nil
}

// Reconfigure puts c in force, or changes nothing and says what is wrong with it.
// Levels stay: what was used is used under the new limits too, by name. A charge
// made before its limit's rate changed is settled, but nothing of it is refunded.
// It costs a look at every bucket, one shard at a time.
func (l *Limiter) Reconfigure(c Config) error {
	c.Costs = maps.Clone(c.Costs)
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.tallies)+len(c.Limits)+len(c.Quotas) > maxNames {
		return fmt.Errorf("limits: more than %d names since the start", maxNames)
	}
	p, err := newPlans(c, l.tallyLocked)
	if err != nil {
		return fmt.Errorf("limits: %w", err)
	}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.tickLocked(l)
		s.plans = p
		s.reshapeAllLocked()
		s.mu.Unlock()
	}
	l.plans.Store(p)
	return nil
}

func (l *Limiter) tallyLocked(name string) *tally {
	if l.tallies[name] == nil {
		l.tallies[name] = &tally{name: name}
	}
	return l.tallies[name]
}

// clock returns nanoseconds since the limiter was made.
func (l *Limiter) clock() int64 { return int64(time.Since(l.start)) }

// minCPU is reserved for a call that names no CPU time: one in debt must not
// slip through for nothing.
const minCPU = time.Millisecond

// attempt is one try to charge.
type attempt struct {
	decision Decision
	made     *Reservation
	// What has to be done without the lock before the next try.
	leases []lease
	wait   <-chan struct{}
	room   bool
}

// Charge charges tx to every limit and quota that applies, or to none of them.
// With Allowed, the reservation must be settled or refunded; it may be nil, which
// is as good as any, where nothing applies. Otherwise the decision says which
// limit refused, the one to wait longest for, and for how long exactly.
//
// It takes well under a microsecond, but for a quota's first charge of a day, and
// for one in each Block of it at the most: that waits for the Source.
func (l *Limiter) Charge(ctx context.Context, tx Transaction) (*Reservation, Decision) {
	if l.plans.Load().of(tx.Tenant).free(tx.Operation) {
		return nil, Decision{Allowed: true}
	}
	s := l.shardOf(tx.Tenant)
	for room := true; ; {
		s.mu.Lock()
		try := s.chargeLocked(l, &tx)
		s.mu.Unlock()
		switch {
		case try.room:
			if !room {
				return nil, Decision{Err: errCounters}
			}
			room = false
			l.evict()
		case try.leases != nil:
			if err := l.advance(ctx, s, try.leases); err != nil {
				return nil, Decision{Err: err}
			}
		case try.wait != nil:
			select {
			case <-try.wait:
			case <-ctx.Done():
				return nil, Decision{Err: context.Cause(ctx)}
			}
		default:
			return try.made, try.decision
		}
	}
}

// chargeLocked looks at everything first and takes only when all of it is there.
func (s *shard) chargeLocked(l *Limiter, tx *Transaction) (try attempt) {
	var list room
	applying := s.plans.of(tx.Tenant).of(tx.Operation, &list)
	now := s.tickLocked(l)
	cost, ok := s.plans.config.Costs[tx.Operation]
	if !ok {
		cost = max(cmp.Or(tx.Cost, 1), 0)
	}
	cpu := int64(max(tx.CPU, minCPU))

	var picked [maxApplying]*bucket
	var d Decision
	d.Allowed = true
	before := len(s.ring)
	if len(applying.rules) > 0 {
		a := s.accountLocked(l, tx.Tenant)
		for i, r := range applying.rules {
			picked[i] = s.bucketLocked(l, a, r, tx)
			d.weigh(r, picked[i].level, now, r.amount(cost, cpu))
		}
	}
	if made := len(s.ring) - before; made > 0 && !d.Allowed {
		s.sweepLocked(l, sweepStep*made)
	}
	if !d.Allowed {
		d.refused.refused.Add(1)
		return attempt{decision: d}
	}

	var counted [maxApplying]*counter
	if len(applying.quotas) > 0 {
		today := time.Now()
		try.leases, try.wait, try.room = s.countLocked(l, applying.quotas, tx, cost, cpu, today, counted[:], &d)
		switch {
		case !d.Allowed:
			d.refused.refused.Add(1)
			return attempt{decision: d}
		case try.leases != nil || try.wait != nil || try.room:
			return try
		}
	}

	res := &Reservation{limiter: l, shard: s, cost: cost, cpu: cpu}
	res.charges = res.few[:0]
	for i, r := range applying.rules {
		b, n := picked[i], r.amount(cost, cpu)
		var m mark
		b.level, m = b.shape.take(b.level, now, n)
		b.refs++
		res.charges = append(res.charges, charge{bucket: b, tally: r.tally, unit: r.Unit, n: n, mark: m, epoch: b.epoch})
		r.tally.allowed.Add(1)
		d.note(r, b.level, now)
	}
	for i, q := range applying.quotas {
		c, n := counted[i], q.amount(cost, cpu)
		c.used += n
		c.refs++
		s.watchLocked(c)
		res.counts = append(res.counts, count{counter: c, tally: q.tally, unit: q.Unit, block: q.Block, n: n, day: c.day})
		q.tally.allowed.Add(1)
	}
	if made := len(s.ring) - before; made > 0 {
		s.sweepLocked(l, sweepStep*made)
	}
	try.made, try.decision = res, d
	return try
}

// amount returns what a call is charged. CPU time that is only expected is no
// reason to refuse for ever: as much as a full bucket holds is taken, and the rest
// when it is settled.
func (r *rule) amount(cost, cpu int64) int64 {
	switch r.Unit {
	case Cost:
		return cost
	case CPU:
		return min(cpu, r.shape.burst)
	}
	return 1
}

func (q *allowance) amount(cost, cpu int64) int64 {
	switch q.Unit {
	case Cost:
		return cost
	case CPU:
		return min(cpu, q.Amount)
	}
	return 1
}

// sweepBatch is how many buckets are looked at while a shard is locked.
const sweepBatch = 1024

// Sweep drops buckets that are full and counters that nobody uses, and saves what
// idle counters have not used. It looks at a bounded part of each shard.
func (l *Limiter) Sweep(ctx context.Context) error {
	var errs []error
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.tickLocked(l)
		s.sweepLocked(l, sweepBatch)
		idle := s.idleLocked(l, time.Now())
		s.mu.Unlock()
		if idle != nil {
			errs = append(errs, l.advance(ctx, s, idle))
		}
	}
	return errors.Join(errs...)
}

const (
	flushEvery = 200 * time.Millisecond
	sweepEvery = 10 * time.Second
)

// Run sweeps, and leases ahead of what is used, until ctx ends. Without it the
// limiter is as exact, but more calls wait for the Source. Failures are counted
// in Stats; the charges that need the Source report them.
func (l *Limiter) Run(ctx context.Context) {
	flush, sweep := time.NewTicker(flushEvery), time.NewTicker(sweepEvery)
	defer flush.Stop()
	defer sweep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-flush.C:
			_ = l.Flush(ctx)
		case <-sweep.C:
			_ = l.Sweep(ctx)
		}
	}
}
