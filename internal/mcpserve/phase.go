package mcpserve

import (
	"context"
	"errors"
	"iter"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

// Watcher hears of every tool call that was let in, when it is over as far as its
// request goes.
type Watcher interface {
	// Called must return soon. The report belongs to the caller again after that.
	Called(r CallReport)
}

// CallReport is how a call went.
type CallReport struct {
	Operation string // of our registry
	Tenant    string
	Session   session.ID // "" if it has none; not for people, Ref is
	Request   string     // id
	Span      trace.SpanContext
	Sampled   bool // its spans are kept
	Started   time.Time
	Took      time.Duration
	Err       error
	Detached  bool // it goes on as a job

	call *toolCall
}

// ServerFault reports whether the call failed at the server's fault.
func (r *CallReport) ServerFault() bool { return r.Err != nil && serverFault(r.Err) }

// Code returns the word of ours for how it went: ok, running for a call that goes
// on as a job, or what is wrong.
func (r *CallReport) Code() string {
	switch {
	case r.Err != nil:
		_, code := failureOf(r.Err)
		return code
	case r.Detached:
		return outcomeRunning
	}
	return "ok"
}

// Phases yields what the call's time went to, by name.
func (r *CallReport) Phases() iter.Seq2[string, PhaseTime] { return r.call.phases() }

// PhaseTime is when a part of a call was, since the call's start.
type PhaseTime struct{ Offset, Duration time.Duration }

func (c *toolCall) report(name string, took time.Duration, span trace.Span) CallReport {
	return CallReport{
		Operation: name, Tenant: c.in.principal.Tenant, Session: c.session, Request: c.in.client.RequestID, Span: span.SpanContext(),
		Sampled: span.IsRecording(), Started: c.in.client.Started, Took: took, Err: c.err, Detached: c.detached, call: c,
	}
}

// phase is a part of a call that is measured, and a span where the call has one.
type phase uint8

const (
	phasePolicy  phase = iota // what is forbidden
	phaseBudget               // what it is charged
	phaseSession              // finding or opening its session
	phaseWait                 // for a turn
	phaseTool                 // computing
	phaseAudit                // its record
)

var phaseNames = [...]string{"policy", "budget", "session", "admission", "tool", "audit"}

// trail is what a call's time went to, always measured: a slow call must not have
// been sampled to be understood. It belongs to one goroutine at a time.
type trail struct {
	n     int
	marks [4]mark
}

// mark is one phase; times are since epoch.
type mark struct {
	phase    phase
	from, to time.Duration
}

// epoch makes times cheap: one reading of the monotonic clock.
var epoch = time.Now()

// step is a phase that has begun.
type step struct {
	tr   *trail
	i    int
	span trace.Span // nil unless the call's spans are kept
}

// begin begins a phase. It costs one reading of the clock, and a span if those of
// the call are kept.
func (o *observer) begin(ctx context.Context, tr *trail, p phase) (context.Context, step) {
	st := step{tr: tr, i: tr.n}
	if trace.SpanFromContext(ctx).IsRecording() {
		ctx, st.span = o.tracer.Start(ctx, phaseNames[p])
	}
	if tr.n < len(tr.marks) {
		tr.marks[tr.n] = mark{phase: p, from: time.Since(epoch)}
		tr.n++
	}
	return ctx, st
}

// end ends it.
func (s step) end(err error) {
	if s.i < len(s.tr.marks) {
		s.tr.marks[s.i].to = time.Since(epoch)
	}
	if s.span == nil {
		return
	}
	if err != nil {
		_, code := failureOf(err)
		s.span.SetAttributes(attribute.String("error.type", code))
		if serverFault(err) {
			s.span.SetStatus(codes.Error, code)
		}
	}
	s.span.End()
}

// phases yields what is known of the call's phases: those of its task only when
// that is through.
func (c *toolCall) phases() iter.Seq2[string, PhaseTime] {
	return func(yield func(string, PhaseTime) bool) {
		start := c.in.client.Started.Sub(epoch)
		trails := []*trail{&c.trail, nil}
		if c.through {
			trails[1] = &c.task.trail
		}
		for _, tr := range trails {
			if tr == nil {
				continue
			}
			for _, m := range tr.marks[:tr.n] {
				if m.to != 0 && !yield(phaseNames[m.phase], PhaseTime{m.from - start, m.to - m.from}) {
					return
				}
			}
		}
	}
}

// within returns the context in which the task computes: below the span of its
// request. A job of an earlier process begins a trace, with a link to its request.
func (o *observer) within(ctx context.Context, t *task) (context.Context, func(error)) {
	if t.parent != nil {
		if t.parent.SpanContext().IsValid() {
			ctx = trace.ContextWithSpan(ctx, t.parent)
		}
		return ctx, func(error) {}
	}
	opts := []trace.SpanStartOption{trace.WithAttributes(
		attribute.String("lyceum.operation", t.spec.Name), attribute.String("lyceum.request.id", t.asked.Request),
	)}
	if sc := t.asked.span(); sc.IsValid() {
		opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
	}
	ctx, span := o.tracer.Start(ctx, "job "+t.spec.Name, opts...)
	return ctx, func(err error) {
		if err != nil && serverFault(err) && !errors.Is(err, job.ErrCheckpointed) {
			_, code := failureOf(err)
			span.SetStatus(codes.Error, code)
		}
		span.End()
	}
}

// span is the request's, as far as it was stored.
func (a storedAsk) span() trace.SpanContext {
	traceID, err := trace.TraceIDFromHex(a.Trace)
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(a.Span)
	if err != nil {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, Remote: true})
}

// storedAsk is what a later process is to know of the request.
func (t *task) storedAsk() storedAsk {
	a := t.asked
	if t.parent != nil && t.parent.SpanContext().IsValid() {
		a.Span = t.parent.SpanContext().SpanID().String()
	}
	return a
}
