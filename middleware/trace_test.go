package middleware

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// traced runs one request through Trace and returns its span.
func traced(t *testing.T, r *http.Request, h http.HandlerFunc, m ...Middleware) tracetest.SpanStub {
	t.Helper()
	spans := tracetest.NewInMemoryExporter()
	tp := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
	defer func() { _ = tp.Shutdown(t.Context()) }()
	func() {
		defer func() { _ = recover() }() // the server's part
		serve(h, r, append([]Middleware{Trace(tp)}, m...)...)
	}()
	got := spans.GetSpans()
	if len(got) != 1 {
		t.Fatalf("%d spans, want 1", len(got))
	}
	return got[0]
}

func attributes(s tracetest.SpanStub) map[string]any {
	m := map[string]any{}
	for _, kv := range s.Attributes {
		m[string(kv.Key)] = kv.Value.AsInterface()
	}
	return m
}

const theirTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

func TestTraceLinksToTheCaller(t *testing.T) {
	s := traced(t, request("POST", "/mcp", "Traceparent", "00-"+theirTrace+"-00f067aa0ba902b7-01"), ok)
	if s.Parent.IsValid() || s.SpanContext.TraceID().String() == theirTrace {
		t.Errorf("parent %v in trace %s: the caller's trace was joined", s.Parent, s.SpanContext.TraceID())
	}
	if len(s.Links) != 1 || s.Links[0].SpanContext.TraceID().String() != theirTrace {
		t.Errorf("links %v, want one to the caller's span", s.Links)
	}
	if s.SpanKind != trace.SpanKindServer {
		t.Errorf("kind %v, want server", s.SpanKind)
	}
	for _, bad := range []string{"", "nonsense", "00-00000000000000000000000000000000-0000000000000000-01"} {
		if s := traced(t, request("GET", "/", "Traceparent", bad), ok); len(s.Links) != 0 || s.Parent.IsValid() {
			t.Errorf("traceparent %q: links %v, parent %v", bad, s.Links, s.Parent)
		}
	}
}

func TestSpanNamesAreBounded(t *testing.T) {
	for _, c := range []struct {
		method string
		m      []Middleware
		want   string
	}{
		{"GET", nil, "GET"},
		{"BREW", nil, "_OTHER"},
		{"POST", []Middleware{Route("POST", "/api/v1/sessions/{id}")}, "POST /api/v1/sessions/{id}"},
	} {
		s := traced(t, request(c.method, "/chosen/by/the/caller"), ok, c.m...)
		if s.Name != c.want {
			t.Errorf("%s: span %q, want %q", c.method, s.Name, c.want)
		}
		if a := attributes(s); a["http.response.status_code"] != int64(200) || a["url.scheme"] != "http" {
			t.Errorf("%s: attributes %v", c.method, a)
		}
	}
}

func TestSpanTellsFailures(t *testing.T) {
	for _, c := range []struct {
		name   string
		h      http.HandlerFunc
		status any
		code   codes.Code
	}{
		{"refused", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, int64(404), codes.Unset},
		{"failed", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, int64(503), codes.Error},
		{"silent", func(http.ResponseWriter, *http.Request) {}, int64(200), codes.Unset},
		{"panicked", func(http.ResponseWriter, *http.Request) { panic("boom") }, int64(500), codes.Error},
	} {
		s := traced(t, request("GET", "/"), c.h)
		if got := attributes(s)["http.response.status_code"]; got != c.status || s.Status.Code != c.code {
			t.Errorf("%s: status %v, %v; want %v, %v", c.name, got, s.Status.Code, c.status, c.code)
		}
	}
}

func TestNoTracesCostNoRecorder(t *testing.T) {
	serve(func(w http.ResponseWriter, r *http.Request) {
		if _, wrapped := w.(*recorder); wrapped {
			t.Error("the writer was wrapped although nobody records")
		}
		ok(w, r)
	}, request("GET", "/"),

		Trace(noop.NewTracerProvider()), Route("GET", "/"))
}
