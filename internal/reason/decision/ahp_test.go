package decision

import "testing"

func TestAHPPriorities(t *testing.T) {
	a := [][]float64{{1, 3, 5}, {1. / 3, 1, 3}, {1. / 5, 1. / 3, 1}}
	pairs := []Pair{{"x", "y", 3}, {"z", "x", 1. / 5}, {"y", "z", 3}}
	for name, j := range map[string]Judgements{"matrix": {Matrix: a}, "pairs": {Pairs: pairs}} {
		t.Run(name, func(t *testing.T) {
			p := Problem{Criteria: []Criterion{{Name: "x"}, {Name: "y"}, {Name: "z"}}, Comparisons: Comparisons{Criteria: j}}
			r := run(t, p, Settings{Method: AHP})
			for key, want := range map[string]float64{"x": .6370, "y": .2583, "z": .1047} {
				near(t, "weight of "+key, r.Weights[key], want, 5e-5)
			}
			c := r.Consistency[0]
			near(t, "λmax", c.LambdaMax, 3.0385, 5e-5)
			near(t, "CR", c.Ratio, .0332, 5e-5)
			if !c.Acceptable || c.Revise != nil {
				t.Errorf("CR %.4f must be acceptable without a revision: %+v", c.Ratio, c)
			}
			if r.Next != GatherMoreData || r.Recommendation != "" {
				t.Errorf("weights without options: next %q, recommendation %q", r.Next, r.Recommendation)
			}
		})
	}
}

// TestAHPHierarchy ranks by hand: two criteria at 3:1, one judged in pairs, one
// measured.
func TestAHPHierarchy(t *testing.T) {
	p := Problem{
		Options:  []Option{{ID: "a", Attributes: map[string]float64{"cost": 100}}, {ID: "b", Attributes: map[string]float64{"cost": 300}}},
		Criteria: []Criterion{{Name: "quality"}, {Name: "cost", Minimize: true}},
		Comparisons: Comparisons{
			Criteria: Judgements{Pairs: []Pair{{"quality", "cost", 3}}},
			Options:  map[string]Judgements{"quality": {Pairs: []Pair{{"b", "a", 4}}}},
		},
	}
	r := run(t, p, Settings{Method: AHP})
	near(t, "a", r.MultiCriteriaScores["a"], .75*.2+.25*.75, 1e-12)
	near(t, "b", r.MultiCriteriaScores["b"], .75*.8+.25*.25, 1e-12)
	if r.Recommendation != "b" {
		t.Errorf("recommendation %q, want b", r.Recommendation)
	}
}

func TestAHPDirect(t *testing.T) {
	p := Problem{
		Options:     []Option{{Name: "a"}, {Name: "b"}, {Name: "c"}},
		Comparisons: Comparisons{Options: map[string]Judgements{"": {Matrix: [][]float64{{1, 2, 8}, {.5, 1, 4}, {.13, .25, 1}}}}},
	}
	r := run(t, p, Settings{Method: AHP})
	for key, want := range map[string]float64{"a": 8. / 13, "b": 4. / 13, "c": 1. / 13} {
		near(t, key, r.MultiCriteriaScores[key], want, 1e-9)
	}
	near(t, "CR of a consistent matrix", r.Consistency[0].Ratio, 0, 1e-9)
}

// TestAHPSubset excludes an option that was compared, and checks for rank
// reversal with fewer rows than the judgements have.
func TestAHPSubset(t *testing.T) {
	p := Problem{
		Criteria: []Criterion{{Name: "look", Weight: new(3.)}, {Name: "cost", Minimize: true}},
		Comparisons: Comparisons{Options: map[string]Judgements{"look": {Pairs: []Pair{
			{"Ann", "b", 2}, {"a", "c", 4}, {"a", "d", 8}, {"b", "c", 2}, {"b", "d", 4}, {"c", "d", 2},
		}}}},
	}
	for i, id := range []string{"a", "b", "c", "d"} {
		p.Options = append(p.Options, Option{ID: id, Attributes: map[string]float64{"cost": float64(i + 1)}})
	}
	p.Options[0].Name = "Ann"
	p.Constraints = []Constraint{{"cost", "<", 4}}
	r := run(t, p, Settings{Method: AHP})
	if len(r.Consistency) != 1 || r.Consistency[0].Of != "look" || len(r.Consistency[0].Priorities) != 3 {
		t.Fatalf("consistency %+v", r.Consistency)
	}
	near(t, "look of b among a, b, c", r.Consistency[0].Priorities["b"], 2./7, 1e-9)
	near(t, "score of b", r.MultiCriteriaScores["b"], .75*2/7+.25*(1./2)/(1+1./2+1./3), 1e-9)
	if r.Recommendation != "a" || r.Reversals.Checked != 2 || len(r.Reversals.WinnerChanges) != 0 {
		t.Errorf("recommendation %q, reversals %+v", r.Recommendation, r.Reversals)
	}
	p.Comparisons.Options["smell"] = p.Comparisons.Options["look"]
	if _, err := Analyze(free(t), p, Settings{Method: AHP}, 1); err == nil {
		t.Error("options compared under a criterion that does not exist")
	}
}

func TestAHPInconsistent(t *testing.T) {
	p := Problem{
		Criteria:    []Criterion{{Name: "x"}, {Name: "y"}, {Name: "z"}},
		Comparisons: Comparisons{Criteria: Judgements{Pairs: []Pair{{"x", "y", 5}, {"y", "z", 5}, {"z", "x", 5}}}},
	}
	r := run(t, p, Settings{Method: AHP})
	c := r.Consistency[0]
	if c.Acceptable || c.Revise == nil || c.Ratio < 1 {
		t.Fatalf("a circle of judgements: %+v", c)
	}
	near(t, "implied judgement", c.Revise.Implied, 1, 1e-9)
	if r.Next != GatherMoreData {
		t.Errorf("next stage %q", r.Next)
	}
}
