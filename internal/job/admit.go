package job

import (
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// tally is what one owner has. Its fields are owned by Runner.mu.
type tally struct {
	owner  session.Owner
	jobs   map[ID]*entry // those that can be found
	queue  []*entry      // in order of arrival
	counts [phases]int   // places reserved by a Start that is not through yet included
	bytes  int64         // of retained jobs
	ready  bool          // in Runner.ready
}

// reserve counts e in, running if there is a place and queued otherwise, or
// says which bound is reached. Nobody finds e yet.
func (r *Runner) reserve(e *entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return errStopping()
	}
	t := r.tallyLocked(e.owner)
	defer r.forgetLocked(t)
	if !e.quiet() { // room is asked for when it is kept
		if err := r.roomLocked(t); err != nil {
			return err
		}
	}
	e.tally = t
	if r.counts[running] < r.cfg.MaxRunning && t.counts[running] < r.cfg.MaxRunningPerOwner && len(t.queue) == 0 && len(r.ready) == 0 {
		e.mu.Lock()
		e.rec.move(Running, e.rec.Created)
		e.mu.Unlock()
		r.setPhaseLocked(e, running)
		return nil
	}
	switch {
	case t.counts[queued] >= r.cfg.MaxQueuedPerOwner:
		return busy(fault.RateLimited, "job_queue_full", time.Second,
			"%d of your jobs are waiting, and no more may: let some finish or cancel them", t.counts[queued])
	case r.counts[queued] >= r.cfg.MaxQueued:
		return busy(fault.Overloaded, "jobs_full", time.Second, "the server has too many waiting jobs: try again later")
	}
	r.setPhaseLocked(e, queued)
	return nil
}

// roomLocked says whether the owner, and all together, may keep another job.
func (r *Runner) roomLocked(t *tally) error {
	switch {
	case t.counts[retained] >= r.cfg.MaxRetainedPerOwner:
		return busy(fault.RateLimited, "jobs_retained", r.untilRoomLocked(t),
			"%d of your finished jobs are kept, and no more may: delete some, or wait until they expire", t.counts[retained])
	case t.bytes >= r.cfg.MaxRetainedBytesPerOwner:
		return busy(fault.RateLimited, "jobs_retained", r.untilRoomLocked(t),
			"your finished jobs hold %d bytes, and no more may: delete some, or wait until they expire", t.bytes)
	case r.counts[retained] >= r.cfg.MaxRetained || r.bytes >= r.cfg.MaxRetainedBytes:
		return busy(fault.Overloaded, "jobs_full", 10*time.Second, "the server keeps too many finished jobs: try again later")
	}
	return nil
}

// untilRoomLocked is how long it takes until one of the owner's finished jobs
// expires. It costs a step for each, and is for refusals.
func (r *Runner) untilRoomLocked(t *tally) time.Duration {
	var first time.Time
	for _, e := range t.jobs {
		if e.phase == retained && (first.IsZero() || e.dueAt.Before(first)) {
			first = e.dueAt
		}
	}
	if first.IsZero() {
		return time.Second
	}
	return first.Sub(now())
}

func errStopping() error {
	return busy(fault.Overloaded, "draining", time.Second, "the server is shutting down and starts no new jobs: try again")
}

// admit lets e be found and, if it has a place, run. It fails when a drain
// began since e was counted in.
func (r *Runner) admit(e *entry) error {
	start, err := r.enroll(e)
	if start != nil {
		start()
	}
	return err
}

// enroll is admit without the start of an e that has a place.
func (r *Runner) enroll(e *entry) (start func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return nil, errStopping()
	}
	r.insertLocked(e)
	if e.phase == running {
		return r.launchLocked(e, true), nil
	}
	e.tally.queue = append(e.tally.queue, e)
	r.dispatchLocked(e.tally)
	return nil, nil
}

func (r *Runner) insertLocked(e *entry) {
	e.tally.jobs[e.id] = e
	r.deadlines.push(e)
}

// giveUp takes back what reserve counted in, of an e that was never found, and
// removes what may have been stored of it.
func (r *Runner) giveUp(e *entry) {
	e.cancel(nil)
	r.mu.Lock()
	r.unindexLocked(e)
	r.setPhaseLocked(e, retained) // until nothing is stored
	r.dispatchLocked(e.tally)
	r.mu.Unlock()
	_ = r.erase(e) // tried again by the sweeper
}

// dispatchLocked starts what may run after something changed for t: owners take
// turns, and an owner's jobs go in order of arrival.
func (r *Runner) dispatchLocked(t *tally) {
	r.offerLocked(t)
	for !r.draining && len(r.ready) > 0 && r.counts[running] < r.cfg.MaxRunning {
		next := r.ready[0]
		r.ready[0] = nil
		r.ready = r.ready[1:]
		next.ready = false
		if !r.mayRunLocked(next) {
			continue
		}
		e := next.queue[0]
		next.queue = slices.Delete(next.queue, 0, 1)
		r.setPhaseLocked(e, running)
		e.mu.Lock()
		e.rec.move(Running, now())
		e.mu.Unlock()
		r.launchLocked(e, false)()
		r.offerLocked(next)
	}
}

func (r *Runner) mayRunLocked(t *tally) bool {
	return len(t.queue) > 0 && t.counts[running] < r.cfg.MaxRunningPerOwner
}

// offerLocked puts t at the end of the owners whose next job may run.
func (r *Runner) offerLocked(t *tally) {
	if !t.ready && r.mayRunLocked(t) {
		t.ready = true
		r.ready = append(r.ready, t)
	}
}

// setPhaseLocked is the one place where counts change.
func (r *Runner) setPhaseLocked(e *entry, next phase) {
	r.countLocked(e, -1)
	e.phase = next
	r.countLocked(e, +1)
	r.forgetLocked(e.tally)
}

func (r *Runner) countLocked(e *entry, by int) {
	if e.phase == uncounted {
		return
	}
	r.counts[e.phase] += by
	e.tally.counts[e.phase] += by
	if e.phase == retained {
		r.bytes += int64(by) * e.size
		e.tally.bytes += int64(by) * e.size
	}
}

// dequeueLocked takes e out of its owner's queue, if it is in it.
func (r *Runner) dequeueLocked(e *entry) {
	if i := slices.Index(e.tally.queue, e); i >= 0 {
		e.tally.queue = slices.Delete(e.tally.queue, i, i+1)
	}
}

func (r *Runner) tallyLocked(owner session.Owner) *tally {
	t := r.owners[owner]
	if t == nil {
		t = &tally{owner: owner, jobs: make(map[ID]*entry)}
		r.owners[owner] = t
	}
	return t
}

// forgetLocked drops the tally of an owner without anything.
func (r *Runner) forgetLocked(t *tally) {
	if len(t.jobs) == 0 && t.counts == [phases]int{} {
		delete(r.owners, t.owner)
	}
}
