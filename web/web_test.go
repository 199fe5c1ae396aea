package web

import (
	"bufio"
	"context"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

// board is a Monitor over a real directory.
type board struct{ dir *session.Directory }

func (b board) Sessions() iter.Seq[session.Info] { return b.dir.All() }
func (b board) EndSession(ctx context.Context, ref string) error {
	return b.dir.EndRef(ctx, ref, session.ReasonOperator)
}
func (b board) Work() work.Stats            { return work.Stats{Tickets: 2} }
func (b board) InFlight() int               { return 0 }
func (b board) Server() (string, time.Time) { return "v1", time.Now() }
func (b board) Ready() error                { return nil }

// site is the page, with a provider that gives out the token it is told to.
type site struct {
	t     *testing.T
	dir   *session.Directory
	page  *httptest.Server
	token string
}

func newSite(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, dir: session.New(session.Config{}, nil)}
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("code_verifier") == "" || r.PostFormValue("code") != "good" {
			http.Error(w, `{"error":"invalid_grant"}`, http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+s.token+`","token_type":"Bearer"}`)
	}))
	verifier := identity.VerifierFunc(func(_ context.Context, token string) (*identity.Principal, error) {
		p := &identity.Principal{Tenant: "t", Issuer: "i", Subject: token, Name: token, Expires: time.Now().Add(time.Hour)}
		switch token {
		case "writer":
			p.Scopes = []string{"admin.write"}
		case "reader":
			p.Scopes = []string{"admin.read"}
		case "user":
			p.Scopes = []string{"reason"}
		default:
			return nil, fault.Newf(fault.Unauthenticated, "no")
		}
		return p, nil
	})
	mux := http.NewServeMux()
	s.page = httptest.NewServer(mux)
	cfg := Config{BaseURL: s.page.URL, Login: Login{AuthURL: provider.URL + "/authorize", TokenURL: provider.URL + "/token", ClientID: "page", Button: "Go"}}
	for _, f := range change {
		f(&cfg)
	}
	h, err := New(cfg, Deps{Monitor: board{s.dir}, Verifier: verifier, Client: provider.Client(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", h)
	t.Cleanup(func() { s.page.Close(); provider.Close(); s.dir.Close() })
	return s
}

// browser is a client with cookies that does not follow redirects.
func (s *site) browser() *http.Client {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (s *site) get(c *http.Client, path string) (*http.Response, string) {
	s.t.Helper()
	resp, err := c.Get(s.page.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

func (s *site) post(c *http.Client, path string, form url.Values, head ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequest("POST", s.page.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp, string(b)
}

// logIn goes the whole way as somebody and returns the last answer.
func (s *site) logIn(c *http.Client, token, code string) *http.Response {
	s.t.Helper()
	s.token = token
	resp, _ := s.get(c, "/admin/login/start")
	to, err := resp.Location()
	if err != nil {
		s.t.Fatal(err)
	}
	q := to.Query()
	if q.Get("code_challenge_method") != "S256" || q.Get("state") == "" || q.Get("redirect_uri") != s.page.URL+"/admin/callback" {
		s.t.Fatalf("authorization request %s", to)
	}
	resp, _ = s.get(c, "/admin/callback?code="+code+"&state="+q.Get("state"))
	return resp
}

func (s *site) open(subject, client string) session.Info {
	s.t.Helper()
	h, err := s.dir.Open(s.t.Context(), session.Owner{Tenant: "acme", Issuer: "i", Subject: subject}, session.Params{Client: session.Client{Name: client, Revision: "2026-07-28", Transport: "http"}})
	if err != nil {
		s.t.Fatal(err)
	}
	h.Release()
	return h.Info()
}

func TestLogin(t *testing.T) {
	s := newSite(t)
	c := s.browser()
	for _, path := range []string{"/admin/"} {
		if resp, _ := s.get(c, path); resp.StatusCode != 303 || resp.Header.Get("Location") != "/admin/login" {
			t.Errorf("%s without a login: %d", path, resp.StatusCode)
		}
	}
	if resp, _ := s.get(c, "/admin/events"); resp.StatusCode != 401 {
		t.Errorf("events without a login: %d", resp.StatusCode)
	}
	if resp, _ := s.post(c, "/admin/sessions/x/end", nil); resp.StatusCode != 401 {
		t.Errorf("end without a login: %d", resp.StatusCode)
	}
	for _, bad := range []struct{ token, code string }{{"user", "good"}, {"unknown", "good"}, {"writer", "stolen"}} {
		if resp := s.logIn(s.browser(), bad.token, bad.code); resp.StatusCode != 403 {
			t.Errorf("%v: %d, want 403", bad, resp.StatusCode)
		}
	}
	if resp := s.logIn(c, "writer", "good"); resp.StatusCode != 303 || resp.Header.Get("Location") != "/admin/" {
		t.Fatalf("login: %d", resp.StatusCode)
	}
	resp, body := s.get(c, "/admin/")
	if resp.StatusCode != 200 || strings.Contains(body, `>writer<`) == false || resp.Header.Get("Content-Security-Policy") != policyHeader || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the page: %d %v", resp.StatusCode, resp.Header)
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "style=") || strings.Contains(body, "onclick") {
		t.Error("the page has inline scripts or styles")
	}
	if resp, _ := s.post(c, "/admin/logout", nil); resp.StatusCode != 303 {
		t.Errorf("logout: %d", resp.StatusCode)
	}
	if resp, _ := s.get(c, "/admin/"); resp.StatusCode != 303 {
		t.Errorf("after logout: %d", resp.StatusCode)
	}
}

// A login that was begun in one browser cannot be finished in another, nor
// twice.
func TestLoginIsTiedToItsBrowser(t *testing.T) {
	s := newSite(t)
	s.token = "writer"
	mallory, victim := s.browser(), s.browser()
	resp, _ := s.get(mallory, "/admin/login/start")
	to, err := resp.Location()
	if err != nil {
		t.Fatal(err)
	}
	back := "/admin/callback?code=good&state=" + to.Query().Get("state")
	if resp, _ := s.get(victim, back); resp.StatusCode != 400 {
		t.Errorf("in another browser: %d", resp.StatusCode)
	}
	if resp, _ := s.get(mallory, back); resp.StatusCode != 400 {
		t.Errorf("a state that was used: %d", resp.StatusCode)
	}
}

func TestEndingSessions(t *testing.T) {
	s := newSite(t)
	info := s.open("alice", "probe")
	reader, writer := s.browser(), s.browser()
	s.logIn(reader, "reader", "good")
	s.logIn(writer, "writer", "good")
	path := "/admin/sessions/" + info.Ref + "/end"
	if resp, _ := s.post(reader, path, nil); resp.StatusCode != 403 {
		t.Errorf("a reader ended a session: %d", resp.StatusCode)
	}
	if resp, _ := s.post(writer, path, nil, "Sec-Fetch-Site", "cross-site"); resp.StatusCode != 403 {
		t.Errorf("a cross-site request was taken: %d", resp.StatusCode)
	}
	if resp, _ := s.post(writer, path, nil, "Origin", "https://evil.example"); resp.StatusCode != 403 {
		t.Errorf("a request from another origin was taken: %d", resp.StatusCode)
	}
	if resp, body := s.post(writer, path, url.Values{"reason": {strings.Repeat("x", 300)}}); resp.StatusCode != 400 || !strings.Contains(body, "300") {
		t.Errorf("a long reason: %d %s", resp.StatusCode, body)
	}
	if n := s.dir.Stats().Sessions; n != 1 {
		t.Fatalf("%d sessions before the end", n)
	}
	if resp, body := s.post(writer, path, url.Values{"reason": {"test"}}); resp.StatusCode != 200 || !strings.Contains(body, info.Ref) {
		t.Errorf("end: %d %s", resp.StatusCode, body)
	}
	if resp, body := s.post(writer, path, nil); resp.StatusCode != 404 || !strings.Contains(body, "over already") {
		t.Errorf("end again: %d %s", resp.StatusCode, body)
	}
}

func TestPageShowsNoIDsAndNoMarkup(t *testing.T) {
	s := newSite(t)
	info := s.open("<script>alert(1)</script>", `"><img src=x onerror=alert(2)>`)
	c := s.browser()
	s.logIn(c, "reader", "good")
	_, body := s.get(c, "/admin/?q=acme")
	if !strings.Contains(body, info.Ref) || strings.Contains(body, string(info.ID)) || strings.Contains(body, "<script>alert") || strings.Contains(body, "<img src=x") {
		t.Error("the page has a raw id or unescaped text")
	}
	if _, body := s.get(c, "/admin/?q=nobody"); strings.Contains(body, info.Ref) {
		t.Error("the filter let it through")
	}
}

func TestEvents(t *testing.T) {
	s := newSite(t)
	first := s.open("alice", "probe")
	c := s.browser()
	s.logIn(c, "writer", "good")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.page.URL+"/admin/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(want ...string) {
		t.Helper()
		for lines.Scan() {
			data, ok := strings.CutPrefix(lines.Text(), "data: ")
			if !ok {
				continue
			}
			if strings.Contains(data, string(first.ID)) {
				t.Fatal("a raw id")
			}
			for _, w := range want {
				if !strings.Contains(data, w) {
					t.Fatalf("event %s, want %q", data, w)
				}
			}
			return
		}
		t.Fatalf("no event with %q: %v", want, lines.Err())
	}
	next(`"type":"snapshot"`, first.Ref, `"sessions":1`)
	second := s.open("bob", "probe")
	next(`"type":"delta"`, second.Ref, `"sessions":2`)
	if err := s.dir.EndRef(ctx, first.Ref, session.ReasonOperator); err != nil {
		t.Fatal(err)
	}
	next(`"type":"delta"`, `"gone":["`+first.Ref+`"]`)
	s.post(c, "/admin/logout", nil)
	next(`"type":"end"`)
	if lines.Scan(); lines.Scan() {
		t.Errorf("more after the end: %q", lines.Text())
	}
}

func TestWithoutALogin(t *testing.T) {
	s := newSite(t, func(c *Config) { c.Login = Login{} })
	if _, body := s.get(s.browser(), "/admin/login"); !strings.Contains(body, "admin.read") || strings.Contains(body, `id="continue"`) {
		t.Errorf("%s", body)
	}
	if resp, _ := s.get(s.browser(), "/admin/login/start"); resp.StatusCode != 404 {
		t.Errorf("start: %d", resp.StatusCode)
	}
}

func TestShelf(t *testing.T) {
	s := newShelf[int](3)
	keys := map[string]bool{}
	for i := range 10 {
		keys[s.put(i, time.Now().Add(time.Duration(i+1)*time.Minute))] = true
	}
	if len(keys) != 10 || len(s.items) != 3 {
		t.Errorf("%d keys, %d kept", len(keys), len(s.items))
	}
	old := s.put(99, time.Now().Add(-time.Second))
	if _, ok := s.get(old); ok {
		t.Error("an expired value was given out")
	}
	k := s.put(5, time.Now().Add(time.Hour))
	if v, ok := s.take(k); !ok || v != 5 {
		t.Error("take")
	}
	if _, ok := s.take(k); ok {
		t.Error("taken twice")
	}
}

func TestSizes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 20: "5.0 MiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "now", 5 * time.Second: "5s", 90 * time.Second: "1m", 3*time.Hour + 5*time.Minute: "3h 5m", 72 * time.Hour: "3d"} {
		if got := ago(time.Now().Add(-d).UnixMilli()); got != want {
			t.Errorf("ago(%s) = %q, want %q", d, got, want)
		}
	}
}
