package job

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Run is a job as its operation sees it. Its methods may be called from any
// goroutine; after the operation has returned they do nothing.
type Run struct {
	r       *Runner
	e       *entry
	seed    uint64
	attempt int
	input   json.RawMessage
	resume  json.RawMessage

	timer *time.Timer // sets e.due; owned by e.mu, nil until there is something to wait for
}

// dueAfter makes a checkpoint due after d, from now.
func (r *Run) dueAfter(d time.Duration) {
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case !e.runs:
	case r.timer == nil:
		r.timer = time.AfterFunc(d, func() { e.due.Store(true) })
	default:
		r.timer.Reset(d)
	}
}

// rest stops the timer.
func (r *Run) rest() {
	r.e.mu.Lock()
	defer r.e.mu.Unlock()
	if r.timer != nil {
		r.timer.Stop()
	}
}

// ID returns the job's id.
func (r *Run) ID() ID { return r.e.id }

// Seed returns the job's seed, the same in every attempt.
func (r *Run) Seed() uint64 { return r.seed }

// Input returns what the job was started with, the same in every attempt.
func (r *Run) Input() json.RawMessage { return r.input }

// Attempt returns which attempt this is, from 1.
func (r *Run) Attempt() int { return r.attempt }

// Resume returns the checkpoint to go on from, or false if there is none and
// the operation begins at the beginning.
func (r *Run) Resume() (json.RawMessage, bool) { return r.resume, r.resume != nil }

// Stop returns a channel that is closed when the process wants to stop. The
// operation should then save a checkpoint and return ErrCheckpointed, or finish
// if that is quicker; its context ends when the patience for that is over.
func (r *Run) Stop() <-chan struct{} { return r.r.stop }

// Due reports whether a checkpoint would be written now: Config.CheckpointEvery
// has passed since the last one, or the process wants to stop. It costs two
// atomic loads, so that a loop can ask each time.
func (r *Run) Due() bool { return r.e.due.Load() || r.r.stopping.Load() }

// Restartable says that the job may be run again after an interruption, from its
// last checkpoint, or from the beginning if it has none. That is in the store
// when it returns nil; for a job that was started late it is there as soon as
// anything of the job is, and its first checkpoint is due after
// Config.PersistAfter. It fails when the job was told to stop, except by a drain,
// and when the store fails.
func (r *Run) Restartable() error {
	if err := r.told(); err != nil {
		return err
	}
	e := r.e
	e.mu.Lock()
	if !e.runs {
		e.mu.Unlock()
		return errEnded
	}
	before, quiet := e.rec.Resumable, e.unstored
	e.rec.Resumable = true
	e.mu.Unlock()
	switch {
	case quiet:
		r.dueAfter(r.r.cfg.PersistAfter)
	case !before:
		return r.r.save(e)
	}
	return nil
}

// Progress reports that done of total, 0 if unknown, is finished. Reports in
// quick succession are merged; a done below the last one does not count.
func (r *Run) Progress(done, total float64, message string) {
	e, at := r.e, now()
	e.mu.Lock()
	if !e.runs {
		e.mu.Unlock()
		return
	}
	e.rec.Progress.advance(done, total, message)
	e.rec.Updated = at
	note := Note{At: at, Progress: e.rec.Progress}
	if n := len(e.rec.Log); n > 0 && at.Before(e.noteUntil) {
		e.rec.Log[n-1] = note
		e.mu.Unlock()
		return
	}
	e.noteUntil = at.Add(r.r.cfg.ProgressEvery)
	if len(e.rec.Log) == maxNotes {
		copy(e.rec.Log, e.rec.Log[1:])
		e.rec.Log[maxNotes-1] = note
	} else {
		e.rec.Log = append(e.rec.Log, note)
	}
	job, quiet := e.rec.Brief(), e.unstored
	e.mu.Unlock()
	if !quiet {
		r.r.tell(EventProgress, job, true)
	}
}

// Partial sets the best result so far, which the owner can see. It is stored
// with whatever is written of the job next. It fails when the data is too large
// or not JSON, and when the job was told to stop.
func (r *Run) Partial(data json.RawMessage) error {
	if err := r.accepts("partial result", data, r.r.cfg.MaxPartial); err != nil {
		return err
	}
	e := r.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.runs {
		return errEnded
	}
	e.rec.Partial, e.rec.Updated = bytes.Clone(data), now()
	return nil
}

// Checkpoint sets the state from which the operation can go on. If one is Due it
// is in the store when Checkpoint returns nil; otherwise it is kept in memory
// and written with whatever is written of the job next. It fails when the data
// is too large or not JSON, when the job was told to stop, except by a drain,
// and when the store fails, which the operation may take lightly.
func (r *Run) Checkpoint(data json.RawMessage) error {
	if err := r.accepts("checkpoint", data, r.r.cfg.MaxCheckpoint); err != nil {
		return err
	}
	e, at := r.e, now()
	e.mu.Lock()
	if !e.runs {
		e.mu.Unlock()
		return errEnded
	}
	last := &e.rec.Checkpoint
	last.At, last.Steps, last.Data = at, last.Steps+1, bytes.Clone(data)
	e.rec.Stalled, e.rec.Updated = 0, at
	e.mu.Unlock()
	if !r.Due() {
		return nil
	}
	if err := r.r.secure(e); err != nil {
		return err
	}
	if err := r.r.save(e); err != nil {
		return err
	}
	r.r.counters.checkpoints.Add(1)
	e.due.Store(false)
	r.dueAfter(r.r.cfg.CheckpointEvery)
	return nil
}

// accepts says why data cannot be taken. To be told so is to see that the job
// is canceled.
func (r *Run) accepts(what string, data json.RawMessage, limit int) error {
	if err := r.told(); err != nil {
		return err
	}
	if len(data) > limit {
		return coded(fault.TooLarge, "job_data_too_large", "the %s has %d bytes: the limit is %d", what, len(data), limit)
	}
	if !json.Valid(data) {
		return fault.Newf(fault.Internal, "the %s is not JSON", what)
	}
	return nil
}

// told returns why the job was told to stop, except by the end of the process.
func (r *Run) told() error {
	if cause := context.Cause(r.e.ctx); cause != nil && !stops(cause) {
		r.e.acknowledge()
		return cause
	}
	return nil
}

// stops reports whether cause is the end of the process, which an operation may
// still prepare for.
func stops(cause error) bool {
	return errors.Is(cause, ErrDraining) || errors.Is(cause, ErrClosed)
}

// watched is the context of an operation: it notices that the operation looks
// at its end, which is how a cancellation is known to be seen. Contexts derived
// from it are not watched, except those that only carry values.
type watched struct {
	context.Context
	e *entry
}

func (c watched) Err() error {
	err := c.Context.Err()
	if err != nil {
		c.e.acknowledge()
	}
	return err
}
