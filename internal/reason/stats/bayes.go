package stats

import (
	"fmt"
	"math"
	"slices"
)

const (
	maxHypotheses = 1_000
	maxEvidence   = 1_000_000 // hypotheses times pieces of evidence
)

// Posterior is the result of a discrete Bayesian update.
type Posterior struct {
	Prior       map[string]float64   `json:"prior"`      // made to add up to 1
	Likelihood  map[string]float64   `json:"likelihood"` // of all evidence together, where a float holds it
	Posterior   map[string]float64   `json:"posterior"`
	Evidence    *float64             `json:"evidence,omitempty"` // P(all evidence); 0 when below 5e-324, absent when a density is too large
	LogEvidence float64              `json:"logEvidence"`
	Steps       []map[string]float64 `json:"steps,omitempty"` // the posterior after each piece of evidence
	BayesFactor map[string]float64   `json:"bayesFactors"`    // of each hypothesis against all others together
	Best        string               `json:"mostProbable"`
	N           int                  `json:"n"` // pieces of evidence
	Assumptions []Assumption         `json:"assumptions"`
	Notes       []string             `json:"notes"`
}

// maxSteps bounds how many intermediate posteriors a result lists.
const maxSteps = 100

// Update applies Bayes' theorem to hypotheses that exclude each other. Each piece
// of evidence is a likelihood: the probability (or density) of what was seen
// under each hypothesis. Pieces are taken as independent given the hypothesis.
func Update(prior map[string]float64, evidence []map[string]float64) (*Posterior, error) {
	names, p, err := checkPrior(prior)
	if err != nil {
		return nil, err
	}
	if len(evidence) == 0 {
		return nil, missing("likelihood", "for each hypothesis of prior, the probability of the evidence if it is true")
	}
	if len(evidence)*len(names) > maxEvidence {
		return nil, wrong("likelihoods", fmt.Sprintf("at most %d numbers", maxEvidence), len(evidence)*len(names))
	}
	out := &Posterior{
		Prior: map[string]float64{}, Likelihood: map[string]float64{}, Posterior: map[string]float64{},
		BayesFactor: map[string]float64{}, N: len(evidence), Notes: []string{},
	}
	total := total(prior, names)
	if math.Abs(total-1) > 1e-9 {
		out.Notes = append(out.Notes, fmt.Sprintf("the prior added up to %g and was divided by it", total))
	}
	logL := make([]float64, len(names))
	density := false
	for k, piece := range evidence {
		field := "likelihood"
		if len(evidence) > 1 {
			field = fmt.Sprintf("likelihoods[%d]", k)
		}
		if err := checkLikelihood(field, piece, names); err != nil {
			return nil, err
		}
		for i, h := range names {
			logL[i] += math.Log(piece[h])
			density = density || piece[h] > 1
		}
		post, _ := posterior(p, logL)
		if post == nil {
			return nil, wrong(field, "evidence that is possible under at least one hypothesis with a prior above 0", "probability 0 under all of them")
		}
		if len(evidence) > 1 && k < maxSteps {
			out.Steps = append(out.Steps, named(names, post))
		}
	}
	if density {
		out.Notes = append(out.Notes, "some likelihoods are above 1 and were read as densities")
	}
	out.finish(names, p, logL)
	return out, nil
}

func (out *Posterior) finish(names []string, p, logL []float64) {
	post, logE := posterior(p, logL)
	out.LogEvidence, out.Evidence = logE, known(math.Exp(logE))
	best := 0
	for i, h := range names {
		out.Prior[h], out.Posterior[h] = p[i], post[i]
		if l := math.Exp(logL[i]); known(l) != nil {
			out.Likelihood[h] = l
		}
		if post[i] > post[best] {
			best = i
		}
		if bf := factor(i, p, logL); known(bf) != nil {
			out.BayesFactor[h] = bf
		}
	}
	out.Best = names[best]
	if len(out.BayesFactor) < len(names) {
		out.Notes = append(out.Notes, "a Bayes factor is left out where it is infinite or where a hypothesis has no alternative")
	}
	out.Assumptions = []Assumption{
		{Name: "hypotheses exclude each other and cover everything", Status: NotChecked, Detail: "follows from how they were worded"},
	}
	if out.N > 1 {
		out.Assumptions = append(out.Assumptions, Assumption{Name: "evidence independent given the hypothesis", Status: NotChecked, Detail: "likelihoods were multiplied"})
	}
}

func checkPrior(prior map[string]float64) (names []string, p []float64, err error) {
	switch {
	case len(prior) == 0:
		return nil, nil, missing("prior", `the probability of each hypothesis before the evidence, such as {"sick": 0.01, "healthy": 0.99}`)
	case len(prior) > maxHypotheses:
		return nil, nil, wrong("prior", fmt.Sprintf("at most %d hypotheses", maxHypotheses), len(prior))
	}
	for h := range prior {
		names = append(names, h)
	}
	slices.Sort(names) // sums do not depend on the order of a map
	for _, h := range names {
		if v := prior[h]; !(v >= 0) || math.IsInf(v, 0) {
			return nil, nil, wrong("prior."+h, "a probability, 0 or above", v)
		}
	}
	t := total(prior, names)
	if t == 0 || math.IsInf(t, 0) {
		return nil, nil, wrong("prior", "at least one hypothesis above 0", t)
	}
	for _, h := range names {
		p = append(p, prior[h]/t)
	}
	return names, p, nil
}

func total(prior map[string]float64, names []string) float64 {
	var s sum
	for _, h := range names {
		s.add(prior[h])
	}
	return s.value()
}

func checkLikelihood(field string, l map[string]float64, names []string) error {
	for _, h := range names {
		v, ok := l[h]
		if !ok {
			return missing(field+"."+h, "the probability of the evidence if "+h+" is true")
		}
		if !(v >= 0) || math.IsInf(v, 0) {
			return wrong(field+"."+h, "a probability or density, 0 or above", v)
		}
	}
	if len(l) == len(names) {
		return nil
	}
	var extra []string
	for h := range l {
		if !slices.Contains(names, h) {
			extra = append(extra, h)
		}
	}
	slices.Sort(extra)
	return wrong(field+"."+extra[0], "only hypotheses that have a prior", extra[0])
}

// posterior returns the normalised products and the logarithm of their sum; nil
// where all are 0.
func posterior(p, logL []float64) (post []float64, logE float64) {
	logE = math.Inf(-1)
	for i := range p {
		logE = logAdd(logE, math.Log(p[i])+logL[i])
	}
	if math.IsInf(logE, -1) {
		return nil, logE
	}
	post = make([]float64, len(p))
	for i := range p {
		post[i] = math.Exp(math.Log(p[i]) + logL[i] - logE)
	}
	return post, logE
}

// factor returns how much likelier the evidence is under hypothesis i than under
// the mixture of the others.
func factor(i int, p, logL []float64) float64 {
	others, weight := math.Inf(-1), 0.0
	for k := range p {
		if k != i {
			others = logAdd(others, math.Log(p[k])+logL[k])
			weight += p[k]
		}
	}
	if weight == 0 {
		return math.NaN()
	}
	return math.Exp(logL[i] - (others - math.Log(weight)))
}

func named(names []string, v []float64) map[string]float64 {
	out := make(map[string]float64, len(names))
	for i, h := range names {
		out[h] = v[i]
	}
	return out
}
