package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Recovery is what a runner found in its store.
type Recovery struct {
	Queued   int // go on: never begun, checkpointed, or interrupted and resumable
	Failed   int // could not go on
	Canceled int // had been asked to stop
	Retained int // were over already
	Expired  int // were forgotten
}

// Recover takes over the jobs that an earlier process left in the store. It is
// called once, before the first Start. resolve names the operation of a record,
// or returns false if there is none any more; it is asked for each job that could
// go on. A job goes on with its seed, from its last checkpoint; see the package
// comment for which do. Recover fails, and takes over nothing, when the store
// cannot be read.
func (r *Runner) Recover(ctx context.Context, resolve func(Record) (RunFunc, bool)) (Recovery, error) {
	var found Recovery
	var all []*entry
	var forget []key
	for rec, err := range r.store.All(ctx) {
		if err == nil && !rec.State.known() {
			err = fmt.Errorf("job %s is in the unknown state %q", rec.ID.Ref(), rec.State)
		}
		if err != nil {
			dismiss(all)
			return Recovery{}, storeDown("recover jobs", err)
		}
		if !now().Before(rec.Expires) {
			forget = append(forget, key{rec.Owner, rec.ID})
			continue
		}
		all = append(all, r.takeOver(rec, resolve, &found))
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(a.created.Compare(b.created), strings.Compare(string(a.id), string(b.id)))
	})
	if err := r.restore(all); err != nil {
		dismiss(all)
		return Recovery{}, err
	}
	for _, k := range forget {
		found.Expired++
		if err := r.store.Delete(ctx, k.owner, k.id); err != nil { // nobody finds it; the next process tries again
			r.log.Warn("job store failed", "job", k.id, "error", err)
		}
	}
	for _, e := range all {
		if e.changed {
			_ = r.save(e) // tried again by the sweeper
			r.tell(EventFinished, e.last(), true)
		}
	}
	r.log.Info("jobs recovered", "queued", found.Queued, "failed", found.Failed, "canceled", found.Canceled,
		"retained", found.Retained, "expired", found.Expired)
	return found, nil
}

// dismiss frees what entries that nobody will see hold.
func dismiss(all []*entry) {
	for _, e := range all {
		e.cancel(nil)
	}
}

// takeOver makes an entry of a record that another process wrote. Nobody sees
// it yet.
func (r *Runner) takeOver(rec Record, resolve func(Record) (RunFunc, bool), found *Recovery) *entry {
	over := rec.State.Final()
	rec, why := reclaim(rec, now(), r.cfg.MaxStalled)
	var fn RunFunc
	if !over && why == nil {
		var known bool
		if fn, known = resolve(rec.Clone()); !known || fn == nil {
			why = coded(fault.Unavailable, "operation_unavailable", "the operation of the job is not there any more")
		}
	}
	e := r.newEntry(rec, fn, nil)
	e.hold = detached
	switch {
	case over:
		found.Retained++
	case why == nil:
		found.Queued++
		if e.rec.State == Interrupted {
			e.rec.move(Queued, now())
			e.rec.StatusMessage = statusRecovered
		}
		return e
	case errors.Is(why, ErrCanceled):
		found.Canceled++
		r.endUnseen(e, verdict{state: Canceled, status: statusCanceled})
	default:
		found.Failed++
		r.endUnseen(e, failed(why))
	}
	e.cancel(nil) // it will not run
	e.final, e.size = &e.rec, e.rec.size()
	wakeLocked(e.done)
	wakeLocked(e.returned)
	return e
}

// reclaim says what the record of a process that is gone means: the record, with
// its interruption noted, and why its job cannot go on. The reason is nil if it
// can, or is over.
func reclaim(rec Record, at time.Time, maxStalled int) (Record, error) {
	if rec.State == Running {
		rec.move(Interrupted, at)
		rec.Stalled++
	}
	switch {
	case rec.State.Final():
		return rec, nil
	case !rec.Cancel.Requested.IsZero():
		return rec, ErrCanceled
	case rec.Stalled > maxStalled:
		return rec, coded(fault.Unavailable, "interrupted", "the job was interrupted %d times without a new checkpoint", rec.Stalled)
	case rec.Attempts > 0 && !rec.Resumable:
		return rec, ErrDraining
	}
	return rec, nil
}

// endUnseen ends an entry that nobody sees yet.
func (r *Runner) endUnseen(e *entry, v verdict) {
	e.rec = endRecord(e.rec, now(), v, r.cfg.Retention)
	e.fn, e.dueAt, e.changed = nil, e.rec.Expires, true
	r.counters.end(v)
}

// restore counts in what was taken over and runs what may run.
func (r *Runner) restore(all []*entry) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return errStopping()
	}
	for _, e := range all {
		if t := r.owners[e.owner]; t != nil && t.jobs[e.id] != nil {
			return fmt.Errorf("recover jobs: job %s is here already: recover once, before the first start", e.id.Ref())
		}
	}
	for _, e := range all {
		e.tally = r.tallyLocked(e.owner)
		if e.final != nil {
			r.setPhaseLocked(e, retained)
		} else {
			r.setPhaseLocked(e, queued)
			e.tally.queue = append(e.tally.queue, e)
			r.counters.recovered.Add(1)
		}
		r.insertLocked(e)
	}
	for _, e := range all {
		r.dispatchLocked(e.tally)
	}
	return nil
}
