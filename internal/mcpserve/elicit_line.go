package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// callLine is the way back from a call to its client. It belongs to the goroutine of
// the tool, but for what is atomic, a channel, or behind a mutex.
type callLine struct {
	s            *Server
	x            *exchange // of the request
	task         *task     // nil for a prompt
	capabilities json.RawMessage
	modern       bool
	transport    session.ID                 // of a client that takes requests on the stream of its call
	brought      *round                     // of a modern request
	taken        map[string]json.RawMessage // answers that the tool has had

	tasks    bool          // the client knows tasks, and this call may become one
	wanted   chan struct{} // closed when the tool wants it to
	want     func()
	kept     chan struct{} // closed when it has
	keep     func()
	declined chan error    // has room for one: why it cannot be kept
	open     atomic.Int32  // questions on the stream
	gone     chan struct{} // closed when nobody can answer on the stream any more
	shut     func()
	reserved int // questions parked so far
}

func (s *Server) newLine(x *exchange, capabilities json.RawMessage) *callLine {
	l := &callLine{
		s: s, x: x, capabilities: capabilities, taken: map[string]json.RawMessage{},
		wanted: make(chan struct{}), kept: make(chan struct{}), gone: make(chan struct{}), declined: make(chan error, 1),
	}
	l.want = sync.OnceFunc(func() { close(l.wanted) })
	l.keep = sync.OnceFunc(func() { close(l.kept) })
	l.shut = sync.OnceFunc(func() { close(l.gone) })
	if x != nil {
		x.line = l
	}
	return l
}

// hangUp ends the questions on the stream of the request, whose connection is gone,
// unless the client can still resume it.
func (l *callLine) hangUp() {
	if l.x == nil || !l.x.awaits() {
		l.shut()
	}
}

// Disconnect ends the connection that carries the stream of the call, as a proxy
// does with answers that take long. The call goes on; its client has to resume the
// stream. Where that is not offered it does nothing.
func (l *callLine) Disconnect() {
	if l.x != nil {
		l.x.disconnect()
	}
}

// lineOf returns the line of a request. tr is its transport session, nil under
// 2026-07-28.
func (s *Server) lineOf(m *message, x *exchange, id session.ID, tr *transport) *callLine {
	if tr != nil {
		l := s.newLine(x, tr.capabilities)
		l.transport = id
		return l
	}
	l := s.newLine(x, m.meta.capabilities)
	l.modern, l.brought = true, m.round
	l.tasks = declaresTasks(m.meta.capabilities)
	return l
}

// needs names the capability of a question's method; a form also needs its mode,
// which a client that names none has.
func needs(method string, capabilities json.RawMessage) (name string, declared bool) {
	switch method {
	case tools.AskSample:
		name = "sampling"
	case tools.AskRoots:
		name = "roots"
	case tools.AskForm:
		name = "elicitation"
	default:
		return method, false
	}
	c := memberOf(capabilities, name)
	if c == nil {
		return name, false
	}
	if name == "elicitation" && memberOf(c, "url") != nil && memberOf(c, "form") == nil {
		return name, false
	}
	return name, true
}

// declared cuts capabilities to what is ever asked of them, to be kept for longer
// than a request.
func declared(capabilities json.RawMessage) json.RawMessage {
	kept := map[string]map[string]struct{}{}
	for _, name := range []string{"elicitation", "sampling", "roots"} {
		c := memberOf(capabilities, name)
		if c == nil {
			continue
		}
		kept[name] = map[string]struct{}{}
		for _, mode := range []string{"form", "url"} {
			if memberOf(c, mode) != nil {
				kept[name][mode] = struct{}{}
			}
		}
	}
	b, _ := json.Marshal(kept) // plain maps always encode
	return b
}

// Takes implements tools.Line.
func (l *callLine) Takes(method string) bool {
	_, ok := needs(method, l.capabilities)
	return ok
}

// Log implements tools.Line.
func (l *callLine) Log(level string, data any) {
	if severities[level] > 0 && l.x != nil {
		l.x.log(level, data)
	}
}

