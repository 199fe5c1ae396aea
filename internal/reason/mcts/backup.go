package mcts

import (
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// backup adds the return of a simulation to every move on its path. value is
// what player 1 gets from the end of the path on, and known, if proven, its
// bounds. What is proven about a move replaces a return that best play would not
// have had.
func (g *grower) backup(value float64, known bounds, proven bool) error {
	if g.raveK > 0 {
		g.markPlayout()
	}
	for i := len(g.path) - 1; i >= 0; i-- {
		at := &g.path[i]
		p := g.position(at.position)
		if proven {
			g.narrow(p, at, known)
		}
		// The conversion forbids a fused multiply-add, which some machines have
		// and some have not.
		value = at.reward + float64(g.traits.Discount*value)
		if value < g.low || value > g.high {
			if err := g.widen(value); err != nil {
				return err
			}
		}
		p.seen++
		if proven = p.proven; proven {
			sign := float64(p.sign)
			value = sign * g.proof(at.move).clamp(sign*value)
			known = *g.value(at.position)
		}
		slab := g.moves[at.move>>slabBits]
		m, s := &slab.moves[at.move&slabMask], &slab.scores[at.move&slabMask]
		m.visits++
		x := float64(p.sign) * value
		if g.raveK > 0 {
			g.share(p, m.action, x)
		}
		if m.visits == 1 {
			s.mean, s.inv = x, 1
			continue
		}
		n := float64(m.visits)
		d := x - s.mean
		s.mean += d / n
		m.m2 += float64(d * (x - s.mean))
		s.inv = 1 / math.Sqrt(n)
	}
	return nil
}

// widen takes a return outside the known range into it.
func (g *grower) widen(value float64) error {
	if value-value != 0 {
		return problem.Bad("reward", "a sum below 1.8e308", "the return of a run is too large")
	}
	if !g.traits.Bounded {
		g.low, g.high = min(g.low, value), max(g.high, value)
		return nil
	}
	const slack = 1e-9 // sums of rewards are rounded
	if room := slack * (1 + g.high - g.low); value >= g.low-room && value <= g.high+room {
		return nil
	}
	return problem.Bad("valueRange", "bounds of the return from any state on, or none", "a run returned %v, outside [%v, %v]", value, g.low, g.high)
}
