package middleware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

func remoteOf(r *http.Request) string { return strings.Split(r.RemoteAddr, ":")[0] }

// serve sends one request through m in front of h.
func serve(h http.HandlerFunc, r *http.Request, m ...Middleware) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	Chain(append([]Middleware{RequestID(remoteOf)}, m...)...)(h).ServeHTTP(w, r)
	return w
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }

func TestChainOrder(t *testing.T) {
	var got []string
	mark := func(name string) Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { got = append(got, name); next.ServeHTTP(w, r) })
		}
	}
	serve(ok, httptest.NewRequest("GET", "/", nil), mark("a"), mark("b"), mark("c"))
	if strings.Join(got, "") != "abc" {
		t.Errorf("order %v", got)
	}
}

func TestRequestIDIsOurs(t *testing.T) {
	seen := map[string]bool{}
	h := Chain(RequestID(remoteOf))(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c := client.FromContext(r.Context()); c == nil || c.RequestID != w.Header().Get("X-Request-Id") {
			t.Error("the context does not carry the id")
		}
	}))
	for range 1000 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Request-Id", "chosen-by-the-caller")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		seen[w.Header().Get("X-Request-Id")] = true
	}
	if len(seen) != 1000 || seen["chosen-by-the-caller"] {
		t.Errorf("%d different ids", len(seen))
	}
}

func TestRecover(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	w := serve(func(http.ResponseWriter, *http.Request) { panic("secret") }, httptest.NewRequest("GET", "/x", nil), Recover(logger))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") || !strings.Contains(log.String(), "secret") {
		t.Errorf("%d %s\n%s", w.Code, w.Body, log.String())
	}
	for name, h := range map[string]http.HandlerFunc{
		"after the first byte": func(w http.ResponseWriter, r *http.Request) { ok(w, r); panic("late") },
		"abort":                func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		func() {
			defer func() {
				if p := recover(); p != http.ErrAbortHandler {
					t.Errorf("%s: recovered %v, want the connection cut", name, p)
				}
			}()
			serve(h, httptest.NewRequest("GET", "/x", nil), Recover(logger))
			t.Errorf("%s: no panic", name)
		}()
	}
}

// Streams find http.Flusher by assertion and deadlines through Unwrap: both must
// work behind everything that we wrap around a response.
func TestWritersStayUsable(t *testing.T) {
	logger := slog.New(slog.NewTextHandler(t.Output(), nil))
	s := httptest.NewServer(Chain(RequestID(remoteOf), Recover(logger), Trace(noop.NewTracerProvider()), AccessLog(logger), SecureHeaders(), Body(1<<20, time.Second))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, isFlusher := w.(http.Flusher); !isFlusher {
				t.Error("no http.Flusher")
			}
			rc := http.NewResponseController(w)
			if err := errors.Join(rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.Flush()); err != nil {
				t.Errorf("controller: %v", err)
			}
		})))
	defer s.Close()
	resp, err := http.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("headers %v", resp.Header)
	}
}

// linked is a provider whose one tracer remembers how spans were started.
type linked struct {
	noop.TracerProvider
	tracer remembering
}

type remembering struct {
	noop.Tracer
	names []string
	links int
}

func (l *linked) Tracer(string, ...trace.TracerOption) trace.Tracer { return &l.tracer }

func (m *remembering) Start(ctx context.Context, name string, opts ...trace.SpanStartOption) (context.Context, trace.Span) {
	c := trace.NewSpanStartConfig(opts...)
	if trace.SpanContextFromContext(ctx).IsValid() {
		m.names = append(m.names, "has a parent")
	}
	m.names, m.links = append(m.names, name), m.links+len(c.Links())
	return ctx, noop.Span{}
}

