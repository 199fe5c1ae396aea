package search

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/reason/beam"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/tools"
)

// run searches a problem on its own, on as many cores as can be spared. It has no
// effect before it returns, and can go on in another process from the last
// generation that was kept.
func (in *BeamInput) run(ctx context.Context, c *tools.Call, out BeamOutput) (BeamOutput, error) {
	p, err := in.pose("beamWidth", "iterations", "groups", "diversity", "best")
	if err != nil {
		return out, err
	}
	o := beam.Options{Width: or(in.Width), Depth: or(in.Iterations), Groups: or(in.Groups), Diversity: in.Diversity, Best: in.Best, Heuristic: p.heuristic}
	beamCredit(c, o.Groups, 0)
	meter := c.Meter(ctx)
	o.Spread = meter.Spread(c.Fan, yield)
	limits := meter.Limits()
	o.Keeper, err = budget.Keep(c.Durable, tools.ErrCheckpointed, []any{"beam.run", 1, in, limits.Steps, limits.Nodes})
	if err != nil {
		return out, err
	}
	if c.OnProgress != nil {
		o.Progress = func(p beam.Progress) {
			c.Progress(float64(p.Generation), float64(p.Depth), fmt.Sprintf("generation %d, %d paths; %s", p.Generation, p.Beam, soFar(p.Best)))
		}
	}
	if out.Search, err = beam.Search(meter, p.model, o); err != nil {
		return out, flaws(err, p.at)
	}
	if runs := out.Search.Runs; len(runs) > 0 && len(runs[0].Actions) > 0 {
		out.BestPath = runs[0].Actions
	}
	switch {
	case out.BestPath == nil:
		c.Warn("not_assessable", "the budget ended before the first generation")
	case out.Search.Exhaustive: // nothing is better
	default:
		width := beam.DefaultWidth
		if in.Width != nil {
			width = *in.Width
		}
		if wider := min(4*width, beam.MaxWidth); wider > width {
			c.Next("beam_search", "Paths were dropped: a wider beam may find a better one.", in.repeat(wider))
		}
	}
	return out, nil
}

// repeat returns the same run with another width.
func (in *BeamInput) repeat(width int) map[string]any {
	set := map[string]any{"beamWidth": width, "best": in.Best}
	if in.Iterations != nil {
		set["iterations"] = *in.Iterations
	}
	if in.Groups != nil {
		set["groups"] = *in.Groups
	}
	if in.Diversity != nil {
		set["diversity"] = *in.Diversity
	}
	return in.again(set)
}
