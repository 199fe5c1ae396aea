package job

import (
	"context"
	"fmt"
	"time"
)

// Summary is what became of the jobs when the runner stopped.
type Summary struct {
	InFlight     int           // had a goroutine when it began to stop
	Queued       int           // waited then, and are left for the next process
	Finished     int           // of those in flight, ended by themselves, by request or by failing
	Checkpointed int           // of these, left queued by themselves
	Interrupted  int           // of these, stopped when the patience was over
	Lost         int           // of these, still running: they ignore their context
	Took         time.Duration // to stop
}

// Drain stops the runner: it refuses new jobs, starts no queued ones, asks the
// running ones to checkpoint (Run.Stop, Run.Due) and waits for them until ctx
// ends. Then it ends their contexts, with ErrDraining as the cause, and waits
// another Config.Grace; who runs on after that is counted as lost and logged.
// Finished jobs can be found as before; handles keep their choice.
func (r *Runner) Drain(ctx context.Context) Summary {
	sum, _ := r.halt(ctx, ErrDraining)
	return sum
}

// Close stops the runner without patience: it is a Drain that cancels at once,
// with ErrClosed as the cause. After it nothing is written to the store any
// more. It returns an error if jobs were lost, which the next process then finds
// as interrupted, or if writes failed for good. Closing twice is fine.
func (r *Runner) Close() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_, lost := r.halt(over, ErrClosed)
	for _, e := range r.entries() {
		if e.undecided() {
			r.detach(e)
		}
	}
	r.retry()
	return r.shut(lost)
}

// halt stops everything and returns what is still running.
func (r *Runner) halt(ctx context.Context, cause error) (Summary, []*entry) {
	began := time.Now()
	live, waiting := r.beginStop()
	sum := Summary{InFlight: len(live), Queued: waiting}
	left := await(ctx.Done(), live)
	for _, e := range left {
		e.cancel(cause)
	}
	if len(left) > 0 {
		grace, cancel := context.WithTimeout(context.Background(), r.cfg.Grace)
		left = await(grace.Done(), left)
		cancel()
	}
	for _, e := range left {
		r.log.Warn("job ignores its context", "job", e.id, "operation", e.snapshot().Operation)
	}
	sum.count(live)
	sum.Took = time.Since(began)
	r.endStop()
	r.log.Info("jobs stopped", "in_flight", sum.InFlight, "queued", sum.Queued, "finished", sum.Finished,
		"checkpointed", sum.Checkpointed, "interrupted", sum.Interrupted, "lost", sum.Lost, "duration_ms", sum.Took.Milliseconds())
	return sum, left
}

// count adds up how the jobs in flight ended.
func (s *Summary) count(live []*entry) {
	for _, e := range live {
		select {
		case <-e.exited:
		default:
			s.Lost++
			continue
		}
		e.mu.Lock()
		how := e.ending
		e.mu.Unlock()
		switch how {
		case endedCheckpointed:
			s.Checkpointed++
		case endedInterrupted:
			s.Interrupted++
		default:
			s.Finished++
		}
	}
}

// beginStop refuses new jobs, tells the running ones and whoever waits for a
// queued one, and returns what has a goroutine and how many wait.
func (r *Runner) beginStop() (live []*entry, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.draining {
		r.draining = true
		r.stopping.Store(true)
		close(r.stop)
	}
	for e := range r.live {
		live = append(live, e)
	}
	r.endIdleLocked()
	for _, t := range r.owners {
		for _, e := range t.queue {
			e.mu.Lock()
			wakeLocked(e.returned)
			wakeLocked(e.done)
			e.mu.Unlock()
			waiting++
		}
	}
	return live, waiting
}

func (r *Runner) endStop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.drained {
		r.drained = true
		close(r.over)
	}
}

// await waits until the goroutines of all are gone, or done is closed, and
// returns those that are left.
func await(done <-chan struct{}, all []*entry) (left []*entry) {
	for i, e := range all {
		select {
		case <-e.exited:
			continue
		case <-done:
		}
		for _, e := range all[i:] {
			select {
			case <-e.exited:
			default:
				left = append(left, e)
			}
		}
		return left
	}
	return nil
}

// entries returns every job that can be found.
func (r *Runner) entries() (all []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.owners {
		for _, e := range t.jobs {
			all = append(all, e)
		}
	}
	return all
}

// undecided reports whether e has ended and its handle has not chosen yet.
func (e *entry) undecided() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.hold == attached && e.final != nil
}

// shut ends the writes of the jobs that were lost, so that they do not meet a
// closed store, and says what went wrong.
func (r *Runner) shut(lost []*entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range lost {
		r.unindexLocked(e)
	}
	if failed := len(r.unsaved) + len(r.unerased); len(lost)+failed > 0 {
		return fmt.Errorf("close jobs: %d ignore their context, %d could not be written", len(lost), failed)
	}
	return nil
}
