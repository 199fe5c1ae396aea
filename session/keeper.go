package session

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// storeWait bounds one call of the store. A write does not end with the request
// that caused it: half of them would leave open whether they happened.
const storeWait = 10 * time.Second

// keeper is what a Directory does with its store. A nil keeper keeps nothing:
// what must be durable is so at once.
type keeper struct {
	dir   *Directory
	store Store
	log   *slog.Logger

	flushing chan struct{} // room for one: whoever put a token in flushes
	shed     chan struct{} // room for one: more state is resident than may be
	errors   atomic.Uint64
	failing  atomic.Bool // the last call failed

	mu sync.Mutex
	// Owned by mu. Lock order: a shard's mu may be held while taking this one.
	graves   map[Key]grave            // ended, to be deleted
	slack    slack                    // of graves
	lastDead uint64                   // the last number of a grave
	creating map[*entry]chan struct{} // being stored for the first time; closed when that is over
}

// grave is a record to be deleted. Numbers tell which came first.
type grave struct {
	number uint64
	asked  bool // whoever ended the session was told that the record is still there
}

func newKeeper(d *Directory, store Store, log *slog.Logger) *keeper {
	return &keeper{
		dir: d, store: store, log: log, flushing: make(chan struct{}, 1), shed: make(chan struct{}, 1),
		graves: make(map[Key]grave), creating: make(map[*entry]chan struct{}),
	}
}

func (e *entry) storeKey() Key { return Key{e.own.Owner, e.id} }

// call runs one call of the store and notes how it went.
func (k *keeper) call(ctx context.Context, what string, fn func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
	defer cancel()
	err := fn(ctx)
	_, stale := errors.AsType[*StaleError](err)
	switch {
	case err == nil || stale || errors.Is(err, ErrNoRecord):
		if k.failing.Load() && k.failing.Swap(false) {
			k.log.Info("the session store works again")
		}
	default:
		k.errors.Add(1)
		if !k.failing.Swap(true) {
			k.log.Error("the session store fails", "operation", what, "error", err)
		}
	}
	return err
}

// unavailable is the answer to a failure of the store. What the store itself
// says to callers, such as that it is full, is passed on.
func unavailable(err error, text string) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Unavailable && f.Public != "" {
		text += " (" + f.Public + ")"
	}
	e := busy(fault.Unavailable, "session_store_unavailable", "%s: retry", text)
	e.Err = err
	return e
}

// unknown reports whether err leaves open whether the store did what it should.
func unknown(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func notStored(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.TooLarge {
		return err // the store would never take it
	}
	if unknown(err) {
		return unavailable(err, "the store did not answer in time, so it is not known whether the session's state was stored; read it again")
	}
	return unavailable(err, "the session's state could not be stored, and nothing was changed")
}

// claimLocked gives the caller the right to store e for the first time, or
// returns what to wait for. The caller holds the mu of e's shard.
func (k *keeper) claimLocked(e *entry) (wait <-chan struct{}) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ch := k.creating[e]; ch != nil {
		return ch
	}
	k.creating[e] = make(chan struct{})
	return nil
}

