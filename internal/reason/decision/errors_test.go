package decision

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// checkField fails unless err is an invalid field with all it takes to mend it.
func checkField(t interface{ Fatalf(string, ...any) }, err error) *FieldError {
	e, ok := errors.AsType[*FieldError](err)
	if !ok || fault.KindOf(err) != fault.Invalid || e.Field == "" || e.Want == "" || e.Got == "" {
		t.Fatalf("%T %v: want a *FieldError of kind invalid with field, want and got", err, err)
	}
	return e
}

func TestRefusals(t *testing.T) {
	two := func() Problem { return twoByTwo() }
	for _, tc := range []struct {
		name   string
		method Method
		edit   func(p *Problem, s *Settings)
		field  string
		text   string // somewhere in the message
	}{
		{"method", "guess", func(*Problem, *Settings) {}, "analysisType", "minimax-regret"},
		{"normalization", WeightedSum, func(_ *Problem, s *Settings) { s.Normalization = "log" }, "normalization", "min-max"},
		{"alpha", Hurwicz, func(_ *Problem, s *Settings) { s.HurwiczAlpha = 1.5 }, "hurwiczAlpha", "1.5"},
		{"draws", WeightedSum, func(_ *Problem, s *Settings) { s.Draws = MaxDraws + 1 }, "draws", "100000"},
		{"concentration", WeightedSum, func(_ *Problem, s *Settings) { s.Concentration = .5 }, "concentration", "from 1"},
		{"no data", WeightedSum, func(p *Problem, _ *Settings) { *p = Problem{} }, "criteria", "weight"},
		{"no options", WeightedSum, func(p *Problem, _ *Settings) { p.Options = nil }, "options", "attributes"},
		{"no attributes", TOPSIS, func(p *Problem, _ *Settings) { p.Options[0].Attributes, p.Options[1].Attributes = nil, nil }, "options", "A lacks x, y"},
		{"negative weight", WeightedSum, func(p *Problem, _ *Settings) { p.Criteria[1].Weight = new(-1.) }, "criteria[1].weight", "minimize"},
		{"zero weights", WeightedSum, func(p *Problem, _ *Settings) { p.Criteria[0].Weight, p.Criteria[1].Weight = new(0.), new(0.) }, "criteria", "all weights are 0"},
		{"criterion twice", WeightedSum, func(p *Problem, _ *Settings) { p.Criteria[1].Name = "x" }, "criteria[1].name", "x"},
		{"option twice", WeightedSum, func(p *Problem, _ *Settings) { p.Options[1].ID = "A" }, "options[1]", "A"},
		{"option without name", WeightedSum, func(p *Problem, _ *Settings) { p.Options[1].ID = "" }, "options[1].name", "id"},
		{"infinite value", WeightedSum, func(p *Problem, _ *Settings) { p.Options[0].Attributes["x"] = math.Inf(1) }, "options[0].attributes.x", "1e+100"},
		{"zero in a product", WeightedProduct, func(p *Problem, _ *Settings) { p.Options[0].Attributes["x"] = 0 }, "options[0].attributes.x", "above 0"},
		{"negative share", WeightedSum, func(p *Problem, s *Settings) { s.Normalization, p.Options[1].Attributes["y"] = Sum, -1 }, "options[1].attributes.y", "min-max"},
		{"nothing to measure", TOPSIS, func(p *Problem, _ *Settings) { p.Options[1].Attributes = p.Options[0].Attributes }, "options", "differ"},
		{"no aspirations", Satisficing, func(*Problem, *Settings) {}, "aspirations", "good enough"},
		{"unknown aspiration", Satisficing, func(p *Problem, _ *Settings) { p.Aspirations = map[string]float64{"z": 1} }, "aspirations.z", "criteria"},
		{"constraint operator", WeightedSum, func(p *Problem, _ *Settings) { p.Constraints = []Constraint{{"x", "~", 1}} }, "constraints[0].op", "<="},
		{"all excluded", WeightedSum, func(p *Problem, _ *Settings) { p.Constraints = []Constraint{{"x", ">", 100}} }, "options", "2 options excluded"},
		{"no comparisons", AHP, func(*Problem, *Settings) {}, "comparisons", "multi-criteria"},
		{"no outcomes", ExpectedUtility, func(*Problem, *Settings) {}, "possibleOutcomes", "the data sent serve multi-criteria"},
		{"no payoffs", MinimaxRegret, func(*Problem, *Settings) {}, "payoffs", "state"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, s := two(), Settings{Method: tc.method}
			tc.edit(&p, &s)
			_, err := Analyze(free(t), p, s, 1)
			if e := checkField(t, err); e.Field != tc.field || !strings.Contains(e.Error(), tc.text) {
				t.Errorf("%v: want field %s and %q", e, tc.field, tc.text)
			}
		})
	}
}

