package web

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	maxMoments  = 200  // rows of a timeline; the newest ones are shown
	maxSearched = 1000 // spans of each list in which a call of a timeline is looked for
)

// Moment is one event or call of a session. Only At and Kind are always there.
type Moment struct {
	At        time.Time
	Kind      string // such as opened, call or ended
	Operation string
	Outcome   string // "ok", or what was wrong
	Took      time.Duration
	Trace     string
	Request   string // id
}

// sessionPage is what the template of a session needs.
type sessionPage struct {
	shell
	Ref     string
	Live    *row // nil if the session is over
	Watched bool // something is kept of it
	Moments []momentRow
}

// momentRow is a moment as a person reads it. Texts that are not known are empty.
type momentRow struct {
	At                                 int64
	Kind, Operation, Outcome           string
	Bad                                bool // the outcome is that something was wrong
	Took, Wait, Phases, Trace, Request string
}

// session is the page of one session, live or over, with what happened in it of
// late, the newest first.
func (s *site) session(w http.ResponseWriter, r *http.Request) error {
	pic, head, err := s.look(r)
	if err != nil {
		return err
	}
	ref := r.PathValue("ref")
	if !isRef(ref) {
		return errNoSession
	}
	page := sessionPage{shell: head, Ref: ref, Live: pic.row(ref)}
	var moments []Moment
	if s.deps.Timeline != nil {
		moments, page.Watched = s.deps.Timeline(ref)
	}
	if page.Live == nil && !page.Watched {
		return errNoSession
	}
	parts := s.partsOf(ref)
	moments = slices.Clone(moments[max(0, len(moments)-maxMoments):])
	// A call is known when it is over and stands by when it began.
	slices.SortStableFunc(moments, func(a, b Moment) int { return a.At.Compare(b.At) })
	for _, m := range slices.Backward(moments) {
		page.Moments = append(page.Moments, momentRowOf(&m, parts[callKey{m.Request, m.Operation}].all))
	}
	return s.render(w, http.StatusOK, "session.html", page)
}

var errNoSession error = fault.Newf(fault.NotFound, "nothing is known of such a session")

// callKey finds the span of a call.
type callKey struct{ request, operation string }

// callParts is what the time of one call went to, nil if more than one span could
// be that of the call: several calls of an operation may come in one request.
type callParts struct {
	span string // id
	all  []phase
}

// partsOf returns what the time of a session's calls went to, for those whose
// span is kept: the slow, the failed and the sampled ones.
func (s *site) partsOf(ref string) map[callKey]callParts {
	if s.deps.Spans == nil {
		return nil
	}
	parts := make(map[callKey]callParts)
	for _, l := range spanLists {
		spans, _ := s.deps.Spans(l.kind, maxSearched)
		for i := range spans {
			sp := &spans[i]
			all := phasesOf(sp)
			if all == nil || attribute(sp, attrSession) != ref {
				continue
			}
			key := callKey{attribute(sp, attrRequest), attribute(sp, attrOperation)}
			if other, again := parts[key]; !again {
				parts[key] = callParts{sp.ID, all}
			} else if other.span != sp.ID {
				parts[key] = callParts{} // no span has this id
			}
		}
	}
	return parts
}

func momentRowOf(m *Moment, parts []phase) momentRow {
	row := momentRow{
		At: m.At.UnixMilli(), Kind: plain(m.Kind), Operation: plain(m.Operation), Outcome: plain(m.Outcome), Phases: phrase(parts),
		Trace: plain(m.Trace), Request: plain(m.Request),
	}
	row.Bad = m.Kind == "call" && m.Outcome != "ok" && m.Outcome != "running" || m.Outcome == "failed"
	if m.Took > 0 {
		row.Took = took(m.Took)
	}
	if parts != nil {
		row.Wait = "none" // it needed no turn
	}
	for _, p := range parts {
		if p.name == phaseWait {
			row.Wait = took(p.took)
		}
	}
	return row
}

// isRef reports whether ref is written as the reference of a session.
func isRef(ref string) bool { return len(ref) == refLen && strings.Trim(ref, "0123456789abcdef") == "" }
