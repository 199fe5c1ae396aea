package job

import "slices"

// State is where a job is in its life.
type State string

// The states. Completed, Failed and Canceled are final.
const (
	Queued      State = "queued"      // waits for a place, or for the next process
	Running     State = "running"     // its operation runs
	Completed   State = "completed"   // it has a result
	Failed      State = "failed"      // it has an error
	Canceled    State = "canceled"    // it was stopped on request
	Interrupted State = "interrupted" // the process stopped under it
)

// moves is the whole state machine: what each state may become. Saving a
// checkpoint is no move: the job goes on running.
var moves = map[State][]State{
	Queued:      {Running, Failed, Canceled},
	Running:     {Queued, Completed, Failed, Canceled, Interrupted},
	Interrupted: {Queued, Failed, Canceled},
	Completed:   nil,
	Failed:      nil,
	Canceled:    nil,
}

// States returns all states, for tables and metrics that list them.
func States() []State {
	return []State{Queued, Running, Completed, Failed, Canceled, Interrupted}
}

// CanBecome reports whether a job in state s may move to next.
func (s State) CanBecome(next State) bool { return slices.Contains(moves[s], next) }

// Final reports whether a job in state s will never change again.
func (s State) Final() bool {
	after, known := moves[s]
	return known && len(after) == 0
}

// known reports whether s is one of the states.
func (s State) known() bool {
	_, ok := moves[s]
	return ok
}
