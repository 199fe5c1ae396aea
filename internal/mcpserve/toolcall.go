package mcpserve

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/mark3labs/mcp-go/mcp"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/limit"
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

	transport *transport              // nil under 2026-07-28
	lost      context.Context         // ends with the connection, where that does not end the call; else nil
	cancel    context.CancelCauseFunc // ends the call
	line      *callLine               // back to the client
	task      *task                   // what runs, perhaps on after this call
	session   session.ID              // "" if it has none

	reservation *limit.Reservation // what it was charged
	turnedAway  bool               // it was refused before it began
	detached    bool               // it goes on as a job
	replayed    bool               // the answer is that of an earlier call

	trail    trail
	through  bool   // the task is through, and this call's again
	envelope []byte // the answer
	body     []byte // the whole response
	isError  bool
	err      error // for the log and the span
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
	c := &toolCall{s: s, in: in, m: m, x: x, transport: tr}
	d := s.direct[m.name]
	if d == nil {
		if err := c.recorded(ctx, errUnknownTool); err != nil {
			s.answerRefusal(w, r, m.id, err)
			return
		}
		x.fail(http.StatusOK, &rpcError{code: codeInvalidParams, message: errUnknownTool.Public})
		return
	}
	if s.draining.Load() {
		c.turnAway(ctx, w, r, errDraining)
		return
	}
	if t := s.tool(m); t != nil {
		c.spec = t.Spec()
		// What is forbidden is an HTTP answer, so it must come before any byte.
		if err := c.allowed(ctx, d); err != nil {
			c.turnAway(ctx, w, r, err)
			return
		}
		if err := s.auditReady(); err != nil { // nothing is computed that cannot be recorded
			c.turnAway(ctx, w, r, err)
			return
		}
		if err := c.charge(ctx, w); err != nil {
			c.turnAway(ctx, w, r, err)
			return
		}
		defer c.discharge()
		in.client.Method, in.client.Target = m.method, c.spec.Name
	} else {
		in.client.Method, in.client.Target = m.method, m.name
	}

	var key callKey
	if h != nil {
		// A lost connection does not cancel a call of these revisions.
		c.lost, ctx = ctx, context.WithoutCancel(ctx)
		key = callKey{h.ID(), string(m.id)}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.cancel = cancel
	running := s.calls.add(key, cancel)
	defer s.calls.done(running)

	c.line = s.lineOf(m, x, key.session, tr)
	resp := s.mcp.HandleMessage(context.WithValue(ctx, callCtx{}, c), d.message)
	if e, refused := resp.(mcp.JSONRPCError); refused {
		err := fmt.Errorf("dispatch: %s", e.Error.Message)
		in.client.Fail(err)
		if err := c.recorded(ctx, err); err != nil {
			s.answerRefusal(w, r, m.id, err)
			return
		}
		x.fail(http.StatusOK, &rpcError{code: e.Error.Code, message: e.Error.Message, data: e.Error.Data})
		return
	}
	if err := c.recorded(ctx, c.err); err != nil {
		c.fail(err) // whatever it came to, the caller must not rely on it
	}
	s.obs.finished(ctx, c)
	if c.err != nil {
		in.client.Fail(noted(c.err))
	}
	if h != nil && errors.Is(context.Cause(ctx), errClientCanceled) || h == nil && r.Context().Err() != nil {
		// The client has asked not to hear of it any more, which under 2026-07-28
		// it does by closing the response; the HTTP request still needs its end.
		c.x.drop()
		return
	}
	if e := c.protocolFailure(); e != nil {
		x.fail(e.status, e)
		return
	}
	if e := c.refusal(x); e != nil {
		s.answerRefusal(w, r, m.id, e)
		return
	}
	x.finish(http.StatusOK, c.body)
}

// noted is what the log is told of a failure. Bad arguments quote what the caller
// sent, which is the caller's alone.
func noted(err error) error {
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		return err
	}
	return &fault.Error{Kind: fault.Invalid, Code: cmp.Or(bad.Code, "invalid_arguments"), Public: "bad arguments"}
}

// errUnknownTool is the answer to a call of what is not a tool.
var errUnknownTool = &fault.Error{Kind: fault.Invalid, Code: "unknown_tool", Public: "unknown tool"}

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
		x.still()
		s.Close()
		return
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// run is the way of the call after its scope was checked. Whatever happens, it
// leaves a result.
func (c *toolCall) run(ctx context.Context) {
	t := &task{
		s: c.s, owner: c.in.owner, principal: c.in.principal, client: sessionClient(c.in.client), name: c.m.name, arguments: c.m.arguments,
	}
	c.task, t.reservation = t, c.reservation
	t.asked, t.parent = storedAsk{Request: c.in.client.RequestID, Trace: traceID(ctx)}, trace.SpanFromContext(ctx)
	t.overran = func() { c.cancel(errOverrun) }
	if c.x.logAt > 0 {
		t.warned = func(w tools.Warning) { c.x.log("warning", w) }
	}
	if c.x.token != nil {
		t.progress = c.x.progress
		t.call.OnProgress = c.x.progress
	}
	c.talk(t)
	t.prepare()
	if err := t.decode(); err != nil {
		t.finish(nil, err)
		c.settle(t.envelope, t.err)
		return
	}
	c.spec = t.spec
	if t.request == nil || t.request.IdempotencyKey == "" {
		c.execute(ctx)
		return
	}
	c.once(ctx)
}

