package debug

import (
	"fmt"
	"math"
)

// Limits of cause elimination.
const (
	MaxCauses = 200
	MaxChecks = 200
)

// Cause is something that may be the fault.
type Cause struct {
	Name  string  `json:"name"`
	Prior float64 `json:"prior"` // a weight
}

// Check is a test that tells causes apart.
type Check struct {
	Name       string             `json:"name"`
	Cost       float64            `json:"cost"`             // in any unit, above 0
	FailIf     map[string]float64 `json:"failIf,omitempty"` // cause → probability that the test fails if it is the one
	Otherwise  float64            `json:"otherwise"`        // that probability for causes that are not named
	Repeatable bool               `json:"repeatable,omitempty"`
}

// Checked is the outcome of a check.
type Checked struct {
	Check   int     `json:"check"`
	Outcome Outcome `json:"outcome"`
}

// Causes is a search for the one cause among several. Outcomes are taken as
// independent given the cause; the search ends when one has the probability
// Confidence, or when no check that is left says anything.
type Causes struct {
	Causes     []Cause   `json:"causes"`
	Checks     []Check   `json:"checks"`
	Confidence float64   `json:"confidence"`
	Log        []Checked `json:"log,omitempty"`
}

// Validate reports what is wrong with the settings or the log.
func (c *Causes) Validate() error {
	switch {
	case len(c.Causes) < 1 || len(c.Causes) > MaxCauses:
		return flaw("causes", fmt.Sprintf("1 to %d causes", MaxCauses), "%d", len(c.Causes))
	case len(c.Checks) > MaxChecks:
		return flaw("tests", fmt.Sprintf("at most %d tests", MaxChecks), "%d", len(c.Checks))
	case !(c.Confidence >= 0.5 && c.Confidence <= 1):
		return flaw("confidence", "from 0.5 to 1", "%g", c.Confidence)
	case len(c.Log) > MaxTests:
		return flaw("log", fmt.Sprintf("at most %d outcomes", MaxTests), "%d", len(c.Log))
	}
	names, priors := make([]string, len(c.Causes)), make([]float64, len(c.Causes))
	for i, cause := range c.Causes {
		names[i], priors[i] = cause.Name, cause.Prior
	}
	known, err := named("causes", names)
	if err != nil {
		return err
	}
	if err := checkWeights("causes", priors, len(priors)); err != nil {
		return err
	}
	if err := c.validateChecks(known); err != nil {
		return err
	}
	_, err = c.posterior()
	return err
}

func (c *Causes) validateChecks(known map[string]int) error {
	names := make([]string, len(c.Checks))
	for i, k := range c.Checks {
		names[i] = k.Name
		at := fmt.Sprintf("tests[%d]", i)
		if !(k.Cost > 0 && k.Cost <= 1e12) {
			return flaw(at+".cost", "a number above 0 and at most 1e12", "%g", k.Cost)
		}
		if !isProbability(k.Otherwise) {
			return flaw(at+".otherwise", "a probability", "%g", k.Otherwise)
		}
		for _, name := range sortedKeys(k.FailIf) {
			if _, ok := known[name]; !ok {
				return flaw(at+".failIf", "names of causes", "%.80q", name)
			}
			if p := k.FailIf[name]; !isProbability(p) {
				return flaw(at+".failIf."+name, "a probability", "%g", p)
			}
		}
	}
	_, err := named("tests", names)
	return err
}

func isProbability(p float64) bool { return p >= 0 && p <= 1 }

// fails returns the probability that check k fails if cause i is the one.
func (c *Causes) fails(k, i int) float64 {
	if p, ok := c.Checks[k].FailIf[c.Causes[i].Name]; ok {
		return p
	}
	return c.Checks[k].Otherwise
}

