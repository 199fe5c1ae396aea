package reply

import (
	"errors"
	"net/http"
	"strconv"
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
	closed bool // the handler is about to return: the response is no longer ours
	last   time.Time

	limit sync.Mutex // of the deadline; held for no longer than it takes to set one
	cut   bool       // no write may begin any more
}

// Event is one event of a stream, or what a client is told besides events. What is
// zero is left out.
type Event struct {
	ID    string        // where to resume after it; no newline
	Retry time.Duration // how long a client that is cut off should wait; sent in milliseconds
	Data  []byte        // no newline, which is true of compact JSON
}

// append appends e as it is sent. An event without data that has an id tells the
// client no more than that; without an id it is no event.
func (e *Event) append(b []byte) []byte {
	if e.ID != "" {
		b = append(append(append(b, "id: "...), e.ID...), '\n')
	}
	if e.Retry > 0 {
		b = strconv.AppendInt(append(b, "retry: "...), e.Retry.Milliseconds(), 10)
		b = append(b, '\n')
	}
	switch {
	case e.Data != nil:
		b = append(append(append(b, "event: message\ndata: "...), e.Data...), '\n')
	case e.ID != "":
		b = append(b, "data:\n"...)
	}
	return append(b, '\n')
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
func (s *Stream) Send(data []byte) error { return s.SendEvent(Event{Data: data}) }

// SendEvent writes e, of type "message" if it has data.
func (s *Stream) SendEvent(e Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = e.append(s.buf[:0])
	err := s.sendLocked(s.buf)
	if cap(s.buf) > keptBuffer { // a large answer must not stay with a stream that goes on
		s.buf = nil
	}
	return err
}

// keptBuffer is how much of a buffer a stream keeps between two events.
const keptBuffer = 16 << 10

// Comment writes a line that clients skip. text must hold no newline.
func (s *Stream) Comment(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sendLocked([]byte(": " + text + "\n\n"))
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
// own, since the one of the last event may have passed in silence. A handler that
// shares its stream must close it before it returns.
func (s *Stream) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.err == nil {
		s.err = ErrClosed
		s.allow()
	}
	s.limit.Lock()
	s.cut = true
	s.limit.Unlock()
}

// HangUp ends the response while its handler goes on; nothing is written to it
// any more. It waits for nobody: a write in progress fails. Over HTTP/1 the client
// sees the end of the response, where that can still be told, and of the
// connection; over HTTP/2 its stream is reset.
func (s *Stream) HangUp() {
	s.limit.Lock()
	if s.cut { // it has ended already, and the connection may serve another request
		s.limit.Unlock()
		return
	}
	s.cut = true
	_ = s.rc.SetWriteDeadline(time.Unix(1, 0)) // recorders have none
	s.limit.Unlock()

	s.mu.Lock()
	defer s.mu.Unlock()
	whole := s.err == nil
	s.err = ErrClosed
	if !s.opened || s.closed {
		return
	}
	conn, _, err := s.rc.Hijack()
	if err != nil {
		return // HTTP/2, which the deadline has told; or a recorder
	}
	if whole {
		// The last chunk. One who speaks HTTP/1.0, which has none, reads a field
		// of an event that it does not know.
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("0\r\n\r\n"))
	}
	_ = conn.Close() // nobody is left to tell
}

// allow gives the next write its deadline, and reports whether there may be one.
func (s *Stream) allow() bool {
	s.limit.Lock()
	defer s.limit.Unlock()
	if s.cut {
		return false
	}
	if s.timeout > 0 {
		_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) // recorders have none
	}
	return true
}

// sendLocked writes b under s.mu. The lock is held across the write on purpose:
// it is what keeps events whole and in order, and the deadline bounds it.
func (s *Stream) sendLocked(b []byte) error {
	if s.err != nil {
		return s.err
	}
	if !s.allow() {
		return ErrClosed
	}
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
