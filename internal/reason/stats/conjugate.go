package stats

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mathext"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Conjugate is a posterior in closed form.
type Conjugate struct {
	Model       string             `json:"model"`
	Parameter   string             `json:"parameter"` // what the posterior is of
	Source      string             `json:"source"`
	N           int                `json:"n"`
	Prior       map[string]float64 `json:"prior"`
	Posterior   map[string]float64 `json:"posterior"`
	PriorMean   float64            `json:"priorMean"`
	Mean        float64            `json:"mean"`
	SD          *float64           `json:"sd,omitempty"`
	Credible    *Interval          `json:"credibleInterval"`
	LogEvidence *float64           `json:"logEvidence,omitempty"` // of the data under the prior
	BayesFactor *BayesFactor       `json:"bayesFactor,omitempty"`
	AboveNull   *float64           `json:"probabilityAboveNull,omitempty"`
	PredictNext *float64           `json:"predictiveMean,omitempty"` // expected value of the next observation
	Assumptions []Assumption       `json:"assumptions"`
	Notes       []string           `json:"notes"`
}

// BayesFactor compares the prior of the model with one fixed value.
type BayesFactor struct {
	Null    float64  `json:"nullValue"`
	Against *float64 `json:"bf10,omitempty"` // evidence for the model against the value
	For     *float64 `json:"bf01,omitempty"`
	Log     float64  `json:"logBf10"`
	Reading string   `json:"reading"` // by the scale of Kass & Raftery (1995)
}

// ConjugateOptions are common to the conjugate models.
type ConjugateOptions struct {
	Level float64
	Null  *float64 // compare with this fixed value of the parameter
}

// maxWeight bounds what a prior and the data weigh, as counts, so that the
// quantiles of the posterior take milliseconds; minWeight keeps a density from
// being all at its ends.
const (
	maxWeight = 1e9
	minWeight = 1e-6
)

func weightArg(field string, v float64) error {
	if !(v >= minWeight && v <= maxWeight) {
		return wrong(field, fmt.Sprintf("a number from %g to %g", float64(minWeight), float64(maxWeight)), v)
	}
	return nil
}

// BetaBinomial updates a Beta(alpha, beta) prior of a probability.
func BetaBinomial(alpha, beta, successes, trials float64, o ConjugateOptions) (*Conjugate, error) {
	if err := levelArg("confidence", o.Level); err != nil {
		return nil, err
	}
	if err := weightArg("priorParameters.alpha", alpha); err != nil {
		return nil, err
	}
	if err := weightArg("priorParameters.beta", beta); err != nil {
		return nil, err
	}
	if err := countArg("trials", trials); err != nil || trials > maxWeight {
		return nil, wrong("trials", fmt.Sprintf("a whole count of at most %g", float64(maxWeight)), trials)
	}
	if err := countArg("successes", successes); err != nil {
		return nil, err
	}
	if successes > trials {
		return nil, wrong("successes", fmt.Sprintf("at most the %g trials", trials), successes)
	}
	a, b := alpha+successes, beta+trials-successes
	c := &Conjugate{
		Model: "beta_binomial", Parameter: "probability of success", Source: "Bayes 1763; Raiffa & Schlaifer 1961", N: int(trials),
		Prior: params{"alpha": alpha, "beta": beta}, Posterior: params{"alpha": a, "beta": b},
		PriorMean: alpha / (alpha + beta), Mean: a / (a + b),
		SD: known(math.Sqrt(a / (a + b) * (b / (a + b)) / (a + b + 1))),
	}
	c.PredictNext = known(c.Mean)
	evidence := logChoose(trials, successes) + logBeta(a, b) - logBeta(alpha, beta)
	c.LogEvidence = known(evidence)
	c.credible(betaQuantile((1-o.Level)/2, a, b), betaQuantile((1+o.Level)/2, a, b), o.Level)
	c.trials()
	if o.Null == nil {
		return c, nil
	}
	p := *o.Null
	if err := levelArg("nullValue", p); err != nil {
		return nil, err
	}
	c.against(p, evidence, logChoose(trials, successes)+successes*math.Log(p)+(trials-successes)*math.Log1p(-p))
	_, above := incBeta(a, b, p, 1-p)
	c.AboveNull = known(above)
	return c, nil
}

// NormalKnownVariance updates a normal prior of a mean, from the mean of n values
// whose standard deviation sigma is known.
func NormalKnownVariance(priorMean, priorSD, mean, n, sigma float64, o ConjugateOptions) (*Conjugate, error) {
	if err := levelArg("confidence", o.Level); err != nil {
		return nil, err
	}
	if err := finiteArg("priorParameters.mean", priorMean); err != nil {
		return nil, err
	}
	if err := positiveArg("priorParameters.sd", priorSD); err != nil {
		return nil, err
	}
	if err := finiteArg("mean", mean); err != nil {
		return nil, err
	}
	if err := positiveArg("sigma", sigma); err != nil {
		return nil, err
	}
	if err := countArg("n", n); err != nil || n < 1 {
		return nil, wrong("n", "a whole number of values, 1 or more", n)
	}
	se := sigma / math.Sqrt(n)
	r := priorSD / se
	w := r * r / (1 + r*r) // the weight of the data
	if math.IsInf(r*r, 1) {
		w = 1
	}
	post := priorMean + w*(mean-priorMean)
	sd := se * math.Sqrt(w)
	if known(post) == nil {
		return nil, wrong("priorParameters.mean", "a mean at a finite distance from that of the data", priorMean)
	}
	c := &Conjugate{
		Model: "normal", Parameter: "mean", Source: "Gauss 1809; Raiffa & Schlaifer 1961", N: int(n),
		Prior: params{"mean": priorMean, "sd": priorSD}, Posterior: params{"mean": post, "sd": sd},
		PriorMean: priorMean, Mean: post, SD: known(sd), PredictNext: known(post),
	}
	evidence := logNormal(mean, priorMean, math.Hypot(priorSD, se))
	c.LogEvidence = known(evidence)
	z := normQuantile((1 + o.Level) / 2)
	c.credible(post-z*sd, post+z*sd, o.Level)
	c.assume("normal values with known sd", "sigma was taken from the call")
	c.assume("independent observations", "follows from how the data were collected")
	c.Notes = append(c.Notes, "logEvidence is of the mean of the data; the rest does not depend on the prior")
	if o.Null == nil {
		return c, nil
	}
	if err := finiteArg("nullValue", *o.Null); err != nil {
		return nil, err
	}
	c.against(*o.Null, evidence, logNormal(mean, *o.Null, se))
	c.AboveNull = known(normSF((*o.Null - post) / sd))
	return c, nil
}

