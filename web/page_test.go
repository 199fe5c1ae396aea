package web

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// TestHostileNames: what clients say about themselves stays text, wherever it
// is shown, and cannot pretend to be other text.
func TestHostileNames(t *testing.T) {
	p := open(t, nil)
	evil := `</td><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "\u202e\u0007"
	h := p.hold(evil, session.Params{Name: evil, Client: session.Client{Name: evil, Version: evil, Revision: evil, Transport: evil}})
	h.Release()
	b := p.browser().logIn()
	_, page := b.do("GET", "/admin/", nil)
	data, err := b.listen("").event()
	if err != nil {
		t.Fatal(err)
	}
	_, echoed := b.do("GET", "/admin/?q="+url.QueryEscape(evil), nil)
	for name, text := range map[string]string{"page": page, "event": data, "filter": echoed} {
		if strings.Contains(text, "<script>alert") || strings.Contains(text, "<img src=x") || strings.ContainsAny(text, "\u202e\u0007") {
			t.Errorf("%s: %s", name, text)
		}
	}
	if strings.Count(page, "&lt;script&gt;alert(1)") < 6 || !strings.Contains(data, `\u003cscript\u003e`) {
		t.Errorf("the names are not there:\n%s\n%s", page, data)
	}
}

// TestNothingInline: the policy forbids inline code, so there must be none, and
// every file that a page names must be there.
func TestNothingInline(t *testing.T) {
	p := open(t, nil)
	p.begin("alice")
	b := p.browser()
	_, login := b.do("GET", "/admin/", nil)
	b.logIn()
	resp, page := b.do("GET", "/admin/", nil)
	csp := resp.Header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self';"} {
		if !strings.Contains(csp, part) {
			t.Errorf("policy %q has no %s", csp, part)
		}
	}
	if strings.Contains(csp, "unsafe") || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("X-Frame-Options") != "DENY" {
		t.Errorf("%v", resp.Header)
	}
	inline := regexp.MustCompile(`(?i)\sstyle=|\son[a-z]+=|<style|javascript:|<script(\s[^>]*)?>[^<]`)
	links := regexp.MustCompile(`(?:src|href)="(/admin/static/[^"]+)"`)
	for _, html := range []string{login, page} {
		if found := inline.FindString(html); found != "" {
			t.Errorf("inline: %s", found)
		}
		for _, m := range links.FindAllStringSubmatch(html, -1) {
			resp, body := p.browser().do("GET", m[1], nil) // needs no login
			if resp.StatusCode != 200 || body == "" {
				t.Errorf("%s: %d", m[1], resp.StatusCode)
			}
			again, _ := p.browser().do("GET", m[1], nil, "If-None-Match", resp.Header.Get("ETag"))
			if again.StatusCode != http.StatusNotModified {
				t.Errorf("%s again: %d", m[1], again.StatusCode)
			}
		}
	}
	js := p.site.pages.static["app.js"].body
	for _, sink := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"} {
		if strings.Contains(string(js), sink) {
			t.Errorf("the script uses %s", sink)
		}
	}
	for _, path := range []string{"/admin/nothing", "/admin/static/nothing", "/admin/static/..%2fpage.go"} {
		if resp, body := b.do("GET", path, nil); resp.StatusCode != 404 || !strings.Contains(body, `"code":"not_found"`) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
}

// TestWithoutScripts: filtering and sorting are links and a form.
func TestWithoutScripts(t *testing.T) {
	p := open(t, func(c *Config) { c.MaxRows = 3 })
	for i := range 5 {
		for range i {
			h := p.hold(fmt.Sprint("user", i), session.Params{})
			h.Release()
		}
	}
	b := p.browser().logIn()
	_, page := b.do("GET", "/admin/", nil)
	if strings.Count(page, "<tr data-ref") != 3+1 || !strings.Contains(page, "3 of 10 shown") { // one is the script's template
		t.Errorf("%s", page)
	}
	if !strings.Contains(page, `aria-sort="ascending"><a href="/admin/?dir=desc&amp;sort=age"`) || !strings.Contains(page, `href="/admin/?dir=desc&amp;sort=calls"`) {
		t.Error("the heads do not sort")
	}
	_, page = b.do("GET", "/admin/?q=user2", nil)
	if !strings.Contains(page, ">2 shown<") || !strings.Contains(page, `value="user2"`) || strings.Contains(page, "user4") {
		t.Errorf("%s", page)
	}
	_, page = b.do("GET", "/admin/?q=nobody", nil)
	if !strings.Contains(page, "No session matches") || !strings.Contains(page, `href="/admin/"`) {
		t.Errorf("%s", page)
	}
}

func TestWithoutProvider(t *testing.T) {
	p := open(t, func(c *Config) { c.Provider, c.Issuers = nil, []string{"https://issuer.example"} })
	_, body := p.browser().do("GET", "/admin/", nil)
	for _, part := range []string{"has no login", "admin.read", "https://issuer.example", p.url + "/api/v1/status"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page does not say %q", part)
		}
	}
	for _, row := range [][2]string{{"POST", "/admin/login"}, {"GET", "/admin/callback"}} {
		if resp, _ := p.browser().do(row[0], row[1], nil); resp.StatusCode != 404 {
			t.Errorf("%v: %d", row, resp.StatusCode)
		}
	}
}