func TestChanceRefusals(t *testing.T) {
	for _, tc := range []struct {
		name   string
		method Method
		edit   func(p *Problem, s *Settings)
		field  string
		text   string
	}{
		{"sum", ExpectedUtility, func(p *Problem, _ *Settings) { p.Probabilities["slump"] = .3 }, "probabilities", "a sum of 1.1"},
		{"sum just off", ExpectedUtility, func(p *Problem, _ *Settings) { p.Probabilities["slump"] += 2e-9 }, "probabilities", "1.000000002"},
		{"negative", ExpectedUtility, func(p *Problem, _ *Settings) { p.Probabilities["slump"] = -.2 }, "probabilities.slump", "0 to 1"},
		{"missing state", EVPI, func(p *Problem, _ *Settings) { delete(p.Probabilities, "slump") }, "probabilities.slump", "every state"},
		{"unknown state", EVPI, func(p *Problem, _ *Settings) { p.Probabilities["boom"] = 0 }, "probabilities.boom", "growth"},
		{"no probabilities", EVPI, func(p *Problem, _ *Settings) { p.Probabilities = nil }, "probabilities", "minimax-regret"},
		{"payoff in unknown state", Maximin, func(p *Problem, _ *Settings) { p.Payoffs["bonds"]["boom"] = 1 }, "payoffs", "boom"},
		{"payoff of nobody", Maximin, func(p *Problem, _ *Settings) { p.Payoffs["gold"] = nil }, "payoffs.gold", "option"},
		{"state twice", Maximin, func(p *Problem, _ *Settings) { p.States[1] = "growth" }, "states[1]", "growth"},
		{"both kinds", Maximin, func(p *Problem, _ *Settings) { p.Outcomes = []Outcome{{"bonds", nil, 1}} }, "payoffs", "not both"},
		{"outcomes for states", EVPI, func(p *Problem, _ *Settings) { *p = Problem{Outcomes: []Outcome{{"a", new(1.), 1}}} }, "payoffs", "share"},
		{"outcome sum", ExpectedUtility, func(p *Problem, _ *Settings) {
			*p = Problem{Outcomes: []Outcome{{"a", new(1.), 10}, {"a", new(1.), 10}}}
		}, "possibleOutcomes (option a)", "a sum of 2"},
		{"mixed outcomes", Maximin, func(p *Problem, _ *Settings) {
			*p = Problem{Outcomes: []Outcome{{"a", new(1.), 10}, {"a", nil, 10}}}
		}, "possibleOutcomes (option a)", "1 of 2"},
		{"outcomes without probabilities", ExpectedUtility, func(p *Problem, _ *Settings) {
			*p = Problem{Outcomes: []Outcome{{"a", nil, 10}, {"b", nil, 3}}}
		}, "possibleOutcomes", "a lacks probabilities"},
		{"outcome of nobody", Maximin, func(p *Problem, _ *Settings) { p.Payoffs, p.Outcomes = nil, []Outcome{{"gold", nil, 1}} }, "possibleOutcomes[0].option", "gold"},
		{"attitude", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk.Attitude = "brave" }, "riskTolerance", "risk-seeking"},
		{"form", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk.Form = "square" }, "utility", "crra"},
		{"sign", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk = Risk{Attitude: Averse, Coefficient: new(-1.)} }, "riskCoefficient", "risk-averse"},
		{"steep", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk.Coefficient = new(10.) }, "riskCoefficient", "maximin"},
		{"poor", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk = Risk{Form: CRRA, Coefficient: new(2.), Wealth: 13} }, "wealth", "more than 13"},
		{"no coefficient", ExpectedUtility, func(_ *Problem, s *Settings) { s.Risk.Form = CRRA }, "riskCoefficient", "such as 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, s := withChances(invest(), .5, .3, .2), Settings{Method: tc.method}
			tc.edit(&p, &s)
			_, err := Analyze(free(t), p, s, 1)
			if e := checkField(t, err); e.Field != tc.field || !strings.Contains(e.Error(), tc.text) {
				t.Errorf("%v: want field %s and %q", e, tc.field, tc.text)
			}
		})
	}
}