func logNormal(x, mean, sd float64) float64 {
	z := (x - mean) / sd
	return -z*z/2 - math.Log(sd) - math.Log(2*math.Pi)/2
}

// GammaPoisson updates a Gamma(shape, rate) prior of the rate of events, from
// counts seen over a total exposure, such as time.
func GammaPoisson(m *budget.Meter, shape, rate float64, counts []float64, exposure float64, o ConjugateOptions) (*Conjugate, error) {
	if err := levelArg("confidence", o.Level); err != nil {
		return nil, err
	}
	if err := weightArg("priorParameters.shape", shape); err != nil {
		return nil, err
	}
	if err := positiveArg("priorParameters.rate", rate); err != nil {
		return nil, err
	}
	if err := positiveArg("exposure", exposure); err != nil {
		return nil, err
	}
	if err := checkSample("data", counts, 1); err != nil {
		return nil, err
	}
	var events, logFactorials sum
	var bad error
	err := each(m, len(counts), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			if e := countArg(fmt.Sprintf("data[%d]", i), counts[i]); e != nil && bad == nil {
				bad = e
			}
			events.add(counts[i])
			logFactorials.add(logGamma(counts[i] + 1))
		}
	})
	if err != nil || bad != nil {
		if bad != nil {
			err = bad
		}
		return nil, err
	}
	s := events.value()
	if s > maxWeight {
		return nil, wrong("data", fmt.Sprintf("counts with a sum of at most %g", float64(maxWeight)), s)
	}
	a, b := shape+s, rate+exposure
	// The exposure is spread evenly over the counts; this constant cancels in the
	// Bayes factor.
	constant := s*math.Log(exposure/float64(len(counts))) - logFactorials.value()
	c := &Conjugate{
		Model: "gamma_poisson", Parameter: "events per unit of exposure", Source: "Raiffa & Schlaifer 1961", N: len(counts),
		Prior: params{"shape": shape, "rate": rate}, Posterior: params{"shape": a, "rate": b},
		PriorMean: shape / rate, Mean: a / b, SD: known(math.Sqrt(a) / b),
		PredictNext: known(a / b * (exposure / float64(len(counts)))),
	}
	evidence := constant + logGamma(a) - logGamma(shape) + shape*math.Log(rate) - a*math.Log(b)
	c.LogEvidence = known(evidence)
	c.credible(gammaQuantile((1-o.Level)/2, a)/b, gammaQuantile((1+o.Level)/2, a)/b, o.Level)
	c.assume("constant rate", "counts follow a Poisson distribution with one rate")
	c.assume("independent observations", "follows from how the data were collected")
	if o.Null == nil {
		return c, nil
	}
	l := *o.Null
	if err := positiveArg("nullValue", l); err != nil {
		return nil, err
	}
	c.against(l, evidence, constant+s*math.Log(l)-l*exposure)
	c.AboveNull = known(mathext.GammaIncRegComp(a, l*b))
	return c, nil
}

func (c *Conjugate) credible(low, high, level float64) {
	c.Credible = &Interval{Low: known(low), High: known(high), Level: level, Method: "equal tails of the posterior"}
	c.Notes = []string{}
}

func (c *Conjugate) assume(name, detail string) {
	c.Assumptions = append(c.Assumptions, Assumption{Name: name, Status: NotChecked, Detail: detail})
}

func (c *Conjugate) trials() {
	c.assume("independent trials with one probability", "follows from how the data were collected")
}

// against compares the model with a fixed value, given the log probability of the
// data under each.
func (c *Conjugate) against(value, logModel, logNull float64) {
	l := logModel - logNull
	if known(l) == nil {
		c.Notes = append(c.Notes, "the Bayes factor is beyond the range of a 64-bit float")
		return
	}
	c.BayesFactor = &BayesFactor{Null: value, Log: l, Against: known(math.Exp(l)), For: known(math.Exp(-l)), Reading: reading(l)}
}

// reading words a log Bayes factor on the scale of Kass & Raftery (1995).
func reading(l float64) string {
	side := "for the prior over the fixed value"
	if l < 0 {
		side = "for the fixed value"
	}
	switch x := 2 * math.Abs(l); {
	case x < 2:
		return "not worth more than a bare mention"
	case x < 6:
		return "positive evidence " + side
	case x < 10:
		return "strong evidence " + side
	default:
		return "very strong evidence " + side
	}
}
