package bridge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// receive copies an answer to out.
func (b *bridge) receive(ctx context.Context, resp *http.Response, e *envelope) {
	kind := resp.Header.Get("Content-Type")
	switch {
	case strings.HasPrefix(kind, "text/event-stream"):
		last, err := b.events(resp.Body)
		a, known := parse(last)
		if known && a.answers() {
			b.learn(&a, e)
		} else if err != nil || len(e.ID) > 0 {
			b.broken(ctx, e, "the stream broke before the answer was there")
		}
	case resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent:
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<10))
	default:
		body, err := io.ReadAll(io.LimitReader(resp.Body, int64(b.cfg.MaxLine)*8))
		if err != nil {
			b.broken(ctx, e, "the answer broke off")
			return
		}
		if strings.HasPrefix(kind, "application/json") && b.pass(body, e) {
			return
		}
		b.fail(e, fmt.Sprintf("the server answered with status %d", resp.StatusCode))
	}
}

// message is what the bridge needs to know of what the server says.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Error  json.RawMessage `json:"error"`
	Result json.RawMessage `json:"result"`
}

func parse(text []byte) (m message, known bool) {
	known = json.Unmarshal(text, &m) == nil
	return m, known
}

// answers tells a response to a request from everything else that may come on
// its stream.
func (m *message) answers() bool {
	return m.Method == "" && len(m.ID) > 0 && string(m.ID) != "null"
}

// learn keeps the version that initialize negotiated.
func (b *bridge) learn(m *message, e *envelope) {
	if e.Method != "initialize" {
		return
	}
	var result struct {
		Version string `json:"protocolVersion"`
	}
	if json.Unmarshal(m.Result, &result) == nil {
		b.mu.Lock()
		b.version = result.Version
		b.mu.Unlock()
	}
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
	if !known {
		return false
	}
	if m.Error != nil && (m.ID == nil || string(m.ID) == "null") {
		if len(e.ID) == 0 {
			fmt.Fprintf(b.cfg.Log, "lyceum stdio: %s was refused: %s\n", e.Method, m.Error)
			return true
		}
		b.line(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":%s}`, e.ID, m.Error))
		return true
	}
	b.learn(&m, e)
	b.line(trimmed)
	return true
}

// events copies the data of a stream's events, a line each, until it ends. It
// returns the last of them, which on a stream in order is the answer.
func (b *bridge) events(body io.Reader) (last []byte, err error) {
	r := bufio.NewReaderSize(body, 64<<10)
	var data []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(data)+len(part) > b.cfg.MaxLine*8 {
			return last, errors.New("an event is too long")
		}
		data = append(data, part...)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if rest, ok := bytes.CutPrefix(bytes.TrimRight(data, "\r\n"), []byte("data:")); ok && len(bytes.TrimSpace(rest)) > 0 {
			last = append(last[:0], bytes.TrimSpace(rest)...)
			b.line(last)
		}
		data = data[:0]
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
	}
}
