package config

import (
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// TestAlertRules: what is set replaces what ships, a negative value leaves it, and
// a disabled rule is gone.
func TestAlertRules(t *testing.T) {
	c, err := Load(Source{File: "testdata/full.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]alert.Rule{}
	for _, r := range c.Alerts.AlertRules() {
		rules[r.Name] = r
	}
	for _, r := range alert.Standard() {
		got, there := rules[r.Name]
		switch r.Name {
		case "LyceumQueueWait":
			r.Above, r.Clear, r.For, r.Hold = 1.5, 0.5, 10*time.Second, 20*time.Second
		case "LyceumSessionsNearCap":
			if there {
				t.Errorf("%s is disabled and there", r.Name)
			}
			continue
		}
		if got != r {
			t.Errorf("%s is %+v, want %+v", r.Name, got, r)
		}
	}
	if n := len(Default().Alerts.AlertRules()); n != len(alert.Standard()) {
		t.Errorf("%d rules by default", n)
	}
}
