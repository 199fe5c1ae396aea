package api

import (
	"context"
)

// GetStatus implements StrictServerInterface. It costs a look at every session.
func (s rest) GetStatus(ctx context.Context, _ GetStatusRequestObject) (GetStatusResponseObject, error) {
	version, since := s.Monitor.Server()
	st := Status{Version: version, Since: since.UTC(), Ready: s.Ready() == nil, InFlight: s.Monitor.InFlight(), Queue: s.queue()}
	c := &st.Sessions
	for info := range s.Monitor.Sessions() {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		c.Total++
		switch kindOf(info) {
		case Reasoning:
			c.Reasoning++
		case Transport:
			c.Transport++
		}
		switch State(info.State) {
		case Active:
			c.Active++
		case Idle:
			c.Idle++
		case Draining:
			c.Draining++
		}
	}
	return GetStatus200JSONResponse(st), nil
}

func (s rest) queue() Queue {
	w := s.Monitor.Work()
	q := Queue{
		Tickets: w.Tickets, Running: w.Running, Queued: w.Queued, Resuming: w.Resuming, OldestWaitMs: w.OldestWait.Milliseconds(), Lanes: []Lane{},
	}
	for _, l := range w.Lanes {
		q.Lanes = append(q.Lanes, Lane{Lane: l.Lane.String(), Running: l.Running, Queued: l.Queued, Resuming: l.Resuming})
	}
	return q
}
