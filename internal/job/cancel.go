package job

import (
	"context"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// Cancel asks the job id of owner to stop and returns it as it is then. A queued
// job is canceled at once and frees its place. A running one is told; Job.Cancel
// shows when it saw that and when it had stopped, and it may still complete. The
// request is in the store when Cancel returns, so that no other process goes on
// with the job. A job that is over stays as it is: asked is false.
func (r *Runner) Cancel(ctx context.Context, owner session.Owner, id ID) (job Job, asked bool, err error) {
	if err := ended(ctx); err != nil {
		return Job{}, false, err
	}
	r.mu.Lock()
	e := r.findLocked(owner, id)
	if e == nil {
		r.mu.Unlock()
		r.counters.misses.Add(1)
		return Job{}, false, errMiss
	}
	at := r.cancelLocked(e)
	r.mu.Unlock()

	switch at {
	case running:
		e.cancel(ErrCanceled)
		_ = r.save(e) // it is in effect here; tried again by the sweeper
	case queued:
		e.cancel(ErrCanceled)
		if r.handOver(e) == attached {
			_ = r.save(e) // the request; the end is its handle's
		}
	default:
		return e.over(ctx), false, nil
	}
	return e.snapshot(), true, nil
}

// cancelLocked notes the request and returns where it found the job: running,
// queued, by now canceled, or retained. The caller holds r.mu.
func (r *Runner) cancelLocked(e *entry) phase {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.final != nil {
		return retained
	}
	e.requestLocked(now())
	if e.phase == queued {
		r.concludeLocked(e, verdict{state: Canceled, status: statusCanceled, err: ErrCanceled})
		return queued
	}
	return running
}

// over returns a job that has ended. If that is being stored, it waits for it
// or for ctx.
func (e *entry) over(ctx context.Context) Job {
	e.mu.Lock()
	kept := e.hold == detached
	brief := e.final.Brief()
	e.mu.Unlock()
	if !kept {
		return brief // its result belongs to its handle
	}
	select {
	case <-e.done:
	case <-ctx.Done():
	}
	return e.snapshot()
}

// Delete forgets the job id of owner, which must be over. A job that is not is a
// Conflict.
func (r *Runner) Delete(ctx context.Context, owner session.Owner, id ID) error {
	e, err := r.find(ctx, owner, id)
	if err != nil {
		return err
	}
	if !r.drop(e) {
		return coded(fault.Conflict, "job_not_finished", "the job has not finished: cancel it first")
	}
	return r.erase(e)
}

// drop makes e unfindable if it is seen to be over.
func (r *Runner) drop(e *entry) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.mu.Lock()
	over := e.rec.State.Final()
	e.mu.Unlock()
	if over {
		r.unindexLocked(e)
	}
	return over
}
