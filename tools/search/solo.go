package search

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Solo are the parameters that state a problem for one player without chance,
// which a search solves on its own. They have the names that mcts has.
type Solo struct {
	Problem   *problem.Spec `json:"problem" doc:"run: a decision problem in declarative form, for one player and without chance. Formulas know + - * / % ^, comparisons, && || !, c ? a : b and functions such as min, max, if, clamp, floor."`
	Heuristic string        `json:"heuristic" maxLen:"8192" doc:"run: number formula over the problem's variables that estimates what a state is worth from there on; for a-star, what it costs to finish, at least 0."`
	Domain    string        `json:"domain" enum:"game24|gridworld|sliding-tiles|tsp|knapsack|job-shop|n-queens" doc:"run: a built-in problem instead."`
	Puzzle
}

// Puzzle are the parameters of the built-in problems, each of which reads its
// own.
type Puzzle struct {
	Numbers []int `json:"numbers,omitempty" minItems:"2" maxItems:"6" doc:"game24: the numbers to combine by + - × ÷, each from 0 to 100."`
	Target  *int  `json:"target,omitempty" doc:"game24: what they shall give. Default 24."`

	Map        string      `json:"map,omitempty" maxLen:"8192" doc:"gridworld: rows of S start, G goal, T trap, # wall and . free, separated by line breaks or blanks."`
	StepReward *float64    `json:"stepReward,omitempty" doc:"gridworld: for arriving in a free cell. Default -0.04."`
	GoalReward *float64    `json:"goalReward,omitempty" doc:"gridworld: for arriving in a goal. Default 1."`
	TrapReward *float64    `json:"trapReward,omitempty" doc:"gridworld: for arriving in a trap. Default -1."`
	MaxMoves   int         `json:"maxMoves,omitempty" min:"0" max:"10000" doc:"gridworld: default 100. sliding-tiles: default 31 for 3×3, else 80."`
	Columns    int         `json:"columns,omitempty" min:"0" max:"5" doc:"sliding-tiles: default 3."`
	Tiles      []int       `json:"tiles,omitempty" maxItems:"25" doc:"sliding-tiles: the cells row by row, 0 is the gap; 1, 2, … 0 is the aim."`
	Distances  [][]float64 `json:"distances,omitempty" maxItems:"50" doc:"tsp: distances[i][j] is the way from city i to j."`
	Points     [][]float64 `json:"points,omitempty" maxItems:"50" doc:"tsp: [x, y] of each city, instead of distances."`

	Values   []float64 `json:"values,omitempty" maxItems:"256" doc:"knapsack: what each item is worth."`
	Weights  []float64 `json:"weights,omitempty" maxItems:"256" doc:"knapsack: what each item weighs."`
	Capacity float64   `json:"capacity,omitempty" min:"0" doc:"knapsack: the most that the items may weigh together."`

	Jobs     [][][]float64 `json:"jobs,omitempty" maxItems:"32" doc:"job-shop: for each job its tasks in order, each [machine, duration], machines from 0."`
	Instance string        `json:"instance,omitempty" enum:"ft06" doc:"job-shop: a known instance instead of jobs; the optimum of ft06 is 55."`
	Queens   int           `json:"queens,omitempty" min:"0" max:"26" doc:"n-queens: the size of the board. Default 8."`
}

// stated reports whether there is a problem to run.
func (in *Solo) stated() bool { return in.Problem != nil || in.Domain != "" }

// posed is a problem ready to be searched.
type posed struct {
	model     problem.Model
	heuristic func(state []float64) (float64, error) // nil: none
	at        func(path string) string               // names the parameter that a flaw is in
}

// pose returns the problem. options are the flaws that the search finds in its
// own parameters; all others are in the problem.
func (in *Solo) pose(options ...string) (posed, error) {
	p := posed{at: func(path string) string {
		switch {
		case slices.Contains(options, path):
			return "parameters." + path
		case in.Problem == nil: // a domain has no parts
			return "parameters.domain"
		case path == "problem":
			return "parameters.problem"
		}
		return "parameters.problem." + path
	}}
	var err error
	switch {
	case in.Problem != nil && in.Domain != "":
		err = tools.Badf("parameters.domain", "either problem or domain, not both")
	case in.Problem != nil:
		err = p.compile(in)
	case in.Domain == "":
		err = tools.Badf("parameters.problem", `a problem to search, or a domain, such as {"domain": "game24", "numbers": [4, 9, 10, 13]}`)
	case in.Heuristic != "":
		err = tools.Bad("parameters.heuristic", "nothing with a domain, which has no variables to name", in.Heuristic)
	case in.Domain == "game24":
		target := 24
		if in.Target != nil {
			target = *in.Target
		}
		if p.model, err = tot.Game24(in.Numbers, target); err != nil {
			err = flaws(problem.Sentence("numbers", err), inParameters)
		}
	default:
		of := problem.Parameters{
			Map: in.Map, StepReward: in.StepReward, GoalReward: in.GoalReward, TrapReward: in.TrapReward, MaxMoves: in.MaxMoves,
			Columns: in.Columns, Tiles: in.Tiles, Distances: in.Distances, Points: in.Points, Values: in.Values, Weights: in.Weights,
			Capacity: in.Capacity, Jobs: in.Jobs, Instance: in.Instance, Queens: in.Queens,
		}
		p.model, _, err = of.Build(in.Domain, 1)
		err = flaws(err, inParameters)
	}
	return p, err
}

func (p *posed) compile(in *Solo) error {
	m, err := problem.Compile(in.Problem)
	if err != nil {
		return flaws(err, p.at)
	}
	p.model = m
	if in.Heuristic == "" {
		return nil
	}
	wrong := func(err error) error {
		return tools.Bad("parameters.heuristic", "a number formula over the problem's variables: "+fault.From(err).Public, in.Heuristic)
	}
	h, err := m.Scope().Compile(in.Heuristic, expr.Number)
	if err != nil {
		return wrong(err)
	}
	p.heuristic = func(state []float64) (float64, error) {
		v, err := h.Eval(state)
		if err != nil {
			return 0, wrong(err)
		}
		return v, nil
	}
	return nil
}

// again returns the parameters of the same run with some set.
func (in *Solo) again(set map[string]any) map[string]any {
	p := map[string]any{"action": "run"}
	if text, err := json.Marshal(in.Puzzle); err != nil || json.Unmarshal(text, &p) != nil {
		return set // cannot be: all of it came from JSON
	}
	if in.Problem != nil {
		p["problem"] = in.Problem
	}
	if in.Domain != "" {
		p["domain"] = in.Domain
	}
	if in.Heuristic != "" {
		p["heuristic"] = in.Heuristic
	}
	maps.Copy(p, set)
	return p
}

// soFar says what a search has found, for people.
func soFar(best *float64) string {
	if best == nil {
		return "no finished run yet"
	}
	return fmt.Sprintf("best so far %.6g", *best)
}
