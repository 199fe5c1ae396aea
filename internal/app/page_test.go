package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lyceum-mcp/lyceum/internal/config"
)

// browser starts a headless Chromium that ends with the test.
func browser(t *testing.T) context.Context {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		t.Fatal("no Chromium: run scripts/test-setup.sh")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(func() {
		cancel()
		stop()
		stopAlloc()
	})
	return ctx
}

// A person opens the page, logs in with one click, sees two people's sessions
// appear while they work, looks at what happened in one, ends one, and sees it go.
func TestPageInABrowser(t *testing.T) {
	s := start(t, nil, func(c *config.Config) { c.Telemetry.SlowAfter = time.Nanosecond })
	ctx := browser(t)
	do := func(what string, steps ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, steps...); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	until := func(what, expression string) {
		t.Helper()
		if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	shot := func(name string) {
		t.Helper()
		png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
		if err == nil {
			err = os.WriteFile(filepath.Join(t.ArtifactDir(), name+".png"), png, 0o644)
		}
		if err != nil {
			t.Errorf("screenshot %s: %v", name, err)
		}
	}
	do("log in", chromedp.EmulateViewport(1280, 720), chromedp.Navigate(s.app.AdminURL()), chromedp.WaitVisible(chromedp.CSS("#continue")))
	shot("login")
	do("continue", chromedp.Click(chromedp.CSS("#continue")), chromedp.WaitVisible(chromedp.CSS("#sessions")))
	until("the page is live", `document.getElementById("liveText").textContent === "live"`)

	alice, bob := s.user("alice"), s.user("bob")
	bob.initialize()
	e, _ := alice.call("1", `{"operation":"sequential_thinking","prompt":"17*23=391"}`)
	if _, resp := bob.call("2", `{"operation":"sequential_thinking","prompt":"<img src=x onerror=alert(1)>"}`); resp.StatusCode != 200 {
		t.Fatal("bob's call failed")
	}
	row := func(who, kind string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#sessions tbody tr")].find(r => r.textContent.includes(%q) && r.textContent.includes(%q))`, who+" @ dev", kind)
	}
	until("alice's session appears", "!!"+row("alice", "reasoning"))
	until("bob's sessions appear", "!!"+row("bob", "reasoning")+" && !!"+row("bob", "transport"))
	shot("sessions")
	html, err := chromedp.Run(ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(html, e.SessionID) || strings.Contains(html, "rs_") || strings.Contains(html, bob.session) {
		t.Error("a raw session id is in the page")
	}

	// What happened in bob's session, and what took long.
	narrow := func(what string) {
		t.Helper()
		do("narrow", chromedp.EmulateViewport(320, 640))
		if wide, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("document.documentElement.scrollWidth > 320")); err != nil || wide {
			t.Errorf("at 320 pixels %s scrolls sideways (%v)", what, err)
		}
		shot("narrow-" + strings.ReplaceAll(what, " ", "-"))
		do("wide again", chromedp.EmulateViewport(1280, 720))
	}
	do("open bob's session", chromedp.Evaluate[chromedp.Void](row("bob", "reasoning")+`.querySelector("a.open").click()`), chromedp.WaitVisible(chromedp.CSS("#timeline")))
	until("the call is in its timeline", `[...document.querySelectorAll(".log tbody tr")].some(r => /call\s+sequential_thinking\s+ok\s.*\btool\s/s.test(r.innerText))`)
	shot("session")
	narrow("session")
	do("spans", chromedp.Click(chromedp.CSS(`.places a[href="/admin/spans"]`)), chromedp.WaitVisible(chromedp.CSS("#spans")), chromedp.Click(chromedp.CSS(`.facets a[href$="kind=slow"]`)), chromedp.WaitVisible(chromedp.CSS(`.facets a[href$="kind=slow"][aria-current]`)))
	until("the slow calls are there", `location.search === "?kind=slow" && document.querySelectorAll(".log tbody tr").length === 2`)
	shot("spans")
	narrow("spans")
	do("back to the sessions", chromedp.Click(chromedp.CSS(`.places a[href="/admin/"]`)), chromedp.WaitVisible(chromedp.CSS("#sessions")))
	until("the page is live again", `document.getElementById("liveText").textContent === "live"`)

	// End alice's session and see it go; she learns it with her next call.
	do("open the dialog", chromedp.Evaluate[chromedp.Void](row("alice", "reasoning")+`.querySelector("button").click()`), chromedp.WaitVisible(chromedp.CSS("#confirm")))
	shot("confirm")
	do("confirm", chromedp.SendKeys(chromedp.CSS("#reason"), "test"), chromedp.Click(chromedp.CSS("#confirm .danger")))
	until("alice's session goes", "!"+row("alice", "idle"))
	if e, _ := alice.call("3", `{"operation":"sequential_thinking","prompt":"more","sessionId":"`+e.SessionID+`"}`); e.Error == nil || e.Error.Code != "session_unavailable" {
		t.Errorf("alice's next call: %+v", e)
	}
	if e, _ := bob.call("4", `{"operation":"sequential_thinking","prompt":"more"}`); e.Error != nil {
		t.Errorf("bob's session was harmed: %+v", e.Error)
	}
	until("the filter hides what does not match", `(() => { const q = document.getElementById("q"); q.value = "nobody"; q.dispatchEvent(new Event("input")); return document.querySelectorAll("#sessions tbody tr").length === 0 && location.search === "?q=nobody" })()`)
	do("the table again", chromedp.Navigate(s.app.AdminURL()), chromedp.WaitVisible(chromedp.CSS("#sessions")))
	narrow("the table")
}
