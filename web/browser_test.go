package web

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"

	"github.com/lyceum-mcp/lyceum/session"
)

// tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// newTab starts Chromium, which ends with the test.
func newTab(t *testing.T) *tab {
	t.Helper()
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	at := slices.IndexFunc(names, func(name string) bool { _, err := exec.LookPath(name); return err == nil })
	if at < 0 {
		t.Fatal("no Chromium: run scripts/test-setup.sh")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(names[at]), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(func() { cancel(); stop(); stopAlloc() })
	return &tab{t, ctx}
}

func (b *tab) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// until waits for the expression to become true.
func (b *tab) until(what, expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(15*time.Second))); err != nil {
		seen, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
		b.t.Fatalf("%s: %v\n%s", what, err, seen)
	}
}

// press presses a key as a keyboard does: what the page prevents types nothing.
func (b *tab) press(key string) {
	b.t.Helper()
	down := input.DispatchKeyEventParams{Type: input.DispatchKeyEventTypeKeyDown, Key: key, Text: key}
	switch key {
	case "Enter":
		down.Text, down.Code, down.WindowsVirtualKeyCode = "\r", "Enter", 13
	case "Escape":
		down.Text, down.Code, down.WindowsVirtualKeyCode = "", "Escape", 27
	}
	up := down
	up.Type, up.Text = input.DispatchKeyEventTypeKeyUp, ""
	for _, e := range []input.DispatchKeyEventParams{down, up} {
		if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, e); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *tab) shot(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(b.t.ArtifactDir(), name+".png"), png, 0o600)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// subjects is what the table shows, as an expression.
const subjects = `[...document.querySelectorAll("#sessions tbody tr:not(.gone) [data-f=subject]")].map(e => e.textContent).join(" ")`

// TestByKeyboard: two owners' sessions appear live, the table is sorted and
// filtered, and one session is ended, without a pointer but for one click.
func TestByKeyboard(t *testing.T) {
	p := open(t, nil)
	b := newTab(t)
	b.do("log in", chromedp.EmulateViewport(1280, 720), chromedp.Navigate(p.url+Prefix), chromedp.Click(chromedp.CSS("#continue")), chromedp.WaitVisible(chromedp.CSS("#sessions-panel")))
	b.until("live", `document.getElementById("liveText")?.textContent === "live"`)
	b.until("nobody yet", `!document.getElementById("empty").hidden`)

	alice := p.hold("alice", session.Params{})
	bob := p.begin("bob")
	b.until("both appear, the newest first", subjects+` === "bob alice"`)
	b.until("the counts follow", `document.querySelector("[data-facet=active] b").textContent === "1" && document.getElementById("count").textContent === "2 shown"`)
	b.do("sort by owner", chromedp.Click(chromedp.CSS("th[data-key=owner] a")))
	b.until("sorted", subjects+` === "alice bob" && location.search === "?dir=asc&sort=owner"`)
	b.shot("live")

	b.press("/")
	b.until("the filter is empty and focused", `document.activeElement.id === "q" && document.activeElement.value === ""`)
	b.press("b")
	b.press("o")
	b.until("filtered", subjects+` === "bob" && new URLSearchParams(location.search).get("q") === "bo"`)
	b.press("Escape")
	b.until("everything again", subjects+` === "alice bob"`)
	b.press("Escape")

	b.press("p")
	carol := p.begin("carol")
	b.until("paused", `document.getElementById("liveText").textContent === "paused" && document.getElementById("pause").ariaPressed === "true"`)
	b.press("p")
	b.until("it goes on", subjects+` === "alice bob carol"`)

	b.press("j")
	b.press("j")
	b.press("k")
	b.press("j")
	b.until("bob's row has the focus", `document.activeElement.dataset.ref === "`+bob.Ref()+`"`)
	b.press("x")
	b.until("asked", `document.getElementById("confirm").open && document.getElementById("confirmOwner").textContent === "bob @ acme" && document.activeElement.id === "reason" && document.activeElement.value === ""`)
	b.shot("confirm")
	b.press("Escape")
	b.until("not confirmed", `!document.getElementById("confirm").open`)
	if n := p.desk.dir.Stats().Sessions; n != 3 {
		t.Fatalf("%d sessions, want 3", n)
	}
	b.press("x")
	b.until("asked again", `document.activeElement.id === "reason"`)
	b.press("?") // types here
	b.press("Enter")
	b.until("bob's is over", subjects+` === "alice carol" && document.querySelector("tr.gone .over").textContent === "ended by Administrator: ?"`)
	b.shot("ended")

	// Another one ends by itself, and one goes on until its call is done.
	if err := p.desk.dir.Delete(t.Context(), alice.Owner(), alice.ID()); err != nil {
		t.Fatal(err)
	}
	b.until("draining", `document.querySelector('tr[data-state=draining] [data-f=subject]')?.textContent === "alice"`)
	alice.Release()
	b.until("alice's is over", subjects+` === "carol" && [...document.querySelectorAll("tr.gone .over")].some(e => e.textContent === "deleted by its owner")`)

	html, err := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.documentElement.outerHTML + document.cookie"))
	if err != nil || strings.Contains(html, string(carol)) || strings.Contains(html, visitCookie) {
		t.Errorf("an id or the cookie is in the page (%v)", err)
	}
	b.do("carol's row", chromedp.Focus(chromedp.CSS(`tr[data-ref="`+carol.Ref()+`"]`)))
	b.press("o")
	b.do("open it", chromedp.WaitVisible(chromedp.CSS("#timeline")))
	b.until("carol's session is open", `location.pathname === "/admin/sessions/`+carol.Ref()+`" && document.querySelector("dl").innerText.includes("carol")`)
	b.do("back", chromedp.Click(chromedp.CSS(".trail a")), chromedp.WaitVisible(chromedp.CSS("#sessions-panel")))
	b.until("live again", `document.getElementById("liveText")?.textContent === "live" && `+subjects+` === "carol"`)

	b.press("?")
	b.until("help", `document.getElementById("help").open`)
	b.press("Escape")

	b.do("narrow", chromedp.EmulateViewport(320, 640))
	b.until("no scrolling sideways", "document.documentElement.scrollWidth <= 320")
	b.shot("narrow")
	p.desk.draining.Store(true)
	b.until("draining is said", `document.getElementById("ready").textContent === "draining" && !document.getElementById("problem").hidden`)
}
