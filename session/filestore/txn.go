package filestore

import (
	"bytes"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/session"
)

// txn is one writing transaction; the writer owns it.
type txn struct {
	*bolt.Tx
	v                 *vault
	sessions, objects int // how many more there are after it
	added             int // bytes that its requests store
}

func (t *txn) bucket(name string) *bolt.Bucket { return t.Bucket([]byte(name)) }

// indexOf names the expiry index of a bucket, empty if it has none.
func indexOf(bucket string) string {
	switch bucket {
	case bucketSessions:
		return bucketSessionExpiry
	case bucketObjects:
		return bucketObjectExpiry
	}
	return ""
}

func (t *txn) count(bucket string, n int) {
	switch bucket {
	case bucketSessions:
		t.sessions += n
	case bucketObjects:
		t.objects += n
	}
}

// put stores an entry in place of what is there.
func (t *txn) put(e entry) error {
	b := t.bucket(e.bucket)
	if old := b.Get(e.key); old == nil {
		t.count(e.bucket, 1)
	} else if at := stampIn(old); at != (stamp{}) && at != e.at {
		if err := t.bucket(indexOf(e.bucket)).Delete(indexKey(at, e.key)); err != nil {
			return err
		}
	}
	if err := t.dropPrefix(bucketChunks, chunkPrefix(e.bucket, e.key)); err != nil {
		return err
	}
	if err := b.Put(e.key, e.value); err != nil {
		return err
	}
	for _, c := range e.chunks {
		if err := t.bucket(bucketChunks).Put(c.key, c.value); err != nil {
			return err
		}
	}
	if e.index.key == nil {
		return nil
	}
	return t.bucket(indexOf(e.bucket)).Put(e.index.key, e.index.value)
}

// remove deletes a value with its chunks and its place in an index.
func (t *txn) remove(bucket string, key []byte) error {
	b := t.bucket(bucket)
	old := b.Get(key)
	if old == nil {
		return nil
	}
	if index := indexOf(bucket); index != "" {
		if err := t.bucket(index).Delete(indexKey(stampIn(old), key)); err != nil {
			return err
		}
	}
	t.count(bucket, -1)
	if err := t.dropPrefix(bucketChunks, chunkPrefix(bucket, key)); err != nil {
		return err
	}
	return b.Delete(key)
}

// under returns copies of the keys in bucket that begin with prefix.
func (t *txn) under(bucket string, prefix []byte) [][]byte {
	var keys [][]byte
	c := t.bucket(bucket).Cursor()
	for k, _ := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, _ = c.Next() {
		keys = append(keys, bytes.Clone(k))
	}
	return keys
}

func (t *txn) dropPrefix(bucket string, prefix []byte) error {
	for _, k := range t.under(bucket, prefix) {
		if err := t.bucket(bucket).Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// removeSession deletes a session with its cells.
func (t *txn) removeSession(key []byte) error {
	for _, k := range t.under(bucketCells, key) {
		if err := t.remove(bucketCells, k); err != nil {
			return err
		}
	}
	return t.remove(bucketSessions, key)
}

// readRecord returns the stored record of a session; ok is false if there is none.
func readRecord(tx *bolt.Tx, v *vault, key []byte) (r session.Record, ok bool, err error) {
	raw := tx.Bucket([]byte(bucketSessions)).Get(key)
	if raw == nil {
		return r, false, nil
	}
	payload, err := v.load(tx, bucketSessions, key, raw)
	if err != nil {
		return r, false, err
	}
	if r, err = decodeRecord(payload); err != nil {
		return r, false, damage(bucketSessions, key, err)
	}
	return r, true, nil
}
