//go:build unix

package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("AUDIT_TEST_CHILD"); dir != "" {
		os.Exit(child(os.Getenv("AUDIT_TEST_ROLE"), dir))
	}
	goleak.VerifyTestMain(m)
}

// child is what the test binary does when it is started as another process.
func child(role, dir string) int {
	var err error
	switch role {
	case "append":
		err = appendUntilKilled(dir)
	case "limit":
		err = appendOverLimit(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// appendUntilKilled has 64 writers that tell of each record once it is safe. A
// line of the pipe is written whole.
func appendUntilKilled(dir string) error {
	l, err := Open(Config{Dir: dir, Fsync: FsyncAlways, MaxFileBytes: 1 << 20, KeepFiles: -1, CheckpointEvery: 50})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for w := range 64 {
		wg.Go(func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				r := call(n)
				r.RequestID = id
				if err := l.Append(context.Background(), r); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				if _, err := os.Stdout.WriteString(id + "\n"); err != nil {
					return // nobody listens any more
				}
			}
		})
	}
	wg.Wait()
	return errors.New("the writers ended by themselves")
}

func start(t *testing.T, role, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "AUDIT_TEST_CHILD="+dir, "AUDIT_TEST_ROLE="+role)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// A process with 64 writers is killed again and again in the middle of writing:
// every record that Append acknowledged is in the log, once, and the log is
// intact. 100,000 records in all.
func TestKill(t *testing.T) {
	const rounds = 10
	total := 100_000
	if testing.Short() {
		total = 10_000
	}
	dir := t.TempDir()
	acknowledged := make(map[string]bool, total)
	began := time.Now()
	for round := range rounds {
		cmd, out := start(t, "append", dir)
		want := len(acknowledged) + total/rounds
		for out.Scan() {
			acknowledged[out.Text()] = true
			if len(acknowledged) == want {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := cmd.Wait(); cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("round %d: %v", round, err)
		}
		if len(acknowledged) < want {
			t.Fatalf("round %d: %d acknowledged, want %d", round, len(acknowledged), want)
		}
	}
	took := time.Since(began)
	l := begin(t, Config{Dir: dir, KeepFiles: -1, CheckpointEvery: 50})
	end(t, l)
	r := mustBeIntact(t, l, VerifyOptions{Keys: keys(l).Keys, Sealed: true})
	found := map[string]bool{}
	for _, e := range all(t, dir, Filter{Kind: Call}) {
		if found[e.RequestID] {
			t.Fatalf("%s is there twice", e.RequestID)
		}
		found[e.RequestID] = true
	}
	lost := 0
	for id := range acknowledged {
		if !found[id] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged records are lost", lost, len(acknowledged))
	}
	t.Logf("%d acknowledged, %d in the log, %d files, %d torn ends in %d kills, %.0f records/s", len(acknowledged), len(found), r.Files, r.Recovered, rounds, float64(len(acknowledged))/took.Seconds())
}

// appendOverLimit runs into the system's limit on the size of files, which fails
// as a full disk does, and on when it is lifted.
func appendOverLimit(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	l, err := Open(Config{Dir: dir, OnFull: Degrade, FlushEvery: time.Millisecond, RetryEvery: 10 * time.Millisecond, MaxQueue: 100})
	if err != nil {
		return err
	}
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 20_000, Max: old.Max}); err != nil {
		return err
	}
	n := 0
	for deadline := time.Now().Add(20 * time.Second); l.Stats().Lost < 50 || !errors.Is(l.Health(), syscall.EFBIG); n++ {
		if time.Now().After(deadline) {
			return fmt.Errorf("the disk does not fill: %+v", l.Stats())
		}
		if err := l.Append(context.Background(), call(n)); err != nil {
			return err
		}
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	if err := l.Close(); err != nil {
		return err
	}
	s := l.Stats()
	fmt.Println(n, s.Lost)
	return nil
}

func TestFileSizeLimit(t *testing.T) {
	dir := t.TempDir()
	cmd, out := start(t, "limit", dir)
	var asked, lost int
	for out.Scan() {
		a, b, _ := strings.Cut(out.Text(), " ")
		asked, _ = strconv.Atoi(a)
		lost, _ = strconv.Atoi(b)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	r := verifyDir(t, dir, VerifyOptions{Sealed: true})
	got := len(all(t, dir, Filter{Kind: Call}))
	if !r.OK || lost < 50 || r.Lost != uint64(lost) || got+lost != asked || r.Gaps != 1 {
		t.Errorf("%d records, %d in the log, %d lost; %+v", asked, got, lost, r)
	}
	if _, err := os.Stat(filepath.Join(dir, fileName(1))); err != nil {
		t.Error(err)
	}
}
