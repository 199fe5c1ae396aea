package web

import (
	"slices"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// message is one event of the stream. The first one has all rows, the others
// have what changed since.
type message struct {
	Type     string  `json:"type"` // "snapshot", "delta" or "bye"
	Now      int64   `json:"now"`
	Status   *status `json:"status,omitempty"`
	Matching *int    `json:"matching,omitempty"`
	// Alerts are all that are shown, when they are not what they were.
	Alerts *[]alertRow `json:"alerts,omitempty"`
	Rows   []row       `json:"rows,omitempty"`
	// Order is the references of all rows, top down, when it is not what it was.
	Order []string `json:"order,omitempty"`
	// Gone are sessions that ended, Out those that live on but are not shown.
	Gone []ending `json:"gone,omitempty"`
	Out  []string `json:"out,omitempty"`
	Why  string   `json:"why,omitempty"` // of a bye: "logged_out", "expired" or "draining"
}

type ending struct {
	Ref string `json:"ref"`
	Why string `json:"why"`
}

// watcher knows what one page has been told. It belongs to the goroutine that
// serves the page's stream.
type watcher struct {
	query query
	limit int

	seen     *picture
	status   status
	matching int
	alerts   []alertRow
	rows     map[string]row
	order    []string
}

// next returns what p has that the page does not know, or nil. whyEnded tells
// why a session that is not there any more has ended.
func (w *watcher) next(p *picture, whyEnded func(ref string) string) *message {
	if w.seen == p {
		return nil
	}
	first := w.seen == nil
	w.seen = p
	v := p.view(w.query, w.limit)
	m := &message{Type: "delta", Now: p.taken.UnixMilli()}
	if first {
		m.Type = "snapshot"
	}
	if first || p.status != w.status {
		w.status = p.status
		m.Status = &p.status
	}
	if first || v.matching != w.matching {
		w.matching = v.matching
		m.Matching = &v.matching
	}
	if p.alerts != nil && (first || !slices.Equal(p.alerts, w.alerts)) {
		w.alerts = p.alerts
		m.Alerts = &p.alerts
	}
	rows, order := make(map[string]row, len(v.rows)), make([]string, 0, len(v.rows))
	for _, r := range v.rows {
		if old, known := w.rows[r.Ref]; !known || old != *r {
			m.Rows = append(m.Rows, *r)
		}
		rows[r.Ref] = *r
		order = append(order, r.Ref)
	}
	for _, ref := range w.order {
		if _, still := rows[ref]; still {
			continue
		}
		if p.alive(ref) {
			m.Out = append(m.Out, ref)
		} else {
			m.Gone = append(m.Gone, ending{ref, whyEnded(ref)})
		}
	}
	// The page takes out what is gone by itself; the rest must stand as here.
	left := slices.DeleteFunc(slices.Clone(w.order), func(ref string) bool { _, still := rows[ref]; return !still })
	if !slices.Equal(left, order) {
		m.Order = order
	}
	w.rows, w.order = rows, order
	if !first && m.Status == nil && m.Matching == nil && m.Alerts == nil && len(m.Rows)+len(m.Gone)+len(m.Out)+len(m.Order) == 0 {
		return nil
	}
	return m
}

// obituaries keeps why sessions ended until their watcher asks. It is filled by
// one goroutine and read by another.
type obituaries struct {
	mu sync.Mutex
	// Owned by mu.
	reasons map[string]session.Reason
}

// maxObituaries bounds what is kept between two pictures. Of more, a watcher
// learns that they ended and not why.
const maxObituaries = 4096

func (o *obituaries) add(e session.Event) {
	if e.Kind != session.EventEnded {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.reasons == nil {
		o.reasons = make(map[string]session.Reason)
	}
	if len(o.reasons) < maxObituaries {
		o.reasons[e.Info.Ref] = e.Reason
	}
}

func (o *obituaries) of(ref string) session.Reason {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.reasons[ref]
}

// keep forgets all but those of the rows that are shown: the others were never
// seen or have been told.
func (o *obituaries) keep(rows map[string]row) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ref := range o.reasons {
		if _, shown := rows[ref]; !shown {
			delete(o.reasons, ref)
		}
	}
}

// whyEnded returns in words why a session ended: what the operator wrote, if it
// was one.
func (s *site) whyEnded(o *obituaries, ref string) string {
	reason := o.of(ref)
	if n, ok := s.notes.get(ref, time.Now()); ok && (reason == session.ReasonOperator || reason == "") {
		return n.String()
	}
	return why(reason)
}
