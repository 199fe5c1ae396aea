package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// execute makes one attempt. stored says that the store has it as running
// already; otherwise that is written first, so that no process ever takes an
// operation that has begun for one that has not. It returns w to the runner,
// unless the operation ended the goroutine it was given.
func (r *Runner) execute(e *entry, stored bool, w worker) {
	ended := true
	defer func() {
		if ended {
			w = nil
		}
		r.exit(e, w)
	}()
	if !stored {
		if err := r.save(e); err != nil {
			r.returned(e, nil, err)
			ended = false
			return
		}
	}
	r.attempt(e)
	ended = false
}

// attempt runs the operation once, unless it has to stop before.
func (r *Runner) attempt(e *entry) {
	fn, run, job := r.enter(e)
	if cause := context.Cause(e.ctx); cause != nil {
		r.returned(e, nil, cause)
		return
	}
	defer run.rest()
	r.counters.started.Add(1)
	if !e.quiet() { // else both when that is over
		run.dueAfter(r.cfg.CheckpointEvery)
		r.tell(EventStarted, job, true)
	}

	var result json.RawMessage
	var err error
	normal := false
	defer func() { // also when the operation panics or ends its goroutine
		if !normal {
			p := recover()
			r.log.Error("job panicked", "job", e.id, "operation", job.Operation, "panic", p, "stack", string(debug.Stack()))
			f := coded(fault.Internal, "job_panicked", "internal error")
			f.Err = fmt.Errorf("panic: %v", p)
			result, err = nil, f
		}
		r.returned(e, result, err)
	}()
	result, err = fn(watched{e.ctx, e}, run)
	normal = true
}

// enter opens the run's view of the job.
func (r *Runner) enter(e *entry) (RunFunc, *Run, Job) {
	e.due.Store(false)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.runs = true
	run := &Run{
		r: r, e: e, seed: e.rec.Seed, attempt: e.rec.Attempts, input: e.rec.Input, resume: e.rec.Checkpoint.Data,
	}
	return e.fn, run, e.rec.Brief()
}

// returned takes note of how an attempt ended, gives its place to the next job,
// and hands the result to whoever is to have it.
func (r *Runner) returned(e *entry, result json.RawMessage, err error) {
	cause := context.Cause(e.ctx)
	result, tooBad := r.acceptResult(e, result, err)
	if tooBad != nil {
		err = tooBad
	}
	r.mu.Lock()
	e.mu.Lock()
	e.runs = false
	v := judge(facts{
		result: result, err: err, cause: cause, requested: !e.rec.Cancel.Requested.IsZero(),
		resumable: e.rec.Resumable, stopping: r.draining, abandoned: e.hold == abandoned, gone: e.gone,
	})
	e.ending = v.ending()
	if v.parks() {
		r.parkLocked(e, v)
	} else {
		r.concludeLocked(e, v)
	}
	e.mu.Unlock()
	r.dispatchLocked(e.tally)
	r.mu.Unlock()
	e.cancel(nil) // frees its timer; whoever ended it before said why

	if !v.parks() {
		r.handOver(e)
		return
	}
	if r.secure(e) != nil {
		r.expose(e, nil) // the next process will say that it cannot go on
	}
	_ = r.save(e) // tried again by the sweeper and by Close
	e.mu.Lock()
	wakeLocked(e.done)
	wakeLocked(e.returned)
	e.mu.Unlock()
}

// acceptResult checks a result against what is kept.
func (r *Runner) acceptResult(e *entry, result json.RawMessage, err error) (json.RawMessage, error) {
	switch {
	case err != nil:
		return nil, nil
	case len(result) == 0:
		return json.RawMessage("null"), nil
	case len(result) > r.cfg.MaxResult:
		return nil, coded(fault.TooLarge, "job_result_too_large", "the result has %d bytes: the limit is %d", len(result), r.cfg.MaxResult)
	case !e.encodes && !json.Valid(result):
		return nil, errors.New("the operation's result is not JSON")
	}
	return result, nil
}

// facts is what is known when an attempt ends.
type facts struct {
	result    json.RawMessage
	err       error
	cause     error // of the end of its context, or nil
	requested bool  // its owner asked it to stop
	resumable bool
	stopping  bool // the process drains
	abandoned bool // its caller went away
	gone      bool // nobody can find it any more
}

