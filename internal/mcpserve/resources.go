package mcpserve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// codeNoResource is the code of a resource that is not there, before 2026-07-28,
// which has codeInvalidParams instead.
const codeNoResource = -32002

// query is a request for something that is answered at once, on the goroutine
// of its request: it never waits for a turn on the CPU, but for the examples of
// an operation that nobody has read yet.
type query struct {
	in     *incoming
	m      *message
	modern bool
}

// titled reports whether the revision knows titles.
func (q *query) titled() bool {
	return q.in.client.Revision != rev2024 && q.in.client.Revision != rev202503
}

// hint is for how long a result may be kept, and by whom.
type hint struct {
	ttl    time.Duration
	public bool // it is the same for everybody; else nobody but the asker may keep it
}

// forAll is the hint of what does not change while a server runs.
var forAll = &hint{ttl: time.Hour, public: true}

// forOne is the hint of what belongs to an owner and may change at once.
var forOne = &hint{}

// forOneMinute is the hint of what is the same for everybody until the server is
// replaced by another version of it, which a caller should notice soon.
var forOneMinute = &hint{ttl: time.Minute}

// errNoResource is the one answer to a URI that leads nowhere for the caller:
// foreign, unknown, expired, deleted or no URI of ours at all.
var errNoResource = &fault.Error{Kind: fault.NotFound, Code: "resource_not_found", Public: "Resource not found"}

// errBadCursor is the one answer to a cursor that is not the caller's.
var errBadCursor = badParams("the cursor is not one of this list: begin again without it")

func badParams(text string) *rpcError {
	return &rpcError{status: http.StatusOK, code: codeInvalidParams, message: text}
}

// answered serves the methods about resources, prompts and completion, and
// reports whether the message was one of them.
func (s *Server) answered(ctx context.Context, x *exchange, in *incoming, m *message, modernEra bool) bool {
	q := &query{in: in, m: m, modern: modernEra}
	if s.answeredMore(ctx, x, q) {
		return true
	}
	var result any
	var keep *hint
	var err error
	switch m.method {
	case "tools/list":
		result, err = s.listTools(q)
		keep = forOneMinute
	case "resources/list":
		result, err = s.listResources(q)
		keep = forOne
	case "resources/templates/list":
		result, err = s.listTemplates(q)
		keep = forAll
	case "resources/read":
		result, keep, err = s.readResource(ctx, q)
	case "prompts/list":
		result, err = s.listPrompts(q)
		keep = forAll
	case "prompts/get":
		result, err = s.getPrompt(q)
	case "completion/complete":
		result, err = s.complete(ctx, q)
	default:
		return false
	}
	if err != nil {
		s.failQuery(ctx, x, q, err)
		return true
	}
	s.sendQuery(ctx, x, q, result, keep)
	return true
}

// sendQuery answers with a result, which must be a struct with fields.
func (s *Server) sendQuery(ctx context.Context, x *exchange, q *query, result any, keep *hint) {
	body, err := encodeJSON(result)
	if err != nil {
		s.failQuery(ctx, x, q, err)
		return
	}
	if q.modern {
		body = body[:len(body)-1]
		if keep != nil {
			scope := "private"
			if keep.public {
				scope = "public"
			}
			body = append(body, `,"ttlMs":`...)
			body = strconv.AppendInt(body, keep.ttl.Milliseconds(), 10)
			body = append(body, `,"cacheScope":"`+scope+`"`...)
		}
		body = append(body, s.meta...)
	}
	x.answer(body)
}

// encodeJSON returns v as compact JSON without HTML escapes.
func encodeJSON(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// failQuery answers with a failure. What a client can mend is an answer of the
// protocol with status 200, because a client may take another status for an
// older server; what refuses it is an HTTP status too.
func (s *Server) failQuery(ctx context.Context, x *exchange, q *query, err error) {
	if bad, ok := errors.AsType[*rpcError](err); ok {
		s.obs.failed(ctx, bad.code)
		q.in.client.Fail(&fault.Error{Kind: fault.Invalid, Code: "rpc" + strconv.Itoa(bad.code), Public: bad.message})
		x.fail(bad.status, bad)
		return
	}
	e := fault.From(err)
	q.in.client.Fail(err)
	bad := toRPC(e)
	switch e.Kind {
	case fault.NotFound:
		// Whatever was looked for, and why it is not there, the bytes are the same.
		bad = unknownResource(q)
	case fault.Forbidden:
		s.Forbid(x.w, err)
	case fault.Invalid, fault.Conflict, fault.TooLarge:
		bad.status = http.StatusOK
	}
	if after := reply.RetryAfter(e); after > 0 {
		x.w.Header().Set("Retry-After", strconv.Itoa(after))
	}
	s.obs.failed(ctx, bad.code)
	x.fail(bad.status, bad)
}

// param returns a member of the parameters, or nil if it is absent or null.
func (m *message) param(key string) json.RawMessage { return memberOf(m.params, key) }

// memberOf returns a member of an object that jsonscan has accepted, by its exact
// key, or nil if it is absent or null.
func memberOf(object json.RawMessage, key string) json.RawMessage {
	for k, v := range jsonscan.Members(object) {
		if string(k) == key && string(v) != "null" {
			return v
		}
	}
	return nil
}

// isString reports whether a raw value is a JSON string.
func isString(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '"' }

// place returns where the list of the query goes on; nil is its beginning.
func (s *Server) place(q *query) ([]byte, error) {
	raw := q.m.param("cursor")
	if raw == nil {
		return nil, nil
	}
	if !isString(raw) {
		return nil, errBadCursor
	}
	place, ok := s.cursors.open(q.in.owner, q.m.method, jsonscan.String(raw))
	if !ok {
		return nil, errBadCursor
	}
	return place, nil
}

// whole refuses every cursor, for lists of one page.
func (s *Server) whole(q *query) error {
	if q.m.param("cursor") != nil {
		return errBadCursor
	}
	return nil
}
