package mcpserve

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// exampleTime is how long one example may compute.
const exampleTime = 2 * time.Second

// exampleSeed is the seed of examples that name none.
const exampleSeed = 1

// examples are the worked examples of one operation. Their results are what this
// very build computes: the first reader waits for that once, everybody after it
// gets the same bytes.
type examples struct {
	s      *Server
	tool   tools.Tool
	facade *tools.Facade

	turn chan struct{} // has room for one: whoever put a token in computes
	body atomic.Pointer[string]
}

func newExamples(s *Server, t tools.Tool, f *tools.Facade) *examples {
	return &examples{s: s, tool: t, facade: f, turn: make(chan struct{}, 1)}
}

type worked struct {
	Title     string          `json:"title"`
	Arguments json.RawMessage `json:"arguments"`
	Result    json.RawMessage `json:"result,omitempty"`
	Note      string          `json:"note,omitempty"`
}

type workedList struct {
	Operation string   `json:"operation"`
	Note      string   `json:"note"`
	Examples  []worked `json:"examples"`
}

// read returns the examples with their results. It computes them if nobody has
// read them yet: then it waits for a turn like a call of the reader's, unless the
// operation takes microseconds.
func (e *examples) read(ctx context.Context, q *query) (string, error) {
	if body := e.body.Load(); body != nil {
		return *body, nil
	}
	select {
	case e.turn <- struct{}{}:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	defer func() { <-e.turn }()
	if body := e.body.Load(); body != nil {
		return *body, nil
	}
	out := workedList{
		Operation: e.tool.Spec().Name,
		Note:      "Each result is what this server computed for the arguments, in a session of its own. Times and random ids differ from call to call.",
	}
	for _, ex := range e.tool.Spec().Examples {
		w := worked{Title: ex.Title, Arguments: json.RawMessage(ex.Arguments)}
		if e.tool.Spec().Scope != policy.Reason { // what is public must not do what a token may not
			w.Note = fmt.Sprintf("It was not run for this page: it needs the scope %s.", e.tool.Spec().Scope)
			out.Examples = append(out.Examples, w)
			continue
		}
		result, err := e.work(ctx, q, ex)
		if err != nil {
			return "", err
		}
		if most := e.s.cfg.MaxOutputBytes / (2 * len(e.tool.Spec().Examples)); len(result) > most {
			w.Note = fmt.Sprintf("Its result has %d bytes: too many for this page.", len(result))
		} else {
			w.Result = result
		}
		out.Examples = append(out.Examples, w)
	}
	b, err := encodeJSON(out)
	if err != nil {
		return "", err
	}
	text := string(b)
	e.body.Store(&text)
	return text, nil
}

// work runs one example on a session that is thrown away and returns its
// envelope, which may be one of a failure. It fails if nothing is known of the
// example but that the reader did not wait, or was not let in.
func (e *examples) work(ctx context.Context, q *query, ex tools.Example) (json.RawMessage, error) {
	spec := e.tool.Spec()
	dir := session.New(session.Config{MaxPerOwner: 1, Shards: 1}, nil)
	defer dir.Close()
	nobody := session.Owner{Subject: "example"}
	h, err := dir.Open(ctx, nobody, session.Params{})
	if err != nil {
		return nil, err
	}
	defer h.Release()
	t := &task{s: e.s, spec: spec, tool: e.tool, maxOutput: e.s.cfg.MaxOutputBytes} // nobody's policy: all see the same
	t.call = tools.Call{
		Session:   h,
		Principal: &identity.Principal{Subject: nobody.Subject, Scopes: []string{string(policy.Reason)}},
		Limits:    e.limits(),
	}
	req, err := e.facade.Decode(json.RawMessage(ex.Arguments))
	if err != nil {
		return nil, fmt.Errorf("example of %s: %w", spec.Name, err)
	}
	t.parameters = req.Parameters
	if req.Start(&t.call); t.call.SeedHint == nil {
		t.call.SeedHint = new(uint64(exampleSeed))
	}
	limited, cancel := context.WithTimeout(ctx, e.s.cfg.CallTimeout)
	defer cancel()
	if spec.Lane != work.Inline {
		p := q.in.principal
		ticket, err := e.s.Scheduler.Acquire(ctx, work.Claim{Tenant: p.Tenant, Subject: p.Issuer + "\x00" + p.Subject, Lane: spec.Lane})
		if err != nil {
			return nil, err
		}
		defer ticket.Release()
		t.call.Ticket = ticket
		ticket.Watch(limited)
	}
	result, err := t.guarded(limited)
	if ctx.Err() != nil { // it failed because nobody waits for it any more
		return nil, context.Cause(ctx)
	}
	env := t.call.Envelope(spec, result, err)
	env.SessionID, env.ExpiresAt = "", nil // of a session that nobody can use
	return env.Encode()
}

func (e *examples) limits() budget.Limits {
	l := e.s.cfg.Limits
	if l.Time <= 0 || l.Time > exampleTime {
		l.Time = exampleTime
	}
	return l
}
