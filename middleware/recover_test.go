package middleware

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRecoverBeforeTheFirstByte(t *testing.T) {
	log, written := logged()
	w := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Early", "1")
		panic("secret detail")
	}, request("GET", "/api/v1/x"),

		Recover(log))

	if w.Code != 500 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("answer %d %s, want a 500 problem", w.Code, w.Header().Get("Content-Type"))
	}
	if id := w.Header().Get("X-Request-Id"); !strings.Contains(w.Body.String(), id) {
		t.Errorf("the body does not name the request %s: %s", id, w.Body)
	}
	if strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the panic's value was sent: %s", w.Body)
	}
	if !strings.Contains(written.String(), "secret detail") || !strings.Contains(written.String(), "TestRecoverBeforeTheFirstByte") {
		t.Errorf("the log lacks the value or the stack: %s", written)
	}
}

// caught runs h behind Recover and returns what went on to the server.
func caught(t *testing.T, h http.HandlerFunc) (value any, log string) {
	t.Helper()
	l, written := logged()
	defer func() { value, log = recover(), written.String() }()
	serve(h, request("GET", "/"), Recover(l))
	return nil, ""
}

func TestRecoverAfterTheFirstByte(t *testing.T) {
	value, log := caught(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of ")
		panic("late")
	})
	if value != http.ErrAbortHandler {
		t.Errorf("panicked with %v, want http.ErrAbortHandler so that the connection is cut", value)
	}
	if !strings.Contains(log, "late") {
		t.Errorf("the log lacks the panic: %s", log)
	}
	// A real client sees that the answer is not whole.
	srv := httptest.NewServer(RequestID(remoteOf)(Recover(heard(t))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of ")
		w.(http.Flusher).Flush()
		panic("late")
	}))))
	defer srv.Close()
	resp, err := srv.Client().Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %q, %v: want an unexpected end", b, err)
	}
}

func TestRecoverLetsAbortThrough(t *testing.T) {
	for _, p := range []error{http.ErrAbortHandler, fmt.Errorf("copying: %w", http.ErrAbortHandler)} {
		value, log := caught(t, func(http.ResponseWriter, *http.Request) { panic(p) })
		if value != http.ErrAbortHandler || log != "" {
			t.Errorf("panic(%v): went on as %v, logged %q; want the bare abort and no record", p, value, log)
		}
	}
}

func TestRecoverLeavesAnswersAlone(t *testing.T) {
	if w := serve(ok, request("GET", "/"), Recover(heard(t))); w.Code != 200 || w.Body.String() != "ok" {
		t.Errorf("answer %d %q", w.Code, w.Body)
	}
}
