package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// The Monitor, as far as it is about what the server has seen: two spans, and a
// timeline of every session but unknownRef.

const unknownRef = "fedcba9876543210"

func (*site) Spans(kind telemetry.SpanKind, limit int) ([]telemetry.Span, uint64) {
	if kind == telemetry.Failed {
		return nil, 0
	}
	all := []telemetry.Span{
		{
			Trace: strings.Repeat("a", 32), ID: strings.Repeat("b", 16), Parent: strings.Repeat("c", 16), Name: "tool", Kind: "internal",
			Start: time.Unix(1, 0), Duration: 1500 * time.Microsecond, Sampled: true, Links: []telemetry.SpanLink{{Trace: "t", Span: "s"}},
			Attributes: []telemetry.SpanAttribute{{Key: "lyceum.operation", Value: "mcts"}},
		},
		{
			Name: "tools/call mcts", Kind: "server", Start: time.Unix(1, 0), Duration: time.Second, Failed: true, Error: "internal",
			Phases: []telemetry.SpanPhase{{Name: "tool", Offset: time.Millisecond, Duration: time.Second}},
		},
	}
	return all[:min(limit, 2)], 7
}

func (*site) Fly(context.Context) (telemetry.FlightFile, error) {
	return telemetry.FlightFile{Name: "flight-1.trace", Bytes: 9, At: time.Unix(3, 0)}, nil
}

func (*site) Timeline(ref string) ([]Happening, bool) {
	return []Happening{
		{At: time.Unix(1, 0), Kind: "opened"},
		{At: time.Unix(2, 0), Kind: "call", Operation: "mcts", Outcome: "ok", Took: time.Millisecond, Trace: strings.Repeat("a", 32), Request: "r-1"},
	}, ref != unknownRef
}

// observe sends a request as an operator and holds the answer against openapi.yaml.
func (s *site) observe(method, path, pattern string, scope policy.Scope, status int) string {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, path, nil)
	r.Header.Set("Authorization", "Bearer "+string(scope))
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	checkAnswer(s.t, s.doc, r, pattern, w)
	if w.Code != status {
		s.t.Errorf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	return w.Body.String()
}

func TestSpansAndTimelines(t *testing.T) {
	s := newSite(t)
	const spans, line = "/api/v1/spans", "/api/v1/sessions/{ref}/timeline"
	var page SpanPage
	if err := json.Unmarshal([]byte(s.observe(http.MethodGet, spans, spans, policy.AdminRead, 200)), &page); err != nil {
		t.Fatal(err)
	}
	if page.Total != 7 || len(page.Spans) != 2 || page.Spans[0].DurationUs != 1500 || page.Spans[0].Attributes["lyceum.operation"] != "mcts" ||
		page.Spans[1].Parent != nil || *page.Spans[1].Error != "internal" || page.Spans[1].Phases[0] != (SpanPhase{Name: "tool", OffsetUs: 1000, DurationUs: 1e6}) {
		t.Errorf("%+v", page)
	}
	if one := s.observe(http.MethodGet, spans+"?kind=slow&limit=1", spans, policy.AdminRead, 200); strings.Contains(one, "tools/call") {
		t.Errorf("two spans for a limit of one: %s", one)
	}
	if none := s.observe(http.MethodGet, spans+"?kind=failed", spans, policy.AdminRead, 200); !strings.Contains(none, `"spans":[]`) {
		t.Errorf("%s, want an empty list", none)
	}
	for _, query := range []string{"?kind=all", "?limit=0", "?limit=501", "?limit=x"} {
		s.observe(http.MethodGet, spans+query, spans, policy.AdminRead, 400)
	}
	s.observe(http.MethodGet, spans, spans, policy.Reason, 403)

	if got := s.observe(http.MethodGet, "/api/v1/sessions/0123456789abcdef/timeline", line, policy.AdminRead, 200); !strings.Contains(got, `"duration_us":1000`) || !strings.Contains(got, `"kind":"opened"}`) {
		t.Errorf("%s", got)
	}
	s.observe(http.MethodGet, "/api/v1/sessions/"+unknownRef+"/timeline", line, policy.AdminRead, 404)
	s.observe(http.MethodGet, "/api/v1/sessions/rs_secret/timeline", line, policy.AdminRead, 400)

	if got := s.observe(http.MethodPost, "/api/v1/flight", "/api/v1/flight", policy.AdminWrite, 201); !strings.Contains(got, `"file":"flight-1.trace"`) {
		t.Errorf("%s", got)
	}
	s.observe(http.MethodPost, "/api/v1/flight", "/api/v1/flight", policy.AdminRead, 403)
}
