package session

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// shard holds the sessions of the owners that hash to it. All sessions of an
// owner are in one shard, so one lock decides everything about an owner.
//
// Lock order: shard.mu, then ledger.mu or store.mu. No two shards are ever
// locked at once, and nothing foreign runs under a lock: what is left to do for
// a session that ended is a parting, finished after the unlock.
type shard struct {
	dir *Directory

	mu sync.Mutex
	// Owned by mu.
	closed    bool
	owners    map[Owner]*owner // those with a session or a reservation
	tenants   map[string]*part // those of the owners
	deadlines deadlines        // sessions that can expire: not draining, not ended
	tally     tally
}

// tally counts the sessions of a shard that have begun and not ended.
type tally struct{ sessions, idle, draining, inFlight, streams int }

// owner is one owner's sessions. Owned by its shard's mu.
type owner struct {
	Owner
	part     *part
	sessions []*entry // oldest first, draining ones included
	reserved int      // places of sessions that are being opened
	idle     int
	place    int // in part.owners
}

func (o *owner) weight() int    { return len(o.sessions) + o.reserved }
func (o *owner) setPlace(i int) { o.place = i }

// part is a tenant's catalogue in one shard. Apart from idle it is owned by the
// shard's mu.
//
// catalogue is in order of the last completed call and holds what may be
// acquired. Whoever looks for its least recent idle session moves the sessions
// that are in use out of the way, to parked, and each comes back as most recent
// when it is used or idle again: so the search costs amortised constant time,
// however many sessions are in use.
type part struct {
	shard     *shard
	tenant    string
	catalogue *simplelru.LRU[key, *entry]
	parked    map[key]*entry
	owners    heaviest[*owner] // by number of sessions

	idle atomic.Int64 // sessions without a call or a stream; read without the lock
}

// key finds a session inside its tenant.
type key struct {
	issuer, subject string
	id              ID
}

func newShard(d *Directory) *shard {
	return &shard{dir: d, owners: make(map[Owner]*owner), tenants: make(map[string]*part)}
}

// ownerLocked returns the record of o and makes it if it is missing. Whoever
// makes one adds a session or a reservation before the unlock.
func (s *shard) ownerLocked(o Owner) *owner {
	if own := s.owners[o]; own != nil {
		return own
	}
	p := s.tenants[o.Tenant]
	if p == nil {
		p = newPart(s, o.Tenant)
		s.tenants[o.Tenant] = p
		s.dir.ledger.join(p)
	}
	own := &owner{Owner: o, part: p}
	s.owners[o] = own
	p.owners.push(own)
	return own
}

// dropIfEmptyLocked forgets an owner without sessions, and with the last owner
// of a tenant the tenant.
func (s *shard) dropIfEmptyLocked(own *owner) {
	p := own.part
	if own.weight() > 0 {
		p.owners.fix(own.place)
		return
	}
	p.owners.remove(own.place)
	delete(s.owners, own.Owner)
	if p.owners.Len() == 0 {
		delete(s.tenants, p.tenant)
		s.dir.ledger.leave(p)
	}
}

// lookupLocked is the one way to a session by id. Somebody else's session is
// not among the caller's keys, so it cannot be told from one that never was. A
// session whose time has passed ends here; the caller finishes the parting.
func (s *shard) lookupLocked(o Owner, id ID, now moment) (*entry, parting) {
	p := s.tenants[o.Tenant]
	if p == nil {
		return nil, parting{}
	}
	e := p.get(key{o.Issuer, o.Subject, id})
	if e == nil {
		return nil, parting{}
	}
	if why, over := e.expiredLocked(now); over {
		return nil, s.leaveLocked(e, why, now)
	}
	return e, parting{}
}

// insertLocked turns a reservation into the session e, in use by the call that
// opens it.
func (s *shard) insertLocked(e *entry) {
	own := e.own
	own.reserved--
	own.sessions = append(own.sessions, e)
	own.part.catalogue.Add(e.key(), e)
	e.recent = s.dir.now()
	s.deadlines.push(e)
	e.inFlight = 1
	s.tally.sessions++
	s.tally.inFlight++
}

// unreserve gives the owner's part of a reservation back.
func (s *shard) unreserve(own *owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own.reserved--
	s.dropIfEmptyLocked(own)
}

// pinLocked notes that e is about to be used.
func (s *shard) pinLocked(e *entry) {
	if e.pins() == 0 {
		s.idleLocked(e, -1)
	}
}

// unpinnedLocked notes that a call or a stream let go of e.
func (s *shard) unpinnedLocked(e *entry, now moment) parting {
	switch {
	case e.phase == draining && e.pins() == 0:
		return s.endLocked(e, e.reason, now)
	case e.phase == draining && e.inFlight == 0:
		return e.cancelLocked() // only streams are left: tell them to go
	case e.phase == live && e.pins() == 0:
		s.idleLocked(e, +1)
		e.own.part.unpark(e, now)
		if due := e.dueLocked(now); due < e.due {
			s.deadlines.set(e, due)
		}
	}
	return parting{}
}

