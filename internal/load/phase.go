package load

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// opening is how many connections are opened or closed at a time.
	opening = 32
	// closing is the time that the sessions of a phase have to be ended.
	closing = 2 * time.Second
	// transportPause is how long a closed loop waits after a failure of the
	// network, so that a server that is gone is not hammered.
	transportPause = 50 * time.Millisecond
)

// phase is groups of clients at work at the same time.
type phase struct {
	plan  *Plan
	crews []*crew
	ctx   context.Context // of the calls: ends when the run is interrupted
	start time.Time       // set by run before any goroutine
	left  atomic.Int64    // calls that may still be begun

	mu    sync.Mutex
	end   time.Duration // after start: no call is begun from here on
	by    string        // why then
	ended chan struct{} // closed when end was moved
}

// crew is one group at work. Its fields do not change while it works; the
// arrivals and the tally have locks of their own.
type crew struct {
	group    Group
	index    int
	endpoint *endpoint
	conns    []*conn
	calls    []prepared
	picker   picker
	arrivals *arrivals // nil in a closed loop
	tally    *tally
}

// open makes the connections of a phase. On an error none is left.
func open(ctx context.Context, p *Plan, groups []Group) (*phase, error) {
	ph := &phase{plan: p, end: p.Warmup + p.Duration, by: endedByTime, ended: make(chan struct{})}
	ph.left.Store(int64(p.MaxCalls))
	opener, opened := limitedGroup(ctx)
	for _, g := range groups {
		// The place in the plan, so that a group makes the same calls alone and beside others.
		i := slices.IndexFunc(p.Groups, func(o Group) bool { return o.Name == g.Name })
		c := &crew{group: g, index: i, endpoint: newEndpoint(p, g.Connections), picker: newPicker(g.Mix), tally: newTally(len(g.Mix))}
		for _, s := range g.Mix {
			c.calls = append(c.calls, prepare(s.Call, p.Tool))
		}
		if g.Rate > 0 {
			c.arrivals = newArrivals(g.Rate, p.Poisson, g.Mix, stream(p.Seed, i, -1))
		}
		for n := range g.Connections {
			k := &conn{endpoint: c.endpoint}
			if len(g.Tokens) > 0 {
				k.token = g.Tokens[n%len(g.Tokens)]
			}
			c.conns = append(c.conns, k)
			opener.Go(func() error { return k.open(opened) })
		}
		ph.crews = append(ph.crews, c)
	}
	if err := opener.Wait(); err != nil {
		ph.close(ctx)
		return nil, err
	}
	return ph, nil
}

func limitedGroup(ctx context.Context) (*errgroup.Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(opening)
	return g, ctx
}

// close ends what the phase has opened, in bounded time, also when ctx is over.
func (p *phase) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
	defer cancel()
	closer, ctx := limitedGroup(ctx)
	for _, c := range p.crews {
		for _, k := range c.conns {
			closer.Go(func() error { k.close(ctx); return nil })
		}
	}
	_ = closer.Wait() // closing never fails
	for _, c := range p.crews {
		c.endpoint.transport.CloseIdleConnections()
	}
}

// run plays the phase and returns when every call that was begun has ended.
func (p *phase) run(ctx context.Context) {
	p.ctx = ctx
	p.start = time.Now()
	stop := context.AfterFunc(ctx, func() { p.finish(endedByInterrupt) })
	var wg sync.WaitGroup
	for _, c := range p.crews {
		for n, k := range c.conns {
			rng := stream(p.plan.Seed, c.index, n)
			wg.Go(func() {
				if c.arrivals != nil {
					p.openLoop(c, k)
				} else {
					p.closedLoop(c, k, rng)
				}
				c.tally.leave(k)
			})
		}
	}
	wg.Wait()
	if !stop() {
		p.finish(endedByInterrupt) // the other goroutine may not have come to it
	}
}

// now returns the time since the start.
func (p *phase) now() time.Duration { return time.Since(p.start) }

// finish ends the phase now, if it was to go on. An interruption is told also
// when it only cut off what was still in flight.
func (p *phase) finish(by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if by == endedByInterrupt {
		p.by = by
	}
	if now := p.now(); now < p.end {
		p.end, p.by = now, by
		close(p.ended)
	}
}

func (p *phase) until() (end time.Duration, by string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end, p.by
}

// begin reports whether one more call may be begun, and counts it.
func (p *phase) begin() bool {
	if p.ctx.Err() != nil {
		p.finish(endedByInterrupt)
		return false
	}
	if p.left.Add(-1) < 0 {
		p.finish(endedByCalls)
		return false
	}
	return true
}

// wait returns after d; false when the phase has ended before.
func (p *phase) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ended:
		return false
	}
}

// closedLoop makes one call after the other.
func (p *phase) closedLoop(c *crew, k *conn, rng *rand.Rand) {
	for {
		began := p.now()
		if end, _ := p.until(); began >= end || !p.begin() {
			return
		}
		call := c.picker.pick(rng)
		a := k.call(p.ctx, &c.calls[call])
		p.count(c, began, sample{call: call, latency: p.now() - began, lag: -1, answer: a})
		if a.outcome == transportErr && !p.wait(transportPause) {
			return
		}
	}
}

// openLoop makes the calls of the group's schedule that fall to this connection:
// always the next one that nobody has taken. When all connections are busy the
// arrivals wait, and their latency grows. The loop goes on past the end until it
// has seen every arrival that was due before, so that each is counted.
func (p *phase) openLoop(c *crew, k *conn) {
	for {
		next := c.arrivals.take()
		if end, _ := p.until(); next.due >= end {
			return
		}
		s := sample{call: next.call, lag: -1}
		early := next.due - p.now()
		switch {
		case early > 0:
			// A connection was free in time: this one is sent, come what may.
			if !p.wait(early) {
				continue // the end was moved before it: not due
			}
			s.lag = max(0, p.now()-next.due)
		case p.over():
			s.answer = answer{outcome: unsent}
			p.count(c, next.due, s)
			continue
		}
		if !p.begin() {
			if end, _ := p.until(); next.due < end {
				s.answer = answer{outcome: unsent}
				p.count(c, next.due, s)
			}
			continue
		}
		s.late = p.now()-next.due > p.plan.LateAfter
		s.answer = k.call(p.ctx, &c.calls[next.call])
		s.latency = p.now() - next.due
		p.count(c, next.due, s)
	}
}

// over reports whether the end has passed.
func (p *phase) over() bool {
	end, _ := p.until()
	return p.now() >= end
}

// count tallies a call that was due at the given time, unless it belongs to the
// warm-up.
func (p *phase) count(c *crew, due time.Duration, s sample) {
	if due < p.plan.Warmup {
		c.tally.warm()
		return
	}
	c.tally.add(s)
}

// measured returns for how long calls were measured.
func (p *phase) measured() time.Duration {
	end, _ := p.until()
	return max(0, end-p.plan.Warmup)
}
