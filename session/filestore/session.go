package filestore

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"slices"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// recordPage is how many records one transaction of a listing reads.
const recordPage = 256

// Load returns a session with all its slots.
func (s *Store) Load(ctx context.Context, k session.Key) (session.Snapshot, error) {
	key := s.meta.secret.session(k)
	var snap session.Snapshot
	err := s.view(ctx, func(tx *bolt.Tx) error {
		r, ok, err := readRecord(tx, s.vault, key)
		switch {
		case err != nil:
			return err
		case !ok:
			return session.ErrNoRecord
		case r.Key != k:
			return damage(bucketSessions, key, errElsewhere)
		}
		snap.Record = r
		c := tx.Bucket([]byte(bucketCells)).Cursor()
		for ck, raw := c.Seek(key); bytes.HasPrefix(ck, key); ck, raw = c.Next() {
			payload, err := s.vault.load(tx, bucketCells, ck, raw)
			if err != nil {
				return err
			}
			cell, err := decodeCell(payload)
			if err != nil {
				return damage(bucketCells, ck, err)
			}
			snap.Cells = append(snap.Cells, cell)
		}
		return nil
	})
	if err != nil {
		return session.Snapshot{}, readError(err)
	}
	slices.SortFunc(snap.Cells, func(a, b session.Cell) int { return cmp.Compare(a.Name, b.Name) })
	return snap, nil
}

// prepared is a change that is ready to be stored: nothing in it belongs to the
// caller.
type prepared struct {
	name          session.Key
	from, version uint64
	create, clear bool
	record        entry
	put           []entry
	drop          [][]byte
}

func (s *Store) recordEntry(r *session.Record, key []byte) entry {
	at := stampOf(r.Expires)
	e := s.vault.entry(bucketSessions, key, at, encodeRecord(r))
	if at != (stamp{}) {
		e.index = s.indexEntry(bucketSessionExpiry, at, key, encodeName(r.Owner, string(r.ID)))
	}
	return e
}

func (s *Store) indexEntry(bucket string, at stamp, key, name []byte) pair {
	k := indexKey(at, key)
	return pair{k, s.vault.seal(bucket, k, stamp{}, name)}
}

func (s *Store) prepare(c *session.Change) (p prepared, err error) {
	switch {
	case c.Record.ID == "":
		return p, fault.Newf(fault.Invalid, "a session to save has no id")
	case c.Create && c.From != 0:
		return p, fault.Newf(fault.Invalid, "a session to create has the base version %d, want 0", c.From)
	}
	p = prepared{name: c.Record.Key, from: c.From, version: c.Record.Version, create: c.Create, clear: c.Clear}
	key := s.meta.secret.session(c.Record.Key)
	p.record = s.recordEntry(&c.Record, key)
	for _, cell := range c.Put {
		if len(cell.Data) > maxPayload-len(cell.Name)-64 {
			return p, tooLarge(len(cell.Data))
		}
		p.put = append(p.put, s.vault.entry(bucketCells, s.meta.secret.cell(key, cell.Name), stamp{}, encodeCell(cell)))
	}
	for _, name := range c.Drop {
		p.drop = append(p.drop, s.meta.secret.cell(key, name))
	}
	return p, nil
}

func tooLarge(n int) error {
	return fault.Newf(fault.TooLarge, "a stored value has %d bytes, the store takes at most %d", n, maxPayload)
}

// Save applies changes in order, all or none. They are encoded and sealed in
// the caller's goroutine; the writer only compares versions and stores.
func (s *Store) Save(ctx context.Context, changes ...session.Change) error {
	all := make([]prepared, len(changes))
	size := 0
	for i := range changes {
		p, err := s.prepare(&changes[i])
		if err != nil {
			return err
		}
		size += p.record.size()
		for j := range p.put {
			size += p.put[j].size()
		}
		all[i] = p
	}
	return s.submit(ctx, &request{size: size, grows: true, plan: func(t *txn) (func() error, error) {
		if err := checkVersions(t, all); err != nil {
			return nil, err
		}
		return func() error { return applyAll(t, all) }, nil
	}})
}

// checkVersions compares each change with what is stored, or with what the
// changes before it leave.
func checkVersions(t *txn, all []prepared) error {
	staged := map[session.Key]uint64{}
	for i := range all {
		p := &all[i]
		stored, ok := staged[p.name]
		if !ok {
			r, there, err := readRecord(t.Tx, t.v, p.record.key)
			if err != nil {
				return err
			}
			stored, ok = r.Version, there
		}
		if ok == p.create || stored != p.from {
			return &session.StaleError{Key: p.name, Stored: stored, Want: p.from}
		}
		staged[p.name] = p.version
	}
	return nil
}

