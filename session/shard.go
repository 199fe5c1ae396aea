package session

import (
	"slices"
	"sync"
)

// shard holds the sessions of the owners that hash to it. All sessions of an
// owner are in one shard, so one lock decides everything about an owner.
//
// Lock order: shard.mu, then ledger.mu, state.mu or any guests.mu. No two shards are ever
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
	touched   []*entry // what the store does not know yet, each once; nil without a store

	ownerSlack, tenantSlack slack // of the maps

	guests guests // whom sessions of any shard are granted to; has a lock of its own
}

// tally counts the sessions of a shard that have begun and not ended.
type tally struct{ sessions, idle, draining, inFlight, streams, cold int }

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
	s.owners = slimMap(s.owners, &s.ownerSlack)
	if p.owners.Len() == 0 {
		delete(s.tenants, p.tenant)
		s.tenants = slimMap(s.tenants, &s.tenantSlack)
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
	e := p.getLocked(key{o.Issuer, o.Subject, id})
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
	e.own.reserved--
	e.recent = s.dir.now()
	e.inFlight = 1
	s.addLocked(e)
	s.tally.inFlight++
}

// addLocked makes e findable, as the most recent session of its tenant.
func (s *shard) addLocked(e *entry) {
	e.own.sessions = append(e.own.sessions, e)
	e.own.part.catalogue.Add(e.key(), e)
	s.deadlines.push(e)
	s.tally.sessions++
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
		e.own.part.unparkLocked(e, now)
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
	e.own.part.removeLocked(e)
	s.hideLocked(e)
	s.deadlines.remove(e)
	s.tally.draining++
	e.phase, e.reason = draining, why
	s.mournLocked(e)
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
		e.own.part.removeLocked(e)
		s.hideLocked(e)
		s.deadlines.remove(e)
	}
	e.phase, e.reason = ended, why
	p := e.cancelLocked()
	p.why, p.end, p.dir = why, e.endingLocked(now), s.dir
	e.tellLocked(&p, EventEnded, now) // before the state goes
	s.mournLocked(e)
	freed := s.closeStateLocked(e)
	if e.extra != nil {
		p.hooks, e.extra.hooks = e.extra.hooks, nil
	}
	own := e.own
	i := slices.Index(own.sessions, e)
	own.sessions = slimSlice(slices.Delete(own.sessions, i, i+1))
	own.part.slimLocked()
	own.bytes -= freed
	s.dropIfEmptyLocked(own)
	s.dir.ledger.addBytes(own.Tenant, -freed)
	s.dir.ledger.release(own.Tenant)
	s.dir.ends[why.index()].Add(1)
	return p
}
