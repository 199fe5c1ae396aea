package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

func TestEvents(t *testing.T) {
	p := open(t, nil)
	first := p.begin("alice").Ref()
	b := p.browser().logIn()
	f := b.listen("")
	if ct := f.resp.Header.Get("Content-Type"); f.resp.StatusCode != 200 || ct != "text/event-stream" {
		t.Fatalf("%d %s", f.resp.StatusCode, ct)
	}
	m := f.next()
	if m.Type != "snapshot" || !has(m, first) || !slices.Equal(m.Order, []string{first}) || *m.Matching != 1 || m.Status == nil {
		t.Fatalf("%+v", m)
	}
	if want := (status{
		Version: "v1.2.3", Since: 1767323045000, Ready: true, InFlight: 4, Running: 1, Tickets: 2, Queued: 3, Lanes: "batch 3",
		Counts: counts{Total: 1, Reasoning: 1, Idle: 1},
	}); *m.Status != want {
		t.Errorf("%+v, want %+v", *m.Status, want)
	}

	held := p.hold("bob", session.Params{})
	second := held.ID()
	m = f.until("a second session", func(m *message) bool { return has(m, second.Ref()) })
	if m.Type != "delta" || len(m.Rows) != 1 || !slices.Equal(m.Order, []string{second.Ref(), first}) || m.Status.Counts.Active != 1 {
		t.Errorf("%+v", m)
	}
	held.Fail()
	held.Release()
	m = f.until("what changed", func(m *message) bool { return has(m, second.Ref()) })
	if r := m.Rows[0]; len(m.Rows) != 1 || r.State != "idle" || r.Calls != 1 || r.Errors != 1 || m.Order != nil {
		t.Errorf("%+v", m)
	}

	// Who ended it is told, and why.
	if err := p.desk.dir.Delete(t.Context(), held.Owner(), second); err != nil {
		t.Fatal(err)
	}
	m = f.until("the end", func(m *message) bool { return len(m.Gone) > 0 })
	if why := gone(m, second.Ref()); why != "deleted by its owner" || *m.Matching != 1 || m.Order != nil {
		t.Errorf("%+v", m)
	}
	if resp, body := b.do("POST", "/admin/sessions/"+first+"/end", url.Values{"reason": {"stuck <b>"}}); resp.StatusCode != 200 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	m = f.until("the other end", func(m *message) bool { return len(m.Gone) > 0 })
	if why := gone(m, first); why != "ended by Administrator: stuck <b>" {
		t.Errorf("%q", why)
	}
	b.do("POST", "/admin/logout", nil)
	f.ends(byeLoggedOut)
}

func TestFilteredEvents(t *testing.T) {
	p := open(t, nil)
	h := p.hold("alice", session.Params{})
	p.begin("bob")
	f := p.browser().logIn().listen("?q=state:active")
	if m := f.next(); !has(m, h.ID().Ref()) || len(m.Rows) != 1 || m.Status.Counts.Total != 2 {
		t.Errorf("%+v", m)
	}
	h.Release() // lives on, and is not looked for any more
	m := f.until("what is out", func(m *message) bool { return len(m.Out) > 0 })
	if !slices.Equal(m.Out, []string{h.ID().Ref()}) || len(m.Gone) > 0 || *m.Matching != 0 {
		t.Errorf("%+v", m)
	}
}

func TestDrainEndsEvents(t *testing.T) {
	p := open(t, nil)
	b := p.browser().logIn()
	f := b.listen("")
	f.next()
	p.desk.draining.Store(true)
	if m := f.until("status", func(m *message) bool { return m.Status != nil }); m.Status.Ready {
		t.Error("ready while draining")
	}
	f.ends(byeDraining)
	if resp, _ := b.do("GET", "/admin/events", nil); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("a new stream: %d", resp.StatusCode)
	}
	if resp, body := b.do("GET", "/admin/", nil); resp.StatusCode != 200 || !strings.Contains(body, ">draining<") {
		t.Errorf("the page: %d", resp.StatusCode)
	}
}

