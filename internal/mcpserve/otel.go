package mcpserve

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

const scopeName = "github.com/lyceum-mcp/lyceum/internal/mcpserve"

// observer makes the spans and metrics of the MCP side. Names and buckets are
// those of the MCP conventions; ours begin with "lyceum.". Label values come
// from our own registry, never from a client.
type observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	wait     metric.Float64Histogram
	watch    Watcher // nil if nobody listens

	waits map[waitEnd]metric.MeasurementOption
	known map[string]string // method → span name
	calls map[outcome]metric.MeasurementOption
	plain map[string]metric.MeasurementOption // by method
}

type outcome struct {
	target  string
	isError bool
}

// waitEnd is how waiting for a turn ended, and where.
type waitEnd struct {
	lane work.Lane
	end  string
}

// Ends of waiting for a turn.
const (
	waitAdmitted = "admitted"
	waitRefused  = "refused"  // the queue was full, or the wait too long
	waitCanceled = "canceled" // who waited went away
)

// waitBuckets are finer at the short end: a turn is a millisecond.
var waitBuckets = metric.WithExplicitBucketBoundaries(0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)

var buckets = metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

// methods are those whose names may become labels.
var methods = []string{
	"initialize", "ping", "logging/setLevel", "server/discover", "subscriptions/listen", "tools/list", "tools/call",
	"resources/list", "resources/templates/list", "resources/read", "prompts/list", "prompts/get", "completion/complete",
	"resources/subscribe", "resources/unsubscribe", "tasks/get", "tasks/update", "tasks/cancel",
}

const otherMethod = "_OTHER"

func newObserver(tp trace.TracerProvider, mp metric.MeterProvider, s *Server) (*observer, error) {
	o := &observer{
		tracer: tp.Tracer(scopeName), watch: s.Watch, waits: map[waitEnd]metric.MeasurementOption{}, known: map[string]string{},
		calls: map[outcome]metric.MeasurementOption{}, plain: map[string]metric.MeasurementOption{},
	}
	meter := mp.Meter(scopeName)
	var err error
	if o.duration, err = meter.Float64Histogram("mcp.server.operation.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of an MCP request as the server sees it.")); err != nil {
		return nil, err
	}
	if o.wait, err = meter.Float64Histogram("lyceum.admission.wait", metric.WithUnit("s"), waitBuckets,
		metric.WithDescription("Time a call waited for its turn.")); err != nil {
		return nil, err
	}
	for _, l := range []work.Lane{work.Interactive, work.Batch, work.Admin} {
		for _, end := range []string{waitAdmitted, waitRefused, waitCanceled} {
			o.waits[waitEnd{l, end}] = metric.WithAttributeSet(attribute.NewSet(attribute.String("lane", l.String()), attribute.String("outcome", end)))
		}
	}
	for _, m := range append(methods, otherMethod) {
		o.known[m] = m
		o.plain[m] = metric.WithAttributeSet(attribute.NewSet(attribute.String("mcp.method.name", m)))
	}
	names := append(s.Registry.Names(), "describe", "clear_thought", "session_create", "session_list", "session_delete", "job_result", "job_cancel", "job_list")
	for _, t := range s.Extra {
		names = append(names, t.Spec().Name)
	}
	for _, n := range names {
		for _, bad := range []bool{false, true} {
			set := []attribute.KeyValue{
				attribute.String("mcp.method.name", "tools/call"), attribute.String("gen_ai.tool.name", n),
				attribute.String("gen_ai.operation.name", "execute_tool"),
			}
			if bad {
				set = append(set, attribute.String("error.type", "tool_error"))
			}
			o.calls[outcome{n, bad}] = metric.WithAttributeSet(attribute.NewSet(set...))
		}
	}
	return o, nil
}

// start begins the span of a message. Its parent is the context in _meta, where
// the client gave one, and the HTTP span is then a link.
func (o *observer) start(ctx context.Context, c *client.Context, m *message, target string) (context.Context, func()) {
	method := o.known[m.method]
	if method == "" {
		method = otherMethod
	}
	c.Method = method
	name := method
	if target != "" {
		name += " " + target
	}
	begin := time.Now()
	if m.meta.traceparent == "" && !trace.SpanFromContext(ctx).IsRecording() {
		// The HTTP span is not kept, so its child would not be either.
		return ctx, func() { o.over(ctx, method, begin) }
	}
	opts := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindServer)}
	if m.meta.traceparent != "" {
		here := trace.SpanContextFromContext(ctx)
		carrier := propagation.MapCarrier{"traceparent": m.meta.traceparent, "tracestate": m.meta.tracestate}
		remote := propagation.TraceContext{}.Extract(ctx, carrier)
		if trace.SpanContextFromContext(remote).IsRemote() {
			ctx = remote
			if here.IsValid() {
				opts = append(opts, trace.WithLinks(trace.Link{SpanContext: here}))
			}
		}
	}
	ctx, span := o.tracer.Start(ctx, name, opts...)
	if span.IsRecording() {
		span.SetAttributes(described(c, m, method, target)...)
	}
	return ctx, func() {
		o.over(ctx, method, begin)
		span.End()
	}
}

