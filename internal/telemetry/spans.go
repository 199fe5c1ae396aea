package telemetry

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// Span is a finished piece of work as the store keeps it. Nobody changes it.
type Span struct {
	Trace    string // 32 hexadecimal digits
	ID       string // 16 of them
	Parent   string // of the span it is a part of; "" at the top of what we know
	Name     string
	Kind     string // server or internal
	Start    time.Time
	Duration time.Duration
	Failed   bool
	Error    string // why, in a word of ours
	// Sampled is false for a slow or failed call whose trace is not kept: there is
	// this one span of it, with Phases in place of the spans inside.
	Sampled    bool
	Attributes []SpanAttribute
	Links      []SpanLink
	Phases     []SpanPhase
}

// SpanAttribute is one property of a span.
type SpanAttribute struct{ Key, Value string }

// SpanLink names a span of another trace that belongs to the same request.
type SpanLink struct{ Trace, Span string }

// SpanPhase is a part of a span's time.
type SpanPhase struct {
	Name     string
	Offset   time.Duration // since the span's start
	Duration time.Duration
}

// SpanKind chooses one of the lists of a Spans.
type SpanKind string

// The lists. A span may be in several.
const (
	Recent SpanKind = "recent" // every span that is kept
	Slow   SpanKind = "slow"   // those that took long
	Failed SpanKind = "failed" // those that the server failed at
)

// Bounds of a Spans.
const (
	maxSpans      = 4096 // in one list
	spanOverhead  = 360  // bytes of a span besides its texts
	maxStoredText = 256  // bytes of one text of an attribute
)

// Standing is the attribute, true, of a span that lasts as long as the client
// likes, such as an event stream: it is never slow.
const Standing = "lyceum.standing"

// Spans keeps the latest spans of the process in memory, for operators without a
// collector. Slow and failed ones have lists of their own, so that a busy hour
// does not push them out. It is safe for concurrent use; adding costs a lock.
type Spans struct {
	slow     time.Duration
	maxBytes int // of one list

	mu    sync.Mutex
	lists map[SpanKind]*spanList
}

// spanList holds the newest spans; the oldest make room.
type spanList struct {
	spans []Span // oldest first
	bytes int
	total uint64 // ever added
}

// NewSpans returns a store of at most maxBytes, shared equally by its lists. A
// span is slow from a duration of slow on; 0 is never.
func NewSpans(maxBytes int, slow time.Duration) *Spans {
	return &Spans{
		slow: slow, maxBytes: maxBytes / 3,
		lists: map[SpanKind]*spanList{Recent: {}, Slow: {}, Failed: {}},
	}
}

// IsSlow reports whether a call of that duration is kept as a slow one.
func (s *Spans) IsSlow(d time.Duration) bool { return s != nil && s.slow > 0 && d >= s.slow }

// Add keeps a span in the lists that it belongs to. A span that is not sampled
// is in none of the others.
func (s *Spans) Add(sp Span) {
	if s == nil {
		return
	}
	slow := s.IsSlow(sp.Duration) && !sp.standing()
	size := sp.size()
	s.mu.Lock()
	defer s.mu.Unlock()
	if sp.Sampled {
		s.lists[Recent].add(sp, size, s.maxBytes)
	}
	if slow {
		s.lists[Slow].add(sp, size, s.maxBytes)
	}
	if sp.Failed {
		s.lists[Failed].add(sp, size, s.maxBytes)
	}
}

func (l *spanList) add(sp Span, size, most int) {
	l.total++
	if size > most {
		return
	}
	l.spans = append(l.spans, sp)
	l.bytes += size
	drop := 0
	for l.bytes > most || len(l.spans)-drop > maxSpans {
		l.bytes -= l.spans[drop].size()
		l.spans[drop] = Span{} // what it holds can go
		drop++
	}
	l.spans = l.spans[drop:]
}

// List returns up to limit spans of a list, the newest first, and how many it was
// ever given. The list of an unknown kind is empty.
func (s *Spans) List(kind SpanKind, limit int) (spans []Span, total uint64) {
	if s == nil {
		return nil, 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lists[kind]
	if l == nil {
		return nil, 0
	}
	for i := len(l.spans) - 1; i >= 0 && len(spans) < limit; i-- {
		spans = append(spans, l.spans[i])
	}
	return spans, l.total
}

// Bytes returns about how much memory the spans take.
func (s *Spans) Bytes() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, l := range s.lists {
		n += l.bytes
	}
	return n
}

func (sp *Span) standing() bool {
	for _, a := range sp.Attributes {
		if a.Key == Standing || a.Key == "http.request.method" { // an answer lasts as long as its reader likes
			return true
		}
	}
	return false
}

func (sp *Span) size() int {
	n := spanOverhead + len(sp.Name) + len(sp.Error) + 40*len(sp.Phases) + 96*len(sp.Links)
	for _, a := range sp.Attributes {
		n += 32 + len(a.Key) + len(a.Value)
	}
	return n
}

// spanKeeper hands finished spans to a store.
type spanKeeper struct{ store *Spans }

// OnStart implements sdktrace.SpanProcessor.
func (spanKeeper) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements sdktrace.SpanProcessor.
func (k spanKeeper) OnEnd(s sdktrace.ReadOnlySpan) {
	sc := s.SpanContext()
	sp := Span{
		Trace: sc.TraceID().String(), ID: sc.SpanID().String(), Name: cut(s.Name()), Kind: s.SpanKind().String(), Sampled: true,
		Start: s.StartTime(), Duration: s.EndTime().Sub(s.StartTime()), Failed: s.Status().Code == codes.Error, Error: cut(s.Status().Description),
	}
	if p := s.Parent(); p.HasSpanID() {
		sp.Parent = p.SpanID().String()
	}
	for _, a := range s.Attributes() {
		sp.Attributes = append(sp.Attributes, SpanAttribute{string(a.Key), cut(text(a.Value))})
	}
	for _, l := range s.Links() {
		sp.Links = append(sp.Links, SpanLink{l.SpanContext.TraceID().String(), l.SpanContext.SpanID().String()})
	}
	k.store.Add(sp)
}

// ForceFlush implements sdktrace.SpanProcessor.
func (spanKeeper) ForceFlush(context.Context) error { return nil }

// Shutdown implements sdktrace.SpanProcessor.
func (spanKeeper) Shutdown(context.Context) error { return nil }

func text(v attribute.Value) string {
	if v.Type() == attribute.STRING {
		return v.AsString()
	}
	return v.String()
}

// cut shortens s so that no client fills the store with one text.
func cut(s string) string {
	if len(s) > maxStoredText {
		return strings.Clone(strings.ToValidUTF8(s[:maxStoredText], ""))
	}
	return s
}
