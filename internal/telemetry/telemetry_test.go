package telemetry

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs telemetry for one test.
func start(t *testing.T, cfg Config) *Telemetry {
	t.Helper()
	tel, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return tel
}

// variables is an environment.
func variables(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

func scrape(t *testing.T, tel *Telemetry) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	return w.Code, w.Body.String()
}

func TestMetrics(t *testing.T) {
	tel := start(t, Config{Metrics: true, Service: "lyceum", Version: "v1.2.3"})
	meter := tel.MeterProvider().Meter("test")
	calls, err := meter.Int64Counter("lyceum.calls", metric.WithDescription("calls"))
	if err != nil {
		t.Fatal(err)
	}
	calls.Add(t.Context(), 3, metric.WithAttributes(attribute.String("operation", "mcts")))
	wait, err := meter.Float64Histogram("lyceum.queue.wait", metric.WithUnit("s"))
	if err != nil {
		t.Fatal(err)
	}
	wait.Record(t.Context(), 0.0007)

	code, body := scrape(t, tel)
	if code != http.StatusOK {
		t.Fatalf("status %d", code)
	}
	for _, want := range []string{
		`lyceum_calls_total{operation="mcts"} 3`,
		`lyceum_queue_wait_seconds_bucket{le="0.0005"} 0`,
		`lyceum_queue_wait_seconds_bucket{le="0.001"} 1`,
		`lyceum_queue_wait_seconds_bucket{le="300"} 1`,
		"\ngo_goroutines ", "\ngo_sched_latencies_seconds_count ", "\nprocess_resident_memory_bytes ",
		`service_name="lyceum"`, `service_version="v1.2.3"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}

// TestTwoServers: each has its own registry, so one process can hold two.
func TestTwoServers(t *testing.T) {
	for range 2 {
		tel := start(t, Config{Metrics: true})
		if code, body := scrape(t, tel); code != http.StatusOK || !strings.Contains(body, "go_goroutines") {
			t.Errorf("status %d, body %.200q", code, body)
		}
	}
}

func TestMetricsOff(t *testing.T) {
	tel := start(t, Config{})
	counter, err := tel.MeterProvider().Meter("test").Int64Counter("calls")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	if code, _ := scrape(t, tel); code != http.StatusNotFound {
		t.Errorf("status %d, want 404", code)
	}
}

func TestStartRefuses(t *testing.T) {
	tests := []struct {
		name, want string
		cfg        Config
	}{
		{"ratio above one", "want 0 to 1", Config{SampleRatio: 1.5}},
		{"ratio below zero", "want 0 to 1", Config{SampleRatio: -0.1}},
		{"ratio not a number", "want 0 to 1", Config{SampleRatio: math.NaN()}},
		{"endpoint without scheme", `OTEL_EXPORTER_OTLP_ENDPOINT is "collector:4318"`, Config{Metrics: true, Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4318"})}},
		{"endpoint of another kind", `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT is "unix:///x"`, Config{Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "unix:///x"})}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Start(t.Context(), tt.cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestTracesEndpoint(t *testing.T) {
	tests := []struct{ general, traces, want string }{
		{"", "", ""},
		{"http://c:4318", "", "http://c:4318/v1/traces"},
		{"https://c/otlp/", "", "https://c/otlp/v1/traces"},
		{"http://c:4318", "http://d/in", "http://d/in"},
		{"", "http://d/in", "http://d/in"},
	}
	for _, tt := range tests {
		got, err := otlpEndpoint(variables(map[string]string{
			"OTEL_EXPORTER_OTLP_ENDPOINT": tt.general, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": tt.traces,
		}), "traces")
		if err != nil || got != tt.want {
			t.Errorf("general %q, traces %q: %q, %v, want %q", tt.general, tt.traces, got, err, tt.want)
		}
	}
}

// collector is an OTLP/HTTP receiver that keeps what it is sent.
type collector struct {
	*httptest.Server

	mu     sync.Mutex
	paths  []string
	bodies bytes.Buffer
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("collector: %v", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.paths = append(c.paths, r.Method+" "+r.URL.Path)
		c.bodies.Write(body)
	}))
	t.Cleanup(c.Close)
	return c
}

func TestExport(t *testing.T) {
	c := newCollector(t)
	tel, err := Start(t.Context(), Config{
		SampleRatio: 1, Service: "lyceum", Version: "v1.2.3",
		Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.URL}),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "tools/call mcts")
	span.SetAttributes(attribute.String("long", strings.Repeat("x", 3*maxAttributeLength)))
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tel.Shutdown(ctx); err != nil {
		t.Errorf("second shutdown: %v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.paths) != 1 || c.paths[0] != "POST /v1/traces" {
		t.Errorf("the collector got %v, want one POST /v1/traces", c.paths)
	}
	for _, want := range []string{"tools/call mcts", "lyceum", "v1.2.3"} {
		if !bytes.Contains(c.bodies.Bytes(), []byte(want)) {
			t.Errorf("the exported span lacks %q", want)
		}
	}
	if n := bytes.Count(c.bodies.Bytes(), []byte("x")); n > maxAttributeLength+100 {
		t.Errorf("the attribute was not cut: about %d bytes", n)
	}
}

// TestNoEndpoint: without somewhere to export to nothing is kept, whatever the
// ratio says, but spans have identities.
func TestNoEndpoint(t *testing.T) {
	tel := start(t, Config{SampleRatio: 1})
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "op")
	defer span.End()
	if sc := span.SpanContext(); !sc.IsValid() || sc.IsSampled() {
		t.Errorf("span context valid %v, sampled %v; want valid and not sampled", sc.IsValid(), sc.IsSampled())
	}
}

func TestShutdownReportsLateCollector(t *testing.T) {
	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer slow.Close()
	defer close(release)
	tel, err := Start(t.Context(), Config{SampleRatio: 1, Env: variables(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": slow.URL})})
	if err != nil {
		t.Fatal(err)
	}
	_, span := tel.TracerProvider().Tracer("test").Start(t.Context(), "op")
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begun := time.Now()
	err = tel.Shutdown(ctx)
	if err == nil {
		t.Error("the lost span was not reported")
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("shutdown took %v, its context allowed 50ms", took)
	}
	if again := tel.Shutdown(t.Context()); again == nil || again.Error() != err.Error() {
		t.Errorf("second shutdown: %v, want the first result %v", again, err)
	}
}

// TestSetGlobal is the only test that touches the API's globals; it puts
// working ones back.
func TestSetGlobal(t *testing.T) {
	t.Cleanup(func() {
		otel.SetTracerProvider(tracenoop.NewTracerProvider())
		otel.SetMeterProvider(metricnoop.NewMeterProvider())
		otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator())
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	})
	tel := start(t, Config{Metrics: true})
	var out bytes.Buffer
	tel.SetGlobal(slog.New(slog.NewTextHandler(&out, nil)))
	_, span := otel.Tracer("test").Start(t.Context(), "op")
	span.End()
	if !span.SpanContext().IsValid() {
		t.Error("the global tracer is not ours")
	}
	counter, err := otel.Meter("test").Int64Counter("global.calls")
	if err != nil {
		t.Fatal(err)
	}
	counter.Add(t.Context(), 1)
	if _, body := scrape(t, tel); !strings.Contains(body, "global_calls_total 1") {
		t.Error("the global meter is not ours")
	}
	otel.Handle(context.DeadlineExceeded)
	if !strings.Contains(out.String(), "telemetry could not be exported") || !strings.Contains(out.String(), "deadline exceeded") {
		t.Errorf("the log has %q", out.String())
	}
}
