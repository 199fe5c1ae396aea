// Package memstore keeps session records in memory: for tests, and for servers
// whose sessions may end with the process.
package memstore

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// Store is a session.Store in memory. Its methods never wait for anything but
// its lock.
type Store struct {
	mu sync.RWMutex

	// Owned by mu.
	closed   bool
	sessions map[session.Owner]map[session.ID]*entry
	objects  map[group]map[string]*object
	// Indexes of what has an expiry.
	sessionsByTime index[*entry]
	objectsByTime  index[*object]
	nSessions      int
	nObjects       int
	bytes          int64
}

var _ session.Store = (*Store)(nil)

// group is what Objects lists.
type group struct {
	kind  string
	owner session.Owner
}

type entry struct {
	record session.Record
	cells  map[string]session.Cell
	at     *item[*entry] // nil: it never expires
}

type object struct {
	session.Object
	at *item[*object]
}

// New returns an empty store.
func New() *Store {
	return &Store{
		sessions: map[session.Owner]map[session.ID]*entry{},
		objects:  map[group]map[string]*object{},
	}
}

var errClosed = fault.Newf(fault.Unavailable, "the session store is closed")

// enterLocked says why an operation may not begin.
func (s *Store) enterLocked(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.closed {
		return errClosed
	}
	return nil
}

// Load returns a session with all its slots.
func (s *Store) Load(ctx context.Context, k session.Key) (session.Snapshot, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return session.Snapshot{}, err
	}
	e := s.sessions[k.Owner][k.ID]
	if e == nil {
		return session.Snapshot{}, session.ErrNoRecord
	}
	snap := session.Snapshot{Record: cloneRecord(e.record), Cells: make([]session.Cell, 0, len(e.cells))}
	for _, c := range e.cells {
		snap.Cells = append(snap.Cells, cloneCell(c))
	}
	slices.SortFunc(snap.Cells, func(a, b session.Cell) int { return cmp.Compare(a.Name, b.Name) })
	return snap, nil
}

// Save applies changes in order, all or none.
func (s *Store) Save(ctx context.Context, changes ...session.Change) error {
	for _, c := range changes {
		if err := checkChange(c); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enterLocked(ctx); err != nil {
		return err
	}
	staged := map[session.Key]uint64{} // what earlier changes of this call leave
	for _, c := range changes {
		k := c.Record.Key
		stored, ok := staged[k]
		if e := s.sessions[k.Owner][k.ID]; !ok && e != nil {
			stored, ok = e.record.Version, true
		}
		if ok == c.Create || stored != c.From {
			return &session.StaleError{Key: k, Stored: stored, Want: c.From}
		}
		staged[k] = c.Record.Version
	}
	for _, c := range changes {
		s.applyLocked(c)
	}
	return nil
}

func checkChange(c session.Change) error {
	switch {
	case c.Record.ID == "":
		return fault.Newf(fault.Invalid, "a session to save has no id")
	case c.Create && c.From != 0:
		return fault.Newf(fault.Invalid, "a session to create has the base version %d, want 0", c.From)
	}
	return nil
}

func (s *Store) applyLocked(c session.Change) {
	k := c.Record.Key
	e := s.sessions[k.Owner][k.ID]
	if e == nil {
		e = &entry{cells: map[string]session.Cell{}}
		if s.sessions[k.Owner] == nil {
			s.sessions[k.Owner] = map[session.ID]*entry{}
		}
		s.sessions[k.Owner][k.ID] = e
		s.nSessions++
	}
	s.bytes -= e.size()
	e.record = cloneRecord(c.Record)
	if c.Clear {
		clear(e.cells)
	}
	for _, name := range c.Drop {
		delete(e.cells, name)
	}
	for _, cell := range c.Put {
		e.cells[cell.Name] = cloneCell(cell)
	}
	s.bytes += e.size()
	e.at = s.sessionsByTime.set(e.at, e, e.record.Expires)
}

// Touch notes uses of sessions. A use older than the stored one changes
// nothing but counters, and these only upwards.
func (s *Store) Touch(ctx context.Context, uses ...session.Use) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enterLocked(ctx); err != nil {
		return err
	}
	for _, u := range uses {
		e := s.sessions[u.Key.Owner][u.Key.ID]
		if e == nil {
			continue
		}
		s.bytes -= e.size()
		r := &e.record
		r.Calls, r.Errors = max(r.Calls, u.Calls), max(r.Errors, u.Errors)
		if !u.LastUsed.Before(r.LastUsed) {
			r.LastUsed, r.Expires, r.Client = wall(u.LastUsed), wall(u.Expires), u.Client
			e.at = s.sessionsByTime.set(e.at, e, r.Expires)
		}
		s.bytes += e.size()
	}
	return nil
}

