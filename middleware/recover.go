package middleware

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// Recover stands inside RequestID, so that the answer has an id, and around
// everything else. A panic becomes a 500 when nothing was sent yet, and cuts the
// connection otherwise; its value goes to the log only. http.ErrAbortHandler
// goes on to the server, which understands it.
func Recover(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := record(w)
			defer func() {
				p := recover()
				if p == nil {
					return
				}
				if err, isError := p.(error); isError && errors.Is(err, http.ErrAbortHandler) {
					panic(http.ErrAbortHandler) // itself, which the server does not log
				}
				log.ErrorContext(r.Context(), "panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
				if rec.Status() != 0 {
					panic(http.ErrAbortHandler)
				}
				reply.Fail(rec, r, &fault.Error{Kind: fault.Internal, Public: "internal error"})
			}()
			next.ServeHTTP(rec, r)
		})
	}
}
