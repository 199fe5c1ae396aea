package telemetry

import (
	"context"
	"io"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

type (
	requestIDKey struct{}
	tenantKey    struct{}
)

// WithRequestID returns ctx carrying the identifier of the request it serves.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the identifier of the request that ctx serves, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// WithTenant returns ctx carrying the tenant that log records name. It is for
// the middleware that authenticates; it grants nothing.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// Tenant returns what WithTenant put into ctx, or "".
func Tenant(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}

// NewLogger returns a logger that writes to w at level and above and puts the
// context's identifiers on every record. Format "text" is for people; anything
// else is JSON, one object a line. Of a message that repeats itself only some
// records are written, see repeats; those of every request are not touched.
func NewLogger(w io.Writer, format string, level *slog.LevelVar) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	var out slog.Handler = slog.NewJSONHandler(w, opts)
	if format == "text" {
		out = slog.NewTextHandler(w, opts)
	}
	return slog.New(NewLogHandler(newRepeats(out, RequestMessage)))
}

// NewLogHandler returns a handler that adds request_id, tenant, trace_id and
// span_id to a record, where its context has them, and passes it to next. They
// stay at the top level, also under a logger that opened a group.
func NewLogHandler(next slog.Handler) slog.Handler {
	return &logHandler{next: next, root: next}
}

// logHandler is immutable. next has every group and attribute applied; root has
// those from before the first group, and grouped makes next from root.
type logHandler struct {
	next    slog.Handler
	root    slog.Handler
	grouped []func(slog.Handler) slog.Handler
}

// Enabled asks the wrapped handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle passes r on with the identifiers of ctx. Under an open group it
// rebuilds the handler, a few allocations more per record.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	var space [4]slog.Attr
	ids := identifiers(ctx, space[:0])
	if len(ids) == 0 {
		return h.next.Handle(ctx, r)
	}
	if len(h.grouped) == 0 {
		r = r.Clone()
		r.AddAttrs(ids...)
		return h.next.Handle(ctx, r)
	}
	next := h.root.WithAttrs(slices.Clone(ids))
	for _, apply := range h.grouped {
		next = apply(next)
	}
	return next.Handle(ctx, r)
}

// identifiers appends what ctx knows to attrs.
func identifiers(ctx context.Context, attrs []slog.Attr) []slog.Attr {
	if id := RequestID(ctx); id != "" {
		attrs = append(attrs, slog.String("request_id", id))
	}
	if tenant := Tenant(ctx); tenant != "" {
		attrs = append(attrs, slog.String("tenant", tenant))
	}
	if span := trace.SpanContextFromContext(ctx); span.IsValid() {
		attrs = append(attrs, slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return attrs
}

// WithAttrs returns a handler whose records carry attrs.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	if len(h.grouped) == 0 {
		next := h.next.WithAttrs(attrs)
		return &logHandler{next: next, root: next}
	}
	return h.derive(func(next slog.Handler) slog.Handler { return next.WithAttrs(attrs) })
}

// WithGroup returns a handler whose records, but for the identifiers, lie in
// the group.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.derive(func(next slog.Handler) slog.Handler { return next.WithGroup(name) })
}

func (h *logHandler) derive(apply func(slog.Handler) slog.Handler) slog.Handler {
	return &logHandler{next: apply(h.next), root: h.root, grouped: append(slices.Clip(h.grouped), apply)}
}
