package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a Monitor over a real directory.
type desk struct {
	dir      *session.Directory
	bus      *event.Bus[session.Event]
	draining atomic.Bool
}

func (d *desk) Sessions() iter.Seq[session.Info] { return d.dir.All() }
func (d *desk) EndSession(ctx context.Context, ref string) error {
	return d.dir.EndRef(ctx, ref, session.ReasonOperator)
}
func (d *desk) Changes(ctx context.Context) iter.Seq[session.Event] { return d.bus.Subscribe(ctx) }
func (d *desk) Work() work.Stats {
	return work.Stats{Tickets: 2, Running: 1, Queued: 3, Lanes: []work.LaneStats{{Lane: work.Interactive}, {Lane: work.Batch, Queued: 3}}}
}
func (d *desk) InFlight() int { return 4 }
func (d *desk) Server() (string, time.Time) {
	return "v1.2.3", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
}

func (d *desk) Ready() error {
	if d.draining.Load() {
		return fault.Newf(fault.Unavailable, "the server is stopping")
	}
	return nil
}

// place is the page beside a real issuer, on one address as in development.
type place struct {
	t       *testing.T
	desk    *desk
	site    *site
	url     string
	log     *bytes.Buffer
	revoked atomic.Bool // every token

	mu     sync.Mutex
	tokens []string // that the issuer gave out, owned by mu
}

