package job

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// hold is who may have an entry's result.
type hold uint8

const (
	attached  hold = iota // its handle
	detached              // its owner, by id
	delivered             // its handle had it
	abandoned             // nobody
)

// phase is what an entry counts as.
type phase uint8

const (
	uncounted phase = iota
	queued          // waits for a place, or for the next process
	running         // has a place
	retained        // is over, and still here or in the store
	phases
)

// ending is how a run came to an end, for the summary of a drain.
type ending uint8

const (
	unended ending = iota
	endedFinal
	endedCheckpointed
	endedInterrupted
)

// entry is one job in this process.
type entry struct {
	id      ID
	owner   session.Owner
	tally   *tally
	created time.Time
	encodes bool            // Spec.Encodes
	changed bool            // by its recovery; the store does not have it like that
	ctx     context.Context // the run's, as the runner sees it
	cancel  context.CancelCauseFunc

	// turn has room for one: whoever put a token in may write the record. Waiting
	// for it can end with a context, which a mutex cannot.
	turn chan struct{}

	returned chan struct{} // closed when the handle need not wait any longer
	done     chan struct{} // closed when the owner need not wait any longer
	exited   chan struct{} // closed when the goroutine is gone

	due     atomic.Bool // it is time for a checkpoint
	acked   atomic.Bool // the run saw its cancellation
	pending atomic.Bool // a cancellation may be seen

	// Owned by Runner.mu.
	phase  phase
	size   int64 // bytes it counts for while retained
	place  int   // among the deadlines
	dueAt  time.Time
	erased bool // not in the store any more

	// gone says that nobody finds it and that it is written no more. Written
	// under Runner.mu and mu, read under either.
	gone bool

	mu sync.Mutex
	// Owned by mu.
	fn        RunFunc // nil when it will not run any more
	unstored  bool    // nobody was told of it, and the store has nothing of it
	late      func() (json.RawMessage, error)
	rec       Record  // what is seen
	final     *Record // how it ended; seen once it is stored
	outcome   Outcome // for the handle, when final is set
	hold      hold
	heir      hold // what hold was when final was set
	runs      bool // the operation is inside its function
	ending    ending
	noteUntil time.Time // reports until then change the last note
}

// wakeLocked closes a channel of an entry that may be closed already. The caller
// holds the entry's mu.
func wakeLocked(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// snapshotLocked returns what may be seen of the job.
func (e *entry) snapshotLocked() Job { return e.rec.own() }

func (e *entry) snapshot() Job {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.snapshotLocked()
}

// toStore returns what the store should hold of the job, or false if nothing.
func (e *entry) toStore() (Record, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone || e.unstored {
		return Record{}, false
	}
	rec := e.rec
	if e.final != nil && e.hold == detached {
		rec = *e.final
	}
	rec.Job = rec.own()
	return rec, true
}

// quiet reports whether nobody was told of e, and nothing is stored of it.
func (e *entry) quiet() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.unstored
}

// acknowledge notes that the run saw its cancellation.
func (e *entry) acknowledge() {
	if !e.pending.Load() || e.acked.Swap(true) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := &e.rec.Cancel; e.runs && !c.Requested.IsZero() && c.Acknowledged.IsZero() {
		c.Acknowledged = now()
	}
}

// requestLocked notes that the owner asked the job to stop.
func (e *entry) requestLocked(at time.Time) {
	if e.rec.Cancel.Requested.IsZero() {
		e.rec.Cancel.Requested, e.rec.Updated = at, at
		e.pending.Store(true)
	}
}

// endRecord is how rec looks when it ended now in the given state. What only a
// running job needs is dropped.
func endRecord(rec Record, at time.Time, v verdict, retention time.Duration) Record {
	rec.move(v.state, at)
	rec.Cancel.stopped(at)
	rec.Result, rec.Error, rec.StatusMessage = v.result, v.failure, v.status
	rec.Input, rec.Checkpoint.Data = nil, nil
	if v.state == Completed {
		rec.Partial = nil
	}
	if end := at.Add(retention); end.Before(rec.Expires) {
		rec.Expires = end
	}
	return rec
}

// recordCost is what a retained job counts for besides its JSON.
const recordCost = 512

func (r *Record) size() int64 {
	n := recordCost
	for _, blob := range r.blobs() {
		n += len(*blob)
	}
	for i := range r.Log {
		n += len(r.Log[i].Message)
	}
	return int64(n)
}

// verdict is how a run ended.
type verdict struct {
	state       State // Queued and Interrupted leave the job for the next process
	result      json.RawMessage
	failure     Failure
	status      string
	err         error // what a caller that waits inline is told
	interrupted bool  // by the end of the process
}

func (v verdict) parks() bool { return !v.state.Final() }
