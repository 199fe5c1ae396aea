package telemetry

import (
	"math/rand/v2"
	"strconv"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// sampler keeps a share of the traces that begin in this process; every span
// below one of ours follows it, so that a trace is kept whole.
//
// A span whose parent came over the network begins a trace of ours: the
// parent's sampled flag is the caller's wish and counts for nothing. Nor does
// the trace id decide, as in the SDK's TraceIDRatioBased: the caller chooses
// it too, and one that is kept once could be sent with every request. If such a
// span links to one of this process, which is its request's, it follows that: a
// request is kept whole although its parts are in two traces.
type sampler struct{ ratio float64 }

// ShouldSample decides for one span, in tens of nanoseconds.
func (s sampler) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	parent := trace.SpanContextFromContext(p.ParentContext)
	keep := parent.IsSampled()
	if !parent.IsValid() || parent.IsRemote() {
		keep = s.begins(p.Links)
	}
	result := sdktrace.SamplingResult{Decision: sdktrace.Drop, Tracestate: parent.TraceState()}
	if keep {
		result.Decision = sdktrace.RecordAndSample
	}
	return result
}

// begins decides for the first span of a trace in this process.
func (s sampler) begins(links []trace.Link) bool {
	for _, l := range links {
		if l.SpanContext.IsValid() && !l.SpanContext.IsRemote() {
			return l.SpanContext.IsSampled()
		}
	}
	return s.ratio > 0 && rand.Float64() < s.ratio
}

// Description names the sampler in the SDK's own messages.
func (s sampler) Description() string {
	return "LocalRatio{" + strconv.FormatFloat(s.ratio, 'g', -1, 64) + "}"
}
