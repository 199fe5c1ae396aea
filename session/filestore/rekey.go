package filestore

import (
	"bytes"
	"context"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

const rekeyPage = 128

// Rekey encrypts with the first key what is plain or under another key, and
// returns how many values that were. When it returns nil the other keys may be
// taken away, and from the next Open on plain values are refused. It may be
// interrupted and called again, and writes go on meanwhile. A value that cannot
// be read stays as it is, and is an error when the rest is done. In a store
// without keys there is nothing to do.
func (s *Store) Rekey(ctx context.Context) (int, error) {
	if s.vault.keys == nil {
		return 0, nil
	}
	total, unreadable := 0, 0
	for _, bucket := range []string{bucketSessions, bucketCells, bucketObjects, bucketChunks, bucketSessionExpiry, bucketObjectExpiry} {
		var next []byte
		for {
			stale, after, err := s.stale(ctx, bucket, next)
			if err != nil {
				return total, err
			}
			done, bad, err := s.reseal(ctx, bucket, stale)
			total, unreadable = total+done, unreadable+bad
			if err != nil {
				return total, err
			}
			if after == nil {
				break
			}
			next = after
		}
	}
	if unreadable > 0 {
		return total, fmt.Errorf("rekey: %d damaged values stay as they are, and with them the need for the other keys: see Check", unreadable)
	}
	return total, s.submit(ctx, &request{size: 256, plan: func(t *txn) (func() error, error) { return func() error { return s.finishRekey(t) }, nil }})
}

// stale returns the keys of one page of a bucket whose values are not sealed
// with the first key, and where to go on.
func (s *Store) stale(ctx context.Context, bucket string, next []byte) (keys [][]byte, after []byte, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(bucket)).Cursor()
		n := 0
		for k, raw := c.Seek(next); k != nil; k, raw = c.Next() {
			if n == rekeyPage {
				after = bytes.Clone(k)
				return nil
			}
			n++
			if !s.vault.fresh(raw) {
				keys = append(keys, bytes.Clone(k))
			}
		}
		return nil
	})
	return keys, after, err
}

func (s *Store) reseal(ctx context.Context, bucket string, keys [][]byte) (done, bad int, err error) {
	if len(keys) == 0 {
		return 0, 0, nil
	}
	type outcome struct{ done, bad int }
	result := make(chan outcome, 2) // in a batch, and if that fails alone
	err = s.submit(ctx, &request{size: maxBatchBytes, plan: func(t *txn) (func() error, error) {
		return func() error {
			var o outcome
			b := t.bucket(bucket)
			for _, k := range keys {
				raw := b.Get(k)
				if raw == nil || s.vault.fresh(raw) {
					continue // since it was found
				}
				at := stampIn(raw)
				payload, err := s.vault.unseal(bucket, k, raw)
				if err != nil {
					o.bad++
					continue
				}
				if err := b.Put(k, s.vault.seal(bucket, k, at, payload)); err != nil {
					return err
				}
				o.done++
			}
			result <- o
			return nil
		}, nil
	}})
	if err != nil {
		return 0, 0, err
	}
	var last outcome
	for len(result) > 0 {
		last = <-result
	}
	return last.done, last.bad, nil
}

// finishRekey notes that only the first key is needed.
func (s *Store) finishRekey(t *txn) error {
	b := t.bucket(bucketMeta)
	for _, p := range []pair{
		{metaSecret, s.vault.seal(bucketMeta, metaSecret, stamp{}, s.meta.secret[:])},
		{metaKeys, s.vault.current[:]},
		{metaMode, []byte(modeSealed)},
	} {
		if err := b.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}
