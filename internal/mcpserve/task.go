package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// task is the work of one tool call: what runs, and for whom. It knows its
// request only by two functions, so that it can go on without one. The fields
// above call are set before it runs; from then on the rest belongs to the
// goroutine that runs it, until that has returned.
type task struct {
	s          *Server
	spec       *tools.Spec // nil if the arguments name no operation
	tool       tools.Tool
	request    *tools.Request // nil until the arguments are decoded
	parameters json.RawMessage

	owner     session.Owner
	principal *identity.Principal
	client    session.Client
	sessionID session.ID // known before it runs

	name      string          // what the client called, to find it again
	arguments json.RawMessage // of that

	progress func(done, total float64, message string) // to the request; may be nil
	warned   func(tools.Warning)                       // to the request; may be nil
	line     *callLine                                 // back to the client; nil if there is none
	overran  func()                                    // tells the request that the deadline was ignored; may be nil

	held atomic.Pointer[session.Handle] // the session, until whoever needs it takes it
	kept atomic.Bool                    // it is a job that its owner knows: a full queue is waited out
	turn atomic.Pointer[work.Ticket]    // with which it computes

	reservation *limit.Reservation // what the call was charged; nil if nothing
	begun       atomic.Bool        // it runs, or has run: what it was charged is settled here
	used        atomic.Int64       // CPU time so far, in nanoseconds
	asked       storedAsk          // by which request; set before it runs
	parent      trace.Span         // of that request; nil in a later process
	trail       trail

	maxOutput int // bytes of the result; set when it runs

	since    uint64 // version of the session when the tool began
	call     tools.Call
	envelope []byte
	err      error
}

// decode finds the tool and its parameters.
func (t *task) decode() error {
	d := t.s.direct[t.name]
	if d.tool != nil {
		t.tool, t.parameters, t.spec = d.tool, t.arguments, d.tool.Spec()
		t.request = tools.Named(d.tool, t.arguments)
		return nil
	}
	req, err := d.facade.Decode(t.arguments)
	if err != nil {
		return err
	}
	t.request, t.tool, t.parameters, t.spec = req, req.Tool, req.Parameters, req.Tool.Spec()
	req.Start(&t.call)
	return nil
}

// run is the task as a job. Its result is the finished envelope.
func (t *task) run(ctx context.Context, run *job.Run) (json.RawMessage, error) {
	result, err := t.compute(ctx, run)
	if errors.Is(err, job.ErrCheckpointed) {
		return nil, err
	}
	t.finish(result, err)
	if t.err != nil {
		return nil, t.err
	}
	return t.envelope, nil
}

