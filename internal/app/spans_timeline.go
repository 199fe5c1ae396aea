package app

import (
	linked "container/list"
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/mcpserve"
	"github.com/lyceum-mcp/lyceum/session"
)

// timelineLength is how many moments of one session are kept.
const timelineLength = 64

// timelines keeps what happened in each session of late, for operators. Sessions
// in which nothing happened for longest make room. It is safe for concurrent use.
type timelines struct {
	most int // sessions

	mu    sync.Mutex
	byID  map[session.ID]*linked.Element
	order *linked.List // of *timeline, that with the newest moment in front
}

// timeline is the ring of one session's moments.
type timeline struct {
	id      session.ID
	moments []moment // grows to timelineLength, and then goes round
	next    int
}

// moment is one event or call, without texts of the client.
type moment struct {
	at        time.Time
	kind      string
	operation string
	outcome   string
	took      time.Duration
	trace     trace.TraceID
	request   string
}

func newTimelines(most int) *timelines {
	return &timelines{most: most, byID: map[session.ID]*linked.Element{}, order: linked.New()}
}

// add notes a moment. It costs a lock and a lookup.
func (t *timelines) add(id session.ID, m moment) {
	if t.most == 0 || id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byID[id]
	if e == nil {
		if len(t.byID) >= t.most {
			oldest := t.order.Back()
			delete(t.byID, oldest.Value.(*timeline).id)
			t.order.Remove(oldest)
		}
		e = t.order.PushFront(&timeline{id: id})
		t.byID[id] = e
	}
	t.order.MoveToFront(e)
	line := e.Value.(*timeline)
	if len(line.moments) < timelineLength {
		line.moments = append(line.moments, m)
		return
	}
	line.moments[line.next] = m
	line.next = (line.next + 1) % timelineLength
}

// called notes a call, when it began.
func (t *timelines) called(r *mcpserve.CallReport) {
	if t.most == 0 || r.Session == "" {
		return
	}
	t.add(r.Session, moment{at: r.Started, kind: "call", operation: r.Operation, outcome: r.Code(), took: r.Took, trace: r.Span.TraceID(), request: r.Request})
}

// jobEnded notes the end of a job that its owner knows.
func (t *timelines) jobEnded(e job.Event) {
	if e.Kept {
		t.add(e.Job.SessionID, moment{at: e.Job.Finished, kind: "job", operation: e.Job.Operation, outcome: string(e.Job.State), took: e.Job.Finished.Sub(e.Job.Created)})
	}
}

// of returns the moments of the session with that reference, the oldest first. It
// costs a digest for each session that is kept.
func (t *timelines) of(ref string) ([]api.Happening, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, e := range t.byID {
		if id.Ref() != ref {
			continue
		}
		line := e.Value.(*timeline)
		out := make([]api.Happening, 0, len(line.moments))
		for i := range line.moments {
			m := &line.moments[(line.next+i)%len(line.moments)]
			shown := api.Happening{At: m.at, Kind: m.kind, Operation: m.operation, Outcome: m.outcome, Took: m.took, Request: m.request}
			if m.trace.IsValid() {
				shown.Trace = m.trace.String()
			}
			out = append(out, shown)
		}
		return out, true
	}
	return nil, false
}

// observe lets metrics and timelines hear of the sessions of a directory, after
// those who heard of them already.
func (a *App) observe(kind string, cfg session.Config) session.Config {
	end, grant, begin := cfg.OnEnd, cfg.OnGrant, cfg.OnOpen
	times := a.watcher.times
	cfg.OnEnd = func(e session.Ending) {
		end(e)
		if kind == transport {
			a.meters.lived(e)
			return
		}
		times.add(e.ID, moment{at: e.At, kind: "ended", outcome: string(e.Reason)})
	}
	if kind == transport {
		return cfg
	}
	cfg.OnOpen = sessionOpened(begin, times)
	cfg.OnGrant = func(g session.GrantEvent) {
		grant(g)
		times.add(g.ID, moment{at: g.At, kind: string(g.Kind)})
	}
	return cfg
}

// sessionOpened notes openings that nobody refused.
func sessionOpened(next func(context.Context, session.Opening) error, times *timelines) func(context.Context, session.Opening) error {
	return func(ctx context.Context, o session.Opening) error {
		if err := next(ctx, o); err != nil {
			return err
		}
		times.add(o.ID, moment{at: o.At, kind: "opened"})
		return nil
	}
}
