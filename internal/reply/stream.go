package reply

import (
	"errors"
	"net/http"
	"sync"
	"time"
)

// ErrClosed is returned by a write to a stream that has ended.
var ErrClosed = errors.New("the stream has ended")

// Stream is a text/event-stream response. Any goroutine may send; what is sent
// goes straight to the socket, in order, or fails. Each write has a deadline, so
// that a reader who stopped reading costs one buffer and never blocks for long.
type Stream struct {
	rc      *http.ResponseController
	w       http.ResponseWriter
	timeout time.Duration

	mu     sync.Mutex // serialises writes; held while writing, for at most timeout
	buf    []byte
	err    error
	opened bool
	last   time.Time
}

// NewStream returns a stream on w that has written nothing yet: the headers go
// out with the first event. Every write must be done within timeout.
func NewStream(w http.ResponseWriter, timeout time.Duration) *Stream {
	return &Stream{w: w, rc: http.NewResponseController(w), timeout: timeout}
}

// Opened reports whether the headers have been written.
func (s *Stream) Opened() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened
}

// Open writes the headers, if they are not out yet.
func (s *Stream) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked(nil)
}

// Send writes one event of type "message". data must hold no newline, which is
// true of compact JSON.
func (s *Stream) Send(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf[:0], "event: message\ndata: "...)
	s.buf = append(s.buf, data...)
	s.buf = append(s.buf, '\n', '\n')
	return s.sendLocked(s.buf)
}

// KeepAlive writes a comment unless something was written less than idle ago.
func (s *Stream) KeepAlive(idle time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.opened && time.Since(s.last) < idle {
		return s.err
	}
	return s.sendLocked([]byte(":\n\n"))
}

// Close makes every later write fail with ErrClosed. The server writes the end
// of the response when the handler returns; Close gives that a deadline of its
// own, since the one of the last event may have passed in silence.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = ErrClosed
		s.deadlineLocked()
	}
}

func (s *Stream) deadlineLocked() {
	if s.timeout > 0 {
		_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) // recorders have none
	}
}

// sendLocked writes b under s.mu. The lock is held across the write on purpose:
// it is what keeps events whole and in order, and the deadline bounds it.
func (s *Stream) sendLocked(b []byte) error {
	if s.err != nil {
		return s.err
	}
	s.deadlineLocked()
	if !s.opened {
		s.opened = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache, no-transform")
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
	}
	if len(b) > 0 {
		if _, err := s.w.Write(b); err != nil {
			s.err = err
			return err
		}
	}
	if err := s.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		s.err = err
		return err
	}
	s.last = time.Now()
	return nil
}
