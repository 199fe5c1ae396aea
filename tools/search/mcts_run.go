package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// run searches a problem on its own, on as many cores as can be spared. It has no
// effect before it returns, and can go on in another process from the trees that
// were kept.
func (in *MCTSInput) run(ctx context.Context, c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	m, path, err := in.model()
	if err != nil {
		return out, err
	}
	suffix := ", root-parallel trees"
	if in.RAVE > 0 {
		suffix = " with RAVE (Gelly & Silver 2007)" + suffix
	}
	mctsCredit(c, mcts.Policy(in.Policy), suffix)
	o := mcts.Options{
		Simulations: in.Simulations, Trees: in.Trees, Policy: mcts.Policy(in.Policy),
		Exploration: in.Exploration, Criterion: mcts.Criterion(in.Criterion), Seed: c.Seed(),
		RAVE: in.RAVE, Rollout: mcts.Rollout(in.Rollout),
	}
	if w := in.Widening; w != nil {
		o.Widening = &mcts.Widening{K: w.K, Alpha: w.Alpha}
	}
	meter := c.Meter(ctx)
	o.Spread = meter.Spread(c.Fan, yield)
	limits := meter.Limits()
	o.Keeper, err = budget.Keep(c.Durable, tools.ErrCheckpointed, []any{"mcts.run", 2, in, o.Seed, limits.Steps, limits.Nodes})
	if err != nil {
		return out, err
	}
	if c.Durable != nil {
		o.Partial = func(r *mcts.Result) error {
			return o.Keeper.Partial(MCTSOutput{Action: out.Action, BestAction: r.Best, Search: r})
		}
	}
	if c.OnProgress != nil {
		o.Progress = func(p mcts.Progress) {
			c.Progress(float64(p.Done), float64(p.Total), mctsProgress(p))
		}
	}
	out.Search, err = mcts.Search(meter, m, o)
	if err != nil {
		return out, mctsFlaws(err, path)
	}
	out.BestAction = out.Search.Best
	switch {
	case out.BestAction == "":
		c.Warn("not_assessable", "the budget ended before the first simulation")
	case out.Search.Solved:
	default:
		c.Next("mcts", "Values are estimates: more simulations narrow them.", in.again())
	}
	return out, nil
}

// yield gives up the turn of the goroutine that ctx belongs to, if it is over.
func yield(ctx context.Context) error { return work.FromContext(ctx).Yield(ctx) }

func mctsProgress(p mcts.Progress) string {
	if p.Best == "" {
		return fmt.Sprintf("%d simulations", p.Done)
	}
	return fmt.Sprintf("%d simulations; best so far %s with value %.4g", p.Done, p.Best, p.Value)
}

// again returns the same run with ten times the simulations.
func (in *MCTSInput) again() map[string]any {
	p := map[string]any{"action": "run", "simulations": min(10*in.Simulations, 1_000_000_000)}
	set := func(name string, is bool, value any) {
		if is {
			p[name] = value
		}
	}
	set("problem", in.Problem != nil, in.Problem)
	set("domain", in.Domain != "", in.Domain)
	set("numbers", in.Numbers != nil, in.Numbers)
	set("target", in.Domain == "game24", in.Target)
	set("discount", in.Discount != nil, in.Discount)
	set("widening", in.Widening != nil, in.Widening)
	set("rave", in.RAVE > 0, in.RAVE)
	set("rollout", in.Rollout != "random", in.Rollout)
	parameters := in.Parameters
	if in.Domain != "bandit" {
		parameters.Pulls = 0
	}
	var own map[string]any
	if text, err := json.Marshal(parameters); err == nil && json.Unmarshal(text, &own) == nil {
		maps.Copy(p, own)
	}
	set("policy", in.Policy != "", in.Policy)
	set("explorationConstant", in.Exploration != nil, in.Exploration)
	set("trees", in.Trees > 0, in.Trees)
	set("criterion", in.Criterion != "visits", in.Criterion)
	return p
}

// model returns the problem to search, and the path of the parameter that
// states it.
func (in *MCTSInput) model() (m problem.Model, path string, err error) {
	switch {
	case in.Problem != nil && in.Domain != "":
		return nil, "", tools.Badf("parameters.domain", "either problem or domain, not both")
	case in.Problem != nil:
		path = "parameters.problem"
		if m, err = problem.Compile(in.Problem); err != nil {
			return nil, path, mctsFlaws(err, path)
		}
		return m, path, nil
	}
	switch in.Domain {
	case "":
		return nil, "", tools.Badf("parameters.problem", "a problem to search, or a domain: game24, %s", strings.Join(problem.Domains(), ", "))
	case "game24":
		path = "parameters.numbers"
		if m, err = tot.Game24(in.Numbers, in.Target); err != nil {
			return nil, path, mctsFlaws(problem.Sentence(path, err), path)
		}
		return m, path, nil
	}
	discount := 1.0
	if in.Discount != nil {
		discount = *in.Discount
	}
	m, path, err = in.Build(in.Domain, discount)
	path = "parameters." + path
	if err != nil {
		return nil, path, mctsFlaws(err, "parameters")
	}
	return m, path, nil
}

// mctsOptions are the flaws that Search finds in its options; all others are in
// the problem.
var mctsOptions = []string{"simulations", "trees", "explorationConstant", "policy", "criterion", "rave", "rollout", "widening"}

// mctsFlaws turns flaws into bad arguments whose paths start at path.
func mctsFlaws(err error, path string) error {
	flaws, ok := errors.AsType[problem.Flaws](err)
	if !ok {
		return err
	}
	bad := &tools.BadArguments{}
	for _, f := range flaws {
		at := path + "." + f.Path
		switch {
		case slices.Contains(mctsOptions, f.Path):
			at = "parameters." + f.Path
		case path != "parameters" && path != "parameters.problem": // a domain has no parts
			at = path
		}
		bad.Issues = append(bad.Issues, tools.Issue{Path: at, Expected: strings.TrimSpace(f.Expected), Got: f.Problem})
	}
	return bad
}