func TestWatcherCap(t *testing.T) {
	p := open(t, func(c *Config) { c.MaxWatchers = 2 })
	b := p.browser().logIn()
	b.listen("").next()
	b.listen("").next()
	resp, body := b.do("GET", "/admin/events", nil)
	if resp.StatusCode != 503 || !strings.Contains(body, "too_many_watchers") || resp.Header.Get("Retry-After") == "" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if n := p.desk.bus.Subscribers(); n != 2 {
		t.Errorf("%d listeners", n)
	}
}

// TestStreamsAreCheap: many watchers share one picture, nothing is taken twice
// in a refresh, and a stream that is silent keeps itself open with comments.
func TestStreamsAreCheap(t *testing.T) {
	p := open(t, func(c *Config) { c.Refresh, c.KeepAlive = time.Hour, 20*time.Millisecond })
	b := p.browser().logIn()
	one, two := b.listen(""), b.listen("?q=x")
	one.next()
	two.next()
	before := p.site.board.last.Load()
	p.begin("alice")
	for range 3 {
		select {
		case s := <-one.data:
			if s != ":" {
				t.Fatalf("%q, want a comment", s)
			}
		case <-time.After(15 * time.Second):
			t.Fatal("no comment")
		}
	}
	if p.site.board.picture() != before {
		t.Error("another picture was taken")
	}
}

func TestEnd(t *testing.T) {
	p := open(t, nil)
	idle := p.begin("alice")
	busy := p.hold("bob", session.Params{})
	t.Cleanup(busy.Release)
	b := p.browser().logIn()
	end := func(ref, reason string) (*http.Response, result, string) {
		t.Helper()
		resp, body := b.do("POST", "/admin/sessions/"+ref+"/end", url.Values{"reason": {reason}})
		var r result
		if resp.StatusCode == 200 {
			if err := json.Unmarshal([]byte(body), &r); err != nil {
				t.Fatal(err)
			}
		}
		return resp, r, body
	}
	for reason, status := range map[string]int{strings.Repeat("ü", maxReason+1): 400, "a\nb": 400, "\xff": 400} {
		if resp, _, body := end(idle.Ref(), reason); resp.StatusCode != status || !strings.Contains(body, "want at most 200 characters") {
			t.Errorf("reason %.20q: %d %s", reason, resp.StatusCode, body)
		}
	}
	if resp, _, body := end(string(idle), ""); resp.StatusCode != 400 || !strings.Contains(body, "16 hexadecimal digits") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _, _ := end("0123456789abcdef", ""); resp.StatusCode != 404 {
		t.Errorf("%d", resp.StatusCode)
	}
	if n := p.desk.dir.Stats(); n.Sessions != 2 || n.Draining != 0 {
		t.Fatalf("%+v", n)
	}
	if resp, r, body := end(idle.Ref(), strings.Repeat("ü", maxReason)); resp.StatusCode != 200 || !r.Ended || !strings.HasSuffix(r.Why, "üü") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if resp, _, _ := end(idle.Ref(), ""); resp.StatusCode != 404 {
		t.Errorf("again: %d", resp.StatusCode)
	}
	if _, r, body := end(busy.ID().Ref(), ""); r.Ended || r.InFlight != 1 || r.Why != "ended by Administrator" {
		t.Errorf("%s", body)
	}
	if log := p.log.String(); !strings.Contains(log, `msg="operator ended a session" ref=`+idle.Ref()+" operator=admin") || strings.Contains(log, string(idle)) {
		t.Errorf("log: %s", log)
	}
}

