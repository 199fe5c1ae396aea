package mcts

import "math"

// tabled is how many values of √ln n are looked up instead of computed.
const tabled = 4096

var sqrtLogs = func() (t [tabled]float64) {
	for n := 1; n < tabled; n++ {
		t[n] = math.Sqrt(math.Log(float64(n)))
	}
	return t
}()

func sqrtLog(n int32) float64 {
	if uint32(n) < tabled {
		return sqrtLogs[n]
	}
	return math.Sqrt(math.Log(float64(n)))
}

// span is the width of the returns, by which exploration is scaled so that c
// means the same for every problem.
func (g *grower) span() float64 {
	if s := g.high - g.low; s > 0 {
		return s
	}
	return 1
}

// choose picks a move of an expanded position: an untried one first, then by
// the policy. Moves that cannot beat what another is proven to give are left
// out; one that can exists until the position itself is solved.
func (g *grower) choose(p *position) int32 {
	if g.policy == UCT && !p.proven {
		return p.first + chooseUCT(g.scoresOf(p), g.c*g.span()*sqrtLog(p.seen))
	}
	least := math.Inf(-1)
	if p.proven {
		for _, b := range g.proofsOf(p) {
			least = max(least, b.low)
		}
	}
	fallback := g.average(p)
	best, at := math.Inf(-1), p.first
	for e := p.first; e < p.first+p.count; e++ {
		if p.proven && g.proof(e).high <= least {
			continue
		}
		if s := g.rate(p, e, fallback); s > best {
			best, at = s, e
		}
	}
	return at
}

// chooseUCT returns the index of the highest mean + k/√visits.
func chooseUCT(scores []score, k float64) int32 {
	best, at := math.Inf(-1), 0
	for i := range scores {
		if s := scores[i].mean + k*scores[i].inv; s > best {
			best, at = s, i
		}
	}
	return int32(at)
}

// rate scores one move. fallback stands for the mean of an untried move where
// the policy does not try every move first.
func (g *grower) rate(p *position, e int32, fallback float64) float64 {
	s, m := *g.score(e), g.move(e)
	total, n, span := float64(p.seen), float64(m.visits), g.span()
	switch g.policy {
	case UCB1Tuned:
		if n == 0 {
			return math.Inf(1)
		}
		v := m.m2 / n / (span * span)
		return s.mean + span*UCB1TunedScore(0, v, total, n)
	case PUCT:
		if n == 0 {
			s.mean = fallback
		}
		return PUCTScore(s.mean, g.c*span, 1/float64(p.count), total, n)
	}
	return s.mean + g.c*span*sqrtLog(p.seen)*s.inv
}

// average is the mean return of the tried moves of a position, 0 without any.
func (g *grower) average(p *position) float64 {
	if g.policy != PUCT {
		return 0
	}
	var sum, n float64
	for e := p.first; e < p.first+p.count; e++ {
		if v := float64(g.move(e).visits); v > 0 {
			sum += v * g.score(e).mean
			n += v
		}
	}
	return sum / max(n, 1)
}
