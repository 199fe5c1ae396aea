package telemetry

import (
	"encoding/hex"
	"math"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// The JSON encoding of OTLP metrics, as far as our instruments need it. 64-bit
// numbers are strings and enumerations numbers; ids are hexadecimal.
type (
	otlpRequest struct {
		ResourceMetrics []otlpResource `json:"resourceMetrics"`
	}
	otlpResource struct {
		Resource     otlpAttributes `json:"resource"`
		ScopeMetrics []otlpScope    `json:"scopeMetrics"`
	}
	otlpScope struct {
		Scope   otlpScopeName `json:"scope"`
		Metrics []otlpMetric  `json:"metrics"`
	}
	otlpScopeName struct {
		Name    string `json:"name"`
		Version string `json:"version,omitempty"`
	}
	otlpAttributes struct {
		Attributes []otlpAttribute `json:"attributes,omitempty"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpValue struct {
		String *string  `json:"stringValue,omitempty"`
		Bool   *bool    `json:"boolValue,omitempty"`
		Int    *string  `json:"intValue,omitempty"`
		Double *float64 `json:"doubleValue,omitempty"`
	}
	otlpMetric struct {
		Name        string         `json:"name"`
		Description string         `json:"description,omitempty"`
		Unit        string         `json:"unit,omitempty"`
		Gauge       *otlpPoints    `json:"gauge,omitempty"`
		Sum         *otlpPoints    `json:"sum,omitempty"`
		Histogram   *otlpHistogram `json:"histogram,omitempty"`
	}
	otlpPoints struct {
		Points      []otlpPoint `json:"dataPoints"`
		Temporality int         `json:"aggregationTemporality,omitempty"`
		Monotonic   bool        `json:"isMonotonic,omitempty"`
	}
	otlpPoint struct {
		otlpAttributes
		Start  string   `json:"startTimeUnixNano,omitempty"`
		Time   string   `json:"timeUnixNano"`
		Int    *string  `json:"asInt,omitempty"`
		Double *float64 `json:"asDouble,omitempty"`
	}
	otlpHistogram struct {
		Points      []otlpBuckets `json:"dataPoints"`
		Temporality int           `json:"aggregationTemporality"`
	}
	otlpBuckets struct {
		otlpAttributes
		Start     string         `json:"startTimeUnixNano,omitempty"`
		Time      string         `json:"timeUnixNano"`
		Count     string         `json:"count"`
		Sum       float64        `json:"sum"`
		Counts    []string       `json:"bucketCounts"`
		Bounds    []float64      `json:"explicitBounds"`
		Exemplars []otlpExemplar `json:"exemplars,omitempty"`
	}
	otlpExemplar struct {
		Time   string  `json:"timeUnixNano"`
		Double float64 `json:"asDouble"`
		Span   string  `json:"spanId,omitempty"`
		Trace  string  `json:"traceId,omitempty"`
	}
)

const otlpCumulative = 2

// otlpOf renders what the SDK collected.
func otlpOf(rm *metricdata.ResourceMetrics) otlpRequest {
	res := otlpResource{ScopeMetrics: []otlpScope{}}
	if rm.Resource != nil {
		res.Resource.Attributes = otlpSet(*rm.Resource.Set())
	}
	for _, s := range rm.ScopeMetrics {
		scope := otlpScope{Scope: otlpScopeName{s.Scope.Name, s.Scope.Version}, Metrics: []otlpMetric{}}
		for _, m := range s.Metrics {
			if o, ok := otlpMetricOf(m); ok {
				scope.Metrics = append(scope.Metrics, o)
			}
		}
		res.ScopeMetrics = append(res.ScopeMetrics, scope)
	}
	return otlpRequest{ResourceMetrics: []otlpResource{res}}
}

func otlpMetricOf(m metricdata.Metrics) (otlpMetric, bool) {
	o := otlpMetric{Name: m.Name, Description: m.Description, Unit: m.Unit}
	switch d := m.Data.(type) {
	case metricdata.Gauge[int64]:
		o.Gauge = &otlpPoints{Points: otlpNumbers(d.DataPoints)}
	case metricdata.Gauge[float64]:
		o.Gauge = &otlpPoints{Points: otlpNumbers(d.DataPoints)}
	case metricdata.Sum[int64]:
		o.Sum = &otlpPoints{Points: otlpNumbers(d.DataPoints), Temporality: otlpCumulative, Monotonic: d.IsMonotonic}
	case metricdata.Sum[float64]:
		o.Sum = &otlpPoints{Points: otlpNumbers(d.DataPoints), Temporality: otlpCumulative, Monotonic: d.IsMonotonic}
	case metricdata.Histogram[int64]:
		o.Histogram = &otlpHistogram{Points: otlpHistograms(d.DataPoints), Temporality: otlpCumulative}
	case metricdata.Histogram[float64]:
		o.Histogram = &otlpHistogram{Points: otlpHistograms(d.DataPoints), Temporality: otlpCumulative}
	default:
		return o, false // exponential histograms and summaries: nobody makes any
	}
	return o, true
}

func otlpNumbers[N int64 | float64](points []metricdata.DataPoint[N]) []otlpPoint {
	out := make([]otlpPoint, 0, len(points))
	for _, p := range points {
		o := otlpPoint{otlpAttributes: otlpAttributes{otlpSet(p.Attributes)}, Start: nanos(p.StartTime), Time: nanos(p.Time)}
		switch v := any(p.Value).(type) {
		case int64:
			o.Int = new(strconv.FormatInt(v, 10))
		case float64:
			if math.IsNaN(v) || math.IsInf(v, 0) { // JSON has no number for it
				continue
			}
			o.Double = &v
		}
		out = append(out, o)
	}
	return out
}

func otlpHistograms[N int64 | float64](points []metricdata.HistogramDataPoint[N]) []otlpBuckets {
	out := make([]otlpBuckets, 0, len(points))
	for _, p := range points {
		b := otlpBuckets{
			otlpAttributes: otlpAttributes{otlpSet(p.Attributes)}, Start: nanos(p.StartTime), Time: nanos(p.Time),
			Count: strconv.FormatUint(p.Count, 10), Sum: float64(p.Sum), Bounds: p.Bounds,
		}
		for _, n := range p.BucketCounts {
			b.Counts = append(b.Counts, strconv.FormatUint(n, 10))
		}
		for _, e := range p.Exemplars {
			b.Exemplars = append(b.Exemplars, otlpExemplar{
				Time: nanos(e.Time), Double: float64(e.Value), Span: hex.EncodeToString(e.SpanID), Trace: hex.EncodeToString(e.TraceID),
			})
		}
		out = append(out, b)
	}
	return out
}

func otlpSet(set attribute.Set) []otlpAttribute {
	out := make([]otlpAttribute, 0, set.Len())
	for _, a := range set.ToSlice() {
		o := otlpAttribute{Key: string(a.Key)}
		switch a.Value.Type() {
		case attribute.BOOL:
			o.Value.Bool = new(a.Value.AsBool())
		case attribute.INT64:
			o.Value.Int = new(strconv.FormatInt(a.Value.AsInt64(), 10))
		case attribute.FLOAT64:
			o.Value.Double = new(a.Value.AsFloat64())
		default:
			o.Value.String = new(text(a.Value))
		}
		out = append(out, o)
	}
	return out
}

func nanos(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return strconv.FormatInt(t.UnixNano(), 10)
}
