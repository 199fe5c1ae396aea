package mcpserve

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/session"
)

// tellTasksEvery is how soon a listening client hears of a task's new status.
const tellTasksEvery = 250 * time.Millisecond

// taskWatch is what one stream tells of tasks. It belongs to the goroutine of the
// stream. It looks at its tasks now and then: so what many changes come to is told
// once, and a task costs nothing by being watched.
type taskWatch struct {
	owner session.Owner
	ids   []job.ID          // that have not ended
	told  map[job.ID]string // what was told last, but for times
	tick  *time.Ticker      // nil when there is nothing to watch
}

// wantedTasks returns the tasks that a subscriptions/listen names and that are
// the caller's, each once.
func (s *Server) wantedTasks(ctx context.Context, in *incoming, m *message) (*taskWatch, error) {
	w := &taskWatch{owner: in.owner, told: map[job.ID]string{}}
	raw := memberOf(m.param("notifications"), "taskIds")
	if raw == nil {
		return w, nil
	}
	if !declaresTasks(m.meta.capabilities) {
		return nil, undeclared(errNeedTasks)
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) > s.cfg.MaxSubscriptions {
		return nil, badParams("params.notifications.taskIds must be an array of strings, not too long")
	}
	for _, item := range list {
		if !isString(item) {
			return nil, badParams("params.notifications.taskIds must be an array of strings, not too long")
		}
		id := job.ID(jsonscan.String(item))
		if slices.Contains(w.ids, id) || !policy.Allows(in.principal, policy.Reason) {
			continue
		}
		_, err := s.Jobs.Wait(ctx, in.owner, id, 0)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue // it is not in the acknowledgement, whatever the cause
		}
		if err != nil {
			return nil, err
		}
		w.ids = append(w.ids, id)
	}
	return w, nil
}

// begin starts the watch; stop ends it.
func (w *taskWatch) begin() (stop func()) {
	if w == nil || len(w.ids) == 0 {
		return func() {}
	}
	w.tick = time.NewTicker(tellTasksEvery)
	return w.tick.Stop
}

// due returns when to look, nil if never.
func (w *taskWatch) due() <-chan time.Time {
	if w == nil || w.tick == nil || len(w.ids) == 0 {
		return nil
	}
	return w.tick.C
}

// tellTasks sends the tasks whose status has changed. A task that has ended, or
// that nobody finds any more, is not looked at again.
func (s *Server) tellTasks(ctx context.Context, st *reply.Stream, w *taskWatch, id json.RawMessage) error {
	var live []job.ID
	for _, taskID := range w.ids {
		j, err := s.Jobs.Wait(ctx, w.owner, taskID, 0)
		if err != nil {
			continue
		}
		v := s.viewTask(j)
		if !j.State.Final() {
			live = append(live, taskID)
		}
		said := v.Status + "\x00" + v.StatusMessage + "\x00" + string(v.InputRequests)
		if w.told[taskID] == said {
			continue
		}
		w.told[taskID] = said
		body, err := encodeJSON(v)
		if err != nil {
			return err
		}
		b := append([]byte(`{"jsonrpc":"2.0","method":"notifications/tasks","params":`), body[:len(body)-1]...)
		b = appendTagged(append(b, ','), id)
		if err := st.Send(append(b, "}}"...)); err != nil {
			return err
		}
	}
	w.ids = live
	return nil
}