func TestNew(t *testing.T) {
	p := open(t, nil)
	good := Config{URL: "https://lyceum.example"}
	for _, u := range []string{"", "lyceum.example", "ftp://x", "https://x/admin", "https://x?y", "https://"} {
		if _, err := New(Config{URL: u}, p.desk, p.site.deps); err == nil {
			t.Errorf("URL %q was taken", u)
		}
	}
	if _, err := New(good, p.desk, p.site.deps); err != nil {
		t.Error(err)
	}
	if _, err := New(good, nil, p.site.deps); err == nil {
		t.Error("no monitor, and no error")
	}
	bad := good
	bad.Provider = &Provider{Issuer: "https://issuer.example"}
	if _, err := New(bad, p.desk, p.site.deps); err == nil {
		t.Error("half a provider was taken")
	}
	if csp := policyFor(&Provider{AuthURL: "https://issuer.example/authorize"}); !strings.Contains(csp, "form-action 'self' https://issuer.example;") {
		t.Errorf("the form cannot lead to the issuer: %s", csp)
	}
}

func TestFilter(t *testing.T) {
	r := row{
		Ref: "0123456789abcdef", Kind: "reasoning", Tenant: "Acme", Issuer: "https://issuer.example", Subject: "alice", Name: "Plan B",
		Client: "Cursor", Version: "2.1", Revision: "2026-07-28", Transport: "http", State: "idle",
	}
	for text, want := range map[string]bool{
		"": true, "alice": true, "ALI": true, "bob": false, "alice acme": true, "alice bob": false, "tenant:acme": true, "tenant:alice": false,
		"subject:ali state:idle": true, "state:active": false, "client:2.1": true, "revision:2026": true, "kind:transport": false, "ref:0123": true,
		"plan": true, "name:b": true, "issuer.example": false, "issuer:example": true, "nofield:alice": false, "state:": false, "https://x": false,
		strings.Repeat("alice ", 40): true,
	} {
		q := parseQuery(url.Values{"q": {text}})
		if got := q.matches(&r); got != want {
			t.Errorf("%.40q: %v, want %v", text, got, want)
		}
	}
}

// TestQueryAddress: an address says the same thing when it is read and written
// again, and never something that is not a view.
func TestQueryAddress(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "?q=": "", "?q=+a++": "?q=a", "?sort=age": "", "?sort=age&dir=asc": "", "?sort=age&dir=desc": "?dir=desc&sort=age",
		"?sort=calls": "?dir=desc&sort=calls", "?sort=calls&dir=asc": "?dir=asc&sort=calls", "?sort=nothing&dir=up": "", "?sort=owner": "?dir=asc&sort=owner",
		"?q=%00%E2%80%AEx": "?q=%EF%BF%BD%EF%BF%BDx", "?q=" + strings.Repeat("%C3%BC", 150): "?q=" + strings.Repeat("%C3%BC", 100),
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		got := parseQuery(u.Query()).suffix()
		if got != want {
			t.Errorf("%.60s: %.60s, want %.60s", in, got, want)
		}
		again, _ := url.Parse(got)
		if parseQuery(again.Query()).suffix() != got {
			t.Errorf("%s does not come back", got)
		}
	}
}

// TestView compares the picked rows with those of sorting everything.
func TestView(t *testing.T) {
	draw := rand.New(rand.NewPCG(3, 4))
	for _, c := range columns {
		for _, dir := range []string{"asc", "desc"} {
			for _, n := range []int{0, 1, 9, 10, 11, 19, 20, 21, 500} {
				p := &picture{}
				for i := range n {
					p.rows = append(p.rows, row{
						Ref: fmt.Sprintf("%04d", i), Subject: fmt.Sprint(draw.IntN(5)), Client: fmt.Sprint(draw.IntN(3)), began: draw.Int64N(4),
						Used: draw.Int64N(5), Calls: draw.Uint64N(4), Errors: draw.Uint64N(3), Bytes: draw.Int64N(9), InFlight: draw.IntN(2), State: []string{"idle", "active"}[draw.IntN(2)],
					})
				}
				q := parseQuery(url.Values{"sort": {c.key}, "dir": {dir}})
				all := make([]*row, n)
				for i := range all {
					all[i] = &p.rows[i]
				}
				slices.SortFunc(all, q.order())
				v := p.view(q, 10)
				if v.matching != n || !slices.Equal(v.rows, all[:min(10, n)]) {
					t.Fatalf("%s %s of %d: not the first ten", c.key, dir, n)
				}
			}
		}
	}
}

func TestText(t *testing.T) {
	for ms, want := range map[int64]string{-5: "0 s", 0: "0 s", 59_999: "59 s", 60_000: "1 min", 3_599_999: "59 min", 3_600_000: "1 h 00", 86_399_999: "23 h 59", 90_000_000: "1 d 1 h"} {
		if got := ago(time.Hour.Milliseconds()*1000+ms, time.Hour.Milliseconds()*1000); got != want {
			t.Errorf("%d ms: %q, want %q", ms, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 9949: "9.9 kB", 9950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB", 5_000_000_000_000_000: "5000 TB"} {
		if got := size(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
}
