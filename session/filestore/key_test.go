package filestore

import (
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

func checkRefused(t *testing.T, cfg Config, want string) {
	t.Helper()
	s, err := Open(t.Context(), cfg)
	if err == nil {
		closeStore(t, s)
	}
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("open with %v: %v, want %q", cfg, err, want)
	}
}

func TestKeyRotation(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir, Keys: []Key{keyA}})
	fill(t, s, 300)
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir}, "it needs "+keyA.String())
	checkRefused(t, Config{Dir: dir, Keys: []Key{keyB}}, keyA.String())

	s = openIn(t, Config{Dir: dir, Keys: []Key{keyB, keyA}})
	checkFill(t, s, 300)
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir, Keys: []Key{keyB}}, keyA.String()) // not before Rekey
	s = openIn(t, Config{Dir: dir, Keys: []Key{keyB, keyA}})
	// 300 records, slots and index entries; the object, two or three parts, its entry
	n, err := s.Rekey(t.Context())
	if err != nil || n < 904 || n > 905 {
		t.Errorf("rekey: %d, %v, want 904 or 905", n, err)
	}
	if n, err := s.Rekey(t.Context()); n != 0 || err != nil {
		t.Errorf("second rekey: %d, %v", n, err)
	}
	closeStore(t, s)
	s = openIn(t, Config{Dir: dir, Keys: []Key{keyB}})
	checkFill(t, s, 300)
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir, Keys: []Key{keyA}}, keyB.String())
}

func TestEncryptPlainStore(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir})
	fill(t, s, 20)
	if n, err := s.Rekey(t.Context()); n != 0 || err != nil {
		t.Errorf("rekey of a plain store: %d, %v", n, err)
	}
	closeStore(t, s)
	sealed := Config{Dir: dir, Keys: []Key{keyA}}
	checkRefused(t, sealed, "lyceum store rekey")
	mixed := sealed
	mixed.AllowPlain = true
	s = openIn(t, mixed)
	checkFill(t, s, 20)
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir}, "encrypted")
	checkRefused(t, sealed, "encrypted in part")
	s = openIn(t, mixed)
	if _, err := s.Rekey(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = openIn(t, sealed)
	checkFill(t, s, 20)
	// A plain value that somebody puts into an encrypted store is refused.
	k := s.meta.secret.session(key("rs_1"))
	forged := (&vault{}).seal(bucketSessions, k, stamp{}, []byte{0})
	edit(t, s, func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketSessions)).Put(k, forged) })
	if _, err := s.Load(t.Context(), key("rs_1")); err == nil || !strings.Contains(err.Error(), errPlain.Error()) {
		t.Errorf("load of a plain value: %v", err)
	}
}

// A value that nobody can read keeps the old key needed.
func TestRekeyWithDamage(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir, Keys: []Key{keyA}})
	fill(t, s, 3)
	edit(t, s, func(tx *bolt.Tx) error {
		return flip(tx.Bucket([]byte(bucketSessions)), s.meta.secret.session(key("rs_1")), -1)
	})
	closeStore(t, s)
	s = openIn(t, Config{Dir: dir, Keys: []Key{keyB, keyA}})
	if _, err := s.Rekey(t.Context()); err == nil || !strings.Contains(err.Error(), "1 damaged values") {
		t.Errorf("rekey: %v", err)
	}
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir, Keys: []Key{keyB}}, keyA.String())
}

func TestSchema(t *testing.T) {
	dir := t.TempDir()
	set := func(tx *bolt.Tx, version byte) error {
		return tx.Bucket([]byte(bucketMeta)).Put(metaSchema, []byte{0, 0, 0, 0, 0, 0, 0, version})
	}
	s := openIn(t, Config{Dir: dir})
	fill(t, s, 2)
	edit(t, s, func(tx *bolt.Tx) error { return set(tx, 7) })
	closeStore(t, s)
	checkRefused(t, Config{Dir: dir}, "schema 7")

	// A made-up schema 0 had no expiry index of objects.
	db, err := bolt.Open(s.path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		if err := tx.DeleteBucket([]byte(bucketObjectExpiry)); err != nil {
			return err
		}
		return set(tx, 0)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	checkRefused(t, Config{Dir: dir}, "cannot turn into 1")
	steps := 0
	l := layout{version: 1, steps: map[uint64]func(*bolt.Tx) error{0: func(tx *bolt.Tx) error {
		steps++
		_, err := tx.CreateBucket([]byte(bucketObjectExpiry))
		return err
	}}}
	failing := layout{version: 1, steps: map[uint64]func(*bolt.Tx) error{0: func(tx *bolt.Tx) error {
		_ = l.steps[0](tx)
		return errOrphan
	}}}
	if _, err := open(t.Context(), Config{Dir: dir}, failing); err == nil || !strings.Contains(err.Error(), "schema 0 to 1") {
		t.Errorf("failing migration: %v", err)
	}
	for range 2 { // the failure left nothing; the second opening has nothing to do
		moved, err := open(t.Context(), Config{Dir: dir}, l)
		if err != nil {
			t.Fatalf("migration: %v", err)
		}
		if _, err := moved.Load(t.Context(), key("rs_1")); err != nil || moved.meta.schema != 1 {
			t.Errorf("after the migration: schema %d, %v", moved.meta.schema, err)
		}
		closeStore(t, moved)
	}
	if steps != 2 {
		t.Errorf("the step ran %d times, want once in vain and once", steps)
	}
}
