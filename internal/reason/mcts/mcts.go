// Package mcts searches decision trees by sampling, in two forms.
//
// Search runs on its own on a problem.Model: it builds several independent
// trees (root parallelisation: Chaslot, Winands and van den Herik, 2008),
// each with its own random stream, and adds up their statistics in a fixed
// order, so that the result depends on the seed and not on how many workers
// ran. In deterministic problems it also proves values as it goes (MCTS-Solver:
// Winands, Björnsson and Saito, 2008; score bounds: Cazenave and Saffidine,
// 2010).
//
// A Tree is for problems that only the client can judge. It hands out tickets
// for the most promising leaves (ask), and takes back their values and children
// (tell); the arithmetic in between is the same.
//
// Both choose by UCT (Kocsis and Szepesvári, 2006), UCB1-tuned (Auer,
// Cesa-Bianchi and Fischer, 2002) or PUCT (Rosin, 2011; Silver et al., 2017);
// Search can share what is learnt about a move among the positions that it could
// be made in (RAVE: Gelly and Silver, 2007) and widen progressively (Coulom, 2007;
// Chaslot et al., 2008). Browne et al., "A survey of Monte Carlo tree search methods", 2012, has the
// whole picture.
package mcts

import (
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Policy is the rule that picks the next child to try.
type Policy string

// The policies.
const (
	UCT       Policy = "uct"        // mean + c·√(ln N / n)
	UCB1Tuned Policy = "ucb1-tuned" // the same with the measured variance; takes no c
	PUCT      Policy = "puct"       // mean + c·P·√N / (1 + n)
)

// Criterion is the rule that picks the final answer.
type Criterion string

// The criteria.
const (
	ByVisits Criterion = "visits" // most visits: the robust child
	ByValue  Criterion = "value"  // highest mean: the max child
	ByLCB    Criterion = "lcb"    // highest lower confidence bound
)

// Rollout is how a playout picks its actions.
type Rollout string

// The rollouts.
const (
	RandomRollout    Rollout = "random"    // all with equal probability
	HeuristicRollout Rollout = "heuristic" // in proportion to the weights of a problem.Guide
)

func (r Rollout) check() error {
	switch r {
	case RandomRollout, HeuristicRollout:
		return nil
	}
	return problem.Bad("rollout", "random or heuristic", "%.32q", string(r))
}

// DefaultExploration is the exploration constant c for returns in [0, 1].
const DefaultExploration = math.Sqrt2

// UCB1 returns the upper confidence bound of a child with the given mean after
// n of its parent's total visits: mean + c·√(ln total / n), +Inf for n = 0.
func UCB1(mean, c, total, n float64) float64 {
	if n <= 0 {
		return math.Inf(1)
	}
	return mean + c*math.Sqrt(math.Log(max(total, 1))/n)
}

// UCB1TunedScore returns the UCB1-tuned bound for values in [0, 1]: the
// exploration term shrinks where the measured variance is small.
func UCB1TunedScore(mean, variance, total, n float64) float64 {
	if n <= 0 {
		return math.Inf(1)
	}
	l := math.Log(max(total, 1)) / n
	return mean + math.Sqrt(l*min(0.25, variance+math.Sqrt(2*l)))
}

// PUCTScore returns the score of a child with prior probability p after n of
// its parent's total visits: mean + c·p·√total / (1 + n).
func PUCTScore(mean, c, p, total, n float64) float64 {
	return mean + c*p*math.Sqrt(total)/(1+n)
}

func (p Policy) check() error {
	switch p {
	case UCT, UCB1Tuned, PUCT:
		return nil
	}
	return problem.Bad("policy", "uct, ucb1-tuned or puct", "%.32q", string(p))
}

func (c Criterion) check() error {
	switch c {
	case ByVisits, ByValue, ByLCB:
		return nil
	}
	return problem.Bad("criterion", "visits, value or lcb", "%.32q", string(c))
}
