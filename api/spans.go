package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// Observed is what the server has seen of itself.
type Observed interface {
	// Spans returns up to limit spans of a list, the newest first, and how many the
	// list was ever given.
	Spans(kind telemetry.SpanKind, limit int) ([]telemetry.Span, uint64)
	// Fly writes a flight recording; NotFound without a recorder.
	Fly(ctx context.Context) (telemetry.FlightFile, error)
	// Timeline returns the latest moments of a session, the oldest first, and false
	// if none are known.
	Timeline(ref string) ([]Happening, bool)
}

// Happening is one event or call of a session.
type Happening struct {
	At        time.Time
	Kind      string
	Operation string
	Outcome   string
	Took      time.Duration
	Trace     string
	Request   string
}

// ListSpans implements StrictServerInterface.
func (s rest) ListSpans(_ context.Context, request ListSpansRequestObject) (ListSpansResponseObject, error) {
	kind, limit := telemetry.Recent, defaultLimit
	if k := request.Params.Kind; k != nil {
		if !k.Valid() {
			return nil, &fault.Error{
				Kind: fault.Invalid, Code: "invalid_parameter", Public: fmt.Sprintf("parameter kind: want %s, %s or %s", telemetry.Recent, telemetry.Slow, telemetry.Failed),
			}
		}
		kind = telemetry.SpanKind(*k)
	}
	if l := request.Params.Limit; l != nil {
		if limit = *l; limit < 1 || limit > maxLimit {
			return nil, bad("limit")
		}
	}
	spans, total := s.Monitor.Spans(kind, limit)
	page := SpanPage{Spans: make([]Span, 0, len(spans)), Total: total}
	for i := range spans {
		page.Spans = append(page.Spans, spanView(&spans[i]))
	}
	return ListSpans200JSONResponse(page), nil
}

func spanView(s *telemetry.Span) Span {
	v := Span{
		Trace: s.Trace, ID: s.ID, Parent: given(s.Parent), Name: s.Name, Kind: s.Kind, Start: s.Start.UTC(), DurationUs: s.Duration.Microseconds(),
		Failed: s.Failed, Error: given(s.Error), Sampled: s.Sampled, Attributes: make(map[string]string, len(s.Attributes)),
		Links: make([]SpanLink, 0, len(s.Links)), Phases: make([]SpanPhase, 0, len(s.Phases)),
	}
	for _, a := range s.Attributes {
		v.Attributes[a.Key] = a.Value
	}
	for _, l := range s.Links {
		v.Links = append(v.Links, SpanLink{Trace: l.Trace, Span: l.Span})
	}
	for _, p := range s.Phases {
		v.Phases = append(v.Phases, SpanPhase{Name: p.Name, OffsetUs: p.Offset.Microseconds(), DurationUs: p.Duration.Microseconds()})
	}
	return v
}

// RecordFlight implements StrictServerInterface.
func (s rest) RecordFlight(ctx context.Context, _ RecordFlightRequestObject) (RecordFlightResponseObject, error) {
	file, err := s.Monitor.Fly(ctx)
	if err != nil {
		return nil, err
	}
	return RecordFlight201JSONResponse(Flight{File: file.Name, Bytes: file.Bytes, At: file.At.UTC()}), nil
}

// GetTimeline implements StrictServerInterface.
func (s rest) GetTimeline(_ context.Context, request GetTimelineRequestObject) (GetTimelineResponseObject, error) {
	if !isRef(request.Ref) {
		return nil, bad("ref")
	}
	found, ok := s.Monitor.Timeline(request.Ref)
	if !ok {
		return nil, fault.Newf(fault.NotFound, "nothing is known of such a session")
	}
	line := Timeline{Ref: request.Ref, Moments: make([]Moment, 0, len(found))}
	for _, h := range found {
		m := Moment{At: h.At.UTC(), Kind: h.Kind, Operation: given(h.Operation), Outcome: given(h.Outcome), Trace: given(h.Trace), Request: given(h.Request)}
		if h.Took > 0 {
			m.DurationUs = new(h.Took.Microseconds())
		}
		line.Moments = append(line.Moments, m)
	}
	return GetTimeline200JSONResponse(line), nil
}

// isRef reports whether ref is written as the reference of a session.
func isRef(ref string) bool { return len(ref) == refLen && strings.Trim(ref, "0123456789abcdef") == "" }

// given returns nil for a text that is not there.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
