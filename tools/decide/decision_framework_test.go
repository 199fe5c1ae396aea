package decide

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// desk is one client with one session.
type desk struct {
	t testing.TB
	h *session.Handle
}

func newDesk(t testing.TB) desk {
	t.Helper()
	d := session.New(session.Config{}, nil)
	h, err := d.Open(t.Context(), session.Owner{Tenant: "acme", Issuer: "test", Subject: "alice"}, session.Params{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Release)
	return desk{t, h}
}

// call sends parameters and returns the envelope, through the way of the facade.
func (d desk) call(parameters string, limits ...budget.Limits) (*tools.Envelope, Output, error) {
	d.t.Helper()
	c := &tools.Call{Session: d.h, Prompt: "Which one?", SeedHint: new(uint64(7))}
	for _, l := range limits {
		c.Limits = l
	}
	raw, err := DecisionFramework.Invoke(d.t.Context(), c, json.RawMessage(parameters))
	e := c.Envelope(DecisionFramework.Spec(), raw, err)
	var out Output
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return e, out, err
}

func (d desk) must(parameters string) (*tools.Envelope, Output) {
	d.t.Helper()
	e, out, err := d.call(parameters)
	if err != nil {
		d.t.Fatalf("%s: %v", parameters, err)
	}
	return e, out
}

func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol) {
		t.Errorf("%s = %.12g, want %.12g ± %g", what, got, want, tol)
	}
}

func codes(e *tools.Envelope) []string {
	var list []string
	for _, w := range e.Warnings {
		list = append(list, w.Code)
	}
	return list
}

func TestRegistered(t *testing.T) {
	if _, err := tools.NewRegistry(DecisionFramework); err != nil {
		t.Fatal(err)
	}
}

// TestExamples runs every example of the description as the facade would.
func TestExamples(t *testing.T) {
	want := []string{"A", "funds", "insure", "A"}
	r, err := tools.NewRegistry(DecisionFramework)
	if err != nil {
		t.Fatal(err)
	}
	f := tools.NewFacade(r)
	for i, ex := range DecisionFramework.Spec().Examples {
		req, err := f.Decode(json.RawMessage(ex.Arguments))
		if err != nil {
			t.Fatalf("%s: %v", ex.Title, err)
		}
		e, out := newDesk(t).must(string(req.Parameters))
		if out.Recommendation != want[i] {
			t.Errorf("%s: recommends %q (tied %q), want %q", ex.Title, out.Recommendation, out.Tied, want[i])
		}
		if e.Basis != tools.Computed || e.Method == "" || e.Source == "" || e.Seed == nil || e.Budget == nil || len(e.Warnings) > 1 {
			t.Errorf("%s: envelope %+v", ex.Title, e)
		}
	}
}

