package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// ZTest tests whether the mean of x is mu, given the standard deviation of the
// population it was drawn from.
func ZTest(m *budget.Meter, x []float64, mu, sigma float64, o Options) (*Test, error) {
	if err := zArgs(mu, o); err != nil {
		return nil, err
	}
	if err := positiveArg("sigma", sigma); err != nil {
		return nil, err
	}
	if err := checkSample("x", x, 1); err != nil {
		return nil, err
	}
	mean, err := meanOf(m, x)
	if err != nil {
		return nil, err
	}
	t := begin(o, "z_one_sample", "z test, one sample, known standard deviation", "Gauss 1809; Neyman 1937",
		fmt.Sprintf("the mean is %g", mu), len(x))
	se := sigma / math.Sqrt(float64(len(x)))
	return t, t.finishZ("mean", mean, mu, se, sigma, o)
}

// ZTestTwo tests whether the means of x and y differ by mu, given both standard
// deviations.
func ZTestTwo(m *budget.Meter, x, y []float64, mu, sigmaX, sigmaY float64, o Options) (*Test, error) {
	if err := zArgs(mu, o); err != nil {
		return nil, err
	}
	if err := positiveArg("sigma", sigmaX); err != nil {
		return nil, err
	}
	if err := positiveArg("sigmaY", sigmaY); err != nil {
		return nil, err
	}
	if err := checkSample("x", x, 1); err != nil {
		return nil, err
	}
	if err := checkSample("y", y, 1); err != nil {
		return nil, err
	}
	if err := checkTotal("x and y", len(x)+len(y)); err != nil {
		return nil, err
	}
	a, err := meanOf(m, x)
	if err != nil {
		return nil, err
	}
	b, err := meanOf(m, y)
	if err != nil {
		return nil, err
	}
	t := begin(o, "z_two_sample", "z test, two samples, known standard deviations", "Gauss 1809; Neyman 1937",
		fmt.Sprintf("the means differ by %g", mu), len(x), len(y))
	se := math.Hypot(sigmaX/math.Sqrt(float64(len(x))), sigmaY/math.Sqrt(float64(len(y))))
	return t, t.finishZ("mean difference x-y", a-b, mu, se, math.Hypot(sigmaX, sigmaY)/math.Sqrt2, o)
}

func zArgs(mu float64, o Options) error {
	if err := o.check(); err != nil {
		return err
	}
	return finiteArg("mu", mu)
}

func (t *Test) finishZ(name string, v, mu, se, sigma float64, o Options) error {
	z := (v - mu) / se
	if err := checkStatistic("mu", z, fmt.Sprintf("%g standard errors", z)); err != nil {
		return err
	}
	t.decide("z", z, o.p(normCDF(z), normSF(z)), exact)
	t.estimate(name, v, o.around(v, se, normQuantile, "normal"))
	half := normQuantile(1-o.Alpha/2) * se
	t.effect(Estimate{
		Name: "Cohen d", Value: known((v - mu) / sigma),
		Interval: between((v-mu-half)/sigma, (v-mu+half)/sigma, o, "normal, known standard deviation"),
	})
	t.independent()
	t.assume("known standard deviation", NotChecked, "taken from the call; with one estimated from these data use a t test")
	t.assume("normal distribution", NotChecked, "of the population, or a sample large enough for the central limit theorem")
	return nil
}

// Wilson returns the score interval of a proportion (Wilson 1927). It stays
// inside [0, 1] and is right for 0 and n successes too.
func Wilson(successes, n, level float64) (low, high float64) {
	z := normQuantile((1 + level) / 2)
	p, z2 := successes/n, z*z
	center := (p + z2/(2*n)) / (1 + z2/n)
	half := z / (1 + z2/n) * math.Sqrt(p*(1-p)/n+z2/(4*n*n))
	low, high = max(0, center-half), min(1, center+half)
	if successes == 0 {
		low = 0
	}
	if successes == n {
		high = 1
	}
	return low, high
}

