package filestore

import (
	"context"
	"iter"
	"strings"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// objectPage is how many objects one transaction of a listing reads.
const objectPage = 64

// kindOK reports whether kind is 1 to 16 lower-case letters.
func kindOK(kind string) bool {
	return kind != "" && len(kind) <= maxKind && strings.Trim(kind, "abcdefghijklmnopqrstuvwxyz") == ""
}

// PutObject creates or replaces objects, all or none.
func (s *Store) PutObject(ctx context.Context, objects ...session.Object) error {
	entries := make([]entry, len(objects))
	size := 0
	for i, o := range objects {
		switch {
		case !kindOK(o.Kind) || o.ID == "":
			return fault.Newf(fault.Invalid, "an object to store has the kind %q and an id of %d bytes, want 1 to 16 lower-case letters and an id", o.Kind, len(o.ID))
		case len(o.Data) > maxPayload-1024-len(o.ID):
			return tooLarge(len(o.Data))
		}
		key, at := s.meta.secret.object(o.ObjectKey), stampOf(o.Expires)
		e := s.vault.entry(bucketObjects, key, at, encodeObject(o))
		if at != (stamp{}) {
			e.index = s.indexEntry(bucketObjectExpiry, at, key, encodeName(o.Owner, o.ID))
		}
		entries[i] = e
		size += e.size()
	}
	return s.submit(ctx, &request{size: size, grows: true, plan: func(t *txn) (func() error, error) {
		return func() error {
			for _, e := range entries {
				if err := t.put(e); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}})
}

// LoadObject returns an object.
func (s *Store) LoadObject(ctx context.Context, k session.ObjectKey) (session.Object, error) {
	if !kindOK(k.Kind) {
		return session.Object{}, session.ErrNoRecord
	}
	key := s.meta.secret.object(k)
	var o session.Object
	err := s.view(ctx, func(tx *bolt.Tx) error {
		raw := tx.Bucket([]byte(bucketObjects)).Get(key)
		if raw == nil {
			return session.ErrNoRecord
		}
		payload, err := s.vault.load(tx, bucketObjects, key, raw)
		if err != nil {
			return err
		}
		if o, err = decodeObject(payload); err != nil {
			return damage(bucketObjects, key, err)
		}
		if o.ObjectKey != k {
			return damage(bucketObjects, key, errElsewhere)
		}
		return nil
	})
	if err != nil {
		return session.Object{}, err
	}
	return o, nil
}

// DeleteObject removes objects, damaged ones too.
func (s *Store) DeleteObject(ctx context.Context, keys ...session.ObjectKey) error {
	var hashed [][]byte
	for _, k := range keys {
		if kindOK(k.Kind) {
			hashed = append(hashed, s.meta.secret.object(k))
		}
	}
	return s.submit(ctx, &request{size: 256 * len(keys), plan: func(t *txn) (func() error, error) {
		return func() error {
			for _, key := range hashed {
				if err := t.remove(bucketObjects, key); err != nil {
					return err
				}
			}
			return nil
		}, nil
	}})
}

// Objects yields the objects of one kind of o, or of everybody. Damaged ones
// are logged and left out.
func (s *Store) Objects(ctx context.Context, kind string, o *session.Owner) iter.Seq2[session.Object, error] {
	if !kindOK(kind) {
		kind = "" // of which there are none
	}
	return listing(ctx, s, bucketObjects, s.meta.secret.objects(kind, o), objectPage, decodeObject)
}