// TestAncestorExamples sends what the ancestor's own documentation shows, and
// wants every field honoured.
func TestAncestorExamples(t *testing.T) {
	d := newDesk(t)
	e, out := d.must(`{
		"options": [
			{"id": "aws", "name": "Amazon Web Services", "attributes": {"cost": 7, "features": 10, "support": 8, "ease": 6}},
			{"id": "gcp", "name": "Google Cloud Platform", "attributes": {"cost": 8, "features": 9, "support": 7, "ease": 8}},
			{"id": "azure", "name": "Microsoft Azure", "attributes": {"cost": 7, "features": 9, "support": 9, "ease": 7}}],
		"criteria": [{"name": "cost", "weight": 0.3, "type": "maximize"}, {"name": "features", "weight": 0.3, "type": "maximize"},
			{"name": "support", "weight": 0.2, "type": "maximize"}, {"name": "ease", "weight": 0.2, "type": "maximize"}],
		"analysisType": "multi-criteria"}`)
	// Min-max: aws 0, 1, .5, 0; gcp 1, 0, 0, 1; azure 0, 0, 1, .5.
	for id, want := range map[string]float64{"aws": .4, "gcp": .5, "azure": .3} {
		near(t, id, out.MultiCriteriaScores[id], want, 1e-12)
	}
	if len(e.Warnings) != 0 || out.Recommendation != "gcp" || out.Next != "implementation" || !strings.HasPrefix(out.DecisionID, "decision_") || out.Statement != "Which one?" {
		t.Errorf("warnings %v, output %+v", e.Warnings, out)
	}
	e, out = d.must(`{
		"options": [{"id": "stocks", "name": "Stock Portfolio"}, {"id": "bonds", "name": "Bond Portfolio"}, {"id": "real_estate", "name": "Real Estate"}],
		"possibleOutcomes": [{"option": "stocks", "probability": 0.6, "value": 15000}, {"option": "stocks", "probability": 0.4, "value": -5000},
			{"option": "bonds", "probability": 0.8, "value": 5000}, {"option": "bonds", "probability": 0.2, "value": 1000},
			{"option": "real_estate", "probability": 0.7, "value": 8000}, {"option": "real_estate", "probability": 0.3, "value": 2000}],
		"analysisType": "expected-utility"}`)
	for id, want := range map[string]float64{"stocks": 7000, "bonds": 4200, "real_estate": 6200} {
		near(t, id, out.ExpectedValues[id], want, 1e-9)
	}
	if len(e.Warnings) != 0 || out.Recommendation != "stocks" {
		t.Errorf("warnings %v, recommendation %q", e.Warnings, out.Recommendation)
	}
}

func TestKnownAnswers(t *testing.T) {
	d := newDesk(t)
	const investments = `"states":["growth","stagnation","slump"],"payoffs":{"bonds":[40,45,5],"stocks":[70,30,-13],"funds":[53,45,-5]},"probabilities":{"growth":0.5,"stagnation":"0.3","slump":0.2}`
	for method, want := range map[string]string{"maximax": "stocks", "maximin": "bonds", "minimax-regret": "funds", "laplace": "funds", "expected-utility": "stocks", "evpi": "stocks"} {
		_, out := d.must(`{"analysisType":"` + method + `",` + investments + `}`)
		if out.Recommendation != want {
			t.Errorf("%s: %q, want %s", method, out.Recommendation, want)
		}
		near(t, "EVPI", out.Information.Value, 8.1, 1e-9)
		if out.Regrets.Rows[0].Option != "funds" || out.Regrets.Rows[0].Max != 17 {
			t.Errorf("%s: regrets %+v", method, out.Regrets.Rows[0])
		}
	}
	_, out := d.must(`{"analysisType":"ahp","criteria":[{"name":"x"},{"name":"y"},{"name":"z"}],"comparisons":[[1,3,5],["1/3",1,3],["1/5","1/3",1]]}`)
	near(t, "λmax", out.Consistency[0].LambdaMax, 3.0385, 5e-5)
	near(t, "CR", out.Consistency[0].Ratio, .0332, 5e-5)
	near(t, "weight", out.Weights["x"], .6370, 5e-5)

	const phones = `"options":[{"name":"a","attributes":{"price":250,"storage":16,"camera":12}},{"name":"b","attributes":{"price":200,"storage":16,"camera":8}},{"name":"c","attributes":{"price":300,"storage":32,"camera":16}}],
		"criteria":[{"name":"price","weight":0.5,"type":"cost"},{"name":"storage","weight":0.3,"type":"benefit"},{"name":"camera","weight":0.2}]`
	_, out = d.must(`{"analysisType":"topsis",` + phones + `}`)
	near(t, "closeness of a", out.MultiCriteriaScores["a"], .3268, 5e-5)
	near(t, "closeness of b", out.MultiCriteriaScores["b"], .4431, 5e-5)
	near(t, "closeness of c", out.MultiCriteriaScores["c"], .5569, 5e-5)

	_, out = d.must(`{"analysisType":"weighted-sum","normalization":"none","options":[{"name":"A","attributes":{"x":8,"y":2}},{"name":"B","attributes":{"x":5,"y":6}}],"criteria":[{"name":"x","weight":1},{"name":"y","weight":1}]}`)
	if out.Method != "multi-criteria" || out.Sensitivity.Flips[0].Above == nil {
		t.Fatalf("%s: flips %+v", out.Method, out.Sensitivity.Flips)
	}
	near(t, "flip weight", out.Sensitivity.Flips[0].Above.Weight, 4./7, 1e-12)
}

