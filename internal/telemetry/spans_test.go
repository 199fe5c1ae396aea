package telemetry

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

func TestSpansAreBounded(t *testing.T) {
	const most = 300 << 10
	s := NewSpans(most, time.Second)
	for i := range 20_000 {
		s.Add(Span{
			Name: fmt.Sprint(i), Sampled: true, Duration: time.Minute, Failed: true,
			Attributes: []SpanAttribute{{"lyceum.operation", strings.Repeat("x", maxStoredText)}},
		})
	}
	if got := s.Bytes(); got > most || got < most/2 {
		t.Errorf("%d bytes, want at most %d and not much less", got, most)
	}
	for _, kind := range []SpanKind{Recent, Slow, Failed} {
		spans, total := s.List(kind, 3)
		if total != 20_000 || len(spans) != 3 || spans[0].Name != "19999" || spans[2].Name != "19997" {
			t.Errorf("%s: %d of %d, want the newest three of 20000", kind, len(spans), total)
		}
	}
	s.Add(Span{Name: strings.Repeat("x", most), Sampled: true})
	if spans, _ := s.List(Recent, 1); spans[0].Name != "19999" {
		t.Error("a span larger than the list pushed the others out")
	}
	if spans, total := s.List("nonsense", 1); spans != nil || total != 0 {
		t.Error("an unknown list is not empty")
	}
}

func TestSpansKeepTheirLists(t *testing.T) {
	for _, tt := range []struct {
		name string
		span Span
		want string // lists
	}{
		{"kept", Span{Sampled: true, Duration: time.Millisecond}, "recent"},
		{"slow and kept", Span{Sampled: true, Duration: time.Second}, "recent slow"},
		{"slow call whose trace is not kept", Span{Duration: time.Second}, "slow"},
		{"failed", Span{Failed: true}, "failed"},
		{"stream", Span{Sampled: true, Duration: time.Hour, Attributes: []SpanAttribute{{Standing, "true"}}}, "recent"},
		{"answer", Span{Sampled: true, Duration: time.Hour, Attributes: []SpanAttribute{{"http.request.method", "GET"}}}, "recent"},
	} {
		s := NewSpans(1<<20, time.Second)
		s.Add(tt.span)
		var in []string
		for _, kind := range []SpanKind{Recent, Slow, Failed} {
			if spans, _ := s.List(kind, 9); len(spans) == 1 {
				in = append(in, string(kind))
			}
		}
		if got := strings.Join(in, " "); got != tt.want {
			t.Errorf("%s: in %q, want %q", tt.name, got, tt.want)
		}
	}
	never := NewSpans(1<<20, 0)
	never.Add(Span{Duration: time.Hour})
	if spans, _ := never.List(Slow, 1); len(spans) != 0 {
		t.Error("a span is slow although none is to be")
	}
}

// TestKeptWithoutACollector: what the SDK finished is in the store as it was.
func TestKeptWithoutACollector(t *testing.T) {
	store := NewSpans(1<<20, 0)
	tel := start(t, Config{SampleRatio: 1, Spans: store})
	tracer := tel.TracerProvider().Tracer("test")
	ctx, parent := tracer.Start(t.Context(), "outer")
	link := trace.Link{SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})}
	_, inner := tracer.Start(ctx, "inner", trace.WithLinks(link))
	inner.SetAttributes(attribute.Int("n", 7), attribute.String("long", strings.Repeat("é", 500)))
	inner.SetStatus(codes.Error, "internal")
	inner.End()
	parent.End()
	spans, _ := store.List(Recent, 9)
	if len(spans) != 2 || spans[0].Name != "outer" {
		t.Fatalf("%v, want outer and inner", spans)
	}
	in := spans[1]
	if in.Parent != spans[0].ID || in.Trace != spans[0].Trace || !in.Failed || in.Error != "internal" || in.Kind != "internal" || !in.Sampled {
		t.Errorf("%+v is not the child of %+v", in, spans[0])
	}
	if in.Attributes[0] != (SpanAttribute{"n", "7"}) || len(in.Attributes[1].Value) > maxStoredText || !strings.HasPrefix(in.Attributes[1].Value, "éé") {
		t.Errorf("attributes %v", in.Attributes)
	}
	if len(in.Links) != 1 || in.Links[0].Trace != link.SpanContext.TraceID().String() {
		t.Errorf("links %v", in.Links)
	}
	if failed, _ := store.List(Failed, 9); len(failed) != 1 || failed[0].Name != "inner" {
		t.Errorf("failed %v", failed)
	}
}