func checkTrials(i int, successes, trials float64) error {
	if err := countArg(fmt.Sprintf("successes[%d]", i), successes); err != nil {
		return err
	}
	if err := countArg(fmt.Sprintf("trials[%d]", i), trials); err != nil {
		return err
	}
	if trials < 1 {
		return wrong(fmt.Sprintf("trials[%d]", i), "at least 1 trial", trials)
	}
	if successes > trials {
		return wrong(fmt.Sprintf("successes[%d]", i), fmt.Sprintf("at most the %g trials", trials), successes)
	}
	return nil
}

// ProportionOne tests whether successes out of trials come with probability p0.
func ProportionOne(successes, trials, p0 float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := checkTrials(0, successes, trials); err != nil {
		return nil, err
	}
	if err := levelArg("p0", p0); err != nil {
		return nil, err
	}
	p := successes / trials
	z := (p - p0) / math.Sqrt(p0*(1-p0)/trials)
	t := begin(o, "proportion_z", "score z test of one proportion", "Laplace 1812; interval Wilson 1927",
		fmt.Sprintf("the proportion is %g", p0), int(trials))
	t.decide("z", z, o.p(normCDF(z), normSF(z)), asymptotic)
	t.proportion("proportion", successes, trials, o)
	t.cohenH(p, p0, 1/trials, o)
	t.independent()
	t.enough(min(trials*p0, trials*(1-p0)), "binomial")
	return t, nil
}

// ProportionTwo tests whether two proportions are equal.
func ProportionTwo(s1, n1, s2, n2 float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := checkTrials(0, s1, n1); err != nil {
		return nil, err
	}
	if err := checkTrials(1, s2, n2); err != nil {
		return nil, err
	}
	p1, p2, pooled := s1/n1, s2/n2, (s1+s2)/(n1+n2)
	if pooled == 0 || pooled == 1 {
		return nil, wrong("successes", "at least one success and one failure in both groups together", fmt.Sprintf("%g of %g", s1+s2, n1+n2))
	}
	z := (p1 - p2) / math.Sqrt(pooled*(1-pooled)*(1/n1+1/n2))
	t := begin(o, "proportion_z", "z test of two proportions, pooled variance, no continuity correction", "Pearson 1900; intervals Wilson 1927, Newcombe 1998",
		"the proportions are equal", int(n1), int(n2))
	t.decide("z", z, o.p(normCDF(z), normSF(z)), asymptotic)
	l1, h1 := t.proportion("proportion x", s1, n1, o)
	l2, h2 := t.proportion("proportion y", s2, n2, o)
	d := p1 - p2
	t.estimate("difference x-y", d, between(d-math.Hypot(p1-l1, h2-p2), d+math.Hypot(h1-p1, p2-l2), o, "hybrid score (Newcombe 1998)"))
	t.cohenH(p1, p2, 1/n1+1/n2, o)
	t.riskRatio(s1, n1, s2, n2, o)
	t.oddsRatio(s1, n1-s1, s2, n2-s2, o)
	t.independent()
	t.enough(min((n1+n2)*pooled, (n1+n2)*(1-pooled))*min(n1, n2)/(n1+n2), "fisher_exact")
	return t, nil
}

func (t *Test) proportion(name string, successes, trials float64, o Options) (low, high float64) {
	low, high = Wilson(successes, trials, o.level())
	t.estimate(name, successes/trials, between(low, high, o, "Wilson score"))
	return low, high
}

// cohenH adds the difference of the arcsine transformed proportions, whose
// variance is invN everywhere (Cohen 1988).
func (t *Test) cohenH(p1, p2, invN float64, o Options) {
	h := 2*math.Asin(math.Sqrt(p1)) - 2*math.Asin(math.Sqrt(p2))
	half := normQuantile(1-o.Alpha/2) * math.Sqrt(invN)
	t.effect(Estimate{Name: "Cohen h", Value: known(h), Interval: between(h-half, h+half, o, "normal, arcsine transform (Cohen 1988)")})
}