// TestZeroIsAValue pins that a given 0 is not taken for "absent".
func TestZeroIsAValue(t *testing.T) {
	d := newDesk(t)
	_, out := d.must(`{"analysisType":"hurwicz","hurwiczAlpha":0,"payoffs":{"a":[5,6],"b":[0,100]}}`)
	if out.Recommendation != "a" || out.Ranking[0].Score != 5 {
		t.Errorf("hurwiczAlpha 0 is maximin: %+v", out.Ranking)
	}
	_, out = d.must(`{"draws":0,"normalization":"none","options":[{"name":"A","attributes":{"x":2,"y":0}},{"name":"B","attributes":{"x":1,"y":9}}],"criteria":[{"name":"x","weight":4},{"name":"y","weight":0}]}`)
	if out.Sensitivity.MonteCarlo != nil || out.Recommendation != "A" || out.MultiCriteriaScores["A"] != 2 {
		t.Errorf("draws 0 or weight 0 was replaced: %+v", out.Result)
	}
	_, out = d.must(`{"analysisType":"expected-utility","riskCoefficient":0,"possibleOutcomes":[{"option":"a","probability":1,"value":0},{"option":"b","probability":0,"value":50},{"option":"b","probability":1,"value":-1}]}`)
	if out.Recommendation != "a" || out.ExpectedValues["a"] != 0 || out.Rules[1].Scores["b"] != -1 {
		t.Errorf("value 0 or probability 0 was replaced: %+v", out.Result)
	}
}

func TestScreening(t *testing.T) {
	const two = `"options":[{"name":"A","attributes":{"x":8,"cost":20}},{"name":"B","attributes":{"x":5,"cost":6}},{"name":"C","attributes":{"x":5,"cost":7}}],"criteria":[{"name":"x"},{"name":"cost","type":"cost"}]`
	d := newDesk(t)
	_, out := d.must(`{"analysisType":"satisficing","aspirations":{"x":5,"cost":6},` + two + `}`)
	if out.Recommendation != "B" || out.Satisfaction.Shortfalls["C"][0].By != 1 {
		t.Errorf("satisficing: %q, %+v", out.Recommendation, out.Satisfaction)
	}
	_, out = d.must(`{"analysisType":"pareto",` + two + `}`)
	if !slices.Equal(out.Tied, []string{"A", "B"}) || len(out.Fronts) != 2 {
		t.Errorf("pareto: %q, %v", out.Tied, out.Fronts)
	}
	_, out = d.must(`{"analysisType":"weighted-product",` + two + `}`)
	near(t, "product score of B", out.MultiCriteriaScores["B"], math.Sqrt(5./6), 1e-12)
}

