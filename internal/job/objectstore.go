package job

import (
	"context"
	"fmt"
	"iter"

	"github.com/lyceum-mcp/lyceum/session"
)

// objectKind is the kind of the objects that hold records.
const objectKind = "job"

// objectStore keeps records as objects of a session store.
type objectStore struct{ objects session.Store }

// NewObjectStore returns a Store that keeps its records in store, as objects of
// the kind "job", each with the record's expiry. It does not close store.
// Objects of that kind must not be written by anybody else; they may be deleted
// once they have expired.
func NewObjectStore(store session.Store) Store { return objectStore{store} }

// Put implements Store.
func (s objectStore) Put(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := r.MarshalBinary()
	if err != nil {
		return err
	}
	return s.objects.PutObject(ctx, session.Object{ObjectKey: objectKey(r.Owner, r.ID), Expires: r.Expires, Data: data})
}

// Delete implements Store.
func (s objectStore) Delete(ctx context.Context, owner session.Owner, id ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.objects.DeleteObject(ctx, objectKey(owner, id))
}

// All implements Store.
func (s objectStore) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Record{}, err)
			return
		}
		for o, err := range s.objects.Objects(ctx, objectKind, nil) {
			var r Record
			if err == nil {
				err = decodeObject(o, &r)
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func objectKey(owner session.Owner, id ID) session.ObjectKey {
	return session.ObjectKey{Kind: objectKind, Owner: owner, ID: string(id)}
}

// decodeObject reads the record in o, and checks that it is the one whose key it
// has: what is found under an owner must be the owner's.
func decodeObject(o session.Object, r *Record) error {
	if err := r.UnmarshalBinary(o.Data); err != nil {
		return fmt.Errorf("job %s: %w", ID(o.ID).Ref(), err)
	}
	if r.Owner != o.Owner || r.ID != ID(o.ID) {
		return fmt.Errorf("job %s: %w: it names another owner or id", ID(o.ID).Ref(), errRecord)
	}
	return nil
}
