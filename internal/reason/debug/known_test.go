package debug_test

import (
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/debug"
)

func near(t *testing.T, what string, got *float64, want float64) {
	t.Helper()
	if got == nil || math.Abs(*got-want) > 5e-5 {
		t.Errorf("%s: got %v, want %g", what, got, want)
	}
}

// drive answers until the search is over and returns what was found and the tests.
func drive(t *testing.T, c *debug.Case, answer func(q *debug.Query) debug.Outcome) (debug.Finding, int) {
	t.Helper()
	for tests := 0; ; tests++ {
		q, f, err := c.Driver().Ask()
		if err != nil {
			t.Fatal(err)
		}
		if (q == nil) != f.Done {
			t.Fatalf("query %v, done %v", q, f.Done)
		}
		if q == nil {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			return f, tests
		}
		if err := c.Tell(q.Test, debug.Move{Outcome: answer(q)}); err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if tests > debug.MaxTests {
			t.Fatal("it has no end")
		}
	}
}

func verdict(fails bool) debug.Outcome {
	if fails {
		return debug.Fail
	}
	return debug.Pass
}

func TestBisectThousand(t *testing.T) {
	c := &debug.Case{Bisect: &debug.Bisect{Range: debug.Range{First: 1, N: 1000}}}
	f, tests := drive(t, c, func(q *debug.Query) debug.Outcome { return verdict(number(t, q.Test) >= 700) })
	if !slices.Equal(f.Found, []string{"700"}) || tests > 10 {
		t.Errorf("found %v in %d tests", f.Found, tests)
	}
}

func TestDeltaDebugging(t *testing.T) {
	c := &debug.Case{Delta: &debug.Delta{Elements: strings.Fields("1 2 3 4 5 6 7 8")}}
	f, _ := drive(t, c, func(q *debug.Query) debug.Outcome {
		has := func(e string) bool { return slices.Contains(q.Set, e) }
		return verdict(has("1") && has("7") && has("8"))
	})
	if !slices.Equal(f.Found, []string{"1", "7", "8"}) {
		t.Errorf("found %v", f.Found)
	}
}

func TestSpectrumScores(t *testing.T) {
	s := debug.Score("line 7", debug.Counts{EF: 2, NF: 0, EP: 1, NP: 2})
	near(t, "Ochiai", s.Ochiai, 0.8165)
	near(t, "Tarantula", s.Tarantula, 0.75)
	near(t, "D*", s.DStar, 4)
	near(t, "Jaccard", s.Jaccard, 2.0/3)
	if s := debug.Score("x", debug.Counts{EF: 2, NP: 3}); s.DStar != nil || !s.Unbounded || *s.Ochiai != 1 {
		t.Errorf("in every failing run and no other: %+v", s)
	}
	if s := debug.Score("x", debug.Counts{NF: 2, NP: 3}); s.Ochiai != nil || s.Tarantula != nil || *s.DStar != 0 {
		t.Errorf("in no run: %+v", s)
	}
}

