package middleware

import (
	"net/http"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestSecureHeaders(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"an answer": ok,
		"a refusal": func(w http.ResponseWriter, r *http.Request) { fail(w, r, fault.Newf(fault.Forbidden, "no")) },
	} {
		w := serve(h, request("GET", "/"), SecureHeaders())
		for k, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		} {
			if got := w.Header().Get(k); got != want {
				t.Errorf("%s: %s is %q, want %q", name, k, got, want)
			}
		}
	}
}

// The values are shared between requests: a page that sets its own must not
// change those of others.
func TestSecureHeadersAreNotShared(t *testing.T) {
	m := SecureHeaders()
	page := serve(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'")
		w.Header().Add("Referrer-Policy", "same-origin")
	}, request("GET", "/"),

		m)

	if got := page.Header().Get("Content-Security-Policy"); got != "default-src 'self'" {
		t.Errorf("the page's own policy became %q", got)
	}
	after := serve(ok, request("GET", "/"), m)
	if csp, ref := after.Header().Get("Content-Security-Policy"), after.Header()["Referrer-Policy"]; csp != "default-src 'none'; frame-ancestors 'none'" || len(ref) != 1 {
		t.Errorf("the next answer has %q and %q", csp, ref)
	}
}
