package filestore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// busyWriter saves into the store at each write of a backup.
type busyWriter struct {
	bytes.Buffer
	t *testing.T
	s *Store
	n int
}

func (w *busyWriter) Write(p []byte) (int, error) {
	w.n++
	if err := bigSave(w.s, fmt.Sprint("rs_during_", w.n), 5000); err != nil {
		w.t.Errorf("save during a backup: %v", err)
	}
	return w.Buffer.Write(p)
}

func TestBackupAndRestore(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			s := openIn(t, cfg)
			fill(t, s, 50)
			w := &busyWriter{t: t, s: s}
			m, err := s.Backup(t.Context(), w)
			if err != nil {
				t.Fatalf("backup: %v", err)
			}
			if err := s.Delete(t.Context(), key("rs_7")); err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256(w.Bytes()[:w.Len()-len(trailerPrefix)-65])
			if m.Store != s.ID() || m.Schema != 1 || m.SHA256 != hex.EncodeToString(digest[:]) || w.n < 2 {
				t.Errorf("manifest %+v", m)
			}
			if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*backup*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}

			elsewhere := cfg
			elsewhere.Dir = filepath.Join(t.TempDir(), "new")
			if err := RestoreFile(t.Context(), bytes.NewReader(w.Bytes()), elsewhere.Dir, false); err != nil {
				t.Fatalf("restore: %v", err)
			}
			restored := openIn(t, elsewhere)
			checkFill(t, restored, 50)
			if u, err := restored.Usage(t.Context()); err != nil || u.Sessions != 50 {
				t.Errorf("usage: %+v, %v, want what was there when the backup began", u, err)
			}

			refused := func(want string, kind fault.Kind, force bool) {
				t.Helper()
				err := RestoreFile(t.Context(), bytes.NewReader(w.Bytes()), cfg.Dir, force)
				if fault.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), want) {
					t.Errorf("restore: %v, want %q", err, want)
				}
			}
			refused("in use", fault.Unavailable, true)
			closeStore(t, s)
			refused("force", fault.Conflict, false)
			if err := RestoreFile(t.Context(), bytes.NewReader(w.Bytes()), cfg.Dir, true); err != nil {
				t.Fatalf("restore with force: %v", err)
			}
			again := openIn(t, cfg)
			checkFill(t, again, 50)
			old, _ := filepath.Glob(filepath.Join(cfg.Dir, "lyceum.db.before-*"))
			if len(old) != 1 {
				t.Fatalf("old files: %q, want one", old)
			}
			aside := cfg
			aside.Dir = t.TempDir()
			if err := os.Rename(old[0], filepath.Join(aside.Dir, "lyceum.db")); err != nil {
				t.Fatal(err)
			}
			before := openIn(t, aside)
			if _, err := before.Load(t.Context(), key("rs_7")); !errors.Is(err, session.ErrNoRecord) {
				t.Errorf("the file kept aside is not the one from before: %v", err)
			}
			if _, err := before.Load(t.Context(), key("rs_during_1")); err != nil {
				t.Errorf("the file kept aside is not the one from before: %v", err)
			}
		})
	}
}

func TestRestoreRefusesBadBackups(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir()})
	fill(t, s, 3)
	var buf bytes.Buffer
	if _, err := s.Backup(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	good := buf.Bytes()
	changed := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		backup []byte
		want   string
	}{
		"empty":        {nil, "not a backup"},
		"text":         {[]byte("hello\n"), "not a backup"},
		"long line":    {bytes.Repeat([]byte("x"), 10_000), "not a backup"},
		"cut":          {good[:len(good)/2], "cut off"},
		"no digest":    {good[:len(good)-20], "cut off before its digest"},
		"changed":      {changed(len(good) / 2), "SHA-256"},
		"digest":       {changed(len(good) - 10), "SHA-256"},
		"goes on":      {append(bytes.Clone(good), 'x'), "goes on"},
		"newer schema": {bytes.Replace(good, []byte(`"schema":1`), []byte(`"schema":9`), 1), "schema 9"},
		"other store":  {resign(bytes.Replace(good, []byte(s.ID()), []byte(strings.Repeat("0", 32)), 1)), "not the store"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			err := RestoreFile(t.Context(), bytes.NewReader(c.backup), dir, true)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("restore: %v, want %q", err, c.want)
			}
			if names, _ := os.ReadDir(dir); len(names) > 0 {
				t.Errorf("left behind: %v", names)
			}
		})
	}
}

