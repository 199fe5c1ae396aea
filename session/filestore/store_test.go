package filestore

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/storetest"
)

// helperVariable makes the test binary run one of the helpers instead of tests.
const helperVariable = "LYCEUM_FILESTORE_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperVariable); name != "" {
		flag.Parse()
		os.Exit(helpers[name](flag.Args()))
	}
	goleak.VerifyTestMain(m)
}

var (
	owner   = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice-the-subject"}
	keyA    = Key{1}
	keyB    = Key{2}
	configs = map[string]Config{"plain": {}, "encrypted": {Keys: []Key{keyA, keyB}}}
)

// openIn opens a store and closes it with the test.
func openIn(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(ctxOf(t), cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { closeStore(t, s) })
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func key(id string) session.Key { return session.Key{Owner: owner, ID: session.ID(id)} }

// fill stores n sessions of one slot and one object.
func fill(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		r := session.Record{Key: key(fmt.Sprintf("rs_%d", i)), Version: 1, Expires: epoch, Labels: map[string]string{"k": "v"}}
		c := session.Cell{Name: "slot-name", Version: 1, Data: fmt.Appendf(nil, `{"secret-data":%d}`, i)}
		if err := s.Save(t.Context(), session.Change{Record: r, Create: true, Put: []session.Cell{c}}); err != nil {
			t.Fatalf("save: %v", err)
		}
	}
	if err := s.PutObject(t.Context(), session.Object{ObjectKey: session.ObjectKey{Kind: "job", Owner: owner, ID: "job-id"}, Expires: epoch, Data: make([]byte, 3<<20)}); err != nil {
		t.Fatalf("put: %v", err)
	}
}

// checkFill checks that what fill stored is there.
func checkFill(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n {
		snap, err := s.Load(t.Context(), key(fmt.Sprintf("rs_%d", i)))
		if err != nil || len(snap.Cells) != 1 || string(snap.Cells[0].Data) != fmt.Sprintf(`{"secret-data":%d}`, i) {
			t.Fatalf("session %d: %+v, %v", i, snap, err)
		}
	}
	o, err := s.LoadObject(t.Context(), session.ObjectKey{Kind: "job", Owner: owner, ID: "job-id"})
	if err != nil || len(o.Data) != 3<<20 {
		t.Fatalf("object: %d bytes, %v", len(o.Data), err)
	}
	checkClean(t, s)
}

func checkClean(t testing.TB, s *Store) {
	t.Helper()
	if r, err := s.Check(t.Context()); err != nil || !r.Clean() {
		t.Fatalf("check: %+v, %v, want clean", r, err)
	}
}

func TestStore(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) session.Store {
				cfg.Dir = t.TempDir()
				s, err := Open(t.Context(), cfg)
				if err != nil {
					t.Fatalf("open: %v", err)
				}
				t.Cleanup(func() {
					closeStore(t, s)
					again := openIn(t, cfg)
					defer closeStore(t, again)
					if r, err := again.Check(ctxOf(t)); err != nil || !r.Clean() {
						t.Errorf("check after the test: %+v, %v", r, err)
					}
				})
				return s
			})
		})
	}
}

func TestDurable(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			storetest.Durable(t, func(t *testing.T) func() session.Store {
				cfg.Dir = t.TempDir()
				return func() session.Store { return openIn(t, cfg) }
			})
		})
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "store")
	openIn(t, Config{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "lyceum.db"): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode().Perm(), err, want)
		}
	}
}

// Nothing that names somebody, and no data, is in an encrypted file. In a plain
// one no key names anybody.
func TestNoTextInFile(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Keys: []Key{keyA}}
	s := openIn(t, cfg)
	fill(t, s, 3)
	closeStore(t, s)
	raw, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"alice-the-subject", "id.example", "acme", "rs_1", "slot-name", "secret-data", "job-id"} {
		if strings.Contains(string(raw), word) {
			t.Errorf("an encrypted file shows %q", word)
		}
	}
	s = openIn(t, Config{Dir: t.TempDir()})
	fill(t, s, 3)
	err = s.db.Load().View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				for _, word := range []string{"alice", "acme", "rs_", "slot", "job-id"} {
					if strings.Contains(string(k), word) {
						t.Errorf("a key in %s shows %q", name, word)
					}
				}
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLocked(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := openIn(t, cfg)
	_, err := Open(t.Context(), cfg)
	want := fmt.Sprintf("%s is in use by another lyceum process (pid %d)", cfg.Dir, os.Getpid())
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fmt.Sprint(err), want) {
		t.Errorf("second open: %v (%v), want %q", err, fault.KindOf(err), want)
	}
	fill(t, s, 1)
	closeStore(t, s)
	checkFill(t, openIn(t, cfg), 1)
	if _, err := os.Stat(filepath.Join(cfg.Dir, "lyceum.pid")); err != nil {
		t.Errorf("pid file: %v", err)
	}
}

func TestForeignFiles(t *testing.T) {
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text": {func(t *testing.T, path string) {
			write(t, path, []byte(strings.Repeat("not a database\n", 1000)))
		}, "not the file of a store"},
		"zeros": {func(t *testing.T, path string) { write(t, path, make([]byte, 64<<10)) }, "not the file of a store"},
		"other program": {func(t *testing.T, path string) {
			db, err := bolt.Open(path, 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err })
			if err = errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}, "another program"},
		"directory": {func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c.make(t, filepath.Join(dir, "lyceum.db"))
			if _, err := Open(t.Context(), Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("open: %v, want %q", err, c.want)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, nil)
	if _, err := Open(t.Context(), Config{Dir: filepath.Join(file, "store")}); err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("open below a file: %v", err)
	}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
