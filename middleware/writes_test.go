package middleware

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// A client that does not read loses its connection, whether an answer is being
// written, what is left of one is sent at its end, or a refusal.
func TestWritesToNobody(t *testing.T) {
	for name, tt := range map[string]struct {
		h      http.HandlerFunc
		within time.Duration
	}{
		"a long answer": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, strings.Repeat("x", 64<<10)) }, time.Second},
		"a short one":   {ok, time.Second},
		"nothing":       {func(http.ResponseWriter, *http.Request) {}, time.Second},
		"a flush": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}, time.Second},
		"a refusal": {func(w http.ResponseWriter, r *http.Request) { fail(w, r, fault.Newf(fault.Forbidden, "no")) }, refusalTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := []Middleware{RequestID(remoteOf), AccessLog(heard(t))}
				if tt.within != refusalTime {
					m = append(m, Writes(tt.within))
				}
				c := serveOnPipe(t, Chain(m...)(tt.h))()
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				synctest.Wait()
				time.Sleep(tt.within + time.Second)
				synctest.Wait()
				_ = c.SetReadDeadline(time.Now().Add(time.Second))
				if b, err := io.ReadAll(c); err != nil || len(b) > 0 {
					t.Errorf("after %v: %q, %v; want the connection closed", time.Since(start), b, err)
				}
			})
		})
	}
}

// Each write has a time of its own: an answer may take longer than one of them.
func TestWritesMayGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := serveOnPipe(t, Chain(RequestID(remoteOf), Writes(time.Second))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for range 5 {
				_, _ = io.WriteString(w, "x")
				if err := http.NewResponseController(w).Flush(); err != nil {
					t.Error(err)
				}
				time.Sleep(900 * time.Millisecond)
			}
		})))()
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(c)
		if err != nil || strings.Count(string(b), "\r\nx\r\n") != 5 {
			t.Errorf("%q, %v", b, err)
		}
	})
}

func TestWritesTellsOfAFailedFlush(t *testing.T) {
	broken := errors.New("broken")
	w := &timedWriter{ResponseWriter: failingFlusher{err: broken}}
	if err := http.NewResponseController(w).Flush(); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type failingFlusher struct {
	http.ResponseWriter
	err error
}

func (f failingFlusher) FlushError() error { return f.err }
