package session

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"
	"unique"

	"github.com/lyceum-mcp/lyceum/internal/event"
)

// Restored says what Restore found.
type Restored struct {
	Sessions int // alive again
	Expired  int // their time passed while no process ran
	Evicted  int // over a cap, the least recently used
}

// Restore returns a directory over a store, with the sessions that the store
// has: each as it was at its last commit, and cold until it is used. It takes the
// place of New and fails if cfg is not valid or the store cannot be read. The
// store must not be used for sessions by anybody else, and is not closed by the
// directory. bus and log may be nil. Nothing is told to bus: these sessions go on.
//
// What has expired or is over a cap cannot be found. Its record is only erased
// when it expired an hour ago or more and the process has run that long, so that
// a start with a wrong clock or wrong caps loses nothing. A session never expires
// earlier than it would have without the restart; it may expire later by what the
// store had not learnt, or by its idle TTL if it was in use. It costs a read of
// all records and a sort.
func Restore(ctx context.Context, cfg Config, store Store, bus *event.Bus[Event], log *slog.Logger) (*Directory, Restored, error) {
	if err := cfg.Validate(); err != nil {
		return nil, Restored{}, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	d := newDirectory(cfg, bus)
	d.keep = newKeeper(d, store, log)
	var r Restored
	var all []*entry
	owners := make(map[Owner]Owner)
	var newest time.Time
	for rec, err := range store.Records(ctx, nil) {
		if err != nil {
			return nil, Restored{}, fmt.Errorf("read the stored sessions: %w", err)
		}
		if rec.LastUsed.After(newest) {
			newest = rec.LastUsed
		}
		o, known := owners[rec.Owner]
		if !known {
			o = Owner{unique.Make(rec.Owner.Tenant).Value(), unique.Make(rec.Owner.Issuer).Value(), rec.Owner.Subject}
			owners[o] = o
		}
		rec.Owner = o
		if e := d.revive(&rec); e.phase == live {
			all = append(all, e)
		} else {
			r.Expired++
			d.tellRestored(e)
		}
	}
	if newest.After(d.epoch) {
		log.Warn("the clock is behind the newest use of a stored session: such uses count as of now",
			"newest", newest, "clock", d.epoch, "behind", newest.Sub(d.epoch))
	}
	d.seat(all)
	for _, e := range all {
		if e.phase == ended {
			d.tellRestored(e)
		}
	}
	for _, s := range d.shards {
		r.Sessions += s.tally.sessions
	}
	r.Evicted = len(all) - r.Sessions
	d.restored = uint64(r.Sessions)
	return d, r, nil
}

// tellRestored tells the end of a session that was found and is not taken over.
func (d *Directory) tellRestored(e *entry) {
	if end := e.endingLocked(d.now()); end != nil {
		d.cfg.OnEnd(*end)
	}
}

// revive returns the session of a record, ended if its time has passed. Its
// owner is not there yet: it is one of its own, to be replaced.
func (d *Directory) revive(r *Record) *entry {
	// moments of a directory count from its epoch, so what was before is negative.
	at := func(t time.Time) moment { return moment(t.Sub(d.epoch)) }
	now := d.now()
	// The store learns of a use a little late; of one that lasted, by Expires.
	lag := d.cfg.FlushEvery + d.cfg.SweepEvery
	used := max(at(r.LastUsed), at(r.Expires.Add(-r.IdleTTL))).add(lag)
	e := &entry{
		shard: d.shardOf(r.Owner), own: &owner{Owner: r.Owner}, id: r.ID, name: r.Name, labels: maps.Clone(r.Labels),
		created: min(at(r.Created), now), ageAt: min(at(r.AgeAt), now.add(r.AgeAt.Sub(r.Created))), idleTTL: r.IdleTTL,
		client: unique.Make(r.Client), lastUsed: min(used, now), calls: r.Calls, errors: r.Errors, place: noPlace, stored: true,
	}
	if why, over := e.expiredLocked(now); over {
		e.phase, e.reason = ended, why
		return e
	}
	slots, grants := readExtra(r.Extra)
	e.reviveGrants(grants, now)
	e.recent, e.due = e.lastUsed, e.dueLocked(now)
	if r.Version == 0 {
		return e
	}
	st := newState(e)
	st.version, st.bytes, st.kinds = r.Version, r.Bytes, slots
	st.cold.Store(true)
	e.state.Store(st)
	return e
}

// readExtra reads Record.Extra. What it cannot read of slots is known when they
// are loaded; of grants, it grants nothing.
func readExtra(extra json.RawMessage) ([]kind, []storedGrant) {
	var x recordExtra
	if len(extra) == 0 || json.Unmarshal(extra, &x) != nil {
		return nil, nil
	}
	for i := range x.Slots {
		x.Slots[i].Name = unique.Make(x.Slots[i].Name).Value()
	}
	slices.SortFunc(x.Slots, func(a, b kind) int { return cmp.Compare(a.Name, b.Name) })
	return slices.Clip(x.Slots), x.Grants
}

// seat puts sessions into the empty directory, as many as the caps allow, the
// most recently used. Nobody else has the directory yet.
func (d *Directory) seat(all []*entry) {
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(b.lastUsed, a.lastUsed), cmp.Compare(a.id, b.id))
	})
	seated := make([]*entry, 0, min(len(all), d.cfg.MaxTotal))
	for _, e := range all {
		s := e.shard
		s.mu.Lock()
		own := s.ownerLocked(e.own.Owner)
		full := ReasonOwnerCap
		if own.reserved < d.cfg.MaxPerOwner {
			full = d.ledger.reserve(own.Tenant).reason()
		}
		if full == "" {
			own.reserved++
			e.own = own
			seated = append(seated, e)
		} else {
			e.phase, e.reason = ended, full
		}
		s.dropIfEmptyLocked(own)
		s.mu.Unlock()
	}
	for _, e := range slices.Backward(seated) { // the least recent first: the catalogues are in that order
		s := e.shard
		s.mu.Lock()
		e.own.reserved--
		s.seatLocked(e)
		s.mu.Unlock()
	}
	for _, s := range d.shards {
		s.mu.Lock()
		for _, own := range s.owners {
			slices.SortStableFunc(own.sessions, func(a, b *entry) int { return cmp.Compare(a.created, b.created) })
		}
		s.mu.Unlock()
	}
}

// seatLocked makes a session findable that was brought back from the store.
func (s *shard) seatLocked(e *entry) {
	d := s.dir
	s.addLocked(e)
	for _, g := range e.grantsLocked() {
		d.guestsOf(g.to).add(g.to, e)
	}
	s.idleLocked(e, +1)
	if st := e.state.Load(); st != nil {
		s.tally.cold++
		e.own.bytes += st.bytes
		d.bytes.Add(st.bytes)
		d.ledger.addBytes(e.own.Tenant, st.bytes)
	}
}
