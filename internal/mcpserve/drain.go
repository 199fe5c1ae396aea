package mcpserve

import (
	"context"
	"time"
)

// DrainReport is what became of what was in flight when the server stopped.
type DrainReport struct {
	Calls        int           // requests in flight
	Jobs         int           // runs in flight, those of the requests included
	Finished     int           // of the jobs, with a result or a failure of their own
	Checkpointed int           // of the jobs, saved to go on in the next process
	Cut          int           // of the jobs, stopped by us or still running: they ignore their context
	Canceled     int           // of the requests, ended by us
	Queued       int           // jobs left for the next process, not begun
	Took         time.Duration // to stop
}

// answerGrace is how long the requests of jobs that a drain has ended may take
// to send their answers.
const answerGrace = time.Second

// Drain stops taking new work and ends the standing streams, each with its final
// message. The jobs are asked to checkpoint; what runs goes on until ctx ends and
// is canceled then. The answers of what was in flight are written when Drain
// returns, but for calls that had to be canceled.
func (s *Server) Drain(ctx context.Context) DrainReport {
	began := time.Now()
	s.draining.Store(true)
	s.streams.endAll()
	r := DrainReport{Calls: s.calls.len()}
	sum := s.Jobs.Drain(ctx)
	r.Jobs, r.Finished, r.Checkpointed, r.Queued = sum.InFlight, sum.Finished, sum.Checkpointed, sum.Queued
	r.Cut = sum.Interrupted + sum.Lost
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerGrace)
	defer cancel()
	r.Canceled = s.awaitCalls(ctx, last)
	r.Took = time.Since(began)
	return r
}

// awaitCalls waits for the requests in flight until both contexts have ended,
// and returns how many it had to cancel then.
func (s *Server) awaitCalls(patience, last context.Context) (canceled int) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for s.calls.len() > 0 {
		<-tick.C
		if patience.Err() != nil && last.Err() != nil {
			return s.calls.cancelAll(errDrained)
		}
	}
	return 0
}
