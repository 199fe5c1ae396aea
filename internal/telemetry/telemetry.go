// Package telemetry starts and stops what observes the server: traces, metrics
// and the identifiers on log records.
//
// It is the only package that knows the OpenTelemetry SDK and the Prometheus
// client. Everybody else measures through the OpenTelemetry API, with the
// providers that Start returns. A client cannot steer any of it: trace context
// that comes over the network links spans, but whether they are kept is decided
// here (see sampler).
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelprom "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"go.opentelemetry.io/otel/trace"
)

// Bounds of what one span or scrape may cost.
const (
	maxAttributeLength = 1 << 10 // bytes of one span attribute's text
	maxScrapes         = 4       // concurrent readers of the metrics page
)

// Config says what to observe. The zero value traces nothing and measures
// nothing, but still gives every span an identity for the logs.
type Config struct {
	// SampleRatio is the share of traces that are kept and exported, 0 to 1.
	// Without an exporter and without Spans none are kept.
	SampleRatio float64

	// Spans, which may be nil, is given every span that is kept.
	Spans *Spans

	// Metrics turns on the meters and the Prometheus page.
	Metrics bool

	// Service and Version name the process in what is exported. The standard
	// variables OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES override them.
	Service string
	Version string

	// Env looks up an environment variable; nil means that none is set. Traces
	// are exported over OTLP/HTTP when OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or
	// OTEL_EXPORTER_OTLP_ENDPOINT is set; the exporter reads the other standard
	// variables (headers, timeout, certificate, compression) by itself. Metrics
	// are exported too, see newMetricsExporter.
	Env func(string) (string, bool)
}

// Telemetry is what Start started. It is safe for concurrent use.
type Telemetry struct {
	traces  *sdktrace.TracerProvider
	meters  metric.MeterProvider
	stop    func(context.Context) error // of the meters
	metrics http.Handler

	once sync.Once
	err  error // of Shutdown; written inside once
}

// Start builds the providers. Exporting begins in the background; a collector
// that cannot be reached loses spans and costs no request anything. ctx bounds
// the start only. The caller must call Shutdown.
func Start(ctx context.Context, cfg Config) (*Telemetry, error) {
	if !(cfg.SampleRatio >= 0 && cfg.SampleRatio <= 1) { // NaN fails too
		return nil, fmt.Errorf("start telemetry: the sample ratio is %v, want 0 to 1", cfg.SampleRatio)
	}
	described, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(semconv.ServiceName(cfg.Service), semconv.ServiceVersion(cfg.Version)),
		resource.WithFromEnv(),
	)
	if err != nil {
		return nil, fmt.Errorf("start telemetry: describe the process: %w", err)
	}
	t := &Telemetry{}
	if err := t.startMetrics(cfg, described); err != nil {
		return nil, fmt.Errorf("start telemetry: %w", err)
	}
	if err := t.startTraces(ctx, cfg, described); err != nil {
		return nil, errors.Join(fmt.Errorf("start telemetry: %w", err), t.stop(ctx))
	}
	return t, nil
}

// startMetrics builds the meters and the page, with the Go runtime's own
// measurements, on a registry of their own.
func (t *Telemetry) startMetrics(cfg Config, described *resource.Resource) error {
	if !cfg.Metrics {
		t.meters = metricnoop.NewMeterProvider()
		t.stop = func(context.Context) error { return nil }
		t.metrics = http.NotFoundHandler()
		return nil
	}
	registry := prometheus.NewRegistry()
	exporter, err := otelprom.New(otelprom.WithRegisterer(registry), otelprom.WithoutScopeInfo())
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(collectors.MetricsScheduler)),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("export runtime metrics: %w", err)
		}
	}
	opts := []sdkmetric.Option{sdkmetric.WithResource(described), sdkmetric.WithReader(exporter), sdkmetric.WithView(seconds())}
	push, err := newMetricsExporter(cfg.Env)
	if err != nil {
		return err
	}
	if push != nil {
		opts = append(opts, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(push)))
	}
	provider := sdkmetric.NewMeterProvider(opts...)
	t.meters, t.stop = provider, provider.Shutdown
	t.metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		EnableOpenMetrics:   true,
		MaxRequestsInFlight: maxScrapes,
	})
	return nil
}

