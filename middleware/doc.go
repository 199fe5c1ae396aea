// Package middleware wraps handlers, one concern per file.
//
// Every exported constructor returns a Middleware. The order in which package
// api stacks them is part of what they promise: each file says where it stands
// and why. The writers they put around a response implement http.Flusher
// themselves, not only Unwrap, because a stream that cannot flush loses its
// events.
package middleware

import (
	"net/http"
	"slices"
)

// Middleware wraps a handler.
type Middleware func(http.Handler) http.Handler

// Chain returns m applied so that the first of m is outermost.
func Chain(m ...Middleware) Middleware {
	return func(h http.Handler) http.Handler {
		for _, wrap := range slices.Backward(m) {
			h = wrap(h)
		}
		return h
	}
}
