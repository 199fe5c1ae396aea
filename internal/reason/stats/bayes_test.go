package stats

import (
	"encoding/json"
	"math"
	"testing"

	"gonum.org/v1/gonum/integrate/quad"
	"pgregory.net/rapid"
)

func TestUpdateKnown(t *testing.T) {
	p := must[*Posterior](t)(Update(map[string]float64{"sick": 0.01, "healthy": 0.99}, []map[string]float64{{"sick": 0.99, "healthy": 0.05}}))
	near(t, "positive predictive value", p.Posterior["sick"], 1.0/6, 1e-15)
	near(t, "evidence", *p.Evidence, 0.0594, 1e-15)
	near(t, "Bayes factor", p.BayesFactor["sick"], 19.8, 1e-12)
	if p.Best != "healthy" || p.N != 1 || p.Steps != nil || len(p.Notes) != 0 {
		t.Errorf("%+v", p)
	}
	// The prior is normalised, and a second positive result is another update.
	hit := map[string]float64{"sick": 0.99, "healthy": 0.05}
	p = must[*Posterior](t)(Update(map[string]float64{"sick": 1, "healthy": 99}, []map[string]float64{hit, hit}))
	near(t, "after two", p.Posterior["sick"], 0.9801/(0.9801+99*0.0025), 1e-14)
	near(t, "after one", p.Steps[0]["sick"], 1.0/6, 1e-14)
	if len(p.Notes) != 1 || len(p.Steps) != 2 {
		t.Errorf("notes %v, steps %v", p.Notes, p.Steps)
	}
}

func TestUpdateRefusesToInvent(t *testing.T) {
	prior := map[string]float64{"a": 0.5, "b": 0.5}
	for what, c := range map[string]struct {
		prior map[string]float64
		l     []map[string]float64
		field string
	}{
		"no prior":           {nil, []map[string]float64{{"a": 1}}, "prior"},
		"no likelihood":      {prior, nil, "likelihood"},
		"missing hypothesis": {prior, []map[string]float64{{"a": 0.2}}, "likelihood.b"},
		"unknown hypothesis": {prior, []map[string]float64{{"a": 0.2, "b": 0.1, "c": 1}}, "likelihood.c"},
		"negative":           {prior, []map[string]float64{{"a": -1, "b": 0.1}}, "likelihood.a"},
		"negative prior":     {map[string]float64{"a": -1, "b": 2}, []map[string]float64{{"a": 1, "b": 1}}, "prior.a"},
		"prior of zeros":     {map[string]float64{"a": 0}, []map[string]float64{{"a": 1}}, "prior"},
		"impossible":         {prior, []map[string]float64{{"a": 1, "b": 0}, {"a": 0, "b": 1}}, "likelihoods[1]"},
	} {
		_, err := Update(c.prior, c.l)
		refused(t, what, err, c.field)
	}
}

func TestUpdateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := rapid.Float64Range(0.01, 5)
		prior := map[string]float64{"a": w.Draw(t, "a"), "b": w.Draw(t, "b"), "c": w.Draw(t, "c")}
		n := rapid.IntRange(1, 60).Draw(t, "n")
		var ev, back []map[string]float64
		for range n {
			ev = append(ev, map[string]float64{"a": w.Draw(t, "la"), "b": w.Draw(t, "lb"), "c": w.Draw(t, "lc")})
		}
		for i := range ev {
			back = append(back, ev[n-1-i])
		}
		p, err := Update(prior, ev)
		if err != nil {
			t.Fatal(err)
		}
		q, err := Update(prior, back)
		if err != nil {
			t.Fatal(err)
		}
		var total float64
		for h, v := range p.Posterior {
			total += v
			same(t, "order of the evidence", q.Posterior[h], v)
			odds := v / (1 - v) / (p.Prior[h] / (1 - p.Prior[h]))
			if v > 1e-6 && v < 1-1e-6 && math.Abs(p.BayesFactor[h]/odds-1) > 1e-6 {
				t.Errorf("Bayes factor of %s = %g, the odds changed by %g", h, p.BayesFactor[h], odds)
			}
		}
		same(t, "sum", total, 1)
	})
}

// A posterior does not underflow where the product of the likelihoods does.
func TestUpdateOfLongEvidence(t *testing.T) {
	ev := make([]map[string]float64, 2000)
	for i := range ev {
		ev[i] = map[string]float64{"a": 1e-3, "b": 1.001e-3}
	}
	p := must[*Posterior](t)(Update(map[string]float64{"a": 0.5, "b": 0.5}, ev))
	near(t, "posterior", p.Posterior["b"], 1/(1+math.Exp(-2000*math.Log(1.001))), 1e-9)
	if *p.Evidence != 0 || !(p.LogEvidence < -10000) || len(p.Steps) != maxSteps {
		t.Errorf("evidence %g, its log %g, %d steps", *p.Evidence, p.LogEvidence, len(p.Steps))
	}
}

