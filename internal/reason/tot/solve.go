package tot

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// MaxSolutions is how many solutions Solve reports at most.
const MaxSolutions = 64

// Options tune Solve. The zero value works.
type Options struct {
	Strategy  Strategy // default BreadthFirst
	Breadth   int      // b of BreadthFirst; default DefaultBreadth, at most 4096
	Depth     int      // moves; default the problem's horizon
	Threshold *float64 // unfinished runs that look worth at most this are pruned; not for AStar
	Target    *float64 // a finished run is a solution if its return is at least this; default: every one is
	Solutions int      // after which DepthFirst and BestFirst end, and BreadthFirst if there is a Target; default 1, at most MaxSolutions

	// Heuristic, which may be nil, estimates what a state is worth from there
	// on, undiscounted; for AStar what it will cost to finish, at least 0.
	// It must be safe for concurrent use.
	Heuristic func(state []float64) (float64, error)

	// Spread, which may be nil, continues the runs of a level on several
	// goroutines. It does not change the result.
	Spread budget.Spread
	// Keeper, which may be nil, keeps what is open to go on from.
	Keeper *budget.Keeper
	// Progress, which may be nil, is called every 256 expansions by the
	// goroutine that called Solve.
	Progress func(Progress)
}

// Progress is how far Solve has come.
type Progress struct {
	Expanded  int64
	Open      int
	Solutions int
	Best      *float64
}

// Run is a sequence of moves from the initial state.
type Run struct {
	Actions  []string `json:"actions"`
	Value    float64  `json:"value"`    // return; for AStar cost, for an unfinished run with the heuristic
	Finished bool     `json:"finished"` // no action is legal at its end
}

// Result is what Solve found.
type Result struct {
	Solutions  []Run  `json:"solutions"`      // best first
	Best       *Run   `json:"best,omitempty"` // the first solution, or the most promising run that is open
	Done       Reason `json:"done,omitempty"` // empty when a budget was met
	Exhaustive bool   `json:"exhaustive"`     // nothing was pruned or left: no solutions means that there are none
	Optimal    bool   `json:"optimal"`        // no run is better; under AStar if the heuristic never overestimates
	Expanded   int64  `json:"expanded"`
	Generated  int64  `json:"generated"`
	Merged     int64  `json:"merged"` // equal states
	Pruned     int64  `json:"pruned"`
	Backtracks int64  `json:"backtracks"` // of DepthFirst: dead ends
}

// Solve searches the runs of m, which must be for one player and without
// chance. It maximises the return, except that AStar minimises the cost, the
// negated rewards of the moves, none of which may be positive; a finished run's
// terminal value then only counts towards Target, and the discount must be 1.
//
// A budget step is one move (more for problems with long formulas); a node is a
// run kept. When a limit is met the result is the best so far; the error is a
// problem.Flaws, or why the context ended. The result is the same however the
// work is spread and however often it was resumed, unless the time limit is met.
func Solve(meter *budget.Meter, m problem.Model, o Options) (*Result, error) {
	t := m.Traits()
	if err := o.settle(t); err != nil {
		return nil, err
	}
	s := &solver{m: m, t: t, meter: meter, o: &o}
	if err := s.begin(); err != nil {
		return nil, err
	}
	for s.Result.Done == NotDone {
		ok, err := s.step()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if o.Progress != nil && s.Result.Expanded >= s.reportAt {
			s.reportAt = s.Result.Expanded + 256
			o.Progress(s.progress())
		}
		if o.Keeper.Due() && s.Result.Done == NotDone {
			if err := o.Keeper.Save(s.state); err != nil {
				return nil, err
			}
		}
	}
	if ended := meter.Err(); ended != nil {
		return nil, fmt.Errorf("tree of thought: %w", ended)
	}
	return s.result(), nil
}

