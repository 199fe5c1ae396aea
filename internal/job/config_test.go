package job

import (
	"strings"
	"testing"
	"time"
)

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	for _, c := range []Config{
		{MaxRunningPerOwner: 1000}, {MaxQueued: 2}, {MaxRetained: 3}, {MaxRetainedBytesPerOwner: 1 << 40}, {MaxTTL: time.Minute}, {Retention: 100 * time.Hour},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v: one field set must leave the others room", c, err)
		}
	}
	bad := Config{MaxTTL: time.Hour, Retention: 2 * time.Hour, MaxRunning: 1, MaxRunningPerOwner: 2, MaxQueuedPerOwner: -1, MaxResult: -1, Grace: 1}
	err := bad.Validate()
	for _, want := range []string{"retention is 2h0m0s", "max_running is 1", "max_queued_per_owner is -1", "max_result is -1", "grace is 1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: does not say that %s", err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New took a bad Config")
		}
	}()
	New(bad, NewMemoryStore(), nil, discard())
}
