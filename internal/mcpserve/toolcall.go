package mcpserve

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

type callCtx struct{}

// toolCall is one call of a tool. It belongs to the goroutine of its request.
type toolCall struct {
	s    *Server
	in   *incoming
	m    *message
	x    *exchange
	spec *tools.Spec

	transport *transport // nil under 2026-07-28
	request   *tools.Request
	call      tools.Call

	body    []byte // the whole response, once the tool has run
	isError bool
	err     error // for the log and the span
}

// target returns the name of what a request asks for, if it is one of ours: a
// client must not choose span and label names.
func (s *Server) target(m *message) string {
	if m.method != "tools/call" || s.direct[m.name] == nil {
		return ""
	}
	return m.name
}

// tool returns the operation that a tools/call is about, or nil when the
// arguments name none.
func (s *Server) tool(m *message) tools.Tool {
	d := s.direct[m.name]
	if d == nil {
		return nil
	}
	if d.tool != nil {
		return d.tool
	}
	return d.facade.Operation(m.arguments)
}

// toolsCall serves a tools/call. h and tr are its transport session in the
// older revisions.
func (s *Server) toolsCall(ctx context.Context, w http.ResponseWriter, r *http.Request, in *incoming, m *message, x *exchange, h *session.Handle, tr *transport) {
	d := s.direct[m.name]
	if d == nil {
		x.fail(http.StatusOK, &rpcError{code: codeInvalidParams, message: "unknown tool"})
		return
	}
	if s.draining.Load() {
		s.refuse(w, r, m.id, errDraining)
		return
	}
	c := &toolCall{s: s, in: in, m: m, x: x, transport: tr}
	if t := s.tool(m); t != nil {
		c.spec = t.Spec()
		// A missing scope is an HTTP answer, so it must come before any byte.
		if err := policy.Require(in.principal, c.spec.Scope); err != nil {
			s.refuse(w, r, m.id, err)
			return
		}
		in.client.Method, in.client.Target = m.method, c.spec.Name
	} else {
		in.client.Method, in.client.Target = m.method, m.name
	}

	var key callKey
	if h != nil {
		// A lost connection does not cancel a call of these revisions.
		ctx = context.WithoutCancel(ctx)
		key = callKey{h.ID(), string(m.id)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	running := s.calls.add(key, cancel)
	defer s.calls.done(running)

	resp := s.mcp.HandleMessage(context.WithValue(ctx, callCtx{}, c), d.message)
	if e, refused := resp.(mcp.JSONRPCError); refused {
		in.client.Fail(fmt.Errorf("dispatch: %s", e.Error.Message))
		x.fail(http.StatusOK, &rpcError{code: e.Error.Code, message: e.Error.Message, data: e.Error.Data})
		return
	}
	s.obs.finished(ctx, c)
	if c.err != nil {
		in.client.Fail(c.err)
	}
	if h != nil && errors.Is(context.Cause(ctx), errClientCanceled) {
		// The client has asked not to hear of it any more; the HTTP request
		// still needs its end.
		c.x.drop()
		return
	}
	if e := c.refusal(x); e != nil {
		s.refuse(w, r, m.id, e)
		return
	}
	x.finish(http.StatusOK, c.body)
}

// refusal returns why a call was not let in, where that can still be an HTTP
// status: nothing has been sent yet. On a stream it stays a result of the tool.
func (c *toolCall) refusal(x *exchange) *fault.Error {
	if c.err == nil {
		return nil
	}
	e := fault.From(c.err)
	if e.Kind != fault.RateLimited && e.Kind != fault.Overloaded && e.Kind != fault.Unavailable {
		return nil
	}
	if x.close() != nil {
		return nil
	}
	return e
}

// drop ends a request without an answer: an empty stream, or no content.
func (x *exchange) drop() {
	if s := x.close(); s != nil {
		s.Close()
		return
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// run is the way of the call after its scope was checked. Whatever happens, it
// leaves a result.
func (c *toolCall) run(ctx context.Context) {
	c.call.Principal = c.in.principal
	c.call.Limits = c.s.cfg.Limits
	if c.x.token != nil {
		c.call.OnProgress = c.x.progress
	}
	t, parameters, err := c.decode()
	if err != nil {
		c.finish(nil, err)
		return
	}
	if c.request == nil || c.request.IdempotencyKey == "" {
		c.finish(c.invoke(ctx, t, parameters))
		return
	}
	c.once(ctx, t, parameters)
}

// decode finds the tool and its parameters.
func (c *toolCall) decode() (tools.Tool, json.RawMessage, error) {
	d := c.s.direct[c.m.name]
	if d.tool != nil {
		return d.tool, c.m.arguments, nil
	}
	req, err := d.facade.Decode(c.m.arguments)
	if err != nil {
		return nil, nil, err
	}
	c.request = req
	c.spec = req.Tool.Spec()
	req.Start(&c.call)
	return req.Tool, req.Parameters, nil
}

// once runs the call unless its idempotency key has a result already. Calls
// under one key run one after the other; only a result that is worth repeating
// is kept.
func (c *toolCall) once(ctx context.Context, t tools.Tool, parameters json.RawMessage) {
	stored, keep, err := c.s.Journal.Begin(ctx, c.in.owner, c.request.IdempotencyKey, c.digest())
	if err != nil {
		c.finish(nil, err)
		return
	}
	if stored != nil {
		c.body = c.wrap(stored, false)
		return
	}
	var envelope []byte
	defer func() { keep(envelope) }()
	result, err := c.invoke(ctx, t, parameters)
	e := c.finish(result, err)
	if err == nil {
		envelope = e
	}
}

// digest is what makes two calls under one key the same call.
func (c *toolCall) digest() [32]byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(c.spec.Name), []byte(c.request.SessionID), []byte(c.request.Prompt), []byte(c.request.Context), c.request.Parameters} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	if s := c.request.Seed; s != nil {
		h.Write(strconv.AppendUint(nil, *s, 10))
	}
	return [32]byte(h.Sum(nil))
}

// invoke takes what the tool needs, in the order session, ticket, deadline, and
// gives it back in reverse.
func (c *toolCall) invoke(ctx context.Context, t tools.Tool, parameters json.RawMessage) (json.RawMessage, error) {
	spec := t.Spec()
	if !spec.Stateless {
		h, err := c.session(ctx)
		if err != nil {
			return nil, err
		}
		defer h.Release()
		c.call.Session = h
		if c.request != nil && c.request.ExpectedVersion != nil {
			h.Expect(*c.request.ExpectedVersion)
		}
	}
	if spec.Lane != work.Inline {
		c.x.watch()
		ticket, err := c.ticket(ctx, spec)
		if err != nil {
			return nil, err
		}
		defer ticket.Release()
		c.call.Ticket = ticket
		// The deadline starts here: waiting for a turn does not eat it.
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.s.cfg.CallTimeout)
		defer cancel()
	}
	return c.guarded(ctx, t, parameters)
}

// guarded runs the tool and turns a panic into a failure.
func (c *toolCall) guarded(ctx context.Context, t tools.Tool, parameters json.RawMessage) (result json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil {
			c.s.Log.ErrorContext(ctx, "panic in a tool", "tool", t.Spec().Name, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			result, err = nil, &fault.Error{Kind: fault.Internal, Public: "internal error", Err: fmt.Errorf("panic in %s: %v", t.Spec().Name, p)}
		}
	}()
	result, err = t.Invoke(ctx, &c.call, parameters)
	if err == nil && len(result) > c.s.cfg.MaxOutputBytes {
		return nil, &fault.Error{
			Kind: fault.TooLarge, Code: "output_too_large",
			Public: fmt.Sprintf("the result has %d bytes; the limit is %d: ask for less", len(result), c.s.cfg.MaxOutputBytes),
		}
	}
	return result, err
}

// ticket waits for the call's turn and tells the client its place meanwhile.
func (c *toolCall) ticket(ctx context.Context, spec *tools.Spec) (*work.Ticket, error) {
	claim := work.Claim{Tenant: c.in.principal.Tenant, Subject: c.in.principal.Issuer + "\x00" + c.in.principal.Subject, Lane: spec.Lane}
	if h := c.call.Session; h != nil {
		claim.Session = string(h.ID())
	}
	if c.x.token != nil {
		// progress only grows while a place in a queue shrinks, so the place
		// goes into the message and the value counts the reports.
		var reports float64
		claim.OnWait = func(p work.Position) {
			reports++
			c.x.progress(reports/1024, 0, waiting(p))
		}
	}
	start := time.Now()
	ticket, err := c.s.Scheduler.Acquire(ctx, claim)
	c.s.obs.waited(ctx, spec.Lane, time.Since(start))
	return ticket, err
}

func waiting(p work.Position) string {
	text := fmt.Sprintf("waiting for a turn: %d ahead", p.Ahead)
	if p.Estimate > 0 {
		text += fmt.Sprintf(", about %s", p.Estimate.Round(100*time.Millisecond))
	}
	return text
}

// session returns the reasoning session of the call: the one it names, else
// that of its transport session, else a new one.
func (c *toolCall) session(ctx context.Context) (*session.Handle, error) {
	var h *session.Handle
	var err error
	cl := sessionClient(c.in.client)
	switch {
	case c.request != nil && c.request.SessionID != "":
		h, err = c.s.Sessions.Acquire(ctx, c.in.owner, session.ID(c.request.SessionID))
	case c.transport != nil && c.s.cfg.TransportDefault:
		h, err = c.transport.defaultSession(ctx, c.s.Sessions, c.in.owner, cl)
	default:
		h, err = c.s.Sessions.Open(ctx, c.in.owner, session.Params{Client: cl})
	}
	if err != nil {
		return nil, err
	}
	h.SetClient(cl)
	return h, nil
}

// unnamed describes a facade call that named no operation.
var unnamed = &tools.Spec{Name: tools.FacadeName, Examples: []tools.Example{{Arguments: `{"operation":"describe"}`}}}

// finish makes the result of an outcome and returns the envelope.
func (c *toolCall) finish(result json.RawMessage, err error) []byte {
	spec := c.spec
	if spec == nil {
		spec = unnamed
	}
	e := c.call.Envelope(spec, result, err)
	if c.request != nil {
		c.request.Finish(e)
	}
	for _, w := range e.Warnings {
		c.x.log("warning", w)
	}
	c.err = err
	if err != nil && c.call.Session != nil {
		c.call.Session.Fail()
	}
	body, encErr := e.Encode()
	if encErr != nil { // only a result that is not JSON could do this
		c.err = encErr
		body, _ = (&tools.Envelope{Operation: spec.Name, ToolOperation: spec.Name, Error: &tools.Failure{Code: "internal", Message: "internal error"}}).Encode()
	}
	c.isError = c.err != nil
	c.body = c.wrap(body, c.isError)
	return body
}

// wrap puts an envelope into the response with its CallToolResult: as text for hosts that show only
// that, and as structured content where the revision has it.
func (c *toolCall) wrap(envelope []byte, isError bool) []byte {
	b := c.x.appendHead(make([]byte, 0, 2*len(envelope)+len(envelope)/4+len(c.s.meta)+len(c.x.id)+160))
	b = append(b, `{"content":[{"type":"text","text":`...)
	b = appendString(b, envelope)
	b = append(b, "}]"...)
	rev := c.in.client.Revision
	if rev != rev2024 && rev != rev202503 {
		b = append(b, `,"structuredContent":`...)
		b = append(b, envelope...)
	}
	if isError {
		b = append(b, `,"isError":true`...)
	}
	if rev == rev2026 {
		return append(append(b, c.s.meta...), '}')
	}
	return append(b, "}}"...)
}

// appendString appends valid UTF-8 text as a JSON string. Compact JSON needs
// few escapes, so whole runs are copied.
func appendString(b, text []byte) []byte {
	const digits = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i, ch := range text {
		if ch >= 0x20 && ch != '"' && ch != '\\' {
			continue
		}
		b = append(b, text[start:i]...)
		switch ch {
		case '"', '\\':
			b = append(b, '\\', ch)
		case '\n':
			b = append(b, '\\', 'n')
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		default:
			b = append(b, '\\', 'u', '0', '0', digits[ch>>4], digits[ch&15])
		}
		start = i + 1
	}
	return append(append(b, text[start:]...), '"')
}
