package decision

import (
	"fmt"
	"strings"
)

// needsCriteria refuses an analysis of attributes without criteria or options.
func (md *model) needsCriteria() error {
	if len(md.p.Criteria) == 0 {
		return bad("criteria", fmt.Sprintf("an array such as [{\"name\": \"cost\", \"weight\": 2, \"type\": \"minimize\"}]: %s compares options by criteria", md.s.Method), "nothing"+md.instead())
	}
	if len(md.options) == 0 {
		return bad("options", "an array such as [{\"name\": \"A\", \"attributes\": {\"cost\": 3}}]", "nothing"+md.instead())
	}
	return nil
}

// needsWeights checks what weighing needs; under AHP it derives the weights from
// the comparisons.
func (md *model) needsWeights() error {
	if md.s.Method != AHP {
		if err := md.needsCriteria(); err != nil {
			return err
		}
		md.listWeights()
		return nil
	}
	c := md.p.Comparisons
	if c.Criteria.empty() && len(c.Options) == 0 {
		return bad("comparisons", "judgements in pairs, such as {\"criteria\": [{\"a\": \"cost\", \"b\": \"quality\", \"value\": 3}]} or a matrix in the order of the criteria", "nothing"+md.instead())
	}
	for name := range c.Options {
		if err := md.knownComparison(name); err != nil {
			return err
		}
	}
	if len(md.p.Criteria) == 0 {
		if !c.Criteria.empty() {
			return bad("criteria", "the criteria that were compared, in order, such as [{\"name\": \"cost\"}]", "nothing")
		}
		if len(md.options) == 0 {
			return bad("options", "the options that were compared, in order, such as [{\"name\": \"A\"}]", "nothing")
		}
		// Options compared directly are one criterion that has all the weight.
		md.p.Criteria = []Criterion{{Name: ""}}
		md.useWeights([]float64{1}, 1)
		return nil
	}
	if !c.Criteria.empty() {
		if err := md.judgeCriteria(); err != nil {
			return err
		}
	}
	md.listWeights()
	return nil
}

func (md *model) knownComparison(name string) error {
	var names []string
	for _, c := range md.p.Criteria {
		if c.Name == name {
			return nil
		}
		names = append(names, c.Name)
	}
	if name == "" && len(names) == 0 {
		return nil
	}
	return bad("comparisons.options", fmt.Sprintf("one entry for each criterion, out of %q", names), fmt.Sprintf("%q", name))
}

func (md *model) listWeights() {
	md.res.Weights = make(map[string]float64, len(md.weights))
	for j, c := range md.p.Criteria {
		md.res.Weights[c.Name] = md.weights[j]
	}
}

// needs refuses an analysis of what may happen without the data for it.
func (md *model) needs(chance, states bool) error {
	switch {
	case md.payoff == nil && md.lottery == nil && chance && !states:
		return bad("possibleOutcomes", "[{\"option\": \"A\", \"probability\": 0.6, \"value\": 10}, …] with probabilities that sum to 1 for each option, or payoffs with probabilities", "nothing"+md.instead())
	case md.payoff == nil && states, md.payoff == nil && md.lottery == nil:
		got := "nothing"
		if md.lottery != nil {
			got = "possibleOutcomes, which name no states that the options share"
		}
		return bad("payoffs", "{option: {state: value}}, or a matrix with states"+map[bool]string{true: ", and probabilities {state: p}"}[chance], got+md.instead())
	case md.payoff != nil && chance && md.chance == nil:
		return bad("probabilities", fmt.Sprintf("a probability for each of the states %s that sum to 1", strings.Join(md.states, ", ")), "nothing"+md.instead())
	}
	return nil
}

// chanceField names the parameter in which gaps of prospects are mended.
func (md *model) chanceField() string {
	if md.payoff != nil {
		return "payoffs"
	}
	return "possibleOutcomes"
}

// instead names the analyses that the data at hand would serve.
func (md *model) instead() string {
	var can []string
	attributes := false
	for _, o := range md.options {
		attributes = attributes || len(o.Attributes) > 0
	}
	add := func(methods ...Method) {
		for _, m := range methods {
			if m != md.s.Method {
				can = append(can, string(m))
			}
		}
	}
	if attributes && len(md.p.Criteria) > 0 {
		add(WeightedSum, TOPSIS, Pareto)
	}
	if md.payoff != nil {
		add(Maximin, Hurwicz, Laplace, MinimaxRegret)
	}
	if md.chance != nil || (md.lottery != nil && md.allKnown()) {
		add(ExpectedUtility)
	}
	if can == nil {
		return ""
	}
	return "; the data sent serve " + strings.Join(can, ", ")
}

// allKnown reports whether every outcome has a probability.
func (md *model) allKnown() bool {
	for _, o := range md.p.Outcomes {
		if o.Probability == nil {
			return false
		}
	}
	return true
}
