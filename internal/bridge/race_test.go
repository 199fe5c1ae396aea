package bridge

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

const modernParams = `"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}`

// A cancel that comes right behind its request finds it, however little of the
// request has happened yet.
func TestCancelRightBehindItsRequest(t *testing.T) {
	f := newFar(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
	for i := range 50 {
		start := time.Now()
		got := exchange(t, f, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"m",%s}
{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}
`, i, modernParams, i), func(c *Config) { c.Grace = 5 * time.Second })
		if len(got) != 0 || time.Since(start) > 4*time.Second {
			t.Fatalf("round %d: %q after %v, want no answer at once", i, got, time.Since(start))
		}
	}
}

// A standing stream that was asked for in the last line does not outlive the
// input by the grace period.
func TestStandingStreamEndsWithTheInput(t *testing.T) {
	f := newFar(t, func(_ http.ResponseWriter, r *http.Request, _ []byte) { <-r.Context().Done() })
	for range 50 {
		start := time.Now()
		exchange(t, f, `{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen",`+modernParams+`}`, func(c *Config) { c.Grace = 5 * time.Second })
		if took := time.Since(start); took > 4*time.Second {
			t.Fatalf("ended after %v", took)
		}
	}
}

// A stream that ends in order but without the answer leaves the host waiting:
// it gets an error instead.
func TestStreamWithoutAnswer(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n")
		if bytes.Contains(body, []byte("failing")) {
			_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":1,\"message\":\"x\"}}\r\n\r\n")
		}
	})
	got := exchange(t, f, `{"jsonrpc":"2.0","id":9,"method":"m"}`)
	if len(got) != 2 || got[1] != `{"jsonrpc":"2.0","id":9,"error":{"code":-32603,"message":"the stream broke before the answer was there: the call may have been carried out"}}` {
		t.Errorf("%q", got)
	}
	if got = exchange(t, f, `{"jsonrpc":"2.0","id":9,"method":"failing"}`); len(got) != 2 || !strings.Contains(got[1], `"code":1`) {
		t.Errorf("an error is an answer too: %q", got)
	}
	if got = exchange(t, f, `{"jsonrpc":"2.0","method":"notifications/x"}`); len(got) != 1 {
		t.Errorf("a notification waits for nothing: %q", got)
	}
}

// The version that later requests name is learned from an answer in either form.
func TestVersionFromAStream(t *testing.T) {
	f := newFar(t, func(w http.ResponseWriter, _ *http.Request, body []byte) {
		if bytes.Contains(body, []byte(`"initialize"`)) {
			w.Header().Set("Mcp-Session-Id", "s1")
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":\"2025-06-18\"}}\n\n")
			return
		}
		answer(w, `{"jsonrpc":"2.0","id":2,"result":{}}`)
	})
	exchange(t, f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n")
	if len(f.seen) != 3 || f.seen[1] != "POST s1 2025-06-18" {
		t.Errorf("requests %q", f.seen)
	}
}

func TestHeaderValue(t *testing.T) {
	for v, want := range map[string]string{
		"mcts": "mcts", "a b": "a b", "~!": "~!", "": "",
		"é": "=?base64?w6k=?=", " a": "=?base64?IGE=?=", "a\n": "=?base64?YQo=?=", "=?base64?YQ==?=": "=?base64?PT9iYXNlNjQ/WVE9PT89?=",
	} {
		if got := headerValue(v); got != want {
			t.Errorf("%q is written %q, want %q", v, got, want)
		}
	}
}
