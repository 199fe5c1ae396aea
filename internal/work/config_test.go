package work

import (
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	good := []Config{
		{},
		{
			Tickets: 8, Quantum: time.Millisecond, MaxRunningPerTenant: 4, MaxQueuedPerTenant: 1, MaxQueuedPerSubject: 1, MaxQueued: 1,
			MaxWait: time.Second, LaneWeights: LaneWeights{1, 1, MaxWeight}, TenantWeights: map[string]int{"": 1, "acme": MaxWeight}, AgeBatch: 1,
		},
	}
	for _, c := range good {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	bad := Config{
		Tickets: -1, Quantum: -1, MaxRunningPerTenant: -1, MaxQueuedPerTenant: -1, MaxQueuedPerSubject: -1, MaxQueued: -1, MaxWait: -1,
		LaneWeights: LaneWeights{-1, MaxWeight + 1, -1}, TenantWeights: map[string]int{"zero": 0, "huge": MaxWeight + 1}, AgeBatch: -1,
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Tickets is -1", "Quantum is -1ns", "MaxRunningPerTenant is", "MaxQueuedPerTenant is", "MaxQueuedPerSubject is", "MaxQueued is",
		"MaxWait is", "LaneWeights.Interactive is -1, want 0 to 1000", "LaneWeights.Batch is 1001", "LaneWeights.Admin is",
		`TenantWeights["zero"] is 0, want 1 to 1000`, `TenantWeights["huge"] is 1001`, "AgeBatch is",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 13 {
		t.Errorf("%d errors, want 13", n)
	}
}

func TestDefaults(t *testing.T) {
	s := New(Config{})
	if n := s.Stats().Tickets; n != runtime.GOMAXPROCS(0) {
		t.Errorf("%d tickets, want %d", n, runtime.GOMAXPROCS(0))
	}
	if s.maxWait != DefaultMaxWait || s.quantum != int64(DefaultQuantum) || s.q.policy.maxQueued != DefaultMaxQueued {
		t.Errorf("got %v, %v, %d", s.maxWait, s.quantum, s.q.policy.maxQueued)
	}
}

func TestLaneNames(t *testing.T) {
	for lane, want := range map[Lane]string{Inline: "inline", Interactive: "interactive", Batch: "batch", Admin: "admin", lanes: "unknown"} {
		text, err := lane.MarshalText()
		if lane.String() != want || string(text) != want || err != nil {
			t.Errorf("lane %d is %q, %q, %v, want %q", lane, lane, text, err, want)
		}
	}
}

func TestWaitBuckets(t *testing.T) {
	for ns := int64(1); ns < int64(100*time.Second); ns += 1 + ns/7 {
		b := waitBucket(ns)
		edge := waitEdge(b)
		if b == waitBuckets-1 {
			continue // whatever is longer
		}
		if int64(edge) <= ns || b > 1 && int64(waitEdge(b-1)) > ns {
			t.Errorf("%v is in bucket %d, which ends at %v", time.Duration(ns), b, edge)
		}
		if ns > 2000 && float64(edge) > 1.26*float64(ns) {
			t.Errorf("%v is reported as %v", time.Duration(ns), edge)
		}
	}
	if b := waitBucket(int64(time.Hour)); b != waitBuckets-1 || waitEdge(b) < time.Minute {
		t.Errorf("an hour is in bucket %d, which ends at %v", b, waitEdge(b))
	}
}

func TestWaitPercentiles(t *testing.T) {
	var w waitLog
	for i := range int64(1000) {
		w.add(i*int64(time.Millisecond), i)
	}
	near := func(got, want time.Duration) bool { return got >= want && got <= want*13/10 }
	s := w.sum()
	if s.Count != 1000 || !near(s.P50, 499*time.Millisecond) || !near(s.P95, 949*time.Millisecond) || !near(s.P99, 989*time.Millisecond) {
		t.Errorf("got %+v", s)
	}
	w.add(0, waitWindow) // the next window: both count
	if s := w.sum(); s.Count != 1001 {
		t.Errorf("count %d, want 1001", s.Count)
	}
	w.add(0, 2*waitWindow) // the first is forgotten
	if s := w.sum(); s.Count != 2 || s.P99 != 0 {
		t.Errorf("got %+v, want two waits of 0", s)
	}
	w.add(0, 9*waitWindow) // both are
	if s := w.sum(); s.Count != 1 {
		t.Errorf("count %d, want 1", s.Count)
	}
}
