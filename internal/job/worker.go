package job

// maxIdleWorkers bounds the goroutines that wait for a job. A burst beyond it
// starts new ones and ends them afterwards.
const maxIdleWorkers = 64

// launch is a job for a worker. stored says that the store has it as running
// already.
type launch struct {
	e      *entry
	stored bool
}

// worker is a goroutine that runs jobs, one after the other: most calls take a
// millisecond, and a new goroutine for each would spend a good part of that
// growing its stack.
type worker chan launch // has room for one, so that handing over never blocks

// launchLocked picks a goroutine for e: the worker that came free last, whose
// stack is still in the cache, or a new one. The caller hands it over with start,
// best without the lock: to wake somebody takes as long as the rest.
func (r *Runner) launchLocked(e *entry, stored bool) (start func()) {
	r.live[e] = struct{}{}
	l := launch{e, stored}
	if n := len(r.idle); n > 0 {
		w := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return func() { w <- l }
	}
	return func() { go r.work(make(worker, 1), l) } // Drain and Close wait for e.exited, endIdleLocked ends the others
}

// work runs l and then what it is handed, until it is not needed any more.
func (r *Runner) work(w worker, l launch) {
	for {
		r.execute(l.e, l.stored, w)
		var more bool
		if l, more = <-w; !more {
			return
		}
	}
}

// exit says that e has no goroutine any more. Its worker, if it can go on, waits
// for the next job.
func (r *Runner) exit(e *entry, w worker) {
	r.mu.Lock()
	delete(r.live, e)
	if w != nil {
		if len(r.idle) < maxIdleWorkers && !r.draining {
			r.idle = append(r.idle, w)
		} else {
			close(w)
		}
	}
	r.mu.Unlock()
	close(e.exited)
}

// endIdleLocked ends the workers that wait. Those that still run end by
// themselves, because the runner is draining.
func (r *Runner) endIdleLocked() {
	for _, w := range r.idle {
		close(w)
	}
	r.idle = nil
}
