package filestore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// flood fills s with 20 sessions of 1 MiB and deletes them again.
func flood(t *testing.T, s *Store) {
	const n = 20
	t.Helper()
	for i := range n {
		if err := bigSave(s, fmt.Sprint("rs_big_", i), 1<<20); err != nil {
			t.Fatal(err)
		}
	}
	for i := range n {
		if err := s.Delete(t.Context(), key(fmt.Sprint("rs_big_", i))); err != nil {
			t.Fatal(err)
		}
	}
}

// look makes the writer look at the file n times, as time would.
func look(t *testing.T, s *Store, n int) {
	t.Helper()
	for range n {
		if err := s.submit(t.Context(), &request{alone: func() error { s.tidy(); return nil }}); err != nil {
			t.Fatal(err)
		}
	}
}

func onDisk(t *testing.T, s *Store) int64 {
	t.Helper()
	u, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u.Bytes
}

// After a flood the file gives its room back while readers and writers go on,
// and nothing that was acknowledged is lost.
func TestTidyGivesRoomBackInUse(t *testing.T) {
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			cfg.Dir = t.TempDir()
			s := openIn(t, cfg)
			fill(t, s, 20)
			flood(t, s)
			before := onDisk(t, s)

			// One reader began before the copy and ends after it.
			began, end := make(chan struct{}), make(chan struct{})
			var readers sync.WaitGroup
			readers.Go(func() {
				err := s.view(ctxOf(t), func(tx *bolt.Tx) error {
					close(began)
					<-end
					if n := tx.Bucket([]byte(bucketSessions)).Stats().KeyN; n != 20 {
						return fmt.Errorf("%d sessions in the old file, want 20", n)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
			<-began
			// Others come and go.
			done := make(chan struct{})
			for range 4 {
				readers.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						if _, err := s.Load(ctxOf(t), key("rs_3")); err != nil {
							t.Errorf("load: %v", err)
							return
						}
					}
				})
			}
			acked := 0
			for i := range 50 {
				if i == 10 || i == 20 {
					look(t, s, 1)
				}
				if err := bigSave(s, fmt.Sprint("rs_new_", i), 100); err != nil {
					t.Fatal(err)
				}
				acked++
			}
			if after := onDisk(t, s); after > before/2 {
				t.Errorf("%d bytes on disk, %d before", after, before)
			}
			if _, err := Open(t.Context(), cfg); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("a second store on the new file: %v", err)
			}
			close(end)
			close(done)
			readers.Wait()
			var copied bytes.Buffer
			if _, err := s.Backup(t.Context(), &copied); err != nil || int64(copied.Len()) > before/2 {
				t.Errorf("backup of %d bytes: %v", copied.Len(), err)
			}
			checkFill(t, s, 20)
			checkClean(t, s)
			closeStore(t, s)

			s = openIn(t, cfg)
			checkFill(t, s, 20)
			for i := range acked {
				if _, err := s.Load(t.Context(), key(fmt.Sprint("rs_new_", i))); err != nil {
					t.Errorf("acknowledged beside the copy: %v", err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(cfg.Dir, "*compact*")); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// What is in use, small, or wanted as it is stays as it is; so does a file that
// cannot be replaced.
func TestTidyLeavesAlone(t *testing.T) {
	t.Run("one look", func(t *testing.T) {
		s := openIn(t, Config{Dir: t.TempDir()})
		flood(t, s)
		before := onDisk(t, s)
		look(t, s, 1)
		if after := onDisk(t, s); after != before {
			t.Errorf("%d bytes on disk, %d before", after, before)
		}
	})
	t.Run("no compaction", func(t *testing.T) {
		s := openIn(t, Config{Dir: t.TempDir(), NoCompact: true})
		flood(t, s)
		before := onDisk(t, s)
		look(t, s, 3)
		if after := onDisk(t, s); after != before {
			t.Errorf("%d bytes on disk, %d before", after, before)
		}
	})
	t.Run("in use", func(t *testing.T) {
		s := openIn(t, Config{Dir: t.TempDir()})
		for i := range 20 {
			if err := bigSave(s, fmt.Sprint("rs_", i), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		flood(t, s)
		before := onDisk(t, s)
		look(t, s, 3)
		if after := onDisk(t, s); after != before {
			t.Errorf("%d bytes on disk, %d before", after, before)
		}
	})
	t.Run("no directory", func(t *testing.T) {
		base := t.TempDir()
		dir, aside := filepath.Join(base, "data"), filepath.Join(base, "aside")
		s := openIn(t, Config{Dir: dir})
		flood(t, s)
		before := onDisk(t, s)
		err := os.Rename(dir, aside)
		look(t, s, 2)
		if err := bigSave(s, "rs_after", 100); err != nil {
			t.Errorf("save after a copy that failed: %v", err)
		}
		if err = errors.Join(err, os.Rename(aside, dir)); err != nil {
			t.Fatal(err)
		}
		look(t, s, 2) // not tried again so soon
		if after := onDisk(t, s); after != before {
			t.Errorf("%d bytes on disk, %d before", after, before)
		}
		if err := s.submit(t.Context(), &request{alone: func() error { s.tidier.after = time.Time{}; return nil }}); err != nil {
			t.Fatal(err)
		}
		look(t, s, 2)
		if after := onDisk(t, s); after > before/2 {
			t.Errorf("%d bytes on disk after the cause is gone, %d before", after, before)
		}
		if _, err := s.Load(t.Context(), key("rs_after")); err != nil {
			t.Error(err)
		}
	})
}
