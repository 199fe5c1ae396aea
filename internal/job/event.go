package job

import "time"

// EventKind says what happened to a job.
type EventKind string

// The kinds of events.
const (
	EventStarted  EventKind = "started"  // an attempt begins
	EventProgress EventKind = "progress" // it has come further; merged, and lossy
	EventFinished EventKind = "finished" // it is in a final state, once for a job
)

// Event tells that a job began, came further or is over. When EventFinished is
// told, the owner finds the job in its final state, unless Kept is false.
type Event struct {
	Kind EventKind
	At   time.Time
	Job  Job  // brief
	Kept bool // of EventFinished: it can be found; false if it was delivered inline, abandoned or expired
}

// tell publishes an event. The caller holds no lock.
func (r *Runner) tell(kind EventKind, j Job, kept bool) {
	e := Event{Kind: kind, At: j.Updated, Job: j.Brief(), Kept: kept}
	if kind == EventFinished && r.cfg.OnEnd != nil {
		r.cfg.OnEnd(e)
	}
	if r.bus != nil {
		r.bus.Publish(e)
	}
}