// once runs the call unless its idempotency key has an answer already. Calls
// under one key run one after the other; only an answer that is worth repeating
// is kept, which includes the name of the job that a call has become.
func (c *toolCall) once(ctx context.Context) {
	stored, keep, err := c.s.Journal.BeginAt(ctx, c.in.owner, c.task.request.IdempotencyKey, c.digest(), c.attempt(ctx))
	if err != nil {
		c.fail(err)
		return
	}
	if stored != nil {
		c.replayed, c.body = true, c.wrap(stored, false)
		return
	}
	defer func() {
		if c.isError {
			c.envelope = nil
		}
		if err := keep(c.envelope); err != nil {
			c.s.Log.WarnContext(ctx, "the result of a keyed call is not stored", "tool", c.spec.Name, "error", err)
		}
	}()
	c.execute(ctx)
}

// attempt says what tells later whether the call had an effect, should the
// process end in the middle of it: nothing it could have, or the version of the
// session that it names.
func (c *toolCall) attempt(ctx context.Context) session.Attempt {
	at := session.Attempt{Pure: c.spec.Effect == tools.ReadOnly}
	id := c.task.request.SessionID
	if c.spec.Stateless || id == "" {
		return at
	}
	if h, err := c.s.Sessions.Acquire(ctx, c.in.owner, session.ID(id)); err == nil {
		h.Look()
		at.Session, at.Version = h.ID(), h.Version()
		h.Release()
	}
	return at
}

// digest is what makes two calls under one key the same call.
func (c *toolCall) digest() [32]byte {
	r := c.task.request
	h := sha256.New()
	for _, part := range [][]byte{[]byte(c.spec.Name), []byte(r.SessionID), []byte(r.Prompt), []byte(r.Context), r.Parameters} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write(part)
	}
	if s := r.Seed; s != nil {
		h.Write(strconv.AppendUint(nil, *s, 10))
	}
	return [32]byte(h.Sum(nil))
}

// execute takes the session of the call and runs it: here if it takes
// microseconds, else as a job.
func (c *toolCall) execute(ctx context.Context) {
	t := c.task
	if !t.spec.Stateless {
		h, err := c.openSession(ctx)
		if err != nil {
			c.fail(err)
			return
		}
		c.session, t.sessionID = h.ID(), h.ID()
		t.held.Store(h)
	}
	if t.spec.Lane != work.Inline {
		c.attached(ctx)
		return
	}
	t.finish(t.inline(ctx))
	c.through = true
	c.settle(t.envelope, t.err)
}

// fail answers with a failure without looking at what the task, which may still
// run, has come to.
func (c *toolCall) fail(err error) {
	c.settle(c.task.seal(&tools.Call{}, nil, err))
}

// settle makes the response of an envelope; err is the failure it tells of.
func (c *toolCall) settle(envelope []byte, err error) {
	c.envelope, c.err, c.isError = envelope, err, err != nil
	c.body = c.wrap(envelope, c.isError)
	c.asks()
}

// openSession returns the reasoning session of the call: the one it names, else
// that of its transport session, else a new one.
func (c *toolCall) openSession(ctx context.Context) (*session.Handle, error) {
	var h *session.Handle
	var err error
	ctx, looking := c.s.obs.begin(ctx, &c.trail, phaseSession)
	defer func() { looking.end(err) }()
	r, cl := c.task.request, c.task.client
	switch {
	case r != nil && r.SessionID != "":
		h, err = c.s.Sessions.Acquire(ctx, c.in.owner, session.ID(r.SessionID))
	case c.resumes() != "":
		h, err = c.s.Sessions.Acquire(ctx, c.in.owner, c.resumes())
	case c.transport != nil && c.s.cfg.TransportDefault:
		h, err = c.transport.defaultSession(ctx, c.s, c.in, cl)
	default:
		h, err = c.s.openSession(ctx, c.in, session.Params{Client: cl})
	}
	if err != nil {
		return nil, err
	}
	h.SetClient(cl)
	return h, nil
}

// wrap puts an envelope into the response with its CallToolResult: as text for hosts that show only
// that, and as structured content where the revision has it.
func (c *toolCall) wrap(envelope []byte, isError bool) []byte {
	if c.task != nil && native(c.task.tool) && !c.detached {
		return c.wrapNative(envelope)
	}
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
