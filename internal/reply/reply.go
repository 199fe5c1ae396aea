// Package reply writes every HTTP body we send: JSON, problem documents,
// JSON-RPC errors and event streams.
package reply

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// rendering is how a kind of failure looks to a client.
type rendering struct {
	status int
	title  string
	rpc    int // JSON-RPC code
}

// The one table. Codes of our own are HTTP statuses: they lie outside the range
// that JSON-RPC and MCP keep for themselves.
var table = map[fault.Kind]rendering{
	fault.Internal:         {http.StatusInternalServerError, "Internal error", -32603},
	fault.Invalid:          {http.StatusBadRequest, "Bad request", -32602},
	fault.Unauthenticated:  {http.StatusUnauthorized, "Authentication needed", 401},
	fault.Forbidden:        {http.StatusForbidden, "Not allowed", 403},
	fault.NotFound:         {http.StatusNotFound, "Not found", 404},
	fault.MethodNotAllowed: {http.StatusMethodNotAllowed, "Method not allowed", 405},
	fault.Conflict:         {http.StatusConflict, "Conflict", 409},
	fault.TooLarge:         {http.StatusRequestEntityTooLarge, "Too large", 413},
	fault.UnsupportedMedia: {http.StatusUnsupportedMediaType, "Unsupported media type", 415},
	fault.RateLimited:      {http.StatusTooManyRequests, "Too many requests", 429},
	fault.Overloaded:       {http.StatusServiceUnavailable, "Overloaded", 503},
	fault.Unavailable:      {http.StatusServiceUnavailable, "Unavailable", 503},
	fault.Timeout:          {http.StatusGatewayTimeout, "Timed out", 504},
	fault.Canceled:         {499, "Client closed request", 499},
}

// row returns how a kind looks; one without a row looks like Internal.
func row(k fault.Kind) rendering {
	if r, known := table[k]; known {
		return r
	}
	return table[fault.Internal]
}

// Status returns the HTTP status of a kind.
func Status(k fault.Kind) int { return row(k).status }

// Code returns the JSON-RPC code of a kind.
func Code(k fault.Kind) int { return row(k).rpc }

// RetryAfter returns the whole seconds that a caller should wait after err:
// at least one, with up to half as much again so that callers that were refused
// together do not come back together. It returns 0 when waiting does not help.
func RetryAfter(e *fault.Error) int {
	switch e.Kind {
	case fault.RateLimited, fault.Overloaded, fault.Unavailable:
	default:
		return 0
	}
	s := math.Max(1, math.Ceil(e.RetryAfter.Seconds()))
	return int(s + math.Floor(rand.Float64()*(s/2+1)))
}

// JSON writes v with the status.
func JSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	write(w, status, b.Bytes())
}

func write(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone: nobody is left to tell
}

// Problem is an RFC 9457 document.
type Problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail,omitempty"`
	Instance string `json:"instance,omitempty"` // the request id
	Code     string `json:"code"`
}

type rpcError struct {
	JSONRPC string   `json:"jsonrpc"`
	ID      any      `json:"id"`
	Error   rpcInner `json:"error"`
}

type rpcInner struct {
	Code    int            `json:"code"`
	Message string         `json:"message"`
	Data    map[string]any `json:"data,omitempty"`
}

// RPCPath is the path of the MCP endpoint, whose bodies are JSON-RPC and not
// problem documents.
const RPCPath = "/mcp"

// Fail renders err: as a JSON-RPC error on the MCP endpoint, as a problem
// document elsewhere. Only the public text of err is written. The request id
// comes from the X-Request-Id that is already on w.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	e := fault.From(err)
	look := row(e.Kind)
	h := w.Header()
	if s := RetryAfter(e); s > 0 && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.Itoa(s))
	}
	h.Set("Cache-Control", "no-store")
	id := h.Get("X-Request-Id")
	if r.URL.Path == RPCPath {
		body := rpcError{JSONRPC: "2.0", Error: rpcInner{Code: look.rpc, Message: e.Public, Data: map[string]any{"code": e.MachineCode(), "requestId": id}}}
		JSON(w, look.status, body)
		return
	}
	doc := Problem{Type: "about:blank", Title: look.title, Status: look.status, Detail: e.Public, Instance: id, Code: e.MachineCode()}
	b, _ := json.Marshal(doc) // strings and an int always encode
	h.Set("Content-Type", "application/problem+json")
	write(w, look.status, append(b, '\n'))
}

// Deadline sets the time by which the next write must be done. Writers that
// have no connection behind them, such as test recorders, are left alone.
func Deadline(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d))
	}
}