func (o *Options) settle(t problem.Traits) error {
	if t.Players != 1 || !t.Deterministic {
		return problem.Bad("problem", "one player and no chance; mcts is for the others", "%d players, deterministic: %t", t.Players, t.Deterministic)
	}
	if o.Strategy == "" {
		o.Strategy = BreadthFirst
	}
	for _, d := range []struct {
		path      string
		v         *int
		to, limit int
	}{{"breadth", &o.Breadth, DefaultBreadth, 4096}, {"depth", &o.Depth, max(1, t.Horizon), problem.MaxHorizon}, {"solutions", &o.Solutions, 1, MaxSolutions}} {
		if *d.v == 0 {
			*d.v = d.to
		}
		if *d.v < 1 || *d.v > d.limit {
			return problem.Bad(d.path, fmt.Sprintf("1 to %d", d.limit), "%d", *d.v)
		}
	}
	number := func(v *float64) bool { return v == nil || *v-*v == 0 }
	switch {
	case !slices.Contains([]Strategy{BreadthFirst, DepthFirst, BestFirst, AStar}, o.Strategy):
		return problem.Bad("strategy", "breadth-first, depth-first, best-first or a-star", "%.32q", string(o.Strategy))
	case !number(o.Threshold) || o.Threshold != nil && o.Strategy == AStar:
		return problem.Bad("threshold", "a number; nothing for a-star", "%v", *o.Threshold)
	case !number(o.Target):
		return problem.Bad("target", "a number", "%v", *o.Target)
	case o.Strategy == AStar && t.Discount != 1:
		return problem.Bad("discount", "1, for a-star", "%v", t.Discount)
	}
	return nil
}

// node is a run that was kept.
type node struct {
	before, action, depth int
	earn                  float64 // discounted return so far, of AStar cost
	rank                  float64 // with what the rest is estimated at
	factor                float64 // γ^depth
	state                 []float64
	finished              bool
}

// kept is the state of a search between two steps. Everything else follows from
// the moves by making them again.
type kept struct {
	Moves  [][2]int `json:"moves"`  // node before, action
	Open   []int    `json:"open"`   // nodes to continue
	Solved []int    `json:"solved"` // best first
	Result Result   `json:"result"`
	Steps  int64    `json:"steps"`
}

type solver struct {
	kept

	m        problem.Model
	t        problem.Traits
	meter    *budget.Meter
	o        *Options
	nodes    []node // 0 is the start; node i+1 came from Moves[i]
	seen     map[string]float64
	reportAt int64
}

func (s *solver) begin() error {
	state := make([]float64, s.t.Size)
	s.m.Start(state)
	acts, err := s.m.Actions(state, nil)
	if err != nil {
		return err
	}
	if len(acts) == 0 {
		return problem.Bad("actions", "at least one legal action", "the run is over in the initial state")
	}
	start := node{before: -1, factor: 1, state: state}
	fresh := func() {
		s.kept = kept{Open: []int{0}, Result: Result{Exhaustive: true}}
		s.nodes, s.seen = []node{start}, map[string]float64{s.key(&start): 0}
	}
	fresh()
	if !s.o.Keeper.Resume(&s.kept) {
		fresh()
		return nil
	}
	ok, err := s.replay()
	switch {
	case err != nil:
		return err
	case !ok:
		fresh()
	default:
		s.meter.Step(s.Steps)
		s.meter.Grow(int64(len(s.Moves)))
	}
	return nil
}

// replay makes the kept moves again. It reports false if they cannot be right.
func (s *solver) replay() (bool, error) {
	for i, m := range s.Moves {
		if m[0] < 0 || m[0] > i || s.nodes[m[0]].finished || s.nodes[m[0]].state == nil {
			return false, nil
		}
		if !s.meter.Pause() {
			if err := s.meter.Err(); err != nil {
				return false, fmt.Errorf("tree of thought: %w", err)
			}
			return false, nil
		}
		from := &s.nodes[m[0]]
		acts, err := s.m.Actions(from.state, nil)
		if err != nil || !slices.Contains(acts, m[1]) {
			return false, err
		}
		n, err := s.follow(m[0], m[1])
		if err != nil {
			return false, err
		}
		s.nodes = append(s.nodes, n)
		if key := s.key(&n); !n.finished {
			if old, known := s.seen[key]; !known || s.better(n.earn, old) {
				s.seen[key] = n.earn
			}
		}
	}
	open := map[int]bool{}
	for _, at := range s.Open {
		if at < 0 || at >= len(s.nodes) || open[at] || s.nodes[at].finished {
			return false, nil
		}
		open[at] = true
	}
	for _, at := range s.Solved {
		if at < 0 || at >= len(s.nodes) || !s.nodes[at].finished {
			return false, nil
		}
	}
	for i := range s.nodes {
		if !open[i] {
			s.nodes[i].state = nil
		}
	}
	if s.ordered() {
		heap.Init((*queue)(s))
	}
	return s.Steps >= 0 && s.Result.Done == NotDone, nil
}

