package job

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
)

// RunFunc is an operation. It returns the job's result, a JSON text, or why
// there is none: the text of a fault.Error is shown to the owner. Its context
// ends when the job has to stop and belongs to no request; it carries none of a
// request's values, so that a run resumed in another process sees the same.
type RunFunc func(ctx context.Context, r *Run) (json.RawMessage, error)

// Spec is a job to start.
type Spec struct {
	Owner     session.Owner
	Operation string // at most 128 bytes
	SessionID session.ID
	Input     json.RawMessage // what a later process needs to run it again; may be empty
	Seed      uint64
	TTL       time.Duration // from now; 0 is Config.MaxTTL, which is the ceiling
	Resumable bool          // may be run again, from its last checkpoint, after an interruption

	// Late, instead of Input, starts a job that costs no write before somebody is
	// told of it: it is put into the store by Handle.Keep or Handle.Detach, by its
	// first due checkpoint, or when it is left for the next process. Until then
	// there are no events of it, and it takes no room among the kept jobs. Late
	// makes the input, when it is first stored, and makes durable what the input
	// refers to; it may be called more than once and from any goroutine. When it
	// fails, the job is not stored.
	Late func() (json.RawMessage, error)

	// Encodes says that what Run returns is JSON because it was just encoded, and
	// need not be parsed to see that.
	Encodes bool

	Run RunFunc
}

// Runner owns the jobs of one process. Its methods may be called from any
// goroutine.
type Runner struct {
	cfg   Config
	store Store
	bus   *event.Bus[Event] // may be nil
	log   *slog.Logger

	stopping atomic.Bool   // a drain has begun; set before stop is closed
	stop     chan struct{} // closed when a drain begins: Run.Stop
	over     chan struct{} // closed when a drain ends: nobody waits on

	counters counters

	mu sync.Mutex
	// Owned by mu.
	draining  bool
	drained   bool // over is closed
	owners    map[session.Owner]*tally
	counts    [phases]int
	bytes     int64               // of retained jobs
	ready     []*tally            // owners whose next job may run, in turn
	live      map[*entry]struct{} // those with a goroutine
	idle      []worker            // goroutines without a job, the last one first
	deadlines deadlines
	unsaved   map[*entry]struct{} // the store does not hold what it should
	unerased  map[*entry]struct{} // the store holds what it should not
}

// New returns a runner without jobs over store, which it does not close. It
// tells bus, if that is not nil, about jobs. Call Recover before the first
// Start and keep Run running; without Run nothing expires by itself, though an
// expired job is never found. New panics if cfg.Validate fails.
func New(cfg Config, store Store, bus *event.Bus[Event], log *slog.Logger) *Runner {
	if err := cfg.Validate(); err != nil {
		panic(err)
	}
	return &Runner{
		cfg: cfg.withDefaults(), store: store, bus: bus, log: log,
		stop: make(chan struct{}), over: make(chan struct{}),
		owners: make(map[session.Owner]*tally), live: make(map[*entry]struct{}),
		unsaved: make(map[*entry]struct{}), unerased: make(map[*entry]struct{}),
	}
}

// Start begins a job and returns its handle, which the caller must use up:
// Inline until it has the result, or Detach, or Abandon. The job is in the
// store before Start returns, unless it is Late, and runs at once if its owner and the runner have
// a place; otherwise it is queued. It goes on when ctx ends.
//
// Start fails with RateLimited at a bound of the owner, with Overloaded at a
// bound of the runner or during a drain, with Unavailable if the store fails,
// with Invalid or TooLarge for a bad spec.
func (r *Runner) Start(ctx context.Context, spec Spec) (*Handle, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	if err := r.check(&spec); err != nil {
		return nil, err
	}
	e := r.newEntry(r.newRecord(spec), spec.Run, spec.Late)
	e.encodes = spec.Encodes
	if err := r.reserve(e); err != nil {
		r.counters.refused.Add(1)
		return nil, err
	}
	if spec.Late == nil {
		if err := r.save(e); err != nil {
			r.giveUp(e)
			return nil, err
		}
	}
	if err := r.admit(e); err != nil {
		r.counters.refused.Add(1)
		r.giveUp(e)
		return nil, err
	}
	return &Handle{r: r, e: e}, nil
}

// check reports what is wrong with spec, and fills in its TTL.
func (r *Runner) check(spec *Spec) error {
	switch {
	case spec.Owner.Subject == "":
		return fault.Newf(fault.Internal, "start job: the owner has no subject")
	case spec.Run == nil:
		return fault.Newf(fault.Internal, "start job: there is nothing to run")
	case spec.Operation == "" || len(spec.Operation) > maxOperation:
		return fault.Newf(fault.Internal, "start job: the operation's name has %d bytes, want 1 to %d", len(spec.Operation), maxOperation)
	case spec.TTL < 0 || spec.TTL > r.cfg.MaxTTL:
		return fault.Newf(fault.Invalid, "the TTL is %v: want more than 0 and at most %v, or leave it out", spec.TTL, r.cfg.MaxTTL)
	case spec.TTL == 0:
		spec.TTL = r.cfg.MaxTTL
	}
	return r.checkInput(spec.Input)
}

