package web

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// board takes pictures of the server, one for all who look. A picture is taken
// when somebody asks and the last one is too old; nobody looking costs nothing.
type board struct {
	mon     Monitor
	alerts  func() *alert.Snapshot // may be nil
	refresh time.Duration
	flight  singleflight.Group
	last    atomic.Pointer[picture]
}

// share bounds what looking costs: a picture that took d to take is good for at
// least share times d, so that at most one part in share of a core is spent.
const share = 20

// picture is the server at one moment. It is never changed.
type picture struct {
	taken  time.Time
	until  time.Time // then it is too old
	status status
	alerts []alertRow // nil where nobody watches
	rows   []row      // in no order
}

func newBoard(mon Monitor, alerts func() *alert.Snapshot, refresh time.Duration) *board {
	return &board{mon: mon, alerts: alerts, refresh: refresh}
}

// picture returns a picture that is not too old.
func (b *board) picture() *picture {
	if p := b.last.Load(); p != nil && time.Now().Before(p.until) {
		return p
	}
	v, _, _ := b.flight.Do("", func() (any, error) {
		p := b.take()
		b.last.Store(p)
		return p, nil
	})
	return v.(*picture)
}

// fresh makes the next picture a new one: something was changed that whoever
// changed it wants to see.
func (b *board) fresh() { b.last.Store(nil) }

// take looks at every session.
func (b *board) take() *picture {
	began := time.Now()
	p := &picture{taken: began}
	for info := range b.mon.Sessions() {
		r := rowOf(info)
		p.status.Counts.add(&r)
		p.rows = append(p.rows, r)
	}
	if b.alerts != nil {
		p.alerts = alertRows(b.alerts())
	}
	version, since := b.mon.Server()
	w := b.mon.Work()
	var lanes []string
	for _, l := range w.Lanes {
		if l.Queued > 0 {
			lanes = append(lanes, fmt.Sprintf("%s %d", l.Lane, l.Queued))
		}
	}
	st := &p.status
	st.Version, st.Since, st.Ready, st.InFlight = version, since.UnixMilli(), b.mon.Ready() == nil, b.mon.InFlight()
	st.Running, st.Tickets, st.Queued, st.Lanes = w.Running, w.Tickets, w.Queued, strings.Join(lanes, ", ")
	now := time.Now()
	p.until = now.Add(max(b.refresh, share*now.Sub(began)))
	return p
}

// view is what one query shows of a picture.
type view struct {
	rows     []*row // in order, at most as many as asked for
	matching int
}

// view picks the first limit rows of q. It costs a look at every row, and
// sorting twice the limit now and then.
func (p *picture) view(q query, limit int) view {
	var v view
	order := q.order()
	for i := range p.rows {
		r := &p.rows[i]
		if !q.matches(r) {
			continue
		}
		v.matching++
		if v.rows = append(v.rows, r); len(v.rows) >= 2*limit {
			slices.SortFunc(v.rows, order)
			v.rows = v.rows[:limit]
		}
	}
	slices.SortFunc(v.rows, order)
	v.rows = v.rows[:min(limit, len(v.rows))]
	return v
}

// row returns the session with that reference, nil if it is not in the picture.
func (p *picture) row(ref string) *row {
	at := slices.IndexFunc(p.rows, func(r row) bool { return r.Ref == ref })
	if at < 0 {
		return nil
	}
	return &p.rows[at]
}

// alive reports whether a session is in the picture.
func (p *picture) alive(ref string) bool { return p.row(ref) != nil }