// Background implements tools.Line.
func (l *callLine) Background(ctx context.Context) error {
	if !l.tasks || l.task == nil || l.task.call.Durable == nil {
		return tools.NeedsTasks()
	}
	if l.isTask() {
		return nil
	}
	l.want()
	select {
	case <-l.kept:
		return nil
	case err := <-l.declined:
		l.declined <- err // for whoever asks again
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// decline tells the tool that its call cannot become a task now.
func (l *callLine) decline(err error) {
	select {
	case l.declined <- err:
	default: // it knows
	}
}

func (l *callLine) isTask() bool {
	select {
	case <-l.kept:
		return l.tasks
	default:
		return false
	}
}

// Ask implements tools.Line.
func (l *callLine) Ask(ctx context.Context, questions []tools.Question) (tools.Answers, error) {
	missing := slices.DeleteFunc(slices.Clone(questions), func(q tools.Question) bool { return l.taken[q.Key] != nil })
	switch {
	case l.isTask():
		if err := l.park(ctx, missing); err != nil {
			return nil, err
		}
	case l.modern:
		if err := l.recall(missing); err != nil {
			return nil, err
		}
	case l.transport != "":
		if err := l.request(ctx, missing); err != nil {
			return nil, err
		}
	default:
		return nil, errNobody
	}
	out := tools.Answers{}
	for _, q := range questions {
		out[q.Key] = l.taken[q.Key]
	}
	return out, nil
}

var errNobody = &fault.Error{Kind: fault.Invalid, Code: "nobody_to_ask", Public: "the operation has to ask its user something, and the client that could is gone"}

// refuse refuses questions that the client does not take.
func (l *callLine) refuse(questions []tools.Question) error {
	var lacking map[string]any
	for _, q := range questions {
		if name, ok := needs(q.Method, l.capabilities); !ok {
			if lacking == nil {
				lacking = map[string]any{}
			}
			lacking[name] = map[string]any{}
		}
	}
	if lacking != nil {
		return &tools.Undeclared{Needs: lacking}
	}
	return nil
}

// recall takes the answers that the request has brought. What is still missing
// ends the attempt; what does not fit its question is an error of the protocol.
func (l *callLine) recall(questions []tools.Question) error {
	var missing []tools.Question
	for _, q := range questions {
		raw, ok := l.brought.kept.Answers[q.Key]
		if !ok {
			raw, ok = l.brought.answers[q.Key]
		}
		if !ok {
			missing = append(missing, q)
			continue
		}
		if err := checkAnswer(q, raw); err != nil {
			return err
		}
		l.taken[q.Key] = raw
	}
	if len(missing) == 0 {
		return nil
	}
	if err := l.refuse(missing); err != nil {
		return err
	}
	return &tools.InputRequired{Questions: missing}
}

// request sends the questions on the stream of the call, one after the other.
func (l *callLine) request(ctx context.Context, questions []tools.Question) error {
	if err := l.refuse(questions); err != nil {
		return err
	}
	for _, q := range questions {
		raw, err := l.requestOne(ctx, q)
		if err == nil {
			err = checkAnswer(q, raw)
		}
		if bad, ok := errors.AsType[*rpcError](err); ok { // it is the answer that is wrong, not the call
			err = fault.Newf(fault.Invalid, "%s", bad.message)
		}
		if err != nil {
			return err
		}
		l.taken[q.Key] = raw
	}
	return nil
}

func (l *callLine) requestOne(ctx context.Context, q tools.Question) (raw json.RawMessage, err error) {
	id := session.NewObjectID("ask")
	answer := l.s.asked.add(askKey{l.transport, id})
	defer l.s.asked.drop(askKey{l.transport, id})
	l.open.Add(1)
	defer l.open.Add(-1)
	over, ok := l.x.request(id, q.Method, q.Params)
	if !ok {
		return nil, errNobody
	}
	defer over()
	err = l.aside(ctx, func() {
		select {
		case m := <-answer:
			if raw = m.result; raw == nil {
				raw = json.RawMessage("null")
			}
			if m.failure != nil {
				err = fault.Newf(fault.Invalid, "the client did not answer %s: %s", q.Method, printable(jsonscan.String(memberOf(m.failure, "message"))))
			}
		case <-l.gone:
			err = errNobody
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
	}, &err)
	return raw, err
}

// aside waits without a turn on the CPU. failed is what wait has come to.
func (l *callLine) aside(ctx context.Context, wait func(), failed *error) error {
	if l.task == nil {
		wait()
		return *failed
	}
	if err := l.task.call.Ticket.Aside(ctx, wait); err != nil {
		return err
	}
	return *failed
}

// park shows the questions of a task to whoever looks after it and waits until
// all are answered. Keys are not used twice in the life of a task.
func (l *callLine) park(ctx context.Context, questions []tools.Question) error {
	if len(questions) == 0 {
		return nil
	}
	if err := l.refuse(questions); err != nil {
		return err
	}
	run, ok := l.task.call.Durable.(*job.Run)
	if !ok {
		return errNobody
	}
	shown := slices.Clone(questions)
	for i := range shown {
		l.reserved++
		shown[i].Key += "." + strconv.Itoa(run.Attempt()) + "." + strconv.Itoa(l.reserved)
	}
	p := l.s.parked.add(run.ID(), shown)
	defer l.s.parked.drop(run.ID())
	var failed error
	err := l.aside(ctx, func() {
		select {
		case <-p.all:
		case <-run.Stop(): // the answers would come to another process
			failed = job.ErrDraining
		case <-ctx.Done():
			failed = context.Cause(ctx)
		}
	}, &failed)
	if err != nil {
		return err
	}
	for i, q := range questions {
		l.taken[q.Key] = p.answer(shown[i].Key)
	}
	return nil
}

// askKey names a request of ours: an answer is only taken from the transport
// session that it was sent to.
type askKey struct {
	session session.ID
	id      string
}

// asked are our requests that wait for their answers.
type asked struct {
	mu   sync.Mutex
	open map[askKey]chan *message
}

func (a *asked) add(k askKey) <-chan *message {
	ch := make(chan *message, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open == nil {
		a.open = map[askKey]chan *message{}
	}
	a.open[k] = ch
	return ch
}

func (a *asked) drop(k askKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, k)
}

// take gives an answer to the request it is for, once, and reports whether there
// is one.
func (a *asked) take(k askKey, m *message) bool {
	a.mu.Lock()
	ch := a.open[k]
	delete(a.open, k)
	a.mu.Unlock()
	if ch == nil {
		return false
	}
	ch <- m // has room for it
	return true
}

// request sends a request of ours on the stream of this one, and reports whether
// the client can have it. over says that it needs no answer any more.
func (x *exchange) request(id, method string, params json.RawMessage) (over func(), ok bool) {
	if !x.streaming {
		return nil, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.done {
		return nil, false
	}
	b := append([]byte(`{"jsonrpc":"2.0","id":"`+id+`","method":"`+method+`","params":`), params...)
	b = append(b, '}')
	n := x.sayLocked(b, true)
	if n == 0 { // the connection is lost, and the stream with it
		return nil, false
	}
	return func() { x.own.feed.unpin(n) }, true
}
