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
		LostAfter: -1, Sandbox: -1, Blocking: -1, Adaptive: Adaptive{Min: 3, Max: 2},
	}
	err := bad.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"Tickets is -1", "Quantum is -1ns", "MaxRunningPerTenant is", "MaxQueuedPerTenant is", "MaxQueuedPerSubject is", "MaxQueued is",
		"MaxWait is", "LaneWeights.Interactive is -1, want 0 to 1000", "LaneWeights.Batch is 1001", "LaneWeights.Admin is",
		`TenantWeights["zero"] is 0, want 1 to 1000`, `TenantWeights["huge"] is 1001`, "AgeBatch is",
		"LostAfter is", "Sandbox is", "Blocking is", "Adaptive.Min is 3, want", "Adaptive.New is nil, want a limiter",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not reported in:\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 18 {
		t.Errorf("%d errors, want 18", n)
	}
}

func TestDefaults(t *testing.T) {
	s := New(Config{})
	if n := s.Stats().Tickets; n != runtime.GOMAXPROCS(0) {
		t.Errorf("%d tickets, want %d", n, runtime.GOMAXPROCS(0))
	}
	if s.maxWait != DefaultMaxWait || s.quantum.Load() != int64(DefaultQuantum) || s.q.policy.maxQueued != DefaultMaxQueued {
		t.Errorf("got %v, %v, %d", s.maxWait, s.quantum.Load(), s.q.policy.maxQueued)
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
