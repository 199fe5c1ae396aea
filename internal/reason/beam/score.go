// Package beam searches by generations: of all ways to go one step further, the
// best few are kept.
//
// Search runs on its own on a problem.Model. A Beam is for paths that only the
// client can extend and score: it hands out tickets for the paths of the
// generation (ask), takes back their continuations (tell), and closes the
// generation when all have been told.
//
// Beam search goes back to Lowerre (The Harpy speech recognition system, 1976).
// The length penalty is that of Wu et al. (Google's neural machine translation
// system, 2016), the diverse groups are those of Vijayakumar et al. (Diverse
// beam search, 2016).
package beam

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Aggregate is the rule that makes one value of the scores along a path.
type Aggregate string

// The aggregates.
const (
	Sum      Aggregate = "sum"
	Mean     Aggregate = "mean"     // average is another name for it
	Product  Aggregate = "product"  // of probabilities, 0 to 1
	LogProb  Aggregate = "logprob"  // sum of logarithms of probabilities, at most 0
	Min      Aggregate = "min"      // the weakest step
	Max      Aggregate = "max"      // the strongest step
	Last     Aggregate = "last"     // the latest step
	Weighted Aggregate = "weighted" // mean in which a step weighs Decay times the one after it
	average  Aggregate = "average"
)

// MaxScore bounds the size of a score.
const MaxScore = 1e12

// Value returns the value of a path with these scores, 0 for none. alpha is the
// exponent of the length penalty, which only Sum, LogProb and Product have, and
// decay the factor of Weighted.
func (a Aggregate) Value(scores []float64, alpha, decay float64) float64 {
	if len(scores) == 0 {
		return 0
	}
	switch a {
	case Min:
		return slices.Min(scores)
	case Max:
		return slices.Max(scores)
	case Last:
		return scores[len(scores)-1]
	case Product:
		p := 1.0
		for _, s := range scores {
			p *= s
		}
		if alpha == 0 || p == 0 {
			return p
		}
		return math.Pow(p, 1/LengthPenalty(len(scores), alpha))
	case Weighted:
		var sum, weight float64
		for _, s := range scores {
			sum, weight = float64(sum*decay)+s, float64(weight*decay)+1
		}
		return sum / weight
	}
	var sum float64
	for _, s := range scores {
		sum += s
	}
	if a == Mean || a == average {
		return sum / float64(len(scores))
	}
	return sum / LengthPenalty(len(scores), alpha)
}

// LengthPenalty returns ((5 + n) / 6)^alpha, by which the sum of logarithms of a
// path of n steps is divided: without it short paths win (Wu et al., 2016, eq.
// 14). 0 turns it off.
func LengthPenalty(n int, alpha float64) float64 {
	if alpha == 0 {
		return 1
	}
	return math.Pow(float64(5+n)/6, alpha)
}

// checkScore refuses a score that does not fit the aggregate.
func (a Aggregate) checkScore(path string, s float64) error {
	low, high := -MaxScore, MaxScore
	switch a {
	case Product:
		low, high = 0, 1
	case LogProb:
		high = 0
	}
	if !(s >= low && s <= high) {
		return problem.Bad(path, fmt.Sprintf("a number from %v to %v, for %s", low, high, a), "%v", s)
	}
	return nil
}

// candidate is a continuation that wants a place in the beam.
type candidate struct {
	at    int
	value float64
	token string // what it adds, for diversity
	group int    // 0: of any
}

// pick fills the places of each group in turn with its best candidates. Those of
// a later group lose lambda for each place that an earlier one has given to the
// same token (Hamming diversity: Vijayakumar et al., 2016). take is asked for
// each candidate whose turn has come, best first, and says whether it needs a
// place; equal ones go by their order. False from step ends it.
func pick(pool []candidate, width, groups int, lambda float64, step func() bool, take func(c candidate, group int) (bool, error)) error {
	counts := map[string]int{}
	taken := make([]bool, len(pool))
	order := make([]int, 0, len(pool))
	rate := make([]float64, len(pool))
	for g := 1; g <= groups; g++ {
		order = order[:0]
		for i, c := range pool {
			if !taken[i] && (c.group == 0 || c.group == g) {
				rate[i] = c.value - float64(lambda*float64(counts[c.token]))
				order = append(order, i)
			}
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Or(cmp.Compare(rate[b], rate[a]), a-b) })
		var chosen []string
		places := part(width, groups, g-1)
		for _, i := range order {
			if len(chosen) == places {
				break
			}
			if !step() {
				return nil
			}
			kept, err := take(pool[i], g)
			if err != nil {
				return err
			}
			taken[i] = true
			if kept {
				chosen = append(chosen, pool[i].token)
			}
		}
		for _, token := range chosen {
			counts[token]++
		}
	}
	return nil
}

// part is the i-th of n nearly equal shares of total.
func part(total, n, i int) int {
	if i < total%n {
		return total/n + 1
	}
	return total / n
}
