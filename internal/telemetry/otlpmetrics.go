package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

const (
	metricsTimeout = 10 * time.Second // the standard's default of one export
	maxAnswer      = 4 << 10          // bytes of a collector's complaint
)

// metricsExporter sends metrics over OTLP/HTTP in its JSON encoding, which every
// receiver takes (OTLP specification 1.3, "OTLP/HTTP"). What a collector does not
// take is lost: the next export has the same counters.
type metricsExporter struct {
	url     string
	headers http.Header
	client  *http.Client
}

// newMetricsExporter returns an exporter if OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or
// OTEL_EXPORTER_OTLP_ENDPOINT is set, else nil. Of the other standard variables it
// knows OTEL_EXPORTER_OTLP_HEADERS and _TIMEOUT, each also with METRICS_ before its
// last part; the interval is read by the SDK (OTEL_METRIC_EXPORT_INTERVAL).
func newMetricsExporter(env func(string) (string, bool)) (*metricsExporter, error) {
	endpoint, err := otlpEndpoint(env, "metrics")
	if err != nil || endpoint == "" {
		return nil, err
	}
	get := func(name string) string {
		if v, _ := env("OTEL_EXPORTER_OTLP_METRICS_" + name); v != "" {
			return v
		}
		v, _ := env("OTEL_EXPORTER_OTLP_" + name)
		return v
	}
	e := &metricsExporter{url: endpoint, headers: http.Header{"Content-Type": {"application/json"}}}
	timeout := metricsTimeout
	if text := get("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_TIMEOUT is %q, want milliseconds", text)
		}
		timeout = time.Duration(ms) * time.Millisecond
	}
	for pair := range strings.SplitSeq(get("HEADERS"), ",") {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			continue
		}
		if value, err = url.PathUnescape(strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_HEADERS: the value of %q is not percent-encoded", strings.TrimSpace(name))
		}
		e.headers.Set(strings.TrimSpace(name), value)
	}
	e.client = &http.Client{Timeout: timeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute}}
	return e, nil
}

// Temporality implements sdkmetric.Exporter: counters count since the start.
func (*metricsExporter) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

// Aggregation implements sdkmetric.Exporter.
func (*metricsExporter) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

// ForceFlush implements sdkmetric.Exporter: nothing is kept back.
func (*metricsExporter) ForceFlush(ctx context.Context) error { return ctx.Err() }

// Shutdown implements sdkmetric.Exporter.
func (e *metricsExporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	return nil
}

// Export implements sdkmetric.Exporter.
func (e *metricsExporter) Export(ctx context.Context, rm *metricdata.ResourceMetrics) error {
	body, err := json.Marshal(otlpOf(rm))
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	req.Header = e.headers.Clone()
	resp, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if cerr := resp.Body.Close(); err == nil {
		err = cerr
	}
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("the collector answered %s: %.200q", resp.Status, answer)
	}
	if err != nil {
		return fmt.Errorf("export metrics: %w", err)
	}
	return nil
}
