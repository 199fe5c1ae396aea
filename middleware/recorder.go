package middleware

import (
	"net/http"
)

// recorder remembers what was answered, for the log and the span. There is one
// around a response however many middlewares look at it.
type recorder struct {
	http.ResponseWriter
	status  int
	bytes   int64
	flusher http.Flusher
}

// record returns w if it is a recorder already, else a new one around it.
func record(w http.ResponseWriter) *recorder {
	if r, ok := w.(*recorder); ok {
		return r
	}
	f, _ := w.(http.Flusher)
	return &recorder{ResponseWriter: w, flusher: f}
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 || r.status < 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// Flush makes the recorder an http.Flusher, which is found by type assertion.
func (r *recorder) Flush() {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	if r.flusher != nil {
		r.flusher.Flush()
	}
}

// FlushError lets an http.ResponseController see a failed flush.
func (r *recorder) FlushError() error {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return http.NewResponseController(r.ResponseWriter).Flush()
}

// Unwrap lets an http.ResponseController find the connection's deadlines.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// Status returns what was sent, or 0 when nothing was.
func (r *recorder) Status() int { return r.status }