func TestRepairableErrors(t *testing.T) {
	const two = `"options":[{"name":"A","attributes":{"x":8,"y":2}},{"name":"B","attributes":{"x":5,"y":6}}],"criteria":[{"name":"x","weight":1},{"name":"y","weight":1}]`
	many := make([]string, 201)
	for i := range many {
		many[i] = fmt.Sprintf(`{"name":"o%d","attributes":{"x":1}}`, i)
	}
	for _, tc := range []struct{ name, parameters, path, text string }{
		{"nothing", `{}`, "parameters.criteria", "an array such as"},
		{"no options", `{"criteria":[{"name":"x"}]}`, "parameters.options", "attributes"},
		{"no attributes", `{"options":[{"name":"A"}],"criteria":[{"name":"x"}]}`, "parameters.options", "A lacks x"},
		{"criteria is text", `{"options":[],"criteria":"x"}`, "parameters.criteria", "array"},
		{"negative weight", `{` + two + `,"weights":{"x":-1}}`, "parameters.criteria[0].weight", "at least 0"},
		{"zero weights", `{` + two + `,"weights":{"x":0,"y":0}}`, "parameters.criteria", "all weights are 0"},
		{"unknown weight", `{` + two + `,"weights":{"z":1}}`, "parameters.weights.z", `"x" "y"`},
		{"sum of 2", `{"analysisType":"expected-utility","possibleOutcomes":[{"option":"a","probability":1,"value":10},{"option":"a","probability":1,"value":10}]}`, "parameters.possibleOutcomes (option a)", "a sum of 2"},
		{"outcome of nobody", `{"analysisType":"maximin","possibleOutcomes":[{"value":10}]}`, "parameters.possibleOutcomes[0].option", "id or name"},
		{"outcomes missing", `{"analysisType":"expected-utility",` + two + `}`, "parameters.possibleOutcomes", "the data sent serve multi-criteria"},
		{"201 options", `{"criteria":[{"name":"x"}],"options":[` + strings.Join(many, ",") + `]}`, "parameters.options", "at most 200"},
		{"attribute in words", `{"options":[{"name":"A","attributes":{"x":"cheap"}}],"criteria":[{"name":"x"}]}`, "parameters.options[0].attributes.x", "a finite number"},
		{"two values", `{` + two + `,"criteriaEvaluations":[{"criterionId":"x","optionId":"A","score":9}]}`, "parameters.criteriaEvaluations[0].score", "8 already"},
		{"evaluation of nobody", `{` + two + `,"criteriaEvaluations":[{"criterionId":"x","optionId":"C","score":9}]}`, "parameters.criteriaEvaluations[0].optionId", "C"},
		{"evaluation on nothing", `{` + two + `,"criteriaEvaluations":[{"criterionId":"q","optionId":"A","score":9}]}`, "parameters.criteriaEvaluations[0].criterionId", "q"},
		{"payoff rows", `{"analysisType":"maximin","options":[{"name":"a"}],"payoffs":[[1],[2]]}`, "parameters.payoffs", "2 rows"},
		{"payoff columns", `{"analysisType":"maximin","states":["s","t"],"payoffs":{"a":[1]}}`, "parameters.payoffs.a", "1 values"},
		{"201 states", `{"analysisType":"maximin","payoffs":{"a":[0` + strings.Repeat(",0", 200) + `]}}`, "parameters.payoffs.a", "at most 200"},
		{"payoff in words", `{"analysisType":"maximin","payoffs":{"a":{"s":"high"}}}`, "parameters.payoffs.a.s", "high"},
		{"payoffs are a number", `{"analysisType":"maximin","payoffs":3}`, "parameters.payoffs", "matrix"},
		{"payoff row is a number", `{"analysisType":"maximin","payoffs":{"a":3}}`, "parameters.payoffs.a", "array"},
		{"probabilities without order", `{"analysisType":"evpi","payoffs":{"a":{"s":1,"t":2}},"probabilities":[0.5,0.5]}`, "parameters.probabilities", "send states"},
		{"probabilities in words", `{"analysisType":"evpi","payoffs":{"a":{"s":1}},"probabilities":{"s":"sure"}}`, "parameters.probabilities.s", "sure"},
		{"probability is a number", `{"analysisType":"evpi","payoffs":{"a":{"s":1}},"probabilities":1}`, "parameters.probabilities", "order of states"},
		{"comparison in words", `{"analysisType":"ahp","criteria":[{"name":"x"},{"name":"y"}],"comparisons":[{"a":"x","b":"y","value":"more"}]}`, "parameters.comparisons[0].value", "more"},
		{"comparison with zero", `{"analysisType":"ahp","criteria":[{"name":"x"},{"name":"y"}],"comparisons":[[1,"1/0"],[1,1]]}`, "parameters.comparisons[0][1]", "1/0"},
		{"comparisons of what", `{"analysisType":"ahp","criteria":[{"name":"x"}],"comparisons":{"alternatives":[]}}`, "parameters.comparisons", "alternatives"},
		{"constraint without attribute", `{` + two + `,"constraints":[{"op":"<","value":3}]}`, "parameters.constraints[0].attribute", "name"},
		{"constraint operator", `{` + two + `,"constraints":[{"attribute":"x","op":"under","value":3}]}`, "parameters.constraints[0].op", "under"},
		{"unknown decision", `{"decisionId":"decision_x"}`, "parameters.decisionId", "list"},
		{"get what", `{"action":"get"}`, "parameters.decisionId", "list"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, _, err := newDesk(t).call(tc.parameters)
			bad, ok := errors.AsType[*tools.BadArguments](err)
			if !ok {
				t.Fatalf("%T %v: want bad arguments", err, err)
			}
			if is := bad.Issues[0]; is.Path != tc.path || !strings.Contains(bad.Error(), tc.text) {
				t.Errorf("%s: %v, want path %s and %q", is.Path, bad, tc.path, tc.text)
			}
			if e.Error == nil || !strings.Contains(string(e.Error.Example), "criteria") {
				t.Errorf("no example to repair by: %+v", e.Error)
			}
		})
	}
}