func TestJudgementRefusals(t *testing.T) {
	three := []Criterion{{Name: "x"}, {Name: "y"}, {Name: "z"}}
	for name, tc := range map[string]struct {
		j    Judgements
		text string
	}{
		"two rows":       {Judgements{Matrix: [][]float64{{1, 2}, {.5, 1}}}, "3×3"},
		"not reciprocal": {Judgements{Matrix: [][]float64{{1, 3, 5}, {3, 1, 3}, {.2, .33, 1}}}, "reciprocal"},
		"diagonal":       {Judgements{Matrix: [][]float64{{2, 3, 5}, {.33, 1, 3}, {.2, .33, 1}}}, "against itself"},
		"zero":           {Judgements{Matrix: [][]float64{{1, 0, 5}, {.33, 1, 3}, {.2, .33, 1}}}, "above 0"},
		"missing pair":   {Judgements{Pairs: []Pair{{"x", "y", 3}, {"y", "z", 3}}}, `"x / z"`},
		"pair twice":     {Judgements{Pairs: []Pair{{"x", "y", 3}, {"y", "x", 3}}}, "once"},
		"unknown name":   {Judgements{Pairs: []Pair{{"x", "w", 3}}}, `"w"`},
		"both":           {Judgements{Matrix: [][]float64{{1}}, Pairs: []Pair{{"x", "y", 3}}}, "either"},
	} {
		_, err := Analyze(free(t), Problem{Criteria: three, Comparisons: Comparisons{Criteria: tc.j}}, Settings{Method: AHP}, 1)
		if e := checkField(t, err); !strings.HasPrefix(e.Field, "comparisons.criteria") || !strings.Contains(e.Error(), tc.text) {
			t.Errorf("%s: %v: want %q", name, e, tc.text)
		}
	}
	// Two digits are how 1/7 and 1/6 are written.
	if _, err := fromMatrix("m", []string{"x", "y", "z"}, [][]float64{{1, 7, 6}, {.14, 1, .5}, {.17, 2, 1}}); err != nil {
		t.Error(err)
	}
}

func TestCaps(t *testing.T) {
	big := Problem{Criteria: []Criterion{{Name: "x"}}}
	for i := range MaxOptions + 1 {
		big.Options = append(big.Options, Option{Name: fmt.Sprint(i), Attributes: map[string]float64{"x": 1}})
	}
	wide := Problem{Options: big.Options[:2]}
	for j := range MaxCriteria + 1 {
		wide.Criteria = append(wide.Criteria, Criterion{Name: fmt.Sprint(j)})
	}
	long := Problem{Payoffs: map[string]map[string]float64{"a": {}}}
	for s := range MaxStates + 1 {
		long.Payoffs["a"][fmt.Sprint(s)] = 1
	}
	var many Problem
	for i := range MaxStates + 1 {
		many.Outcomes = append(many.Outcomes, Outcome{"a", nil, float64(i)})
	}
	judged := Problem{Comparisons: Comparisons{Options: map[string]Judgements{"": {Pairs: []Pair{{"0", "1", 2}}}}}, Options: big.Options[:MaxJudged+1]}
	for _, tc := range []struct {
		p      Problem
		method Method
		number int
	}{{big, WeightedSum, MaxOptions}, {wide, WeightedSum, MaxCriteria}, {long, Maximin, MaxStates}, {many, Maximin, MaxStates}, {judged, AHP, MaxJudged}} {
		_, err := Analyze(free(t), tc.p, Settings{Method: tc.method}, 1)
		if e := checkField(t, err); !strings.Contains(e.Want, fmt.Sprint(tc.number)) {
			t.Errorf("%v: want the cap %d named", e, tc.number)
		}
	}
	big.Options = big.Options[:MaxOptions]
	if r := run(t, big, Settings{Method: WeightedSum}); len(r.Ranking) != MaxOptions || len(r.Contributions) != DetailRows {
		t.Errorf("%d ranked, %d detailed", len(r.Ranking), len(r.Contributions))
	}
}

