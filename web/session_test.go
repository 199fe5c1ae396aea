package web

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
	"github.com/lyceum-mcp/lyceum/session"
)

const someTrace = "0af7651916cd43dd8448eb211c80319c"

var noon = time.Date(2026, 3, 4, 12, 0, 0, 250e6, time.UTC)

// seen gives a place timelines and spans. It is called before the first request.
func seen(p *place, moments map[string][]Moment, spans map[telemetry.SpanKind][]telemetry.Span) {
	p.site.deps.Timeline = func(ref string) ([]Moment, bool) { m, ok := moments[ref]; return m, ok }
	p.site.deps.Spans = func(kind telemetry.SpanKind, limit int) ([]telemetry.Span, uint64) {
		all := spans[kind]
		return all[:min(limit, len(all))], uint64(len(all)) + 7
	}
}

// spanOf is the span of a call whose trace is not kept.
func spanOf(ref, operation, request, id string) telemetry.Span {
	return telemetry.Span{
		Trace: someTrace, ID: id, Name: "tools/call " + operation, Kind: "server", Start: noon, Duration: 1500 * time.Millisecond,
		Attributes: []telemetry.SpanAttribute{{Key: attrOperation, Value: operation}, {Key: attrRequest, Value: request}, {Key: attrSession, Value: ref}},
		Phases:     []telemetry.SpanPhase{{Name: "policy", Duration: 3 * time.Microsecond}, {Name: phaseWait, Duration: 250 * time.Millisecond}, {Name: "tool", Duration: 1200 * time.Millisecond}},
	}
}

// cells are the texts of a table, row by row.
func cells(t *testing.T, page string) [][]string {
	t.Helper()
	_, body, ok := strings.Cut(page, "<tbody>")
	if !ok {
		return nil
	}
	body, _, _ = strings.Cut(body, "</tbody>")
	tags := regexp.MustCompile(`<[^>]*>`)
	var rows [][]string
	for _, tr := range strings.Split(body, "<tr>")[1:] {
		var row []string
		for _, td := range strings.Split(tr, "<td")[1:] {
			row = append(row, strings.ReplaceAll(strings.TrimSpace(tags.ReplaceAllString("<td"+td, "")), "\u00a0", " "))
		}
		rows = append(rows, row)
	}
	return rows
}

// TestSessionPage: what happened in a session, the newest first, with what the
// time of a call went to where a span says so.
func TestSessionPage(t *testing.T) {
	p := open(t, nil)
	id := p.begin("alice")
	ref := id.Ref()
	sampled := spanOf(ref, "think", "r2", "s2")
	sampled.Phases, sampled.Attributes = nil, append(sampled.Attributes, telemetry.SpanAttribute{Key: attrPhase + "tool", Value: "0.0125"})
	seen(p, map[string][]Moment{ref: {
		{At: noon, Kind: "opened"},
		{At: noon.Add(2 * time.Second), Kind: "call", Operation: "think", Outcome: "invalid_arguments", Took: 13 * time.Millisecond, Trace: someTrace, Request: "r2"},
		{At: noon.Add(time.Second), Kind: "call", Operation: "mcts", Outcome: "ok", Took: 1500 * time.Millisecond, Trace: someTrace, Request: "r1"}, // was over later
		{At: noon.Add(3 * time.Second), Kind: "call", Operation: "twice", Outcome: "ok", Took: time.Millisecond, Request: "r3"},
	}}, map[telemetry.SpanKind][]telemetry.Span{
		telemetry.Recent: {sampled},
		telemetry.Slow: {
			spanOf(ref, "mcts", "r1", "s1"), spanOf(ref, "mcts", "another", "s0"), spanOf("0123456789abcdef", "mcts", "r1", "other session"),
			spanOf(ref, "twice", "r3", "s3"), spanOf(ref, "twice", "r3", "s4"), // of two, neither is known to be it
		},
		telemetry.Failed: {spanOf(ref, "mcts", "r1", "s1")}, // a span may be in several lists
	})
	b := p.browser().logIn()
	_, table := b.do("GET", "/admin/", nil)
	if !strings.Contains(table, `href="/admin/sessions/`+ref+`"`) {
		t.Error("no row leads to the page of its session")
	}
	resp, page := b.do("GET", "/admin/sessions/"+ref, nil)
	if resp.StatusCode != 200 || strings.Contains(page, "<script") || !strings.Contains(page, "alice <span") || !strings.Contains(page, "The latest 4 events and calls") {
		t.Fatalf("%d %s", resp.StatusCode, page)
	}
	none := "–not known"
	want := [][]string{
		{"03-04 12:00:03.250", "call", "twice", "ok", "1.00 ms", none, none, none},
		{"03-04 12:00:02.250", "call", "think", "invalid_arguments", "13.0 ms", "none", "tool 12.5 ms", someTrace},
		{"03-04 12:00:01.250", "call", "mcts", "ok", "1.50 s", "250 ms", "policy 3.00 µs · admission 250 ms · tool 1.20 s", someTrace},
		{"03-04 12:00:00.250", "opened", none, none, none, none, none, none},
	}
	if got := cells(t, page); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if strings.Count(page, `class="failed"`) != 1 {
		t.Error("want one call to stand out: that which was refused")
	}
}

