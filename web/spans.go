package web

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// maxSpans bounds the rows of the page of spans.
const maxSpans = 200

// What the attributes and phases of a span are called by those who set them.
const (
	attrOperation = "lyceum.operation"
	attrRequest   = "lyceum.request.id"
	attrSession   = "lyceum.session.ref"
	attrCode      = "lyceum.error.code"
	attrPhase     = "lyceum.phase." // and the phase's name; seconds
	phaseWait     = "admission"     // waiting for a turn of the CPU
)

// spanLists are the tabs of the page, the first one unless another is asked for.
var spanLists = []struct {
	kind        telemetry.SpanKind
	title, what string
}{
	{telemetry.Recent, "Recent", "The parts of requests whose trace is kept."},
	{telemetry.Slow, "Slow", "Calls that took long, and long parts of them, whether their trace is kept or not."},
	{telemetry.Failed, "Failed", "Calls that the server failed at, whether their trace is kept or not."},
}

// shell is what the head of every page but the table's needs.
type shell struct {
	Who     string // name of the person
	Version string
	Now     int64
	OnSpans bool // it is the page of spans
}

// spansPage is what the template of the spans needs.
type spansPage struct {
	shell
	Tabs  []spanTab
	What  string // is in the list
	Kept  bool   // the server keeps spans at all
	Spans []spanRow
	Total uint64 // that the list was ever given
}

type spanTab struct {
	Title, Link string
	On          bool
}

// spanRow is one span as a person reads it. Texts that are not known are empty.
type spanRow struct {
	At        int64
	Name      string
	Part      bool // of another span
	Tenant    string
	Operation string
	Ref       string // of its session
	Took      string
	Outcome   string
	Failed    bool
	Trace     string
	Phases    string
}

// phase is a part of a call's time.
type phase struct {
	name string
	took time.Duration
}

// spans is the page of one list of spans, the newest first.
func (s *site) spans(w http.ResponseWriter, r *http.Request) error {
	pic, head, err := s.look(r)
	if err != nil {
		return err
	}
	head.OnSpans = true
	at := 0
	for i, l := range spanLists {
		if string(l.kind) == r.URL.Query().Get("kind") {
			at = i
		}
	}
	page := spansPage{shell: head, What: spanLists[at].what, Kept: s.deps.Spans != nil}
	for i, l := range spanLists {
		tab := spanTab{Title: l.title, Link: Prefix + "spans", On: i == at}
		if i > 0 {
			tab.Link += "?kind=" + string(l.kind)
		}
		page.Tabs = append(page.Tabs, tab)
	}
	if page.Kept {
		var found []telemetry.Span
		found, page.Total = s.deps.Spans(spanLists[at].kind, maxSpans)
		for i := range found[:min(len(found), maxSpans)] {
			page.Spans = append(page.Spans, spanRowOf(&found[i], pic))
		}
	}
	return s.render(w, http.StatusOK, "spans.html", page)
}

// spanRowOf knows the tenant of a span from its session, while that is alive: the
// span itself says only whose session it was by its reference.
func spanRowOf(sp *telemetry.Span, pic *picture) spanRow {
	row := spanRow{
		At: sp.Start.UnixMilli(), Name: plain(sp.Name), Part: sp.Parent != "", Operation: plain(attribute(sp, attrOperation)), Took: took(sp.Duration),
		Failed: sp.Failed, Outcome: "ok", Trace: plain(sp.Trace), Phases: phrase(phasesOf(sp)),
	}
	if ref := attribute(sp, attrSession); isRef(ref) {
		row.Ref = ref
		if of := pic.row(ref); of != nil {
			row.Tenant = of.Tenant
		}
	}
	if why := cmp.Or(attribute(sp, attrCode), sp.Error); why != "" {
		row.Outcome = plain(why)
	} else if sp.Failed {
		row.Outcome = "failed"
	}
	return row
}

func attribute(sp *telemetry.Span, key string) string {
	for _, a := range sp.Attributes {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// phasesOf returns the parts of a call's time: those of a call whose trace is not
// kept, or what the call's span says of them.
func phasesOf(sp *telemetry.Span) []phase {
	var all []phase
	for _, p := range sp.Phases {
		all = append(all, phase{p.Name, p.Duration})
	}
	if all != nil {
		return all
	}
	for _, a := range sp.Attributes {
		name, is := strings.CutPrefix(a.Key, attrPhase)
		if seconds, err := strconv.ParseFloat(a.Value, 64); is && err == nil {
			all = append(all, phase{name, time.Duration(seconds * float64(time.Second))})
		}
	}
	return all
}

// phrase says phases in words, "" if there are none. A line breaks between two of
// them only.
func phrase(all []phase) string {
	var b strings.Builder
	for i, p := range all {
		if i > 0 {
			b.WriteString(" · ")
		}
		b.WriteString(strings.ReplaceAll(plain(p.name)+" "+took(p.took), " ", "\u00a0"))
	}
	return b.String()
}

// took writes a duration with three digits in the unit that suits it.
func took(d time.Duration) string {
	switch {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", max(0, d))
	case d < 999_500*time.Nanosecond:
		return digits(float64(d)/float64(time.Microsecond)) + " µs"
	case d < 999_500*time.Microsecond:
		return digits(float64(d)/float64(time.Millisecond)) + " ms"
	case d < 2*time.Minute:
		return digits(d.Seconds()) + " s"
	}
	return d.Round(time.Second).String()
}

func digits(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// look returns the newest picture and the head of a page, for whoever may look.
func (s *site) look(r *http.Request) (*picture, shell, error) {
	_, p, err := s.who(r)
	if err != nil {
		return nil, shell{}, err
	}
	pic := s.board.picture()
	return pic, shell{Who: plain(nameOf(p)), Version: pic.status.Version, Now: pic.taken.UnixMilli()}, nil
}
