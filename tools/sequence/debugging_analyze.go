package sequence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/tools"
)

// analyze computes what needs no tests in between.
func (in *DebugInput) analyze(ctx context.Context, c *tools.Call, out DebugOutput) (DebugOutput, error) {
	credit(c, in.Approach)
	var err error
	switch in.Approach {
	case slicing:
		err = in.slice(&out)
	case spectrum:
		err = in.spectrum(&out)
	case faultTree:
		err = in.faultTree(c, c.Meter(ctx), &out)
	case reverse:
		err = in.reverse(c, &out)
	default:
		err = tools.Bad("parameters.action", "start: this approach goes on from test to test", "analyze")
	}
	if err != nil {
		return DebugOutput{}, flawed(err)
	}
	if out.Omitted > 0 {
		c.Warn("cut", "%d lines were left out: raise limit", out.Omitted)
	}
	return out, nil
}

// first returns the first n of a list and how many are left out.
func first[T any](list []T, n int) ([]T, int) {
	if len(list) <= n {
		return list, 0
	}
	return list[:n], len(list) - n
}

func (in *DebugInput) slice(out *DebugOutput) error {
	d := debug.Dependences{Data: in.Dependencies, Control: in.Control}
	s, err := d.Slice(in.Direction, in.Criterion, in.Sources)
	if err != nil {
		return err
	}
	s.Nodes, out.Omitted = first(s.Nodes, in.Limit)
	out.Slice = &s
	return nil
}

func (in *DebugInput) spectrum(out *DebugOutput) error {
	var names []string
	var counts []debug.Counts
	switch {
	case len(in.Runs) > 0 && len(in.Spectra) > 0:
		return tools.Bad("parameters.spectra", "either runs or spectra", "both")
	case len(in.Runs) > 0:
		runs := make([]debug.Run, len(in.Runs))
		for i, r := range in.Runs {
			runs[i] = debug.Run{Name: r.Name, Outcome: debug.Outcome(r.Outcome), Covers: r.Covers}
		}
		var err error
		if names, counts, err = debug.Spectrum(runs); err != nil {
			return err
		}
	case len(in.Spectra) > 0:
		failed := false
		for _, s := range in.Spectra {
			names = append(names, s.Element)
			counts = append(counts, debug.Counts{EF: s.EF, NF: s.NF, EP: s.EP, NP: s.NP})
			failed = failed || s.EF+s.NF > 0
		}
		if !failed {
			return tools.Bad("parameters.spectra", "at least one test that failed: without one nothing is suspicious", "ef and nf are 0 everywhere")
		}
	default:
		return tools.Bad("parameters.runs", `tests with the elements they ran: [{"outcome": "fail", "covers": ["7", "8"]}, …], or spectra with counts`, "nothing")
	}
	out.Suspects, out.Omitted = first(debug.Rank(in.Metric, names, counts), in.Limit)
	return nil
}

func (in *DebugInput) faultTree(c *tools.Call, m *budget.Meter, out *DebugOutput) error {
	t := debug.FaultTree{Top: in.Top, Gates: map[string]debug.Gate{}, Probabilities: in.Probabilities}
	roots := maps.Clone(in.Gates)
	for name, g := range in.Gates {
		t.Gates[name] = debug.Gate{Kind: g.Type, K: g.K, Inputs: g.Inputs}
		for _, i := range g.Inputs {
			delete(roots, i)
		}
	}
	if t.Top == "" {
		if len(roots) != 1 {
			return tools.Bad("parameters.top", "the gate of the top event", fmt.Sprintf("nothing, and %d gates are no input of another one: %s",
				len(roots), clip(strings.Join(slices.Sorted(maps.Keys(roots)), ", "), 200)))
		}
		t.Top = slices.Collect(maps.Keys(roots))[0]
	}
	r, err := t.Analyze(m)
	if err != nil {
		return err
	}
	if !r.Complete {
		c.Warn("cut_sets_incomplete", "a limit was met: these are cut sets, but there may be others")
	}
	if len(r.Missing) > 0 {
		c.Warn("not_assessable", "the probability of the top event needs one for each basic event; %d have none: %s", len(r.Missing), clip(strings.Join(r.Missing, ", "), 200))
	}
	r.Cuts, out.Omitted = first(r.Cuts, in.Limit)
	out.FaultTree = &r
	return nil
}

func (in *DebugInput) reverse(c *tools.Call, out *DebugOutput) error {
	var seen []debug.Observation
	for _, o := range in.Observations {
		seen = append(seen, debug.Observation(o))
	}
	var guesses []debug.Hypothesis
	for _, h := range in.Hypotheses {
		guesses = append(guesses, debug.Hypothesis(h))
	}
	judged, probe, err := debug.Reverse(seen, guesses)
	if err != nil {
		return err
	}
	out.Hypotheses, out.Probe = judged, probe
	if probe != nil {
		c.Next(debugging, fmt.Sprintf("give the black box the input %s, for which the hypotheses differ most, and add the observation", clip(probe.Input, 200)),
			map[string]any{"approach": reverse, "observations": in.Observations, "hypotheses": in.Hypotheses})
	}
	return nil
}
