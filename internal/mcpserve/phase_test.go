package mcpserve

import (
	"errors"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/tools"
)

// TestPhases: what was measured is told, but not what does not belong to the call
// any more.
func TestPhases(t *testing.T) {
	o := &observer{tracer: noop.NewTracerProvider().Tracer("")}
	c := &toolCall{in: &incoming{client: &client.Context{Started: time.Now()}}, task: &task{}}
	told := func() (n int) {
		for name, p := range c.phases() {
			if n++; name == "" || p.Offset < 0 || p.Duration < 0 {
				t.Errorf("%q %+v", name, p)
			}
		}
		return n
	}
	_, open := o.begin(t.Context(), &c.trail, phasePolicy)
	if told() != 0 {
		t.Error("a phase that is not over was told")
	}
	open.end(nil)
	_, computing := o.begin(t.Context(), &c.task.trail, phaseTool)
	computing.end(errors.New("it failed"))
	if told() != 1 {
		t.Error("a phase of the task was told while that may run")
	}
	c.through = true
	if told() != 2 {
		t.Error("the task's phase is missing")
	}
	for range 2 * len(c.trail.marks) { // more than there is room for
		_, s := o.begin(t.Context(), &c.trail, phaseAudit)
		s.end(nil)
	}
	if told() != len(c.trail.marks)+1 {
		t.Errorf("%d phases, want %d", told(), len(c.trail.marks)+1)
	}
}

func TestWhoseFault(t *testing.T) {
	for _, tt := range []struct {
		err    error
		server bool
		code   string
	}{
		{errors.New("disk"), true, "internal"},
		{&fault.Error{Kind: fault.Unavailable, Code: "store_down"}, true, "store_down"},
		{&fault.Error{Kind: fault.Timeout}, true, "timeout"},
		{&fault.Error{Kind: fault.NotFound}, false, "not_found"},
		{&tools.BadArguments{}, false, "invalid_arguments"},
	} {
		if _, code := failureOf(tt.err); code != tt.code || serverFault(tt.err) != tt.server {
			t.Errorf("%v: %s, server %v; want %s, %v", tt.err, code, serverFault(tt.err), tt.code, tt.server)
		}
	}
}

// TestStoredSpan: what a job keeps of its request leads back to it.
func TestStoredSpan(t *testing.T) {
	want := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	tk := &task{asked: storedAsk{Trace: want.TraceID().String()}, parent: trace.SpanFromContext(trace.ContextWithSpanContext(t.Context(), want))}
	got := tk.storedAsk().span()
	if got.TraceID() != want.TraceID() || got.SpanID() != want.SpanID() || !got.IsRemote() {
		t.Errorf("%v, want %v", got, want)
	}
	for _, bad := range []storedAsk{{}, {Trace: "x"}, {Trace: want.TraceID().String(), Span: "x"}} {
		if bad.span().IsValid() {
			t.Errorf("%+v leads to %v", bad, bad.span())
		}
	}
}

// TestJobOfAnEarlierProcess begins a trace, which links to the request.
func TestJobOfAnEarlierProcess(t *testing.T) {
	rec := tracetest.NewSpanRecorder()
	o := &observer{tracer: sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(rec)).Tracer("")}
	tk := &task{spec: &tools.Spec{Name: "mcts"}, asked: storedAsk{Request: "r-1", Trace: trace.TraceID{1}.String(), Span: trace.SpanID{2}.String()}}
	ctx, over := o.within(t.Context(), tk)
	_, computing := o.begin(ctx, &tk.trail, phaseTool)
	computing.end(nil)
	over(errors.New("it failed"))
	spans := rec.Ended()
	if len(spans) != 2 || spans[1].Name() != "job mcts" || spans[0].Parent().SpanID() != spans[1].SpanContext().SpanID() || spans[1].Status().Code != codes.Error {
		t.Fatalf("%v, want tool in a failed job mcts", spans)
	}
	if l := spans[1].Links(); len(l) != 1 || l[0].SpanContext.SpanID() != (trace.SpanID{2}) || spans[1].Parent().IsValid() {
		t.Errorf("links %v, parent %v", l, spans[1].Parent())
	}
}

// BenchmarkPhase is what one phase costs a call whose spans are not kept.
func BenchmarkPhase(b *testing.B) {
	o := &observer{tracer: noop.NewTracerProvider().Tracer("")}
	ctx := trace.ContextWithSpan(b.Context(), noop.Span{})
	tr := new(trail) // as a part of the call
	b.ReportAllocs()
	for b.Loop() {
		tr.n = 0
		_, s := o.begin(ctx, tr, phasePolicy)
		s.end(nil)
	}
}