// described are the attributes of a message's span.
func described(c *client.Context, m *message, method, target string) []attribute.KeyValue {
	all := []attribute.KeyValue{
		attribute.String("mcp.method.name", method), attribute.String("mcp.protocol.version", c.Revision),
		attribute.String("network.transport", transportName(c.Transport)), attribute.String("lyceum.request.id", c.RequestID),
	}
	if c.Transport == client.HTTP {
		all = append(all, attribute.String("network.protocol.name", "http"), attribute.String("client.address", c.Remote))
	}
	if target != "" {
		all = append(all, attribute.String("gen_ai.tool.name", target), attribute.String("gen_ai.operation.name", "execute_tool"))
	}
	if m.id != nil {
		all = append(all, attribute.String("jsonrpc.request.id", printable(string(m.id))))
	}
	if method == "subscriptions/listen" {
		all = append(all, attribute.Bool("lyceum.standing", true)) // its length is the client's affair
	}
	return all
}

// over records a message that is not a tool call; those have labels of their own.
func (o *observer) over(ctx context.Context, method string, begin time.Time) {
	if method != "tools/call" {
		o.duration.Record(ctx, time.Since(begin).Seconds(), o.plain[method])
	}
}

func transportName(t client.Transport) string {
	if t == client.Stdio {
		return "pipe"
	}
	return "tcp"
}

// finished records a tool call that ran.
func (o *observer) finished(ctx context.Context, c *toolCall) {
	name, took := c.operation(), time.Since(c.in.client.Started)
	if set, ok := o.calls[outcome{name, c.isError}]; ok {
		o.duration.Record(ctx, took.Seconds(), set)
	}
	span := trace.SpanFromContext(ctx)
	if o.watch != nil {
		o.watch.Called(c.report(name, took, span))
	}
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("lyceum.operation", name))
	if c.session != "" {
		span.SetAttributes(attribute.String("lyceum.session.ref", c.session.Ref()))
	}
	for phase, part := range c.phases() {
		span.SetAttributes(attribute.Float64("lyceum.phase."+phase, part.Duration.Seconds()))
	}
	if c.isError {
		_, code := failureOf(c.err)
		span.SetAttributes(attribute.String("error.type", "tool_error"), attribute.String("lyceum.error.code", code))
		if serverFault(c.err) {
			span.SetStatus(codes.Error, code)
		}
	}
}

// serverFault reports whether an error is one of the server rather than of what
// it was asked.
func serverFault(err error) bool {
	switch kind, _ := failureOf(err); kind {
	case fault.Internal, fault.Unavailable, fault.Timeout:
		return true
	}
	return false
}

// failureOf returns the kind of a failure and the word of ours for it.
func failureOf(err error) (fault.Kind, string) {
	if bad, ok := errors.AsType[*tools.BadArguments](err); ok {
		return fault.Invalid, cmp.Or(bad.Code, "invalid_arguments")
	}
	e := fault.From(err)
	return e.Kind, e.MachineCode()
}

// failed records an error of the protocol.
func (o *observer) failed(ctx context.Context, code int) {
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		span.SetAttributes(attribute.String("error.type", strconv.Itoa(code)), attribute.Int("rpc.response.status_code", code))
		if code == codeInternal {
			span.SetStatus(codes.Error, "internal")
		}
	}
}

// waited records how long a call waited for its turn, and with what end.
func (o *observer) waited(ctx context.Context, lane work.Lane, d time.Duration, err error) {
	end := waitAdmitted
	switch {
	case err == nil:
	case refused(err):
		end = waitRefused
	default:
		end = waitCanceled
	}
	if set, ok := o.waits[waitEnd{lane, end}]; ok {
		o.wait.Record(ctx, d.Seconds(), set)
	}
}

// Draining reports whether the server stops and takes no new calls.
func (s *Server) Draining() bool { return s.draining.Load() }
