package middleware

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Body bounds a request's body in size and in time. It stands before anything
// reads: a declared length over the limit is refused at once, a longer one than
// declared fails the read with an *http.MaxBytesError. A compressed one is refused. A body that comes in too
// slowly fails its read; the server's own ReadTimeout would also kill streams.
func Body(limit int64, within time.Duration) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Body == nil || r.Body == http.NoBody {
				next.ServeHTTP(w, r)
				return
			}
			if encoded(r) {
				w.Header().Set("Accept-Encoding", "identity") // RFC 9110 §12.5.3
				fail(w, r, fault.Newf(fault.UnsupportedMedia, "send the body as it is: nothing is decompressed here"))
				return
			}
			b := &timedBody{ReadCloser: http.MaxBytesReader(w, r.Body, limit), w: w, timed: within > 0}
			b.deadline(time.Now().Add(within))
			if r.ContentLength > limit {
				w.Header().Set("Connection", "close")
				fail(w, r, fault.Newf(fault.TooLarge, "the body has %d bytes; the limit is %d", r.ContentLength, limit))
				return
			}
			r.Body = b
			next.ServeHTTP(w, r)
		})
	}
}

// encoded reports whether the body is compressed, or anything else than what it
// is. Nothing is ever decompressed: a few bytes could become a great many.
func encoded(r *http.Request) bool {
	for _, line := range r.Header["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if c := strings.TrimSpace(coding); c != "" && !strings.EqualFold(c, "identity") {
				return true
			}
		}
	}
	return false
}

// timedBody takes the connection's read deadline away when the body has ended: a
// deadline left behind would look like a client that went away. One that has not
// ended keeps it, whether or not anybody reads: before it answers, the server
// itself reads what a handler left, and a client that stalls would hold it there
// for good.
type timedBody struct {
	io.ReadCloser
	w     http.ResponseWriter
	timed bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.end()
	}
	return n, err
}

func (b *timedBody) Close() error {
	err := b.ReadCloser.Close()
	if err == nil {
		b.end()
	}
	return err
}

func (b *timedBody) end() {
	b.deadline(time.Time{})
	b.timed = false
}

func (b *timedBody) deadline(t time.Time) {
	if b.timed {
		_ = http.NewResponseController(b.w).SetReadDeadline(t) // recorders have none
	}
}
