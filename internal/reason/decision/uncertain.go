package decision

import (
	"math"
	"slices"
)

// Rule is what one rule for decisions under uncertainty says.
type Rule struct {
	Rule   Method             `json:"rule"`
	Alpha  *float64           `json:"hurwiczAlpha,omitempty"`
	Scores map[string]float64 `json:"scores"` // for minimax-regret the largest regret, where less is better
	Best   []string           `json:"best"`
}

// Regrets says what each option may cost compared with the best choice in the
// state that comes about.
type Regrets struct {
	States []string    `json:"states"`
	Rows   []RegretRow `json:"rows"` // least maximal regret first, at most DetailRows
}

// RegretRow holds an option's regrets in the order of the states.
type RegretRow struct {
	Option  string    `json:"option"`
	Regrets []float64 `json:"regrets"`
	Max     float64   `json:"maxRegret"`
	In      string    `json:"worstState"`
}

// outlook scores prospects by a rule that needs no probabilities; more is better.
func (md *model) outlook(rule Method, list []prospect) []float64 {
	scores := make([]float64, len(list))
	for i, pr := range list {
		lo, hi := slices.Min(pr.values), slices.Max(pr.values)
		switch rule {
		case Maximin:
			scores[i] = lo
		case Maximax:
			scores[i] = hi
		case Hurwicz:
			scores[i] = md.s.HurwiczAlpha*hi + (1-md.s.HurwiczAlpha)*lo
		case Laplace:
			for _, x := range pr.values {
				scores[i] += x
			}
			scores[i] /= float64(len(pr.values))
		}
	}
	return scores
}

// regrets returns each option's largest regret, negated so that more is better,
// and all regrets.
func regrets(list []prospect) (scores []float64, table [][]float64) {
	table = grid(len(list), len(list[0].values))
	scores = make([]float64, len(list))
	for s := range list[0].values {
		top := math.Inf(-1)
		for _, pr := range list {
			top = max(top, pr.values[s])
		}
		for i, pr := range list {
			table[i][s] = top - pr.values[s]
			scores[i] = min(scores[i], -table[i][s])
		}
	}
	return scores, table
}

// uncertainty runs the method on what may happen and adds what the other rules
// say.
func (md *model) uncertainty() error {
	method := md.s.Method
	needChance := method == ExpectedUtility || method == EVPI
	needStates := method == Laplace || method == MinimaxRegret || method == EVPI
	if err := md.needs(needChance, needStates); err != nil {
		return err
	}
	rows, list := md.prospects(needChance)
	if len(rows) == 0 {
		return md.nobody(md.chanceField(), "at least one option with all its outcomes"+map[bool]string{true: " and probabilities"}[needChance])
	}
	md.dominanceOfProspects(rows, list)
	tol := valueTolerance(list)
	switch method {
	case ExpectedUtility:
		if err := md.expectedUtility(rows, list); err != nil {
			return err
		}
	case EVPI:
		scores := make([]float64, len(list))
		for i, pr := range list {
			scores[i] = pr.mean()
		}
		md.res.Score = "expected value"
		md.decide(rows, scores, tol)
		md.probabilityBoard(rows, list, utility{})
	case MinimaxRegret:
		if err := md.leastRegret(rows, list, tol); err != nil {
			return err
		}
	default:
		md.res.Score = map[Method]string{
			Maximin: "worst payoff", Maximax: "best payoff", Laplace: "mean payoff with all states alike likely",
			Hurwicz: "hurwiczAlpha × best payoff + (1 − hurwiczAlpha) × worst payoff",
		}[method]
		md.decide(rows, md.outlook(method, list), ruleTolerance(method, tol))
		if method == Hurwicz {
			md.optimismBoard(rows, list)
		}
	}
	if method != MinimaxRegret {
		md.res.Reversals = &Reversals{WinnerChanges: []Reversal{}, Note: independent}
	}
	md.extras(rows, list, tol)
	return nil
}

// ruleTolerance is exact for rules that only pick values and never compute.
func ruleTolerance(rule Method, tol float64) float64 {
	if rule == Maximin || rule == Maximax {
		return 0
	}
	return tol
}

// optimismBoard makes the Hurwicz rule a weighted sum of the best and the worst
// payoff, so that the sensitivity analyses apply to its coefficient.
func (md *model) optimismBoard(rows []int, list []prospect) {
	alpha := md.s.HurwiczAlpha
	if alpha == 0 || alpha == 1 {
		return // one weight is 0: maximin or maximax under another name
	}
	v := grid(len(rows), 2)
	for i, pr := range list {
		v[i][0], v[i][1] = slices.Max(pr.values), slices.Min(pr.values)
	}
	md.board = &board{rows: rows, dims: []string{"best payoff", "worst payoff"}, w: []float64{alpha, 1 - alpha}, scorer: linear{v}}
	md.varies = "hurwiczAlpha (weight of the best payoff) and its complement"
}

// leastRegret ranks by largest regret. Regrets depend on who takes part, so this
// rule can reverse.
func (md *model) leastRegret(rows []int, list []prospect, tol float64) error {
	scores, _ := regrets(list)
	md.res.Score = "largest regret with its sign changed: 0 is no regret in any state"
	md.decide(rows, scores, tol)
	var err error
	md.res.Reversals, err = md.reversals(rows, scores, tol, func(keep []int) ([]float64, float64, error) {
		again, _ := regrets(pick(list, keep))
		return again, tol, nil
	})
	return err
}

// extras adds the verdicts of the other rules, the regret table, expected values
// and the value of information, as far as the data go.
func (md *model) extras(rows []int, list []prospect, tol float64) {
	rules := []Method{Maximin, Maximax, Hurwicz}
	if md.payoff != nil {
		rules = append(rules, Laplace)
	}
	for _, rule := range rules {
		scores := md.outlook(rule, list)
		r := Rule{Rule: rule, Scores: md.byKey(rows, scores), Best: md.named(rows, best(scores, ruleTolerance(rule, tol)))}
		if rule == Hurwicz {
			r.Alpha = &md.s.HurwiczAlpha
		}
		md.res.Rules = append(md.res.Rules, r)
	}
	if md.payoff != nil {
		md.addRegrets(rows, list, tol)
	}
	means, complete := make([]float64, len(list)), true
	for i, pr := range list {
		if complete = complete && pr.chance != nil; complete {
			means[i] = pr.mean()
		}
	}
	if !complete {
		return
	}
	md.res.ExpectedValues = md.byKey(rows, means)
	md.res.Rules = append(md.res.Rules, Rule{Rule: "expected-value", Scores: md.res.ExpectedValues, Best: md.named(rows, best(means, tol))})
	if md.payoff != nil {
		md.res.Information = md.information(rows, list)
	}
}

func (md *model) addRegrets(rows []int, list []prospect, tol float64) {
	scores, table := regrets(list)
	largest := make(map[string]float64, len(rows))
	at := make(map[string]int, len(rows))
	for i, row := range rows {
		largest[md.keys[row]] = 0 - scores[i]
		at[md.keys[row]] = i
	}
	md.res.Rules = append(md.res.Rules, Rule{Rule: MinimaxRegret, Scores: largest, Best: md.named(rows, best(scores, tol))})
	md.res.Regrets = &Regrets{States: md.states}
	for _, r := range md.ranking(rows, scores, tol)[:min(len(rows), DetailRows)] {
		i := at[r.Option]
		worst := slices.Index(table[i], slices.Max(table[i]))
		md.res.Regrets.Rows = append(md.res.Regrets.Rows, RegretRow{r.Option, table[i], table[i][worst], md.states[worst]})
	}
}
