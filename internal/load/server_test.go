package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire is a network without sockets, so that a server and its load can live in
// a bubble whose time is exact.
type wire struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newWire() *wire { return &wire{conns: make(chan net.Conn), done: make(chan struct{})} }

func (w *wire) Accept() (net.Conn, error) {
	select {
	case c := <-w.conns:
		return c, nil
	case <-w.done:
		return nil, net.ErrClosed
	}
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.done) })
	return nil
}

func (w *wire) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func (w *wire) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case w.conns <- there:
		return here, nil
	case <-w.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// received is a request as the server saw it.
type received struct {
	at     time.Duration // after the server started
	verb   string
	header http.Header
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string                     `json:"name"`
		Arguments map[string]json.RawMessage `json:"arguments"`
		Meta      map[string]json.RawMessage `json:"_meta"`
	} `json:"params"`
}

// class is the argument by which the tests tell calls apart.
func (r *received) class() string { return strings.Trim(string(r.Params.Arguments["class"]), `"`) }

// server answers every call as its fields say.
type server struct {
	// serve, if set, answers a tools/call; n counts them from 0.
	serve func(w http.ResponseWriter, r *http.Request, n int, m *received)

	start time.Time

	mu       sync.Mutex
	requests []received
	calls    int
	sessions int
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := received{at: time.Since(s.start), verb: r.Method, header: r.Header.Clone()}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) > 0 && json.Unmarshal(body, &m) != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	s.requests = append(s.requests, m)
	n := s.calls
	if m.Method == "tools/call" {
		s.calls++
	}
	if m.Method == "initialize" {
		s.sessions++
		w.Header().Set("Mcp-Session-Id", "session-"+strconv.Itoa(s.sessions))
	}
	s.mu.Unlock()
	switch {
	case m.Method == "initialize":
		respond(w, &m, `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}`)
	case m.Method == "server/discover":
		respond(w, &m, `{"supportedVersions":["2026-07-28"]}`)
	case m.Method == "notifications/initialized":
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	case s.serve != nil:
		s.serve(w, r, n, &m)
	default:
		good(w, &m)
	}
}

func respond(w http.ResponseWriter, m *received, body string) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, body)
}

func good(w http.ResponseWriter, m *received) {
	respond(w, m, `{"content":[{"type":"text","text":"{}"}],"structuredContent":{}}`)
}

// of returns the requests with the given method, in the order of their arrival.
func (s *server) of(method string) []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.requests), func(r received) bool { return r.Method != method })
}

// after serves in the given time.
func after(d time.Duration) func(http.ResponseWriter, *http.Request, int, *received) {
	return func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
		if pause(r.Context(), d) {
			good(w, m)
		}
	}
}

// pause returns after d, or false when the client went away before.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// cpu serves one call after the other, in the order in which they came.
func cpu(each time.Duration) func(http.ResponseWriter, *http.Request, int, *received) {
	var turn chan struct{}
	var once sync.Once // in the bubble, which the channel must belong to
	return func(w http.ResponseWriter, r *http.Request, _ int, m *received) {
		once.Do(func() { turn = make(chan struct{}, 1); turn <- struct{}{} })
		select {
		case <-turn:
		case <-r.Context().Done():
			return
		}
		if pause(r.Context(), each) {
			good(w, m)
		}
		turn <- struct{}{}
	}
}

// attack runs a plan against a server, both in the bubble of t.
func attack(ctx context.Context, s *server, p Plan) (*Report, error) {
	w := newWire()
	s.start = time.Now()
	h := &http.Server{Handler: s}
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Serve(w) })
	p.URL, p.dial = "http://127.0.0.1/mcp", w.dial
	r, err := Run(ctx, p)
	_ = h.Close()
	wg.Wait()
	return r, err
}

// bubble runs a plan against a server in a time of their own, and hands the
// report to check.
func bubble(t *testing.T, s *server, p Plan, check func(t *testing.T, r *Report)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r, err := attack(t.Context(), s, p)
		if err != nil {
			t.Fatal(err)
		}
		check(t, r)
	})
}

// call is a class of calls for the mix.
func call(class string) Call {
	return Call{Name: class, Arguments: json.RawMessage(`{"class":"` + class + `"}`)}
}

func one(g Group) []Group {
	if g.Name == "" {
		g.Name = "all"
	}
	if g.Connections == 0 {
		g.Connections = 1
	}
	if g.Mix == nil {
		g.Mix = []Share{{call("x"), 1}}
	}
	return []Group{g}
}

// about fails unless got is within the share off of want.
func about(t *testing.T, what string, got *float64, want, off float64) {
	t.Helper()
	if got == nil {
		t.Errorf("%s is not known, want %g", what, want)
	} else if *got < want*(1-off) || *got > want*(1+off) {
		t.Errorf("%s = %g, want %g ± %g%%", what, *got, want, 100*off)
	}
}
