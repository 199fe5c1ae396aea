package bridge

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// What was never sent is sent when the server is there.
func TestServerComesLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	var srv atomic.Pointer[http.Server]
	served := make(chan struct{})
	failures := &watcher{after: 2, then: func() {
		again, err := net.Listen("tcp", address)
		if err != nil {
			t.Errorf("the port is taken meanwhile: %v", err)
			close(served)
			return
		}
		srv.Store(&http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
		})})
		go func() { _ = srv.Load().Serve(again); close(served) }()
	}}
	lines, _ := converse(t, "http://"+address, callLine, func(c *Config) { c.Log = failures; c.Patience = 10 * time.Second })
	if len(lines) != 1 || !strings.Contains(lines[0], `"result"`) {
		t.Errorf("%q", lines)
	}
	if s := srv.Load(); s != nil {
		_ = s.Close()
	}
	<-served
}

// watcher does something after so many lines of the log.
type watcher struct {
	after, seen int
	then        func()
}

func (w *watcher) Write(p []byte) (int, error) {
	if w.seen++; w.seen == w.after {
		w.then()
	}
	return len(p), nil
}

// A request that the server may have acted on is sent again if that does no harm,
// and only then.
func TestLostRequests(t *testing.T) {
	tests := []struct {
		name, line string
		sent       int
		want       string
	}{
		{"a read", `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, 3, `"result"`},
		{"a read of 2026", `{"jsonrpc":"2.0","id":2,"method":"tools/list",` + modernParams + `}`, 3, `"result"`},
		{"a call", callLine, 1, "the connection was lost before the answer began: the call may have been carried out"},
		{"a call of 2026", `{"jsonrpc":"2.0","id":2,"method":"tools/call",` + modernParams + `}`, 1, "in 2026-07-28 that cancels the call"},
		{"a call with a key", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x","arguments":{"idempotencyKey":"k"}}}`, 3, `"result"`},
		{"a call with an empty key", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x","arguments":{"idempotencyKey":""}}}`, 1, `"error"`},
		{"an unknown method", `{"jsonrpc":"2.0","id":2,"method":"x/y"}`, 1, `"error"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var sent atomic.Int32
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				if sent.Add(1) < 3 {
					panic(http.ErrAbortHandler)
				}
				answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
			}))
			defer srv.Close()
			lines, _ := converse(t, srv.URL, tt.line)
			if len(lines) != 1 || !strings.Contains(lines[0], tt.want) || int(sent.Load()) != tt.sent {
				t.Errorf("%q after %d requests: want %q after %d", lines, sent.Load(), tt.want, tt.sent)
			}
		})
	}
}

// A host that canceled a call gets nothing for it, and its stream is not gone after.
func TestCanceledCallIsNotResumed(t *testing.T) {
	canceled := make(chan struct{})
	var gets atomic.Int32
	entered := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case r.Method == http.MethodGet:
			gets.Add(1)
		case r.Method == http.MethodDelete:
		case bytes.Contains(body, []byte(`"initialize"`)):
			w.Header().Set("Mcp-Session-Id", "s1")
			answer(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
		case bytes.Contains(body, []byte("notifications/cancelled")):
			close(canceled)
			w.WriteHeader(http.StatusAccepted)
		default:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, "id: 1\nretry: 1\ndata:\n\n")
			w.(http.Flusher).Flush()
			close(entered)
			<-canceled
		}
	}))
	defer srv.Close()
	in, host := io.Pipe()
	go func() {
		_, _ = io.WriteString(host, openLine+callLine)
		<-entered
		_, _ = io.WriteString(host, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`+"\n")
		_ = host.Close()
	}()
	var out bytes.Buffer
	if err := Run(t.Context(), in, &out, Config{URL: srv.URL, Transport: &http.Transport{DisableKeepAlives: true}}); err != nil {
		t.Fatal(err)
	}
	if gets.Load() != 0 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("%d requests for the rest; the host got %s", gets.Load(), out.String())
	}
}
