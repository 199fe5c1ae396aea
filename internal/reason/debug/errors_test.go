package debug_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// What cannot be told is refused at its place, and changes nothing.
func TestTellRefuses(t *testing.T) {
	bisect := func() *debug.Case { return &debug.Case{Bisect: &debug.Bisect{Range: debug.Range{First: 1, N: 10}}} }
	tree := func() *debug.Case { return &debug.Case{Backtrack: &debug.Backtrack{}} }
	for name, tc := range map[string]struct {
		c    *debug.Case
		test string
		m    debug.Move
		path string
	}{
		"outcome":              {bisect(), "5", debug.Move{Outcome: "maybe"}, "outcome"},
		"item":                 {bisect(), "11", debug.Move{Outcome: debug.Fail}, "test"},
		"no number":            {bisect(), "five", debug.Move{Outcome: debug.Fail}, "test"},
		"pass at the last":     {bisect(), "10", debug.Move{Outcome: debug.Pass}, "outcome"},
		"blame of a bisection": {bisect(), "5", debug.Move{Outcome: debug.Fail, Blame: []string{"x"}}, "choice"},
		"set":                  {&debug.Case{Delta: &debug.Delta{Elements: []string{"a", "b"}}}, "other", debug.Move{Outcome: debug.Fail}, "test"},
		"no choice":            {tree(), "", debug.Move{Outcome: debug.Fail}, "choice"},
		"no options":           {tree(), "", debug.Move{Choice: "x"}, "options"},
		"equal options":        {tree(), "", debug.Move{Choice: "x", Options: []string{"a", "a"}}, "options[1]"},
		"both":                 {tree(), "", debug.Move{Choice: "x", Options: []string{"a"}, Outcome: debug.Fail}, "choice"},
		"component":            {&debug.Case{Split: &debug.Split{Parts: []debug.Part{{"a", nil, 1}}}}, "b", debug.Move{Outcome: debug.Fail}, "test"},
		"good everywhere":      {&debug.Case{Split: &debug.Split{Parts: []debug.Part{{"a", nil, 1}}}}, "a", debug.Move{Outcome: debug.Pass}, "outcome"},
	} {
		err := tc.c.Tell(tc.test, tc.m)
		flaws, ok := errors.AsType[problem.Flaws](err)
		if !ok || flaws[0].Path != tc.path || flaws[0].Expected == "" {
			t.Errorf("%s: got %v, want a flaw at %s", name, err, tc.path)
		}
		if _, f, err := tc.c.Driver().Ask(); err != nil || f.Told != 0 {
			t.Errorf("%s: afterwards %+v, %v", name, f, err)
		}
	}
}

