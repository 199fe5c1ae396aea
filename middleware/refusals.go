package middleware

import (
	"context"
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/client"
)

// Refusals lets tell hear of every request that a middleware inside of it refuses,
// before the answer is written. It stands just inside RequestID and what describes
// the request, so that no refusal passes it by; what handlers refuse is theirs to
// tell. Who it was is in the request's client.Context. tell may wait for a moment,
// but a request waits with it. A nil tell hears nothing.
func Refusals(tell func(ctx context.Context, err error)) Middleware {
	return func(next http.Handler) http.Handler {
		if tell == nil {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			client.FromContext(r.Context()).OnRefusal = tell
			next.ServeHTTP(w, r)
		})
	}
}
