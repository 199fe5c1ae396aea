package mcpserve

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/session"
)

// answerTime is how long the people whom a call asks may take, all in all.
const answerTime = 10 * time.Minute

// talk gives the task of the call its line to the client.
func (c *toolCall) talk(t *task) {
	t.line = c.line
	t.line.task = t
	t.call.Line = t.line
	if rd := c.line.brought; rd != nil && rd.kept.Seed != nil {
		t.call.SeedHint = rd.kept.Seed
	}
}

// resumes returns the session of the attempts before this one, "" if there is
// none.
func (c *toolCall) resumes() session.ID {
	if c.line.brought == nil {
		return ""
	}
	return c.line.brought.kept.Session
}

// wakes returns what ends the patience of the request: its connection is lost, or
// the tool wants to go on as a task. A client never has both.
func (c *toolCall) wakes() <-chan struct{} {
	switch {
	case c.lost != nil:
		return c.lost.Done()
	case c.line.tasks:
		return c.line.wanted
	}
	return nil
}

// holds reports whether a question is on the stream of the request, which then
// must not end. Where the stream has ended, so has the question.
func (c *toolCall) holds() bool {
	if c.lost != nil && c.lost.Err() != nil {
		c.line.hangUp()
	}
	return c.line.open.Load() > 0
}

// patience is the time that the task may run.
func (t *task) patience() time.Duration {
	if t.spec.Asks {
		return t.s.cfg.CallTimeout + answerTime
	}
	return t.s.cfg.CallTimeout
}

// becomesTask tells the line that its call has been stored. From now on there is
// no request.
func (l *callLine) becomesTask() {
	if l != nil {
		l.hangUp()
		l.keep()
	}
}

// storedLine is what a later process must know to show the questions of a task.
type storedLine struct {
	Tasks        bool            `json:"tasks,omitempty"`
	Capabilities json.RawMessage `json:"capabilities,omitempty"`
}

func (l *callLine) stored() *storedLine {
	if l == nil || !l.tasks {
		return nil
	}
	return &storedLine{Tasks: true, Capabilities: declared(l.capabilities)}
}

// restoreLine gives a task that an earlier process has left its line: nobody but
// who looks after the task can answer.
func (s *Server) restoreLine(t *task, stored *storedLine) {
	l := s.newLine(nil, nil)
	if stored != nil {
		l.tasks, l.capabilities = stored.Tasks, stored.Capabilities
	}
	l.task, t.line, t.call.Line = t, l, l
	l.becomesTask()
}

// takeAnswer gives an answer to the request of ours that it is for. One that
// comes too late, or for nothing, is taken and forgotten.
func (s *Server) takeAnswer(w http.ResponseWriter, r *http.Request, in *incoming, m *message) {
	h, _, ok := s.negotiated(w, r, in, nil)
	if !ok {
		return
	}
	defer h.Release()
	s.heard(r.Context(), h.ID(), m)
	w.WriteHeader(http.StatusAccepted)
}

// heard takes an answer that has come in a transport session.
func (s *Server) heard(ctx context.Context, id session.ID, m *message) {
	found := isString(m.id) && s.asked.take(askKey{id, jsonscan.String(m.id)}, m)
	s.Log.DebugContext(ctx, "answer", "found", found)
}
