package filestore

import (
	"bytes"
	"context"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/session"
)

// Expired returns what expired before t, the first to expire at the front. An
// index entry that is damaged or has no record is logged and left out; damaged
// records are found, so that they can be deleted.
func (s *Store) Expired(ctx context.Context, t time.Time, limit int) ([]session.Key, []session.ObjectKey, error) {
	var keys []session.Key
	var objects []session.ObjectKey
	var damaged []error
	err := s.view(ctx, func(tx *bolt.Tx) error {
		damaged = s.due(tx, bucketSessions, t, limit, func(_ []byte, o session.Owner, id string) {
			keys = append(keys, session.Key{Owner: o, ID: session.ID(id)})
		})
		damaged = append(damaged, s.due(tx, bucketObjects, t, limit, func(key []byte, o session.Owner, id string) {
			objects = append(objects, session.ObjectKey{Kind: kindIn(key), Owner: o, ID: id})
		})...)
		return nil
	})
	for _, d := range damaged {
		s.log.ErrorContext(ctx, "damaged value left out of what expired", "error", d)
	}
	if err != nil {
		return nil, nil, err
	}
	return keys, objects, nil
}

func kindIn(objectKey []byte) string { return strings.TrimRight(string(objectKey[:maxKind]), "\x00") }

// due calls found with up to limit records of bucket that expired before t, and
// returns what is wrong in between.
func (s *Store) due(tx *bolt.Tx, bucket string, t time.Time, limit int, found func(key []byte, o session.Owner, id string)) (damaged []error) {
	index, records := indexOf(bucket), tx.Bucket([]byte(bucket))
	end := stampOf(t)
	c := tx.Bucket([]byte(index)).Cursor()
	for k, raw := c.First(); k != nil && limit > 0 && bytes.Compare(k[:min(len(k), len(end))], end[:]) < 0; k, raw = c.Next() {
		o, id, err := s.indexed(index, k, raw, records)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		found(k[len(end):], o, id)
		limit--
	}
	return damaged
}

// indexed opens an index entry and checks that its record is there and expires
// when the index says so.
func (s *Store) indexed(index string, k, raw []byte, records *bolt.Bucket) (o session.Owner, id string, err error) {
	payload, err := s.vault.unseal(index, k, raw)
	if err != nil {
		return o, id, err
	}
	if o, id, err = decodeName(payload); err != nil {
		return o, id, damage(index, k, err)
	}
	if len(k) <= len(stamp{}) {
		return o, id, damage(index, k, errMalformed)
	}
	if at := stampIn(records.Get(k[len(stamp{}):])); !bytes.Equal(at[:], k[:len(at)]) {
		return o, id, damage(index, k, errOrphan)
	}
	return o, id, nil
}
