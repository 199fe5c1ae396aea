package job

import "sync/atomic"

// counters count since the start of the process.
type counters struct {
	started, completed, failed, canceled, interrupted atomic.Uint64
	delivered, abandoned, expired, refused, misses    atomic.Uint64
	recovered, checkpoints, storeErrors               atomic.Uint64
}

// end counts a job that is over.
func (c *counters) end(v verdict) {
	if v.interrupted {
		c.interrupted.Add(1)
	}
	switch v.state {
	case Completed:
		c.completed.Add(1)
	case Failed:
		c.failed.Add(1)
	case Canceled:
		c.canceled.Add(1)
	}
}

// Stats is what a runner holds and did, for metrics and pages.
type Stats struct {
	Running       int   // have a place
	Queued        int   // wait for one, or for the next process
	Retained      int   // are over and kept, or still to be removed from the store
	RetainedBytes int64 // of these
	Goroutines    int   // one for each run, those whose job is forgotten included
	Owners        int   // with a job
	Unsaved       int   // jobs whose last write failed

	// Since the start of the process.
	Started     uint64 // attempts
	Completed   uint64
	Failed      uint64
	Canceled    uint64
	Interrupted uint64 // runs that the end of the process stopped
	Recovered   uint64 // jobs taken over from another process, to run
	Delivered   uint64 // results given to the caller who waited
	Abandoned   uint64 // jobs whose caller went away
	Expired     uint64 // jobs forgotten because their time was over
	Refused     uint64 // starts
	Misses      uint64 // lookups that found nothing
	Checkpoints uint64 // written because they were due
	StoreErrors uint64
}

// Stats returns the numbers of now.
func (r *Runner) Stats() Stats {
	c := &r.counters
	st := Stats{
		Started: c.started.Load(), Completed: c.completed.Load(), Failed: c.failed.Load(), Canceled: c.canceled.Load(),
		Interrupted: c.interrupted.Load(), Recovered: c.recovered.Load(), Delivered: c.delivered.Load(),
		Abandoned: c.abandoned.Load(), Expired: c.expired.Load(), Refused: c.refused.Load(), Misses: c.misses.Load(),
		Checkpoints: c.checkpoints.Load(), StoreErrors: c.storeErrors.Load(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	st.Running, st.Queued, st.Retained = r.counts[running], r.counts[queued], r.counts[retained]
	st.RetainedBytes, st.Goroutines, st.Owners = r.bytes, len(r.live), len(r.owners)
	st.Unsaved = len(r.unsaved) + len(r.unerased)
	return st
}