// TestRequestIsKeptWhole: a span in the caller's trace follows the one of its
// request, whatever the caller's flag says.
func TestRequestIsKeptWhole(t *testing.T) {
	for _, tt := range []struct {
		ratio float64
		keep  bool
	}{{0, false}, {1, true}} {
		tel := start(t, Config{SampleRatio: tt.ratio, Spans: NewSpans(1<<20, 0)})
		tracer := tel.TracerProvider().Tracer("test")
		_, request := tracer.Start(t.Context(), "request")
		for _, flag := range []string{"00", "01"} {
			ctx := remote(t, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"+flag)
			_, span := tracer.Start(ctx, "message", trace.WithLinks(trace.Link{SpanContext: request.SpanContext()}))
			if span.IsRecording() != tt.keep {
				t.Errorf("ratio %v, flag %s: kept %v", tt.ratio, flag, span.IsRecording())
			}
		}
	}
}

func TestFlight(t *testing.T) {
	dir := t.TempDir() + "/flight"
	f, err := StartFlight(FlightConfig{Dir: dir, Files: 2, Every: time.Hour, Window: time.Second, MaxBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if second, err := StartFlight(FlightConfig{Dir: dir, Window: time.Second}); err == nil {
		second.Close()
		t.Error("two flight recorders in one process")
	}
	first, err := f.Write("asked")
	if err != nil || first.Bytes == 0 || !strings.HasSuffix(first.Name, "-asked.trace") {
		t.Fatalf("%+v, %v", first, err)
	}
	_, err = f.Write("asked")
	if soon, ok := errors.AsType[*TooSoonError](err); !ok || soon.After <= 0 || soon.After > time.Hour {
		t.Errorf("a second one at once: %v, want a TooSoonError", err)
	}
	f.cfg.Every = 0 // nobody else is here
	for range 3 {
		if _, err := f.Write("asked"); err != nil {
			t.Fatal(err)
		}
	}
	names := filesIn(t, dir)
	if len(names) != 2 || names[0] == first.Name {
		t.Errorf("%v are left, want the newest 2", names)
	}
	(*Flight)(nil).Trigger("slow") // where there is none, nothing happens
}

func TestTopK(t *testing.T) {
	now := time.Unix(0, 0)
	top := NewTopK([]string{"always"}, 2)
	top.now, top.halved = func() time.Time { return now }, now
	add := func(tenant string, n int) {
		for range n {
			top.Add(tenant, n%2 == 0)
		}
	}
	total := func() (n uint64) {
		for _, c := range top.Counts() {
			n += c.Calls
		}
		return n
	}
	add("a", 100)
	add("b", 60)
	add("c", 50) // less than twice b
	if got := labels(top); got != "a always b other" {
		t.Errorf("shown: %s", got)
	}
	for i := range 10_000 {
		add(fmt.Sprint("one-of-many-", i), 1)
	}
	if got := len(top.Counts()); got != 4 {
		t.Errorf("%d labels after 10000 tenants, want 4", got)
	}
	if len(top.waits) > candidates*2 {
		t.Errorf("%d candidates", len(top.waits))
	}
	add("heavy", 20_000)
	if got := labels(top); !strings.Contains(got, "heavy") || strings.Count(got, " ") != 3 {
		t.Errorf("shown: %s, want heavy among four", got)
	}
	if got := total(); got != 100+60+50+10_000+20_000 {
		t.Errorf("%d calls in all: what a label loses must be in other", got)
	}
	for range 20 {
		now = now.Add(topWindow)
		add("late", 3)
	}
	if got := labels(top); !strings.Contains(got, "late") {
		t.Errorf("shown: %s, want who calls now", got)
	}
	if top.Label("late") != "late" || top.Label("nobody") != Other || top.Label("always") != "always" {
		t.Error("labels are not those that are shown")
	}
}

func labels(t *TopK) string {
	var all []string
	for _, c := range t.Counts() {
		all = append(all, c.Label)
	}
	return strings.Join(all, " ")
}

func BenchmarkTopK(b *testing.B) {
	top := NewTopK([]string{"acme"}, 10)
	b.ReportAllocs()
	for b.Loop() {
		top.Add("acme", false)
	}
}
