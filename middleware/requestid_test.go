package middleware

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

func TestRequestIDIsUnique(t *testing.T) {
	const requests = 2000
	var mu sync.Mutex
	seen := map[string]bool{}
	h := RequestID(remoteOf)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range requests / 8 {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, request("GET", "/"))
				mu.Lock()
				seen[w.Header().Get("X-Request-Id")] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != requests || seen[""] {
		t.Errorf("%d different ids for %d requests (one empty: %v)", len(seen), requests, seen[""])
	}
	// Another process, or another server in this one, must not repeat them.
	other := httptest.NewRecorder()
	RequestID(remoteOf)(http.HandlerFunc(ok)).ServeHTTP(other, request("GET", "/"))
	if id := other.Header().Get("X-Request-Id"); seen[id] {
		t.Errorf("a second server gave the id %s again", id)
	}
}

func TestRequestIDIsEverywhere(t *testing.T) {
	const theirs = "chosen-by-the-caller"
	w := serve(func(w http.ResponseWriter, r *http.Request) {
		c := clientOf(t, r)
		id := w.Header().Get("X-Request-Id")
		if c.RequestID != id || telemetry.RequestID(r.Context()) != id {
			t.Errorf("header %q, client %q, log %q: want one id", id, c.RequestID, telemetry.RequestID(r.Context()))
		}
		if c.Transport != client.HTTP || c.Remote != "192.0.2.1" || c.Started.IsZero() {
			t.Errorf("client %+v", c)
		}
	}, request("GET", "/", "X-Request-Id", theirs))

	if got := w.Header()["X-Request-Id"]; len(got) != 1 || got[0] == theirs || got[0] == "" {
		t.Errorf("X-Request-Id %q, want one of our own", got)
	}
}

func TestStdioIsKnownByItsAddress(t *testing.T) {
	r := request("POST", "/mcp")
	r.RemoteAddr = StdioAddr
	serve(func(_ http.ResponseWriter, r *http.Request) {
		if c := clientOf(t, r); c.Transport != client.Stdio {
			t.Errorf("transport %q, want stdio", c.Transport)
		}
	}, r)
}
