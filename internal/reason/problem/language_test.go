package problem_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// lights is a problem with an enum and an array: a walker switches lamps.
func lights() *problem.Spec {
	return &problem.Spec{
		Variables: []problem.Variable{
			{Name: "lamp", Type: "bool", Length: 3},
			{Name: "cost", Type: "int", Elements: []string{"1", "2", "unit*3"}},
			{Name: "mood", Type: "enum", Values: []string{"calm", "busy", "done"}, Initial: "busy"},
			{Name: "at", Type: "int", Min: new(0.0), Max: new(2.0)},
			{Name: "fuel", Type: "float", Initial: "10"},
		},
		Constants: map[string]float64{"unit": 1},
		Actions: []problem.Action{
			{Name: "switch", Guard: "!lamp[at]", Effects: map[string]string{"lamp[at]": "true", "fuel": "fuel - cost[at]", "mood": "at == 2 ? done : calm"}, Prior: "cost[at]"},
			{Name: "walk", Guard: "at < 2", Effects: map[string]string{"at": "at + 1"}},
		},
		Terminal: "mood == done || fuel < min(cost)",
		Reward:   "sum(cost) + len(lamp)",
		Horizon:  9,
	}
}

func TestEnumsAndArrays(t *testing.T) {
	m := compile(t, lights())
	s := start(m)
	if want := []float64{0, 0, 0, 1, 2, 3, 1, 0, 10, 0}; !slices.Equal(s, want) {
		t.Fatalf("the start is %v, want %v", s, want)
	}
	g := problem.GuideOf(m)
	weights := make([]float64, 2)
	if err := g.Weigh([]float64{0, 0, 0, 1, 2, 3, 1, 2, 10, 0}, []int{0, 1}, weights); err != nil || weights[0] != 3 || weights[1] != 1 {
		t.Errorf("weights %v, %v", weights, err)
	}
	for _, a := range []int{0, 1, 1, 0} {
		if got := actions(t, m, s); !slices.Contains(got, a) {
			t.Fatalf("in %v legal are %v", s, got)
		}
		if _, r, err := m.Apply(s, a, nil); err != nil || r != 9 {
			t.Fatalf("reward %v, %v", r, err)
		}
	}
	if want := []float64{1, 0, 1, 1, 2, 3, 2, 2, 6, 4}; !slices.Equal(s, want) || len(actions(t, m, s)) != 0 {
		t.Errorf("the end is %v, want %v", s, want)
	}
	if problem.GuideOf(compile(t, stock())) != nil {
		t.Error("a problem without priors is a guide")
	}
}