// judge decides what an attempt that ended is. An operation that was told to
// stop and completed or failed otherwise in the meantime has completed or
// failed.
func judge(f facts) verdict {
	checkpointed := errors.Is(f.err, ErrCheckpointed)
	switch {
	case f.err == nil:
		return verdict{state: Completed, result: f.result}
	case checkpointed, f.cause != nil && stoppedBy(f.err, f.cause):
	default:
		return failed(f.err)
	}
	switch {
	case f.requested:
		return verdict{state: Canceled, status: statusCanceled, err: ErrCanceled}
	case f.abandoned:
		return verdict{state: Canceled, status: statusAbandoned, err: ErrAbandoned}
	case f.gone, errors.Is(f.cause, ErrExpired):
		return failed(ErrExpired)
	case checkpointed && !f.stopping:
		return failed(errUnasked)
	case checkpointed && !f.resumable:
		return failed(errUnresumable)
	case checkpointed:
		return verdict{state: Queued, status: statusCheckpointed}
	case f.resumable:
		return verdict{state: Interrupted, status: statusInterrupted, interrupted: true}
	}
	v := failed(f.cause)
	v.interrupted = true
	return v
}

func failed(err error) verdict {
	what := failure(err)
	return verdict{state: Failed, failure: what, status: what.Message, err: err}
}

// stoppedBy reports whether err says that the context ended.
func stoppedBy(err, cause error) bool {
	return errors.Is(err, cause) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) ||
		fault.KindOf(err) == fault.Canceled
}

func (v verdict) ending() ending {
	switch {
	case v.state == Queued:
		return endedCheckpointed
	case v.interrupted:
		return endedInterrupted
	}
	return endedFinal
}

// parkLocked leaves e for the next process. The caller holds both locks.
func (r *Runner) parkLocked(e *entry, v verdict) {
	e.rec.move(v.state, now())
	e.rec.StatusMessage = v.status
	if v.interrupted {
		e.rec.Stalled++
		r.counters.interrupted.Add(1)
	}
	r.setPhaseLocked(e, queued)
}

// concludeLocked ends e, whatever it was doing; what is seen changes when it is
// stored. The caller holds both locks and must call handOver without them.
func (r *Runner) concludeLocked(e *entry, v verdict) {
	final := endRecord(e.rec, now(), v, r.cfg.Retention)
	e.final, e.fn, e.heir = &final, nil, e.hold
	e.outcome = Outcome{State: v.state, Result: v.result, Err: v.err}
	e.size = final.size()
	r.dequeueLocked(e)
	if e.erased {
		r.setPhaseLocked(e, uncounted)
	} else {
		r.setPhaseLocked(e, retained)
	}
	r.counters.end(v)
}

// handOver brings the end of e to whoever held it when it ended: to the store if
// it was detached, to nobody if it was abandoned. A handle that still had the
// choice does that itself, whatever it has chosen by now. It returns who that was.
func (r *Runner) handOver(e *entry) hold {
	e.mu.Lock()
	heir := e.heir
	wakeLocked(e.returned)
	e.mu.Unlock()
	switch heir {
	case detached:
		r.settle(e)
	case abandoned:
		r.tellEnd(e)
	}
	return heir
}

// settle stores the end of a detached job and lets it be seen. Of the end and
// the detaching of a job, whichever comes last calls it.
func (r *Runner) settle(e *entry) {
	_ = r.save(e) // seen anyway, and tried again by the sweeper
	r.mu.Lock()
	e.mu.Lock()
	kept := !e.gone
	e.rec = *e.final
	if kept {
		e.dueAt = e.rec.Expires
		r.deadlines.fix(e)
	}
	wakeLocked(e.done)
	job := e.rec.Job
	e.mu.Unlock()
	r.mu.Unlock()
	r.tell(EventFinished, job, kept)
}

// tellEnd tells that a job is over that nobody can find.
func (r *Runner) tellEnd(e *entry) {
	if !e.quiet() {
		r.tell(EventFinished, e.last(), false)
	}
}

// last returns how a job that has ended did, for telling.
func (e *entry) last() Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.final.Job
}
