package mcpserve

import (
	"maps"
	"slices"
	"testing"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
)

// Every method that the server serves is counted under its name, in every revision;
// what it does not serve is one value for all.
func TestDutyEveryMethodIsCounted(t *testing.T) {
	served := map[string]bool{}
	for _, rev := range supported {
		w := askingWorld(t)
		reader := sdkmetric.NewManualReader()
		var err error
		if w.server.obs, err = newObserver(tracenoop.NewTracerProvider(), sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)), w.server); err != nil {
			t.Fatal(err)
		}
		want := map[string]uint64{}
		for _, s := range walkEverything(t, w, rev) {
			var code int
			if len(s.messages()) > 0 {
				code = s.code(t)
			}
			switch {
			case code == codeHeader || code == codeInvalidParams && rev == rev2026 && s.what == `tools/list {"_meta":{"`+metaLogLevel+`":"loud"}}`:
				// refused before it is a request for anything
			case s.method == "tools/call": // counted by tool
			case code == codeNoMethod && !slices.Contains(methods, s.method):
				want[otherMethod]++
			default:
				want[s.method]++
			}
			if code != codeNoMethod {
				served[s.method] = true
			}
		}
		got := map[string]uint64{}
		for name, n := range countedMethods(t, reader) {
			if name != "tools/call" {
				got[name] += n
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s: counted %v, want %v", rev, got, want)
		}
	}
	for name := range served {
		if !slices.Contains(methods, name) {
			t.Errorf("%s is served and counted as %s", name, otherMethod)
		}
	}
}

// countedMethods returns how many operations of each method were timed.
func countedMethods(t *testing.T, reader *sdkmetric.ManualReader) map[string]uint64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	out := map[string]uint64{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			h, ok := m.Data.(metricdata.Histogram[float64])
			if !ok || m.Name != "mcp.server.operation.duration" {
				continue
			}
			for _, p := range h.DataPoints {
				if v, ok := p.Attributes.Value("mcp.method.name"); ok {
					out[v.AsString()] += p.Count
				}
			}
		}
	}
	return out
}
