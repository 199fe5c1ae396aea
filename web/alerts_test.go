package web

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// guarded opens a place that is watched: what is stored into the pointer is what
// the page shows.
func guarded(t *testing.T) (*place, *atomic.Pointer[alert.Snapshot]) {
	t.Helper()
	p := open(t, nil)
	var now atomic.Pointer[alert.Snapshot]
	p.site.board.alerts = now.Load
	return p, &now
}

// trouble is a picture with the standard rules, the first of which stands as told.
func trouble(state alert.State, value float64) *alert.Snapshot {
	s := &alert.Snapshot{At: time.Now(), Runbooks: "https://docs.example/runbooks/"}
	for i, r := range alert.Standard() {
		a := alert.Alert{Rule: r, State: alert.Inactive}
		if i == 0 {
			a.State, a.Since, a.Value, a.Known = state, time.Now().Add(-90*time.Second), value, true
		}
		s.Alerts = append(s.Alerts, a)
	}
	return s
}

// TestAlertsWithoutScripts: the page says what is wrong, since when, and where one
// reads on; what is not wrong is not there.
func TestAlertsWithoutScripts(t *testing.T) {
	p, now := guarded(t)
	b := p.browser().logIn()
	if _, page := b.do("GET", "/admin/", nil); strings.Contains(page, `id="alerts"`) {
		t.Error("there are alerts, and nobody watches")
	}
	now.Store(trouble(alert.Firing, 4.25))
	p.site.board.fresh()
	_, page := b.do("GET", "/admin/", nil)
	for _, want := range []string{
		">1 alert is firing<", `data-state="firing" data-severity="warning"`, `href="https://docs.example/runbooks/LyceumQueueWait.md"`,
		"4.25 s, too much above 2 s", ">1 min</time>", "Calls wait too long for a core.",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if strings.Contains(page, "LyceumDrainStuck") {
		t.Error("an inactive alert is shown")
	}
	evil := trouble(alert.Firing, 1)
	evil.Runbooks = "javascript:alert(1)//"
	now.Store(evil)
	p.site.board.fresh()
	if _, page := b.do("GET", "/admin/", nil); strings.Contains(page, "javascript:") {
		t.Error("a link runs a script")
	}
}

func TestMeasured(t *testing.T) {
	for want, a := range map[string]alert.Alert{
		"93.5 %, too much above 90.0 %":    {Known: true, Value: 0.935, Rule: alert.Rule{Unit: "ratio", Above: 0.9}},
		"not measured, too much above 2 s": {Rule: alert.Rule{Unit: "s", Above: 2}},
		"3 calls, too much above 0 calls":  {Known: true, Value: 3, Rule: alert.Rule{Unit: "calls"}},
		"1.23 s, too much above 0.5 s":     {Known: true, Value: 1.2345, Rule: alert.Rule{Unit: "s", Above: 0.5}},
	} {
		if got := measured(a); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for n, want := range map[int]string{0: "No alert is firing", 1: "1 alert is firing", 2: "2 alerts are firing"} {
		rows := make([]alertRow, n)
		for i := range rows {
			rows[i].State = "firing"
		}
		if got := said(rows); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestAlertsLive: a browser sees an alert come, change and go, without losing the
// keyboard's place, and is told so.
func TestAlertsLive(t *testing.T) {
	p, now := guarded(t)
	now.Store(trouble(alert.Inactive, 0))
	b := newTab(t)
	b.do("log in", chromedp.EmulateViewport(1280, 720), chromedp.Navigate(p.url+Prefix), chromedp.Click(chromedp.CSS("#continue")), chromedp.WaitVisible(chromedp.CSS("#alerts")))
	b.until("live", `document.getElementById("liveText")?.textContent === "live"`)
	b.until("all is well", `document.getElementById("said").textContent === "No alert is firing" && document.querySelectorAll("#alertList li").length === 0`)

	const li = `document.querySelector("#alertList li")`
	now.Store(trouble(alert.Pending, 2.5))
	b.until("pending", li+`?.dataset.state === "pending" && `+li+`.querySelector("[data-f=value]").textContent === "2.5 s, too much above 2 s"`)
	b.do("go to the link", chromedp.Focus(chromedp.CSS("#alertList a")))
	now.Store(trouble(alert.Firing, 4))
	b.until("firing", li+`.dataset.state === "firing" && document.getElementById("said").textContent === "1 alert is firing"`)
	b.until("the link keeps the focus and leads to the runbook", `document.activeElement === `+li+`.querySelector("a") && document.activeElement.href === "https://docs.example/runbooks/LyceumQueueWait.md"`)
	b.shot("alert")
	b.do("narrow", chromedp.EmulateViewport(320, 640))
	b.until("no scrolling sideways", "document.documentElement.scrollWidth <= 320")
	b.shot("alert-narrow")
	now.Store(trouble(alert.Resolved, 0.5))
	b.until("resolved", li+`.dataset.state === "resolved" && document.getElementById("said").textContent === "No alert is firing"`)
	now.Store(trouble(alert.Inactive, 0.5))
	b.until("gone", `document.querySelectorAll("#alertList li").length === 0`)
}