func TestMissingAttribute(t *testing.T) {
	e, out := newDesk(t).must(`{"options":[{"name":"A","attributes":{"x":0}},{"name":"B","attributes":{"x":null}},{"name":"C","attributes":{"x":1,"z":4}}],"criteria":[{"name":"x","type":"minimize"}]}`)
	if out.Recommendation != "A" || len(out.Ranking) != 2 || out.Next != "gather-more-data" {
		t.Errorf("recommendation %q, ranking %+v, next %q", out.Recommendation, out.Ranking, out.Next)
	}
	if len(out.NotAssessable) != 1 || out.NotAssessable[0].Option != "B" || !slices.Equal(out.NotAssessable[0].Missing, []string{"x"}) {
		t.Errorf("not assessable %+v", out.NotAssessable)
	}
	if got := codes(e); !slices.Equal(got, []string{"not_assessable", "unused_attribute"}) {
		t.Errorf("warnings %v", e.Warnings)
	}
}

func TestConstraints(t *testing.T) {
	e, out := newDesk(t).must(`{"options":[{"name":"A","attributes":{"x":9,"mass":12}},{"name":"B","attributes":{"x":5,"mass":10}},{"name":"C","attributes":{"x":4,"mass":3}}],
		"criteria":[{"name":"x"}],"constraints":["mass ≤ 10","must look good",{"criterion":"x","operator":">=","value":"5"}]}`)
	if out.Recommendation != "B" || len(out.Excluded) != 2 {
		t.Errorf("recommendation %q, excluded %+v", out.Recommendation, out.Excluded)
	}
	if got := codes(e); !slices.Equal(got, []string{"not_evaluated"}) {
		t.Errorf("warnings %v", e.Warnings)
	}
}

