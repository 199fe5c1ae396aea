package mcpserve

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Auditor keeps who did what. Every tools/call leaves one record before its answer
// leaves, and one more when it has gone on as a job and that ends.
type Auditor interface {
	// Ready is nil, or why nothing may be computed now: it could not be recorded.
	// It is asked for every call, so it must be cheap.
	Ready() error
	// Append adds a record. An error means that it is not in the log and that the
	// caller must not be told that all is well.
	Append(ctx context.Context, r audit.Record) error
	// Note adds a record of what has happened already, whatever becomes of it.
	Note(r audit.Record)
}

// Outcomes of a call that is not over, and of one that was not run again.
const (
	outcomeRunning = "running"
	codeReplayed   = "replayed" // the stored answer of an idempotency key
)

// judge fills in how it went.
func judge(r *audit.Record, err error) {
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		r.Went(err)
		return
	}
	r.Decision, r.Outcome, r.Code = audit.Allow, fault.Invalid.String(), bad.Code
	if r.Code == "" {
		r.Code = "invalid_arguments"
	}
}

// traceID returns the id of the trace that ctx is in, "" if it is in none.
func traceID(ctx context.Context) string {
	if sc := trace.SpanContextFromContext(ctx); sc.HasTraceID() {
		return sc.TraceID().String()
	}
	return ""
}

// recorded puts the call into the audit log, which is due before its answer leaves.
// An error is the answer instead. The request may have ended: its record is due
// all the same.
func (c *toolCall) recorded(ctx context.Context, err error) error {
	if c.s.Audit == nil {
		return nil
	}
	r := audit.Record{
		Kind: audit.Call, Operation: c.operation(), Session: c.sessionNamed(), Arguments: c.m.arguments,
		Duration: time.Since(c.in.client.Started),
	}
	r.By(c.in.client)
	judge(&r, err)
	switch {
	case c.turnedAway:
		r.Decision = audit.Deny
	case err != nil:
	case c.detached:
		r.Outcome = outcomeRunning
	case c.replayed:
		r.Code = codeReplayed
	}
	if t := c.task; t != nil {
		r.CPU, r.TraceID = t.cpu(), t.asked.Trace
	} else {
		r.TraceID = traceID(ctx)
	}
	ctx, writing := c.s.obs.begin(ctx, &c.trail, phaseAudit)
	err = c.s.Audit.Append(context.WithoutCancel(ctx), r)
	writing.end(err)
	return err
}

// operation is what was asked for: an operation of ours, or what the client called.
func (c *toolCall) operation() string {
	if c.spec != nil {
		return c.spec.Name
	}
	return c.m.name
}

// sessionNamed returns the session of the call: the one it used, else the one it
// names, which need not exist.
func (c *toolCall) sessionNamed() string {
	switch {
	case c.session != "":
		return string(c.session)
	case c.task != nil && c.task.request != nil:
		return c.task.request.SessionID
	}
	for key, value := range jsonscan.Members(c.m.arguments) {
		if string(key) == "sessionId" {
			return jsonscan.String(value)
		}
	}
	return ""
}

// turnAway answers a call that may not run, or not now, with its record. That it
// is refused does not depend on the record.
func (c *toolCall) turnAway(ctx context.Context, w http.ResponseWriter, r *http.Request, err error) {
	c.turnedAway = true
	_ = c.recorded(ctx, err) // the log counts what it refuses
	if c.inBatch(w, err) {
		return
	}
	c.s.answerRefusal(w, r, c.m.id, err)
}

// auditReady is nil, or why nothing may be done now.
func (s *Server) auditReady() error {
	if s.Audit == nil {
		return nil
	}
	return s.Audit.Ready()
}

// noteRefusal records that a request was refused which is not a call of a tool.
func (s *Server) noteRefusal(ctx context.Context, err error) {
	c := client.FromContext(ctx)
	if _, refused := audit.Refused(err); !refused || s.Audit == nil || c == nil {
		return
	}
	r := audit.Record{Operation: c.Method, TraceID: traceID(ctx), Duration: time.Since(c.Started)}
	r.By(c)
	judge(&r, err)
	s.Audit.Note(r)
}

// keptTasks are the tasks that go on as jobs, for the records of their ends.
type keptTasks struct {
	mu   sync.Mutex
	byID map[job.ID]*task
}

func (k *keptTasks) add(id job.ID, t *task) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.byID[id] = t
}

func (k *keptTasks) take(id job.ID) *task {
	k.mu.Lock()
	defer k.mu.Unlock()
	t := k.byID[id]
	delete(k.byID, id)
	return t
}

// goesOn notes that the call goes on as the job: from here on its end is recorded.
func (c *toolCall) goesOn(id job.ID) {
	if c.s.Audit == nil {
		return
	}
	t := c.task
	c.s.kept.add(id, t)
	r := audit.Record{Kind: audit.Job, Action: "started", Operation: t.spec.Name, Session: string(t.sessionID), TraceID: t.asked.Trace, Reason: jobText(id)}
	r.By(c.in.client)
	c.s.Audit.Note(r)
}

// storedAsk is how the records of a job lead back to the request that it comes
// from.
type storedAsk struct {
	Request string `json:"request,omitempty"`
	Trace   string `json:"trace,omitempty"`
	Span    string `json:"span,omitempty"` // of the request, in that
}

// jobText names a job without giving its id away.
func jobText(id job.ID) string { return "job " + id.Ref() }

// JobEnded records the end of a job that its owner knew. It is for
// job.Config.OnEnd; calls that were answered by their own request have a record of
// that.
func (s *Server) JobEnded(e job.Event) {
	t := s.kept.take(e.Job.ID)
	if s.Audit == nil || t == nil && !e.Kept {
		return
	}
	j := e.Job
	r := audit.Record{
		Time: j.Finished, Kind: audit.Job, Action: "finished", Tenant: j.Owner.Tenant, Issuer: j.Owner.Issuer, Subject: j.Owner.Subject,
		Operation: j.Operation, Session: string(j.SessionID), Outcome: audit.OK, Code: j.Error.Code, Reason: jobText(j.ID),
		Duration: j.Finished.Sub(j.Created),
	}
	switch {
	case j.State == job.Canceled:
		r.Action, r.Outcome = "canceled", fault.Canceled.String()
	case j.State == job.Failed && t == nil: // of a process that is gone
		r.Action, r.Outcome = "lost", fault.Unavailable.String()
	case j.State == job.Failed && t.err != nil:
		var failed audit.Record
		judge(&failed, t.err)
		r.Outcome = failed.Outcome
	case j.State == job.Failed:
		r.Outcome = fault.Unavailable.String() // it did not come to run, or not to its end
	}
	if t != nil {
		r.ClientID, r.CPU, r.RequestID, r.TraceID = t.principal.ClientID, t.cpu(), t.asked.Request, t.asked.Trace
	}
	s.Audit.Note(r)
}
