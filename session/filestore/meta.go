package filestore

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// layout is the schema that the code knows, with the steps from older ones: the
// step of n turns schema n into n+1.
type layout struct {
	version uint64
	steps   map[uint64]func(*bolt.Tx) error
}

// current is the schema that this package describes, the first one.
func current() layout { return layout{version: 1} }

// The keys in the meta bucket.
var (
	metaSchema  = []byte("schema")
	metaID      = []byte("id")
	metaCreated = []byte("created")
	metaMode    = []byte("mode")
	metaKeys    = []byte("keys")
	metaSecret  = []byte("secret")
)

// The modes of a file.
const (
	modePlain  = "plain"
	modeMixed  = "mixed" // plain values may be left among sealed ones
	modeSealed = "sealed"
)

// meta is what the file says about itself.
type meta struct {
	schema  uint64
	id      string
	created string
	secret  secret
}

// prepare makes the file ready for l and cfg in one transaction: it creates
// what is missing, or moves older schemas on. It writes nothing if there is
// nothing to do.
func prepare(db *bolt.DB, cfg Config, l layout) (m meta, v *vault, err error) {
	err = guard(func() error {
		tx, err := db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // of a committed one it does nothing
		v = newVault(cfg.Keys)
		dirty, err := prepareTx(tx, cfg, l, v)
		if err != nil {
			return err
		}
		if m, err = readMeta(tx, v); err != nil || !dirty {
			return err
		}
		return tx.Commit()
	})
	return m, v, err
}

func prepareTx(tx *bolt.Tx, cfg Config, l layout, v *vault) (dirty bool, err error) {
	b := tx.Bucket([]byte(bucketMeta))
	if b == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return false, errors.New("the file belongs to another program: it has no " + bucketMeta + " bucket")
		}
		return true, create(tx, l, v)
	}
	migrated, err := migrate(tx, b, l)
	if err != nil {
		return false, err
	}
	admitted, err := admit(b, cfg, v)
	return migrated || admitted, err
}

// create makes an empty store.
func create(tx *bolt.Tx, l layout, v *vault) error {
	for _, name := range []string{bucketMeta, bucketSessions, bucketCells, bucketObjects, bucketChunks, bucketSessionExpiry, bucketObjectExpiry} {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	var id [16]byte
	var sec secret
	_, _ = rand.Read(id[:])
	_, _ = rand.Read(sec[:])
	mode, keys := modePlain, []byte{}
	if v.keys != nil {
		mode, keys, v.plainOK = modeSealed, v.current[:], false
	}
	b := tx.Bucket([]byte(bucketMeta))
	for _, p := range []pair{
		{metaSchema, binary.BigEndian.AppendUint64(nil, l.version)},
		{metaID, []byte(hex.EncodeToString(id[:]))},
		{metaCreated, []byte(time.Now().UTC().Format(time.RFC3339))},
		{metaMode, []byte(mode)},
		{metaKeys, keys},
		{metaSecret, v.seal(bucketMeta, metaSecret, stamp{}, sec[:])},
	} {
		if err := b.Put(p.key, p.value); err != nil {
			return err
		}
	}
	return nil
}

// readSchema returns the version that the file has.
func readSchema(b *bolt.Bucket) (uint64, error) {
	raw := b.Get(metaSchema)
	if len(raw) != 8 {
		return 0, damage(bucketMeta, metaSchema, errMalformed)
	}
	return binary.BigEndian.Uint64(raw), nil
}

func migrate(tx *bolt.Tx, b *bolt.Bucket, l layout) (moved bool, err error) {
	have, err := readSchema(b)
	if err != nil {
		return false, err
	}
	if have > l.version {
		return false, fmt.Errorf("the file has schema %d, this version of lyceum knows up to %d: use a newer one", have, l.version)
	}
	for ; have < l.version; have++ {
		step := l.steps[have]
		if step == nil {
			return false, fmt.Errorf("the file has schema %d, which this version of lyceum cannot turn into %d", have, l.version)
		}
		if err := step(tx); err != nil {
			return false, fmt.Errorf("schema %d to %d: %w", have, have+1, err)
		}
		moved = true
	}
	if !moved {
		return false, nil
	}
	return true, b.Put(metaSchema, binary.BigEndian.AppendUint64(nil, l.version))
}

// admit compares the keys that are given with those that the file needs.
func admit(b *bolt.Bucket, cfg Config, v *vault) (dirty bool, err error) {
	mode, ids := string(b.Get(metaMode)), idsIn(b.Get(metaKeys))
	switch {
	case mode != modePlain && mode != modeMixed && mode != modeSealed:
		return false, damage(bucketMeta, metaMode, errMalformed)
	case mode == modePlain && v.keys == nil:
		return false, nil
	case mode == modePlain && !cfg.AllowPlain:
		return false, errors.New("the file is plain but keys are given: encrypt it with lyceum store rekey, or give no keys")
	case mode == modePlain:
		v.plainOK = true
		if err := b.Put(metaMode, []byte(modeMixed)); err != nil {
			return false, err
		}
		return true, b.Put(metaKeys, v.current[:])
	case v.keys == nil:
		return false, fmt.Errorf("the file is encrypted: it needs %s", names(ids))
	case mode == modeMixed && !cfg.AllowPlain:
		return false, errors.New("the file is encrypted in part: finish with lyceum store rekey")
	}
	var missing []keyID
	for _, id := range ids {
		if _, ok := v.keys[id]; !ok {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return false, fmt.Errorf("the file has values that only %s opens: give it as well, and run Rekey before it is taken away", names(missing))
	}
	v.plainOK = mode == modeMixed
	if slices.Contains(ids, v.current) {
		return false, nil
	}
	return true, b.Put(metaKeys, append(bytes.Clone(b.Get(metaKeys)), v.current[:]...))
}

func idsIn(raw []byte) []keyID {
	var ids []keyID
	for part := range slices.Chunk(raw, len(keyID{})) {
		if len(part) == len(keyID{}) {
			ids = append(ids, keyID(part))
		}
	}
	return ids
}

func names(ids []keyID) string {
	var all []string
	for _, id := range ids {
		all = append(all, "key "+id.String())
	}
	return strings.Join(all, " and ")
}

func readMeta(tx *bolt.Tx, v *vault) (meta, error) {
	b := tx.Bucket([]byte(bucketMeta))
	schema, err := readSchema(b)
	if err != nil {
		return meta{}, err
	}
	m := meta{schema: schema, id: string(b.Get(metaID)), created: string(b.Get(metaCreated))}
	raw, err := v.unseal(bucketMeta, metaSecret, b.Get(metaSecret))
	if err != nil {
		return meta{}, err
	}
	if len(raw) != len(m.secret) {
		return meta{}, damage(bucketMeta, metaSecret, errMalformed)
	}
	m.secret = secret(raw)
	return m, nil
}
