package decide

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/internal/reason/forgetest"
	"github.com/lyceum-mcp/lyceum/tools"
)

// analysed are calls that store decisions of every kind.
var analysed = []string{
	`{"options":[{"id":"a","name":"A","attributes":{"quality":8,"cost":120}},{"name":"B","attributes":{"quality":6,"cost":90}}],"criteria":[{"name":"quality","weight":2},{"name":"cost","type":"minimize"}],"constraints":["cost <= 100","feels right"],"stakeholders":["us"],"timeHorizon":"a year","informationGaps":[{"description":"d","impact":3}],"draws":100}`,
	`{"analysisType":"topsis","options":[{"name":"A","attributes":{"x":1,"y":9}},{"name":"B","attributes":{"x":2,"y":3}},{"name":"C","attributes":{"x":2}}],"criteria":[{"name":"x"},{"name":"y","weight":0.5}],"draws":50}`,
	`{"analysisType":"minimax-regret","states":["growth","slump"],"payoffs":{"bonds":[40,5],"stocks":[70,-13]},"probabilities":[0.5,0.5]}`,
	`{"analysisType":"expected-utility","riskTolerance":"risk-averse","riskCoefficient":0.001,"possibleOutcomes":[{"option":"insure","probability":1,"value":-50},{"option":"risk it","probability":0.96,"value":0},{"option":"risk it","probability":0.04,"value":-1000}]}`,
	`{"analysisType":"ahp","options":[{"name":"A","attributes":{"s":8,"p":900}},{"name":"B","attributes":{"s":6,"p":1100}}],"criteria":[{"name":"s"},{"name":"p","type":"minimize"}],"comparisons":[{"a":"s","b":"p","value":3}],"draws":50}`,
	`{"analysisType":"satisficing","options":[{"name":"A","attributes":{"x":1}},{"name":"B","attributes":{"x":1}}],"criteria":[{"name":"x"}],"aspirations":{"x":1}}`,
	`{"analysisType":"hurwicz","hurwiczAlpha":0.3,"payoffs":{"a":[1,2],"b":[2,1]}}`,
}

// kept returns what each call of analysed leaves in the session.
func kept(t testing.TB) []Decision {
	t.Helper()
	d := newDesk(t)
	var all []Decision
	for _, parameters := range analysed {
		_, out := d.must(parameters)
		_, got := d.must(`{"action":"get","decisionId":"` + out.DecisionID + `"}`)
		all = append(all, *got.Decision)
	}
	return all
}

