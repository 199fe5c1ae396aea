package session

import (
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// part is a tenant's catalogue in one shard. Apart from idle it is owned by the
// shard's mu, which whoever calls its methods must hold.
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

	catalogueSlack, parkedSlack slack

	idle atomic.Int64 // sessions without a call or a stream; read without the lock
}

// key finds a session inside its tenant.
type key struct {
	issuer, subject string
	id              ID
}

func newPart(s *shard, tenant string) *part {
	catalogue, err := simplelru.NewLRU[key, *entry](s.dir.cfg.MaxTotal, nil)
	if err != nil {
		panic(err) // only for a size below 1, which Validate refuses
	}
	return &part{shard: s, tenant: tenant, catalogue: catalogue}
}

func (p *part) getLocked(k key) *entry {
	if e, ok := p.catalogue.Peek(k); ok {
		return e
	}
	return p.parked[k]
}

func (p *part) removeLocked(e *entry) {
	if e.parked {
		delete(p.parked, e.key())
		e.parked = false
		return
	}
	p.catalogue.Remove(e.key())
}

// slimLocked gives back the room of sessions that have ended.
func (p *part) slimLocked() {
	p.catalogue = slimLRU(p.catalogue, &p.catalogueSlack, p.shard.dir.cfg.MaxTotal)
	p.parked = slimMap(p.parked, &p.parkedSlack)
}

// touchLocked makes e the most recent session.
func (p *part) touchLocked(e *entry, now moment) {
	if e.parked {
		p.unparkLocked(e, now)
		return
	}
	p.catalogue.Get(e.key())
	e.recent = now
}

// unparkLocked puts e back among the candidates for eviction, as the most recent: it
// was in use when somebody looked for room.
func (p *part) unparkLocked(e *entry, now moment) {
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

// owner is one owner's sessions. Owned by its shard's mu.
type owner struct {
	Owner
	part     *part
	sessions []*entry // oldest first, draining ones included
	reserved int      // places of sessions that are being opened
	idle     int
	bytes    int64 // committed state and reservations of it
	place    int   // in part.owners
}

func (o *owner) weight() int    { return len(o.sessions) + o.reserved }
func (o *owner) setPlace(i int) { o.place = i }

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
