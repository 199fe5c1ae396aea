package mcpserve

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// exchange is one request on its way to one answer. The answer is a JSON body
// unless something had to be said before it; then it is the last event of a
// stream. Any goroutine may report progress, and waits for no reader: what is said
// goes into a bounded feed, from which a goroutine of the exchange writes
// (exchange_write.go). The answer is sent once, by the goroutine of the request.
type exchange struct {
	w         http.ResponseWriter
	id        json.RawMessage
	token     json.RawMessage // progress token, as written; nil: nobody asked
	streaming bool            // the client takes event streams
	keepAlive time.Duration
	timeout   time.Duration // of one write
	line      *callLine     // of the call; nil if it has none

	ends context.Context // of 2026-07-28, where whoever closes the response hears nothing more; else nil

	// Of the older revisions, where streams can be resumed; else nil. resume.go says
	// how.
	feeds    *feeds
	resume   *feedSession
	conn     context.Context // ends with the connection of the request
	revision string

	mu     sync.Mutex    // never held while something is written
	stream *reply.Stream // made when first needed
	own    *carrier      // that stream as what carries a feed
	more   bool          // there is something for the writer to do
	beat   bool          // a comment is due
	idle   chan struct{} // closed when the writer has done all; nil when none runs
	done   bool          // the answer is out: nothing may follow
	last   float64       // progress only grows; below 0: none was told
	timer  *time.Timer
	logAt  int // least severity of log messages to send; 0 sends none
}

// accepts tells whether the client takes an event stream. A client that says
// nothing takes everything.
func accepts(r *http.Request) bool {
	values := r.Header["Accept"]
	if len(values) == 0 {
		return true
	}
	for _, v := range values {
		if strings.Contains(v, "text/event-stream") || strings.Contains(v, "*/*") {
			return true
		}
	}
	return false
}

// watch starts sending keep-alive comments once the call has been silent for
// long, which turns the answer into a stream. It is for calls that may take
// long; stop is called by answer.
func (x *exchange) watch() {
	if !x.streaming || x.keepAlive <= 0 {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.timer == nil && !x.done {
		x.timer = time.AfterFunc(x.keepAlive, x.ping)
	}
}

func (x *exchange) ping() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done {
		return
	}
	x.openLocked()
	x.beat = true
	x.writeLocked()
}

