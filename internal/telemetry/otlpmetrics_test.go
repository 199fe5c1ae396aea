package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// TestMetricsAreExported reads what we send with the standard's own types, which
// refuse what is not in the standard. Only ids are not in protobuf's spelling.
func TestMetricsAreExported(t *testing.T) {
	bodies := make(chan []byte, 1)
	c := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/v1/metrics" || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("X-Key") != "a b" {
			t.Errorf("%s %s with %v", r.Method, r.URL.Path, r.Header)
		}
		bodies <- body
	}))
	defer c.Close()
	tel, err := Start(t.Context(), Config{
		Metrics: true, Service: "lyceum",
		Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, "OTEL_EXPORTER_OTLP_HEADERS": "x-key=a%20b", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "2000"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := tel.MeterProvider().Meter("test")
	calls, _ := m.Int64Counter("lyceum.calls", metric.WithUnit("{call}"))
	calls.Add(t.Context(), 1<<60, metric.WithAttributes(attribute.String("tenant", "acme"), attribute.Bool("b", true), attribute.Int("i", -3), attribute.Float64("f", .5)))
	wait, _ := m.Float64Histogram("lyceum.wait", metric.WithUnit("s"))
	wait.Record(t.Context(), 0.3)
	depth, _ := m.Int64Gauge("lyceum.depth")
	depth.Record(t.Context(), -4)
	if err := tel.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	var got colmetrics.ExportMetricsServiceRequest
	if err := protojson.Unmarshal(<-bodies, &got); err != nil {
		t.Fatal(err)
	}
	found := map[string]*metricspb.Metric{}
	for _, m := range got.ResourceMetrics[0].ScopeMetrics[0].Metrics {
		found[m.Name] = m
	}
	sum := found["lyceum.calls"].GetSum()
	if sum.GetDataPoints()[0].GetAsInt() != 1<<60 || !sum.IsMonotonic || len(sum.DataPoints[0].Attributes) != 4 || found["lyceum.calls"].Unit != "{call}" {
		t.Errorf("counter: %v", sum)
	}
	h := found["lyceum.wait"].GetHistogram().GetDataPoints()[0]
	if h.Count != 1 || h.GetSum() != 0.3 || len(h.BucketCounts) != len(h.ExplicitBounds)+1 {
		t.Errorf("histogram: %v", h)
	}
	if n := found["lyceum.depth"].GetGauge().GetDataPoints()[0].GetAsInt(); n != -4 {
		t.Errorf("gauge: %d", n)
	}
	if !strings.Contains(got.ResourceMetrics[0].Resource.String(), "service.name") {
		t.Error("the resource lacks its name")
	}
}

func TestMetricsExporterComplains(t *testing.T) {
	var status atomic.Int32
	c := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, "no room")
	}))
	defer c.Close()
	tel, err := Start(t.Context(), Config{Metrics: true, Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": c.URL})})
	if err != nil {
		t.Fatal(err)
	}
	status.Store(http.StatusTooManyRequests)
	if err := tel.Shutdown(context.Background()); err == nil || !strings.Contains(err.Error(), "429") || !strings.Contains(err.Error(), "no room") {
		t.Errorf("%v, want the collector's answer", err)
	}
	for name, value := range map[string]string{"OTEL_EXPORTER_OTLP_TIMEOUT": "soon", "OTEL_EXPORTER_OTLP_HEADERS": "k=%zz"} {
		_, err := newMetricsExporter(variables(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL, name: value}))
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}
