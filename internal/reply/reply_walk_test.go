package reply

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Every kind of failure has a place in the table, and no code of ours lies in
// the range that JSON-RPC and MCP keep.
func TestEveryKindIsRendered(t *testing.T) {
	for _, k := range fault.Kinds() {
		row, ok := table[k]
		if !ok || row.status < 400 || row.title == "" || row.rpc == 0 {
			t.Errorf("%s: %+v", k, row)
		}
		if row.rpc < 0 && row.rpc != -32603 && row.rpc != -32602 {
			t.Errorf("%s: %d is not ours to use", k, row.rpc)
		}
	}
	if len(table) != len(fault.Kinds()) {
		t.Errorf("%d rows for %d kinds", len(table), len(fault.Kinds()))
	}
}

func failWith(path string, err error) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "req-1")
	Fail(w, httptest.NewRequest("POST", path, nil), err)
	return w
}

func TestProblemDocument(t *testing.T) {
	w := failWith("/api/v1/x", &fault.Error{Kind: fault.Conflict, Code: "moved_on", Public: "read it again", Err: errors.New("secret cause")})
	want := `{"type":"about:blank","title":"Conflict","status":409,"detail":"read it again","instance":"req-1","code":"moved_on"}` + "\n"
	if w.Code != 409 || w.Body.String() != want || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = failWith(RPCPath, &fault.Error{Kind: fault.RateLimited, Public: "slower", RetryAfter: 3 * time.Second})
	if want := `{"jsonrpc":"2.0","id":null,"error":{"code":429,"message":"slower","data":{"code":"rate_limited","requestId":"req-1"}}}`; strings.TrimSpace(w.Body.String()) != want || w.Header().Get("Retry-After") == "" {
		t.Errorf("%s %v", w.Body, w.Header())
	}
	w = failWith("/x", fmt.Errorf("open /etc/secret: %w", errors.New("no")))
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("an unclassified failure shows its text: %s", w.Body)
	}
}

func TestRetryAfterIsJittered(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		s := RetryAfter(&fault.Error{Kind: fault.Overloaded, RetryAfter: 9500 * time.Millisecond})
		if s < 10 || s > 16 {
			t.Fatalf("%d seconds for 9.5", s)
		}
		seen[s] = true
	}
	if len(seen) < 3 {
		t.Errorf("always the same: %v", seen)
	}
	if s := RetryAfter(&fault.Error{Kind: fault.Invalid, RetryAfter: time.Second}); s != 0 {
		t.Errorf("waiting does not help, and %d was said", s)
	}
	if s := RetryAfter(&fault.Error{Kind: fault.RateLimited}); s < 1 {
		t.Errorf("%d seconds where nothing is known", s)
	}
}

func TestStreamKeepsEventsWhole(t *testing.T) {
	w := httptest.NewRecorder()
	s := NewStream(w, time.Second)
	if s.Opened() {
		t.Error("opened before anything was sent")
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 50 {
				if err := s.Send(fmt.Appendf(nil, `{"from":%d,"n":%d}`, i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	next := map[int]int{}
	for event := range strings.SplitSeq(strings.TrimSuffix(w.Body.String(), "\n\n"), "\n\n") {
		var e struct{ From, N int }
		data, ok := strings.CutPrefix(event, "event: message\ndata: ")
		if !ok || json.Unmarshal([]byte(data), &e) != nil {
			t.Fatalf("a torn event: %q", event)
		}
		if e.N != next[e.From] {
			t.Fatalf("sender %d: event %d, want %d", e.From, e.N, next[e.From])
		}
		next[e.From]++
	}
	for i := range 16 {
		if next[i] != 50 {
			t.Errorf("sender %d: %d events", i, next[i])
		}
	}
	if h := w.Header(); h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" || !w.Flushed {
		t.Errorf("headers %v", h)
	}
	before := w.Body.Len()
	if s.KeepAlive(time.Hour) != nil || w.Body.Len() != before {
		t.Error("a keep-alive right after an event")
	}
	if s.KeepAlive(0) != nil || w.Body.Len() != before+len(":\n\n") {
		t.Error("no keep-alive when it was due")
	}
	s.Close()
	if err := s.Send([]byte("{}")); !errors.Is(err, ErrClosed) {
		t.Errorf("a send after the end: %v", err)
	}
}

// gone is a client that does not read any more.
type gone struct{ http.ResponseWriter }

func (gone) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestStreamEndsWithItsReader(t *testing.T) {
	s := NewStream(gone{httptest.NewRecorder()}, time.Second)
	first, second := s.Send([]byte("{}")), s.Send([]byte("{}"))
	if first == nil || !errors.Is(second, first) {
		t.Errorf("%v, %v: want the same failure for all", first, second)
	}
}
