package mcts

import (
	"errors"
	"math"
	"math/rand/v2"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// grower is one tree of a Search. It belongs to the goroutine that runs it.
//
// The tree is closed-loop: a position is a state, reached by a move and an
// outcome of chance. In deterministic problems equal states are one position,
// and what is known for certain about values is kept beside the statistics.
type grower struct {
	model  problem.Model
	traits problem.Traits
	source *rand.PCG // beneath rng, which keeps nothing of its own
	rng    *rand.Rand
	meter  *budget.Meter
	policy Policy
	c      float64 // exploration constant

	moves        []*moveSlab
	positions    []*positionSlab
	nextMove     int32
	nextPosition int32 // position 0 is the root
	moveCount    int64

	// Only in deterministic problems:
	proofs []*boundSlab // of moves, to the player who makes them
	values []*boundSlab // of positions, to player 1
	known  transpositions

	// What options add, nil or 0 without them:
	guide     problem.Guide
	heuristic bool // the guide decides playouts
	widening  *Widening
	priors    []*weightSlab // of moves, under PUCT
	raveK     float64
	raves     []*raveSlab // of moves
	marks     []uint64    // the last simulation in which player p made action a, at 2·a+p-1
	mark      uint64
	records   bool    // the best run is kept
	record    float64 // its return
	run       []int32 // its actions, nil for none

	played  []played  // the playout of the current simulation, if raveK or records want it
	weights []float64 // of acts

	start, state []float64
	acts         []int
	path         []passed

	low, high float64 // of all returns so far, or the model's bounds
	limit     int64   // on moves and positions together
	full      bool    // the limit stopped the tree from growing
	solved    bool    // the root's value is proven

	sims    int   // done
	target  int   // to do
	depth   int   // the longest path inside the tree
	pending int64 // budget steps not yet given to the meter
	left    int64 // budget steps of the tree's share
	stopped bool  // the meter said so
}

// score is what choosing among moves reads. An untried move has the mean +Inf.
type score struct {
	mean float64 // return to the player who makes the move
	inv  float64 // 1/√visits
}

type move struct {
	m2     float64 // sum of squared deviations from the mean
	visits int32
	action int32
	next   int32 // first position it led to, 0 for none
}

// position is a state in the tree.
type position struct {
	first   int32 // its moves
	count   int32
	seen    int32 // simulations that came here
	outcome int32 // of the move that led here
	sibling int32 // position after another outcome of the same move, 0 for none
	sign    int8  // 1 if player 1 moves, -1 for player 2
	status  status
	proven  bool // more is known about its value than about any return
}

type status uint8

const (
	fresh    status = iota // its moves are not in the tree
	expanded               // they are
	over                   // it has none
)

// passed is one move of the current simulation.
type passed struct {
	position int32
	move     int32
	reward   float64
}

// errStopped ends a simulation whose budget ran out. It never leaves the file.
var errStopped = errors.New("stopped")

func newGrower(m problem.Model, o *Options, source *rand.PCG, meter *budget.Meter, target int) *grower {
	t := m.Traits()
	g := &grower{
		model: m, traits: t, source: source, rng: rand.New(source), meter: meter, policy: o.Policy, c: *o.Exploration, target: target,
		start: make([]float64, t.Size), state: make([]float64, t.Size), acts: make([]int, 0, t.Actions),
		limit: meter.Limits().Nodes,
		low:   math.Inf(1), high: math.Inf(-1),
		guide: problem.GuideOf(m), heuristic: o.Rollout == HeuristicRollout, widening: o.Widening, raveK: o.RAVE,
		records: t.Deterministic && t.Players == 1,
	}
	if g.raveK > 0 {
		g.marks = make([]uint64, 2*t.Actions)
	}
	if t.Bounded {
		g.low, g.high = t.Low, t.High
	}
	if g.limit == 0 || g.limit > mostNodes {
		g.limit = mostNodes
	}
	if g.left = meter.Limits().Steps; g.left == 0 {
		g.left = math.MaxInt64
	}
	if t.Deterministic {
		g.known.grow()
	}
	m.Start(g.start)
	g.newPosition(position{})
	return g
}

// grow makes up to n more simulations, but begins none after the given budget
// steps.
func (g *grower) grow(n int, steps int64) error {
	last := g.left - steps
	for range min(n, g.target-g.sims) {
		if g.done() || g.left <= last {
			return nil
		}
		switch err := g.simulate(); {
		case errors.Is(err, errStopped):
			return nil
		case err != nil:
			return err
		}
		g.sims++
	}
	return nil
}

func (g *grower) done() bool { return g.stopped || g.solved || g.sims >= g.target }

// spend counts one move against the budget.
func (g *grower) spend() error {
	g.pending += g.traits.Weight
	g.left -= g.traits.Weight
	if g.pending < 16 && g.left > 0 {
		return nil
	}
	if !g.meter.Step(g.pending) {
		g.stopped = true
		return errStopped
	}
	g.pending = 0
	return nil
}

// simulate runs once from the root: down the tree by the policy, one new
// position, a random run to the end, and the return back up.
func (g *grower) simulate() error {
	copy(g.state, g.start)
	g.path, g.played = g.path[:0], g.played[:0]
	at := int32(0)
	for {
		p := g.position(at)
		if p.status == fresh {
			acts, err := g.model.Actions(g.state, g.acts[:0])
			if err != nil {
				return err
			}
			g.acts = acts
			grown := len(acts) > 0 && (p.seen > 0 || at == 0)
			if grown {
				if grown, err = g.expand(at); err != nil {
					return err
				}
			}
			switch {
			case len(acts) == 0:
				p.status = over
			case !grown:
				return g.finish(at, acts)
			}
		}
		if p.status == over || p.proven && g.value(at).exact() {
			return g.finish(at, nil)
		}
		e := g.choose(p)
		if err := g.spend(); err != nil {
			return err
		}
		outcome, reward, err := g.model.Apply(g.state, int(g.move(e).action), g.rng)
		if err != nil {
			return err
		}
		g.path = append(g.path, passed{at, e, reward})
		var ok bool
		if at, ok = g.after(e, int32(outcome)); !ok {
			return g.untracked()
		}
	}
}

// untracked finishes a simulation that left a tree which may not grow.
func (g *grower) untracked() error {
	acts, err := g.model.Actions(g.state, g.acts[:0])
	if err != nil {
		return err
	}
	g.acts = acts
	return g.finish(-1, acts)
}

// finish plays on at random from the state with the given legal actions and
// backs up the return. at is the state's position, -1 if it has none.
func (g *grower) finish(at int32, acts []int) error {
	g.depth = max(g.depth, len(g.path))
	if at >= 0 {
		p := g.position(at)
		p.seen++
		if p.proven && g.value(at).exact() {
			return g.backup(g.value(at).low, *g.value(at), true)
		}
	}
	value, err := g.rollout(acts)
	if err != nil {
		return err
	}
	if g.records {
		g.note(value)
	}
	if len(acts) > 0 || !g.traits.Deterministic {
		return g.backup(value, bounds{}, false)
	}
	certain := bounds{value, value}
	if at >= 0 {
		g.position(at).proven = true
		*g.value(at) = certain
	}
	return g.backup(value, certain, true)
}

// room reports whether n more moves or positions fit, and notes it if not.
func (g *grower) room(n int) bool {
	if g.nodes()+int64(n) > g.limit {
		g.full = true
		return false
	}
	return true
}

// expand adds the legal actions in g.acts as moves of a position, in random
// order so that no action is favoured for being listed first, or by weight.
func (g *grower) expand(at int32) (bool, error) {
	n := len(g.acts)
	if !g.room(n) {
		return false, nil
	}
	p := g.position(at)
	p.first, p.count, p.status, p.sign = g.newMoves(n), int32(n), expanded, 1
	if g.model.Player(g.state) == 2 {
		p.sign = -1
	}
	for i := n - 1; i > 0; i-- {
		j := g.rng.IntN(i + 1)
		g.acts[i], g.acts[j] = g.acts[j], g.acts[i]
	}
	if g.guide != nil && (g.priors != nil || g.widening != nil) {
		if err := g.order(); err != nil {
			return false, err
		}
	}
	for i, a := range g.acts {
		e := p.first + int32(i)
		g.score(e).mean = math.Inf(1)
		g.move(e).action = int32(a)
		if g.proofs != nil {
			*g.proof(e) = g.wide().flip(p.sign)
		}
		if g.priors != nil {
			*g.prior(e) = g.weights[i]
		}
	}
	return true, nil
}

// after returns the position that a move led to with the given outcome, making
// it if there is room.
func (g *grower) after(e, outcome int32) (int32, bool) {
	m := g.move(e)
	for at := m.next; at != 0; {
		p := g.position(at)
		if p.outcome == outcome {
			return at, true
		}
		at = p.sibling
	}
	if g.traits.Deterministic {
		return g.shared(m)
	}
	if !g.room(1) {
		return 0, false
	}
	m.next = g.newPosition(position{outcome: outcome, sibling: m.next})
	return m.next, true
}

// shared is after for the first time a move is made in a deterministic problem.
func (g *grower) shared(m *move) (int32, bool) {
	hi, lo := hashState(g.state)
	e := g.known.place(hi, lo)
	if e.position == 0 {
		if !g.room(1) {
			return 0, false
		}
		m.next = g.newPosition(position{})
		g.known.add(e, hi, lo, m.next)
		return m.next, true
	}
	m.next = e.position
	return m.next, true
}