func TestTraceLinksTheCaller(t *testing.T) {
	l := &linked{}
	r := httptest.NewRequest("BREW", "/", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	serve(ok, r, Trace(l))
	r = httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Traceparent", "nonsense")
	serve(ok, r, Trace(l))
	if strings.Join(l.tracer.names, ",") != "_OTHER,GET" || l.tracer.links != 1 {
		t.Errorf("spans %v with %d links, want no parent and one link", l.tracer.names, l.tracer.links)
	}
}

func TestAccessLog(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	r := httptest.NewRequest("POST", "/mcp", strings.NewReader("the body"))
	r.Header.Set("Authorization", "Bearer the-token")
	serve(func(w http.ResponseWriter, r *http.Request) {
		c := client.FromContext(r.Context())
		c.Principal = &identity.Principal{Tenant: "acme", Subject: "alice"}
		fail(w, r, &fault.Error{Kind: fault.Unavailable, Code: "keys", Public: "later", Err: errors.New("dial tcp: refused")})
	}, r, AccessLog(logger))
	var rec map[string]any
	if err := json.Unmarshal(log.Bytes(), &rec); err != nil {
		t.Fatalf("not one record: %v\n%s", err, log.String())
	}
	if rec["status"] != 503.0 || rec["tenant"] != "acme" || rec["code"] != "keys" || rec["error"] != "dial tcp: refused" || rec["level"] != "ERROR" {
		t.Errorf("record %v", rec)
	}
	if strings.Contains(log.String(), "the-token") || strings.Contains(log.String(), "the body") {
		t.Errorf("a secret is in the log: %s", log.String())
	}
	log.Reset()
	serve(ok, httptest.NewRequest("GET", "/healthz", nil), AccessLog(logger))
	if log.Len() > 0 {
		t.Errorf("a health check has a line: %s", log.String())
	}
}

func TestBodyLimit(t *testing.T) {
	read := func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if _, big := errors.AsType[*http.MaxBytesError](err); big {
			w.WriteHeader(413)
		}
	}
	for _, tt := range []struct {
		name     string
		length   int
		declared bool
		status   int
	}{{"fits", 10, true, 200}, {"declared", 11, true, 413}, {"undeclared", 11, false, 413}} {
		r := httptest.NewRequest("POST", "/", strings.NewReader(strings.Repeat("x", tt.length)))
		if !tt.declared {
			r.ContentLength = -1
		}
		if w := serve(read, r, Body(10, time.Second)); w.Code != tt.status {
			t.Errorf("%s: %d, want %d", tt.name, w.Code, tt.status)
		}
	}
}