// Delete removes sessions with all their slots.
func (s *Store) Delete(ctx context.Context, keys ...session.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enterLocked(ctx); err != nil {
		return err
	}
	for _, k := range keys {
		own := s.sessions[k.Owner]
		e := own[k.ID]
		if e == nil {
			continue
		}
		s.bytes -= e.size()
		s.nSessions--
		s.sessionsByTime.set(e.at, e, time.Time{})
		if delete(own, k.ID); len(own) == 0 {
			delete(s.sessions, k.Owner)
		}
	}
	return nil
}

// Records yields the sessions of o, or of everybody.
func (s *Store) Records(ctx context.Context, o *session.Owner) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		keys, err := s.recordKeys(ctx, o)
		if err != nil {
			yield(session.Record{}, err)
			return
		}
		for _, k := range keys {
			r, err := s.record(ctx, k)
			switch {
			case errors.Is(err, session.ErrNoRecord): // deleted since
				continue
			case err != nil:
				yield(session.Record{}, err)
				return
			case !yield(r, nil):
				return
			}
		}
	}
}

func (s *Store) recordKeys(ctx context.Context, o *session.Owner) ([]session.Key, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return nil, err
	}
	var keys []session.Key
	list := func(owner session.Owner) {
		for id := range s.sessions[owner] {
			keys = append(keys, session.Key{Owner: owner, ID: id})
		}
	}
	if o != nil {
		list(*o)
		return keys, nil
	}
	for owner := range s.sessions {
		list(owner)
	}
	return keys, nil
}

func (s *Store) record(ctx context.Context, k session.Key) (session.Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return session.Record{}, err
	}
	if e := s.sessions[k.Owner][k.ID]; e != nil {
		return cloneRecord(e.record), nil
	}
	return session.Record{}, session.ErrNoRecord
}

// Expired returns what expired before t, the first to expire at the front.
func (s *Store) Expired(ctx context.Context, t time.Time, limit int) ([]session.Key, []session.ObjectKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return nil, nil, err
	}
	var keys []session.Key
	for _, e := range s.sessionsByTime.before(t, limit) {
		keys = append(keys, e.record.Key)
	}
	var objects []session.ObjectKey
	for _, o := range s.objectsByTime.before(t, limit) {
		objects = append(objects, o.ObjectKey)
	}
	return keys, objects, nil
}

// Usage counts what is stored. Bytes are those of names and data, without the
// overhead of Go's maps.
func (s *Store) Usage(ctx context.Context) (session.Usage, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return session.Usage{}, err
	}
	return session.Usage{Sessions: s.nSessions, Objects: s.nObjects, Bytes: s.bytes}, nil
}

// Close ends the use of the store and lets go of what it holds.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.sessions, s.objects = nil, nil
	s.sessionsByTime, s.objectsByTime = nil, nil
	return nil
}

func (e *entry) size() int64 {
	r := &e.record
	n := len(r.ID) + len(r.Owner.Tenant) + len(r.Owner.Issuer) + len(r.Owner.Subject) + len(r.Name) + len(r.Extra) +
		len(r.Client.Name) + len(r.Client.Version) + len(r.Client.Revision) + len(r.Client.Transport)
	for k, v := range r.Labels {
		n += len(k) + len(v)
	}
	for _, c := range e.cells {
		n += len(c.Name) + len(c.Data)
	}
	return int64(n)
}

// wall returns t as every store returns it: UTC, without a monotonic reading.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

func cloneRecord(r session.Record) session.Record {
	r.Labels = maps.Clone(r.Labels)
	r.Extra = slices.Clone(r.Extra)
	r.Created, r.AgeAt, r.LastUsed, r.Expires = wall(r.Created), wall(r.AgeAt), wall(r.LastUsed), wall(r.Expires)
	return r
}

func cloneCell(c session.Cell) session.Cell {
	c.Data = slices.Clone(c.Data)
	return c
}

// kindOK reports whether kind is 1 to 16 lower-case letters.
func kindOK(kind string) bool {
	return kind != "" && len(kind) <= 16 && strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") == ""
}