// Nothing that Tell cannot have written passes Validate.
func TestValidateRefuses(t *testing.T) {
	long := strings.Repeat("x", debug.MaxName+1)
	for name, c := range map[string]*debug.Case{
		"nothing":       {},
		"two":           {Bisect: &debug.Bisect{Range: debug.Range{First: 1, N: 2}}, Delta: &debug.Delta{Elements: []string{"a"}}},
		"title":         {Title: " x", Delta: &debug.Delta{Elements: []string{"a"}}},
		"no items":      {Bisect: &debug.Bisect{}},
		"too many":      {Bisect: &debug.Bisect{Range: debug.Range{N: debug.MaxRange + 1}}},
		"labels":        {Bisect: &debug.Bisect{Range: debug.Range{N: 2, Labels: []string{"a", "a"}}}},
		"count":         {Bisect: &debug.Bisect{Range: debug.Range{N: 3, Labels: []string{"a", "b"}}}},
		"long":          {Bisect: &debug.Bisect{Range: debug.Range{N: 1, Labels: []string{long}}}},
		"contradiction": {Bisect: &debug.Bisect{Range: debug.Range{N: 9}, Log: []debug.Told{{5, debug.Fail}, {6, debug.Pass}}}},
		"item":          {Bisect: &debug.Bisect{Range: debug.Range{N: 9}, Log: []debug.Told{{0, debug.Fail}}}},
		"rate":          {Noisy: &debug.Noisy{Range: debug.Range{N: 9}, ErrorRate: 0.5, Confidence: 0.9}},
		"confidence":    {Noisy: &debug.Noisy{Range: debug.Range{N: 9}, ErrorRate: 0.1, Confidence: 1}},
		"prior":         {Noisy: &debug.Noisy{Range: debug.Range{N: 2}, ErrorRate: 0.1, Confidence: 0.9, Prior: []float64{0, 0}}},
		"noisy item":    {Noisy: &debug.Noisy{Range: debug.Range{N: 2}, ErrorRate: 0.1, Confidence: 0.9, Log: []debug.Told{{3, debug.Fail}}}},
		"letters":       {Delta: &debug.Delta{Elements: []string{"a", "b"}, Log: "x"}},
		"after the end": {Delta: &debug.Delta{Elements: []string{"a"}, Log: "pp"}},
		"no elements":   {Delta: &debug.Delta{}},
		"no causes":     {Causes: &debug.Causes{Confidence: 0.9}},
		"likelihood":    {Causes: &debug.Causes{Confidence: 0.9, Causes: []debug.Cause{{"a", 1}}, Checks: []debug.Check{{Name: "t", Cost: 1, Otherwise: 2}}}},
		"cost":          {Causes: &debug.Causes{Confidence: 0.9, Causes: []debug.Cause{{"a", 1}}, Checks: []debug.Check{{Name: "t"}}}},
		"other cause":   {Causes: &debug.Causes{Confidence: 0.9, Causes: []debug.Cause{{"a", 1}}, Checks: []debug.Check{{Name: "t", Cost: 1, FailIf: map[string]float64{"b": 1}}}}},
		"check":         {Causes: &debug.Causes{Confidence: 0.9, Causes: []debug.Cause{{"a", 1}}, Log: []debug.Checked{{0, debug.Fail}}}},
		"circle":        {Split: &debug.Split{Parts: []debug.Part{{"a", []string{"b"}, 1}, {"b", []string{"a"}, 1}}}},
		"unknown part":  {Split: &debug.Split{Parts: []debug.Part{{"a", []string{"b"}, 1}}}},
		"no weight":     {Split: &debug.Split{Parts: []debug.Part{{"a", nil, 0}}}},
		"part":          {Split: &debug.Split{Parts: []debug.Part{{"a", nil, 1}}, Log: []debug.Probed{{1, debug.Fail}}}},
		"blame":         {Backtrack: &debug.Backtrack{Log: []debug.Move{{Choice: "a", Options: []string{"x"}}, {Outcome: debug.Fail, Blame: []string{"b"}}}}},
		"over":          {Backtrack: &debug.Backtrack{Log: []debug.Move{{Choice: "a", Options: []string{"x"}}, {Outcome: debug.Fail}, {Outcome: debug.Fail}}}},
	} {
		if c.Validate() == nil {
			t.Errorf("%s: %+v passed", name, c)
		}
	}
}

// A budget that ends leaves the cuts found so far, and bounds instead of a number.
func TestFaultTreeBudget(t *testing.T) {
	tree := debug.FaultTree{Top: "top", Gates: map[string]debug.Gate{}, Probabilities: map[string]float64{}}
	top := debug.Gate{Kind: debug.And}
	for g := range 10 {
		gate := debug.Gate{Kind: debug.Or}
		for e := range 4 {
			name := string(rune('a'+g)) + string(rune('0'+e))
			gate.Inputs = append(gate.Inputs, name)
			tree.Probabilities[name] = 0.5
		}
		name := "gate " + string(rune('0'+g))
		tree.Gates[name], top.Inputs = gate, append(top.Inputs, name)
	}
	tree.Gates["top"] = top
	m := budget.New(t.Context(), budget.Limits{Steps: 20_000}, nil)
	r, err := tree.Analyze(m)
	if err != nil {
		t.Fatal(err)
	}
	if r.Complete || r.Probability != nil || r.Lower == nil || *r.Lower <= 0 || r.Upper != nil || m.Hit() != budget.Steps {
		t.Errorf("complete %v, %v to %v, hit %q, %d cuts", r.Complete, r.Lower, r.Upper, m.Hit(), len(r.Cuts))
	}
}