func (s *solver) ordered() bool { return s.o.Strategy == BestFirst || s.o.Strategy == AStar }

func (s *solver) better(a, b float64) bool {
	if s.o.Strategy == AStar {
		return a < b
	}
	return a > b
}

// key names what can still happen: the state, and where it matters how far the
// run is.
func (s *solver) key(n *node) string {
	b := make([]byte, 0, 8*len(n.state)+8)
	for _, v := range n.state {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v+0)) // -0 is 0
	}
	if s.o.Strategy != AStar || s.o.Depth < s.t.Horizon {
		b = binary.AppendUvarint(b, uint64(n.depth))
	}
	return string(b)
}

// follow makes a move.
func (s *solver) follow(at, action int) (node, error) {
	from := &s.nodes[at]
	n := node{before: at, action: action, depth: from.depth + 1, factor: from.factor * s.t.Discount, state: slices.Clone(from.state)}
	_, reward, err := s.m.Apply(n.state, action, nil)
	if err != nil {
		return n, err
	}
	acts, err := s.m.Actions(n.state, nil)
	if err != nil {
		return n, err
	}
	n.finished = len(acts) == 0
	if s.o.Strategy == AStar {
		if reward > 0 {
			return n, problem.Bad("reward", "at most 0 for every move, as a-star minimises costs", "%v, of %q", reward, s.m.Label(action))
		}
		n.earn = from.earn - reward + 0
	} else {
		n.earn = from.earn + float64(from.factor*reward)
	}
	n.rank = n.earn
	switch {
	case n.finished && s.o.Strategy != AStar:
		v, err := s.m.Value(n.state)
		if err != nil {
			return n, err
		}
		n.earn += float64(n.factor * v)
		n.rank = n.earn
	case !n.finished && s.o.Heuristic != nil:
		h, err := s.o.Heuristic(n.state)
		if err != nil {
			return n, err
		}
		if s.o.Strategy == AStar && !(h >= 0) {
			return n, problem.Bad("heuristic", "at least 0, as a-star minimises costs", "%v", h)
		}
		n.rank = n.earn + float64(n.factor*h)
	}
	if n.rank-n.rank != 0 {
		return n, problem.Bad("reward", "returns and estimates below 1.8e308", "a run is worth %v", n.rank)
	}
	return n, nil
}

// solves reports whether a finished run is a solution.
func (s *solver) solves(n *node) (bool, error) {
	if s.o.Target == nil {
		return true, nil
	}
	worth := n.earn
	if s.o.Strategy == AStar {
		v, err := s.m.Value(n.state)
		if err != nil {
			return false, err
		}
		worth = v - n.earn
	}
	return worth >= *s.o.Target, nil
}

// queue orders the open runs: most promising first, then deeper, then older.
type queue solver

func (q *queue) Len() int { return len(q.Open) }
func (q *queue) Less(i, j int) bool {
	return (*solver)(q).compare(q.Open[i], q.Open[j]) < 0
}
func (q *queue) Swap(i, j int) { q.Open[i], q.Open[j] = q.Open[j], q.Open[i] }
func (q *queue) Push(v any)    { q.Open = append(q.Open, v.(int)) }
func (q *queue) Pop() any {
	last := len(q.Open) - 1
	v := q.Open[last]
	q.Open = q.Open[:last]
	return v
}

func (s *solver) compare(a, b int) int {
	p, q := &s.nodes[a], &s.nodes[b]
	rank := cmp.Compare(q.rank, p.rank)
	if s.o.Strategy == AStar {
		rank = -rank
	}
	return cmp.Or(rank, q.depth-p.depth, a-b)
}
