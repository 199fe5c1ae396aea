package filestore

import (
	"bytes"
	"context"
	"errors"
	"slices"

	bolt "go.etcd.io/bbolt"
)

const (
	checkPage  = 256
	maxDamages = 1000
)

// Report is what Check found.
type Report struct {
	Sessions int
	Cells    int
	Objects  int
	// Damage lists what is wrong, at most 1000 of Damaged findings.
	Damage  []Damage
	Damaged int
}

// Damage is one finding. Bucket and Key are empty if it is about the file.
type Damage struct {
	Bucket  string
	Key     string // as in DamageError
	Problem string
}

// Clean reports whether nothing is wrong.
func (r *Report) Clean() bool { return r.Damaged == 0 }

func (r *Report) add(err error) {
	r.Damaged++
	if len(r.Damage) == maxDamages {
		return
	}
	d := Damage{Problem: err.Error()}
	if e, ok := errors.AsType[*DamageError](err); ok {
		d = Damage{Bucket: e.Bucket, Key: e.Key, Problem: e.Err.Error()}
	}
	r.Damage = append(r.Damage, d)
}

// Check reads everything and lists what is damaged: pages, values, records
// without their index entry and the reverse, slots without a session, chunks
// without a value. Writes wait while it looks at the pages, and go on while it
// reads the values, page by page. An error means that it could not finish.
func (s *Store) Check(ctx context.Context) (Report, error) {
	var r Report
	if err := s.checkPages(ctx, &r); err != nil {
		return r, err
	}
	for _, bucket := range []string{bucketSessions, bucketCells, bucketObjects, bucketChunks, bucketSessionExpiry, bucketObjectExpiry} {
		var next []byte
		for {
			after, err := s.checkPage(ctx, &r, bucket, next)
			if err != nil {
				return r, err
			}
			if after == nil {
				break
			}
			next = after
		}
	}
	return r, nil
}

// checkPages lets bbolt check its tree, in the writer: nothing may be written
// meanwhile.
func (s *Store) checkPages(ctx context.Context, r *Report) error {
	found := make(chan []error, 1)
	err := s.submit(ctx, &request{alone: func() error {
		return s.db.Load().View(func(tx *bolt.Tx) error {
			found <- checkTree(tx)
			return nil
		})
	}})
	if err != nil {
		return err
	}
	for _, err := range <-found {
		r.add(err)
	}
	return nil
}

// checkTree lists what is wrong with the pages of a file to which nothing is
// written. bbolt checks in a goroutine of its own, where a pointer out of the
// file ends the process, so all pointers are followed here first.
func checkTree(tx *bolt.Tx) (all []error) {
	err := guard(func() error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error {
			var sum byte
			err := b.ForEach(func(k, v []byte) error {
				for _, part := range [][]byte{k, v} {
					for i := 0; i < len(part); i += 512 {
						sum ^= part[i]
					}
					if len(part) > 0 {
						sum ^= part[len(part)-1]
					}
				}
				if got := b.Get(k); len(got) != len(v) {
					return errMalformed // it also compares the keys above
				}
				return nil
			})
			_ = sum
			return err
		})
	})
	if err != nil {
		return []error{err}
	}
	for err := range tx.Check() {
		if len(all) < maxDamages {
			all = append(all, err)
		}
	}
	return all
}

func (s *Store) checkPage(ctx context.Context, r *Report, bucket string, next []byte) (after []byte, err error) {
	err = s.view(ctx, func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte(bucket)).Cursor()
		n := 0
		for k, raw := c.Seek(next); k != nil; k, raw = c.Next() {
			if n == checkPage {
				after = bytes.Clone(k)
				return nil
			}
			n++
			if err := s.checkValue(tx, bucket, k, raw); err != nil {
				r.add(err)
			}
			switch bucket {
			case bucketSessions:
				r.Sessions++
			case bucketCells:
				r.Cells++
			case bucketObjects:
				r.Objects++
			}
		}
		return nil
	})
	return after, err
}

// checkValue says what is wrong with one value.
func (s *Store) checkValue(tx *bolt.Tx, bucket string, k, raw []byte) error {
	switch bucket {
	case bucketChunks:
		return s.checkChunk(tx, k, raw)
	case bucketSessionExpiry:
		_, _, err := s.indexed(bucket, k, raw, tx.Bucket([]byte(bucketSessions)))
		return err
	case bucketObjectExpiry:
		_, _, err := s.indexed(bucket, k, raw, tx.Bucket([]byte(bucketObjects)))
		return err
	}
	payload, err := s.vault.load(tx, bucket, k, raw)
	if err != nil {
		return err
	}
	sec := &s.meta.secret
	var key []byte // that the content says
	var at stamp
	switch bucket {
	case bucketSessions:
		rec, derr := decodeRecord(payload)
		key, at, err = sec.session(rec.Key), stampOf(rec.Expires), derr
	case bucketObjects:
		o, derr := decodeObject(payload)
		o.Kind = o.Kind[:min(len(o.Kind), maxKind)]
		key, at, err = sec.object(o.ObjectKey), stampOf(o.Expires), derr
	case bucketCells:
		cell, derr := decodeCell(payload)
		if len(k) != 3*hashSize || tx.Bucket([]byte(bucketSessions)).Get(k[:2*hashSize]) == nil {
			return damage(bucket, k, errOrphan)
		}
		key, err = sec.cell(k[:2*hashSize], cell.Name), derr
	}
	switch {
	case err != nil:
		return damage(bucket, k, err)
	case !bytes.Equal(key, k):
		return damage(bucket, k, errElsewhere)
	case at != stampIn(raw), at != (stamp{}) && tx.Bucket([]byte(indexOf(bucket))).Get(indexKey(at, k)) == nil:
		return damage(bucket, k, errUnindexed)
	}
	return nil
}

func (s *Store) checkChunk(tx *bolt.Tx, k, raw []byte) error {
	if _, err := s.vault.unseal(bucketChunks, k, raw); err != nil {
		return err
	}
	buckets := []string{bucketSessions, bucketCells, bucketObjects}
	i := slices.IndexFunc(buckets, func(name string) bool { return len(k) > 5 && name[0] == k[0] })
	if i < 0 || tx.Bucket([]byte(buckets[i])).Get(k[1:len(k)-4]) == nil {
		return damage(bucketChunks, k, errOrphan)
	}
	return nil
}
