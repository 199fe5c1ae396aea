package mcpserve

import (
	"context"
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
)

const scopeName = "github.com/lyceum-mcp/lyceum/internal/mcpserve"

// observer makes the spans and metrics of the MCP side. Names and buckets are
// those of the MCP conventions; ours begin with "lyceum.". Label values come
// from our own registry, never from a client.
type observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	wait     metric.Float64Histogram

	lanes map[work.Lane]metric.MeasurementOption
	known map[string]string // method → span name
	calls map[outcome]metric.MeasurementOption
	plain map[string]metric.MeasurementOption // by method
}

type outcome struct {
	target  string
	isError bool
}

var buckets = metric.WithExplicitBucketBoundaries(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)

// methods are those whose names may become labels.
var methods = []string{
	"initialize", "ping", "logging/setLevel", "server/discover", "subscriptions/listen", "tools/list", "tools/call",
	"resources/list", "resources/templates/list", "resources/read", "prompts/list", "prompts/get", "completion/complete",
}

const otherMethod = "_OTHER"

func newObserver(tp trace.TracerProvider, mp metric.MeterProvider, s *Server) (*observer, error) {
	o := &observer{
		tracer: tp.Tracer(scopeName), lanes: map[work.Lane]metric.MeasurementOption{}, known: map[string]string{},
		calls: map[outcome]metric.MeasurementOption{}, plain: map[string]metric.MeasurementOption{},
	}
	meter := mp.Meter(scopeName)
	var err error
	if o.duration, err = meter.Float64Histogram("mcp.server.operation.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of an MCP request as the server sees it.")); err != nil {
		return nil, err
	}
	if o.wait, err = meter.Float64Histogram("lyceum.admission.wait", metric.WithUnit("s"), buckets,
		metric.WithDescription("Time a call waited for its turn.")); err != nil {
		return nil, err
	}
	for _, l := range []work.Lane{work.Interactive, work.Batch, work.Admin} {
		o.lanes[l] = metric.WithAttributeSet(attribute.NewSet(attribute.String("lane", l.String())))
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
	gauge := func(name, text string, read func() int) error {
		_, err := meter.Int64ObservableGauge(name, metric.WithDescription(text), metric.WithInt64Callback(func(_ context.Context, ob metric.Int64Observer) error {
			ob.Observe(int64(read()))
			return nil
		}))
		return err
	}
	for _, g := range []struct {
		name, text string
		read       func() int
	}{
		{"lyceum.calls.in_flight", "Tool calls that run or wait.", func() int { return s.calls.len() }},
		{"lyceum.streams.open", "Standing event streams.", func() int { return s.streams.len() }},
		{"lyceum.sessions", "Live reasoning sessions.", func() int { return s.Sessions.Stats().Sessions }},
		{"lyceum.sessions.transport", "Live transport sessions.", func() int { return s.Transports.Stats().Sessions }},
		{"lyceum.queue.depth", "Calls waiting for a turn.", func() int { return s.Scheduler.Stats().Queued }},
		{"lyceum.calls.overrun", "Calls whose tool ignores its deadline and still computes.", func() int { return int(s.overrunning.Load()) }},
		{"lyceum.jobs.running", "Calls and jobs that have a goroutine.", func() int { return s.Jobs.Stats().Running }},
		{"lyceum.jobs.queued", "Jobs that wait for a place, or for the next process.", func() int { return s.Jobs.Stats().Queued }},
		{"lyceum.jobs.retained", "Finished jobs that are kept.", func() int { return s.Jobs.Stats().Retained }},
		{"lyceum.work.running", "Calls holding a turn.", func() int { return s.Scheduler.Stats().Running }},
	} {
		if err := gauge(g.name, g.text, g.read); err != nil {
			return nil, err
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
		span.SetAttributes(attribute.String("mcp.method.name", method), attribute.String("mcp.protocol.version", c.Revision),
			attribute.String("network.transport", transportName(c.Transport)))
		if target != "" {
			span.SetAttributes(attribute.String("gen_ai.tool.name", target), attribute.String("gen_ai.operation.name", "execute_tool"))
		}
		if m.id != nil {
			span.SetAttributes(attribute.String("jsonrpc.request.id", string(m.id)))
		}
	}
	return ctx, func() {
		o.over(ctx, method, begin)
		span.End()
	}
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
	name := c.m.name
	if c.spec != nil {
		name = c.spec.Name
	}
	if set, ok := o.calls[outcome{name, c.isError}]; ok {
		o.duration.Record(ctx, time.Since(c.in.client.Started).Seconds(), set)
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("lyceum.operation", name))
	if c.session != "" {
		span.SetAttributes(attribute.String("lyceum.session.ref", c.session.Ref()))
	}
	if c.isError {
		span.SetAttributes(attribute.String("error.type", "tool_error"))
		if fault.KindOf(c.err) == fault.Internal {
			span.SetStatus(codes.Error, "internal")
		}
	}
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

// waited records how long a call waited for its turn.
func (o *observer) waited(ctx context.Context, lane work.Lane, d time.Duration) {
	if set, ok := o.lanes[lane]; ok {
		o.wait.Record(ctx, d.Seconds(), set)
	}
}