// created ends a claim. If e ended meanwhile, what may be stored of it is to be
// deleted again. It reports whether that is so.
func (k *keeper) created(e *entry, err error) (doomed bool) {
	s := e.shard
	s.mu.Lock()
	defer s.mu.Unlock()
	e.stored, e.perhaps = e.stored || err == nil, e.perhaps || unknown(err)
	if e.phase == live { // what is stored may go cold
		if due := e.dueLocked(k.dir.now()); due < e.due {
			s.deadlines.set(e, due)
		}
	}
	if e.grantsStaleLocked() { // changed since its record was made
		s.touchLocked(e)
	}
	if doomed = e.doomedLocked(); doomed && (err == nil || unknown(err)) {
		k.mourn(e.storeKey())
		e.stored, e.perhaps = false, false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	close(k.creating[e])
	delete(k.creating, e)
	return doomed
}

// create stores a session that only its opener knows.
func (k *keeper) create(e *entry) error {
	c := Change{Record: e.recordLocked(k.dir.now()), Create: true} // nobody else has e, so there is nothing to lock
	err := k.call(context.Background(), "create", func(ctx context.Context) error { return k.store.Save(ctx, c) })
	if err != nil {
		if unknown(err) {
			k.mourn(e.storeKey())
		}
		return unavailable(err, "the session could not be stored, and was not opened")
	}
	e.stored = true
	return nil
}

// save makes an edit durable. The caller is the writer. An edit of a session
// that nobody will find again is not stored.
func (k *keeper) save(st *state, ed *edit, bytes int64, kinds []kind) error {
	if k == nil {
		return nil
	}
	return k.write(st, func(c *Change) {
		grants, _ := st.entry.toStore()
		c.Put, c.Drop = ed.put, ed.drop
		c.Record.Version, c.Record.Bytes, c.Record.Extra = st.version+1, bytes, extraOf(kinds, grants)
	})
}

// write stores what fill makes of a session's record, from the version that the
// session is at. The caller is the writer.
func (k *keeper) write(st *state, fill func(*Change)) error {
	e := st.entry
	c, first, doomed := k.prepare(e)
	if doomed {
		return nil
	}
	c.From = st.version
	fill(&c)
	write := func(ctx context.Context) error { return k.store.Save(ctx, c) }
	err := k.call(st.context(), "save", write)
	if _, stale := errors.AsType[*StaleError](err); stale && first {
		c.Create = false // an attempt to which there was no answer has stored it
		err = k.call(st.context(), "save", write)
	}
	if first {
		doomed = k.created(e, err)
	} else {
		e.shard.mu.Lock()
		doomed = e.doomedLocked()
		e.shard.mu.Unlock()
	}
	if err == nil || doomed {
		return nil
	}
	if _, stale := errors.AsType[*StaleError](err); stale {
		st.unsure = true
		k.log.Warn("a stored session is at another version than expected: it is read again", "session", e.id, "error", err)
		return &fault.Error{
			Kind: fault.Conflict, Code: "version_conflict",
			Public: "the stored session is at another version: read it again and retry", Err: err,
		}
	}
	st.unsure = st.unsure || unknown(err)
	return notStored(err)
}

// prepare returns the change of a session's record, and whether it is the first:
// then the caller has a claim. It waits while others store the session for the
// first time.
func (k *keeper) prepare(e *entry) (c Change, first, doomed bool) {
	s := e.shard
	for {
		s.mu.Lock()
		if e.doomedLocked() {
			s.mu.Unlock()
			return Change{}, false, true
		}
		var wait <-chan struct{}
		if !e.stored {
			wait = k.claimLocked(e)
		}
		if wait == nil {
			c = Change{Record: e.recordLocked(k.dir.now()), Create: !e.stored}
			s.mu.Unlock()
			return c, c.Create, false
		}
		s.mu.Unlock()
		<-wait
	}
}

// recordLocked returns the session as it is to be stored.
func (e *entry) recordLocked(now moment) Record {
	d := e.shard.dir
	r := Record{
		Key: e.storeKey(), Name: e.name, Labels: e.labels, Client: e.client.Value(),
		Created: d.wall(e.created), IdleTTL: e.idleTTL, AgeAt: d.wall(e.ageAt),
		LastUsed: d.wall(e.lastUsed), Expires: d.wall(e.lapsesLocked(now)), Calls: e.calls, Errors: e.errors,
	}
	var kinds []kind
	if st := e.state.Load(); st != nil {
		r.Version, r.Bytes, kinds = st.record()
	}
	r.Extra = extraOf(kinds, d.storedGrants(e.grantsLocked()))
	return r
}

func (st *state) record() (version uint64, size int64, kinds []kind) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.version, st.bytes, st.kinds
}

// lapsesLocked is when the record of e expires. If e is in use when the process
// ends, its idle TTL starts anew.
func (e *entry) lapsesLocked(now moment) moment {
	from := e.lastUsed
	if e.pins() > 0 {
		from = now
	}
	return min(from.add(e.idleTTL), e.ageAt)
}

// wall is a moment as it is stored. It comes from the monotonic clock and the
// wall clock at the start, so that later steps of the wall clock change nothing.
func (d *Directory) wall(m moment) time.Time { return d.time(m).Round(0).UTC() }

// mournLocked notes that e left for good, so that its record must go.
func (s *shard) mournLocked(e *entry) {
	if (e.stored || e.perhaps) && e.doomedLocked() {
		s.dir.keep.mourn(e.storeKey())
		e.stored, e.perhaps = false, false
	}
}

func (k *keeper) mourn(key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lastDead++
	k.graves[key] = grave{number: k.lastDead}
}

// mourns reports whether a deletion of that record has failed, so that it may be
// asked for again.
func (k *keeper) mourns(key Key) bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.graves[key].asked
}

func (k *keeper) graveCount() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.graves)
}

// bury deletes the record of e, which has left, before it returns. Whoever
// stores e for the first time at the moment is waited for.
func (k *keeper) bury(ctx context.Context, e *entry) error {
	if k == nil {
		return nil
	}
	k.mu.Lock()
	wait := k.creating[e]
	k.mu.Unlock()
	if wait != nil {
		<-wait
	}
	k.mu.Lock()
	_, dead := k.graves[e.storeKey()]
	k.mu.Unlock()
	if !dead {
		return nil
	}
	err := k.erase(ctx, e.storeKey())
	if err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if g, dead := k.graves[e.storeKey()]; dead {
			k.graves[e.storeKey()] = grave{g.number, true}
		}
	}
	return err
}

// erase deletes records that are mourned.
func (k *keeper) erase(ctx context.Context, keys ...Key) error {
	seen := make([]grave, len(keys))
	k.mu.Lock()
	for i, key := range keys {
		seen[i] = k.graves[key]
	}
	k.mu.Unlock()
	err := k.call(ctx, "delete", func(ctx context.Context) error { return k.store.Delete(ctx, keys...) })
	if err != nil {
		return unavailable(err, "the session has ended, but its record could not be deleted yet; the server goes on trying")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, key := range keys {
		if k.graves[key].number == seen[i].number { // else it was stored again meanwhile
			delete(k.graves, key)
		}
	}
	k.graves = slimMap(k.graves, &k.slack)
	return nil
}
