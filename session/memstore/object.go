package memstore

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// PutObject creates or replaces objects, all or none.
func (s *Store) PutObject(ctx context.Context, objects ...session.Object) error {
	for _, o := range objects {
		if !kindOK(o.Kind) || o.ID == "" {
			return fault.Newf(fault.Invalid, "an object to store has the kind %q and an id of %d bytes, want 1 to 16 lower-case letters and an id", o.Kind, len(o.ID))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enterLocked(ctx); err != nil {
		return err
	}
	for _, o := range objects {
		g := group{o.Kind, o.Owner}
		old := s.objects[g][o.ID]
		if old == nil {
			old = &object{}
			if s.objects[g] == nil {
				s.objects[g] = map[string]*object{}
			}
			s.objects[g][o.ID] = old
			s.nObjects++
		} else {
			s.bytes -= old.size()
		}
		old.Object = cloneObject(o)
		s.bytes += old.size()
		old.at = s.objectsByTime.set(old.at, old, old.Expires)
	}
	return nil
}

// LoadObject returns an object.
func (s *Store) LoadObject(ctx context.Context, k session.ObjectKey) (session.Object, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return session.Object{}, err
	}
	if o := s.objects[group{k.Kind, k.Owner}][k.ID]; o != nil {
		return cloneObject(o.Object), nil
	}
	return session.Object{}, session.ErrNoRecord
}

// DeleteObject removes objects.
func (s *Store) DeleteObject(ctx context.Context, keys ...session.ObjectKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.enterLocked(ctx); err != nil {
		return err
	}
	for _, k := range keys {
		g := group{k.Kind, k.Owner}
		o := s.objects[g][k.ID]
		if o == nil {
			continue
		}
		s.bytes -= o.size()
		s.nObjects--
		s.objectsByTime.set(o.at, o, time.Time{})
		if delete(s.objects[g], k.ID); len(s.objects[g]) == 0 {
			delete(s.objects, g)
		}
	}
	return nil
}

// Objects yields the objects of one kind of o, or of everybody.
func (s *Store) Objects(ctx context.Context, kind string, o *session.Owner) iter.Seq2[session.Object, error] {
	return func(yield func(session.Object, error) bool) {
		keys, err := s.objectKeys(ctx, kind, o)
		if err != nil {
			yield(session.Object{}, err)
			return
		}
		for _, k := range keys {
			o, err := s.LoadObject(ctx, k)
			switch {
			case errors.Is(err, session.ErrNoRecord): // deleted since
				continue
			case err != nil:
				yield(session.Object{}, err)
				return
			case !yield(o, nil):
				return
			}
		}
	}
}

func (s *Store) objectKeys(ctx context.Context, kind string, o *session.Owner) ([]session.ObjectKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.enterLocked(ctx); err != nil {
		return nil, err
	}
	var keys []session.ObjectKey
	list := func(g group) {
		for id := range s.objects[g] {
			keys = append(keys, session.ObjectKey{Kind: g.kind, Owner: g.owner, ID: id})
		}
	}
	if o != nil {
		list(group{kind, *o})
		return keys, nil
	}
	for g := range s.objects {
		if g.kind == kind {
			list(g)
		}
	}
	return keys, nil
}

func (o *object) size() int64 {
	return int64(len(o.Kind) + len(o.Owner.Tenant) + len(o.Owner.Issuer) + len(o.Owner.Subject) + len(o.ID) + len(o.Data))
}

func cloneObject(o session.Object) session.Object {
	o.Data = slices.Clone(o.Data)
	o.Expires = wall(o.Expires)
	return o
}