func (r *Runner) checkInput(input json.RawMessage) error {
	switch {
	case len(input) > r.cfg.MaxInput:
		return coded(fault.TooLarge, "job_input_too_large", "the input has %d bytes: the limit is %d", len(input), r.cfg.MaxInput)
	case len(input) > 0 && !json.Valid(input):
		return fault.Newf(fault.Invalid, "the input is not JSON")
	}
	return nil
}

func (r *Runner) newRecord(spec Spec) Record {
	at := now()
	return Record{
		Job: Job{
			ID: ID(session.NewObjectID(idPrefix)), Owner: spec.Owner, Operation: strings.Clone(spec.Operation), SessionID: spec.SessionID,
			Created: at, Updated: at, TTL: spec.TTL, Expires: at.Add(spec.TTL), Seed: spec.Seed, State: Queued, StatusMessage: statusQueued,
		},
		Input: slices.Clone(spec.Input), Resumable: spec.Resumable,
	}
}

// What the owner of a job that does not run is told.
const (
	statusQueued       = "waiting for a place"
	statusCheckpointed = "checkpointed: it goes on when the server is back"
	statusInterrupted  = "interrupted: it goes on from its last checkpoint when the server is back"
	statusRecovered    = "interrupted: waiting to go on from its last checkpoint"
	statusCanceled     = "canceled on request"
	statusAbandoned    = "stopped: its caller went away"
)

// newEntry makes an entry that nobody sees yet. late is Spec.Late. Such a job is
// only ended by the sweeper when its time to live is over: it spares a timer.
func (r *Runner) newEntry(rec Record, fn RunFunc, late func() (json.RawMessage, error)) *entry {
	e := &entry{
		id: rec.ID, owner: rec.Owner, created: rec.Created, rec: rec, fn: fn, dueAt: rec.Expires, place: noPlace, late: late, unstored: late != nil,
		turn: make(chan struct{}, 1), returned: make(chan struct{}), done: make(chan struct{}), exited: make(chan struct{}),
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	if late != nil {
		e.ctx, e.cancel = ctx, cancel
		return e
	}
	ctx, stop := context.WithDeadlineCause(ctx, rec.Expires, ErrExpired)
	e.ctx = ctx
	e.cancel = func(cause error) {
		cancel(cause) // first: it says why
		stop()
	}
	return e
}

// find returns the job id of owner. One lookup, whatever is asked for.
func (r *Runner) find(ctx context.Context, owner session.Owner, id ID) (*entry, error) {
	if err := ended(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.findLocked(owner, id); e != nil {
		return e, nil
	}
	r.counters.misses.Add(1)
	return nil, errMiss
}

func (r *Runner) findLocked(owner session.Owner, id ID) *entry {
	t := r.owners[owner]
	if t == nil {
		return nil
	}
	e := t.jobs[id]
	if e == nil || !now().Before(e.dueAt) {
		return nil
	}
	return e
}

// Get returns the job id of owner as it is. An id that is unknown, expired,
// deleted or somebody else's gives one and the same NotFound, code
// "job_unavailable", here and everywhere.
func (r *Runner) Get(ctx context.Context, owner session.Owner, id ID) (Job, error) {
	e, err := r.find(ctx, owner, id)
	if err != nil {
		return Job{}, err
	}
	return e.snapshot(), nil
}

// Wait returns the job as soon as it is over or left for the next process,
// at the latest after limit, as it is then. If ctx ends first, it returns why.
func (r *Runner) Wait(ctx context.Context, owner session.Owner, id ID, limit time.Duration) (Job, error) {
	e, err := r.find(ctx, owner, id)
	if err != nil {
		return Job{}, err
	}
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-e.done:
		case <-r.over:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return r.Get(ctx, owner, id)
}

// List returns the jobs of owner, oldest first, without their logs and their
// JSON. A job whose handle may still deliver its result is not among them.
func (r *Runner) List(owner session.Owner) []Job {
	var all []Job
	for _, e := range r.entriesOf(owner) {
		e.mu.Lock()
		if e.hold == detached {
			all = append(all, e.rec.Brief())
		}
		e.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b Job) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(string(a.ID), string(b.ID))
	})
	return all
}

func (r *Runner) entriesOf(owner session.Owner) []*entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.owners[owner]
	if t == nil {
		return nil
	}
	at := now()
	all := make([]*entry, 0, len(t.jobs))
	for _, e := range t.jobs {
		if at.Before(e.dueAt) {
			all = append(all, e)
		}
	}
	return all
}
