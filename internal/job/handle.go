package job

import (
	"context"
	"encoding/json"
	"time"
)

// Handle is the hold of whoever started a job on its result. Its methods may be
// called from any goroutine; of those that decide who has the result, the first
// one wins and the others do nothing.
type Handle struct {
	r *Runner
	e *entry
}

// Outcome is how a job ended, for the caller who waited for it.
type Outcome struct {
	State  State           // Completed, Failed or Canceled
	Result json.RawMessage // of a completed job
	Err    error           // of any other: what the operation returned, or why it was stopped
}

// ID returns the job's id.
func (h *Handle) ID() ID { return h.e.id }

// Job returns the job as it is. While the handle has the choice, a job whose
// run has ended still looks as if it ran.
func (h *Handle) Job() Job { return h.e.snapshot() }

// Inline waits up to limit for the job to end and then delivers its outcome,
// once: no record of the job is left, and nobody finds it any more. It returns
// false when the job has not ended by then, when it is left for the next
// process, when ctx ends first, and when the handle has no choice any more. The
// caller still has to choose then; Inline may be called again.
func (h *Handle) Inline(ctx context.Context, limit time.Duration) (Outcome, bool) {
	return h.InlineUntil(ctx, limit, nil)
}

// InlineUntil is Inline for a caller that wants to choose when wake is closed,
// too.
func (h *Handle) InlineUntil(ctx context.Context, limit time.Duration, wake <-chan struct{}) (Outcome, bool) {
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-h.e.returned:
		case <-timer.C:
		case <-wake:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return Outcome{}, false
	}
	return h.r.deliver(h.e)
}

// deliver gives the outcome of e to its handle, if it has one and the handle
// the choice.
func (r *Runner) deliver(e *entry) (Outcome, bool) {
	outcome, ok := r.claim(e)
	if !ok {
		return Outcome{}, false
	}
	// Before the caller has it: a process that dies in between has delivered
	// nothing and runs nothing twice.
	_ = r.erase(e) // tried again by the sweeper
	r.counters.delivered.Add(1)
	r.tellEnd(e)
	return outcome, true
}

func (r *Runner) claim(e *entry) (Outcome, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.claimed() {
		return Outcome{}, false
	}
	r.unindexLocked(e)
	return e.outcome, true // final by now
}

func (e *entry) claimed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hold != attached || e.final == nil {
		return false
	}
	e.hold = delivered
	return true
}

// Keep puts a job that was started late into the store, so that its id may be
// told: call Detach then. It fails, and leaves the job as it is, when the owner
// or the runner keeps too many finished jobs, when the input is too large, and
// when the store fails; Inline goes on in any case.
func (h *Handle) Keep() error {
	if err := h.r.makeRoom(h.e); err != nil {
		return err
	}
	if err := h.r.secure(h.e); err != nil {
		return err
	}
	return h.r.save(h.e)
}

// makeRoom says whether e, if it was started late, may be kept.
func (r *Runner) makeRoom(e *entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !e.quiet() {
		return nil
	}
	return r.roomLocked(e.tally)
}

// Detach makes the job one that its owner finds by id, and returns it. If it has
// ended, that is in the store before Detach returns.
func (h *Handle) Detach() Job {
	h.r.detach(h.e)
	return h.e.snapshot()
}

func (r *Runner) detach(e *entry) {
	quiet := e.quiet()
	if r.secure(e) != nil {
		r.expose(e, nil)
	}
	e.mu.Lock()
	first := e.hold == attached
	if first {
		e.hold = detached
		wakeLocked(e.returned)
	}
	ended := e.final != nil
	e.mu.Unlock()
	switch {
	case first && ended:
		r.settle(e)
	case first && quiet:
		_ = r.save(e) // tried again by the sweeper
	}
}

// Abandon stops the job, because its caller went away and nobody else knows it.
// No record is left, and nobody finds it any more; a run counts until it has
// stopped.
func (h *Handle) Abandon() {
	r, e := h.r, h.e
	r.mu.Lock()
	ok, ended := r.abandonLocked(e)
	r.mu.Unlock()
	if !ok {
		return
	}
	r.counters.abandoned.Add(1)
	e.cancel(ErrAbandoned)
	_ = r.erase(e) // tried again by the sweeper
	if ended {
		r.tellEnd(e)
	}
}

// abandonLocked takes e from its handle and reports whether that was so, and
// whether e has ended. The caller holds r.mu.
func (r *Runner) abandonLocked(e *entry) (ok, ended bool) {
	e.mu.Lock()
	if e.hold != attached {
		e.mu.Unlock()
		return false, false
	}
	e.hold = abandoned
	wakeLocked(e.returned)
	if e.final == nil && e.phase == queued {
		r.concludeLocked(e, verdict{state: Canceled, status: statusAbandoned, err: ErrAbandoned})
	}
	ended = e.final != nil
	e.mu.Unlock()
	r.unindexLocked(e)
	return true, ended
}