// seconds gives every histogram in seconds bounds from half a millisecond to
// five minutes. They contain those of the MCP conventions of OpenTelemetry; the
// SDK's own default suits milliseconds. Lives of sessions are longer: their
// bounds, up to a week, begin with those of the conventions.
func seconds() sdkmetric.View {
	bounds := []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60, 120, 300}
	lives := append(slices.Clone(bounds[4:]), 600, 1800, 3600, 4*3600, 12*3600, 24*3600, 7*24*3600)
	return func(i sdkmetric.Instrument) (sdkmetric.Stream, bool) {
		if i.Kind != sdkmetric.InstrumentKindHistogram || i.Unit != "s" {
			return sdkmetric.Stream{}, false
		}
		use := bounds
		if strings.HasSuffix(i.Name, ".session.duration") {
			use = lives
		}
		return sdkmetric.Stream{
			Name: i.Name, Description: i.Description, Unit: i.Unit,
			Aggregation: sdkmetric.AggregationExplicitBucketHistogram{Boundaries: use},
		}, true
	}
}

// startTraces builds the tracers, and the exporter if there is somewhere to
// export to.
func (t *Telemetry) startTraces(ctx context.Context, cfg Config, described *resource.Resource) error {
	limits := sdktrace.NewSpanLimits()
	limits.AttributeValueLengthLimit = maxAttributeLength
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(described),
		sdktrace.WithRawSpanLimits(limits),
	}
	endpoint, err := otlpEndpoint(cfg.Env, "traces")
	if err != nil {
		return err
	}
	ratio := cfg.SampleRatio
	if endpoint == "" && cfg.Spans == nil {
		ratio = 0
	}
	opts = append(opts, sdktrace.WithSampler(sampler{ratio: ratio}))
	if cfg.Spans != nil {
		opts = append(opts, sdktrace.WithSpanProcessor(spanKeeper{cfg.Spans}))
	}
	if endpoint != "" {
		exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
		if err != nil {
			return fmt.Errorf("export traces: %w", err)
		}
		opts = append(opts, sdktrace.WithBatcher(exporter))
	}
	t.traces = sdktrace.NewTracerProvider(opts...)
	return nil
}

// otlpEndpoint returns the URL that a signal, traces or metrics, goes to by the
// standard variables, empty if they name none. The general one is a base; the one
// of the signal is used as it is.
func otlpEndpoint(env func(string) (string, bool), signal string) (string, error) {
	if env == nil {
		return "", nil
	}
	name := "OTEL_EXPORTER_OTLP_" + strings.ToUpper(signal) + "_ENDPOINT"
	text, _ := env(name)
	if text == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
		if text, _ = env(name); text == "" {
			return "", nil
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("%s is %q, want a URL such as http://collector:4318", name, text)
	}
	if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
		u.Path = strings.TrimSuffix(u.Path, "/") + "/v1/" + signal
	}
	return u.String(), nil
}

// TracerProvider gives out tracers. Their spans have identities even where they
// are not kept.
func (t *Telemetry) TracerProvider() trace.TracerProvider { return t.traces }

// MeterProvider gives out meters; without Config.Metrics they measure nothing.
func (t *Telemetry) MeterProvider() metric.MeterProvider { return t.meters }

// Propagator reads and writes W3C trace context. Baggage is not carried: it
// would let a caller attach data to everything done on its behalf.
func (t *Telemetry) Propagator() propagation.TextMapPropagator { return propagation.TraceContext{} }

// MetricsHandler serves the measurements in Prometheus' text format or as
// OpenMetrics; without Config.Metrics it answers 404.
func (t *Telemetry) MetricsHandler() http.Handler { return t.metrics }

// SetGlobal makes the providers those that the OpenTelemetry API gives out by
// default, and sends the SDK's own failures (a collector that cannot be
// reached) to log. It is for the one server of a process.
func (t *Telemetry) SetGlobal(log *slog.Logger) {
	otel.SetTracerProvider(t.TracerProvider())
	otel.SetMeterProvider(t.MeterProvider())
	otel.SetTextMapPropagator(t.Propagator())
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("telemetry could not be exported", "error", err)
	}))
}

// Shutdown exports what is left and stops everything, within ctx. Spans that
// end later are lost. A second call does nothing and returns the first result.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	t.once.Do(func() {
		t.err = errors.Join(t.traces.Shutdown(ctx), t.stop(ctx))
	})
	return t.err
}
