package session

import (
	"context"
	"sync"
	"time"
)

const (
	// sweepBatch bounds how many sessions one hold of a shard's lock looks at.
	sweepBatch = 256
	// warmFor is how long an idle session keeps the decoded form of its state
	// beside the encoded one.
	warmFor = 2 * time.Minute
)

// Run ends expired sessions until ctx is done, then returns nil. It wakes every
// Config.SweepEvery and runs the teardown hooks of what it ends itself. With a
// store it also writes behind, every Config.FlushEvery, and takes the state of
// idle sessions out of memory. A directory needs one Run.
func (d *Directory) Run(ctx context.Context) error {
	if d.keep != nil {
		var keeping sync.WaitGroup
		keeping.Go(func() { d.keep.run(ctx) })
		defer keeping.Wait()
	}
	t := time.NewTicker(d.cfg.SweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for _, s := range d.shards {
			for s.sweepStep() {
				if ctx.Err() != nil {
					return nil
				}
			}
		}
	}
}

// sweepStep looks at up to sweepBatch sessions that are due and reports whether
// there may be more.
func (s *shard) sweepStep() (more bool) {
	ends, cool, told, more := s.sweep(sweepBatch)
	s.dir.notify(told)
	for _, st := range cool {
		st.cool()
	}
	finishAll(ends)
	return more
}

func (s *shard) sweep(limit int) (ends []parting, cool []*state, told []notice, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.dir.now()
	for range limit {
		e := s.deadlines.first()
		if e == nil || e.due > now {
			return ends, cool, told, false
		}
		if why, over := e.expiredLocked(now); over {
			ends = append(ends, s.leaveLocked(e, why, now))
			continue
		}
		told = s.pruneGrantsLocked(e, now, told)
		if st := e.state.Load(); st != nil && e.pins() == 0 && now >= e.lastUsed.add(warmFor) && st.warm.Swap(false) {
			cool = append(cool, st)
		}
		due := e.dueLocked(now)
		switch {
		case e.pins() > 0:
			s.touchLocked(e) // in use: the store's record must not expire
		case e.coldLocked(now):
			if s.freezeLocked(e) {
				due = e.dueLocked(now)
			} else {
				due = now.add(s.dir.cfg.SweepEvery)
			}
		}
		s.deadlines.set(e, due)
	}
	return ends, cool, told, true
}

// Close ends all sessions with ReasonShutdown and runs their teardown hooks,
// also of those in use: it waits for no call and no stream, only for the hooks.
// Afterwards Open, Acquire and Delete fail with Unavailable. Closing twice is
// fine.
//
// With a store, that is not the end of a session: it is stored with its last
// use, and the next process restores it. What cannot be stored in time is
// logged; no commit is among that. The store stays open.
func (d *Directory) Close() {
	d.keep.lastGrants()
	for _, s := range d.shards {
		for s.closeStep() {
		}
	}
	d.keep.last()
}

// closeStep ends up to sweepBatch sessions and reports whether there may be
// more.
func (s *shard) closeStep() (more bool) {
	ends := s.shut(sweepBatch)
	finishAll(ends)
	return len(ends) > 0
}

func (s *shard) shut(limit int) (ends []parting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	now := s.dir.now()
	for _, own := range s.owners {
		for len(own.sessions) > 0 && len(ends) < limit {
			e := own.sessions[0]
			if e.pins() > 0 || !e.stored {
				s.touchLocked(e)
			}
			ends = append(ends, s.endLocked(e, ReasonShutdown, now))
		}
		if len(ends) == limit {
			break
		}
	}
	return ends
}

// finishAll finishes all partings, in order. A hook that panics does not keep
// the others from running.
func finishAll(all []parting) {
	if len(all) == 0 {
		return
	}
	defer finishAll(all[1:])
	all[0].finish()
}
