package session

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeStore is a Store in memory whose operations can be made to fail, to hang,
// or to succeed without saying so.
type fakeStore struct {
	mu sync.Mutex
	// Owned by mu.
	sessions map[Key]*Snapshot
	objects  map[ObjectKey]Object
	calls    map[string]int
	fail     map[string]error        // by operation, until it is taken out
	silent   map[string]error        // as fail, but the operation is done
	before   map[string]func(...Key) // runs under no lock
}

var _ Store = (*fakeStore)(nil)

func newFakeStore() *fakeStore {
	return &fakeStore{
		sessions: map[Key]*Snapshot{}, objects: map[ObjectKey]Object{}, calls: map[string]int{},
		fail: map[string]error{}, silent: map[string]error{}, before: map[string]func(...Key){},
	}
}

// do runs one operation.
func (f *fakeStore) do(ctx context.Context, op string, keys []Key, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	before := f.before[op]
	f.mu.Unlock()
	if before != nil {
		before(keys...)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls[op]++
	if err := f.fail[op]; err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return f.silent[op]
}

func (f *fakeStore) set(what map[string]error, op string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	what[op] = err
}

func (f *fakeStore) hook(op string, fn func(...Key)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before[op] = fn
}

func (f *fakeStore) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

// get returns a stored session, or nil.
func (f *fakeStore) get(o Owner, id ID) *Snapshot {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.sessions[Key{o, id}]; s != nil {
		return s.clone()
	}
	return nil
}

// fork returns a copy: what a crash at this moment would leave.
func (f *fakeStore) fork() *fakeStore {
	f.mu.Lock()
	defer f.mu.Unlock()
	g := newFakeStore()
	for k, s := range f.sessions {
		g.sessions[k] = s.clone()
	}
	return g
}

func (s *Snapshot) clone() *Snapshot {
	c := *s
	c.Labels, c.Extra, c.Cells = maps.Clone(s.Labels), slices.Clone(s.Extra), slices.Clone(s.Cells)
	for i := range c.Cells {
		c.Cells[i].Data = slices.Clone(c.Cells[i].Data)
	}
	return &c
}

func (f *fakeStore) Load(ctx context.Context, k Key) (snap Snapshot, err error) {
	err = f.do(ctx, "load", []Key{k}, func() error {
		s := f.sessions[k]
		if s == nil {
			return ErrNoRecord
		}
		snap = *s.clone()
		return nil
	})
	return snap, err
}

func (f *fakeStore) Save(ctx context.Context, changes ...Change) error {
	var keys []Key
	for _, c := range changes {
		keys = append(keys, c.Record.Key)
	}
	return f.do(ctx, "save", keys, func() error {
		next := map[Key]*Snapshot{}
		for _, c := range changes {
			s := next[c.Record.Key]
			if s == nil {
				s = f.sessions[c.Record.Key]
			}
			switch {
			case c.Create && s != nil, !c.Create && s == nil, s != nil && s.Version != c.From:
				stale := &StaleError{Key: c.Record.Key, Want: c.From}
				if s != nil {
					stale.Stored = s.Version
				}
				return stale
			}
			after := &Snapshot{}
			if s != nil && !c.Clear {
				after = s.clone()
			}
			drop := func(name string) {
				after.Cells = slices.DeleteFunc(after.Cells, func(x Cell) bool { return x.Name == name })
			}
			for _, name := range c.Drop {
				drop(name)
			}
			for _, p := range c.Put {
				drop(p.Name)
				after.Cells = append(after.Cells, p)
			}
			slices.SortFunc(after.Cells, func(a, b Cell) int {
				if a.Name < b.Name {
					return -1
				}
				return 1
			})
			after.Record = c.Record
			next[c.Record.Key] = after.clone()
		}
		maps.Copy(f.sessions, next)
		return nil
	})
}

func (f *fakeStore) Touch(ctx context.Context, uses ...Use) error {
	return f.do(ctx, "touch", nil, func() error {
		for _, u := range uses {
			s := f.sessions[u.Key]
			if s == nil || u.LastUsed.Before(s.LastUsed) {
				continue
			}
			s.LastUsed, s.Expires, s.Calls, s.Errors, s.Client = u.LastUsed, u.Expires, u.Calls, u.Errors, u.Client
		}
		return nil
	})
}

func (f *fakeStore) Delete(ctx context.Context, keys ...Key) error {
	return f.do(ctx, "delete", keys, func() error {
		for _, k := range keys {
			delete(f.sessions, k)
		}
		return nil
	})
}

func (f *fakeStore) Records(ctx context.Context, o *Owner) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		var all []Record
		err := f.do(ctx, "records", nil, func() error {
			for _, s := range f.sessions {
				if o == nil || s.Owner == *o {
					all = append(all, s.clone().Record)
				}
			}
			return nil
		})
		if err != nil {
			yield(Record{}, err)
			return
		}
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (f *fakeStore) PutObject(ctx context.Context, objects ...Object) error {
	return f.do(ctx, "put", nil, func() error {
		for _, o := range objects {
			f.objects[o.ObjectKey] = o
		}
		return nil
	})
}

func (f *fakeStore) LoadObject(ctx context.Context, k ObjectKey) (o Object, err error) {
	err = f.do(ctx, "get", nil, func() error {
		var ok bool
		if o, ok = f.objects[k]; !ok {
			return ErrNoRecord
		}
		return nil
	})
	return o, err
}

func (f *fakeStore) DeleteObject(ctx context.Context, keys ...ObjectKey) error {
	return f.do(ctx, "drop", nil, func() error {
		for _, k := range keys {
			delete(f.objects, k)
		}
		return nil
	})
}

func (f *fakeStore) Objects(ctx context.Context, kind string, o *Owner) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		f.mu.Lock()
		all := slices.Collect(maps.Values(f.objects))
		f.mu.Unlock()
		for _, x := range all {
			if x.Kind == kind && (o == nil || x.Owner == *o) && !yield(x, nil) {
				return
			}
		}
	}
}

func (f *fakeStore) Expired(ctx context.Context, t time.Time, limit int) (keys []Key, _ []ObjectKey, err error) {
	err = f.do(ctx, "expired", nil, func() error {
		var all []*Snapshot
		for _, s := range f.sessions {
			if s.Expires.Before(t) {
				all = append(all, s)
			}
		}
		slices.SortFunc(all, func(a, b *Snapshot) int { return a.Expires.Compare(b.Expires) })
		for _, s := range all[:min(limit, len(all))] {
			keys = append(keys, s.Key)
		}
		return nil
	})
	return keys, nil, err
}

func (f *fakeStore) Usage(context.Context) (Usage, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return Usage{Sessions: len(f.sessions), Objects: len(f.objects)}, nil
}

func (f *fakeStore) Close() error { return nil }

var errDisk = errors.New("the disk does not answer")

// mustRestore starts a directory over f.
func mustRestore(t testing.TB, cfg Config, f *fakeStore) (*Directory, Restored) {
	t.Helper()
	d, r, err := Restore(t.Context(), cfg, f, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	return d, r
}

func mustFlush(t testing.TB, d *Directory) {
	t.Helper()
	if err := d.Flush(t.Context()); err != nil {
		t.Fatalf("flush: %v", err)
	}
}

// freezeAll takes the state of every idle session out of memory.
func freezeAll(d *Directory) {
	for e := range d.entries() {
		e.shard.mu.Lock()
		if e.freezableLocked() {
			e.shard.freezeLocked(e)
		}
		e.shard.mu.Unlock()
	}
}