func (t *Test) riskRatio(s1, n1, s2, n2 float64, o Options) {
	e := Estimate{Name: "risk ratio x/y"}
	if s1 == 0 || s2 == 0 {
		e.Note = "not assessable with 0 successes in a group"
	} else {
		rr := (s1 / n1) / (s2 / n2)
		e.Value = known(rr)
		e.Interval = logRatio(rr, math.Sqrt((1-s1/n1)/s1+(1-s2/n2)/s2), o, "log ratio (Katz et al. 1978)")
	}
	t.effect(e)
}

// oddsRatio adds (a/b)/(c/d) with Woolf's interval.
func (t *Test) oddsRatio(a, b, c, d float64, o Options) {
	e := Estimate{Name: "odds ratio"}
	if a == 0 || b == 0 || c == 0 || d == 0 {
		e.Note = "not assessable with a cell of 0; fisher_exact has an interval for it"
	} else {
		or := (a / b) / (c / d)
		e.Value = known(or)
		e.Interval = logRatio(or, math.Sqrt(1/a+1/b+1/c+1/d), o, "log odds (Woolf 1955)")
	}
	t.effect(e)
}

// enough notes whether expected counts let a normal approximation stand.
func (t *Test) enough(expected float64, instead string) {
	status, tail := Met, ""
	if expected < 5 {
		status, tail = Doubtful, "; use "+instead
	}
	t.assume("expected counts of 5 or more", status, "the least is %.4g%s", expected, tail)
}

// maxBinomial bounds the sum of the exact test.
const maxBinomial = 1_000_000

// BinomialExact tests whether successes out of trials come with probability p0,
// by summing the binomial distribution (Clopper & Pearson 1934). The two-sided p
// adds every outcome that is no likelier than the one seen.
func BinomialExact(m *budget.Meter, successes, trials, p0 float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := checkTrials(0, successes, trials); err != nil {
		return nil, err
	}
	if trials > maxBinomial {
		return nil, wrong("trials[0]", fmt.Sprintf("at most %d trials for the exact test; use proportion_z", maxBinomial), trials)
	}
	if err := levelArg("p0", p0); err != nil {
		return nil, err
	}
	logs := make([]float64, int(trials)+1)
	lp, lq := math.Log(p0), math.Log1p(-p0)
	err := each(m, len(logs), func(lo, hi int) {
		for k := lo; k < hi; k++ {
			logs[k] = logChoose(trials, float64(k)) + float64(k)*lp + (trials-float64(k))*lq
		}
	})
	if err != nil {
		return nil, err
	}
	t := begin(o, "binomial", "exact binomial test", "Clopper & Pearson 1934",
		fmt.Sprintf("the proportion is %g", p0), int(trials))
	t.decide("successes", successes, exactTail(logs, int(successes), o.Alternative), exact)
	low, high := 0.0, 1.0
	if successes > 0 {
		low = betaQuantile(o.Alpha/2, successes, trials-successes+1)
	}
	if successes < trials {
		high = betaQuantile(1-o.Alpha/2, successes+1, trials-successes)
	}
	t.estimate("proportion", successes/trials, between(low, high, o, "exact (Clopper & Pearson 1934)"))
	t.cohenH(successes/trials, p0, 1/trials, o)
	t.independent()
	return t, nil
}

// exactTail returns the p value of outcome at under the distribution whose
// logarithms are given, from 0 up.
func exactTail(logs []float64, at int, alt Alternative) float64 {
	const slack = 1e-7 // outcomes that tie with the one seen up to rounding count as ties
	var total, hit sum
	for k, l := range logs {
		p := math.Exp(l)
		total.add(p)
		switch {
		case alt == Less && k <= at, alt == Greater && k >= at, alt == TwoSided && l <= logs[at]+slack:
			hit.add(p)
		}
	}
	return clamp(hit.value() / total.value())
}
