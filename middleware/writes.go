package middleware

import (
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// refusalTime is how long a client may take to read a refusal. Before the server
// sends one it reads what is left of the body, which has its own time.
const refusalTime = time.Minute

// Writes bounds the time of each write, not of the answer: an answer may be as long
// as it likes, but a client that does not read does not keep its connection. The
// server's own WriteTimeout would end streams. It is for routes that do not set
// deadlines themselves.
func Writes(within time.Duration) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			t := &timedWriter{ResponseWriter: w, within: within}
			next.ServeHTTP(t, r)
			if r.Body == nil || r.Body == http.NoBody { // for what the server still has to send
				reply.Deadline(w, within)
			} else {
				reply.Deadline(w, within+refusalTime)
			}
		})
	}
}

// timedWriter sets a deadline before each write.
type timedWriter struct {
	http.ResponseWriter
	within time.Duration
}

func (w *timedWriter) Write(b []byte) (int, error) {
	reply.Deadline(w.ResponseWriter, w.within)
	return w.ResponseWriter.Write(b)
}

// Flush makes the writer an http.Flusher, which is found by type assertion.
func (w *timedWriter) Flush() { _ = w.FlushError() }

// FlushError lets an http.ResponseController see a failed flush.
func (w *timedWriter) FlushError() error {
	reply.Deadline(w.ResponseWriter, w.within)
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// Unwrap lets an http.ResponseController find the connection's deadlines.
func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