// TestSessionPageOfWhatIsOver: a session that is known only by its timeline has a
// page, one that is only alive has one, and nothing else.
func TestSessionPageOfWhatIsOver(t *testing.T) {
	p := open(t, nil)
	over, alive := "00112233445566ff", p.begin("bob").Ref()
	var long []Moment
	for i := range maxMoments + 10 {
		long = append(long, Moment{At: noon.Add(time.Duration(i) * time.Second), Kind: "call", Operation: fmt.Sprintf("op%d.", i)})
	}
	seen(p, map[string][]Moment{over: long}, nil)
	b := p.browser().logIn()
	if resp, page := b.do("GET", "/admin/sessions/"+over, nil); resp.StatusCode != 200 || !strings.Contains(page, "This session is over") ||
		len(cells(t, page)) != maxMoments || strings.Contains(page, "op9.") || !strings.Contains(page, "op10.") {
		t.Errorf("over: %d, %d rows: %s", resp.StatusCode, len(cells(t, page)), page)
	}
	if resp, page := b.do("GET", "/admin/sessions/"+alive, nil); resp.StatusCode != 200 || !strings.Contains(page, "Nothing is known") || !strings.Contains(page, "bob <span") {
		t.Errorf("alive: %d %s", resp.StatusCode, page)
	}
	for _, ref := range []string{"ffffffffffffffff", "nonsense", over + "0", "%3Cscript%3Ealert(1)%3C%2Fscript%3E", "..%2f..%2fadmin"} {
		resp, page := b.do("GET", "/admin/sessions/"+ref, nil)
		if resp.StatusCode != 404 || !strings.Contains(page, "nothing is known of such a session") || !strings.Contains(page, `href="/admin/">Show the sessions`) ||
			strings.Contains(page, "alert(1)") || strings.Contains(page, "/admin/login") {
			t.Errorf("%s: %d %s", ref, resp.StatusCode, page)
		}
	}
}

func TestSpansPage(t *testing.T) {
	p := open(t, nil)
	id := p.begin("alice")
	failed := spanOf("0123456789abcdef", "break", "r9", "s9")
	failed.Failed, failed.Error = true, "internal"
	part := telemetry.Span{Trace: someTrace, ID: "s5", Parent: "s1", Name: "store save", Start: noon, Duration: 900 * time.Nanosecond}
	recent := []telemetry.Span{part}
	for range maxSpans {
		recent = append(recent, spanOf(id.Ref(), "mcts", "r", "s"))
	}
	seen(p, nil, map[telemetry.SpanKind][]telemetry.Span{telemetry.Recent: recent, telemetry.Failed: {failed}})
	b := p.browser().logIn()
	none, phases := "–not known", "policy 3.00 µs · admission 250 ms · tool 1.20 s"
	at := "03-04 12:00:00.250"
	first := [][]string{
		{at, "store save", none, none, none, "ok", "900 ns", none, someTrace},
		{at, "tools/call mcts", "acme", "mcts", id.Ref()[:8], "ok", "1.50 s", phases, someTrace},
	}
	for path, tt := range map[string]struct {
		on   string
		rows [][]string
		text string
	}{
		"":             {"Recent", first, "The latest 200 of 208"},
		"?kind=all":    {"Recent", first, "The latest 200 of 208"},
		"?kind=slow":   {"Slow", nil, "No spans"},
		"?kind=failed": {"Failed", [][]string{{at, "tools/call break", none, "break", "01234567", "internal", "1.50 s", phases, someTrace}}, "The latest 1 of 8"},
	} {
		_, page := b.do("GET", "/admin/spans"+path, nil)
		rows := cells(t, page)
		if fmt.Sprint(rows[:min(2, len(rows))]) != fmt.Sprint(tt.rows) || len(rows) > maxSpans {
			t.Errorf("%s: %d rows, the first of them\n%q\nwant\n%q", path, len(rows), rows[:min(2, len(rows))], tt.rows)
		}
		if !strings.Contains(page, ` aria-current="page">`+tt.on+"</a>") || strings.Count(page, `aria-current="page">`) != 2 || !strings.Contains(page, tt.text) ||
			strings.Contains(page, "<script") {
			t.Errorf("%s: want the tab %s and %q in %s", path, tt.on, tt.text, page)
		}
	}
	p.site.deps.Spans = nil
	if _, page := b.do("GET", "/admin/spans", nil); !strings.Contains(page, "No spans are kept") {
		t.Errorf("%s", page)
	}
}

