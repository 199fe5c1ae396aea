package middleware

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Trace starts the server span of a request. It stands inside Recover so that a
// panic still ends the span, and outside of the log so that records carry its
// id. The caller's traceparent becomes a link, not the parent: a public caller
// must not decide what we sample or which trace our spans join.
//
// It is written on the trace API itself: the general HTTP instrumentation costs
// about as much as the whole rest of the chain.
func Trace(tp trace.TracerProvider) Middleware {
	tracer := tp.Tracer("github.com/lyceum-mcp/lyceum/middleware")
	var remote propagation.TraceContext
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			opts := make([]trace.SpanStartOption, 1, 2)
			opts[0] = trace.WithSpanKind(trace.SpanKindServer)
			if r.Header.Get("Traceparent") != "" {
				sc := trace.SpanContextFromContext(remote.Extract(r.Context(), propagation.HeaderCarrier(r.Header)))
				if sc.IsValid() {
					opts = append(opts, trace.WithLinks(trace.Link{SpanContext: sc}))
				}
			}
			ctx, span := tracer.Start(r.Context(), methodName(r.Method), opts...)
			defer span.End()
			if !span.IsRecording() {
				next.ServeHTTP(w, r.WithContext(ctx))
				return
			}
			rec := record(w)
			span.SetAttributes(attribute.String("http.request.method", methodName(r.Method)), attribute.String("url.scheme", scheme(r)))
			returned := false
			defer func() {
				status := sent(ctx, rec, returned)
				span.SetAttributes(attribute.Int("http.response.status_code", status))
				if status >= 500 || !returned {
					span.SetStatus(codes.Error, strconv.Itoa(status))
				}
			}()
			next.ServeHTTP(rec, r.WithContext(ctx))
			returned = true
		})
	}
}

// Route names the span of a request after the route that serves it. It stands
// just around a route's handler, where the pattern is known.
func Route(method, pattern string) Middleware {
	name := method + " " + pattern
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if span := trace.SpanFromContext(r.Context()); span.IsRecording() {
				span.SetName(name)
				span.SetAttributes(attribute.String("http.route", pattern))
			}
			next.ServeHTTP(w, r)
		})
	}
}

func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// methodName keeps a client from choosing span names.
func methodName(m string) string {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead, http.MethodOptions, http.MethodPut, http.MethodPatch:
		return m
	}
	return "_OTHER"
}
