package mcts

import "math"

// bounds enclose a value under best play.
type bounds struct{ low, high float64 }

// exact reports whether the value is proven.
func (b bounds) exact() bool { return b.low == b.high }

// clamp returns the value that the bounds allow nearest to v.
func (b bounds) clamp(v float64) float64 { return max(b.low, min(v, b.high)) }

// flip returns the bounds as the other player sees them.
func (b bounds) flip(sign int8) bounds {
	if sign < 0 {
		return bounds{-b.high, -b.low}
	}
	return b
}

// wide returns the bounds of a return to player 1 about which nothing is
// proven.
func (g *grower) wide() bounds {
	if g.traits.Bounded {
		return bounds{g.traits.Low, g.traits.High}
	}
	return bounds{math.Inf(-1), math.Inf(1)}
}

// narrow carries what is known about the state that a move of p led to over to
// the move and to p: to the player who moves, the best move is at least as good
// as the best lower bound and no better than the best upper bound. known is as
// player 1 sees it, and so is the value of p.
func (g *grower) narrow(p *position, at *passed, known bounds) {
	b := bounds{
		at.reward + float64(g.traits.Discount*known.low),
		at.reward + float64(g.traits.Discount*known.high),
	}.flip(p.sign)
	old := g.proof(at.move)
	b = bounds{max(b.low, old.low), min(b.high, old.high)}
	if b == *old || b.low > b.high { // crossed only by rounding
		return
	}
	*old = b
	p.proven = true
	v := bounds{math.Inf(-1), math.Inf(-1)}
	for _, m := range g.proofsOf(p) {
		v.low, v.high = max(v.low, m.low), max(v.high, m.high)
	}
	*g.value(at.position) = v.flip(p.sign)
	if at.position == 0 && v.exact() {
		g.solved = true
	}
}
