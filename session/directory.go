package session

import (
	"context"
	"errors"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"sync/atomic"
	"time"
	"unique"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Directory holds the live sessions of all owners. Its methods may be called
// from any goroutine.
type Directory struct {
	cfg    Config
	bus    *event.Bus[Event] // may be nil
	epoch  time.Time
	seed   maphash.Seed
	shards []*shard
	ledger *ledger

	keep     *keeper      // nil without a store
	bytes    atomic.Int64 // committed state of all sessions
	resident atomic.Int64 // of that, what is in memory

	opened   atomic.Uint64
	restored uint64 // set before anybody else sees the directory
	misses   atomic.Uint64
	refused  atomic.Uint64
	ends     []atomic.Uint64 // in the order of Reasons
}

// New returns an empty directory that tells bus, if it is not nil, about
// sessions. Nothing expires by itself until Run is called, but an expired
// session is never found. New panics if cfg.Validate fails.
func New(cfg Config, bus *event.Bus[Event]) *Directory {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return newDirectory(cfg, bus)
}

// newDirectory is New for a valid configuration.
func newDirectory(cfg Config, bus *event.Bus[Event]) *Directory {
	cfg = cfg.withDefaults()
	d := &Directory{
		cfg: cfg, bus: bus, epoch: time.Now(), seed: maphash.MakeSeed(),
		shards: make([]*shard, cfg.Shards), ledger: newLedger(&cfg),
		ends: make([]atomic.Uint64, len(reasons)),
	}
	for i := range d.shards {
		d.shards[i] = newShard(d)
	}
	return d
}

// Open begins a session of o and returns it in use by the calling call, which
// must Release it. It may evict an idle session to make room: the owner's own
// least recent one at the owner's cap (one without state before one with), one
// of the tenant's heaviest owner at the tenant's cap, the least recent one of
// the heaviest tenant at the cap over all. It fails with Overloaded if all that
// could make room are in use, with Invalid for wishes above a ceiling, with
// Unavailable if the session shall be durable and cannot be stored, and with the
// error of Config.OnOpen.
func (d *Directory) Open(ctx context.Context, o Owner, p Params) (*Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.Subject == "" {
		return nil, fault.Newf(fault.Internal, "open session: the owner has no subject")
	}
	p, err := d.cfg.admit(p)
	if err != nil {
		return nil, err
	}
	own, err := d.reserve(ctx, o)
	if err != nil {
		return nil, err
	}
	s := own.part.shard
	now := d.now()
	e := &entry{
		shard: s, own: own, id: newID(d.cfg.Prefix), name: p.Name, labels: maps.Clone(p.Labels),
		created: now, ageAt: now.add(p.MaxTTL), idleTTL: p.IdleTTL, client: unique.Make(p.Client),
		lastUsed: now, due: now.add(min(p.IdleTTL, p.MaxTTL)), place: noPlace,
	}
	if p.Durable && d.keep != nil {
		if err := d.keep.create(e); err != nil {
			d.giveBack(own)
			return nil, err
		}
	}
	// Told before anybody can see the session, so that its end is told later.
	if d.cfg.OnOpen != nil {
		if err := d.cfg.OnOpen(ctx, Opening{ID: e.id, Owner: o, Client: p.Client, At: d.time(now)}); err != nil {
			d.giveBack(own)
			if e.stored {
				d.keep.mourn(e.storeKey()) // nobody learns its id
			}
			return nil, err
		}
	}
	d.publishOpening(EventOpened, e, "")

	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		d.giveBack(own)
		d.stillborn(e)
		if e.stored {
			d.keep.mourn(e.storeKey()) // nobody learns its id
		}
		return nil, errClosed
	}
	s.insertLocked(e)
	s.mu.Unlock()
	d.opened.Add(1)
	return &Handle{e: e}, nil
}

// publishOpening tells about a session that only its opener knows.
func (d *Directory) publishOpening(kind EventKind, e *entry, why Reason) {
	if !d.watched() {
		return
	}
	created := d.time(e.created)
	d.publish(Event{Kind: kind, Reason: why, At: created, Info: Info{
		ID: e.id, Ref: e.id.Ref(), Owner: e.own.Owner, Name: e.name, Labels: maps.Clone(e.labels), Client: e.client.Value(),
		State: StateOpening, Created: created, LastUsed: created, Expires: d.time(e.due), InFlight: 1,
	}})
}

// Acquire finds the session id among those of o, else among those that others
// grant to o, and returns it in use by the calling call, which must Release it. An
// id that is unknown, expired, deleted or somebody else's, and one of which the
// grant was revoked or has expired, gives one and the same NotFound. It costs one
// lookup under the lock of one shard, for a granted session three under a lock
// each, and one read of the store if the session's state has
// left memory; it fails with Unavailable if that fails. Until the handle is
// released, the state stays in memory.
func (d *Directory) Acquire(ctx context.Context, o Owner, id ID) (*Handle, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := d.shardOf(o)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	e, p := s.lookupLocked(o, id, d.now())
	if e == nil {
		s.mu.Unlock()
		p.finish()
		if s.guests.find(o, id) == nil {
			d.misses.Add(1)
			return nil, errMiss
		}
		return d.acquireGranted(ctx, o, id)
	}
	s.useLocked(e)
	s.mu.Unlock()
	return e.hold(ctx)
}

