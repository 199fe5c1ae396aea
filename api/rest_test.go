package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
)

// site is the whole chain over real directories.
type site struct {
	t          *testing.T
	deps       Deps
	handler    http.Handler
	doc        *openapi3.T
	sessions   *session.Directory
	transports *session.Directory
	scheduler  *work.Scheduler
	log        *bytes.Buffer
	ready      error
}

func newSite(t *testing.T) *site {
	s := &site{
		t: t, doc: document(t), log: new(bytes.Buffer), scheduler: work.New(work.Config{Tickets: 1}),
		sessions:   session.New(session.Config{MaxPerOwner: 1000}, nil),
		transports: session.New(session.Config{Prefix: "ts_"}, nil),
	}
	t.Cleanup(s.sessions.Close)
	t.Cleanup(s.transports.Close)
	s.deps = Deps{
		Config: Config{BaseURL: "http://127.0.0.1", MaxBodyBytes: 1 << 20, Window: time.Minute},
		Log:    slog.New(slog.NewTextHandler(s.log, nil)), Tracer: noop.NewTracerProvider(), Gate: middleware.NewGate(10),
		MCP: http.NotFoundHandler(), Monitor: s, Ready: func() error { return s.ready },
		Verifier: identity.VerifierFunc(func(_ context.Context, token string) (*identity.Principal, error) {
			for _, scope := range policy.All() {
				if token == string(scope) {
					return &identity.Principal{Tenant: "ops", Issuer: "https://issuer.example", Subject: "olga", Scopes: []string{token}}, nil
				}
			}
			return nil, identity.Refuse("unknown", nil)
		}),
	}
	denied, err := identity.NewDenyList(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.deps.Denials = denied
	s.handler = Handler(s.deps)
	return s
}

// The Monitor.

func (s *site) Sessions() iter.Seq[session.Info] {
	return func(yield func(session.Info) bool) {
		for _, d := range []*session.Directory{s.sessions, s.transports} {
			for info := range d.All() {
				if !yield(info) {
					return
				}
			}
		}
	}
}

func (s *site) EndSession(ctx context.Context, ref string) error {
	err := s.sessions.EndRef(ctx, ref, session.ReasonOperator)
	if fault.KindOf(err) == fault.NotFound {
		err = s.transports.EndRef(ctx, ref, session.ReasonOperator)
	}
	return err
}

func (s *site) Work() work.Stats { return s.scheduler.Stats() }
func (s *site) InFlight() int    { return 3 }
func (s *site) Server() (string, time.Time) {
	return "v1.2.3", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
}

// open opens a session and leaves it idle.
func (s *site) open(d *session.Directory, owner session.Owner) session.ID {
	h := s.hold(d, owner, session.Params{})
	h.Release()
	return h.ID()
}

func (s *site) hold(d *session.Directory, owner session.Owner, p session.Params) *session.Handle {
	s.t.Helper()
	h, err := d.Open(s.t.Context(), owner, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// do sends a request with a token that has just that scope, and holds the
// answer against openapi.yaml. No answer may have an id in it.
func (s *site) do(method, path string, scope policy.Scope) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, nil)
	if scope != "" {
		r.Header.Set("Authorization", "Bearer "+string(scope))
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	pattern := r.URL.Path
	if rest, ok := strings.CutPrefix(pattern, "/api/v1/sessions/"); ok && rest != "" {
		pattern = "/api/v1/sessions/{ref}"
		if strings.HasSuffix(rest, "/timeline") {
			pattern += "/timeline"
		}
	}
	checkAnswer(s.t, s.doc, r, pattern, w)
	for info := range s.Sessions() {
		if strings.Contains(w.Body.String(), string(info.ID)) || strings.Contains(fmt.Sprint(w.Header()), string(info.ID)) {
			s.t.Errorf("%s %s shows the id of a session", method, path)
		}
	}
	if w.Code < 400 && w.Header().Get("Cache-Control") != "no-store" {
		s.t.Errorf("%s %s may be cached", method, path)
	}
	return w
}

func (s *site) list(query string) SessionPage {
	s.t.Helper()
	w := s.do("GET", "/api/v1/sessions?"+query, policy.AdminRead)
	return decode[SessionPage](s.t, w, http.StatusOK)
}

func decode[T any](t *testing.T, w *httptest.ResponseRecorder, status int) (v T) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("%d %s, want %d", w.Code, w.Body, status)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

var (
	alice = session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice"}
	bob   = session.Owner{Tenant: "acme", Issuer: "https://issuer.example", Subject: "bob"}
	carol = session.Owner{Tenant: "other", Issuer: "https://issuer.example", Subject: "alice"}
)

func TestSession(t *testing.T) {
	s := newSite(t)
	h := s.hold(s.sessions, alice, session.Params{Name: "plan", Client: session.Client{Name: "<b>cli</b>", Version: "1.0", Revision: "2026-07-28", Transport: "http"}})
	notes := session.NewSlot[map[string]string]("notes")
	if err := notes.Update(t.Context(), h, func(m *map[string]string) error { *m = map[string]string{"k": "secret thought"}; return nil }); err != nil {
		t.Fatal(err)
	}
	h.Fail()
	h.Release()
	again, err := s.sessions.Acquire(t.Context(), alice, h.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Release)

	w := s.do("GET", "/api/v1/sessions/"+h.ID().Ref(), policy.AdminRead)
	got := decode[Session](t, w, http.StatusOK)
	info := again.Info()
	want := Session{
		Ref: info.Ref, Kind: Reasoning, Tenant: "acme", Issuer: "https://issuer.example", Subject: "alice", Name: "plan", State: Active,
		Client: Client{Name: "<b>cli</b>", Version: "1.0", Revision: "2026-07-28", Transport: "http"}, InFlight: 1, Calls: 1, Errors: 1,
		Bytes: info.Bytes, Version: 1, Created: got.Created, LastActivity: got.LastActivity, Expires: got.Expires,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !got.Created.Equal(info.Created) || !got.LastActivity.Equal(info.LastUsed) || got.LastActivity.Before(got.Created) || !got.Expires.After(time.Now()) {
		t.Errorf("created %v, last activity %v, expires %v", got.Created, got.LastActivity, got.Expires)
	}
	if info.Bytes == 0 || strings.Contains(w.Body.String(), "secret thought") {
		t.Errorf("%d bytes of state; %s", info.Bytes, w.Body)
	}
}

func TestFilters(t *testing.T) {
	s := newSite(t)
	refs := map[string]string{}
	refs["a"] = s.open(s.sessions, alice).Ref()
	refs["b"] = s.open(s.sessions, bob).Ref()
	refs["c"] = s.open(s.sessions, carol).Ref()
	refs["t"] = s.open(s.transports, alice).Ref()
	held := s.hold(s.sessions, bob, session.Params{})
	t.Cleanup(held.Release)
	refs["h"] = held.ID().Ref()
	drains := s.hold(s.sessions, bob, session.Params{})
	t.Cleanup(drains.Release)
	refs["d"] = drains.ID().Ref()
	if err := s.EndSession(t.Context(), refs["d"]); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ query, want string }{
		{"", "abcdht"},
		{"tenant=acme", "abdht"},
		{"tenant=ACME", ""},
		{"tenant=", ""},
		{"subject=alice", "act"},
		{"tenant=acme&subject=alice", "at"},
		{"kind=transport", "t"},
		{"kind=reasoning", "abcdh"},
		{"state=active", "h"},
		{"state=idle", "abct"},
		{"state=draining", "d"},
		{"tenant=acme&subject=bob&kind=reasoning&state=idle", "b"},
	} {
		page := s.list(tt.query)
		var got []string
		for _, found := range page.Sessions {
			for name, ref := range refs {
				if ref == found.Ref {
					got = append(got, name)
				}
			}
		}
		slices.Sort(got)
		if strings.Join(got, "") != tt.want || page.Total != len(tt.want) || page.NextCursor != nil {
			t.Errorf("%q: %v of %d, cursor %v; want %s", tt.query, got, page.Total, page.NextCursor, tt.want)
		}
	}
}

// TestPages reads lists of any length with pages of any size, while sessions
// come and go: what lives all along is seen once, the newest first.
func TestPages(t *testing.T) {
	draw := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 7, 60} {
		s := newSite(t)
		var lasting, passing []string
		for range n {
			lasting = append(lasting, s.open(s.sessions, alice).Ref())
			passing = append(passing, s.open(s.sessions, bob).Ref())
		}
		for _, limit := range []int{3, 20, 100} {
			var seen []Session
			query := url.Values{"limit": {fmt.Sprint(limit)}}
			for {
				page := s.list(query.Encode())
				if len(page.Sessions) > limit {
					t.Fatalf("%d sessions on a page of %d", len(page.Sessions), limit)
				}
				seen = append(seen, page.Sessions...)
				if page.NextCursor == nil {
					break
				}
				query.Set("cursor", *page.NextCursor)
				s.open(s.transports, carol)
				if len(passing) > 0 && draw.IntN(2) == 0 {
					if err := s.EndSession(t.Context(), passing[0]); err != nil {
						t.Fatal(err)
					}
					passing = passing[1:]
				}
			}
			if !slices.IsSortedFunc(seen, func(a, b Session) int { return b.Created.Compare(a.Created) }) {
				t.Errorf("n %d, limit %d: not the newest first", n, limit)
			}
			count := map[string]int{}
			for _, x := range seen {
				count[x.Ref]++
			}
			for _, ref := range lasting {
				if count[ref] != 1 {
					t.Fatalf("n %d, limit %d: a session was seen %d times", n, limit, count[ref])
				}
			}
			for ref, times := range count {
				if times > 1 {
					t.Fatalf("n %d, limit %d: %s was seen %d times", n, limit, ref, times)
				}
			}
		}
	}
}

// TestSameMoment pages through sessions that began in one nanosecond: the
// reference decides.
func TestSameMoment(t *testing.T) {
	at := time.Unix(1_800_000_000, 5)
	var all []session.Info
	for i := range 50 {
		all = append(all, session.Info{Created: at.Add(time.Duration(i % 3)), Ref: session.ID(fmt.Sprint("x", i)).Ref()})
	}
	ordered := slices.Clone(newest(slices.Clone(all), len(all)))
	for i, info := range ordered {
		p, ok := placeAt(placeOf(info).cursor())
		if !ok || p != placeOf(info) {
			t.Fatalf("%v came back as %v", placeOf(info), p)
		}
		for j, other := range ordered {
			if got := compare(placeOf(other), p) > 0; got != (j > i) {
				t.Errorf("%d after %d: %v", j, i, got)
			}
		}
	}
}

func TestBadParameters(t *testing.T) {
	s := newSite(t)
	id := s.open(s.sessions, alice)
	long := strings.Repeat("ü", maxReason+1)
	for _, tt := range []struct {
		method, path string
		code         string
		detail       string
	}{
		{"GET", "?limit=0", "invalid_parameter", "limit: want a whole number from 1 to 500"},
		{"GET", "?limit=501", "invalid_parameter", "limit: want"},
		{"GET", "?limit=-1", "invalid_parameter", "limit: want"},
		{"GET", "?limit=ten", "invalid_parameter", "limit: want"},
		{"GET", "?limit=", "invalid_parameter", "limit: want"},
		{"GET", "?limit=5&limit=6", "invalid_parameter", "limit: want it once"},
		{"GET", "?kind=other", "invalid_parameter", "kind: want reasoning or transport"},
		{"GET", "?state=ended", "invalid_parameter", "state: want active, idle or draining"},
		{"GET", "?cursor=x", "invalid_parameter", "cursor: want the next_cursor"},
		{"GET", "?cursor=" + strings.Repeat("A", 23), "invalid_parameter", "cursor"},
		{"GET", "?tenant=" + strings.Repeat("a", maxFilter+1), "invalid_parameter", "tenant: want a tenant of at most 1024 bytes"},
		{"GET", "?tenent=acme", "unknown_parameter", `no parameter "tenent" here: want tenant, subject`},
		{"GET", "/" + string(id), "invalid_parameter", "ref: want the 16 hexadecimal digits"},
		{"GET", "/" + strings.ToUpper(id.Ref()) + "AAA", "invalid_parameter", "ref"},
		{"GET", "/" + id.Ref() + "?x=1", "unknown_parameter", "want none"},
		{"DELETE", "/" + string(id), "invalid_parameter", "ref: want"},
		{"DELETE", "/" + id.Ref() + "?reason=" + url.QueryEscape(long), "invalid_parameter", "reason: want at most 200 characters"},
		{"DELETE", "/" + id.Ref() + "?reason=a%0Ab", "invalid_parameter", "reason"},
		{"DELETE", "/" + id.Ref() + "?reason=%ff", "invalid_parameter", "reason"},
	} {
		w := s.do(tt.method, "/api/v1/sessions"+tt.path, policy.AdminWrite)
		p := decode[Problem](t, w, http.StatusBadRequest)
		if p.Code != tt.code || p.Detail == nil || !strings.Contains(*p.Detail, tt.detail) {
			t.Errorf("%s %s: %s, want %s with %q", tt.method, tt.path, w.Body, tt.code, tt.detail)
		}
		if w.Header().Get("Content-Type") != "application/problem+json" || p.Instance == nil || *p.Instance != w.Header().Get("X-Request-Id") {
			t.Errorf("%s %s: %v %s", tt.method, tt.path, w.Header(), w.Body)
		}
	}
	if n := s.sessions.Stats().Sessions; n != 1 {
		t.Errorf("%d sessions are left, want 1", n)
	}
}

func TestScopes(t *testing.T) {
	s := newSite(t)
	ref := s.open(s.sessions, alice).Ref()
	for _, r := range (&server{Deps: s.deps}).restRoutes() {
		path := strings.Replace(r.pattern, "{ref}", ref, 1)
		if w := s.do(r.method, path, ""); w.Code != http.StatusUnauthorized || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s %s without a token: %d", r.method, path, w.Code)
		}
		if w := s.do(r.method, path, "forged"); w.Code != http.StatusUnauthorized {
			t.Errorf("%s %s with a bad token: %d", r.method, path, w.Code)
		}
		for _, scope := range policy.All() {
			allowed := policy.Allows(&identity.Principal{Scopes: []string{string(scope)}}, r.scope)
			if allowed && r.method == "DELETE" {
				continue // the last row of this test
			}
			w := s.do(r.method, path, scope)
			challenge := w.Header().Get("WWW-Authenticate")
			switch {
			case allowed && r.pattern == "/api/v1/flight" && w.Code == http.StatusCreated: // it has no body
			case allowed && r.method == "POST": // let in, and its empty body refused
				if w.Code != http.StatusBadRequest {
					t.Errorf("%s %s with %s: %d %s", r.method, path, scope, w.Code, w.Body)
				}
			case allowed && w.Code != http.StatusOK:
				t.Errorf("%s %s with %s: %d %s", r.method, path, scope, w.Code, w.Body)
			case !allowed && (w.Code != http.StatusForbidden || !strings.Contains(challenge, `scope="`+string(r.scope)+`"`)):
				t.Errorf("%s %s with %s: %d, challenge %q", r.method, path, scope, w.Code, challenge)
			}
		}
	}
	if w := s.do("DELETE", "/api/v1/sessions/"+ref, policy.AdminWrite); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestEnd(t *testing.T) {
	s := newSite(t)
	idle := s.open(s.sessions, alice)
	transport := s.open(s.transports, alice)
	busy := s.hold(s.sessions, bob, session.Params{})
	t.Cleanup(busy.Release)
	ends := busy.Context()

	for _, id := range []session.ID{idle, transport} {
		path := "/api/v1/sessions/" + id.Ref()
		if w := s.do("DELETE", path+"?reason=stale+%22quote%22", policy.AdminWrite); w.Code != http.StatusNoContent {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		for _, method := range []string{"GET", "DELETE"} {
			if p := decode[Problem](t, s.do(method, path, policy.AdminWrite), http.StatusNotFound); p.Code != "session_not_found" {
				t.Errorf("%s after the end: %+v", method, p)
			}
		}
	}

	path := "/api/v1/sessions/" + busy.ID().Ref()
	got := decode[Session](t, s.do("DELETE", path, policy.AdminWrite), http.StatusAccepted)
	if got.State != Draining || got.InFlight != 1 {
		t.Errorf("%+v, want it draining with one call", got)
	}
	select {
	case <-ends.Done():
	default:
		t.Error("the call in flight was not told")
	}
	if got := decode[Session](t, s.do("GET", path, policy.AdminRead), http.StatusOK); got.State != Draining {
		t.Errorf("%+v", got)
	}
	busy.Release()
	if w := s.do("GET", path, policy.AdminRead); w.Code != http.StatusNotFound {
		t.Errorf("%d %s", w.Code, w.Body)
	}

	log := s.log.String()
	for _, part := range []string{`msg="operator ended a session" ref=` + idle.Ref(), "owner_subject=alice", "operator=olga", `reason="stale \"quote\""`, "kind=transport"} {
		if !strings.Contains(log, part) {
			t.Errorf("the log has no %s:\n%s", part, log)
		}
	}
	if strings.Contains(log, string(idle)) {
		t.Error("the log has an id")
	}
}

func TestStatus(t *testing.T) {
	s := newSite(t)
	s.open(s.sessions, alice)
	s.open(s.transports, bob)
	busy := s.hold(s.sessions, bob, session.Params{})
	t.Cleanup(busy.Release)
	ticket, err := s.scheduler.Acquire(t.Context(), work.Claim{Tenant: "acme", Subject: "bob", Lane: work.Batch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ticket.Release)

	got := decode[Status](t, s.do("GET", "/api/v1/status", policy.AdminRead), http.StatusOK)
	if got.Version != "v1.2.3" || got.Since.Format(time.RFC3339) != "2026-01-02T03:04:05Z" || !got.Ready || got.InFlight != 3 {
		t.Errorf("%+v", got)
	}
	if want := (SessionCounts{Total: 3, Reasoning: 2, Transport: 1, Active: 1, Idle: 2}); got.Sessions != want {
		t.Errorf("sessions %+v, want %+v", got.Sessions, want)
	}
	if q := got.Queue; q.Tickets != 1 || q.Running != 1 || q.Queued != 0 || !slices.Contains(q.Lanes, Lane{Lane: "batch", Running: 1}) ||
		!slices.Contains(q.Lanes, Lane{Lane: "interactive"}) {
		t.Errorf("queue %+v", q)
	}

	s.ready = fault.Newf(fault.Unavailable, "draining")
	if got := decode[Status](t, s.do("GET", "/api/v1/status", policy.AdminRead), http.StatusOK); got.Ready {
		t.Error("ready while draining")
	}
}

// TestRoot: the page is found from the root, and no other path leads there.
func TestRoot(t *testing.T) {
	s := newSite(t)
	s.deps.Admin = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "page ", r.URL.Path) })
	h := Handler(s.deps)
	for path, want := range map[string]string{
		"/": "307 /admin/", "/admin": "308 /admin/", "/admin/": "200 page /admin/", "/admin/x/y": "200 page /admin/x/y", "/other": "404 ",
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", path, nil))
		got := fmt.Sprint(w.Code, " ", w.Header().Get("Location"))
		if w.Code == http.StatusOK {
			got += w.Body.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
