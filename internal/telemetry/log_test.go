package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"

	"go.opentelemetry.io/otel/trace"
)

// call is the context of an authenticated, traced request.
func call(ctx context.Context) context.Context {
	ctx = trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{0x4b, 15: 0x36}, SpanID: trace.SpanID{0xb7, 7: 1},
	}))
	return WithTenant(WithRequestID(ctx, "req-1"), "acme")
}

func TestLogIdentifiers(t *testing.T) {
	const ids = `"request_id":"req-1","tenant":"acme","trace_id":"4b000000000000000000000000000036","span_id":"b700000000000001"`
	tests := []struct {
		name string
		ctx  context.Context
		log  func(context.Context, *slog.Logger)
		want string
	}{
		{"no context", context.Background(), func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "k", 1) }, `{"level":"INFO","msg":"m","k":1}`},
		{"call", call(t.Context()), func(ctx context.Context, l *slog.Logger) { l.InfoContext(ctx, "m", "k", 1) }, `{"level":"INFO","msg":"m","k":1,` + ids + `}`},
		{"request id only", WithRequestID(t.Context(), "r"), func(ctx context.Context, l *slog.Logger) { l.WarnContext(ctx, "m") }, `{"level":"WARN","msg":"m","request_id":"r"}`},
		{"with attributes", call(t.Context()), func(ctx context.Context, l *slog.Logger) { l.With("a", 1).InfoContext(ctx, "m") }, `{"level":"INFO","msg":"m","a":1,` + ids + `}`},
		{"in a group", call(t.Context()), func(ctx context.Context, l *slog.Logger) { l.WithGroup("g").InfoContext(ctx, "m", "k", 1) }, `{"level":"INFO","msg":"m",` + ids + `,"g":{"k":1}}`},
		{"in deep groups", call(t.Context()), func(ctx context.Context, l *slog.Logger) {
			l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h").InfoContext(ctx, "m", "k", 3)
		}, `{"level":"INFO","msg":"m","a":1,` + ids + `,"g":{"b":2,"h":{"k":3}}}`},
		{"below the level", call(t.Context()), func(ctx context.Context, l *slog.Logger) { l.DebugContext(ctx, "m") }, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			h := slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
				if len(groups) == 0 && a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})
			tt.log(tt.ctx, slog.New(NewLogHandler(h)))
			if got := strings.TrimSpace(out.String()); got != tt.want {
				t.Errorf("record %s\nwant   %s", got, tt.want)
			}
		})
	}
}

// TestSiblingLoggers: loggers derived from one with a group do not share what
// they add.
func TestSiblingLoggers(t *testing.T) {
	var out bytes.Buffer
	base := slog.New(NewLogHandler(slog.NewJSONHandler(&out, nil))).WithGroup("g").With("a", 1)
	left, right := base.With("side", "left"), base.With("side", "right")
	left.InfoContext(call(t.Context()), "m")
	right.InfoContext(call(t.Context()), "m")
	first, second, _ := strings.Cut(out.String(), "\n")
	if !strings.Contains(first, `"side":"left"`) || !strings.Contains(second, `"side":"right"`) {
		t.Errorf("records:\n%s", out.String())
	}
}

func TestLogHandlerConforms(t *testing.T) {
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return NewLogHandler(slog.NewJSONHandler(&out, nil))
	}, func(t *testing.T) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(out.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestNewLogger(t *testing.T) {
	var level slog.LevelVar
	var out bytes.Buffer
	text := NewLogger(&out, "text", &level)
	text.InfoContext(call(t.Context()), "hello")
	if got := out.String(); !strings.Contains(got, "msg=hello request_id=req-1 tenant=acme trace_id=4b") {
		t.Errorf("text record %q", got)
	}
	out.Reset()
	jsons := NewLogger(&out, "json", &level)
	jsons.DebugContext(t.Context(), "quiet")
	level.Set(slog.LevelDebug)
	jsons.DebugContext(t.Context(), "loud")
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || record["msg"] != "loud" {
		t.Errorf("after the level was lowered: %q, %v; want the one record loud", out.String(), err)
	}
}

func TestCarriers(t *testing.T) {
	ctx := t.Context()
	if RequestID(ctx) != "" || Tenant(ctx) != "" {
		t.Error("an empty context carries something")
	}
	if ctx = call(ctx); RequestID(ctx) != "req-1" || Tenant(ctx) != "acme" {
		t.Errorf("carried %q and %q", RequestID(ctx), Tenant(ctx))
	}
}

func BenchmarkLogHandler(b *testing.B) {
	var out bytes.Buffer
	l := slog.New(NewLogHandler(slog.NewJSONHandler(&out, nil)))
	ctx := call(b.Context())
	b.ReportAllocs()
	for b.Loop() {
		out.Reset()
		l.InfoContext(ctx, "call", "operation", "mcts", "status", 200)
	}
}
