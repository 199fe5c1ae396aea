package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// conn is one client of the server: one call at a time. It belongs to one
// goroutine.
type conn struct {
	*endpoint
	token    string
	session  string // transport session of the initialize era
	revision string // negotiated by initialize
	opened   int    // sessions that initialize has opened
	lost     bool   // the server does not know the session any more
	handle   string // reasoning session of the last good answer
	id       int64
	secret   string // makes the idempotency keys of this client its own
	calls    uint64 // made with one
	key      string // of the call that is being made; "" is none
	body     []byte
	event    []byte
	read     bytes.Buffer
	lines    *bufio.Reader
}

// rpcMessage is what there is to know of a message from the server.
type rpcMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token json.RawMessage `json:"progressToken"`
	} `json:"params"`
	Result *rpcResult `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type rpcResult struct {
	IsError    bool            `json:"isError"`
	Structured json.RawMessage `json:"structuredContent"`
	Content    json.RawMessage `json:"content"`
	Version    string          `json:"protocolVersion"`
}

// call makes one call and returns when its answer has been read to the end. In
// the initialize era a session that the server has ended is opened anew first.
func (k *conn) call(ctx context.Context, c *prepared) answer {
	ctx, cancel := context.WithTimeoutCause(ctx, k.timeout, errTimeout)
	defer cancel()
	if k.retry {
		return k.persist(ctx, c)
	}
	return k.attempt(ctx, c)
}

func (k *conn) attempt(ctx context.Context, c *prepared) answer {
	if k.lost {
		if a := k.initialize(ctx); a.outcome != ok {
			return a
		}
	}
	a, m := k.send(ctx, "tools/call", c.header, k.message(c))
	switch {
	case a.status == http.StatusNotFound && k.session != "":
		k.lost = true
	case a.outcome == toolError:
		k.handle = "" // it may be what was wrong
	case a.outcome == ok && k.keep && k.handle == "":
		var s struct {
			SessionID string `json:"sessionId"`
		}
		if json.Unmarshal(m.Result.Structured, &s) == nil {
			k.handle = s.SessionID
		}
	}
	return a
}

// message writes the next tools/call into the connection's buffer.
func (k *conn) message(c *prepared) []byte {
	k.id++
	b := append(k.body[:0], `{"jsonrpc":"2.0","id":`...)
	b = strconv.AppendInt(b, k.id, 10)
	b = append(b, `,"method":"tools/call","params":{"name":`...)
	b = strconv.AppendQuote(b, c.tool) // plain ASCII, where Go's quotes are JSON's
	b = append(b, `,"arguments":{`...)
	if k.handle != "" && !c.pinned {
		handle, _ := json.Marshal(k.handle) // a string always encodes
		b = append(b, `"sessionId":`...)
		b = append(append(b, handle...), ',')
	}
	if k.key != "" && c.keyed {
		b = append(b, `"idempotencyKey":`...)
		b = strconv.AppendQuote(b, k.key)
		b = append(b, ',')
	}
	b = append(b, c.arguments[1:]...)
	if k.meta != "" || k.progress {
		b = append(b, `,"_meta":{`...)
		b = append(b, k.meta...)
		if k.progress {
			if k.meta != "" {
				b = append(b, ',')
			}
			b = append(b, `"progressToken":`...)
			b = strconv.AppendInt(b, k.id, 10)
		}
		b = append(b, '}')
	}
	k.body = append(b, "}}"...)
	return k.body
}

// request sends a body, or nothing with DELETE, and returns the response.
func (k *conn) request(ctx context.Context, verb, method, name string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, verb, k.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	h := req.Header
	h["Accept"] = []string{"application/json, text/event-stream"}
	h["User-Agent"] = []string{"lyceum-bench"}
	if len(body) > 0 {
		h["Content-Type"] = []string{"application/json"}
	}
	if k.token != "" {
		h["Authorization"] = []string{"Bearer " + k.token}
	}
	if k.era == Era2026 {
		h["Mcp-Protocol-Version"] = []string{k.era}
		h["Mcp-Method"] = []string{method}
		if name != "" {
			h["Mcp-Name"] = []string{name}
		}
	} else if method != "initialize" {
		if k.session != "" {
			h["Mcp-Session-Id"] = []string{k.session}
		}
		h["Mcp-Protocol-Version"] = []string{k.revision}
	}
	return k.transport.RoundTrip(req)
}

// send makes one request of the protocol, whose id is k.id, and reads what comes
// back to its end. The message is there when the outcome is ok.
func (k *conn) send(ctx context.Context, method, name string, body []byte) (answer, rpcMessage) {
	resp, err := k.request(ctx, http.MethodPost, method, name, body)
	if err != nil {
		return k.broken(ctx, err), rpcMessage{}
	}
	defer resp.Body.Close()
	if method == "initialize" {
		k.session = resp.Header.Get("Mcp-Session-Id")
	}
	a := answer{status: resp.StatusCode, outcome: outcomeOf(resp.StatusCode)}
	var m rpcMessage
	if a.outcome != ok {
		a.retryAfter = validRetryAfter(resp.Header.Get("Retry-After"))
		a.after = afterOf(resp.Header.Get("Retry-After"))
		k.refusal(resp, &a)
		return a, m
	}
	found := false
	see := func(data []byte) {
		a.bytes += int64(len(data))
		var got rpcMessage
		switch err := json.Unmarshal(data, &got); {
		case err != nil:
			a.outcome, a.text = badAnswer, "the answer is not JSON-RPC: "+printable(err.Error())
		case got.Method == "notifications/progress" && k.mine(got.Params.Token):
			a.progress++
		case got.Method != "": // a notification of another kind
		case found || !k.mine(got.ID):
			a.outcome, a.text = badAnswer, fmt.Sprintf("an answer to the call %s came to the call %d", printable(string(got.ID)), k.id)
		default:
			m, found = got, true
		}
	}
	if err := k.receive(resp, see); err != nil {
		b := k.broken(ctx, err)
		b.status, b.bytes, b.progress = a.status, a.bytes, a.progress
		return b, m
	}
	if a.outcome == ok {
		a.outcome, a.text = judge(&m, found)
	}
	return a, m
}

// receive reads a body in either form and hands its messages to see.
func (k *conn) receive(resp *http.Response, see func([]byte)) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if kind == "text/event-stream" {
		if k.lines == nil {
			k.lines = bufio.NewReaderSize(nil, 32<<10)
		}
		k.lines.Reset(resp.Body)
		var err error
		k.event, err = events(k.lines, k.event, see)
		return err
	}
	k.read.Reset()
	n, err := k.read.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return err
	}
	if n > maxAnswer {
		return errTooLong
	}
	if n > 0 {
		see(k.read.Bytes())
	}
	return nil
}

// judge tells whether a message is a good answer.
func judge(m *rpcMessage, found bool) (outcome, string) {
	switch {
	case !found:
		return badAnswer, "there was no answer in what the server sent"
	case m.Error != nil:
		return rpcError, printable(fmt.Sprintf("%d %s", m.Error.Code, m.Error.Message))
	case m.Result == nil:
		return badAnswer, "the answer has neither a result nor an error"
	case m.Result.IsError:
		var content []struct {
			Text string `json:"text"`
		}
		if json.Unmarshal(m.Result.Content, &content) == nil && len(content) > 0 {
			return toolError, printable(content[0].Text)
		}
		return toolError, ""
	}
	return ok, ""
}

// refusal reads the body of a status that is no success.
func (k *conn) refusal(resp *http.Response, a *answer) {
	k.read.Reset()
	n, _ := k.read.ReadFrom(io.LimitReader(resp.Body, 64<<10)) // the status has said what counts
	a.bytes = n
	var m rpcMessage
	if json.Unmarshal(k.read.Bytes(), &m) == nil && m.Error != nil {
		a.text = printable(m.Error.Message)
	}
	if !a.outcome.refused() { // whose names say the status
		a.text = strings.TrimSpace(strconv.Itoa(a.status) + " " + a.text)
	}
}

func (k *conn) mine(id json.RawMessage) bool {
	n, err := strconv.ParseInt(string(id), 10, 64)
	return err == nil && n == k.id
}

// errTimeout is why a call's context ends that ends by itself; all other causes
// are the run's.
var errTimeout = errors.New("the call timed out")

// broken classifies a failure to get an answer.
func (k *conn) broken(ctx context.Context, err error) answer {
	switch {
	case errors.Is(context.Cause(ctx), errTimeout):
		return failed(timedOut, "no answer within "+k.timeout.String())
	case ctx.Err() != nil:
		return failed(cut, "")
	case errors.Is(err, errTooLong):
		return failed(badAnswer, err.Error())
	}
	return failed(transportErr, err.Error())
}
