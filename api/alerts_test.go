package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

// TestAlerts: all rules are listed as they stand; times that never were and numbers
// that were not measured are left out.
func TestAlerts(t *testing.T) {
	s := newSite(t)
	if list := decode[AlertList](t, s.do("GET", "/api/v1/alerts", policy.AdminRead), http.StatusOK); len(list.Alerts) != 0 || list.At != nil || list.Delivery.Enabled {
		t.Errorf("nobody watches, and there is %+v", list)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rules := alert.Standard()
	snap := &alert.Snapshot{
		At: at, Runbooks: "https://docs.example/", Delivery: alert.Delivery{On: true, Waiting: 2, Delivered: 3, Failed: 4, Dropped: 5, Problem: "refused"},
		Alerts: []alert.Alert{
			{Rule: rules[0], State: alert.Firing, Since: at, Started: at, Value: 3.5, Known: true},
			{Rule: rules[1], State: alert.Resolved, Since: at, Started: at, Ended: at.Add(time.Minute), Known: true},
			{Rule: rules[2], State: alert.Inactive},
		},
	}
	s.deps.Alerts = func() *alert.Snapshot { return snap }
	s.handler = Handler(s.deps)
	list := decode[AlertList](t, s.do("GET", "/api/v1/alerts", policy.AdminRead), http.StatusOK)
	if len(list.Alerts) != 3 || list.At == nil || !list.At.Equal(at) {
		t.Fatalf("%+v", list)
	}
	fires, over, calm := list.Alerts[0], list.Alerts[1], list.Alerts[2]
	if fires.Name != "LyceumQueueWait" || fires.State != AlertState(alert.Firing) || fires.Value == nil || *fires.Value != 3.5 || fires.Above != 2 || fires.Clear != 1 ||
		fires.ForSeconds != 30 || fires.HoldSeconds != 60 || fires.Runbook != "https://docs.example/LyceumQueueWait.md" || fires.Ended != nil || !fires.Started.Equal(at) {
		t.Errorf("%+v", fires)
	}
	if over.Value == nil || *over.Value != 0 || over.Ended == nil || !over.Ended.Equal(at.Add(time.Minute)) {
		t.Errorf("%+v", over)
	}
	if calm.Value != nil || calm.Since != nil || calm.Started != nil {
		t.Errorf("%+v", calm)
	}
	if d := list.Delivery; !d.Enabled || d.Waiting != 2 || d.Delivered != 3 || d.Failed != 4 || d.Dropped != 5 || d.Problem == nil || *d.Problem != "refused" {
		t.Errorf("%+v", d)
	}
	for scope, want := range map[policy.Scope]int{policy.AdminWrite: http.StatusOK, policy.Reason: http.StatusForbidden, "": http.StatusUnauthorized} {
		if w := s.do("GET", "/api/v1/alerts", scope); w.Code != want {
			t.Errorf("with %q: %d, want %d", scope, w.Code, want)
		}
	}
}
