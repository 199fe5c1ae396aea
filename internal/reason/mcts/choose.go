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
// out; one that can exists until the position itself is solved. Widening leaves
// the later moves out too, unless all before them are.
func (g *grower) choose(p *position) int32 {
	allowed := p.count
	if g.widening != nil {
		allowed = int32(min(int(p.count), g.widening.allows(float64(p.seen))))
	}
	if g.policy == UCT && !p.proven && g.raveK == 0 {
		return p.first + chooseUCT(g.scoresOf(p)[:allowed], g.c*g.span()*sqrtLog(p.seen))
	}
	least := math.Inf(-1)
	if p.proven {
		for _, b := range g.proofsOf(p) {
			least = max(least, b.low)
		}
	}
	c := chooser{g: g, p: p, fallback: g.average(p), best: math.Inf(-1)}
	if g.raveK > 0 {
		c.shared = math.Sqrt(g.raveK / (3*float64(p.seen) + g.raveK))
	}
	at, found := p.first, false
	for e := p.first; e < p.first+p.count && (e < p.first+allowed || !found); e++ {
		if p.proven && g.proof(e).high <= least {
			continue
		}
		if c.better(e) || !found {
			at, found = e, true
		}
	}
	return at
}

// chooser compares the moves of a position.
type chooser struct {
	g        *grower
	p        *position
	fallback float64 // the mean of an untried move where the policy does not try every move first
	shared   float64 // how much RAVE counts
	untried  bool    // the best so far is an untried move that goes first
	best     float64 // its score
}

// better reports whether a move goes before all that it was asked about before.
// Under RAVE an untried move that was seen elsewhere counts as tried once, with
// the mean that it had there (Gelly and Silver, 2011).
func (c *chooser) better(e int32) bool {
	s, m := *c.g.score(e), c.g.move(e)
	first := m.visits == 0 && c.g.policy != PUCT
	if m.visits == 0 {
		s = score{mean: c.fallback, inv: 1}
	}
	if c.shared > 0 {
		switch r := c.g.rave(e); {
		case r.n > 0 && first:
			s.mean, first = r.mean, false
		case r.n > 0:
			s.mean += float64(c.shared * (r.mean - s.mean))
		}
	}
	rating := s.mean
	if !first {
		rating = c.g.rate(c.p, e, s)
	}
	if c.untried && !first || c.untried == first && rating <= c.best {
		return false
	}
	c.untried, c.best = first, rating
	return true
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

// rate scores one move by the policy.
func (g *grower) rate(p *position, e int32, s score) float64 {
	total, span, m := float64(p.seen), g.span(), g.move(e)
	n := float64(m.visits)
	switch g.policy {
	case UCB1Tuned:
		v := 0.25 // the most that values in [0, 1] can have
		if n > 0 {
			v = m.m2 / n / (span * span)
		}
		n = max(n, 1)
		return s.mean + span*UCB1TunedScore(0, v, total, n)
	case PUCT:
		prior := 1 / float64(p.count)
		if g.priors != nil {
			prior = *g.prior(e)
		}
		return PUCTScore(s.mean, g.c*span, prior, total, n)
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