// open starts a place. change may adapt the configuration.
func open(t *testing.T, change func(*Config)) *place {
	t.Helper()
	p := &place{t: t, desk: &desk{bus: new(event.Bus[session.Event])}, log: new(bytes.Buffer)}
	p.desk.dir = session.New(session.Config{MaxPerOwner: 1000}, p.desk.bus)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	p.url = server.URL
	cfg := Config{
		URL: server.URL, Refresh: 20 * time.Millisecond, KeepAlive: 50 * time.Millisecond,
		Provider: &Provider{
			Issuer: server.URL + devidp.Prefix, AuthURL: devidp.Prefix + "/authorize", TokenURL: server.URL + devidp.Prefix + "/token",
			ClientID: "page", Resource: server.URL + "/mcp", Params: map[string]string{"auto": "1", "login_hint": "admin"}, Button: "Continue as admin",
		},
	}
	if change != nil {
		change(&cfg)
	}
	idp, err := devidp.New(devidp.Config{
		Issuer: server.URL + devidp.Prefix, Resources: []string{server.URL + "/mcp"},
		Clients: []devidp.Client{{ID: "page", RedirectURIs: []string{"http://127.0.0.1" + CallbackPath, "http://localhost" + CallbackPath}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	good := oidc.NewLocal(idp, devidp.TenantClaim)
	h, err := New(cfg, p.desk, Deps{
		Log: slog.New(slog.NewTextHandler(p.log, nil)), Client: &http.Client{Transport: p},
		Verifier: identity.VerifierFunc(func(ctx context.Context, token string) (*identity.Principal, error) {
			if p.revoked.Load() {
				return nil, identity.Refuse("revoked", nil)
			}
			return good.Verify(ctx, token)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	p.site = h.(*site)
	mux.Handle(devidp.Prefix+"/", idp)
	mux.Handle(Prefix, h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		p.desk.dir.Close()
	})
	return p
}

// RoundTrip is the page's way to the issuer; it remembers the tokens.
func (p *place) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	var answer map[string]any
	if json.Unmarshal(body, &answer) == nil {
		p.mu.Lock()
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			if s, _ := answer[name].(string); s != "" {
				p.tokens = append(p.tokens, s)
			}
		}
		p.mu.Unlock()
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, err
}

// browser has a jar of its own and reads every answer: none may have the id of
// a session or a token in it.
type browser struct {
	*place
	http *http.Client
}

func (p *place) browser() *browser {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return &browser{p, &http.Client{Jar: jar, Timeout: 20 * time.Second}}
}

// stay makes the browser not follow redirects.
func (b *browser) stay() *browser {
	b.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return b
}

func (b *browser) do(method, path string, form url.Values, head ...string) (*http.Response, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == "POST" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for i := 0; i < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.clean(path, resp.Header, body)
	return resp, string(body)
}

// clean looks for what must not leave the server.
func (b *browser) clean(path string, head http.Header, body []byte) {
	b.t.Helper()
	var all bytes.Buffer
	_ = head.Write(&all)
	all.Write(body)
	for info := range b.desk.Sessions() {
		if bytes.Contains(all.Bytes(), []byte(info.ID)) {
			b.t.Errorf("%s shows the id of a session", path)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, token := range b.tokens {
		if bytes.Contains(all.Bytes(), []byte(token)) {
			b.t.Errorf("%s shows a token", path)
		}
	}
}

// logIn presses the button.
func (b *browser) logIn() *browser {
	b.t.Helper()
	if resp, body := b.do("POST", "/admin/login", nil); resp.StatusCode != 200 || resp.Request.URL.Path != "/admin/" || !strings.Contains(body, "Log out") {
		b.t.Fatalf("login led to %s: %d %s", resp.Request.URL, resp.StatusCode, body)
	}
	return b
}

func (p *place) hold(subject string, params session.Params) *session.Handle {
	p.t.Helper()
	h, err := p.desk.dir.Open(p.t.Context(), session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: subject}, params)
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// begin begins a session and leaves it idle.
func (p *place) begin(subject string) session.ID {
	p.t.Helper()
	h := p.hold(subject, session.Params{Client: session.Client{Name: "probe", Version: "1", Revision: "2026-07-28", Transport: "http"}})
	h.Release()
	return h.ID()
}

// feed is an open event stream.
type feed struct {
	b    *browser
	resp *http.Response
	data chan string // closed at the end of the stream
}

// listen opens an event stream. It ends with the test.
func (b *browser) listen(query string) *feed {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", b.url+"/admin/events"+query, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	resp, err := (&http.Client{Jar: b.http.Jar}).Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	f := &feed{b: b, resp: resp, data: make(chan string, 100)}
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(f.data)
		f.read(ctx)
	})
	b.t.Cleanup(func() { cancel(); resp.Body.Close(); wg.Wait() })
	return f
}

func (f *feed) read(ctx context.Context) {
	var rest []byte
	buf := make([]byte, 64<<10)
	for {
		n, err := f.resp.Body.Read(buf)
		rest = append(rest, buf[:n]...)
		for {
			one, more, ok := bytes.Cut(rest, []byte("\n\n"))
			if !ok {
				break
			}
			rest = bytes.Clone(more)
			select {
			case f.data <- string(one):
			case <-ctx.Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errEnded = errors.New("the stream has ended")

// event returns the next event as it came, comments left out.
func (f *feed) event() (string, error) {
	f.b.t.Helper()
	deadline := time.After(15 * time.Second)
	for {
		select {
		case s, ok := <-f.data:
			if !ok {
				return "", errEnded
			}
			if data, ok := strings.CutPrefix(s, "event: message\ndata: "); ok {
				f.b.clean("/admin/events", http.Header{}, []byte(data))
				return data, nil
			}
		case <-deadline:
			f.b.t.Fatal("no event in 15 s")
		}
	}
}

func (f *feed) next() *message {
	f.b.t.Helper()
	data, err := f.event()
	if err != nil {
		f.b.t.Fatal(err)
	}
	m := new(message)
	if err := json.Unmarshal([]byte(data), m); err != nil {
		f.b.t.Fatal(err)
	}
	return m
}

// until reads on to the message that fits.
func (f *feed) until(what string, fits func(*message) bool) *message {
	f.b.t.Helper()
	for range 100 {
		if m := f.next(); fits(m) {
			return m
		}
	}
	f.b.t.Fatalf("100 events and no %s", what)
	return nil
}

// ends waits for the farewell and the end of the stream.
func (f *feed) ends(why string) {
	f.b.t.Helper()
	if m := f.until("bye", func(m *message) bool { return m.Type == "bye" }); m.Why != why {
		f.b.t.Errorf("bye because of %q, want %q", m.Why, why)
	}
	if _, err := f.event(); !errors.Is(err, errEnded) {
		f.b.t.Error("the stream goes on after its bye")
	}
}

func has(m *message, ref string) bool {
	return slices.ContainsFunc(m.Rows, func(r row) bool { return r.Ref == ref })
}

func gone(m *message, ref string) string {
	for _, g := range m.Gone {
		if g.Ref == ref {
			return g.Why
		}
	}
	return ""
}
