package bridge

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is a server that answers as its handler says and remembers requests.
type far struct {
	*httptest.Server
	mu   sync.Mutex
	seen []string // "METHOD session version mcp-name"
}

func newFar(t *testing.T, h func(w http.ResponseWriter, r *http.Request, body []byte)) *far {
	t.Helper()
	f := &far{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		f.mu.Lock()
		f.seen = append(f.seen, strings.TrimSpace(strings.Join([]string{r.Method, r.Header.Get("Mcp-Session-Id"), r.Header.Get("Mcp-Protocol-Version"), r.Header.Get("Mcp-Name")}, " ")))
		f.mu.Unlock()
		h(w, r, body)
	}))
	t.Cleanup(f.Close)
	return f
}

func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text)
}

// exchange runs the bridge over whole input and returns the lines of its output.
func exchange(t *testing.T, f *far, input string, change ...func(*Config)) []string {
	t.Helper()
	var out, log bytes.Buffer
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	cfg := Config{URL: f.URL + "/mcp", Transport: tr, Log: &log, Patience: 300 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	if err := Run(t.Context(), strings.NewReader(input), &out, cfg); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	var lines []string
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Fatalf("not a message: %q", line)
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func TestAnswers(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		switch {
		case bytes.Contains(body, []byte(`"json"`)):
			answer(w, "{\n \"jsonrpc\":\"2.0\",\n \"id\":1,\"result\":{}}")
		case bytes.Contains(body, []byte(`"stream"`)):
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, ":\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":%q}\n\n", strings.Repeat("x", 200_000))
		case bytes.Contains(body, []byte(`"cut"`)):
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case bytes.Contains(body, []byte(`"html"`)):
			w.WriteHeader(502)
			_, _ = io.WriteString(w, "<html>bad gateway</html>")
		case bytes.Contains(body, []byte(`"refused"`)):
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(401)
			answer(w, `{"jsonrpc":"2.0","id":null,"error":{"code":401,"message":"no"}}`)
		default:
			w.WriteHeader(202)
		}
	})
	tests := []struct{ name, in, want string }{
		{"JSON over several lines", `{"jsonrpc":"2.0","id":1,"method":"json"}`, `{"jsonrpc":"2.0","id":1,"result":{}}`},
		{"a status without JSON", `{"jsonrpc":"2.0","id":"h","method":"html"}`, `{"jsonrpc":"2.0","id":"h","error":{"code":-32603,"message":"the server answered with status 502"}}`},
		{"a refusal without an id", `{"jsonrpc":"2.0","id":7,"method":"refused"}`, `{"jsonrpc":"2.0","id":7,"error":{"code":401,"message":"no"}}`},
		{"a broken stream", `{"jsonrpc":"2.0","id":8,"method":"cut"}`, `{"jsonrpc":"2.0","id":8,"error":{"code":-32603,"message":"the stream broke before the answer was there: the call may have been carried out"}}`},
		{"accepted", `{"jsonrpc":"2.0","method":"notifications/x"}`, ""},
		{"a refused notification", `{"jsonrpc":"2.0","method":"refused"}`, ""},
		{"no JSON", `{"jsonrpc":`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the line is not valid JSON"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(exchange(t, f, tt.in+"\n"), "\n"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
	got := exchange(t, f, `{"jsonrpc":"2.0","id":2,"method":"stream"}`)
	if len(got) != 2 || got[0] != `{"jsonrpc":"2.0","method":"n"}` || len(got[1]) < 200_000 {
		t.Errorf("%d lines from the stream", len(got))
	}
}

func TestLongLineIsSkipped(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		answer(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	got := exchange(t, f, `{"x":"`+strings.Repeat("y", 200_000)+`"}`+"\n\n"+`{"jsonrpc":"2.0","id":1,"method":"m"}`+"\n", func(c *Config) { c.MaxLine = 100_000 })
	if len(got) != 2 || !strings.Contains(got[0], "-32700") || !strings.Contains(got[1], `"result"`) {
		t.Errorf("%q", got)
	}
}

func TestSessionsAndHeaders(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		if r.Header.Get("Authorization") != "Bearer tok" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		if bytes.Contains(body, []byte("initialize\"")) {
			w.Header().Set("Mcp-Session-Id", "s1")
			answer(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18"}}`)
			return
		}
		answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
	})
	exchange(t, f, `{"jsonrpc":"2.0","id":1,"method":"initialize"}
{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}
{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"é","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}
`, func(c *Config) { c.Token = "tok" })
	slices.Sort(f.seen)
	want := []string{"DELETE s1", "POST", "POST  2026-07-28 =?base64?" + base64.StdEncoding.EncodeToString([]byte("é")) + "?=", "POST s1 2025-06-18"}
	slices.Sort(want)
	if !slices.Equal(f.seen, want) {
		t.Errorf("requests %q\nwant %q", f.seen, want)
	}
}

// In the modern era a cancel closes the request; in the older one it is the
// server's to act on.
func TestCancel(t *testing.T) {
	gone := make(chan struct{}, 1)
	entered := make(chan struct{}, 2)
	forwarded := make(chan struct{}, 1)
	f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		switch {
		case bytes.Contains(body, []byte("notifications/cancelled")):
			forwarded <- struct{}{}
			w.WriteHeader(202)
		case bytes.Contains(body, []byte("initialize\"")):
			w.Header().Set("Mcp-Session-Id", "s1")
			answer(w, `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`)
		case bytes.Contains(body, []byte("_meta")):
			entered <- struct{}{}
			<-r.Context().Done()
			gone <- struct{}{}
		default:
			entered <- struct{}{}
			<-forwarded
			forwarded <- struct{}{}
			w.WriteHeader(204)
		}
	})
	in, feed := io.Pipe()
	done := make(chan error, 1)
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	go func() { done <- Run(t.Context(), in, io.Discard, Config{URL: f.URL, Transport: tr}) }()
	say := func(s string) { _, _ = io.WriteString(feed, s+"\n") }
	say(`{"jsonrpc":"2.0","id":5,"method":"m","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	<-entered
	say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}`)
	select {
	case <-gone:
	case <-time.After(10 * time.Second):
		t.Fatal("the request was not closed")
	}
	say(`{"jsonrpc":"2.0","id":0,"method":"initialize"}`)
	say(`{"jsonrpc":"2.0","id":6,"method":"m"}`)
	<-entered
	say(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":6}}`)
	feed.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if len(forwarded) != 1 {
		t.Error("the cancel was not forwarded")
	}
}

