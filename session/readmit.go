package session

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"unique"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Readmit brings back a session that neither the directory nor its store has, such
// as one of a backup, while everything goes on. It is as Restore would have found
// it: at its last commit, cold until it is used, told to nobody. It returns false,
// and changes nothing, if its time has passed, if there is a session of that id, or
// if a cap on the number of sessions is reached. It fails if there is no store, and
// if that fails.
func (d *Directory) Readmit(ctx context.Context, snap Snapshot) (bool, error) {
	if d.keep == nil {
		return false, fault.Newf(fault.NotFound, "this server keeps nothing, so there is nothing to bring sessions back to")
	}
	o := snap.Owner
	snap.Owner = Owner{unique.Make(o.Tenant).Value(), unique.Make(o.Issuer).Value(), o.Subject}
	e := d.revive(&snap.Record)
	if e.phase != live || d.keep.mourns(snap.Key) {
		return false, nil
	}
	own, ok := e.shard.bookReturn(e, snap.Owner)
	if !ok {
		return false, nil
	}
	err := d.keep.call(ctx, "readmit", func(ctx context.Context) error {
		return d.keep.store.Save(ctx, Change{Record: snap.Record, Create: true, Put: snap.Cells})
	})
	if err != nil {
		e.shard.unreserve(own)
		d.ledger.release(own.Tenant)
		if _, stored := errors.AsType[*StaleError](err); stored {
			return false, nil
		}
		return false, unavailable(err, "the session could not be stored")
	}
	e.shard.welcome(e, own)
	return true, nil
}

// bookReturn reserves room for e among the sessions of o, unless there is one of
// its id or no room.
func (s *shard) bookReturn(e *entry, o Owner) (*owner, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || slices.ContainsFunc(s.sessionsLocked(o), func(there *entry) bool { return there.id == e.id }) {
		return nil, false
	}
	own := s.ownerLocked(o)
	if own.weight() >= s.dir.cfg.MaxPerOwner || s.dir.ledger.reserve(o.Tenant) != roomLeft {
		s.dropIfEmptyLocked(own)
		return nil, false
	}
	own.reserved++
	own.part.owners.fix(own.place)
	return own, true
}

// sessionsLocked returns the sessions of o that have not ended, hidden ones too.
func (s *shard) sessionsLocked(o Owner) []*entry {
	if own := s.owners[o]; own != nil {
		return own.sessions
	}
	return nil
}

// welcome seats e, for whom own has a reservation.
func (s *shard) welcome(e *entry, own *owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own.reserved--
	e.own = own
	s.seatLocked(e)
	slices.SortStableFunc(own.sessions, func(a, b *entry) int { return cmp.Compare(a.created, b.created) })
}
