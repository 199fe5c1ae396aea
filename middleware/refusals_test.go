package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Whoever hears of refusals is told of each one in the chain, before its answer, and
// of nothing that handlers do.
func TestRefusals(t *testing.T) {
	var told []fault.Kind
	var w *httptest.ResponseRecorder
	hear := Refusals(func(ctx context.Context, err error) {
		if client.FromContext(ctx).RequestID == "" || w.Body.Len() > 0 {
			t.Error("told without a client, or too late")
		}
		told = append(told, fault.KindOf(err))
	})
	gate := NewGate(1)
	h := Chain(RequestID(func(*http.Request) string { return "192.0.2.1" }), hear, RateByAddress(2, time.Minute), Admit(gate, As(Ordinary)))(
		http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }))
	send := func() int {
		w = httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		return w.Code
	}
	if code := send(); code != http.StatusTeapot || told != nil {
		t.Errorf("a handler's answer: %d, told %v", code, told)
	}
	place, err := gate.Enter(Visit{})
	if err != nil {
		t.Fatal(err)
	}
	defer place.Leave()
	full, limited := send(), send()
	if full != 503 || limited != 429 || len(told) != 2 || told[0] != fault.Overloaded || told[1] != fault.RateLimited {
		t.Errorf("%d and %d, told %v", full, limited, told)
	}
}