func applyAll(t *txn, all []prepared) error {
	for i := range all {
		p := &all[i]
		drop := p.drop
		if p.clear {
			drop = t.under(bucketCells, p.record.key)
		}
		for _, key := range drop {
			if err := t.remove(bucketCells, key); err != nil {
				return err
			}
		}
		for _, e := range append([]entry{p.record}, p.put...) {
			if err := t.put(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Touch notes uses of sessions. A use older than the stored one changes
// nothing but counters, and these only upwards.
func (s *Store) Touch(ctx context.Context, uses ...session.Use) error {
	uses = slices.Clone(uses)
	return s.submit(ctx, &request{size: 512 * len(uses), plan: func(t *txn) (func() error, error) {
		touched := map[session.Key]*session.Record{}
		for i := range uses {
			u := &uses[i]
			r := touched[u.Key]
			if r == nil {
				stored, ok, err := readRecord(t.Tx, t.v, s.meta.secret.session(u.Key))
				if err != nil {
					return nil, err
				}
				if !ok {
					continue
				}
				r = &stored
				touched[u.Key] = r
			}
			r.Calls, r.Errors = max(r.Calls, u.Calls), max(r.Errors, u.Errors)
			if !u.LastUsed.Before(r.LastUsed) {
				r.LastUsed, r.Expires, r.Client = u.LastUsed, u.Expires, u.Client
			}
		}
		if len(touched) == 0 {
			return nil, nil
		}
		return func() error {
			for k, r := range touched {
				if err := t.put(s.recordEntry(r, s.meta.secret.session(k))); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}})
}

// Delete removes sessions with all their slots, damaged ones too.
func (s *Store) Delete(ctx context.Context, keys ...session.Key) error {
	hashed := make([][]byte, len(keys))
	for i, k := range keys {
		hashed[i] = s.meta.secret.session(k)
	}
	return s.submit(ctx, &request{size: 256 * len(keys), plan: func(t *txn) (func() error, error) {
		return func() error {
			for _, key := range hashed {
				if err := t.removeSession(key); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}})
}

// Records yields the sessions of o, or of everybody. Damaged ones are logged
// and left out, so that one does not hide the others.
func (s *Store) Records(ctx context.Context, o *session.Owner) iter.Seq2[session.Record, error] {
	var prefix []byte
	if o != nil {
		prefix = s.meta.secret.owner(nil, *o)
	}
	return listing(ctx, s, bucketSessions, prefix, recordPage, func(payload []byte) (session.Record, error) {
		return decodeRecord(payload)
	})
}

// pageBytes ends a page of a listing, whatever it may hold besides.
const pageBytes = 4 << 20

// listing yields what decodes under prefix, in transactions of a page each.
func listing[T any](ctx context.Context, s *Store, bucket string, prefix []byte, page int, decode func([]byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		next := prefix
		for next != nil || len(prefix) == 0 {
			values, after, err := readPage(ctx, s, bucket, prefix, next, page, decode)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, v := range values {
				if !yield(v, nil) {
					return
				}
			}
			if next = after; next == nil {
				return
			}
		}
	}
}

// readPage reads up to page values from next on, and says where to go on; nil
// is the end.
func readPage[T any](ctx context.Context, s *Store, bucket string, prefix, next []byte, page int, decode func([]byte) (T, error)) (values []T, after []byte, err error) {
	var damaged []error
	err = s.view(ctx, func(tx *bolt.Tx) error {
		size := 0
		c := tx.Bucket([]byte(bucket)).Cursor()
		for k, raw := c.Seek(next); k != nil && bytes.HasPrefix(k, prefix); k, raw = c.Next() {
			if len(values)+len(damaged) == page || size >= pageBytes {
				after = bytes.Clone(k)
				return nil
			}
			payload, err := s.vault.load(tx, bucket, k, raw)
			var v T
			if err == nil {
				if v, err = decode(payload); err != nil {
					err = damage(bucket, k, err)
				}
			}
			if err != nil {
				damaged = append(damaged, err)
				continue
			}
			size += len(payload)
			values = append(values, v)
		}
		return nil
	})
	for _, d := range damaged {
		s.log.ErrorContext(ctx, "damaged value left out of a list", "error", d)
	}
	return values, after, err
}