func TestRisk(t *testing.T) {
	const lottery = `"analysisType":"expected-utility","possibleOutcomes":[{"option":"safe","probability":1,"value":45},{"option":"bold","probability":0.5,"value":0},{"option":"bold","probability":0.5,"value":100}]`
	for parameters, want := range map[string]string{
		``: "bold", `,"riskTolerance":"risk-neutral"`: "bold", `,"riskTolerance":"risk-seeking"`: "bold",
		`,"riskTolerance":"risk-averse"`: "safe", `,"riskCoefficient":0.02`: "safe", `,"utility":"crra","riskCoefficient":1,"wealth":1`: "safe",
	} {
		if _, out := newDesk(t).must(`{` + lottery + parameters + `}`); out.Recommendation != want {
			t.Errorf("%s: %q, want %s", parameters, out.Recommendation, want)
		}
	}
	e, _ := newDesk(t).must(`{` + lottery + `,"riskTolerance":"risk-averse"}`)
	if got := codes(e); !slices.Equal(got, []string{"assumed_coefficient"}) {
		t.Errorf("an assumed coefficient must be announced: %v", e.Warnings)
	}
	d := newDesk(t)
	_, out := d.must(`{` + lottery + `,"riskCoefficient":0.02}`)
	if _, out = d.must(`{"decisionId":"` + out.DecisionID + `","riskTolerance":"risk-neutral"}`); out.Recommendation != "bold" {
		t.Errorf("a new attitude replaces the old coefficient: %q", out.Recommendation)
	}
}

func TestNotApplicable(t *testing.T) {
	e, _ := newDesk(t).must(`{"analysisType":"hurwicz","payoffs":{"a":[1,2],"b":[0,4]},"normalization":"z","riskTolerance":"risk-averse"}`)
	if got := codes(e); !slices.Equal(got, []string{"default_used", "not_applicable", "not_applicable"}) {
		t.Errorf("warnings %v", e.Warnings)
	}
	e, _ = newDesk(t).must(`{"options":[{"name":"A","attributes":{"x":1,"y":1}},{"name":"B","attributes":{"x":2,"y":0}}],"criteria":[{"name":"x","weight":2},{"name":"y"}]}`)
	if got := codes(e); !slices.Equal(got, []string{"default_used"}) {
		t.Errorf("a weight left out among others must be announced: %v", e.Warnings)
	}
}

// TestNextCalls sends what a result proposes, as it stands.
func TestNextCalls(t *testing.T) {
	d := newDesk(t)
	sent := 0
	for _, ex := range DecisionFramework.Spec().Examples {
		var args struct{ Parameters json.RawMessage }
		if err := json.Unmarshal([]byte(ex.Arguments), &args); err != nil {
			t.Fatal(err)
		}
		e, _ := d.must(string(args.Parameters))
		for _, n := range e.Next {
			b, err := json.Marshal(n.Parameters)
			if err != nil {
				t.Fatal(err)
			}
			d.must(string(b))
			sent++
		}
	}
	if sent < 2 {
		t.Errorf("%d follow-up calls proposed", sent)
	}
}

func TestDeterminism(t *testing.T) {
	const parameters = `{"seed":%d,"options":[{"name":"A","attributes":{"x":8,"y":2}},{"name":"B","attributes":{"x":5,"y":6}}],"criteria":[{"name":"x"},{"name":"y"}],"draws":500}`
	result := func(seed int) string {
		e, out := newDesk(t).must(fmt.Sprintf(parameters, seed))
		if *e.Seed != uint64(seed) {
			t.Errorf("seed %d reported as %d", seed, *e.Seed)
		}
		b, err := json.Marshal(out.Result)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	first, again := result(1), result(1)
	if first != again || first == result(2) {
		t.Error("a result must depend on the seed alone")
	}
}

func TestBudget(t *testing.T) {
	d := newDesk(t)
	e, out, err := d.call(minimal, budget.Limits{Steps: 300})
	if err != nil {
		t.Fatal(err)
	}
	if e.Budget.Hit != "maxSteps" || out.Recommendation == "" || !slices.Contains(codes(e), "budget") {
		t.Errorf("budget %+v, recommendation %q, warnings %v", e.Budget, out.Recommendation, e.Warnings)
	}
}

// minimal is a decision with little in it.
const minimal = `{"options":[{"name":"A","attributes":{"x":8,"y":2}},{"name":"B","attributes":{"x":5,"y":7}}],"criteria":[{"name":"x"},{"name":"y","weight":2}]}`