// TestMissingIsNotZero keeps an option out of the ranking instead of scoring it
// 0, and a given 0 in it.
func TestMissingIsNotZero(t *testing.T) {
	p := table([]float64{1, 1}, []string{"x", "-cost"}, map[string][]float64{"A": {5, 10}, "B": {0, 20}, "C": {9, 0}})
	delete(p.Options[2].Attributes, "cost")
	r := run(t, p, Settings{Method: WeightedSum})
	if len(r.Ranking) != 2 || r.Recommendation != "A" || r.Next != GatherMoreData {
		t.Errorf("ranking %+v, next %q", r.Ranking, r.Next)
	}
	if _, scored := r.MultiCriteriaScores["C"]; scored {
		t.Error("C has a score without a cost")
	}
	if len(r.NotAssessable) != 1 || r.NotAssessable[0].Option != "C" || !slices.Equal(r.NotAssessable[0].Missing, []string{"cost"}) {
		t.Errorf("gaps %+v", r.NotAssessable)
	}
	q := withChances(invest(), .5, .3, .2)
	delete(q.Payoffs["funds"], "slump")
	r = run(t, q, Settings{Method: MinimaxRegret})
	if len(r.NotAssessable) != 1 || r.NotAssessable[0].Missing[0] != "payoff in slump" {
		t.Errorf("gaps %+v", r.NotAssessable)
	}
}

// TestRegressions pins the defects of the ancestor.
func TestRegressions(t *testing.T) {
	cheap := table([]float64{1}, []string{"-cost"}, map[string][]float64{"dear": {900}, "cheap": {100}})
	for _, m := range []Method{WeightedSum, WeightedProduct, TOPSIS} {
		if r := run(t, cheap, Settings{Method: m}); r.Recommendation != "cheap" || r.Ranking[1].Option != "dear" {
			t.Errorf("%s: minimising cost recommends %q", m, r.Recommendation)
		}
	}
	zero := table([]float64{1, 0}, []string{"x", "y"}, map[string][]float64{"A": {2, 0}, "B": {1, 1000}})
	if r := run(t, zero, Settings{Method: WeightedSum, Normalization: Raw}); r.Recommendation != "A" || r.MultiCriteriaScores["B"] != 1 {
		t.Errorf("weight 0 counts: %+v", r.MultiCriteriaScores)
	}
	tie := table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {2, 1}, "B": {1, 2}, "C": {1, 1}})
	if r := run(t, tie, Settings{Method: WeightedSum}); r.Recommendation != "" || !slices.Equal(r.Tied, []string{"A", "B"}) || r.Next != GatherMoreData {
		t.Errorf("a tie must be reported: %q %q %q", r.Recommendation, r.Tied, r.Next)
	}
}

func TestConstraints(t *testing.T) {
	p := table([]float64{1}, []string{"x"}, map[string][]float64{"A": {9}, "B": {5}, "C": {1}})
	p.Options[0].Attributes["mass"], p.Options[1].Attributes["mass"] = 12, 10
	for op, want := range map[string][3]bool{"<=": {true, true, false}, "<": {true, false, false}, "=": {false, true, false}, ">=": {false, true, true}, ">": {false, false, true}} {
		for i, x := range []float64{9, 10, 11} {
			if got, ok := (Constraint{"mass", op, 10}).holds(x); !ok || got != want[i] {
				t.Errorf("%v %s 10 is %v", x, op, got)
			}
		}
	}
	p.Constraints = []Constraint{{"mass", "<=", 10}}
	r := run(t, p, Settings{Method: WeightedSum})
	if r.Recommendation != "B" || len(r.Excluded) != 1 || r.Excluded[0].Option != "A" || r.Excluded[0].Constraint != "mass <= 10" {
		t.Errorf("recommendation %q, excluded %+v", r.Recommendation, r.Excluded)
	}
	if len(r.NotAssessable) != 1 || r.NotAssessable[0].Option != "C" {
		t.Errorf("C has no mass: %+v", r.NotAssessable)
	}
}

func TestNotes(t *testing.T) {
	p := table([]float64{1, 1}, []string{"x", "y"}, map[string][]float64{"A": {9, 4}, "B": {5, 4}})
	p.Options[0].Attributes["Y"] = 3
	var codes []string
	for _, n := range run(t, p, Settings{Method: WeightedSum}).Notes {
		codes = append(codes, n.Code)
	}
	if want := []string{"flat_criterion", "unused_attribute"}; !slices.Equal(codes, want) {
		t.Errorf("notes %q, want %q", codes, want)
	}
}
