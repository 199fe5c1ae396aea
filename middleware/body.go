package middleware

import (
	"io"
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Body bounds a request's body in size and in time. It stands before anything
// reads: a declared length over the limit is refused at once, a longer one than
// declared fails the read with an *http.MaxBytesError. A body that comes in too
// slowly fails its read; the server's own ReadTimeout would also kill streams.
func Body(limit int64, within time.Duration) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ContentLength > limit {
				w.Header().Set("Connection", "close")
				fail(w, r, fault.Newf(fault.TooLarge, "the body has %d bytes; the limit is %d", r.ContentLength, limit))
				return
			}
			if r.Body != nil && r.Body != http.NoBody {
				r.Body = &timedBody{ReadCloser: http.MaxBytesReader(w, r.Body, limit), w: w, within: within}
			}
			next.ServeHTTP(w, r)
		})
	}
}

// timedBody sets the connection's read deadline at the first read and takes it
// away after the last: a deadline left behind would look like a client that
// went away.
type timedBody struct {
	io.ReadCloser
	w       http.ResponseWriter
	within  time.Duration
	started bool
	ended   bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	if !b.started {
		b.started = true
		b.deadline(time.Now().Add(b.within))
	}
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.end()
	}
	return n, err
}

func (b *timedBody) Close() error {
	b.end()
	return b.ReadCloser.Close()
}

func (b *timedBody) end() {
	if b.started && !b.ended {
		b.ended = true
		b.deadline(time.Time{})
	}
}

func (b *timedBody) deadline(t time.Time) {
	if b.within > 0 {
		_ = http.NewResponseController(b.w).SetReadDeadline(t) // recorders have none
	}
}