// resign gives a changed backup the digest that fits.
func resign(b []byte) []byte {
	body := b[:len(b)-len(trailerPrefix)-65]
	sum := sha256.Sum256(body)
	return append(bytes.Clone(body), trailerPrefix+hex.EncodeToString(sum[:])+"\n"...)
}

func TestRestoreOverDamagedStore(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir()})
	fill(t, s, 3)
	var buf bytes.Buffer
	if _, err := s.Backup(t.Context(), &buf); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "lyceum.db"), make([]byte, 5000))
	if err := RestoreFile(t.Context(), bytes.NewReader(buf.Bytes()), dir, false); fault.KindOf(err) != fault.Conflict {
		t.Errorf("restore over a file that cannot be read: %v", err)
	}
	if err := RestoreFile(t.Context(), bytes.NewReader(buf.Bytes()), dir, true); err != nil {
		t.Fatalf("restore with force: %v", err)
	}
	checkFill(t, openIn(t, Config{Dir: dir}), 3)
}

func TestBackupEnds(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir()})
	fill(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Backup(ctx, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("backup with a canceled context: %v", err)
	}
	if _, err := s.Backup(t.Context(), brokenWriter{}); !errors.Is(err, io.ErrClosedPipe) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("backup into a broken writer: %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestCompact(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			s := openIn(t, cfg)
			fill(t, s, 20)
			for i := range 30 {
				if err := bigSave(s, fmt.Sprint("rs_big_", i), 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 30 {
				if err := s.Delete(t.Context(), key(fmt.Sprint("rs_big_", i))); err != nil {
					t.Fatal(err)
				}
			}
			before, err := s.Usage(t.Context())
			if err != nil || before.Free < 25<<20 {
				t.Fatalf("usage: %+v, %v, want 25 MiB free or more", before, err)
			}
			closeStore(t, s)
			kept := cfg
			kept.NoCompact = true
			s = openIn(t, kept)
			if u, err := s.Usage(t.Context()); err != nil || u.Bytes != before.Bytes {
				t.Errorf("usage without compaction: %+v, %v", u, err)
			}
			closeStore(t, s)
			write(t, filepath.Join(cfg.Dir, "lyceum.db.compact-left"), []byte("of a killed process"))
			s = openIn(t, cfg)
			if u, err := s.Usage(t.Context()); err != nil || u.Bytes > 16<<20 {
				t.Errorf("usage after compaction: %+v, %v", u, err)
			}
			checkFill(t, s, 20)
			if info, err := os.Stat(s.path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode after compaction: %v, %v", info.Mode(), err)
			}
			if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*compact*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// A request that fails where the rest of its batch does not is tried alone.
func TestBatchSurvivesFailingWrite(t *testing.T) {
	s := openIn(t, Config{Dir: t.TempDir()})
	good := func(name string) *request {
		return &request{done: make(chan error, 1), plan: func(t *txn) (func() error, error) {
			return func() error { return t.bucket(bucketMeta).Put([]byte(name), []byte("x")) }, nil
		}}
	}
	boom := errors.New("boom")
	batch := []*request{
		good("t1"),
		{done: make(chan error, 1), plan: func(*txn) (func() error, error) { return func() error { return boom }, nil }},
		{done: make(chan error, 1), plan: func(*txn) (func() error, error) { return nil, session.ErrNoRecord }},
		{done: make(chan error, 1), plan: func(*txn) (func() error, error) { return func() error { panic("page makes no sense") }, nil }},
		good("t2"),
	}
	if err := s.submit(t.Context(), &request{alone: func() error { s.commit(batch); return nil }}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"<nil>", "boom", "no such record", "page makes no sense", "<nil>"} {
		if err := <-batch[i].done; !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("request %d: %v, want %s", i, err, want)
		}
	}
	err := s.view(t.Context(), func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(bucketMeta))
		if b.Get([]byte("t1")) == nil || b.Get([]byte("t2")) == nil {
			return errors.New("the neighbours of a failing request are not stored")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