// A density that no float holds is left out; the posterior is there.
func TestUpdateOfHugeDensities(t *testing.T) {
	hit := map[string]float64{"a": 1e200, "b": 3e200}
	p := must[*Posterior](t)(Update(map[string]float64{"a": 0.5, "b": 0.5}, []map[string]float64{hit, hit}))
	near(t, "posterior", p.Posterior["b"], 0.9, 1e-12)
	if p.Evidence != nil || len(p.Likelihood) != 0 || len(p.Notes) != 1 {
		t.Errorf("evidence %v, likelihood %v, notes %v", p.Evidence, p.Likelihood, p.Notes)
	}
	if _, err := json.Marshal(p); err != nil {
		t.Error(err)
	}
}

// integral of f over [a, b], in panels.
func integral(f func(float64) float64, a, b float64) (s float64) {
	const panels = 400
	w := (b - a) / panels
	for i := range panels {
		s += quad.Fixed(f, a+float64(i)*w, a+float64(i+1)*w, 12, quad.Legendre{}, 1)
	}
	return s
}

// Each conjugate posterior against the integral of prior times likelihood.
func TestConjugatesAgainstIntegration(t *testing.T) {
	check := func(what string, c *Conjugate, err error, prior, likelihood func(x float64) float64, a, b, null float64) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		joint := func(x float64) float64 { return prior(x) * likelihood(x) }
		evidence := integral(joint, a, b)
		near(t, what+": mean", c.Mean, integral(func(x float64) float64 { return x * joint(x) }, a, b)/evidence, 1e-8)
		m2 := integral(func(x float64) float64 { return (x - c.Mean) * (x - c.Mean) * joint(x) }, a, b) / evidence
		near(t, what+": sd", *c.SD, math.Sqrt(m2), 1e-8)
		low, high := span(t, c.Credible)
		near(t, what+": credible mass", integral(joint, low, high)/evidence, c.Credible.Level, 1e-7)
		near(t, what+": lower tail", integral(joint, a, low)/evidence, (1-c.Credible.Level)/2, 1e-7)
		near(t, what+": log Bayes factor", c.BayesFactor.Log, math.Log(evidence/likelihood(null)), 1e-7)
		near(t, what+": above the null value", *c.AboveNull, integral(joint, null, b)/evidence, 1e-7)
		near(t, what+": both Bayes factors", *c.BayesFactor.For**c.BayesFactor.Against, 1, 1e-12)
	}
	null := 0.4
	o := ConjugateOptions{Level: 0.9, Null: &null}
	bb, err := BetaBinomial(2, 3, 7, 10, o)
	check("beta-binomial", bb, err,
		func(p float64) float64 { return 12 * p * (1 - p) * (1 - p) },
		func(p float64) float64 { return 120 * math.Pow(p, 7) * math.Pow(1-p, 3) }, 0, 1, null)
	gp, err := GammaPoisson(free(), 2, 1.5, []float64{0, 1, 2, 0, 1}, 5, o)
	check("gamma-Poisson", gp, err,
		func(l float64) float64 { return 2.25 * l * math.Exp(-1.5*l) },
		func(l float64) float64 { return math.Pow(l, 4) * math.Exp(-5*l) / 2 }, 0, 15, null)
	nk, err := NormalKnownVariance(0.2, 1.3, 0.9, 6, 2, o)
	check("normal", nk, err,
		func(m float64) float64 { return math.Exp(logNormal(m, 0.2, 1.3)) },
		func(m float64) float64 { return math.Exp(logNormal(0.9, m, 2/math.Sqrt(6))) }, -12, 13, null)
}

func TestConjugatesRefuse(t *testing.T) {
	o := ConjugateOptions{Level: 0.95}
	_, err := BetaBinomial(0, 1, 1, 2, o)
	refused(t, "alpha 0", err, "priorParameters.alpha")
	_, err = BetaBinomial(1, 1, 3, 2, o)
	refused(t, "more successes than trials", err, "successes")
	_, err = NormalKnownVariance(0, 1, 0, 0, 1, o)
	refused(t, "no values", err, "n")
	_, err = GammaPoisson(free(), 1, 1, nil, 1, o)
	refused(t, "no counts", err, "data")
	_, err = GammaPoisson(free(), 1, 1, []float64{1.5}, 1, o)
	refused(t, "no count", err, "data[0]")
}
