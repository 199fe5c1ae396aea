// Package budget bounds a computation and makes it cooperative.
//
// Every loop of internal/reason that can grow calls Meter.Step. A step checks,
// cheaply, whether the caller went away, whether the time or the count it may
// use is up, and every so often gives the CPU to whoever waits for it. An
// algorithm that meets its budget returns the best it has so far and says which
// limit it met; it fails only when its context ended.
package budget

import (
	"context"
	"time"
)

// Limits bound one computation. Zero values mean "no limit of this kind"; the
// server always sets all of them.
type Limits struct {
	Time  time.Duration // of running, not of waiting
	Steps int64         // elementary steps: what a step is, the algorithm documents
	Nodes int64         // objects kept in memory, such as tree nodes
}

// Hit names the limit a computation met. Empty means that it ran to its end.
type Hit string

// The limits a computation can meet.
const (
	None  Hit = ""
	Time  Hit = "maxMillis"
	Steps Hit = "maxSteps"
	Nodes Hit = "maxNodes"
)

// check is how many steps pass between two looks at the clock, the context and
// the scheduler. A step is meant to cost 0.1 µs to 10 µs.
const check = 64

// Meter counts what one goroutine uses of its Limits. It is not safe for
// concurrent use: parallel workers each take a Fork.
type Meter struct {
	ctx      context.Context
	yield    func(context.Context) error
	limits   Limits
	start    time.Time
	deadline time.Time
	steps    int64
	nodes    int64
	until    int64 // the step count at which to look up
	hit      Hit
}

// New returns a meter that counts against l. yield, which may be nil, is called
// about every 64 steps and may block while another caller uses the CPU; it
// returns an error only when ctx ended.
func New(ctx context.Context, l Limits, yield func(context.Context) error) *Meter {
	m := &Meter{ctx: ctx, yield: yield, limits: l, start: time.Now(), until: check}
	if l.Time > 0 {
		m.deadline = m.start.Add(l.Time)
	}
	return m
}

// Fork returns a meter for another goroutine of the same computation with share
// of the remaining steps and nodes. Add its use back with Join when it is done.
func (m *Meter) Fork(share Limits) *Meter {
	f := &Meter{ctx: m.ctx, yield: m.yield, limits: share, start: m.start, deadline: m.deadline, until: check}
	return f
}

// Join adds what f used to m. The first limit met stands.
func (m *Meter) Join(f *Meter) {
	m.steps += f.steps
	m.nodes += f.nodes
	if m.hit == None {
		m.hit = f.hit
	}
}

// Step counts n steps. It returns false when the computation must return what
// it has: a limit is met (Hit says which) or the context ended (Err says why).
func (m *Meter) Step(n int64) bool {
	if m.hit != None {
		return false
	}
	m.steps += n
	if m.limits.Steps > 0 && m.steps >= m.limits.Steps {
		m.steps = m.limits.Steps
		m.hit = Steps
		return false
	}
	if m.steps >= m.until {
		return m.look()
	}
	return true
}

// look checks the clock and the context and yields. It sets the next time to
// look only when the computation may go on: one that asks again after it was
// told to stop is told so again.
func (m *Meter) look() bool {
	if m.ctx.Err() != nil {
		return false
	}
	if !m.deadline.IsZero() && !time.Now().Before(m.deadline) {
		m.hit = Time
		return false
	}
	if m.yield != nil && m.yield(m.ctx) != nil {
		return false
	}
	if m.ctx.Err() != nil {
		return false
	}
	m.until = m.steps + check
	return true
}

// Grow counts n nodes and reports whether they fit.
func (m *Meter) Grow(n int64) bool {
	if m.limits.Nodes > 0 && m.nodes+n > m.limits.Nodes {
		if m.hit == None {
			m.hit = Nodes
		}
		return false
	}
	m.nodes += n
	return true
}

// Err returns why the context ended, or nil.
func (m *Meter) Err() error {
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	return nil
}

// Hit returns the limit that was met first.
func (m *Meter) Hit() Hit { return m.hit }

// Used returns the steps and nodes counted so far.
func (m *Meter) Used() (steps, nodes int64) { return m.steps, m.nodes }

// Elapsed returns the time since the meter was made.
func (m *Meter) Elapsed() time.Duration { return time.Since(m.start) }

// Limits returns the bounds it counts against.
func (m *Meter) Limits() Limits { return m.limits }
