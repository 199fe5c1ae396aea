package telemetry

import (
	"context"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// remote is the context of a request with the given traceparent header.
func remote(t *testing.T, traceparent string) context.Context {
	t.Helper()
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": traceparent, "tracestate": "vendor=1"})
	if sc := trace.SpanContextFromContext(ctx); !sc.IsRemote() || !sc.IsValid() {
		t.Fatalf("traceparent %q was not read", traceparent)
	}
	return ctx
}

// share starts n spans under parent with ratio and returns how many were kept.
func share(parent context.Context, ratio float64, n int) (kept int) {
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler{ratio})).Tracer("test")
	for range n {
		_, span := tracer.Start(parent, "request")
		if span.SpanContext().IsSampled() {
			kept++
		}
		span.End()
	}
	return kept
}

// TestSamplerCannotBeForced plays callers who set the sampled flag, clear it,
// or choose trace ids at both ends of the range that a ratio over trace ids
// would look at.
func TestSamplerCannotBeForced(t *testing.T) {
	const n = 10_000
	for _, traceparent := range []string{
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
		"00-00000000000000010000000000000001-00f067aa0ba902b7-01",
		"00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01",
	} {
		ctx := remote(t, traceparent)
		if kept := share(ctx, 0, n); kept != 0 {
			t.Errorf("%s: ratio 0 kept %d of %d", traceparent, kept, n)
		}
		if kept := share(ctx, 1, n); kept != n {
			t.Errorf("%s: ratio 1 kept %d of %d", traceparent, kept, n)
		}
		// The standard deviation is 30: a fair sampler leaves these bounds once in 10^23 runs.
		if kept := share(ctx, 0.1, n); kept < 700 || kept > 1300 {
			t.Errorf("%s: ratio 0.1 kept %d of %d", traceparent, kept, n)
		}
	}
}

// TestSamplerKeepsTracesWhole: a child follows its local parent whatever the
// ratio, and joins the caller's trace.
func TestSamplerKeepsTracesWhole(t *testing.T) {
	ctx := remote(t, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	for _, ratio := range []float64{0, 1} {
		root := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler{ratio})).Tracer("test")
		ctx, span := root.Start(ctx, "request")
		other := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler{1 - ratio})).Tracer("test")
		_, child := other.Start(ctx, "tool")
		if got, want := child.SpanContext().IsSampled(), ratio == 1; got != want {
			t.Errorf("root kept %v, child kept %v", want, got)
		}
		if got := child.SpanContext().TraceID().String(); got != "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Errorf("the child is in trace %s", got)
		}
		if got := child.SpanContext().TraceState().Get("vendor"); got != "1" {
			t.Errorf("tracestate of the child has vendor %q", got)
		}
		child.End()
		span.End()
	}
}

func TestSamplerDescription(t *testing.T) {
	if got := (sampler{0.01}).Description(); got != "LocalRatio{0.01}" {
		t.Errorf("description %q", got)
	}
}

func BenchmarkSampler(b *testing.B) {
	p := sdktrace.SamplingParameters{ParentContext: context.Background()}
	s := sampler{0.01}
	b.ReportAllocs()
	for b.Loop() {
		s.ShouldSample(p)
	}
}
