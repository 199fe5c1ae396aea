package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// receive copies an answer to out, with all that is on its stream, if it is one.
func (b *bridge) receive(ctx, life context.Context, f *flight, resp *http.Response, e *envelope, session string) ending {
	kind := resp.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		c := &cursor{}
		answered, err := c.events(resp.Body, b.cfg.MaxLine*eventOverhead, b.deliver(e))
		switch {
		case answered:
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxTrailer)) // so that the connection can be used again
			return ending{done: true}
		case err == nil && !e.asks():
			return ending{done: true}
		}
		return b.resume(ctx, life, f, c, e, session)
	case resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent:
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
		return ending{done: true}
	}
	body, err := readAll(resp, b.cfg.MaxLine*eventOverhead)
	if err != nil {
		return ending{ran: true, why: "the answer broke off: " + fate(e)}
	}
	isJSON := strings.HasPrefix(kind, "application/json")
	if isJSON && resp.StatusCode == http.StatusBadRequest && b.mirrors.missing(body, e) {
		return ending{bare: body}
	}
	if !isJSON || !b.pass(body, e) {
		b.fail(e, fmt.Sprintf("the server answered with status %d", resp.StatusCode))
	}
	return ending{done: true}
}

// maxTrailer bounds what is read behind the answer of a stream, in bytes.
const maxTrailer = 4 << 10

// deliver returns what copies the messages of a stream to out, up to the answer to
// e.
func (b *bridge) deliver(e *envelope) func(data []byte) bool {
	return func(data []byte) bool {
		m, known := parse(data)
		answer := known && m.answers()
		if answer {
			b.learn(data, e)
			data = b.mirrors.read(data, e, b.say)
		}
		b.line(data)
		return answer && e.asks()
	}
}

// learn keeps the version that initialize negotiated.
func (b *bridge) learn(text []byte, e *envelope) {
	if e.Method != "initialize" || e.modern() {
		return
	}
	if version := negotiated(text); version != "" {
		b.mu.Lock()
		b.version = version
		b.mu.Unlock()
	}
}

func negotiated(text []byte) string {
	var opened struct {
		Version string `json:"protocolVersion"`
	}
	_ = result(text, &opened) // what is no result has no version
	return opened.Version
}

// readAll reads a body of at most most bytes, in one piece if its length is known,
// with room for the end of a line.
func readAll(resp *http.Response, most int) ([]byte, error) {
	size := min(max(resp.ContentLength, 0), int64(most)) + bytes.MinRead // which the buffer wants to see the end
	body := bytes.NewBuffer(make([]byte, 0, size))
	_, err := body.ReadFrom(io.LimitReader(resp.Body, int64(most)))
	return body.Bytes(), err
}

// pass writes a JSON-RPC answer as a line. An error without an id, which is how
// the chain in front of the protocol refuses, gets the id of the request.
func (b *bridge) pass(body []byte, e *envelope) bool {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) > 0 && trimmed[0] == '[' && json.Valid(trimmed) {
		b.line(trimmed)
		return true
	}
	m, known := parse(trimmed)
	if !known || m.Error == nil && !bool(m.Result) && m.Method == "" {
		return false
	}
	if m.Error != nil && (m.ID == nil || string(m.ID) == "null") {
		id := e.ID
		switch {
		case len(id) == 0 && e.Method != "": // a notification
			b.say("%s was refused: %s", e.Method, m.Error)
			return true
		case len(id) == 0: // an array, or no message at all: whoever sent it waits
			id = json.RawMessage("null")
		}
		b.line(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`, id, m.Error))
		return true
	}
	b.learn(trimmed, e)
	b.line(b.mirrors.read(trimmed, e, b.say))
	return true
}
