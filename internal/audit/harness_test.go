package audit

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// begin opens a log that is closed with the test.
func begin(t testing.TB, cfg Config) *Log {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // twice is once
	return l
}

func add(t testing.TB, l Sink, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := l.Append(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

func end(t testing.TB, l Sink) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func call(n int) Record {
	return Record{
		Kind: Call, Tenant: "acme", Issuer: "https://login.example.com", Subject: "alice", ClientID: "ide", Address: "192.0.2.7",
		Operation: "mcts", Session: "rs_abcdefghijklmnop", Decision: Allow, Outcome: OK, Duration: 1500 * time.Microsecond, CPU: time.Millisecond,
		TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", RequestID: fmt.Sprintf("r-%d", n), Arguments: json.RawMessage(`{"b":1,"a":[1,2]}`),
	}
}

func keys(l *Log) VerifyOptions { return VerifyOptions{Keys: []ed25519.PublicKey{l.key.Public()}} }

func verifyDir(t testing.TB, dir string, opts VerifyOptions) Report {
	t.Helper()
	r, err := VerifyDir(context.Background(), dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustBeIntact(t testing.TB, l *Log, opts VerifyOptions) Report {
	t.Helper()
	r := verifyDir(t, l.cfg.Dir, opts)
	if !r.OK {
		t.Fatalf("the log is not intact: %v", r.Problems)
	}
	return r
}

func all(t testing.TB, dir string, f Filter) []Entry {
	t.Helper()
	var got []Entry
	for e, err := range Query(context.Background(), dir, f) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	return got
}

// content is the first file of a log.
func content(t testing.TB, dir string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, fileName(1)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// eventually polls: the other side is a real goroutine on real files.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20s", what)
		}
	}
}

var errIO = errors.New("input/output error")

// faulty is a disk with a switch. Files of one disk share it.
type faulty struct {
	mu sync.Mutex
	// Under mu:
	write, sync, truncate, open error
	short                       int // bytes of a failing write that arrive all the same
	syncs                       int
	unsafe                      bool // fsync does nothing: for tests that ask for very many
}

func (d *faulty) set(f func(*faulty)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(d)
}

func (d *faulty) opener(path string, empty bool) (file, error) {
	d.mu.Lock()
	err := d.open
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f, err := openFile(path, empty)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	file
	disk *faulty
}

func (f *faultyFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	err, short := f.disk.write, f.disk.short
	f.disk.mu.Unlock()
	if err != nil {
		n, _ := f.file.WriteAt(b[:min(short, len(b))], at)
		return n, err
	}
	return f.file.WriteAt(b, at)
}

func (f *faultyFile) Sync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	err, unsafe := f.disk.sync, f.disk.unsafe
	f.disk.mu.Unlock()
	if err != nil || unsafe {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Truncate(n int64) error {
	f.disk.mu.Lock()
	err := f.disk.truncate
	f.disk.mu.Unlock()
	if err != nil {
		return err
	}
	return f.file.Truncate(n)
}

// lines splits a file.
func lines(text []byte) [][]byte {
	return slices.Collect(bytes.Lines(text))
}
