package mcts

import (
	"cmp"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// played is one move of a playout.
type played struct {
	action int32
	player int8 // 1 or 2; only RAVE asks
}

// rollout plays to the end, at random or as the guide suggests, and returns what
// player 1 gets.
func (g *grower) rollout(acts []int) (float64, error) {
	var sum float64
	weight := 1.0
	for len(acts) > 0 {
		if err := g.spend(); err != nil {
			return 0, err
		}
		a, err := g.draw(acts)
		if err != nil {
			return 0, err
		}
		switch {
		case g.raveK > 0:
			g.played = append(g.played, played{int32(a), int8(g.model.Player(g.state))})
		case g.records:
			g.played = append(g.played, played{action: int32(a)})
		}
		_, reward, err := g.model.Apply(g.state, a, g.rng)
		if err != nil {
			return 0, err
		}
		sum += float64(weight * reward)
		weight *= g.traits.Discount
		if acts, err = g.model.Actions(g.state, g.acts[:0]); err != nil {
			return 0, err
		}
		g.acts = acts
	}
	value, err := g.model.Value(g.state)
	return sum + float64(weight*value), err
}

// draw picks the next action of a playout.
func (g *grower) draw(acts []int) (int, error) {
	switch {
	case len(acts) == 1:
		return acts[0], nil
	case !g.heuristic:
		return acts[g.rng.IntN(len(acts))], nil
	}
	if err := g.weigh(acts); err != nil {
		return 0, err
	}
	u := g.rng.Float64()
	for i, w := range g.weights {
		if u -= w; u < 0 {
			return acts[i], nil
		}
	}
	last := len(acts) - 1 // by rounding; never an action of weight 0
	for last > 0 && g.weights[last] == 0 {
		last--
	}
	return acts[last], nil
}

// weigh computes the probabilities of actions by the guide.
func (g *grower) weigh(acts []int) error {
	g.weights = slices.Grow(g.weights[:0], len(acts))[:len(acts)]
	if err := g.guide.Weigh(g.state, acts, g.weights); err != nil {
		return err
	}
	problem.Normalize(g.weights)
	return nil
}

// order puts the actions in g.acts in the order of their weights, the most
// promising first, which is the order in which widening considers them
// (progressive unpruning: Chaslot et al., 2008).
func (g *grower) order() error {
	if err := g.weigh(g.acts); err != nil {
		return err
	}
	if g.widening == nil {
		return nil
	}
	type weighted struct {
		action int
		weight float64
	}
	list := make([]weighted, len(g.acts))
	for i, a := range g.acts {
		list[i] = weighted{a, g.weights[i]}
	}
	slices.SortStableFunc(list, func(a, b weighted) int { return cmp.Compare(b.weight, a.weight) })
	for i, w := range list {
		g.acts[i], g.weights[i] = w.action, w.weight
	}
	return nil
}

// note keeps the run just made, whose part after the path returned value, if it
// is the best (as single-player MCTS does: Schadd et al., 2008).
func (g *grower) note(value float64) {
	for _, at := range slices.Backward(g.path) {
		value = at.reward + float64(g.traits.Discount*value)
	}
	if g.run != nil && value <= g.record {
		return
	}
	g.record, g.run = value, make([]int32, 0, len(g.path)+len(g.played))
	for i := range g.path {
		g.run = append(g.run, g.move(g.path[i].move).action)
	}
	for _, p := range g.played {
		g.run = append(g.run, p.action)
	}
}

// markPlayout begins the marks of a simulation with the moves of its playout.
func (g *grower) markPlayout() {
	g.mark++
	for _, p := range g.played {
		g.marks[2*p.action+int32(p.player)-1] = g.mark
	}
}

// share counts the value x, to the player who moved in p, for each move that the
// same player made there or later in the simulation. It is called from the end of
// the path upwards.
func (g *grower) share(p *position, action int32, x float64) {
	side := int32(0)
	if p.sign < 0 {
		side = 1
	}
	g.marks[2*action+side] = g.mark
	for e := p.first; e < p.first+p.count; e++ {
		if g.marks[2*g.move(e).action+side] != g.mark {
			continue
		}
		r := g.rave(e)
		r.n++
		r.mean += (x - r.mean) / float64(r.n)
	}
}
