package middleware

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/go-chi/httprate"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// RateByAddress allows limit requests per window and client address. It stands
// before authentication, where the address is all that is known: it is the
// bound on guessing tokens. limit 0 is no limit.
func RateByAddress(limit int, window time.Duration) Middleware {
	return rate("address", limit, window, func(r *http.Request) string {
		return httprate.CanonicalizeIP(client.FromContext(r.Context()).Remote)
	})
}

// RateByToken allows limit requests per window and credential. It stands after
// authentication. limit 0 is no limit.
func RateByToken(limit int, window time.Duration) Middleware {
	return rate("token", limit, window, func(r *http.Request) string {
		if p := identity.FromContext(r.Context()); p != nil {
			return p.TokenKey
		}
		return ""
	})
}

// rate is the outer gate: local, generous, exact within this process. The local
// host of a stdio server is not limited, nor is a request without a key.
func rate(name string, limit int, window time.Duration, key func(*http.Request) string) Middleware {
	if limit <= 0 {
		return func(next http.Handler) http.Handler { return next }
	}
	seconds := strconv.Itoa(int(max(1, (window+time.Second-1)/time.Second)))
	policy := fmt.Sprintf("%q;q=%d;w=%s", name, limit, seconds)
	gate := httprate.NewRateLimiter(limit, window, httprate.WithResponseHeaders(httprate.ResponseHeaders{}))
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			k := key(r)
			if k == "" || r.RemoteAddr == StdioAddr || !gate.OnLimit(w, r, k) {
				next.ServeHTTP(w, r)
				return
			}
			h := w.Header()
			h.Set("RateLimit-Policy", policy)
			h.Set("RateLimit", fmt.Sprintf("%q;r=0;t=%s", name, seconds))
			fail(w, r, &fault.Error{
				Kind: fault.RateLimited, Code: name + "_rate_limited", RetryAfter: window,
				Public: fmt.Sprintf("more than %d requests in %s from this %s", limit, window, name),
			})
		})
	}
}
