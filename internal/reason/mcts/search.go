package mcts

import (
	"fmt"
	"math"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// Bounds and defaults of Search.
const (
	DefaultSimulations = 100
	DefaultTrees       = 8
	MaxSimulations     = 1 << 30
	MaxTrees           = 256

	// perTree is how many simulations a tree should have before another one
	// pays, where the caller leaves the number of trees open: many small trees
	// know less than a large one.
	perTree = 10_000
)

// Options tune a Search. The zero value works.
type Options struct {
	Simulations int       // of all trees together; default DefaultSimulations
	Trees       int       // default DefaultTrees, but at most one for each 10,000 simulations
	Policy      Policy    // default UCT
	Exploration *float64  // constant c, at least 0, for returns scaled to [0, 1]; default DefaultExploration
	Criterion   Criterion // default ByVisits
	Seed        uint64

	// Widening, which may be nil, lets a position with n visits have only
	// ⌈K·n^Alpha⌉ moves: those of the highest weights if the model is a
	// problem.Guide, random ones if not.
	Widening *Widening
	// RAVE is the number of visits at which what is learnt from the same move
	// elsewhere counts half (k of Gelly and Silver, 2007): its share is
	// √(k/(3n+k)) after n visits of the position. 0 is none.
	RAVE float64
	// Rollout defaults to RandomRollout.
	Rollout Rollout

	// Spread, which may be nil, grows trees on several goroutines. It does not
	// change the result.
	Spread budget.Spread
	// Keeper, which may be nil, keeps the trees to go on from.
	Keeper *budget.Keeper

	// The following, which may be nil, are called by the goroutine that called
	// Search.

	// Progress is called at first, at the end, and in between after each
	// hundredth of the simulations or tenth of a second.
	Progress func(Progress)
	// Partial gets what Search would return now, about once a second. Its error
	// ends the search.
	Partial func(*Result) error
}

// Progress is how far a Search has come.
type Progress struct {
	Done, Total int    // simulations
	Best        string // the answer if it ended now; empty before the first
	Visits      int64  // of it
	Value       float64
}

// Result is what a Search found. Values are discounted returns to the player
// who moves first in it, in the units of the problem.
type Result struct {
	Best        string       `json:"bestAction,omitempty"` // empty if no simulation was completed
	Value       *float64     `json:"value,omitempty"`
	Player      int          `json:"player"`
	Solved      bool         `json:"solved"` // Value is proven, not estimated
	Actions     []ActionStat `json:"actions"`
	Entropy     *float64     `json:"entropy,omitempty"` // of their visits in bits; nil without visits
	Variation   []Step       `json:"principalVariation"`
	Simulations int          `json:"simulations"`
	Trees       int          `json:"trees"`
	Nodes       int64        `json:"treeNodes"`
	Depth       int          `json:"depth"` // of the deepest tree

	// Run is the best complete run, in deterministic problems for one player.
	Run *Run `json:"bestRun,omitempty"`
}

// Run is a complete run from the initial state. Its value was reached, while
// that of an action is an estimate of what lies beyond it.
type Run struct {
	Value   float64  `json:"value"`
	Actions []string `json:"actions"`
}

// ActionStat is what the simulations say about one action in the initial state.
type ActionStat struct {
	Action   string    `json:"action"`
	Visits   int64     `json:"visits"`
	Share    float64   `json:"share"`           // of all visits
	Value    *float64  `json:"value,omitempty"` // nil if never tried
	Interval *Interval `json:"interval,omitempty"`
	Proven   bool      `json:"proven,omitempty"` // Value is exact

	index int
	mean  float64
	limit bounds
}

// Step is one move of the line of play that the search expects, following the
// most frequent outcome where there is chance.
type Step struct {
	Action string  `json:"action"`
	Player int     `json:"player"`
	Visits int64   `json:"visits"`
	Value  float64 `json:"value"` // to the player who makes the move
}

// Search looks for the best action in the initial state of m. One budget step
// is one move (more for problems with long formulas); nodes are moves and
// positions kept. Each tree has its own share of both. A tree that is full goes
// on simulating without growing. When a limit is met the result is the best so
// far; the error is a problem.Flaws about an option or about a formula that
// failed, or why the context ended.
//
// The result is the same however the trees are spread and however often the
// search was resumed, unless the time limit is met: that counts from the last
// resumption.
func Search(meter *budget.Meter, m problem.Model, o Options) (*Result, error) {
	if err := o.settle(m); err != nil {
		return nil, err
	}
	s := &search{model: m, traits: m.Traits(), meter: meter, o: &o}
	if err := s.begin(); err != nil {
		return nil, err
	}
	if err := s.resume(); err != nil {
		return nil, err
	}
	if err := s.rounds(); err != nil {
		return nil, err
	}
	return s.result(), nil
}

func (o *Options) settle(m problem.Model) error {
	if o.Simulations == 0 {
		o.Simulations = DefaultSimulations
	}
	if o.Simulations < 0 || o.Simulations > MaxSimulations {
		return problem.Bad("simulations", fmt.Sprintf("1 to %d", MaxSimulations), "%d", o.Simulations)
	}
	if o.Trees == 0 {
		o.Trees = max(1, min(DefaultTrees, o.Simulations/perTree))
	}
	if o.Trees < 0 || o.Trees > MaxTrees {
		return problem.Bad("trees", fmt.Sprintf("1 to %d", MaxTrees), "%d", o.Trees)
	}
	o.Trees = min(o.Trees, o.Simulations)
	if o.Exploration == nil {
		o.Exploration = new(DefaultExploration)
	}
	if c := *o.Exploration; !(c >= 0) || math.IsInf(c, 0) {
		return problem.Bad("explorationConstant", "a number of at least 0", "%v", c)
	}
	if o.Policy == "" {
		o.Policy = UCT
	}
	if o.Criterion == "" {
		o.Criterion = ByVisits
	}
	if o.Rollout == "" {
		o.Rollout = RandomRollout
	}
	if !(o.RAVE >= 0 && o.RAVE <= maxMagnitude) {
		return problem.Bad("rave", "a number of at least 0 and at most 1e100", "%v", o.RAVE)
	}
	if o.Rollout == HeuristicRollout && problem.GuideOf(m) == nil {
		return problem.Bad("rollout", "random: this problem has no heuristic", "%q", string(o.Rollout))
	}
	for _, check := range []func() error{o.Rollout.check, o.Widening.check, o.Policy.check, o.Criterion.check} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// search is one run of Search.
type search struct {
	model  problem.Model
	traits problem.Traits
	meter  *budget.Meter
	o      *Options
	trees  []*grower
	player int

	next int // simulations of each tree in the next round

	reportAt int // simulations
	reported time.Time
	shown    time.Time // when Partial was last called
}

// begin makes the trees. A limit too small to give every tree a share makes
// fewer.
func (s *search) begin() error {
	s.next, s.trees = firstRound, nil
	state := make([]float64, s.traits.Size)
	s.model.Start(state)
	s.player = s.model.Player(state)
	acts, err := s.model.Actions(state, nil)
	if err != nil {
		return err
	}
	if s.traits.Actions > slabSize {
		return problem.Bad("actions", fmt.Sprintf("at most %d", slabSize), "%d", s.traits.Actions)
	}
	if len(acts) == 0 {
		return problem.Bad("actions", "at least one legal action", "the run is over in the initial state")
	}
	steps, nodes := s.left()
	trees := s.o.Trees
	for _, left := range []int64{steps, nodes} {
		if left > 0 {
			trees = int(min(int64(trees), left))
		}
	}
	for i := range trees {
		share := budget.Limits{Steps: part(steps, trees, i), Nodes: part(nodes, trees, i)}
		target := part(int64(s.o.Simulations), trees, i)
		s.trees = append(s.trees, newGrower(s.model, s.o, seed.Source(s.o.Seed, uint64(i)), s.meter.Fork(share), int(target)))
	}
	return nil
}

// left returns what the meter still allows; 0 is no limit.
func (s *search) left() (steps, nodes int64) {
	l := s.meter.Limits()
	usedSteps, usedNodes := s.meter.Used()
	if l.Steps > 0 {
		steps = max(1, l.Steps-usedSteps)
	}
	if l.Nodes > 0 {
		nodes = max(1, l.Nodes-usedNodes)
	}
	return steps, nodes
}

// part is the i-th of n nearly equal shares of total.
func part(total int64, n, i int) int64 {
	share := total / int64(n)
	if int64(i) < total%int64(n) {
		share++
	}
	return share
}

const (
	firstRound = 16  // simulations of a tree, so that progress comes early
	mostRound  = 256 // and cancelling never waits for long

	// roundSteps bounds the budget steps of a round of all trees together, where
	// simulations are long: between rounds the search can be saved.
	roundSteps = 1 << 18
)

// rounds runs all trees until they are done, some simulations of each at a
// time. What a round does never depends on how fast it was.
func (s *search) rounds() error {
	s.shown = time.Now()
	var err error
	for {
		if err = s.round(); err != nil {
			break
		}
		done, solved := true, false
		for _, g := range s.trees {
			done = done && g.done()
			solved = solved || g.solved
		}
		s.report(done || solved)
		if done || solved {
			break
		}
		if err = s.keep(); err != nil {
			break
		}
	}
	s.settleMeters()
	if ended := s.meter.Err(); ended != nil {
		return fmt.Errorf("search: %w", ended)
	}
	return err
}

// settleMeters adds up what the trees used.
func (s *search) settleMeters() {
	for _, g := range s.trees {
		g.meter.Follow(s.meter)
		if !g.stopped {
			g.meter.Step(g.pending)
		}
		g.meter.Grow(g.nodes())
		if l := g.meter.Limits().Nodes; g.full && !g.stopped && l > 0 {
			g.meter.Grow(l) // what was refused: the meter notes the limit
		}
		s.meter.Join(g.meter)
	}
}

// round spreads the trees. The first error by tree wins, so that it too is the
// same on every run.
func (s *search) round() error {
	errs := make([]error, len(s.trees))
	spread := s.o.Spread
	if spread == nil || len(s.trees) == 1 {
		spread = s.meter.Inline()
	}
	steps := max(1, roundSteps/int64(len(s.trees)))
	stopped := spread(len(s.trees), func(m *budget.Meter, i int) {
		g := s.trees[i] // nobody else has it during the round
		g.meter.Follow(m)
		errs[i] = g.grow(s.next, steps)
	})
	s.next = min(2*s.next, mostRound)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return stopped
}

func (s *search) done() (sims int) {
	for _, g := range s.trees {
		sims += g.sims
	}
	return sims
}

// reportEvery is how long a caller waits for a sign of life.
const reportEvery = 100 * time.Millisecond

// report tells the caller how far the search is, if it is time to.
func (s *search) report(last bool) {
	if s.o.Progress == nil {
		return
	}
	p := Progress{Done: s.done(), Total: s.o.Simulations}
	if !last && p.Done < s.reportAt && time.Since(s.reported) < reportEvery {
		return
	}
	s.reportAt, s.reported = p.Done+p.Total/100, time.Now()
	l := s.merge(s.roots())
	if best := l.best(s.o.Criterion); best != nil {
		p.Best, p.Visits, p.Value = best.Action, best.Visits, best.mean
	}
	s.o.Progress(p)
}