// useLocked pins e for a call.
func (s *shard) useLocked(e *entry) {
	s.pinLocked(e)
	e.inFlight++
	s.tally.inFlight++
}

// hold returns a handle of e, which is pinned for it, when its state is in
// memory.
func (e *entry) hold(ctx context.Context) (*Handle, error) {
	if st := e.state.Load(); st != nil && st.cold.Load() {
		if err := st.thaw(ctx); err != nil {
			e.shard.abandon(e)
			return nil, err
		}
	}
	return &Handle{e: e}, nil
}

// abandon undoes the pin of a call that did not come to be.
func (s *shard) abandon(e *entry) {
	s.mu.Lock()
	if e.phase == ended {
		s.mu.Unlock()
		return
	}
	e.inFlight--
	s.tally.inFlight--
	p := s.unpinnedLocked(e, s.dir.now())
	s.mu.Unlock()
	p.finish()
}

// Delete ends the session id of o. Nobody finds it from then on; what uses it
// is told by its context, and its teardown runs when the last user lets go. A
// miss is answered as by Acquire; a session that is only granted to o is Forbidden,
// code "not_owner". With a store, the record is gone too when
// Delete returns nil; it is Unavailable, and worth a retry, while the session
// has ended and the record could not be deleted yet.
func (d *Directory) Delete(ctx context.Context, o Owner, id ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := d.shardOf(o)
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return errClosed
	}
	now := d.now()
	e, p := s.lookupLocked(o, id, now)
	if e != nil {
		p = s.leaveLocked(e, ReasonDeleted, now)
	}
	s.mu.Unlock()
	p.finish()
	switch {
	case e != nil:
		return d.keep.bury(ctx, e)
	case d.keep.mourns(Key{o, id}): // it was deleted here, but not in the store
		return d.keep.erase(ctx, Key{o, id})
	}
	err := d.visit(o, id, func(*shard, *entry) {})
	if err == nil {
		return errNotOwner
	}
	if errors.Is(err, errMiss) {
		d.misses.Add(1)
	}
	return err
}

// List returns the sessions that o could acquire now, newest first.
func (d *Directory) List(o Owner) []Info {
	s := d.shardOf(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.owners[o]
	if own == nil {
		return nil
	}
	now := d.now()
	infos := make([]Info, 0, len(own.sessions))
	for _, e := range slices.Backward(own.sessions) {
		if _, over := e.expiredLocked(now); e.phase == live && !over {
			infos = append(infos, e.infoLocked(now))
		}
	}
	return infos
}

// All yields every session that has begun and not ended, of all owners, in no
// particular order: for operators. Each is as it was at some moment during the
// loop. No lock is held while the loop's body runs.
func (d *Directory) All() iter.Seq[Info] {
	return func(yield func(Info) bool) {
		for e := range d.entries() {
			e.shard.mu.Lock()
			gone := e.phase == ended
			var info Info
			if !gone {
				info = e.infoLocked(d.now())
			}
			e.shard.mu.Unlock()
			if !gone && !yield(info) {
				return
			}
		}
	}
}

// entries yields what the shards hold, shard after shard, under no lock.
func (d *Directory) entries() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for _, s := range d.shards {
			for _, e := range s.entries() {
				if !yield(e) {
					return
				}
			}
		}
	}
}

func (s *shard) entries() []*entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*entry, 0, s.tally.sessions)
	for _, own := range s.owners {
		all = append(all, own.sessions...)
	}
	return all
}

// EndRef ends the session whose ID has the reference ref, for an operator. One
// that drains already is only told to hurry. It fails with NotFound if there is
// none, and as Delete does if the record cannot be deleted. It costs a SHA-256
// per session of the directory.
func (d *Directory) EndRef(ctx context.Context, ref string, why Reason) error {
	for e := range d.entries() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if e.id.Ref() != ref {
			continue
		}
		s := e.shard
		s.mu.Lock()
		var p parting
		gone, left := e.phase == ended, false
		switch e.phase {
		case live:
			p, left = s.leaveLocked(e, why, d.now()), true
		case draining:
			p = e.cancelLocked()
		}
		s.mu.Unlock()
		p.finish()
		if gone {
			break
		}
		if left {
			return d.keep.bury(ctx, e)
		}
		return nil
	}
	return fault.Newf(fault.NotFound, "no session has the reference %.40q", ref)
}

// now is the present moment.
func (d *Directory) now() moment { return moment(time.Since(d.epoch)) }

func (d *Directory) time(m moment) time.Time { return d.epoch.Add(time.Duration(m)) }

// watched reports whether it is worth making an event.
func (d *Directory) watched() bool { return d.bus != nil && d.bus.Subscribers() > 0 }

func (d *Directory) publish(e Event) {
	if d.bus != nil {
		d.bus.Publish(e)
	}
}

func (d *Directory) shardOf(o Owner) *shard {
	h := maphash.String(d.seed, o.Subject)
	h = h*31 + maphash.String(d.seed, o.Issuer)
	h = h*31 + maphash.String(d.seed, o.Tenant)
	return d.shards[h%uint64(len(d.shards))]
}
