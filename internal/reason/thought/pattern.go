package thought

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Patterns of reasoning that a client can ask for.
const (
	ChainPattern = "chain"
	TreePattern  = "tree"
	BeamPattern  = "beam"
	MCTSPattern  = "mcts"
	GraphPattern = "graph"
	Auto         = "auto" // let Choose decide
)

// patterns in the order that decides ties.
var patterns = []string{ChainPattern, TreePattern, BeamPattern, MCTSPattern, GraphPattern}

// Features are what a session and a call hold that a rule may look at. All are
// counts and parameters; the words of a thought are none.
type Features struct {
	Params       []string // keys of patternParams
	Branching    bool     // the call opens a branch
	OpenBranches int
	Merges       int // thoughts that join branches
	Stalled      bool
	Confidence   *float64 // the latest that the client stated
}

// rule gives points to a pattern when a feature is there.
type rule struct {
	pattern string
	points  int
	name    string
	because func(Features) string // "" when the rule does not apply
}

// rules is the table. Parameters that only one pattern has say most; what the
// session looks like says less; without either it stays a chain.
var rules = []rule{
	{ChainPattern, 1, "default", func(Features) string { return "a chain needs no reason" }},
	{TreePattern, 5, "tree_parameters", params("depth", "breadth", "branches", "evaluations", "selectedPath")},
	{BeamPattern, 5, "beam_parameters", params("beamWidth", "candidates", "scores", "iterations")},
	{MCTSPattern, 5, "mcts_parameters", params("simulations", "explorationConstant", "tree", "bestAction")},
	{GraphPattern, 5, "graph_parameters", params("nodes", "edges", "paths", "optimalPath")},
	{GraphPattern, 3, "branches_merged", func(f Features) string {
		return when(f.Merges > 0, "%d thoughts join branches", f.Merges)
	}},
	{TreePattern, 3, "branching_now", func(f Features) string {
		return when(f.Branching, "the call opens a branch")
	}},
	{BeamPattern, 3, "many_branches", func(f Features) string {
		return when(f.OpenBranches > 3, "%d branches are open: keep the best few", f.OpenBranches)
	}},
	{TreePattern, 2, "branches_open", func(f Features) string {
		return when(f.OpenBranches > 1, "%d branches are open", f.OpenBranches)
	}},
	{TreePattern, 2, "stalled", func(f Features) string {
		return when(f.Stalled, "the latest thought repeats a recent one")
	}},
	{MCTSPattern, 2, "low_confidence", func(f Features) string {
		return when(f.Confidence != nil && *f.Confidence < 0.5, "the latest confidence is below 0.5")
	}},
}

func when(holds bool, format string, args ...any) string {
	if !holds {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// params makes the condition "patternParams has one of these keys".
func params(names ...string) func(Features) string {
	return func(f Features) string {
		var has []string
		for _, n := range names {
			if slices.Contains(f.Params, n) {
				has = append(has, n)
			}
		}
		return when(len(has) > 0, "patternParams has %s", strings.Join(has, ", "))
	}
}

// Score is what the rules gave a pattern.
type Score struct {
	Pattern string `json:"pattern"`
	Points  int    `json:"points"`
}

// Fired is a rule that applied.
type Fired struct {
	Rule    string `json:"rule"`
	Pattern string `json:"pattern"`
	Points  int    `json:"points"`
	Because string `json:"because"`
}

// Choice is the outcome of the rule table with all that led to it.
type Choice struct {
	Selected string  `json:"selected"`
	Rule     string  `json:"rule"` // the heaviest of the selected pattern's rules
	Scores   []Score `json:"scores"`
	Fired    []Fired `json:"fired"`
}

// Choose adds up the rules that apply. The pattern with most points is selected;
// of equal ones the simpler, in the order chain, tree, beam, mcts, graph.
func Choose(f Features) Choice {
	points := map[string]int{}
	var c Choice
	for _, r := range rules {
		if why := r.because(f); why != "" {
			points[r.pattern] += r.points
			c.Fired = append(c.Fired, Fired{Rule: r.name, Pattern: r.pattern, Points: r.points, Because: why})
		}
	}
	for _, p := range patterns {
		c.Scores = append(c.Scores, Score{p, points[p]})
	}
	c.Selected = slices.MaxFunc(c.Scores, func(a, b Score) int { return cmp.Compare(a.Points, b.Points) }).Pattern
	heaviest := 0
	for _, f := range c.Fired {
		if f.Pattern == c.Selected && f.Points > heaviest {
			heaviest, c.Rule = f.Points, f.Rule
		}
	}
	return c
}

// Features counts what the rules look at after the thought with that ID was added
// to the branch of v.
func (c *Chain) Features(v *View, id int) Features {
	var f Features
	for _, b := range c.Branches {
		if b.State == Open {
			f.OpenBranches++
		}
	}
	for i := range c.Thoughts {
		if c.Thoughts[i].Merged != 0 {
			f.Merges++
		}
	}
	t := c.Get(id)
	if t == nil {
		return f
	}
	if at := v.slotOf(t.position()); at >= 0 {
		_, f.Stalled = c.duplicate(v, at)
		for i := at; i >= 0 && f.Confidence == nil; i-- {
			f.Confidence = c.Get(v.Slots[i].ID).Confidence
		}
	}
	return f
}
