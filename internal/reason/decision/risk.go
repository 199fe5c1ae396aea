package decision

import (
	"math"
	"slices"
)

// Utility tells how prospects were valued.
type Utility struct {
	Form        Form          `json:"form"`
	Coefficient float64       `json:"coefficient"`
	Derived     bool          `json:"derived,omitempty"` // from the spread of the values, since none was given
	Wealth      float64       `json:"wealth,omitempty"`
	Options     []Valuation   `json:"options"` // best first, at most DetailRows
	Profile     []RiskProfile `json:"profile"` // who wins under other attitudes
}

// Valuation is one option's prospect in numbers.
type Valuation struct {
	Option              string  `json:"option"`
	ExpectedValue       float64 `json:"expectedValue"`
	StandardDeviation   float64 `json:"standardDeviation"`
	ExpectedUtility     float64 `json:"expectedUtility"`
	CertaintyEquivalent float64 `json:"certaintyEquivalent"`
	RiskPremium         float64 `json:"riskPremium"` // expected value − certainty equivalent
}

// RiskProfile names the best options under CARA with a coefficient.
type RiskProfile struct {
	Coefficient float64  `json:"coefficient"`
	Best        []string `json:"best"`
}

// valueTolerance is the difference below which numbers made of these values are
// equal.
func valueTolerance(list []prospect) float64 {
	peak := 0.0
	for _, pr := range list {
		for _, x := range pr.values {
			peak = max(peak, math.Abs(x))
		}
	}
	return slack * peak
}

// expectedUtility ranks by certainty equivalent, which orders as expected utility
// does and keeps the unit of the values.
func (md *model) expectedUtility(rows []int, list []prospect) error {
	u, err := md.s.Risk.makeUtility(list)
	if err != nil {
		return err
	}
	scores := make([]float64, len(list))
	all := make([]Valuation, len(list))
	for i, pr := range list {
		md.m.Step(int64(len(pr.values))) // the ranking itself is small: it is finished in any case
		v := Valuation{Option: md.keys[rows[i]], ExpectedValue: pr.mean(), CertaintyEquivalent: u.certain(pr)}
		v.StandardDeviation = pr.deviation(v.ExpectedValue)
		v.RiskPremium = v.ExpectedValue - v.CertaintyEquivalent
		for k, x := range pr.values {
			v.ExpectedUtility += pr.chance[k] * u.of(x)
		}
		all[i], scores[i] = v, v.CertaintyEquivalent
	}
	tol := max(valueTolerance(list), slack*math.Abs(u.wealth))
	md.res.Score = "certainty equivalent, in the unit of the values; for a risk-neutral decider the expected value"
	md.decide(rows, scores, tol)
	md.res.Utility = &Utility{Form: u.form, Coefficient: u.k, Derived: u.derived, Wealth: u.wealth}
	if u.form == "" {
		md.res.Utility.Form = Linear
	}
	for _, r := range md.res.Ranking[:min(len(rows), DetailRows)] {
		i := slices.IndexFunc(all, func(v Valuation) bool { return v.Option == r.Option })
		md.res.Utility.Options = append(md.res.Utility.Options, all[i])
	}
	if u.derived {
		md.note("assumed_coefficient", "riskTolerance %s without riskCoefficient: constant absolute risk aversion %.4g was assumed, 1 divided by the spread of the values", md.s.Risk.Attitude, u.k)
	}
	md.profile(rows, list, tol)
	if md.payoff != nil {
		md.probabilityBoard(rows, list, u)
	} else {
		md.res.Sensitivity = &Sensitivity{
			Of:         "probabilities",
			Unassessed: "possibleOutcomes give each option probabilities of its own; payoffs over states that the options share would let them vary",
		}
	}
	return nil
}

// profile names the winner for a range of attitudes around neutral.
func (md *model) profile(rows []int, list []prospect, tol float64) {
	lo, hi := math.Inf(1), math.Inf(-1)
	for _, pr := range list {
		lo, hi = min(lo, slices.Min(pr.values)), max(hi, slices.Max(pr.values))
	}
	if hi-lo < tiny {
		return
	}
	scores := make([]float64, len(list))
	for _, k := range []float64{-4, -2, -1, 0, 1, 2, 4} {
		u := utility{form: CARA, k: k / (hi - lo)}
		if k == 0 {
			u.form = Linear
		}
		for i, pr := range list {
			if !md.m.Step(int64(len(pr.values))) {
				return
			}
			scores[i] = u.certain(pr)
		}
		md.res.Utility.Profile = append(md.res.Utility.Profile, RiskProfile{u.k, md.named(rows, best(scores, tol))})
	}
}

// probabilityBoard makes expected utility over states a weighted sum, with
// probabilities for weights, so that the sensitivity analyses apply to them.
func (md *model) probabilityBoard(rows []int, list []prospect, u utility) {
	v := grid(len(rows), len(md.states))
	for i, pr := range list {
		for s, x := range pr.values {
			v[i][s] = u.of(x)
		}
	}
	md.board = &board{rows: rows, dims: md.states, w: md.chance, scorer: linear{v}}
	md.varies = "state probabilities"
}

// Information is the most that knowing the state beforehand can be worth.
type Information struct {
	Value        float64     `json:"value"` // EVPI, at least 0
	WithPerfect  float64     `json:"expectedWithPerfect"`
	BestExpected float64     `json:"bestExpectedValue"` // without it
	States       []StateBest `json:"states"`
}

// StateBest is the best choice in one state.
type StateBest struct {
	State       string   `json:"state"`
	Probability float64  `json:"probability"`
	Best        []string `json:"best"`
	Payoff      float64  `json:"payoff"`
}

// information computes the expected value of perfect information for a
// risk-neutral decider.
func (md *model) information(rows []int, list []prospect) *Information {
	inf := &Information{BestExpected: math.Inf(-1)}
	for _, pr := range list {
		inf.BestExpected = max(inf.BestExpected, pr.mean())
	}
	column := make([]float64, len(list))
	for s, state := range md.states {
		for i, pr := range list {
			column[i] = pr.values[s]
		}
		top := best(column, 0)
		inf.WithPerfect += md.chance[s] * column[top[0]]
		inf.States = append(inf.States, StateBest{state, md.chance[s], md.named(rows, top), column[top[0]]})
	}
	inf.Value = max(0, inf.WithPerfect-inf.BestExpected)
	return inf
}