func (s *shard) idleLocked(e *entry, by int) {
	s.tally.idle += by
	e.own.idle += by
	e.own.part.idle.Add(int64(by))
}

// leaveLocked makes a live session end: now if nothing uses it, else when the
// last user lets go. Either way nobody finds it any more.
func (s *shard) leaveLocked(e *entry, why Reason, now moment) parting {
	if e.pins() == 0 {
		return s.endLocked(e, why, now)
	}
	e.own.part.remove(e)
	s.deadlines.remove(e)
	s.tally.draining++
	e.phase, e.reason = draining, why
	var p parting
	// Calls that were in flight when the age limit passed may finish; whoever
	// else ends a session wants them to stop.
	if why != ReasonAge || e.inFlight == 0 {
		p = e.cancelLocked()
	}
	e.tellLocked(&p, EventChanged, now)
	return p
}

// endLocked ends e, used or not. It runs once in the life of a session.
func (s *shard) endLocked(e *entry, why Reason, now moment) parting {
	s.tally.sessions--
	s.tally.inFlight -= int(e.inFlight)
	s.tally.streams -= int(e.streams)
	switch {
	case e.phase == draining:
		s.tally.draining--
	case e.pins() == 0:
		s.idleLocked(e, -1)
	}
	if e.phase == live {
		e.own.part.remove(e)
		s.deadlines.remove(e)
	}
	e.phase, e.reason = ended, why
	p := e.cancelLocked()
	p.why = why
	e.tellLocked(&p, EventEnded, now) // before the state goes
	s.dir.bytes.Add(-e.closeStore())
	if e.extra != nil {
		p.hooks, e.extra.hooks = e.extra.hooks, nil
	}
	own := e.own
	i := slices.Index(own.sessions, e)
	own.sessions = slices.Delete(own.sessions, i, i+1)
	s.dropIfEmptyLocked(own)
	s.dir.ledger.release(own.Tenant)
	s.dir.ends[why.index()].Add(1)
	return p
}

func newPart(s *shard, tenant string) *part {
	catalogue, err := simplelru.NewLRU[key, *entry](s.dir.cfg.MaxTotal, nil)
	if err != nil {
		panic(err) // only for a size below 1, which Validate refuses
	}
	return &part{shard: s, tenant: tenant, catalogue: catalogue}
}

func (p *part) get(k key) *entry {
	if e, ok := p.catalogue.Peek(k); ok {
		return e
	}
	return p.parked[k]
}

func (p *part) remove(e *entry) {
	if e.parked {
		delete(p.parked, e.key())
		e.parked = false
		return
	}
	p.catalogue.Remove(e.key())
}

// touch makes e the most recent session.
func (p *part) touch(e *entry, now moment) {
	if e.parked {
		p.unpark(e, now)
		return
	}
	p.catalogue.Get(e.key())
	e.recent = now
}

// unpark puts e back among the candidates for eviction, as the most recent: it
// was in use when somebody looked for room.
func (p *part) unpark(e *entry, now moment) {
	if !e.parked {
		return
	}
	delete(p.parked, e.key())
	e.parked, e.recent = false, now
	p.catalogue.Add(e.key(), e)
}

// leastRecentIdleLocked returns the tenant's session to evict in this shard, or
// nil if all are in use.
func (p *part) leastRecentIdleLocked() *entry {
	for p.idle.Load() > 0 {
		k, e, ok := p.catalogue.GetOldest()
		if !ok {
			return nil
		}
		if e.pins() == 0 {
			return e
		}
		p.catalogue.Remove(k)
		if p.parked == nil {
			p.parked = make(map[key]*entry)
		}
		p.parked[k] = e
		e.parked = true
	}
	return nil
}

// heaviestIdleLocked returns the least recent idle session of the tenant's
// heaviest owner in this shard that has one, or nil.
func (p *part) heaviestIdleLocked() *entry {
	own, ok := p.owners.find(func(o *owner) bool { return o.idle > 0 })
	if !ok {
		return nil
	}
	return own.leastRecentIdleLocked(func(*entry) int { return 0 })
}

// spareableLocked returns the session to end at the owner's cap, or nil if all
// are in use: one whose time has passed before any other, and one without
// committed state before any with.
func (o *owner) spareableLocked(now moment) *entry {
	return o.leastRecentIdleLocked(func(e *entry) int {
		if _, over := e.expiredLocked(now); over {
			return 0
		}
		if e.isEmpty() {
			return 1
		}
		return 2
	})
}

// leastRecentIdleLocked returns the least recent of the owner's idle sessions
// with the lowest value, or nil if all are in use. It costs one step a session
// of the owner.
func (o *owner) leastRecentIdleLocked(value func(*entry) int) *entry {
	var best *entry
	var bestValue int
	for _, e := range o.sessions {
		if e.phase != live || e.pins() > 0 {
			continue
		}
		v := value(e)
		if best == nil || v < bestValue || (v == bestValue && e.lastUsed < best.lastUsed) {
			best, bestValue = e, v
		}
	}
	return best
}
