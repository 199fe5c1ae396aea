package limit

import (
	"hash/maphash"
	"sync"
)

// shards is how many parts the table has. A tenant is in one of them.
const shards = 64

// sweepStep is how many buckets are looked at, besides, for each one made: the
// table shrinks faster than it grows.
const sweepStep = 2

// shard holds everything of the tenants that hash to it. Its lock is never held
// over I/O, and no goroutine holds two of them.
type shard struct {
	mu sync.Mutex
	// mu owns everything below, and what is in the buckets, accounts, counters.

	now      int64 // the latest reading of the clock: no bucket sees time go back
	plans    *plans
	accounts map[string]*account // by tenant
	overflow *account            // of tenants beyond the bound; nil until there is one
	ring     []*bucket           // all buckets, in the order of the sweep
	hand     int                 // where the sweep is in ring
	counters map[counterKey]*counter
	dirty    []*counter // those that Flush has to look at, each once
}

// account is the buckets of one tenant, or of all tenants in overflow.
type account struct {
	tenant  string
	counted bool // towards MaxTenants
	buckets map[bucketKey]*bucket
	members int // buckets that count towards MaxBucketsPerTenant
}

// bucketKey names a bucket within an account. The identity of the limit is its
// tally.
type bucketKey struct {
	limit     *tally
	a, b      string // issuer and subject, or the token's hash, or nothing
	operation string // of a limit with a bucket for each
	shared    bool   // by all members beyond the bound
}

// bucket is the level of one limit for one party. A bucket that is full says the
// same as none, so the sweep drops it.
type bucket struct {
	key     bucketKey
	account *account
	shape   *shape
	level   level
	epoch   uint32 // changes of shape so far
	refs    int32  // reservations that will come back to it; it is kept while there are any
	member  bool
	place   int // in shard.ring
}

// shardOf returns the shard of a tenant.
func (l *Limiter) shardOf(tenant string) *shard {
	return &l.shards[maphash.String(l.seed, tenant)%shards]
}

// tickLocked returns the time, which never goes back within a shard.
func (s *shard) tickLocked(l *Limiter) int64 {
	s.now = max(s.now, l.clock())
	return s.now
}

// accountLocked returns the account of a tenant, making one if there is none.
func (s *shard) accountLocked(l *Limiter, tenant string) *account {
	if a := s.accounts[tenant]; a != nil {
		return a
	}
	a := &account{tenant: tenant, buckets: map[bucketKey]*bucket{}}
	if _, configured := s.plans.tenants[tenant]; !configured {
		if l.tenants.Add(1) > int64(s.plans.config.MaxTenants) {
			l.tenants.Add(-1)
			if s.overflow == nil {
				s.overflow = a
				a.tenant = ""
			}
			return s.overflow
		}
		a.counted = true
	}
	s.accounts[tenant] = a
	return a
}

// bucketLocked returns the bucket of rule r that tx is charged to, in the shape
// of r.
func (s *shard) bucketLocked(l *Limiter, a *account, r *rule, tx *Transaction) *bucket {
	k := bucketKey{limit: r.tally}
	switch r.Per {
	case PerOwner:
		k.a, k.b = tx.Issuer, tx.Subject
	case PerToken:
		k.a = tx.Token
	}
	member := r.Per != PerTenant
	if r.Operation == Each {
		k.operation, member = tx.Operation, true
	}
	b := a.buckets[k]
	if b == nil && member && s.crowdedLocked(l, a) {
		k, member = bucketKey{limit: r.tally, shared: true}, false
		b = a.buckets[k]
	}
	if b == nil {
		return s.makeLocked(l, a, r, k, member)
	}
	b.reshapeLocked(r.shape, s.now)
	return b
}

// crowdedLocked reports whether a further owner or token of a must share.
func (s *shard) crowdedLocked(l *Limiter, a *account) bool {
	return a == s.overflow || a.members >= s.plans.config.MaxBucketsPerTenant || l.members.Load() >= int64(s.plans.config.MaxBuckets)
}

// makeLocked adds a bucket. Who shared one until now takes its level along, so
// that leaving the crowd gives nothing back.
func (s *shard) makeLocked(l *Limiter, a *account, r *rule, k bucketKey, member bool) *bucket {
	b := &bucket{key: k, account: a, shape: r.shape, member: member, place: len(s.ring)}
	if member {
		b.inheritLocked(a.buckets[bucketKey{limit: r.tally, shared: true}], s.now)
		a.members++
		l.members.Add(1)
	}
	if o := s.overflow; o != nil && a.counted {
		b.inheritLocked(o.buckets[bucketKey{limit: r.tally, shared: member || k.shared}], s.now)
	}
	a.buckets[k] = b
	s.ring = append(s.ring, b)
	return b
}

// inheritLocked makes b at least as empty as from, which may be nil.
func (b *bucket) inheritLocked(from *bucket, now int64) {
	if from == nil {
		return
	}
	next := b.shape.convert(from.shape, from.level, now)
	if b.shape.used(b.level, now).less(b.shape.used(next, now)) {
		b.level = next
	}
}

// reshapeLocked brings b to the shape to.
func (b *bucket) reshapeLocked(to *shape, now int64) {
	switch {
	case b.shape == to:
	case *b.shape == *to:
		b.shape = to
	default:
		b.level = to.convert(b.shape, b.level, now)
		b.shape = to
		b.epoch++
	}
}

// sweepLocked looks at up to n buckets and drops those that are full.
func (s *shard) sweepLocked(l *Limiter, n int) {
	for range min(n, len(s.ring)) {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		b := s.ring[s.hand]
		if b.refs == 0 && b.shape.used(b.level, s.now) == (ticks{}) {
			s.dropLocked(l, b) // the last one takes its place, and is next
			continue
		}
		s.hand++
	}
}

func (s *shard) dropLocked(l *Limiter, b *bucket) {
	last := len(s.ring) - 1
	s.ring[b.place] = s.ring[last]
	s.ring[b.place].place = b.place
	s.ring[last] = nil
	s.ring = s.ring[:last]

	a := b.account
	delete(a.buckets, b.key)
	if b.member {
		a.members--
		l.members.Add(-1)
	}
	if len(a.buckets) > 0 {
		return
	}
	if a == s.overflow {
		s.overflow = nil
		return
	}
	delete(s.accounts, a.tenant)
	if a.counted {
		l.tenants.Add(-1)
	}
}

// reshapeAllLocked brings every bucket to the current plan. One whose limit is no
// more stays until it is full, in case the limit comes back.
func (s *shard) reshapeAllLocked() {
	for _, b := range s.ring {
		if r := s.plans.of(b.account.tenant).find(b.key.limit); r != nil {
			b.reshapeLocked(r.shape, s.now)
		}
	}
}
