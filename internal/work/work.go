// Package work shares the CPU fairly between tenants and lanes.
//
// From the bottom up: queue.go decides whose turn it is and is pure (no clock,
// no lock, no goroutine), so it is tested against a naive model and in a
// virtual-time simulator. A Scheduler puts a mutex, the clock and the callers'
// goroutines around it. A Ticket is the right to compute on one core:
//
//	ticket, err := sched.Acquire(ctx, work.Claim{Tenant: p.Tenant, Subject: p.Subject, Session: id, Lane: work.Interactive})
//	if err != nil {
//		return err // a fault: refused with RetryAfter, or why ctx ended
//	}
//	defer ticket.Release()
//	for !done {
//		step()
//		if err := ticket.Yield(ctx); err != nil {
//			return err
//		}
//	}
//
// The caller's own goroutine waits and computes, so stacks, contexts and panics
// stay with the request. Waiting does not eat an execution deadline that is
// started after Acquire.
//
// A ticket is not preempted: a computation that does not call Yield holds its
// core until Release. The process should run with GOMAXPROCS at least two above
// the number of tickets, or the goroutines that read and write the network
// starve behind the computing ones.
package work

import (
	"context"
	"time"
)

// Lane says how urgent a piece of work is.
type Lane uint8

// The lanes. Only Inline work runs without a ticket.
const (
	Inline      Lane = iota // cheap operations (microseconds): never queue, no ticket needed
	Interactive             // somebody waits for the answer
	Batch                   // long work that nobody watches
	Admin                   // an operator looking into a busy server
)

// lanes is the number of lanes, Inline included.
const lanes = 4

// urgency orders the lanes where all else is equal.
var urgency = [lanes]int{Admin: 0, Interactive: 1, Batch: 2}

var laneNames = [lanes]string{"inline", "interactive", "batch", "admin"}

// String returns the lane's stable machine name, such as "interactive".
func (l Lane) String() string {
	if int(l) < lanes {
		return laneNames[l]
	}
	return "unknown"
}

// MarshalText writes the lane's name.
func (l Lane) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Claim says who wants to compute, and how urgently.
type Claim struct {
	Tenant  string // shares are between tenants first,
	Subject string // then between the subjects of a tenant,
	Session string // then between the sessions of a subject
	Lane    Lane

	// Cost is the expected CPU time; 0 is unknown. It is charged when the turn
	// begins and settled against what was really used, so a wrong guess costs
	// nobody more than one turn.
	Cost time.Duration

	// OnWait is called on the waiter's own goroutine while Acquire waits: once
	// at first, then when the position has changed, at most every 250 ms. It is
	// not called when the turn comes at once. It may be nil.
	OnWait func(Position)
}

// Position is a waiter's place in the queue. It can grow again: shares are
// fair, so a newcomer of a quiet tenant goes before the tenth call of a busy one.
type Position struct {
	Ahead    int           // waiters expected to get their turn earlier
	Queued   int           // all waiters
	Estimate time.Duration // until the turn, from measured service times; 0 is unknown
}

type contextKey struct{}

// NewContext returns ctx carrying t, so that code deep inside a computation can
// yield. A nil ticket is fine.
func NewContext(ctx context.Context, t *Ticket) context.Context {
	return context.WithValue(ctx, contextKey{}, t)
}

// FromContext returns the ticket that NewContext put into ctx, or nil, whose
// methods are no-ops.
func FromContext(ctx context.Context) *Ticket {
	t, _ := ctx.Value(contextKey{}).(*Ticket)
	return t
}
