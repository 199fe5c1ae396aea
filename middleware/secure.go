package middleware

import (
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// failer is where refusals are written.
var failer = reply.Fail

// SecureHeaders sets what every answer should carry. Pages add their own
// content security policy; everything else is not meant to be rendered at all.
func SecureHeaders() Middleware {
	nosniff, deny, referrer := []string{"nosniff"}, []string{"DENY"}, []string{"no-referrer"}
	policy := []string{"default-src 'none'; frame-ancestors 'none'"}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := w.Header() // the keys are in canonical form: no need to rebuild them
			h["X-Content-Type-Options"] = nosniff
			h["X-Frame-Options"] = deny
			h["Referrer-Policy"] = referrer
			h["Content-Security-Policy"] = policy
			next.ServeHTTP(w, r)
		})
	}
}