// The end of the input lets calls finish, up to a point.
func TestEndOfInput(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
		if bytes.Contains(body, []byte("never")) {
			<-r.Context().Done()
			return
		}
		time.Sleep(30 * time.Millisecond) // longer than the input lasts
		answer(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	})
	if got := exchange(t, f, `{"jsonrpc":"2.0","id":1,"method":"slow"}`); len(got) != 1 || !strings.Contains(got[0], "result") {
		t.Errorf("%q", got)
	}
	got := exchange(t, f, `{"jsonrpc":"2.0","id":2,"method":"never"}`, func(c *Config) { c.Grace = 20 * time.Millisecond })
	if len(got) != 1 || !strings.Contains(got[0], `"id":2,"error"`) {
		t.Errorf("%q", got)
	}
}

func TestUnreachable(t *testing.T) {
	f := newFar(t, func(http.ResponseWriter, *http.Request, []byte) {})
	f.Close()
	if got := exchange(t, f, `{"jsonrpc":"2.0","id":1,"method":"m"}`); len(got) != 1 || !strings.Contains(got[0], "cannot be reached") {
		t.Errorf("%q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Run(ctx, strings.NewReader(""), io.Discard, Config{URL: f.URL, Transport: http.DefaultTransport}); err != nil && err != context.Canceled {
		t.Errorf("canceled: %v", err)
	}
}
