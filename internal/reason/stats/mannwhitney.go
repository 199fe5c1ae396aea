package stats

import (
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// exactRanks is the largest sample for which the rank tests count instead of
// approximating.
const exactRanks = 20

// MannWhitney tests whether values of x tend to be larger or smaller than those
// of y. Its statistic U counts the pairs in which x is larger, ties as a half. p
// is exact for samples of up to 20 values without ties, otherwise normal with
// corrections for ties and continuity.
func MannWhitney(m *budget.Meter, x, y []float64, o Options) (*Test, error) {
	if err := checkTwo(x, y, o); err != nil {
		return nil, err
	}
	all, err := pool(m, x, y)
	if err != nil {
		return nil, err
	}
	var rankSum float64 // half-integers below 2^53: exact
	tied, err := ranked(m, all, func(ob observation, rank float64) {
		if ob.group == 0 {
			rankSum += rank
		}
	})
	if err != nil {
		return nil, err
	}
	n1, n2 := float64(len(x)), float64(len(y))
	n := n1 + n2
	u := rankSum - n1*(n1+1)/2
	t := begin(o, "mann_whitney", "Mann-Whitney U test (Wilcoxon rank sum)", "Mann & Whitney 1947",
		"P(X > Y) = P(X < Y)", len(x), len(y))
	if len(x) <= exactRanks && len(y) <= exactRanks && tied.groups == 0 {
		counts := rankSumCounts(len(x), len(y))
		atMost, atLeast := countTails(counts, int(u))
		t.decide("U", u, o.p(atMost, atLeast), exact)
	} else {
		variance := n1 * n2 / 12 * ((n + 1) - tied.cubes/(n*(n-1)))
		if variance <= 0 {
			return nil, wrong("x and y", "values that vary", "equal values only")
		}
		atMost, atLeast := continuity(u-n1*n2/2, math.Sqrt(variance))
		t.decide("U", u, o.p(atMost, atLeast), asymptotic)
		t.note("normal approximation with continuity correction; %d groups of tied values", tied.groups)
	}
	theta := u / (n1 * n2)
	low, high := superiority(theta, n1, n2, o.level())
	const method = "score type (Newcombe 2006, method 5)"
	t.effect(Estimate{Name: "rank-biserial correlation", Value: known(2*theta - 1), Interval: between(2*low-1, 2*high-1, o, method)})
	t.effect(Estimate{Name: "probability that x > y, ties as a half", Value: known(theta), Interval: between(low, high, o, method)})
	t.independent()
	t.assume("equal shapes", NotChecked, "needed only to read the result as a difference of medians")
	return t, nil
}

func checkTwo(x, y []float64, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := checkSample("x", x, 1); err != nil {
		return err
	}
	if err := checkSample("y", y, 1); err != nil {
		return err
	}
	return checkTotal("x and y", len(x)+len(y))
}

// rankSumCounts returns how many of the orders of n1+n2 distinct values give each
// U, by the recurrence of Mann & Whitney: the largest value is an x, which beats
// all n2, or a y.
func rankSumCounts(n1, n2 int) []float64 {
	// row[j] are the counts for i x's and j y's.
	row := make([][]float64, n2+1)
	for j := range row {
		row[j] = []float64{1}
	}
	for i := 1; i <= n1; i++ {
		for j := 1; j <= n2; j++ {
			next := make([]float64, i*j+1)
			for u, c := range row[j] { // i−1 x's and j y's
				next[u+j] += c
			}
			for u, c := range row[j-1] { // i x's and j−1 y's, already replaced
				next[u] += c
			}
			row[j] = next
		}
	}
	return row[n2]
}

// countTails returns P(≤ at) and P(≥ at) of a distribution given by counts.
func countTails(counts []float64, at int) (atMost, atLeast float64) {
	var total float64
	for k, c := range counts {
		total += c
		if k <= at {
			atMost += c
		}
		if k >= at {
			atLeast += c
		}
	}
	return atMost / total, atLeast / total
}

// continuity returns both tails of a normal statistic on a lattice of step one,
// each widened by half a step.
func continuity(deviation, sd float64) (atMost, atLeast float64) {
	return normCDF((deviation + 0.5) / sd), normSF((deviation - 0.5) / sd)
}
