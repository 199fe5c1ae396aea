package job

import (
	"container/heap"
	"context"
	"time"
)

// sweepBatch bounds how many jobs one hold of the lock looks at, and how many
// writes are tried again in one round.
const sweepBatch = 128

// Run ends expired jobs and tries failed writes again until ctx is done, then
// returns nil. It wakes every Config.SweepEvery. A runner needs one Run.
func (r *Runner) Run(ctx context.Context) error {
	t := time.NewTicker(r.cfg.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for r.sweepStep() {
			if ctx.Err() != nil {
				return nil
			}
		}
		r.retry()
	}
}

// sweepStep ends up to sweepBatch expired jobs and reports whether there may be
// more.
func (r *Runner) sweepStep() (more bool) {
	due, ended := r.takeDue(sweepBatch)
	for _, e := range due {
		e.cancel(ErrExpired)
		_ = r.erase(e) // tried again by retry
	}
	for _, e := range ended {
		r.handOver(e)
	}
	return len(due) == sweepBatch
}

// takeDue makes up to limit expired jobs unfindable. A running one ends when its
// run returns; queued ones end now, and are returned once more as ended.
func (r *Runner) takeDue(limit int) (due, ended []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := now()
	for len(due) < limit {
		e := r.deadlines.first()
		if e == nil || at.Before(e.dueAt) {
			break
		}
		if e.phase == queued {
			e.mu.Lock()
			r.concludeLocked(e, failed(ErrExpired))
			e.mu.Unlock()
			ended = append(ended, e)
		}
		r.unindexLocked(e)
		r.counters.expired.Add(1)
		due = append(due, e)
	}
	return due, ended
}

// retry tries failed writes again. It stops at the first that fails: the store
// is still out.
func (r *Runner) retry() {
	unsaved, unerased := r.failedWrites(sweepBatch)
	for _, e := range unerased {
		if r.erase(e) != nil {
			return
		}
	}
	for _, e := range unsaved {
		if r.save(e) != nil {
			return
		}
	}
}

func (r *Runner) failedWrites(limit int) (unsaved, unerased []*entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	take := func(from map[*entry]struct{}) (some []*entry) {
		for e := range from {
			if len(some) == limit {
				break
			}
			some = append(some, e)
		}
		return some
	}
	return take(r.unsaved), take(r.unerased)
}

// deadlines is a min-heap of entries by dueAt. It has no lock.
type deadlines struct{ items []*entry }

// noPlace is the place of an entry that is not in the heap.
const noPlace = -1

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *deadlines) Len() int           { return len(h.items) }
func (h *deadlines) Less(i, j int) bool { return h.items[i].dueAt.Before(h.items[j].dueAt) }
func (h *deadlines) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].place, h.items[j].place = i, j
}

func (h *deadlines) Push(x any) {
	e := x.(*entry)
	e.place = len(h.items)
	h.items = append(h.items, e)
}

func (h *deadlines) Pop() any {
	n := len(h.items) - 1
	e := h.items[n]
	h.items[n] = nil
	h.items = h.items[:n]
	e.place = noPlace
	return e
}

func (h *deadlines) push(e *entry) { heap.Push(h, e) }
func (h *deadlines) fix(e *entry)  { heap.Fix(h, e.place) }

func (h *deadlines) first() *entry {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}

func (h *deadlines) remove(e *entry) {
	if e.place != noPlace {
		heap.Remove(h, e.place)
	}
}
