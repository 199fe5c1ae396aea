package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	// grantsWait bounds how long a flush waits for the turn of one session whose
	// grants it is to store.
	grantsWait = 250 * time.Millisecond
	// grantsCloseWait is the same for all sessions at the end.
	grantsCloseWait = time.Second
)

// storedGrant is a grant in Record.Extra. The tenant is that of the record's
// owner, so it is not there.
type storedGrant struct {
	Issuer  string    `json:"issuer"`
	Subject string    `json:"subject"`
	Access  Access    `json:"access"`
	Granted time.Time `json:"granted"`
	Expires time.Time `json:"expires"`
}

func (d *Directory) storedGrants(grants []grant) []storedGrant {
	var all []storedGrant
	for _, g := range grants {
		all = append(all, storedGrant{g.to.Issuer, g.to.Subject, g.access, d.wall(g.granted), d.wall(g.expires)})
	}
	return all
}

// reviveGrants gives e the grants that its record has. What expired while no
// process ran is there until the first sweep, which tells of it.
func (e *entry) reviveGrants(stored []storedGrant, now moment) {
	d := e.shard.dir
	at := func(t time.Time) moment { return moment(t.Sub(d.epoch)) }
	var grants []grant
	for _, g := range stored {
		if g.Access != AccessRead && g.Access != AccessWrite {
			continue // of a newer version; it grants nothing here
		}
		to := Owner{e.own.Tenant, g.Issuer, g.Subject}
		// As with the age of a session, a clock that was set back prolongs nothing.
		expires := min(at(g.Expires), now.add(g.Expires.Sub(g.Granted)))
		grants = append(grants, grant{to, g.Access, min(at(g.Granted), now), expires})
	}
	if grants != nil {
		e.sharingMadeLocked().grants = grants
	}
}

// toStore returns the grants of e as they are to be stored, and their rev.
func (e *entry) toStore() ([]storedGrant, uint64) {
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	return e.shard.dir.storedGrants(e.grantsLocked()), e.sharingRevLocked()
}

// saveGrants stores a session with other grants than it has, which is no commit:
// the version stays. The caller is the writer.
func (k *keeper) saveGrants(st *state, grants []grant) error {
	if k == nil {
		return nil
	}
	return k.write(st, func(c *Change) {
		c.Record.Version, c.Record.Extra = st.version, extraOf(st.kinds, k.dir.storedGrants(grants))
	})
}

// storeGrants stores the grants of a session as they are. The caller is the
// writer.
func (k *keeper) storeGrants(st *state) error {
	if k == nil {
		return nil
	}
	e := st.entry
	grants, rev := e.toStore()
	err := k.write(st, func(c *Change) {
		c.Record.Version, c.Record.Extra = st.version, extraOf(st.kinds, grants)
	})
	switch {
	case err == nil:
	case fault.KindOf(err) == fault.Unavailable:
		return unavailable(err, "the grant is revoked, but that could not be stored yet; the server goes on trying")
	default:
		return err
	}
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	if rev > 0 {
		e.extra.sharing.stored = rev
	}
	return nil
}

// settleGrants stores the grants of sessions of which the store has others, for
// each as far as its turn is to be had soon. What is left is tried again.
func (k *keeper) settleGrants(ctx context.Context, all []*entry) error {
	var errs error
	for _, e := range all {
		if err := k.settleGrant(ctx, e); err != nil {
			errs = errors.Join(errs, err)
			k.requeue([]*entry{e})
		}
	}
	return errs
}

func (k *keeper) settleGrant(ctx context.Context, e *entry) error {
	s := e.shard
	s.mu.Lock()
	if e.phase != live || !e.grantsStaleLocked() {
		s.mu.Unlock()
		return nil
	}
	s.useLocked(e) // what is pinned is not frozen meanwhile
	s.mu.Unlock()
	defer s.abandon(e)
	ctx, cancel := context.WithTimeout(ctx, grantsWait)
	defer cancel()
	st, err := e.takeTurn(ctx)
	if err != nil {
		return unavailable(err, "the grants of a session in use could not be stored")
	}
	defer st.end()
	return k.storeGrants(st)
}

// lastGrants stores what is left before the sessions end with the process.
func (k *keeper) lastGrants() {
	if k == nil {
		return
	}
	var stale []*entry
	for e := range k.dir.entries() {
		e.shard.mu.Lock()
		if e.grantsStaleLocked() {
			stale = append(stale, e)
		}
		e.shard.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(context.Background(), grantsCloseWait)
	defer cancel()
	if err := k.settleGrants(ctx, stale); err != nil {
		k.log.Error("some revoked or expired grants are still stored: those revoked hold again after the restart", "error", err)
	}
}

// recordExtra is Record.Extra. Records of older versions have no grants.
type recordExtra struct {
	Slots  []kind        `json:"slots,omitempty"`
	Grants []storedGrant `json:"grants,omitempty"`
}

func extraOf(kinds []kind, grants []storedGrant) json.RawMessage {
	if len(kinds)+len(grants) == 0 {
		return nil
	}
	data, err := json.Marshal(recordExtra{kinds, grants})
	if err != nil {
		panic(err) // a struct of texts, numbers and times
	}
	return data
}
