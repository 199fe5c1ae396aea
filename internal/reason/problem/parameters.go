package problem

import (
	"errors"
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Parameters are those of all built-in problems, each of which reads its own.
type Parameters struct {
	Board string    `json:"board,omitempty" maxLen:"200" doc:"tic-tac-toe: nine cells of X, O or ., row by row. Default: empty."`
	Heaps []int     `json:"heaps,omitempty" maxItems:"8" doc:"nim: objects in each heap; who takes the last wins. Default [3, 4, 5]."`
	Arms  []float64 `json:"arms,omitempty" maxItems:"256" doc:"bandit: with which probability each arm pays 1."`
	Pulls int       `json:"pulls,omitempty" default:"1" min:"1" max:"10000" doc:"bandit: how often an arm is pulled."`

	Columns int    `json:"columns,omitempty" min:"0" max:"9" doc:"connect-four: default 7. sliding-tiles: default 3."`
	Rows    int    `json:"rows,omitempty" min:"0" max:"12" doc:"connect-four: default 6; columns·(rows+1) is at most 53."`
	Moves   string `json:"moves,omitempty" maxLen:"200" doc:"connect-four: the columns played so far, a digit each, from 1. Default: none."`

	Map        string   `json:"map,omitempty" maxLen:"8192" doc:"gridworld: rows of S start, G goal, T trap, # wall and . free, separated by line breaks or blanks."`
	Slip       float64  `json:"slip,omitempty" min:"0" max:"1" doc:"gridworld: probability to go to the left or right instead. Default 0."`
	StepReward *float64 `json:"stepReward,omitempty" doc:"gridworld: for arriving in a free cell. Default -0.04."`
	GoalReward *float64 `json:"goalReward,omitempty" doc:"gridworld: for arriving in a goal. Default 1."`
	TrapReward *float64 `json:"trapReward,omitempty" doc:"gridworld: for arriving in a trap. Default -1."`
	MaxMoves   int      `json:"maxMoves,omitempty" min:"0" max:"10000" doc:"gridworld: default 100. sliding-tiles: default 31 for 3×3, else 80."`

	Tiles []int `json:"tiles,omitempty" maxItems:"25" doc:"sliding-tiles: the cells row by row, 0 is the gap; 1, 2, … 0 is the aim."`

	Distances [][]float64 `json:"distances,omitempty" maxItems:"50" doc:"tsp: distances[i][j] is the way from city i to j."`
	Points    [][]float64 `json:"points,omitempty" maxItems:"50" doc:"tsp: [x, y] of each city, instead of distances."`

	Values   []float64 `json:"values,omitempty" maxItems:"256" doc:"knapsack: what each item is worth."`
	Weights  []float64 `json:"weights,omitempty" maxItems:"256" doc:"knapsack: what each item weighs."`
	Capacity float64   `json:"capacity,omitempty" min:"0" doc:"knapsack: the most that the items may weigh together."`

	Jobs     [][][]float64 `json:"jobs,omitempty" maxItems:"32" doc:"job-shop: for each job its tasks in order, each [machine, duration], machines from 0."`
	Instance string        `json:"instance,omitempty" enum:"ft06" doc:"job-shop: a known instance instead of jobs; the optimum of ft06 is 55."`

	Queens int `json:"queens,omitempty" min:"0" max:"26" doc:"n-queens: the size of the board. Default 8."`
}

// Build returns the built-in problem of that name with its parameters, and the
// name of the parameter that states it. The error is a Flaws whose paths are
// names of parameters, or "domain". discount is that of a gridworld.
func (p *Parameters) Build(domain string, discount float64) (m Model, main string, err error) {
	switch domain {
	case "tic-tac-toe", "tictactoe":
		main = "board"
		m, err = TicTacToe(p.Board)
	case "nim":
		main = "heaps"
		m, err = Nim(orElse(p.Heaps, []int{3, 4, 5}))
	case "bandit":
		main = "arms"
		m, err = Bandit(p.Arms, p.Pulls)
	case "connect-four":
		main = "moves"
		columns, rows := p.Columns, p.Rows
		if columns == 0 {
			columns = 7
		}
		if rows == 0 {
			rows = 6
		}
		m, err = ConnectFour(columns, rows, p.Moves)
	case "gridworld":
		main = "map"
		m, err = GridWorld(Grid{
			Map: p.Map, Slip: p.Slip, Step: deref(p.StepReward, -.04), Goal: deref(p.GoalReward, 1), Trap: deref(p.TrapReward, -1),
			Discount: discount, Moves: p.MaxMoves,
		})
	case "sliding-tiles":
		main = "tiles"
		columns := p.Columns
		if columns == 0 {
			columns = 3
		}
		m, err = SlidingTiles(columns, p.Tiles, p.MaxMoves)
	case "tsp":
		return p.tsp()
	case "knapsack":
		main = "values"
		m, err = Knapsack(p.Values, p.Weights, p.Capacity)
	case "job-shop":
		return p.jobShop()
	case "n-queens":
		main = "queens"
		n := p.Queens
		if n == 0 {
			n = 8
		}
		m, err = Queens(n)
	default:
		return nil, "domain", Flaws{{"domain", fmt.Sprintf("%.40q", domain), "one of " + strings.Join(Domains(), ", ")}}
	}
	if err != nil && !isFlaws(err) {
		err = Sentence(main, err)
	}
	return m, main, err
}

// Sentence makes a flaw at path of an error of kind fault.Invalid that says "what
// was found; expected what would be right".
func Sentence(path string, err error) Flaws {
	found, expected, ok := strings.Cut(fault.From(err).Public, "; expected ")
	if !ok {
		return Flaws{{path, found, "something else"}}
	}
	return Flaws{{path, found, expected}}
}

// Domains returns the names of the built-in problems.
func Domains() []string {
	return []string{"tic-tac-toe", "nim", "bandit", "connect-four", "gridworld", "sliding-tiles", "tsp", "knapsack", "job-shop", "n-queens"}
}

func isFlaws(err error) bool {
	_, ok := errors.AsType[Flaws](err)
	return ok
}

func orElse[T any](list, other []T) []T {
	if list == nil {
		return other
	}
	return list
}

func deref(v *float64, other float64) float64 {
	if v == nil {
		return other
	}
	return *v
}

func (p *Parameters) tsp() (m Model, main string, err error) {
	main = "distances"
	distances := p.Distances
	if p.Points != nil {
		main = "points"
		if distances != nil {
			return nil, main, Flaws{{main, "distances are given too", "either points or distances"}}
		}
		if distances, err = Distances(p.Points); err != nil {
			return nil, main, err
		}
	}
	m, err = TSP(distances)
	return m, main, err
}

func (p *Parameters) jobShop() (m Model, main string, err error) {
	switch {
	case p.Instance != "" && p.Jobs != nil:
		return nil, "instance", Flaws{{"instance", "jobs are given too", "either jobs or instance"}}
	case p.Instance == "ft06":
		m, err = JobShop(FT06())
		return m, "instance", err
	case p.Instance != "":
		return nil, "instance", Flaws{{"instance", fmt.Sprintf("%.40q", p.Instance), "ft06"}}
	}
	jobs := make([][]Task, len(p.Jobs))
	for j, job := range p.Jobs {
		for k, t := range job {
			if len(t) != 2 || t[0] != float64(int(t[0])) {
				return nil, "jobs", Flaws{{at(at("jobs", j), k), fmt.Sprint(t), "[machine, duration], machine a whole number"}}
			}
			jobs[j] = append(jobs[j], Task{int(t[0]), t[1]})
		}
	}
	m, err = JobShop(jobs)
	return m, "jobs", err
}