func TestReaderCannotEnd(t *testing.T) {
	p := open(t, func(c *Config) { c.Provider.Params["scope"] = "openid admin.read" })
	ref := p.begin("alice").Ref()
	b := p.browser().logIn()
	if _, body := b.do("GET", "/admin/", nil); strings.Contains(body, `class="end`) || !strings.Contains(body, `data-write="false"`) {
		t.Error("the page offers a button that does nothing")
	}
	if m := b.listen("").next(); !has(m, ref) {
		t.Errorf("%+v", m)
	}
	resp, body := b.do("POST", "/admin/sessions/"+ref+"/end", nil)
	if resp.StatusCode != 403 || !strings.Contains(body, "admin.write") || p.desk.dir.Stats().Sessions != 1 {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestWatcherIsExact: whoever applies the messages as the script does has, after
// each, exactly the rows of the view in its order.
func TestWatcherIsExact(t *testing.T) {
	for seed := range uint64(20) {
		draw := rand.New(rand.NewPCG(seed, 7))
		w := &watcher{query: parseQuery(url.Values{"q": {[]string{"", "state:idle", "a"}[seed%3]}, "sort": {[]string{"age", "calls", "owner"}[seed/3%3]}}), limit: 5}
		alive := map[string]row{}
		shown, order := map[string]row{}, []string{}
		for step := range 60 {
			for range draw.IntN(4) {
				switch ref := fmt.Sprintf("%02d", draw.IntN(12)); draw.IntN(3) {
				case 0:
					delete(alive, ref)
				default:
					r := row{Ref: ref, Subject: string(rune('a' + draw.IntN(3))), State: []string{"idle", "active"}[draw.IntN(2)], Calls: draw.Uint64N(4)}
					if old, ok := alive[ref]; ok {
						r.began = old.began
					} else {
						r.began = int64(step)
					}
					alive[ref] = r
				}
			}
			pic := &picture{rows: slices.Collect(maps.Values(alive)), status: status{Counts: counts{Total: len(alive)}}}
			m := w.next(pic, func(string) string { return "x" })
			if m != nil {
				for _, r := range m.Rows {
					if _, known := shown[r.Ref]; !known {
						order = append(order, r.Ref)
					}
					shown[r.Ref] = r
				}
				for _, g := range m.Gone {
					if _, lives := alive[g.Ref]; lives {
						t.Fatalf("%s is said to have ended", g.Ref)
					}
					delete(shown, g.Ref)
				}
				for _, ref := range m.Out {
					if _, lives := alive[ref]; !lives {
						t.Fatalf("%s is said to live", ref)
					}
					delete(shown, ref)
				}
				order = slices.DeleteFunc(order, func(ref string) bool { _, ok := shown[ref]; return !ok })
				if m.Order != nil {
					order = m.Order
				}
			}
			v := pic.view(w.query, w.limit)
			want := make([]string, 0, len(v.rows))
			for _, r := range v.rows {
				want = append(want, r.Ref)
				if shown[r.Ref] != *r {
					t.Fatalf("seed %d, step %d: %+v is shown, want %+v", seed, step, shown[r.Ref], *r)
				}
			}
			if !slices.Equal(order, want) || len(shown) != len(want) {
				t.Fatalf("seed %d, step %d: %v is shown, want %v", seed, step, order, want)
			}
			if again := w.next(pic, nil); again != nil {
				t.Fatal("the same picture was told twice")
			}
		}
	}
}

// TestObituaries: what was never shown is forgotten, and there is a bound.
func TestObituaries(t *testing.T) {
	var o obituaries
	end := func(ref string) {
		o.add(session.Event{Kind: session.EventEnded, Reason: session.ReasonIdle, Info: session.Info{Ref: ref}})
	}
	o.add(session.Event{Kind: session.EventOpened, Info: session.Info{Ref: "a"}})
	end("b")
	end("c")
	if o.of("a") != "" || o.of("b") != session.ReasonIdle {
		t.Errorf("%v", o.reasons)
	}
	o.keep(map[string]row{"c": {}})
	if o.of("b") != "" || o.of("c") != session.ReasonIdle {
		t.Errorf("%v", o.reasons)
	}
	for i := range 2 * maxObituaries {
		end(fmt.Sprint(i))
	}
	if len(o.reasons) != maxObituaries {
		t.Errorf("%d are kept", len(o.reasons))
	}
}

// TestReasons: every reason has words of its own.
func TestReasons(t *testing.T) {
	seen := map[string]session.Reason{}
	for _, r := range session.Reasons() {
		text := why(r)
		if other, dup := seen[text]; dup || text == why("") {
			t.Errorf("%s and %q are both %q", r, other, text)
		}
		seen[text] = r
	}
}