// progress sends a progress notification if the client asked for them and the
// value grew.
func (x *exchange) progress(done, total float64, text string) {
	if x.token == nil || !x.streaming || math.IsNaN(done) || math.IsInf(done, 0) {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done || done <= x.last {
		return
	}
	x.last = done
	b := make([]byte, 0, 160+len(text))
	b = append(b, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":`...)
	b = append(b, x.token...)
	b = append(b, `,"progress":`...)
	b = strconv.AppendFloat(b, done, 'g', -1, 64)
	if total > 0 && !math.IsInf(total, 0) {
		b = append(b, `,"total":`...)
		b = strconv.AppendFloat(b, total, 'g', -1, 64)
	}
	if text != "" {
		b = append(b, `,"message":`...)
		b = appendJSON(b, text)
	}
	b = append(b, "}}"...)
	x.sayLocked(b, false)
}

// severities orders the log levels of the protocol.
var severities = map[string]int{"debug": 1, "info": 2, "notice": 3, "warning": 4, "error": 5, "critical": 6, "alert": 7, "emergency": 8}

// log sends a log message of this request, where the client asked for its level.
func (x *exchange) log(level string, data any) {
	if x.logAt == 0 || severities[level] < x.logAt || !x.streaming {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done {
		return
	}
	b := []byte(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"` + level + `","logger":"lyceum","data":`)
	b = appendJSON(b, data)
	x.sayLocked(append(b, "}}"...), false)
}

// close ends the exchange's noise and tells whether the answer must go out as
// an event. After it, nothing but the answer is written.
func (x *exchange) close() *reply.Stream {
	if x.line != nil {
		x.line.shut()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = true
	if x.timer != nil {
		x.timer.Stop()
	}
	return x.stream
}

// release ends the stream of the request, if it has one, with the handler. What it
// has said is kept for a while, if it can be resumed.
func (x *exchange) release() {
	st := x.close()
	if st == nil {
		return
	}
	x.still()
	if x.lasting() {
		x.feeds.end(x.own.feed, nil)
		x.push()
	}
	st.Close() // from here on a takeover leaves the connection alone
	if x.lasting() {
		x.feeds.leave(x.own)
	}
}

// feed returns what the stream of the request says, nil as long as there is none
// that can be resumed, or no more. A connection that is known to be lost carries it
// no more.
func (x *exchange) feed() *feed {
	x.mu.Lock()
	own, done := x.own, x.done
	x.mu.Unlock()
	if own == nil || own.feed.session == nil || done {
		return nil
	}
	if x.conn.Err() != nil {
		x.feeds.leave(own)
	}
	return own.feed
}

// awaits reports whether the client reads the stream or may still resume it.
func (x *exchange) awaits() bool {
	f := x.feed()
	if f == nil {
		return false
	}
	carried, since := f.carried()
	return carried || since < x.feeds.window
}

// adrift reports whether the stream can be resumed and nobody reads it.
func (x *exchange) adrift() bool {
	f := x.feed()
	if f == nil {
		return false
	}
	carried, _ := f.carried()
	return !carried
}

// disconnect ends the connection that carries the stream, if that can be resumed.
func (x *exchange) disconnect() {
	if x.feeds == nil || !x.streaming {
		return
	}
	x.mu.Lock()
	if !x.done {
		x.openLocked()
		x.writeLocked() // an id to come back with
	}
	x.mu.Unlock()
	x.still()
	if f := x.feed(); f != nil {
		x.feeds.disconnect(f, x.revision)
	}
}

// answer sends the response with the given result, which is compact JSON.
func (x *exchange) answer(result []byte) {
	b := x.appendHead(make([]byte, 0, len(result)+len(x.id)+48))
	b = append(b, result...)
	x.finish(http.StatusOK, append(b, '}'))
}

// appendHead appends a response up to its result.
func (x *exchange) appendHead(b []byte) []byte {
	b = append(b, `{"jsonrpc":"2.0","id":`...)
	b = append(b, x.id...)
	return append(b, `,"result":`...)
}

// fail sends an error response. status is used when the answer is a JSON body.
func (x *exchange) fail(status int, e *rpcError) {
	x.finish(status, errorBody(x.id, e))
}

func (x *exchange) finish(status int, body []byte) {
	st := x.close()
	if st == nil {
		writeBody(x.w, status, body, x.timeout)
		return
	}
	x.still()
	if x.lasting() {
		x.feeds.end(x.own.feed, body)
	} else {
		x.own.feed.add(body, true)
	}
	x.push()
	st.Close()
}

func writeBody(w http.ResponseWriter, status int, body []byte, timeout time.Duration) {
	reply.Deadline(w, timeout)
	h := w.Header()
	h["Content-Type"] = contentJSON
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

var contentJSON = []string{"application/json"}

// errorBody is a JSON-RPC error response; a nil id is null.
func errorBody(id json.RawMessage, e *rpcError) []byte {
	if id == nil {
		id = json.RawMessage("null")
	}
	b := append([]byte(`{"jsonrpc":"2.0","id":`), id...)
	b = append(b, `,"error":{"code":`...)
	b = strconv.AppendInt(b, int64(e.code), 10)
	b = append(b, `,"message":`...)
	b = appendJSON(b, e.message)
	if e.data != nil {
		b = append(b, `,"data":`...)
		b = appendJSON(b, e.data)
	}
	return append(b, "}}"...)
}

// appendJSON appends v, which must be encodable, as compact JSON.
func appendJSON(b []byte, v any) []byte {
	enc, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...)
	}
	return append(b, enc...)
}
