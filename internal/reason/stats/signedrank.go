package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// exactSigned is the largest sample for which the signed-rank test counts.
const exactSigned = 50

// SignedRank tests whether the differences d−mu are symmetric about 0. Zeros are
// left out, as Wilcoxon did. p is exact for up to 50 differences without ties,
// otherwise normal with corrections for ties and continuity.
func SignedRank(m *budget.Meter, field string, d []float64, mu float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := finiteArg("mu", mu); err != nil {
		return nil, err
	}
	if err := checkSample(field, d, 1); err != nil {
		return nil, err
	}
	size, positive, zeros := signs(d, mu)
	if len(size) == 0 {
		return nil, wrong(field, fmt.Sprintf("at least one value other than %g", mu), "none")
	}
	all, err := pool(m, size)
	if err != nil {
		return nil, err
	}
	snap(all)
	var w float64
	tied, err := ranked(m, all, func(ob observation, rank float64) {
		if positive[ob.index] {
			w += rank
		}
	})
	if err != nil {
		return nil, err
	}
	t := begin(o, "wilcoxon_signed_rank", "Wilcoxon signed-rank test", "Wilcoxon 1945",
		fmt.Sprintf("the values are symmetric about %g", mu), len(d))
	n := float64(len(size))
	if len(size) <= exactSigned && tied.groups == 0 {
		atMost, atLeast := countTails(signedCounts(len(size)), int(w))
		t.decide("W+", w, o.p(atMost, atLeast), exact)
	} else {
		variance := n*(n+1)*(2*n+1)/24 - tied.cubes/48
		atMost, atLeast := continuity(w-n*(n+1)/4, math.Sqrt(variance))
		t.decide("W+", w, o.p(atMost, atLeast), asymptotic)
		t.note("normal approximation with continuity correction; %d groups of tied differences", tied.groups)
	}
	if zeros > 0 {
		t.note("%d values equal to %g were left out", zeros, mu)
	}
	t.matchedRank(w, n, o)
	t.independent()
	t.assume("symmetric distribution", NotChecked, "needed to read the result as one about the median")
	return t, nil
}

// roundOff is the share of the largest difference below which two differences
// are one: 5.1−4.9 and 0.2 differ in the last binary digit and are a tie.
const roundOff = 1e-12

// snap makes values that differ by rounding alone equal; all is ascending.
func snap(all []observation) {
	gap := all[len(all)-1].value * roundOff
	for i := 1; i < len(all); i++ {
		if all[i].value-all[i-1].value <= gap {
			all[i].value = all[i-1].value
		}
	}
}

func signs(d []float64, mu float64) (size []float64, positive []bool, zeros int) {
	var most float64
	for _, v := range d {
		most = max(most, math.Abs(v-mu))
	}
	for _, v := range d {
		if math.Abs(v-mu) <= most*roundOff {
			zeros++
			continue
		}
		size = append(size, math.Abs(v-mu))
		positive = append(positive, v > mu)
	}
	return size, positive, zeros
}

// signedCounts returns how many of the 2^n sign patterns of ranks 1…n give each
// sum of the positive ones.
func signedCounts(n int) []float64 {
	counts := []float64{1}
	for r := 1; r <= n; r++ {
		next := make([]float64, len(counts)+r)
		for w, c := range counts {
			next[w] += c
			next[w+r] += c
		}
		counts = next
	}
	return counts
}

// matchedRank adds the matched-pairs rank-biserial correlation (Kerby 2014) with
// an interval by Fisher's transformation.
func (t *Test) matchedRank(w, n float64, o Options) {
	total := n * (n + 1) / 2
	r := 2*w/total - 1
	e := Estimate{Name: "rank-biserial correlation", Value: known(r)}
	if math.Abs(r) == 1 {
		e.Note = "all differences have one sign: no interval by Fisher's transformation"
	} else {
		se := math.Sqrt(n*(n+1)*(2*n+1)/6) / total
		z, half := math.Atanh(r), normQuantile(1-o.Alpha/2)*se
		e.Interval = between(math.Tanh(z-half), math.Tanh(z+half), o, "Fisher z, variance under the null hypothesis")
	}
	t.effect(e)
}
