package filestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ctxOf returns a context for cleanups, in which that of t has ended.
func ctxOf(t testing.TB) context.Context { return context.WithoutCancel(t.Context()) }

// edit changes the file behind the store's back.
func edit(t *testing.T, s *Store, f func(tx *bolt.Tx) error) {
	t.Helper()
	if err := s.db.Load().Update(f); err != nil {
		t.Fatal(err)
	}
}

func flip(b *bolt.Bucket, k []byte, at int) error {
	v := bytes.Clone(b.Get(k))
	v[(at+len(v))%len(v)] ^= 1
	return b.Put(k, v)
}

func TestDamagedValues(t *testing.T) {
	for name, cfg := range configs {
		for _, bucket := range []string{bucketSessions, bucketCells} {
			t.Run(name+" "+bucket, func(t *testing.T) {
				cfg.Dir = t.TempDir()
				s := openIn(t, cfg)
				fill(t, s, 5)
				victim := s.meta.secret.session(key("rs_2"))
				if bucket == bucketCells {
					victim = s.meta.secret.cell(victim, "slot-name")
				}
				edit(t, s, func(tx *bolt.Tx) error { return flip(tx.Bucket([]byte(bucket)), victim, -1) })

				_, err := s.Load(t.Context(), key("rs_2"))
				d, ok := errors.AsType[*DamageError](err)
				if !ok || d.Bucket != bucket || len(d.Key) != 16 || !strings.Contains(err.Error(), d.Key) {
					t.Fatalf("load of a damaged session: %v", err)
				}
				r, err := s.Check(t.Context())
				if err != nil || r.Damaged != 1 || r.Damage[0].Bucket != bucket || r.Damage[0].Key != d.Key || r.Sessions != 5 {
					t.Errorf("check: %+v, %v", r, err)
				}
				for _, id := range []string{"rs_0", "rs_1", "rs_3", "rs_4"} {
					if _, err := s.Load(t.Context(), key(id)); err != nil {
						t.Errorf("load of %s: %v", id, err)
					}
				}
				n := 0
				for _, err := range s.Records(t.Context(), nil) {
					if err != nil {
						t.Errorf("records: %v", err)
					}
					n++
				}
				if want := map[string]int{bucketSessions: 4, bucketCells: 5}[bucket]; n != want {
					t.Errorf("%d records listed, want %d", n, want)
				}
				// It still expires, and can be deleted.
				due, _, err := s.Expired(t.Context(), epoch.Add(1), 10)
				if err != nil || len(due) != 5 {
					t.Errorf("expired: %v, %v", due, err)
				}
				if err := s.Delete(t.Context(), key("rs_2")); err != nil {
					t.Errorf("delete: %v", err)
				}
				checkClean(t, s)
			})
		}
	}
}

// A value that is moved to another key, or to an earlier version of a part of
// itself, is damaged.
func TestMovedValues(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			s := openIn(t, cfg)
			fill(t, s, 2)
			a, b := s.meta.secret.session(key("rs_0")), s.meta.secret.session(key("rs_1"))
			edit(t, s, func(tx *bolt.Tx) error {
				sessions := tx.Bucket([]byte(bucketSessions))
				return sessions.Put(a, bytes.Clone(sessions.Get(b)))
			})
			if _, err := s.Load(t.Context(), key("rs_0")); err == nil {
				t.Error("a record under the key of another loads")
			}
			o := session.Object{ObjectKey: session.ObjectKey{Kind: "job", Owner: owner, ID: "job-id"}, Data: make([]byte, 3<<20)}
			part := chunkKey(bucketObjects, s.meta.secret.object(o.ObjectKey), 1)
			var old []byte
			edit(t, s, func(tx *bolt.Tx) error { old = bytes.Clone(tx.Bucket([]byte(bucketChunks)).Get(part)); return nil })
			if err := s.PutObject(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			edit(t, s, func(tx *bolt.Tx) error { return tx.Bucket([]byte(bucketChunks)).Put(part, old) })
			if _, err := s.LoadObject(t.Context(), o.ObjectKey); err == nil || !errors.Is(err, errChunk) {
				t.Errorf("an object of parts of two versions: %v", err)
			}
		})
	}
}

// Check finds index entries and parts that nothing needs, and those missing.
func TestCheckFindsStrays(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir()})
	fill(t, s, 4)
	edit(t, s, func(tx *bolt.Tx) error {
		index := tx.Bucket([]byte(bucketSessionExpiry))
		// The entry of a session whose record stays.
		gone, c := s.meta.secret.session(key("rs_3")), index.Cursor()
		first, _ := c.First()
		for bytes.Contains(first, gone) {
			first, _ = c.Next()
		}
		return errors.Join(
			index.Delete(bytes.Clone(first)),
			tx.Bucket([]byte(bucketSessions)).Delete(s.meta.secret.session(key("rs_3"))),
			tx.Bucket([]byte(bucketObjects)).Delete(s.meta.secret.object(session.ObjectKey{Kind: "job", Owner: owner, ID: "job-id"})),
		)
	})
	r, err := s.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, d := range r.Damage {
		found[d.Bucket]++
	}
	if found[bucketChunks] != 3-1 && found[bucketChunks] != 3 || found[bucketCells] != 1 || found[bucketObjectExpiry] != 1 ||
		found[bucketSessions]+found[bucketSessionExpiry] == 0 {
		t.Errorf("check found %v in %+v", found, r.Damage)
	}
}

// Whatever happens to the bytes of a file, opening and reading it ends with an
// error or with records that are whole.
func TestRandomDamage(t *testing.T) {
	if raceDetector { // the same test, without it
		out, err := exec.CommandContext(t.Context(), "go", "test", "-run", "^TestRandomDamage$", "-count=1", "-v", ".").CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestRandomDamage")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := t.TempDir()
	s := openIn(t, Config{Dir: dir})
	for i := range 30 {
		if err := bigSave(s, fmt.Sprint("rs_", i), 3000); err != nil {
			t.Fatal(err)
		}
	}
	closeStore(t, s)
	whole, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	hurt, cut := 0, 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		data := bytes.Clone(whole)
		if seed%5 == 4 {
			data = data[:rng.IntN(len(data))]
		} else {
			page := data[4096*rng.IntN(len(data)/4096):]
			for range 200 {
				page[rng.IntN(4096)] = byte(rng.Uint32())
			}
		}
		write(t, s.path, data)
		again, err := Open(t.Context(), Config{Dir: dir, NoCompact: true})
		if err != nil {
			cut++
			if fault.KindOf(err) == fault.Unavailable {
				t.Fatalf("seed %d: %v, want that a file that did not open is not locked", seed, err)
			}
			continue
		}
		for i := range 30 {
			snap, err := again.Load(t.Context(), key(fmt.Sprint("rs_", i)))
			if err != nil {
				hurt++
			} else if len(snap.Cells) == 1 && !bytes.Equal(snap.Cells[0].Data, make([]byte, 3000)) {
				t.Errorf("seed %d: damaged data of session %d is served", seed, i)
			}
		}
		if _, err := again.Check(t.Context()); err != nil && errors.Is(err, context.Canceled) {
			t.Errorf("check: %v", err)
		}
		closeStore(t, again)
	}
	if cut == 0 || hurt == 0 {
		t.Errorf("%d damaged files did not open, %d loads failed: want some of both", cut, hurt)
	}
	t.Logf("of 60 damaged files %d did not open; %d loads failed in the others", cut, hurt)
}
