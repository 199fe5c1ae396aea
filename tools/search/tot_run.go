package search

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/tools"
)

// run solves a problem on its own, on as many cores as can be spared. It has no
// effect before it returns, and can go on in another process from what was kept.
func (in *ToTInput) run(ctx context.Context, c *tools.Call, out ToTOutput) (ToTOutput, error) {
	p, err := in.pose("strategy", "breadth", "depth", "threshold", "solutions", "heuristic")
	if err != nil {
		return out, err
	}
	o := tot.Options{
		Strategy: tot.Strategy(in.Strategy), Breadth: or(in.Breadth), Depth: or(in.Depth), Threshold: in.Threshold,
		Target: in.TargetVal, Solutions: or(in.Solutions), Heuristic: p.heuristic,
	}
	if o.Target == nil && in.Domain == "game24" {
		o.Target = new(1.0) // the number is reached
	}
	totCredit(c, o.Strategy)
	meter := c.Meter(ctx)
	o.Spread = meter.Spread(c.Fan, yield)
	limits := meter.Limits()
	o.Keeper, err = budget.Keep(c.Durable, tools.ErrCheckpointed, []any{"tot.run", 1, in, limits.Steps, limits.Nodes})
	if err != nil {
		return out, err
	}
	if c.OnProgress != nil {
		o.Progress = func(p tot.Progress) {
			c.Progress(float64(p.Expanded), 0, fmt.Sprintf("%d runs continued, %d open, %d solutions; %s", p.Expanded, p.Open, p.Solutions, soFar(p.Best)))
		}
	}
	if out.Search, err = tot.Solve(meter, p.model, o); err != nil {
		return out, flaws(err, func(path string) string {
			if path == "target" {
				return "parameters.targetValue"
			}
			return p.at(path)
		})
	}
	if s := out.Search.Solutions; len(s) > 0 && in.Domain == "game24" {
		if out.Formula, err = tot.Formula(in.Numbers, s[0].Actions); err != nil {
			return out, err
		}
	}
	in.verdict(c, &out)
	return out, nil
}

// verdict says what the result is good for, and how to get a better one.
func (in *ToTInput) verdict(c *tools.Call, out *ToTOutput) {
	r := out.Search
	if r.Best != nil {
		out.SelectedPath = r.Best.Actions
	}
	switch {
	case len(r.Solutions) > 0 && r.Optimal:
	case len(r.Solutions) == 0 && r.Exhaustive && r.Done != tot.NotDone: // proven: there is none
	case in.Strategy == string(tot.BreadthFirst) && r.Pruned > 0:
		breadth := tot.DefaultBreadth
		if in.Breadth != nil {
			breadth = *in.Breadth
		}
		if wider := min(4*breadth, 4096); wider > breadth {
			c.Next("tree_of_thought", "Runs were pruned: keep more of each level.", in.repeat(wider))
		}
	}
	if r.Best == nil && r.Done == tot.NotDone {
		c.Warn("not_assessable", "the budget ended before the first run was continued")
	}
}

// repeat returns the same run with another breadth.
func (in *ToTInput) repeat(breadth int) map[string]any {
	set := map[string]any{"breadth": breadth, "strategy": in.Strategy}
	for name, p := range map[string]*int{"depth": in.Depth, "solutions": in.Solutions} {
		if p != nil {
			set[name] = *p
		}
	}
	for name, p := range map[string]*float64{"threshold": in.Threshold, "targetValue": in.TargetVal} {
		if p != nil {
			set[name] = *p
		}
	}
	return in.again(set)
}