// posterior returns the probabilities of the causes. It fails when no cause
// explains the log.
func (c *Causes) posterior() ([]float64, error) {
	p := make([]float64, len(c.Causes))
	for i := range p {
		p[i] = math.Log(c.Causes[i].Prior)
	}
	for n, t := range c.Log {
		if err := checkOutcome(t.Outcome); err != nil {
			return nil, fmt.Errorf("log[%d]: %w", n, err)
		}
		if t.Check < 0 || t.Check >= len(c.Checks) {
			return nil, flaw("test", "one of the tests", "test %d of %d", t.Check, len(c.Checks))
		}
		for i := range p {
			switch f := c.fails(t.Check, i); t.Outcome {
			case Fail:
				p[i] += math.Log(f)
			case Pass:
				p[i] += math.Log(1 - f)
			}
		}
	}
	best := math.Inf(-1)
	for _, x := range p {
		best = max(best, x)
	}
	if math.IsInf(best, -1) {
		return nil, flaw("outcome", "an outcome that some cause can have: the causes, or the probabilities 0 and 1, leave something out", "what none of them allows")
	}
	sum := 0.0
	for i := range p {
		p[i] = math.Exp(p[i] - best)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p, nil
}

// Gain is what a check is expected to tell now.
type Gain struct {
	Test  string  `json:"test"`
	Bits  float64 `json:"gainBits"`
	Cost  float64 `json:"cost"`
	Ratio float64 `json:"gainPerCost"`
	Fails float64 `json:"probabilityOfFail"`
}

// minGain is the information, in bits, below which a check says nothing.
const minGain = 1e-9

// Gains returns the expected information of each check that is left: the mutual
// information of its outcome and the cause.
func (c *Causes) Gains() ([]Gain, error) {
	p, err := c.posterior()
	if err != nil {
		return nil, err
	}
	used := map[int]bool{}
	for _, t := range c.Log {
		used[t.Check] = true
	}
	var out []Gain
	for k := range c.Checks {
		if used[k] && !c.Checks[k].Repeatable {
			continue
		}
		fails, noise := 0.0, 0.0
		for i := range p {
			f := c.fails(k, i)
			fails += p[i] * f
			noise += p[i] * entropy(f, 1-f)
		}
		fails = min(fails, 1)
		bits := max(0, entropy(fails, 1-fails)-noise)
		out = append(out, Gain{c.Checks[k].Name, bits, c.Checks[k].Cost, bits / c.Checks[k].Cost, fails})
	}
	return out, nil
}

// Ask returns the check with most information per cost, nil when none is needed or
// none helps, and the posterior.
func (c *Causes) Ask() (*Query, Finding, error) {
	p, err := c.posterior()
	if err != nil {
		return nil, Finding{}, err
	}
	f := Finding{Told: len(c.Log), Ranking: ranking(p, func(i int) string { return c.Causes[i].Name })}
	for _, x := range p {
		if x > 1e-9 {
			f.Candidates++
		}
	}
	top := f.Ranking[0]
	if top.Probability >= c.Confidence {
		f.Done, f.Found = true, []string{top.Name}
		f.Why = fmt.Sprintf("the probability of %q has reached %g", top.Name, c.Confidence)
		return nil, f, nil
	}
	gains, err := c.Gains()
	if err != nil {
		return nil, Finding{}, err
	}
	best := -1
	for i, g := range gains {
		if g.Bits > minGain && (best < 0 || g.Ratio > gains[best].Ratio*(1+1e-12)) {
			best = i
		}
	}
	if best < 0 {
		for _, w := range f.Ranking {
			if w.Probability > top.Probability-1e-9 {
				f.Found = append(f.Found, w.Name)
			}
		}
		f.Done, f.Why = true, "no test that is left tells the causes apart: give another one in a new case"
		return nil, f, nil
	}
	g := gains[best]
	f.Why = fmt.Sprintf("%q is the likeliest; %q tells most for its cost", top.Name, g.Test)
	return &Query{Test: g.Test, Do: "make the test " + g.Test, Bits: &g.Bits, Cost: &g.Cost, Ratio: &g.Ratio}, f, nil
}

// Tell notes the outcome of a check. One that no cause explains is refused.
func (c *Causes) Tell(test string, o Outcome) error {
	if err := checkOutcome(o); err != nil {
		return err
	}
	if err := room(len(c.Log)); err != nil {
		return err
	}
	names := make([]string, len(c.Checks))
	for i, k := range c.Checks {
		names[i] = k.Name
		if k.Name != test {
			continue
		}
		for _, t := range c.Log {
			if t.Check == i && !k.Repeatable {
				return flaw("test", "a test that was not told yet, or one that is repeatable", "%.80q", test)
			}
		}
		c.Log = append(c.Log, Checked{i, o})
		if _, err := c.posterior(); err != nil {
			c.Log = c.Log[:len(c.Log)-1]
			return err
		}
		return nil
	}
	return flaw("test", "one of the tests: "+list(names), "%.80q", test)
}