func TestLanguageFlaws(t *testing.T) {
	for want, change := range map[string]func(*problem.Spec){
		`variables[2].values: 0; expected 1 to 64 names`:                                       func(s *problem.Spec) { s.Variables[2].Values = nil },
		`variables[2].values[1]: "calm" is used already`:                                       func(s *problem.Spec) { s.Variables[2].Values[1] = "calm" },
		`variables[2].values[0]: "unit" is used already`:                                       func(s *problem.Spec) { s.Variables[2].Values[0] = "unit" },
		`variables[2].values[0]: "fuel" is used already`:                                       func(s *problem.Spec) { s.Variables[2].Values[0] = "fuel" },
		`variables[2].values[0]: "a b" cannot be a name`:                                       func(s *problem.Spec) { s.Variables[2].Values[0] = "a b" },
		`variables[2].min: an enum has no bounds`:                                              func(s *problem.Spec) { s.Variables[2].Min = new(1.0) },
		`variables[3].values: only an enum has values`:                                         func(s *problem.Spec) { s.Variables[3].Values = []string{"x"} },
		`variables[2].initial: 1:1: the name "sad" is unknown`:                                 func(s *problem.Spec) { s.Variables[2].Initial = "sad" },
		`variables[2].initial: mood would be 3; expected a whole number from 0 to 2`:           func(s *problem.Spec) { s.Variables[2].Initial = "3" },
		`variables[1].length: 2 for 3 elements`:                                                func(s *problem.Spec) { s.Variables[1].Length = 2 },
		`variables[1].initial: elements are given too`:                                         func(s *problem.Spec) { s.Variables[1].Initial = "1" },
		`variables[1].elements[2]: cost[2] would be 0.5; expected a whole number`:              func(s *problem.Spec) { s.Variables[1].Elements[2] = "0.5" },
		`variables[0].length: -1; expected 0 to 512`:                                           func(s *problem.Spec) { s.Variables[0].Length = -1 },
		`variables: 515 elements in all; expected at most 512`:                                 func(s *problem.Spec) { s.Variables[0].Length = 509 },
		`actions[0].effects.lamp: "lamp" is an array; expected lamp[index], index from 0 to 2`: func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"lamp": "true"} },
		`actions[0].effects.fuel[0]: "fuel" is no array`:                                       func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"fuel[0]": "1"} },
		`actions[0].effects.lamp[0: "lamp[0" has no ]`:                                         func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"lamp[0": "true"} },
		`actions[0].effects.lamp[at+], index: 1:4: the formula ends here`:                      func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"lamp[at+]": "true"} },
		`actions[0].effects.lamp[0]: 1:1: this is a number; expected a truth value`:            func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"lamp[0]": "1"} },
		`actions[0].effects: 65 effects; expected at most 64`: func(s *problem.Spec) {
			for i := range 65 {
				s.Actions[0].Effects[strings.Repeat(" ", i)+"fuel"] = "1"
			}
			delete(s.Actions[0].Effects, "lamp[at]")
			delete(s.Actions[0].Effects, "mood")
		},
		`actions[0].prior: 1:1: this is a truth value`: func(s *problem.Spec) { s.Actions[0].Prior = "true" },
	} {
		s := lights()
		change(s)
		if _, err := problem.Compile(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v\nwant %q", err, want)
		}
	}
}

func TestArrayFailuresWhileRunning(t *testing.T) {
	for want, change := range map[string]func(*problem.Spec){
		"actions[0].effects.lamp[at + 3], index: the index is 3 (in a state with": func(s *problem.Spec) { s.Actions[0].Effects = map[string]string{"lamp[at + 3]": "true"} },
		"actions[0].effects.lamp[at]: the move sets lamp[0] twice":                func(s *problem.Spec) { s.Actions[0].Effects["lamp[0]"] = "true" },
		"actions[0].effects.cost[0]: cost[0] would be 1.5":                        func(s *problem.Spec) { s.Actions[0].Effects["cost[0]"] = "1.5" },
		"actions[0].effects.fuel: 1:1: the index is 10 (in a state with":          func(s *problem.Spec) { s.Actions[0].Effects["fuel"] = "cost[fuel]" },
	} {
		s := lights()
		change(s)
		m := compile(t, s)
		if _, _, err := m.Apply(start(m), 0, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	s := lights()
	s.Actions[0].Prior = "-1"
	m := compile(t, s)
	if err := m.Weigh(start(m), []int{0}, make([]float64, 1)); err == nil || !strings.Contains(err.Error(), "actions[0].prior: the prior is -1") {
		t.Errorf("error %v", err)
	}
}

// Two enums may share a value in the same place, and players an enum of their own.
func TestSharedEnumValues(t *testing.T) {
	s := lights()
	s.Variables = append(s.Variables, problem.Variable{Name: "before", Type: "enum", Values: []string{"calm", "busy"}})
	compile(t, s)
	s.Variables[len(s.Variables)-1].Values = []string{"busy", "calm"}
	if _, err := problem.Compile(s); err == nil || !strings.Contains(err.Error(), `variables[5].values[0]: "busy" is used already`) {
		t.Errorf("error %v", err)
	}
}
