package session

import "time"

// Opening tells, to whoever must not miss one, that a session begins.
type Opening struct {
	ID     ID // which only the owner may see; Ref is for everyone else
	Owner  Owner
	Client Client
	At     time.Time
}

// Ending tells, to whoever must not miss one, that a session is over.
type Ending struct {
	ID     ID // as in Opening
	Owner  Owner
	Client Client // that used it last
	Reason Reason
	Opened time.Time
	At     time.Time
	Calls  uint64 // that were completed
}

// endingLocked returns what to tell of e, which has ended, or nil if nobody is to
// be told.
func (e *entry) endingLocked(now moment) *Ending {
	d := e.shard.dir
	if d.cfg.OnEnd == nil || e.reason == ReasonShutdown && d.keep != nil {
		return nil
	}
	return &Ending{
		ID: e.id, Owner: e.own.Owner, Client: e.client.Value(), Reason: e.reason, Opened: d.time(e.created), At: d.time(now), Calls: e.calls,
	}
}

// stillborn tells the end of a session that began while the directory closed.
func (d *Directory) stillborn(e *entry) {
	d.publishOpening(EventEnded, e, ReasonShutdown)
	if d.cfg.OnEnd != nil {
		at := d.time(e.created)
		d.cfg.OnEnd(Ending{ID: e.id, Owner: e.own.Owner, Client: e.client.Value(), Reason: ReasonShutdown, Opened: at, At: at})
	}
}