func TestValidateAcceptsWhatIsKept(t *testing.T) {
	for i, d := range kept(t) {
		if err := d.Validate(); err != nil {
			t.Errorf("%s: %v", analysed[i], err)
		}
	}
	desk := newDesk(t)
	_, out := desk.must(analysed[0])
	for _, more := range []string{`"weights":{"quality":5}`, `"analysisType":"pareto"`, `"analysisType":"weighted-product"`, `"constraints":[]`, `"options":[{"name":"A","attributes":{"quality":1,"cost":2}}]`} {
		desk.must(`{"decisionId":"` + out.DecisionID + `",` + more + `}`)
		_, got := desk.must(`{"action":"get","decisionId":"` + out.DecisionID + `"}`)
		if err := got.Decision.Validate(); err != nil {
			t.Errorf("after %s: %v", more, err)
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	all := kept(t)
	long := strings.Repeat("x", 5000)
	for name, tt := range map[string]struct {
		of    int
		forge func(*Decision)
		want  string
	}{
		"nothing":               {0, func(d *Decision) { *d = Decision{} }, "settings.analysisType"},
		"a method":              {0, func(d *Decision) { d.Settings.Method = "best" }, "settings.analysisType"},
		"draws":                 {0, func(d *Decision) { d.Settings.Draws = 1 << 40 }, "settings.draws"},
		"alpha":                 {6, func(d *Decision) { d.Settings.HurwiczAlpha = 7 }, "settings.hurwiczAlpha"},
		"concentration":         {0, func(d *Decision) { d.Settings.Concentration = 1e300 }, "settings.concentration"},
		"a weight":              {0, func(d *Decision) { d.Problem.Criteria[0].Weight = new(1e300) }, "problem.criteria[0].weight"},
		"a criterion twice":     {0, func(d *Decision) { d.Problem.Criteria[1].Name = "quality" }, "problem.criteria[1].name"},
		"an option twice":       {0, func(d *Decision) { d.Problem.Options[1].ID = "a" }, "problem.options[1]"},
		"an attribute":          {0, func(d *Decision) { d.Problem.Options[0].Attributes["cost"] = 1e200 }, "problem.options[0].attributes.cost"},
		"an operator":           {0, func(d *Decision) { d.Problem.Constraints[0].Op = "~" }, "problem.constraints[0].op"},
		"too many options":      {0, func(d *Decision) { d.Problem.Options = make([]decision.Option, 1000) }, "problem.options"},
		"a probability":         {3, func(d *Decision) { d.Problem.Outcomes[1].Probability = new(0.5) }, "problem.possibleOutcomes"},
		"an outcome of nothing": {3, func(d *Decision) { d.Problem.Outcomes[1].Option = "" }, "problem.possibleOutcomes[1].option"},
		"a state":               {2, func(d *Decision) { d.Problem.States[1] = "growth" }, "problem.states[1]"},
		"judgements":            {4, func(d *Decision) { d.Problem.Comparisons.Criteria.Pairs = make([]decision.Pair, 226) }, "problem.comparisons.criteria"},
		"judgements of options": {4, func(d *Decision) {
			d.Problem.Comparisons.Options = map[string]decision.Judgements{"s": {Matrix: make([][]float64, 226)}}
		}, "problem.comparisons.options"},
		"aspirations": {5, func(d *Decision) {
			for i := range 60 {
				d.Problem.Aspirations[strings.Repeat("a", i+1)] = 1
			}
		}, "problem.aspirations"},
		"no iteration":          {0, func(d *Decision) { d.Iteration = 0 }, "iteration"},
		"iterations":            {0, func(d *Decision) { d.Iteration = 1<<63 - 1 }, "iteration"},
		"constraints":           {0, func(d *Decision) { d.TextConstraints = make([]string, 50) }, "textConstraints"},
		"stakeholders":          {0, func(d *Decision) { d.Stakeholders = make([]string, 101) }, "stakeholders"},
		"a horizon":             {0, func(d *Decision) { d.TimeHorizon = long }, "timeHorizon"},
		"gaps":                  {0, func(d *Decision) { d.InformationGaps = make([]GapInput, 101) }, "informationGaps"},
		"a gap":                 {0, func(d *Decision) { d.InformationGaps[0].Description = long }, "informationGaps[0]"},
		"a name":                {0, func(d *Decision) { d.Problem.Options[0].Name = long }, "problem.options[0]"},
		"a name of a criterion": {0, func(d *Decision) { d.Problem.Criteria[0].Name = long }, "problem.criteria[0].name"},
		"another verdict":       {0, func(d *Decision) { d.Last.Method = decision.TOPSIS }, "last.analysisType"},
		"a stage":               {0, func(d *Decision) { d.Last.Next = "party" }, "last.suggestedNextStage"},
		"who is no option":      {0, func(d *Decision) { d.Last.Recommendation = "Z" }, "last.recommendation"},
		"one that is tied":      {5, func(d *Decision) { d.Last.Tied = d.Last.Tied[:1] }, "last.tied"},
		"tied twice":            {5, func(d *Decision) { d.Last.Tied[1] = d.Last.Tied[0] }, "last.tied[1]"},
	} {
		b, err := json.Marshal(all[tt.of])
		if err != nil {
			t.Fatal(err)
		}
		var d Decision
		if err := json.Unmarshal(b, &d); err != nil {
			t.Fatal(err)
		}
		tt.forge(&d)
		if err := d.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %s", name, err, tt.want)
		}
	}
}

// attackDecision gives a forged decision to Validate and, if it is accepted, to the
// operation. It reports whether it was.
func attackDecision(t testing.TB, data []byte) bool {
	t.Helper()
	var d Decision
	if json.Unmarshal(data, &d) != nil || d.Validate() != nil {
		return false
	}
	desk := newDesk(t)
	const id = "decision_forged"
	if err := decisions.Key(id).Commit(t.Context(), desk.h, 0, d); err != nil {
		t.Fatal(err)
	}
	limits := budget.Limits{Time: 2 * time.Second, Steps: 200_000, Nodes: 100_000}
	began := time.Now()
	for _, parameters := range []string{
		`{"action":"get","decisionId":"` + id + `"}`, `{"action":"list"}`, `{"decisionId":"` + id + `"}`,
		`{"decisionId":"` + id + `","analysisType":"ahp"}`, `{"decisionId":"` + id + `","analysisType":"satisficing"}`, `{"decisionId":"` + id + `","analysisType":"topsis"}`,
		`{"decisionId":"` + id + `","analysisType":"expected-utility"}`, `{"decisionId":"` + id + `","analysisType":"weighted-product"}`,
		`{"decisionId":"` + id + `","weights":{"x":2}}`, `{"decisionId":"` + id + `","options":[]}`,
	} {
		_, _, err := desk.call(parameters, limits)
		if _, bad := errors.AsType[*tools.BadArguments](err); err != nil && !bad && fault.KindOf(err) == fault.Internal {
			t.Fatalf("%s: %v on %s", parameters, err, data)
		}
		after, ok, err := decisions.Key(id).Read(desk.h)
		if err != nil || !ok {
			t.Fatalf("after %s: %v", parameters, err)
		}
		if err := after.Validate(); err != nil {
			t.Fatalf("after %s: %v in %s", parameters, err, data)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Fatalf("the operation took %v on %.200s", took, data)
	}
	if _, out := desk.must(`{"action":"delete","decisionId":"` + id + `"}`); !out.Deleted {
		t.Fatal("not deleted")
	}
	return true
}

func TestForgedDecisions(t *testing.T) {
	const forged = 1500
	all := kept(t)
	accepted := 0
	for seed := range uint64(forged) {
		data, err := json.Marshal(all[seed%uint64(len(all))])
		if err != nil {
			t.Fatal(err)
		}
		if attackDecision(t, forgetest.Mutate(rand.New(rand.NewPCG(seed, 5)), data, 3)) {
			accepted++
		}
	}
	t.Logf("%d of %d forged decisions accepted, and then in order", accepted, forged)
	if accepted == 0 || accepted > forged*2/3 {
		t.Errorf("%d of %d forged decisions accepted: the test does not reach far", accepted, forged)
	}
}

func FuzzDecision(f *testing.F) {
	for i, d := range kept(f) {
		data, err := json.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, uint64(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		if len(data) > 1<<20 {
			return
		}
		attackDecision(t, data)
		attackDecision(t, forgetest.Mutate(rand.New(rand.NewPCG(seed, 7)), data, 2))
	})
}
