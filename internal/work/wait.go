package work

import (
	"context"
	"math"
	"time"
)

// notifyEvery is the least time from one call of Claim.OnWait to the next.
const notifyEvery = 250 * time.Millisecond

// await waits for the turn of a ticket that is queued since the given time, at
// most for patience (0 is for ever). When it fails, or a panic of onWait passes
// through, the ticket is neither queued nor running.
func (t *Ticket) await(ctx context.Context, since int64, patience time.Duration, onWait func(Position)) error {
	decided := false
	defer func() {
		if decided {
			return
		}
		if gone, _ := t.leave(admitted); !gone {
			t.take()
			t.trial.drop()
			t.Release()
		}
	}()

	v := vigil{t: t, onWait: onWait, ahead: -1, next: since, deadline: math.MaxInt64}
	if patience > 0 {
		v.deadline = since + int64(patience)
	}
	var alarm <-chan time.Time
	if patience > 0 || onWait != nil {
		v.timer = time.NewTimer(v.attend())
		defer v.timer.Stop()
		alarm = v.timer.C
	}
	for {
		select {
		case <-t.turn:
			decided = true
			if t.refused != nil {
				return t.pushedOut()
			}
			t.resume(t.s.now())
			return nil
		case <-ctx.Done():
			return ended(ctx)
		case <-alarm:
			if t.s.now() < v.deadline {
				v.timer.Reset(v.attend())
				continue
			}
			decided = true
			if gone, estimate := t.leave(queueTimeout); gone {
				return queueTimeout.fault(estimate)
			}
			t.take() // it came just in time
			return nil
		}
	}
}

// take receives a turn that has been given.
func (t *Ticket) take() {
	<-t.turn
	t.resume(t.s.now())
}

// leave takes t out of the queue, with its wait estimated so far, unless its
// turn has come meanwhile.
func (t *Ticket) leave(why refusal) (gone bool, estimate time.Duration) {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.job.state == running {
		return false, 0
	}
	queued := t.job.state != outside // or it was pushed out, and does not know yet
	if why != admitted {
		s.refused[why]++
		if queued {
			estimate = s.positionLocked(&t.job).Estimate
		}
	} else if !t.begun && !t.job.helper {
		s.canceled++
	}
	if queued {
		s.q.remove(&t.job, s.now())
		s.pressLocked()
	}
	return true, estimate
}

// pushedOut counts and returns the refusal of a waiter that was pushed out.
func (t *Ticket) pushedOut() error {
	t.s.mu.Lock()
	t.s.refused[queueFull]++
	t.s.mu.Unlock()
	return t.refused
}

// vigil tells a waiter where it stands until its deadline.
type vigil struct {
	t        *Ticket
	timer    *time.Timer
	onWait   func(Position)
	ahead    int   // what onWait was told
	next     int64 // when to look at the position again
	deadline int64
}

// attend calls onWait if that is due and returns the time until it is to be
// called again.
func (v *vigil) attend() time.Duration {
	s, now := v.t.s, v.t.s.now()
	if v.onWait == nil {
		return time.Duration(v.deadline - now)
	}
	if now >= v.next {
		s.mu.Lock()
		queued := v.t.job.state == waiting
		var p Position
		if queued {
			p = s.positionLocked(&v.t.job)
		}
		s.mu.Unlock()
		if queued && p.Ahead != v.ahead {
			v.ahead = p.Ahead
			v.onWait(p)
		}
		v.next = now + int64(notifyEvery)
	}
	return time.Duration(min(v.next, v.deadline) - now)
}

// positionLocked returns where the waiting job j stands. Jobs of the same
// subject go before it as wholes, slowed by the tenants that share the cores
// meanwhile; of the others it waits for a turn each.
func (s *Scheduler) positionLocked(j *job) Position {
	o := s.q.outlook(j)
	p := Position{Ahead: o.ahead, Queued: o.queued}
	service, turn := int64(s.service[j.lane]), int64(s.turns[j.lane])
	if service > 0 && turn > 0 {
		ns := int64(o.own)*service*int64(o.rivals) + int64(o.ahead-o.own+1)*turn
		p.Estimate = time.Duration(ns / int64(s.tickets))
	}
	return p
}

// backlogLocked estimates how long the queue that refused j needs to empty; 0
// is unknown.
func (s *Scheduler) backlogLocked(j *job, r refusal) time.Duration {
	lane := s.q.root.kid(j.lane.String())
	calls, rivals := s.q.root.fresh, 1
	if tenant := lane.kid(j.tenant); r != queueFull && tenant != nil {
		calls, rivals = tenant.fresh, max(1, len(lane.ready))
		if subject := tenant.kid(j.subject); r == subjectQueueFull && subject != nil {
			calls, rivals = subject.fresh, rivals*max(1, len(tenant.ready))
		}
	}
	ns := float64(calls) * float64(rivals) * float64(s.service[j.lane]) / float64(s.tickets)
	return time.Duration(min(ns, float64(maxRetryAfter)))
}
