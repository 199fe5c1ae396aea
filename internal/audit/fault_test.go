package audit

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Under every pair of policies: a disk that fails in every way, half-written
// lines among it, and then works again.
func TestDiskFails(t *testing.T) {
	ways := map[string]func(*faulty){
		"no space":    func(d *faulty) { d.write = errors.New("no space left on device") },
		"short write": func(d *faulty) { d.write, d.short = errIO, 700 },
		"whole write": func(d *faulty) { d.write, d.short = errIO, 1<<30 },
		"fsync":       func(d *faulty) { d.sync = errIO },
		"all": func(d *faulty) {
			d.write, d.short, d.sync, d.truncate, d.open = errIO, 200, errIO, errIO, errIO
		},
	}
	for name, breakIt := range ways {
		for _, policy := range []OnFull{Refuse, Degrade} {
			for _, fsync := range []Fsync{FsyncAlways, FsyncInterval, FsyncNone} {
				t.Run(fmt.Sprintf("%s/%s/%s", name, policy, fsync), func(t *testing.T) {
					testDiskFails(t, breakIt, policy, fsync)
				})
			}
		}
	}
}

func testDiskFails(t *testing.T, breakIt func(*faulty), policy OnFull, fsync Fsync) {
	disk := &faulty{}
	l := begin(t, Config{
		Fsync: fsync, OnFull: policy, FsyncInterval: time.Millisecond, FlushEvery: time.Millisecond, RetryEvery: 10 * time.Millisecond,
		MaxQueue: 50, CheckpointEvery: 7, files: disk.opener,
	})
	taken, asked := 0, 0
	try := func() {
		asked++
		r := call(asked)
		switch err := l.Append(t.Context(), r); {
		case err == nil:
			taken++
		case policy == Degrade || fault.KindOf(err) != fault.Unavailable:
			t.Fatalf("append %d: %v", asked, err)
		}
	}
	for range 10 {
		try()
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	disk.set(breakIt)
	failing := fsync != FsyncNone || disk.write != nil // a fsync that nobody asks for does not fail
	for range 200 {
		try()
	}
	if failing {
		eventually(t, "ill health", func() bool { return l.Health() != nil })
		for range 100 { // more than there is room for
			try()
		}
		if err := l.Flush(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("flush: %v", err)
		}
	}
	disk.set(func(d *faulty) { d.write, d.sync, d.truncate, d.open = nil, nil, nil, nil })
	eventually(t, "good health", func() bool { return l.Health() == nil })
	if err := l.Flush(t.Context()); err != nil { // and room for all that follows
		t.Fatal(err)
	}
	for range 10 {
		try()
	}
	end(t, l)

	s := l.Stats()
	r := mustBeIntact(t, l, VerifyOptions{Keys: keys(l).Keys, Sealed: true})
	got := all(t, l.cfg.Dir, Filter{Kind: Call})
	if uint64(len(got))+s.Lost != uint64(taken) || s.Appended != uint64(len(got)) {
		t.Errorf("%d records were taken, %d are in the log, %d were lost; %+v", taken, len(got), s.Lost, s)
	}
	if r.Lost != s.Lost || r.Refused != s.Refused || s.Refused != uint64(asked-taken) {
		t.Errorf("the log tells of %d lost and %d refused, the counters of %d and %d; %d were refused", r.Lost, r.Refused, s.Lost, s.Refused, asked-taken)
	}
	if failing && (policy == Refuse) != (r.Refused > 0) {
		t.Errorf("policy %s, %d refused", policy, r.Refused)
	}
	if s.Queue != 0 || s.Failing {
		t.Errorf("%+v", s)
	}
	// Each record once, in order.
	last := ""
	seen := map[string]bool{}
	for _, e := range got {
		if seen[e.RequestID] {
			t.Fatalf("%s is there twice", e.RequestID)
		}
		seen[e.RequestID] = true
		last = e.RequestID
	}
	if want := fmt.Sprintf("r-%d", asked); last != want {
		t.Errorf("the last record is %s, want %s", last, want)
	}
}

// A log that is closed while the disk fails says what it lost.
func TestCloseFails(t *testing.T) {
	for _, policy := range []OnFull{Refuse, Degrade} {
		disk := &faulty{}
		l := begin(t, Config{OnFull: policy, RetryEvery: time.Hour, FlushEvery: time.Second, files: disk.opener})
		add(t, l, call(1), call(2))
		disk.set(func(d *faulty) { d.write = errIO })
		if err := l.Close(); !errors.Is(err, errIO) || l.Stats().Lost != 2 {
			t.Errorf("%s: %v %+v", policy, err, l.Stats())
		}
		if r := verifyDir(t, l.cfg.Dir, keys(l)); !r.OK {
			t.Error(r.Problems)
		}
	}
}

// A log that cannot begin is not opened.
func TestOpenFails(t *testing.T) {
	for _, d := range []*faulty{{open: errIO}, {write: errIO, short: 10}, {sync: errIO}} {
		dir := t.TempDir()
		if _, err := Open(Config{Dir: dir, files: d.opener}); !errors.Is(err, errIO) {
			t.Errorf("%v", err)
		}
		l := begin(t, Config{Dir: dir})
		add(t, l, call(1))
		end(t, l)
		mustBeIntact(t, l, keys(l))
	}
}

// A full queue refuses or counts, as the policy says.
func TestQueueFull(t *testing.T) {
	for _, policy := range []OnFull{Refuse, Degrade} {
		l := begin(t, Config{OnFull: policy, MaxQueue: 4, FlushEvery: time.Second})
		l.mu.Lock() // the writer cannot take what waits
		for n := range 10 {
			part := l.encoder.record(nil, new(call(n)))
			_, _, err := l.enqueueLocked(part)
			if want := policy == Refuse && n >= 4; (err != nil) != want {
				t.Errorf("%s: append %d: %v", policy, n, err)
			}
		}
		l.mu.Unlock()
		if err := l.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		end(t, l)
		r := mustBeIntact(t, l, keys(l))
		if r.Lost+r.Refused != 6 || (r.Lost == 6) != (policy == Degrade) {
			t.Errorf("%s: %+v", policy, r)
		}
	}
}
