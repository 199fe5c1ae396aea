package filestore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// TestDiskFull limits the size of files in a process of its own, as a full
// disk does, and lifts the limit again.
func TestDiskFull(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), helperVariable+"=full")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all well") {
		t.Fatalf("%v\n%s", err, out)
	}
	s := openIn(t, Config{Dir: dir})
	checkClean(t, s)
	if u, err := s.Usage(t.Context()); err != nil || u.Sessions != 42 {
		t.Errorf("usage after a full disk: %+v, %v", u, err)
	}
}

func bigSave(s *Store, id string, n int) error {
	return s.Save(context.Background(), session.Change{
		Record: session.Record{Key: key(id), Version: 1}, Create: true, Put: []session.Cell{{Name: "x", Version: 1, Data: make([]byte, n)}},
	})
}

func fullHelper(args []string) int {
	signal.Ignore(syscall.SIGXFSZ) // writes past the limit fail instead
	if err := runFull(args[0]); err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	fmt.Println("all well")
	return 0
}

func runFull(dir string) error {
	s, err := Open(context.Background(), Config{Dir: dir})
	if err != nil {
		return err
	}
	for i := range 20 {
		if err := bigSave(s, fmt.Sprint("rs_", i), 10_000); err != nil {
			return err
		}
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	tight := before
	tight.Cur = uint64(info.Size())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &tight); err != nil {
		return err
	}
	// Large ones fail, each with a clear error; small ones beside them do not.
	errs := make([]error, 40)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			if i%2 == 0 {
				errs[i] = bigSave(s, fmt.Sprint("rs_big_", i), 40<<20)
			} else {
				errs[i] = bigSave(s, fmt.Sprint("rs_small_", i), 10)
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if i%2 == 0 && (fault.KindOf(err) != fault.Unavailable || !strings.Contains(err.Error(), "no space left")) {
			return fmt.Errorf("save %d on a full disk: %w", i, err)
		}
		if i%2 == 1 && err != nil {
			return fmt.Errorf("small save %d on a full disk: %w", i, err)
		}
	}
	if _, err := s.Load(context.Background(), key("rs_3")); err != nil {
		return fmt.Errorf("load on a full disk: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	for i := range 2 {
		if err := bigSave(s, fmt.Sprint("rs_after_", i), 4<<20); err != nil {
			return fmt.Errorf("save after there is space again: %w", err)
		}
	}
	if r, err := s.Check(context.Background()); err != nil || !r.Clean() {
		return fmt.Errorf("check: %+v, %w", r, err)
	}
	return s.Close()
}

func TestMaxBytes(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxBytes: 16 << 20}
	s := openIn(t, cfg)
	fill(t, s, 5)
	n := 0
	var err error
	for ; n < 100 && err == nil; n++ {
		err = bigSave(s, fmt.Sprint("rs_big_", n), 1<<20)
	}
	if fault.KindOf(err) != fault.Unavailable || !strings.Contains(fmt.Sprint(err), "no space left") || n < 2 {
		t.Fatalf("save %d into a store of 16 MiB: %v", n, err)
	}
	checkFill(t, s, 5)
	if u, err := s.Usage(t.Context()); err != nil || u.Bytes-u.Free > 16<<20 {
		t.Errorf("usage: %+v, %v", u, err)
	}
	if err := s.Delete(t.Context(), key("rs_big_0"), key("rs_big_1")); err != nil {
		t.Fatalf("delete in a full store: %v", err)
	}
	if err := bigSave(s, "rs_more", 1<<20); err != nil {
		t.Errorf("save after a deletion: %v", err)
	}
	checkFill(t, s, 5)
}
