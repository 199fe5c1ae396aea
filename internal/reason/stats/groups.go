package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

func checkGroups(groups [][]float64, least int) (total int, err error) {
	switch {
	case len(groups) < 2:
		return 0, wrong("groups", "at least 2 groups", len(groups))
	case len(groups) > MaxGroups:
		return 0, wrong("groups", fmt.Sprintf("at most %d groups", MaxGroups), len(groups))
	}
	for i, g := range groups {
		if err := checkSample(fmt.Sprintf("groups[%d]", i), g, least); err != nil {
			return 0, err
		}
		total += len(g)
	}
	if total <= len(groups) {
		return 0, wrong("groups", "more values than groups", total)
	}
	return total, checkTotal("groups", total)
}

func sizes(groups [][]float64) []int {
	n := make([]int, len(groups))
	for i, g := range groups {
		n[i] = len(g)
	}
	return n
}

// variation is the analysis of variance of some groups.
type variation struct {
	between, within float64 // sums of squares, of values divided by scale
	df1, df2        float64
	means           []float64
	scale           float64
}

func (v variation) f() float64 { return (v.between / v.df1) / (v.within / v.df2) }

func analyse(m *budget.Meter, groups [][]float64, total int) (variation, error) {
	v := variation{df1: float64(len(groups) - 1), df2: float64(total - len(groups)), means: make([]float64, len(groups))}
	parts := make([]central, len(groups))
	var grand sum
	for i, g := range groups {
		c, err := centralMoments(m, g)
		if err != nil {
			return v, err
		}
		parts[i], v.means[i] = c, c.mean
		grand.add(c.mean * (c.n / float64(total)))
		v.scale = max(v.scale, c.scale)
	}
	center := grand.value()
	for _, c := range parts {
		v.scale = max(v.scale, math.Abs(c.mean-center))
	}
	if v.scale == 0 {
		return v, nil
	}
	var b, w sum
	for _, c := range parts {
		d, s := (c.mean-center)/v.scale, c.scale/v.scale
		b.add(c.n * d * d)
		w.add(c.n * c.m2 * s * s)
	}
	v.between, v.within = b.value(), w.value()
	return v, nil
}

// OneWay is the one-way analysis of variance: do the groups have one mean?
func OneWay(m *budget.Meter, groups [][]float64, o Options) (*Test, error) {
	if err := o.checkTwoSided("an analysis of variance"); err != nil {
		return nil, err
	}
	total, err := checkGroups(groups, 1)
	if err != nil {
		return nil, err
	}
	v, err := analyse(m, groups, total)
	if err != nil {
		return nil, err
	}
	f := v.f()
	if err := checkStatistic("groups", f, "no variation within the groups"); err != nil {
		return nil, err
	}
	t := begin(o, "anova", "one-way analysis of variance", "Fisher 1925", "all groups have the same mean", sizes(groups)...)
	t.DF, t.DF2 = known(v.df1), known(v.df2)
	t.decide("F", f, fSF(f, v.df1, v.df2), exact)
	for i, mean := range v.means {
		if i == maxListed {
			t.note("the means of the first %d groups are listed", maxListed)
			break
		}
		t.estimate(fmt.Sprintf("mean of groups[%d]", i), mean, nil)
	}
	t.explained(v, f, float64(total), o)
	t.independent()
	samples := make([]Sample, 0, len(groups))
	for i, g := range groups {
		samples = append(samples, Sample{Field: fmt.Sprintf("groups[%d]", i), Values: g})
	}
	if err := t.normality(m, samples[:min(len(samples), maxListed)]...); err != nil {
		return nil, err
	}
	return t, t.equalVariances(m, samples...)
}

// maxListed bounds how many groups a result describes one by one.
const maxListed = 50

// explained adds eta² with the interval of its noncentrality and omega², which
// is less biased (Hays 1963).
func (t *Test) explained(v variation, f, n float64, o Options) {
	eta := v.between / (v.between + v.within)
	e := Estimate{Name: "eta squared", Value: known(eta)}
	low, high, ok := noncentralBounds(func(l float64) float64 { return noncentralF(f, v.df1, v.df2, l) }, o.level())
	e.noncentral(ok, low/(low+n), high/(high+n), o, "noncentral F (Steiger 2004)")
	t.effect(e)
	mse := v.within / v.df2
	t.effect(Estimate{Name: "omega squared", Value: known(max(0, (v.between-v.df1*mse)/(v.between+v.within+mse)))})
}

// KruskalWallis tests whether the groups come from one distribution, by ranks. p
// is the chi-squared approximation; H is corrected for ties.
func KruskalWallis(m *budget.Meter, groups [][]float64, o Options) (*Test, error) {
	if err := o.checkTwoSided("the Kruskal-Wallis test"); err != nil {
		return nil, err
	}
	total, err := checkGroups(groups, 1)
	if err != nil {
		return nil, err
	}
	all, err := pool(m, groups...)
	if err != nil {
		return nil, err
	}
	ranks := make([]float64, len(groups))
	tied, err := ranked(m, all, func(ob observation, rank float64) { ranks[ob.group] += rank })
	if err != nil {
		return nil, err
	}
	n := float64(total)
	correction := 1 - tied.cubes/(n*n*n-n)
	if correction <= 0 {
		return nil, wrong("groups", "values that vary", "equal values only")
	}
	var s sum
	for i, r := range ranks {
		k := float64(len(groups[i]))
		d := r/k - (n+1)/2
		s.add(k * d * d)
	}
	h := 12 / (n * (n + 1)) * s.value() / correction
	df := float64(len(groups) - 1)
	t := begin(o, "kruskal_wallis", "Kruskal-Wallis test", "Kruskal & Wallis 1952", "all groups come from one distribution", sizes(groups)...)
	t.DF = known(df)
	t.decide("H", h, chiSF(h, df), asymptotic)
	t.effect(Estimate{Name: "epsilon squared", Value: known(h / (n - 1)), Note: "share of the variance of the ranks (Kelley 1935)"})
	t.independent()
	least := total
	for _, g := range groups {
		least = min(least, len(g))
	}
	status := Met
	if least < 5 {
		status = Doubtful
	}
	t.assume("group sizes of 5 or more", status, "the smallest group has %d", least)
	return t, nil
}

// brownForsythe tests whether the groups have one variance: an analysis of
// variance of the distances from the group medians (Brown & Forsythe 1974). ok is
// false where those do not vary.
func brownForsythe(m *budget.Meter, groups [][]float64) (f, p float64, ok bool, err error) {
	distances := make([][]float64, len(groups))
	var total int
	for i, g := range groups {
		s, err := sorted(m, g)
		if err != nil {
			return 0, 0, false, err
		}
		mid := quantile(s, 0.5)
		for k, v := range s {
			s[k] = math.Abs(v - mid)
		}
		distances[i] = s
		total += len(g)
	}
	v, err := analyse(m, distances, total)
	if err != nil || v.df2 < 1 || v.within == 0 {
		return 0, 0, false, err
	}
	f = v.f()
	return f, fSF(f, v.df1, v.df2), true, nil
}