// inline runs a tool that takes microseconds, on the goroutine of its request.
func (t *task) inline(ctx context.Context) (result json.RawMessage, err error) {
	if err := t.permit(ctx); err != nil {
		return nil, err
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { t.leave(err) }()
	t.begun.Store(true)
	start := time.Now()
	defer func() { t.paid(time.Since(start)) }()
	return t.guarded(ctx)
}

// compute takes what the tool needs, in the order session, ticket, deadline, and
// gives it back in reverse.
func (t *task) compute(ctx context.Context, run *job.Run) (result json.RawMessage, err error) {
	ctx, over := t.s.obs.within(ctx, t)
	defer func() { over(err) }()
	if err := t.permit(ctx); err != nil {
		return nil, err
	}
	if err := t.enter(ctx); err != nil {
		return nil, err
	}
	defer func() { t.leave(err) }()
	t.call.Durable = run
	t.call.OnProgress = func(done, total float64, message string) {
		run.Progress(done, total, message)
		if t.progress != nil {
			t.progress(done, total, message)
		}
	}
	ticket, err := t.ticket(ctx, run)
	if err != nil {
		t.reservation.Refund() // it did not run
		return nil, err
	}
	defer ticket.Release()
	t.call.Ticket = ticket
	t.begun.Store(true)
	defer func() { t.paid(ticket.Used()) }() // before it is released
	if t.turn.Store(ticket); t.kept.Load() { // also if that happened while it waited
		ticket.Move(work.Batch)
	}
	// The deadline starts here: waiting for a turn does not eat it.
	limited, cancel := context.WithTimeout(ctx, t.patience())
	defer cancel()
	ticket.Watch(limited)

	defer t.watchDeadline(limited, run)()
	return t.guarded(sighted{limited, ctx})
}

// sighted lets the context of a job see that the tool looks at one made from it:
// that is how a cancellation is known to be acknowledged.
type sighted struct {
	context.Context
	job context.Context
}

func (c sighted) Err() error {
	err := c.Context.Err()
	if err != nil {
		_ = c.job.Err() // the look is what counts
	}
	return err
}

// enter takes the session of the call, unless it needs none. It is in use until
// leave.
func (t *task) enter(ctx context.Context) error {
	if t.spec.Stateless {
		return nil
	}
	h := t.held.Swap(nil)
	if h == nil { // nobody kept it for us
		var err error
		if h, err = t.s.Sessions.Acquire(ctx, t.owner, t.sessionID); err != nil {
			return err
		}
	}
	if t.spec.Effect != tools.ReadOnly {
		if err := h.MayWrite(); err != nil { // before it computes; the commit asks again
			h.Look() // a refusal is no use of somebody else's session
			h.Fail()
			h.Release()
			return err
		}
	}
	t.call.Session, t.since = h, h.Version()
	if t.request != nil && t.request.ExpectedVersion != nil {
		h.Expect(*t.request.ExpectedVersion)
	}
	return nil
}

func (t *task) leave(err error) {
	h := t.call.Session
	if h == nil {
		return
	}
	if err != nil {
		h.Fail()
	}
	t.changed(h, err)
	h.Release()
}

// drop lets go of a session that nobody came to use.
func (t *task) drop() {
	if h := t.held.Swap(nil); h != nil {
		h.Release()
	}
}

// overrunGrace is how long after its deadline a tool may take to notice it. The
// computing ones look at least once a quantum.
const overrunGrace = 250 * time.Millisecond

// watchDeadline notes when the tool does not return at its deadline. Its ticket
// stays taken until it does: what computes is counted as what computes.
func (t *task) watchDeadline(limited context.Context, run *job.Run) (returned func()) {
	gone := make(chan struct{})
	stop := context.AfterFunc(limited, func() { // costs no timer of its own before the deadline
		grace := time.NewTimer(overrunGrace)
		defer grace.Stop()
		select {
		case <-gone:
			return
		case <-grace.C:
		}
		if !errors.Is(limited.Err(), context.DeadlineExceeded) {
			return // it was canceled; job_cancel tells how far that has come
		}
		t.s.overrunning.Add(1)
		defer t.s.overrunning.Add(-1)
		t.s.overruns.Add(1)
		t.s.Log.Warn("a tool ignores its deadline", "tool", t.spec.Name, "job", run.ID(), "call_timeout", t.s.cfg.CallTimeout)
		if t.overran != nil {
			t.overran()
		}
		<-gone
	})
	return func() {
		stop()
		close(gone)
	}
}

// errOverrun is the answer to a call whose tool ignores its deadline.
var errOverrun = &fault.Error{Kind: fault.Timeout, Public: "the operation did not stop at its deadline: ask for less"}

// guarded runs the tool and turns a panic into a failure.
func (t *task) guarded(ctx context.Context) (result json.RawMessage, err error) {
	ctx, computing := t.s.obs.begin(ctx, &t.trail, phaseTool)
	defer func() { computing.end(err) }()
	defer func() {
		if p := recover(); p != nil {
			t.s.Log.ErrorContext(ctx, "panic in a tool", "tool", t.spec.Name, "request", t.asked.Request, "value", fmt.Sprint(p), "stack", string(debug.Stack()))
			result, err = nil, &fault.Error{Kind: fault.Internal, Public: "internal error", Err: fmt.Errorf("panic in %s: %v", t.spec.Name, p)}
		}
	}()
	result, err = t.tool.Invoke(ctx, &t.call, t.parameters)
	if err == nil && len(result) > t.maxOutput {
		return nil, &fault.Error{
			Kind: fault.TooLarge, Code: "output_too_large",
			Public: fmt.Sprintf("the result has %d bytes; the limit is %d: ask for less", len(result), t.maxOutput),
		}
	}
	return result, err
}

// keep says that the task has become a job that its owner knows and nobody waits
// for at the line: from now on it makes way for those who do.
func (t *task) keep() {
	t.kept.Store(true)
	t.turn.Load().Move(work.Batch)
	t.line.becomesTask()
}

// lane is where the call waits for its turns.
func (t *task) lane() work.Lane {
	if t.spec.Lane == work.Interactive && (t.kept.Load() || t.request != nil && t.request.Batch) {
		return work.Batch
	}
	return t.spec.Lane
}

// ticket waits for the call's turn and tells the client its place meanwhile. A
// job whose id was told is not refused for a full queue: it tries again.
func (t *task) ticket(ctx context.Context, run *job.Run) (*work.Ticket, error) {
	claim := work.Claim{Tenant: t.principal.Tenant, Subject: t.principal.Issuer + "\x00" + t.principal.Subject, Lane: t.lane()}
	if h := t.call.Session; h != nil {
		claim.Session = string(h.ID())
	}
	if t.progress != nil || t.kept.Load() {
		// progress only grows while a place in a queue shrinks, so the place
		// goes into the message and the value counts the reports.
		var reports float64
		claim.OnWait = func(p work.Position) {
			text := waiting(p)
			run.Progress(0, 0, text)
			if t.progress != nil {
				reports++
				t.progress(reports/1024, 0, text)
			}
		}
	}
	start := time.Now()
	ctx, waits := t.s.obs.begin(ctx, &t.trail, phaseWait)
	for {
		ticket, err := t.s.Scheduler.Acquire(ctx, claim)
		if err == nil || !t.kept.Load() || !refused(err) || !pause(ctx, fault.From(err).RetryAfter) {
			t.s.obs.waited(ctx, claim.Lane, time.Since(start), err)
			waits.end(err)
			return ticket, err
		}
	}
}

func waiting(p work.Position) string {
	text := fmt.Sprintf("waiting for a turn: %d ahead", p.Ahead)
	if p.Estimate > 0 {
		text += fmt.Sprintf(", about %s", p.Estimate.Round(100*time.Millisecond))
	}
	return text
}

func refused(err error) bool {
	k := fault.KindOf(err)
	return k == fault.RateLimited || k == fault.Overloaded
}

// pause waits for at least a tenth of a second and reports whether ctx is live.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(max(d, 100*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// unnamed describes a facade call that named no operation.
var unnamed = &tools.Spec{Name: tools.FacadeName, Examples: []tools.Example{{Arguments: `{"operation":"describe"}`}}}

// finish makes the envelope of an outcome.
func (t *task) finish(result json.RawMessage, err error) {
	t.envelope, t.err = t.seal(&t.call, result, err)
}

// seal returns the envelope of an outcome of c, and why it is one of a failure.
func (t *task) seal(c *tools.Call, result json.RawMessage, err error) ([]byte, error) {
	spec := t.spec
	if spec == nil {
		spec = unnamed
	}
	if native(t.tool) {
		return sealNative(c, spec, result, err)
	}
	e := c.Envelope(spec, result, err)
	if t.request != nil {
		t.request.Finish(e)
	}
	if t.warned != nil {
		for _, w := range e.Warnings {
			t.warned(w)
		}
	}
	body, encErr := e.Encode()
	if encErr != nil { // only a result that is not JSON could do this
		err = encErr
		body, _ = (&tools.Envelope{Operation: spec.Name, ToolOperation: spec.Name, Error: &tools.Failure{Code: "internal", Message: "internal error"}}).Encode()
	}
	return body, err
}
