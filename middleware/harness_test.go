package middleware

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request returns a request from 192.0.2.1 with the headers given in pairs.
func request(method, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// heard is a log of the test that is on, so that nothing is left out.
func heard(t *testing.T) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

// logged returns a JSON log and what was written to it. Only one goroutine may
// log.
func logged() (*slog.Logger, *strings.Builder) {
	var b strings.Builder
	return slog.New(slog.NewJSONHandler(&b, nil)), &b
}

// asPrincipal gives every request the principal p, as the stdio host does.
func asPrincipal(p *identity.Principal) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(identity.NewContext(r.Context(), p)))
		})
	}
}

// piped is a listener whose connections are pipes in memory, so that a server
// on it lives in the time of a synctest bubble.
type piped struct {
	conns  chan net.Conn
	closed chan struct{}
}

// serveOnPipe starts a server for h and returns a function that connects to it.
// Both ends stop with the test.
func serveOnPipe(t *testing.T, h http.Handler) (dial func() net.Conn) {
	t.Helper()
	l := &piped{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close(); <-done })
	return func() net.Conn {
		ours, theirs := net.Pipe()
		l.conns <- theirs
		t.Cleanup(func() { _ = ours.Close() })
		return ours
	}
}

func (l *piped) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *piped) Close() error   { close(l.closed); return nil }
func (l *piped) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// within returns a context for what must happen soon.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// clientOf returns the request's client, which RequestID made.
func clientOf(t *testing.T, r *http.Request) *client.Context {
	t.Helper()
	c := client.FromContext(r.Context())
	if c == nil {
		t.Fatal("the request has no client")
	}
	return c
}