// TestHostileSpans: whatever is in a span or a moment stays text.
func TestHostileSpans(t *testing.T) {
	p := open(t, nil)
	evil := `</td><script>alert(1)</script><img src=x onerror=alert(2)>"'` + "\u202e\u0007"
	h := p.hold(evil, session.Params{Name: evil, Client: session.Client{Name: evil, Version: evil}})
	h.Release()
	ref := h.ID().Ref()
	sp := spanOf(ref, evil, evil, evil)
	sp.Name, sp.Error, sp.Trace = evil, evil, evil
	sp.Phases = append(sp.Phases, telemetry.SpanPhase{Name: evil})
	sp.Attributes = append(sp.Attributes, telemetry.SpanAttribute{Key: attrCode, Value: evil})
	seen(p, map[string][]Moment{ref: {{At: noon, Kind: evil, Operation: evil, Outcome: evil, Trace: evil, Request: evil}}},
		map[telemetry.SpanKind][]telemetry.Span{telemetry.Slow: {sp}})
	b := p.browser().logIn()
	for path, least := range map[string]int{"/admin/sessions/" + ref: 9, "/admin/spans?kind=slow": 5} {
		_, page := b.do("GET", path, nil)
		if strings.Contains(page, "<script") || strings.Contains(page, "<img src=x") || strings.ContainsAny(page, "\u202e\u0007") {
			t.Errorf("%s: %s", path, page)
		}
		if n := strings.Count(page, "&lt;script&gt;alert(1)"); n < least {
			t.Errorf("%s: the texts are there %d times, want %d at least: %s", path, n, least, page)
		}
	}
}

// TestWhoMaySeeSpans: nobody without a login, and nobody who lost admin.read.
func TestWhoMaySeeSpans(t *testing.T) {
	p := open(t, nil)
	ref := p.begin("alice").Ref()
	seen(p, map[string][]Moment{ref: {{At: noon, Kind: "call", Operation: "s3cr3t"}}}, map[telemetry.SpanKind][]telemetry.Span{telemetry.Recent: {spanOf(ref, "s3cr3t", "r", "s")}})
	var demoted atomic.Bool
	good := p.site.deps.Verifier
	p.site.deps.Verifier = identity.VerifierFunc(func(ctx context.Context, token string) (*identity.Principal, error) {
		who, err := good.Verify(ctx, token)
		if err == nil && demoted.Load() {
			who = &identity.Principal{Tenant: who.Tenant, Subject: who.Subject, Scopes: []string{string(policy.Reason)}}
		}
		return who, err
	})
	b := p.browser().logIn()
	paths := []string{"/admin/sessions/" + ref, "/admin/sessions/nonsense", "/admin/spans"}
	for _, path := range paths {
		if resp, page := p.browser().do("GET", path, nil); resp.StatusCode != http.StatusUnauthorized || strings.Contains(page, "s3cr3t") || !strings.Contains(page, "/admin/login") {
			t.Errorf("%s without a login: %d %s", path, resp.StatusCode, page)
		}
	}
	demoted.Store(true)
	for _, path := range paths {
		if resp, page := b.do("GET", path, nil); resp.StatusCode != http.StatusForbidden || strings.Contains(page, "s3cr3t") || !strings.Contains(page, "admin.read") {
			t.Errorf("%s without the scope: %d %s", path, resp.StatusCode, page)
		}
	}
}

func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-1: "0 ns", 0: "0 ns", 999: "999 ns", 1000: "1.00 µs", 9_994: "9.99 µs", 9_995: "10.0 µs", 99_950: "100 µs", 999_499: "999 µs", 999_500: "1.00 ms",
		250 * time.Millisecond: "250 ms", 999_500 * time.Microsecond: "1.00 s", 119_990 * time.Millisecond: "120 s", 2 * time.Minute: "2m0s", 3*time.Hour + 5400*time.Millisecond: "3h0m5s",
	} {
		if got := took(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}
