package work

import (
	"context"
	"errors"
	"time"
)

// Lost is a call that holds its ticket although its context has ended: it
// ignores it, or is stuck. Its slot is not handed out until it returns.
type Lost struct {
	Tenant, Subject, Session string
	Lane                     Lane
	Overdue                  time.Duration // since its context was found to have ended
}

// lostCalls is what a scheduler knows of lost calls. It is guarded by its mu.
type lostCalls struct {
	after int64
	tell  func(Lost)
	now   int
	total uint64
}

// returned notes that t leaves its slot.
func (l *lostCalls) returned(t *Ticket) {
	t.ended = 0
	if t.lost {
		t.lost = false
		l.now--
	}
}

// Run looks for lost calls several times in Config.LostAfter until ctx ends. A
// scheduler works without it; then only Stats looks.
func (s *Scheduler) Run(ctx context.Context) {
	for {
		s.mu.Lock()
		pause := time.Duration(s.lost.after / 4)
		s.mu.Unlock()
		timer := time.NewTimer(min(max(pause, 10*time.Millisecond), time.Second))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			s.findLost()
		}
	}
}

// holder is a ticket on a slot, looked at without the lock.
type holder struct {
	ticket *Ticket
	ctx    context.Context
	watch  int32 // of the ticket, when ctx was its context
	over   bool
	ago    time.Duration // how long ctx is known to have ended
}

// findLost counts and reports calls that have become lost. It costs O(running)
// and looks at contexts without the lock, as they may be anybody's code.
func (s *Scheduler) findLost() {
	var holders []holder
	s.mu.Lock()
	for j := s.q.slots.head; j != nil; j = j.link[inSlots].next {
		if t := j.owner; !t.lost {
			holders = append(holders, holder{ticket: t, ctx: t.ctx, watch: t.watch})
		}
	}
	s.mu.Unlock()
	news := false
	for i := range holders {
		holders[i].look()
		news = news || holders[i].over
	}
	if !news {
		return
	}

	s.mu.Lock()
	lost := s.markLocked(holders)
	tell := s.lost.tell
	s.mu.Unlock()
	for _, l := range lost {
		if tell != nil {
			tell(l)
		}
	}
}

// look finds out whether, and how long ago, the context ended.
func (h *holder) look() {
	err := h.ctx.Err()
	h.over = err != nil
	if deadline, ok := h.ctx.Deadline(); ok && errors.Is(err, context.DeadlineExceeded) {
		h.ago = max(0, time.Since(deadline))
	}
}

// markLocked marks those holders as lost whose context ended long ago and that
// are still on their slots, and returns them.
func (s *Scheduler) markLocked(holders []holder) (lost []Lost) {
	now := s.now()
	for _, h := range holders {
		t := h.ticket
		if !h.over || h.watch != t.watch || t.job.state != running || t.lost {
			continue
		}
		if t.ended == 0 {
			t.ended = max(1, now-int64(h.ago))
		}
		if overdue := now - t.ended; overdue >= s.lost.after {
			t.lost = true
			s.lost.now++
			s.lost.total++
			lost = append(lost, Lost{
				Tenant: t.job.tenant, Subject: t.job.subject, Session: t.job.session,
				Lane: t.job.lane, Overdue: time.Duration(overdue),
			})
		}
	}
	return lost
}
