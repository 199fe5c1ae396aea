package decision

import (
	"fmt"
	"math"
	"slices"
)

// Attitude is a stance towards risk.
type Attitude string

// The attitudes.
const (
	Averse  Attitude = "risk-averse"
	Neutral Attitude = "risk-neutral"
	Seeking Attitude = "risk-seeking"
)

// Form is the shape of a utility function.
type Form string

// The forms: constant absolute and constant relative risk aversion (Pratt 1964,
// Arrow 1965).
const (
	Linear Form = "neutral"
	CARA   Form = "cara" // u(x) = (1 − e^(−a·x))/a
	CRRA   Form = "crra" // u(x) = ((wealth+x)^(1−γ) − 1)/(1−γ), and ln(wealth+x) for γ = 1
)

// Risk describes the utility of money or whatever the values stand for. Without
// a Coefficient an attitude other than neutral means CARA with a = ±1/(largest
// value − smallest value), which does not depend on the unit of the values.
type Risk struct {
	Attitude    Attitude `json:"riskTolerance,omitempty"`
	Form        Form     `json:"utility,omitempty"`
	Coefficient *float64 `json:"riskCoefficient,omitempty"` // a or γ: above 0 averse, below 0 seeking
	Wealth      float64  `json:"wealth,omitempty"`          // before the decision; CRRA only
}

// tiny is a spread by which nothing can be divided without overflow.
const tiny = 1 / MaxMagnitude

const (
	maxSteepness = 20 // |a|·(largest − smallest value): beyond it one outcome drowns the rest
	maxRelative  = 20 // |1−γ|·ln(largest ÷ smallest wealth afterwards), for the same reason
)

// utility is a Risk made ready for a set of values.
type utility struct {
	form    Form
	k       float64 // a or γ
	wealth  float64
	origin  float64 // CARA is measured from here, where it is 0; CRRA in units of it
	derived bool    // k was derived from the spread
}

// makeUtility checks a Risk against the values it will be applied to.
func (r Risk) makeUtility(list []prospect) (utility, error) {
	lo, hi := list[0].values[0], list[0].values[0]
	for _, pr := range list {
		lo, hi = min(lo, slices.Min(pr.values)), max(hi, slices.Max(pr.values))
	}
	u := utility{form: r.Form, wealth: r.Wealth}
	if !slices.Contains([]Form{"", Linear, CARA, CRRA}, r.Form) {
		return u, bad("utility", "one of neutral, cara, crra", r.Form)
	}
	if !slices.Contains([]Attitude{"", Averse, Neutral, Seeking}, r.Attitude) {
		return u, bad("riskTolerance", "one of risk-averse, risk-neutral, risk-seeking", r.Attitude)
	}
	if err := number("wealth", r.Wealth); err != nil {
		return u, err
	}
	if err := r.coefficient(&u, hi-lo); err != nil {
		return u, err
	}
	switch {
	case u.k == 0:
		u.form = Linear
	case u.form == CARA:
		if math.Abs(u.k)*(hi-lo) > maxSteepness {
			return u, bad("riskCoefficient", fmt.Sprintf("a magnitude of at most %.4g: %d divided by the spread of the values; for more caution use maximin", maxSteepness/(hi-lo), maxSteepness), u.k)
		}
		u.origin = lo
		if u.k < 0 {
			u.origin = hi
		}
	case u.form == CRRA:
		if lo+u.wealth <= 0 {
			return u, bad("wealth", fmt.Sprintf("more than %g, so that wealth plus the worst value stays above 0 as constant relative risk aversion needs", -lo), u.wealth)
		}
		u.origin = hi + u.wealth
		if span := math.Log(u.origin / (lo + u.wealth)); math.Abs(1-u.k)*span > maxRelative {
			return u, bad("riskCoefficient", fmt.Sprintf("within %.4g of 1: %d divided by the logarithm of the largest ÷ the smallest wealth; for more caution use maximin", maxRelative/span, maxRelative), u.k)
		}
	}
	return u, nil
}

// coefficient settles form and strength, and that they agree with the attitude.
func (r Risk) coefficient(u *utility, spread float64) error {
	if r.Coefficient != nil {
		if err := number("riskCoefficient", *r.Coefficient); err != nil {
			return err
		}
		u.k = *r.Coefficient
		switch {
		case r.Form == "":
			u.form = CARA
		case r.Form == Linear && u.k != 0:
			return bad("riskCoefficient", "0 or none with utility neutral", u.k)
		}
		if agrees := map[Attitude]bool{"": true, Averse: u.k > 0, Neutral: u.k == 0, Seeking: u.k < 0}; !agrees[r.Attitude] {
			return bad("riskCoefficient", "above 0 for risk-averse, 0 for risk-neutral, below 0 for risk-seeking", fmt.Sprintf("%v with %s", u.k, r.Attitude))
		}
		return nil
	}
	switch {
	case r.Form == CRRA:
		return bad("riskCoefficient", "the coefficient of relative risk aversion, such as 2, for utility crra", "nothing")
	case r.Form == Linear && (r.Attitude == Averse || r.Attitude == Seeking):
		return bad("utility", "cara or crra with riskTolerance "+string(r.Attitude), r.Form)
	case r.Form == CARA && (r.Attitude == "" || r.Attitude == Neutral):
		return bad("riskCoefficient", "a coefficient, or riskTolerance risk-averse or risk-seeking, for utility cara", "nothing")
	case (r.Attitude == Averse || r.Attitude == Seeking) && spread >= tiny:
		u.form, u.k, u.derived = CARA, 1/spread, true
		if r.Attitude == Seeking {
			u.k = -u.k
		}
	}
	return nil
}

// of returns the utility of a value.
func (u utility) of(x float64) float64 {
	switch u.form {
	case CARA:
		return -math.Expm1(-u.k*(x-u.origin)) / u.k
	case CRRA:
		c := math.Log((u.wealth + x) / u.origin)
		if u.k == 1 {
			return c
		}
		return math.Expm1((1-u.k)*c) / (1 - u.k)
	}
	return x
}

// certain returns the certainty equivalent: the sure value that is worth as much
// as the prospect. Both forms work on deviations from a mean, so that they keep
// their digits when the coefficient is close to neutral.
func (u utility) certain(pr prospect) float64 {
	switch u.form {
	case CARA:
		return pr.exponentialMean(-u.k)
	case CRRA:
		logs := prospect{values: make([]float64, len(pr.values)), chance: pr.chance}
		for i, x := range pr.values {
			logs.values[i] = math.Log((u.wealth + x) / u.origin)
		}
		return math.Exp(logs.exponentialMean(1-u.k))*u.origin - u.wealth
	}
	return pr.mean()
}

// exponentialMean returns ln(Σ p·e^(t·x))/t, and the mean for t = 0.
func (pr prospect) exponentialMean(t float64) float64 {
	mean := pr.mean()
	if t == 0 {
		return mean
	}
	total := 0.0
	for i, x := range pr.values {
		total += pr.chance[i] * math.Expm1(t*(x-mean))
	}
	return mean + math.Log1p(total)/t
}
