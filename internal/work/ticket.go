package work

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// A Ticket is the right to compute on one core. It belongs to one goroutine:
// its methods must not be called concurrently. The methods of a nil Ticket do
// nothing, for work that needs no ticket.
//
// Yield may wait for others, so it must not be called with a lock held that a
// holder of a ticket may wait for.
type Ticket struct {
	s *Scheduler

	// Guarded by s.mu.
	job     job
	begun   bool            // it has had its first turn
	lost    bool            // see Run
	watch   int32           // counts the calls of Watch
	ended   int64           // when ctx was found to have ended during this turn; 0 is not
	ctx     context.Context // when it ends the call should be over; kept to find lost calls
	next    *Ticket         // in a chain of tickets to wake
	trial   *trial          // measures the call for the ceiling; made before the first turn, nil without
	refused *fault.Error    // why it was pushed out; set before the token that tells it

	lead *Ticket      // whom it helps, see Fan; nil if it is nobody's helper
	lane atomic.Int32 // where it and its helpers compute from their next turn on; see Move
	help atomic.Int64 // how long helpers that are done have held theirs

	turn chan struct{} // one token when the turn has come, or refused is set; made before the first wait

	// Owned by the goroutine that holds the ticket.
	held    bool
	began   int64 // when this turn began
	ran     int64 // in earlier turns
	calls   int   // of Yield until it next looks at the clock
	stride  int   // calls from look to look
	checked int64 // when it last looked
}

// maxStride bounds how many calls of Yield do not look at the clock, and so how
// late a turn ends when the steps of a loop suddenly get longer.
const maxStride = 16

// Yield is called in every long loop. At the end of a quantum it gives the turn
// up if another waits, and returns when its next turn has come. Otherwise it
// returns at once, in a few nanoseconds on average: where steps are short it
// looks at the clock and at ctx only at every sixteenth call.
//
// It fails only if ctx has ended, with the reason; then the ticket has been
// released.
func (t *Ticket) Yield(ctx context.Context) error {
	if t == nil {
		return nil
	}
	if t.calls--; t.calls > 0 {
		return nil
	}
	return t.look(ctx)
}

// look does what is due, and decides when to look again.
func (t *Ticket) look(ctx context.Context) error {
	if err := ended(ctx); err != nil {
		t.trial.drop()
		t.Release()
		return err
	}
	if !t.held {
		return nil
	}
	now := t.s.now()
	// A sixteenth of a quantum from look to look, as far as the past tells.
	quantum := t.s.quantum.Load()
	fit := int64(t.stride) * (quantum / 16) / max(now-t.checked, 1)
	t.stride = max(1, int(min(fit, int64(2*t.stride), maxStride)))
	t.calls, t.checked = t.stride, now
	if now-t.began < quantum || t.s.pressure.Load() == 0 {
		return nil
	}
	return t.giveWay(ctx, now)
}

// giveWay ends the turn and waits for the next one, which comes at once if the
// queue chooses t again.
func (t *Ticket) giveWay(ctx context.Context, now int64) error {
	s, used := t.s, now-t.began
	t.ran += used
	t.held = false
	s.mu.Lock()
	s.turns[t.job.lane].add(used)
	s.lost.returned(t)
	s.q.yield(&t.job, used, now, t.wants())
	return t.unlockAndWait(ctx, now)
}

// unlockAndWait is called with s.mu held and t queued for a further turn.
func (t *Ticket) unlockAndWait(ctx context.Context, now int64) error {
	s := t.s
	chain := s.dispatchLocked(now)
	again := t.job.state == running
	if !again {
		s.yields++
		if t.turn == nil {
			t.turn = make(chan struct{}, 1)
		}
	}
	s.mu.Unlock()
	wake(chain, t)
	if again {
		t.resume(now)
		return nil
	}
	t.trial.drop() // from now on the time would say how long others compute
	return t.await(ctx, now, 0, nil)
}