// A body that does not come is given up, and the deadline that did it does not
// outlive the body.
func TestBodyTime(t *testing.T) {
	result := make(chan error, 1)
	s := httptest.NewServer(Chain(RequestID(remoteOf), Body(1<<20, 50*time.Millisecond))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if err == nil { // a whole body: waiting longer than its deadline is no loss of the client
			select {
			case <-r.Context().Done():
				err = r.Context().Err()
			case <-time.After(150 * time.Millisecond):
			}
		}
		result <- err
	})))
	defer s.Close()
	pr, pw := io.Pipe()
	req, err := http.NewRequest("POST", s.URL, pr)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
		}
	}()
	_, _ = pw.Write([]byte("half"))
	if err := <-result; err == nil {
		t.Error("a body that stopped was waited for")
	}
	pw.Close()
	resp, err := http.Post(s.URL, "text/plain", strings.NewReader("whole"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if err := <-result; err != nil {
		t.Errorf("the deadline outlived the body: %v", err)
	}
}

func TestOrigins(t *testing.T) {
	o := Origins{Hosts: []string{"lyceum.example", "127.0.0.1", "::1"}, Origins: []string{"https://app.example:8443"}}
	tests := []struct {
		host, origin string
		want         int
	}{
		{"lyceum.example", "", 200},
		{"LYCEUM.example:443", "", 200},
		{"[::1]:8383", "", 200},
		{"evil.example", "", 403},
		{"", "", 403},
		{"lyceum.example", "https://lyceum.example", 200},
		{"127.0.0.1:8383", "http://127.0.0.1:9999", 200},
		{"lyceum.example", "https://app.example:8443", 200},
		{"lyceum.example", "https://app.example", 403},
		{"lyceum.example", "null", 403},
		{"lyceum.example", "https://lyceum.example.evil.example", 403},
		{"lyceum.example", "file://lyceum.example", 403},
		{"lyceum.example", "https://user@lyceum.example", 403},
		{"lyceum.example", "https://lyceum.example/path", 403},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("POST", "/mcp", nil)
		r.Host = tt.host
		if tt.origin != "" {
			r.Header.Set("Origin", tt.origin)
		}
		if w := serve(ok, r, o.Check()); w.Code != tt.want {
			t.Errorf("host %q origin %q: %d, want %d", tt.host, tt.origin, w.Code, tt.want)
		}
	}
	r := httptest.NewRequest("POST", "/mcp", nil)
	r.Host = "lyceum.example"
	r.Header["Origin"] = []string{"https://lyceum.example", "https://lyceum.example"}
	if w := serve(ok, r, o.Check()); w.Code != 403 {
		t.Errorf("two origins: %d", w.Code)
	}
}

func TestRateLimitIsExact(t *testing.T) {
	const limit, callers = 100, 512
	h := Chain(RequestID(remoteOf), RateByAddress(limit, time.Minute))(http.HandlerFunc(ok))
	var allowed atomic.Int64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			w := httptest.NewRecorder()
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = "192.0.2.1:1"
			if h.ServeHTTP(w, r); w.Code == 200 {
				allowed.Add(1)
			} else if w.Code != 429 || w.Header().Get("Retry-After") == "" || w.Header().Get("RateLimit") != `"address";r=0;t=60` {
				t.Errorf("%d %v", w.Code, w.Header())
			}
		})
	}
	wg.Wait()
	if allowed.Load() != limit {
		t.Errorf("%d allowed, want %d", allowed.Load(), limit)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = StdioAddr
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 200 {
		t.Errorf("the local host is limited: %d", w.Code)
	}
}

func TestClientEndsWithItsRequest(t *testing.T) {
	ended := false
	v := identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
		return &identity.Principal{Subject: "alice", Scopes: []string{"reason"}}, nil
	})
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	w := serve(func(_ http.ResponseWriter, r *http.Request) {
		c := client.FromContext(r.Context())
		if c.Principal == nil || c.Principal.Subject != "alice" {
			t.Error("no principal")
		}
		c.Defer(func() { ended = true })
	}, r, Authenticate(v, "", []policy.Scope{policy.Reason}), Client(), RequireScope("", policy.Reason))
	if w.Code != 200 || !ended {
		t.Errorf("%d, cleanup ran: %v", w.Code, ended)
	}
	w = serve(ok, r, Authenticate(v, "https://h/meta", nil), RequireScope("https://h/meta", policy.AdminWrite))
	if want := `Bearer realm="lyceum", error="insufficient_scope", error_description="this needs the scope admin.write", scope="admin.write", resource_metadata="https://h/meta"`; w.Code != 403 || w.Header().Get("WWW-Authenticate") != want {
		t.Errorf("%d %s", w.Code, w.Header().Get("WWW-Authenticate"))
	}
}

// A refusal's text cannot break out of the header that it is quoted in.
func TestChallengeIsQuoted(t *testing.T) {
	v := identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
		return nil, fault.Newf(fault.Unauthenticated, "bad \"token\"\r\nX-Evil: é")
	})
	r := httptest.NewRequest("POST", "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	c := serve(ok, r, Authenticate(v, "", nil)).Header().Get("WWW-Authenticate")
	if strings.ContainsAny(c, "\r\né") || strings.Count(c, `"`) != 6 {
		t.Errorf("challenge %q", c)
	}
}
