// Package load measures a running MCP server over Streamable HTTP with bounded
// load.
//
// Read it bottom up. A Histogram counts latencies. A conn is one client of the
// server in either era of the protocol and tells how each call went (wire.go,
// sse.go). Arrivals say when the calls of an open loop are due (arrivals.go). A
// phase lets every group of clients run at the same time and tallies what came
// of it (phase.go, tally.go). Run plays one phase, or two to measure fairness,
// and makes the Report, whose JSON is a promise (report.go).
//
// What is measured must not flatter the server. In an open loop a latency counts
// from the moment at which the call was due, not from when a connection became
// free for it, so that a server which stalls is charged for everybody who would
// have waited ("coordinated omission"; Tene, "How not to measure latency", 2013).
// A call that could not be sent or was not answered in time stays in the
// quantiles as longer than all others, and a quantile which falls among those is
// not known rather than small.
//
// Everything is bounded, in count and in time, and only loopback addresses are
// targets unless the caller says otherwise.
package load

import (
	"context"
	"fmt"
	"time"
)

// The ends of a run.
const (
	endedByTime      = "duration"
	endedByCalls     = "max_calls"
	endedByInterrupt = "interrupt"
)

// Run plays the plan and reports what was measured. It returns an error for a
// plan that is wrong (fault.Invalid, everything that is wrong at once) and for a
// server that does not let the clients in; what happens to calls is in the
// report. When ctx ends, Run stops early and reports what it has. It returns
// within the plan's warm-up, duration and timeout, twice that for fairness, and
// a few seconds more; nothing is left running.
func Run(ctx context.Context, p Plan) (*Report, error) {
	p = p.withDefaults()
	if err := p.validate(); err != nil {
		return nil, err
	}
	r := newReport(&p)
	if !p.Fairness {
		if err := r.play(ctx, &p, "load", p.Groups); err != nil {
			return nil, err
		}
		r.judge(&p)
		return r, nil
	}
	quiet := p.quiet()
	if err := r.play(ctx, &p, phaseAlone, []Group{quiet}); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		r.EndedBy = endedByInterrupt
	} else if err := r.play(ctx, &p, phaseBeside, p.Groups); err != nil {
		return nil, err
	}
	r.compare(quiet.Name)
	r.judge(&p)
	return r, nil
}

// play runs one phase and adds it to the report.
func (r *Report) play(ctx context.Context, p *Plan, name string, groups []Group) error {
	ph, err := open(ctx, p, groups)
	if err != nil {
		return fmt.Errorf("open the connections: %w", err)
	}
	ph.run(ctx)
	ph.close(ctx)
	r.add(ph, name)
	return nil
}

// milliseconds is how durations are reported: to the microsecond.
func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
