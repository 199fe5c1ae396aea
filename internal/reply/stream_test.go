package reply

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// once is a listener with one connection.
type once struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (l *once) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *once) Close() error   { close(l.closed); return nil }
func (l *once) Addr() net.Addr { return &net.TCPAddr{} }

// get asks a server for h over a pipe in memory, so that both live in the time
// of a synctest bubble, and returns the response.
func get(t *testing.T, h http.HandlerFunc) *http.Response {
	t.Helper()
	l := &once{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	srv := &http.Server{Handler: h, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	done := make(chan struct{})
	go func() { defer close(done); _ = srv.Serve(l) }()
	ours, theirs := net.Pipe()
	t.Cleanup(func() { _ = ours.Close(); _ = srv.Close(); <-done })
	l.conns <- theirs
	fmt.Fprint(ours, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(ours), nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// The deadline of a write must not cut the end of a response that was silent
// for longer than that: to the client it would look like a broken connection.
func TestStreamEndsWholeAfterSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp := get(t, func(w http.ResponseWriter, _ *http.Request) {
			s := NewStream(w, time.Second)
			if err := s.Send([]byte(`{}`)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
			s.Close()
		})
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "event: message\ndata: {}\n\n" {
			t.Errorf("read %q, %v", b, err)
		}
	})
}

func TestStreamGivesUpOnAReaderThatStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan time.Duration, 1)
		_ = get(t, func(w http.ResponseWriter, _ *http.Request) {
			s := NewStream(w, time.Second)
			start := time.Now()
			for s.Send(make([]byte, 4096)) == nil {
			}
			failed <- time.Since(start)
		}) // the head is read and nothing more
		if took := <-failed; took != time.Second {
			t.Errorf("gave up after %v, want 1s", took)
		}
	})
}

func TestKeepAliveOnlyWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := httptest.NewRecorder()
		s := NewStream(w, time.Second)
		grew := func() bool {
			before := w.Body.Len()
			if err := s.KeepAlive(15 * time.Second); err != nil {
				t.Fatal(err)
			}
			return w.Body.Len() > before
		}
		if !grew() || !s.Opened() {
			t.Error("the first comment opens the stream")
		}
		time.Sleep(14 * time.Second)
		if grew() {
			t.Error("a comment after 14 s")
		}
		if err := s.Send([]byte("{}")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(14 * time.Second)
		if grew() {
			t.Error("a comment 14 s after an event")
		}
		time.Sleep(time.Second)
		if !grew() {
			t.Error("no comment after 15 s")
		}
		s.Close()
		if s.KeepAlive(time.Hour) == nil || s.Open() == nil || s.Send(nil) == nil {
			t.Error("something was written after Close")
		}
	})
}

func TestOpenSendsTheHeadOnly(t *testing.T) {
	w := httptest.NewRecorder()
	s := NewStream(w, 0)
	if err := s.Open(); err != nil || w.Body.Len() != 0 || !w.Flushed || w.Code != 200 {
		t.Errorf("open: %v, %d, flushed %v, body %q", err, w.Code, w.Flushed, w.Body)
	}
	if err := s.Open(); err != nil {
		t.Errorf("open again: %v", err)
	}
}

// A kind that has no row, which a newer part of the program might send, is ours
// to answer for.
func TestUnknownKindIsInternal(t *testing.T) {
	unknown := fault.Kind(len(fault.Kinds()) + 7)
	if w := failWith("/x", &fault.Error{Kind: unknown, Public: "new"}); w.Code != 500 {
		t.Errorf("status %d, want 500", w.Code)
	}
	if Status(unknown) != 500 || Code(unknown) != -32603 {
		t.Errorf("status %d, code %d", Status(unknown), Code(unknown))
	}
}

func TestJSONThatCannotBeEncoded(t *testing.T) {
	w := httptest.NewRecorder()
	if JSON(w, 200, map[string]any{"f": func() {}}); w.Code != 500 {
		t.Errorf("status %d, want 500", w.Code)
	}
	w = httptest.NewRecorder()
	if JSON(w, 201, map[string]string{"a": "<b>"}); w.Code != 201 || w.Body.String() != `{"a":"<b>"}`+"\n" || w.Header().Get("Content-Length") != "12" {
		t.Errorf("%d %q %v", w.Code, w.Body, w.Header())
	}
}

func TestRetryAfterThatWasSetStays(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Retry-After", "77")
	Fail(w, httptest.NewRequest("GET", "/", nil), fault.Newf(fault.Overloaded, "full"))
	if got := w.Header().Get("Retry-After"); got != "77" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("Retry-After %q, headers %v", got, w.Header())
	}
}