// rest gives the turn up while wait waits for goroutines that need turns of
// their own, and then waits for the next turn: to hold a core meanwhile could
// lock up all of them. Like Yield it fails only if ctx has ended.
func (t *Ticket) rest(ctx context.Context, wait func()) error {
	if t == nil || !t.held {
		wait()
		return nil
	}
	s := t.s
	now := s.now()
	used := now - t.began
	t.ran += used
	t.held = false
	t.trial.drop()
	s.mu.Lock()
	s.away++
	s.lost.returned(t)
	s.q.done(&t.job, used, now)
	chain := s.dispatchLocked(now)
	s.mu.Unlock()
	wake(chain, nil)

	wait()

	err := ended(ctx)
	now = s.now()
	s.mu.Lock()
	s.away--
	if err != nil {
		s.pressLocked()
		s.mu.Unlock()
		return err
	}
	s.q.back(&t.job, now, t.wants())
	return t.unlockAndWait(ctx, now)
}

// resume begins a turn.
func (t *Ticket) resume(now int64) {
	t.held = true
	t.began, t.checked = now, now
	t.calls, t.stride = 1, 1
	if t.trial != nil {
		t.trial.begin()
	}
}

// Release gives the ticket back. A second call does nothing.
func (t *Ticket) Release() {
	if t == nil || !t.held {
		return
	}
	t.held = false
	s := t.s
	now := s.now()
	used := now - t.began
	t.ran += used
	limit := t.trial.end()
	s.mu.Lock()
	s.turns[t.job.lane].add(used)
	s.lost.returned(t)
	if limit > 0 {
		s.adjustLocked(t.trial.ceiling, limit)
	}
	if t.job.helper {
		t.lead.help.Add(t.ran)
	} else {
		s.service[t.job.lane].add(t.ran)
	}
	s.q.done(&t.job, used, now)
	chain := s.dispatchLocked(now)
	s.mu.Unlock()
	wake(chain, nil)
}

// Ran returns how long the ticket has been held so far, waits excluded: the CPU
// time of a computation that does not block, where cores are not overbooked.
func (t *Ticket) Ran() time.Duration {
	switch {
	case t == nil:
		return 0
	case t.held:
		return time.Duration(t.ran + t.s.now() - t.began)
	}
	return time.Duration(t.ran)
}

// Used is Ran, and how long helpers that are done have held their tickets: the
// CPU time of a computation on several cores, once Fan has returned.
func (t *Ticket) Used() time.Duration {
	if t == nil {
		return 0
	}
	return t.Ran() + time.Duration(t.help.Load())
}

// Watch says that the call should be over when ctx ends, for a context with a
// deadline that was made after Acquire; until then it is the context of Acquire.
func (t *Ticket) Watch(ctx context.Context) {
	if t == nil {
		return
	}
	t.s.mu.Lock()
	t.ctx, t.ended = ctx, 0
	t.watch++
	t.s.mu.Unlock()
}

// Move says that the computation, and what helps it, belongs to another lane
// from its next turn on: a call whose caller has stopped waiting at the line can
// make room for those who do. It may be called from any goroutine. A lane that
// does not queue, or is none, is ignored.
func (t *Ticket) Move(lane Lane) {
	if t != nil && lane != Inline && lane < lanes {
		t.lane.Store(int32(lane))
	}
}

// wants returns the lane of the next turn.
func (t *Ticket) wants() Lane {
	if t.lead != nil {
		t = t.lead
	}
	return Lane(t.lane.Load())
}

// another waits for a further ticket on t's behalf, for as long as ctx lasts.
// The helper of a nil ticket needs none.
func (t *Ticket) another(ctx context.Context) (*Ticket, error) {
	if t == nil {
		return nil, nil
	}
	c := Claim{Tenant: t.job.tenant, Subject: t.job.subject, Session: t.job.session, Lane: t.wants()}
	return t.s.acquire(ctx, &c, t)
}
