package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
)

// guests finds the sessions that were granted to the owners that hash to a shard;
// the sessions themselves are in their owners' shards, and their grants there are
// the truth. Lock order: the mu of any shard may be held while taking this one,
// under which nothing else is locked.
type guests struct {
	mu sync.RWMutex
	// Owned by mu: what is live and granted, no empty maps.
	granted map[Owner]map[ID]*entry
	slack   slack // of granted
}

func (d *Directory) guestsOf(o Owner) *guests { return &d.shardOf(o).guests }

func (x *guests) add(o Owner, e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.granted == nil {
		x.granted = make(map[Owner]map[ID]*entry)
	}
	if x.granted[o] == nil {
		x.granted[o] = make(map[ID]*entry)
	}
	x.granted[o][e.id] = e
}

func (x *guests) remove(o Owner, e *entry) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.granted[o], e.id)
	if len(x.granted[o]) == 0 {
		delete(x.granted, o)
		x.granted = slimMap(x.granted, &x.slack)
	}
}

// find is keyed by who asks: what was not granted to o is not among o's ids.
func (x *guests) find(o Owner, id ID) *entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.granted[o][id]
}

func (x *guests) of(o Owner) []*entry {
	x.mu.RLock()
	defer x.mu.RUnlock()
	all := make([]*entry, 0, len(x.granted[o]))
	for _, e := range x.granted[o] {
		all = append(all, e)
	}
	return all
}

// visit is the one way to a session of somebody else: fn runs for the live
// session id under its shard's mu if it is granted to o. Else, visit is the miss
// that Acquire gives for what never was.
func (d *Directory) visit(o Owner, id ID, fn func(*shard, *entry)) error {
	e := d.guestsOf(o).find(o, id)
	if e == nil {
		return errMiss
	}
	s := e.shard
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	var p parting
	now, granted := d.now(), false
	if e.phase == live {
		if why, over := e.expiredLocked(now); over {
			p = s.leaveLocked(e, why, now)
		} else {
			_, granted = e.grantLocked(o, now)
		}
	}
	if granted {
		fn(s, e)
	}
	s.mu.Unlock()
	p.finish()
	if !granted {
		return errMiss
	}
	return nil
}

// acquireGranted is Acquire for what is granted to o.
func (d *Directory) acquireGranted(ctx context.Context, o Owner, id ID) (*Handle, error) {
	var found *entry
	err := d.visit(o, id, func(s *shard, e *entry) {
		s.useLocked(e)
		found = e
	})
	if err != nil {
		if errors.Is(err, errMiss) { // it is over since it was found
			d.misses.Add(1)
		}
		return nil, err
	}
	h, err := found.hold(ctx)
	if err == nil {
		h.guest = &o
	}
	return h, err
}

// Shared is a session that somebody else has granted.
type Shared struct {
	Info
	Grant Grant
}

// Granted returns the sessions of others that o could acquire now, newest first.
// It costs a lock for each.
func (d *Directory) Granted(o Owner) []Shared {
	var all []Shared
	for _, e := range d.guestsOf(o).of(o) {
		if x, ok := e.sharedWith(o); ok {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(a, b Shared) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return all
}

func (e *entry) sharedWith(o Owner) (Shared, bool) {
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.dir.now()
	g, granted := e.grantLocked(o, now)
	if _, over := e.expiredLocked(now); !granted || over || e.phase != live {
		return Shared{}, false
	}
	return Shared{e.infoLocked(now), g.public(s.dir)}, true
}

// RevokeAll takes back all grants that were made to those who are meant, for an
// operator, and stores that as Flush does. It costs a look at every grantee.
func (d *Directory) RevokeAll(ctx context.Context, meant func(Owner) bool) (n int, err error) {
	for _, at := range d.shards {
		x := &at.guests
		x.mu.RLock()
		var all []Owner
		for o := range x.granted {
			if meant(o) {
				all = append(all, o)
			}
		}
		x.mu.RUnlock()
		for _, o := range all {
			for _, e := range x.of(o) {
				s := e.shard
				s.mu.Lock()
				told, revoked := s.revokeLocked(e, o, true)
				s.mu.Unlock()
				d.notify(told)
				if revoked {
					n++
				}
			}
		}
	}
	return n, d.Flush(ctx)
}

// hideLocked makes e, which leaves, unfindable for its grantees. The grants stay,
// for the calls that are in flight.
func (s *shard) hideLocked(e *entry) {
	for _, g := range e.grantsLocked() {
		s.dir.guestsOf(g.to).remove(g.to, e)
	}
}

func (e *entry) grantsLocked() []grant {
	if e.extra == nil || e.extra.sharing == nil {
		return nil
	}
	return e.extra.sharing.grants
}

// grantLocked returns the grant of o that holds now.
func (e *entry) grantLocked(o Owner, now moment) (grant, bool) {
	for _, g := range e.grantsLocked() {
		if g.to == o && now < g.expires {
			return g, true
		}
	}
	return grant{}, false
}

func (e *entry) sharingMadeLocked() *sharing {
	x := e.extraLocked()
	if x.sharing == nil {
		x.sharing = new(sharing)
	}
	return x.sharing
}

func (e *entry) sharingRevLocked() uint64 {
	if e.extra == nil || e.extra.sharing == nil {
		return 0
	}
	return e.extra.sharing.rev
}

// grantsStaleLocked reports whether the store has other grants than e.
func (e *entry) grantsStaleLocked() bool {
	return e.shard.dir.keep != nil && e.sharingRevLocked() > 0 && e.extra.sharing.stored != e.extra.sharing.rev
}

// notice is a change of grants to be told, under no lock.
type notice struct {
	grant GrantEvent
	info  *Info // nil if nobody listens to the bus
}

func (s *shard) noticeLocked(e *entry, kind EventKind, g *grant, operator bool) notice {
	d, now := s.dir, s.dir.now()
	n := notice{grant: GrantEvent{Kind: kind, ID: e.id, Owner: e.own.Owner, Grant: g.public(d), Operator: operator, At: d.time(now)}}
	if d.watched() {
		info := e.infoLocked(now)
		n.info = &info
	}
	return n
}

// notify tells of changes, first whoever must not miss one.
func (d *Directory) notify(all []notice) {
	for i := range all {
		n := &all[i]
		if d.cfg.OnGrant != nil {
			d.cfg.OnGrant(n.grant)
		}
		if n.info != nil {
			d.publish(Event{Kind: n.grant.Kind, Info: *n.info, Grant: &n.grant.Grant, At: n.grant.At})
		}
	}
}