func TestSpectrumRanks(t *testing.T) {
	names, counts, err := debug.Spectrum([]debug.Run{
		{Name: "t1", Outcome: debug.Fail, Covers: []string{"10", "2", "3", "3"}},
		{Name: "t2", Outcome: debug.Pass, Covers: []string{"2", "9"}},
		{Name: "t3", Outcome: debug.Unresolved, Covers: []string{"9"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(names, []string{"2", "3", "9", "10"}) || counts[1] != (debug.Counts{EF: 1, NP: 1}) || counts[2] != (debug.Counts{EP: 1, NF: 1}) {
		t.Fatalf("%v %v", names, counts)
	}
	var got []string
	for _, s := range debug.Rank(debug.DStar, names, counts) {
		got = append(got, s.Element)
		if (s.Element == "3" || s.Element == "10") && s.Rank != 1.5 {
			t.Errorf("%s has the rank %g", s.Element, s.Rank)
		}
	}
	if !slices.Equal(got, []string{"3", "10", "2", "9"}) {
		t.Errorf("got %v", got)
	}
	if _, _, err := debug.Spectrum([]debug.Run{{Outcome: debug.Pass, Covers: []string{"1"}}}); err == nil {
		t.Error("a spectrum without a failure was ranked")
	}
}

func meter() *budget.Meter {
	return budget.New(context.Background(), budget.Limits{Steps: 5_000_000}, nil)
}

func TestFaultTree(t *testing.T) {
	tree := debug.FaultTree{
		Top:           "top",
		Gates:         map[string]debug.Gate{"top": {Kind: debug.And, Inputs: []string{"either", "c"}}, "either": {Kind: debug.Or, Inputs: []string{"a", "b"}}},
		Probabilities: map[string]float64{"a": .1, "b": .1, "c": .1},
	}
	r, err := tree.Analyze(meter())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Cuts) != 2 || !slices.Equal(r.Cuts[0].Events, []string{"a", "c"}) || !slices.Equal(r.Cuts[1].Events, []string{"b", "c"}) || !r.Complete {
		t.Fatalf("cuts %+v", r.Cuts)
	}
	near(t, "P(top)", r.Probability, 0.019)
	if first := r.Importance[0]; first.Event != "c" || math.Abs(first.Birnbaum-0.19) > 1e-12 || math.Abs(first.FussellVesely-1) > 1e-12 {
		t.Errorf("importance %+v", r.Importance)
	}
	tree.Gates["either"] = debug.Gate{Kind: debug.Or, Inputs: []string{"a", "top"}}
	if _, err := tree.Analyze(meter()); err == nil || !strings.Contains(err.Error(), "circle") {
		t.Errorf("a tree with a circle: %v", err)
	}
}

// Five causes of equal priors; one check parts 2 from 3 and costs 1, the other
// parts 1 from 4 and costs 0.1.
func TestCausesByGainPerCost(t *testing.T) {
	cause := func(names ...string) (out []debug.Cause) {
		for _, n := range names {
			out = append(out, debug.Cause{Name: n, Prior: 1})
		}
		return out
	}
	c := &debug.Case{Causes: &debug.Causes{Confidence: 0.95, Causes: cause("a", "b", "c", "d", "e"), Checks: []debug.Check{
		{Name: "wide", Cost: 1, FailIf: map[string]float64{"a": 1, "b": 1}},
		{Name: "cheap", Cost: 0.1, FailIf: map[string]float64{"c": 1}},
		{Name: "last", Cost: 5, FailIf: map[string]float64{"d": 1, "a": 1}},
	}}}
	gains, err := c.Causes.Gains()
	if err != nil {
		t.Fatal(err)
	}
	near(t, "H(2/5)", &gains[0].Bits, 0.97095)
	near(t, "H(1/5)", &gains[1].Bits, 0.72193)
	q, _, err := c.Driver().Ask()
	if err != nil || q.Test != "cheap" {
		t.Fatalf("asks %+v, %v", q, err)
	}
	f, tests := drive(t, c, func(q *debug.Query) debug.Outcome { return verdict(q.Test == "last") })
	if !slices.Equal(f.Found, []string{"d"}) || tests != 3 {
		t.Errorf("found %v in %d tests", f.Found, tests)
	}
	c.Causes.Log = nil
	if err := c.Tell("cheap", debug.Move{Outcome: debug.Fail}); err != nil {
		t.Fatal(err)
	}
	if err := c.Tell("wide", debug.Move{Outcome: debug.Fail}); err == nil || len(c.Causes.Log) != 1 {
		t.Errorf("an outcome that no cause explains: %v", err)
	}
}

// A likelihood ratio of 10 moves a prior of one half to 10/11.
func TestCausesUpdate(t *testing.T) {
	c := &debug.Case{Causes: &debug.Causes{
		Confidence: 1, Causes: []debug.Cause{{Name: "leak", Prior: 1}, {Name: "other", Prior: 1}},
		Checks: []debug.Check{{Name: "grows", Cost: 1, FailIf: map[string]float64{"leak": 0.8}, Otherwise: 0.08}},
	}}
	if err := c.Tell("grows", debug.Move{Outcome: debug.Fail}); err != nil {
		t.Fatal(err)
	}
	_, f, err := c.Driver().Ask()
	if err != nil {
		t.Fatal(err)
	}
	near(t, "posterior", &f.Ranking[0].Probability, 0.9091)
	if !f.Done || !strings.Contains(f.Why, "no test that is left") {
		t.Errorf("%+v", f)
	}
}

// The example of Weiser's slice: sum and product in one loop.
func TestSlice(t *testing.T) {
	d := debug.Dependences{
		Data: map[string][]string{
			"4": {"1"}, "5": {"2", "5", "4", "7"}, "6": {"3", "6", "4", "7"}, "7": {"1", "7"}, "8": {"5", "2"}, "9": {"6", "3"},
		},
		Control: map[string][]string{"5": {"4"}, "6": {"4"}, "7": {"4"}},
	}
	s, err := d.Slice(debug.Backward, []string{"9"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var nodes []string
	for _, n := range s.Nodes {
		nodes = append(nodes, n.Node)
	}
	slices.Sort(nodes)
	if !slices.Equal(nodes, []string{"1", "3", "4", "6", "7", "9"}) || !slices.Equal(s.Excluded, []string{"2", "5", "8"}) {
		t.Errorf("slice %v without %v", nodes, s.Excluded)
	}
	f, err := d.Slice(debug.Forward, []string{"2"}, nil)
	if err != nil || f.Size != 3 {
		t.Errorf("forward from 2: %+v, %v", f, err)
	}
	c, err := d.Slice(debug.Chop, []string{"8"}, []string{"2"})
	if err != nil || c.Size != 3 {
		t.Errorf("chop from 2 to 8: %+v, %v", c, err)
	}
	if _, err := d.Slice(debug.Backward, []string{"99"}, nil); err == nil {
		t.Error("a criterion that is no node was taken")
	}
}

func TestReverse(t *testing.T) {
	judged, probe, err := debug.Reverse(
		[]debug.Observation{{"2", "4"}},
		[]debug.Hypothesis{
			{"doubles", map[string]string{"2": "4", "3": "6", "0": "0"}},
			{"squares", map[string]string{"2": "4", "3": "9", "0": "0"}},
			{"adds one", map[string]string{"2": "3", "3": "4"}},
			{"unknown", nil},
		})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, j := range judged {
		got = append(got, j.Status)
	}
	if want := []string{debug.Consistent, debug.Consistent, debug.Refuted, debug.NotAssessable}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	if judged[2].Input != "2" || judged[2].Predicted != "3" || judged[2].Observed != "4" {
		t.Errorf("%+v", judged[2])
	}
	if probe == nil || probe.Input != "3" || math.Abs(probe.Bits-math.Log2(3)) > 1e-12 {
		t.Errorf("probe %+v", probe)
	}
	if _, _, err := debug.Reverse([]debug.Observation{{"1", "a"}, {"1", "b"}}, []debug.Hypothesis{{Name: "h"}}); err == nil {
		t.Error("two outputs of one input were taken")
	}
}
