package sample

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// call sends parameters and returns the envelope and the result.
func call(t testing.TB, c *tools.Call, parameters string) (*tools.Envelope, Output, error) {
	t.Helper()
	raw, err := StatisticalReasoning.Invoke(t.Context(), c, json.RawMessage(parameters))
	e := c.Envelope(StatisticalReasoning.Spec(), raw, err)
	var out Output
	if err == nil {
		err = json.Unmarshal(raw, &out)
	}
	return e, out, err
}

func must(t testing.TB, parameters string) (*tools.Envelope, Output) {
	t.Helper()
	e, out, err := call(t, &tools.Call{SeedHint: new(uint64(7))}, parameters)
	if err != nil {
		t.Fatalf("%s: %v", parameters, err)
	}
	return e, out
}

// refused fails unless the call has one bad argument at path whose text contains
// every part.
func refused(t testing.TB, parameters, path string, parts ...string) {
	t.Helper()
	e, _, err := call(t, &tools.Call{}, parameters)
	bad, ok := errors.AsType[*tools.BadArguments](err)
	if !ok {
		t.Errorf("%s: err = %v, want bad arguments", parameters, err)
		return
	}
	if bad.Issues[0].Path != path {
		t.Errorf("%s: path %q, want %q (%v)", parameters, bad.Issues[0].Path, path, bad)
	}
	for _, p := range parts {
		if !strings.Contains(bad.Error(), p) {
			t.Errorf("%s: %q does not say %q", parameters, bad, p)
		}
	}
	if e.Error == nil || e.Error.Code != "invalid_arguments" || len(e.Error.Example) == 0 || e.Result != nil {
		t.Errorf("%s: envelope %+v", parameters, e.Error)
	}
}

func near(t testing.TB, what string, got, want, tol float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > tol {
		t.Errorf("%s = %.10g, want %.10g", what, got, want)
	}
}

// Every example of the description runs, through the way of the facade.
func TestExamples(t *testing.T) {
	r, err := tools.NewRegistry(StatisticalReasoning)
	if err != nil {
		t.Fatal(err)
	}
	f := tools.NewFacade(r)
	for _, ex := range StatisticalReasoning.Spec().Examples {
		req, err := f.Decode(json.RawMessage(ex.Arguments))
		if err != nil {
			t.Fatalf("%s: %v", ex.Title, err)
		}
		e, out := must(t, string(req.Parameters))
		if e.Basis != tools.Computed || e.Method == "" || e.Source == "" || len(e.Warnings) > 0 || out.N == 0 {
			t.Errorf("%s: %+v, n = %d", ex.Title, e, out.N)
		}
	}
}

// Every result says how it was got, what it assumes and of how many values.
func TestEveryModeStatesMethodAssumptionsAndN(t *testing.T) {
	for name, p := range map[string]string{
		"summary":     `{"data":[1,2,3,4]}`,
		"bayes":       bayesExample,
		"conjugate":   `{"mode":"bayes","model":"gamma_poisson","priorParameters":{"shape":2,"rate":1},"data":[1,0,3]}`,
		"test":        testExample,
		"corrections": `{"mode":"hypothesis_test","pValues":[0.01,0.2]}`,
		"monte_carlo": modelExample,
		"samples":     `{"mode":"monte_carlo","samples":[1,2,3]}`,
		"correlation": `{"mode":"correlation","x":[1,2,3,4],"y":[2,1,4,6]}`,
		"regression":  `{"mode":"regression","x":[1,2,3,4],"y":[2,1,4,6]}`,
		"bootstrap":   `{"mode":"bootstrap","data":[1,2,3,4],"resamples":200}`,
		"power":       `{"mode":"power","design":"t_paired","n":20,"effect":0.5}`,
	} {
		e, out := must(t, p)
		var result map[string]any
		if err := json.Unmarshal(e.Result, &result); err != nil {
			t.Fatal(err)
		}
		var assumed bool
		for _, v := range result {
			if block, ok := v.(map[string]any); ok {
				list, _ := block["assumptions"].([]any)
				assumed = assumed || len(list) > 0
			}
		}
		if !assumed || out.N == 0 || e.Method == "" || e.Source == "" || e.Basis == "" {
			t.Errorf("%s: assumptions %v, n %d, method %q, source %q", name, assumed, out.N, e.Method, e.Source)
		}
	}
}

func TestAncestorContract(t *testing.T) {
	_, out := must(t, `{"data":[2,4,4,4,5,5,7,9]}`) // mode defaults to summary
	if s := out.Stats; s.Mean != 5 || *s.Variance != 4 || *s.Stddev != 2 || s.Min != 2 || s.Max != 9 || s.N != 8 || out.Mode != "summary" {
		t.Errorf("stats %+v", s)
	}
	_, out = must(t, bayesExample)
	near(t, "posterior", out.Bayes.Posterior["sick"], 1.0/6, 1e-15)
	near(t, "evidence", *out.Bayes.Evidence, 0.0594, 1e-15)
	near(t, "prior", out.Bayes.Prior["sick"], 0.01, 1e-15)
	e, out := must(t, `{"mode":"monte_carlo","samples":[1,2,3,4,100]}`)
	if r := out.MonteCarlo; r.Samples != 5 || r.Mean != 22 || r.Percentile["p50"] != 3 || e.Basis != tools.ClientSupplied || e.Seed != nil {
		t.Errorf("mcResult %+v, basis %s, seed %v", r, e.Basis, e.Seed)
	}
	for _, key := range []string{`"mcResult"`, `"samples":5`, `"stddev"`, `"percentile"`} {
		if !strings.Contains(string(e.Result), key) {
			t.Errorf("the result lacks %s: %s", key, e.Result)
		}
	}
}

// A p value comes from data or not at all.
func TestGivenStatisticsAreNotEchoed(t *testing.T) {
	for _, p := range []string{
		`{"mode":"hypothesis_test","testStatistic":0,"pValue":0.05}`,
		`{"mode":"hypothesis_test","test":"z","testStatistic":2.4}`,
		`{"mode":"hypothesis_test","dof":3,"effectSize":0.2}`,
	} {
		refused(t, p, "parameters", "the server computes", `"x":[`)
	}
	refused(t, `{"mode":"hypothesis_test"}`, "parameters", "the data of the test")
	e, out := must(t, `{"mode":"hypothesis_test","test":"t","pValue":0.001,"data":[5.1,4.9,5.6,4.7,5.3,5.0,5.2,4.8],"mu":5}`)
	near(t, "t", out.Test.Statistic, 0.72761, 5e-6)
	near(t, "p", out.Test.PValue, 0.49047, 5e-6)
	if *out.Test.DF != 7 || len(e.Warnings) != 1 || e.Warnings[0].Code != "not_used" {
		t.Errorf("df %g, warnings %v", *out.Test.DF, e.Warnings)
	}
}

func TestNothingIsInvented(t *testing.T) {
	refused(t, `{"mode":"summary"}`, "parameters.data", "empty data have no statistics")
	refused(t, `{"mode":"summary","data":[]}`, "parameters.data", "nothing")
	refused(t, `{"mode":"summary","data":[1,"x"]}`, "parameters.data[1]")
	refused(t, `{"mode":"summary","data":[1,null]}`, "parameters.data[1]")
	refused(t, `{"mode":"bayes"}`, "parameters.prior", "none is assumed", bayesExample)
	refused(t, `{"mode":"bayes","prior":{"a":1}}`, "parameters.likelihood", "none is assumed", bayesExample)
	refused(t, `{"mode":"bayes","prior":{"a":0.5,"b":0.5},"likelihood":{"a":1}}`, "parameters.likelihood.b")
	refused(t, `{"mode":"bayes","model":"normal","priorParameters":{"mean":0},"data":[1],"sigma":1}`, "parameters.priorParameters.sd")
	refused(t, `{"mode":"bayes","model":"normal","priorParameters":{"mean":0,"sd":1},"data":[1]}`, "parameters.sigma")
	refused(t, `{"mode":"bayes","model":"normal","priorParameters":{"mean":0,"sd":1},"sigma":1}`, "parameters.data")
	refused(t, `{"mode":"bayes","model":"beta_binomial","priorParameters":{"alpha":1,"beta":1,"n":3},"successes":1,"trials":2}`, "parameters.priorParameters.n")
	refused(t, `{"mode":"bayes","model":"beta_binomial","priorParameters":{"alpha":1,"beta":1},"trials":2}`, "parameters.successes")
	refused(t, `{"mode":"bayes","model":"gamma_poisson","priorParameters":{"shape":1,"rate":1}}`, "parameters.data")
	refused(t, `{"mode":"monte_carlo"}`, "parameters.variables", modelExample)
	refused(t, `{"mode":"monte_carlo","samples":[]}`, "parameters.samples")
	refused(t, `{"mode":"monte_carlo","variables":{"x":{"distribution":"normal","mean":0}}}`, "parameters.variables.x.sd", "mean, sd")
	refused(t, `{"mode":"monte_carlo","variables":{"x":{"distribution":"normal","mean":0,"sd":1},"y":{"distribution":"poisson","rate":1}},"expression":"x +"}`, "parameters.expression")
	refused(t, `{"mode":"correlation","x":[1,2,3]}`, "parameters.x")
	refused(t, `{"mode":"regression","y":[1,2,3]}`, "parameters.y")
	refused(t, `{"mode":"regression","y":[1,2,3,4],"x":[1,2,3,4],"predictors":{"a":[1,2,3,4]}}`, "parameters.x")
	refused(t, `{"mode":"regression","y":[1,2,3,4],"predictors":{"age":[2,2,2,2]}}`, "parameters.predictors.age")
	refused(t, `{"mode":"bootstrap"}`, "parameters.x")
	refused(t, `{"mode":"bootstrap","data":[1,2]}`, "parameters.data")
	refused(t, `{"mode":"power"}`, "parameters.n", "two of n, power and effect")
	refused(t, `{"mode":"power","design":"proportion","power":0.8}`, "parameters.proportions")
	refused(t, `{"mode":"hypothesis_test","test":"t_paired","x":[1],"y":[2]}`, "parameters.x")
	refused(t, `{"mode":"other"}`, "parameters.mode")
}

func TestRepeatedEvidence(t *testing.T) {
	_, twice := must(t, `{"mode":"bayes","prior":{"sick":1,"healthy":99},"likelihood":{"sick":0.99,"healthy":0.05},"repeat":2}`)
	near(t, "posterior", twice.Bayes.Posterior["sick"], 0.9801/(0.9801+99*0.0025), 1e-14)
	_, listed := must(t, `{"mode":"bayes","prior":{"sick":1,"healthy":99},"likelihoods":[{"sick":0.99,"healthy":0.05},{"sick":0.99,"healthy":0.05}]}`)
	near(t, "listed", listed.Bayes.Posterior["sick"], twice.Bayes.Posterior["sick"], 1e-15)
	if twice.N != 2 || listed.N != 2 {
		t.Errorf("n = %d and %d, want 2", twice.N, listed.N)
	}
	refused(t, `{"mode":"bayes","prior":{"a":1},"likelihoods":[{"a":1},{"a":1}],"repeat":10000}`, "parameters.repeat")
}

func TestConjugateModels(t *testing.T) {
	_, out := must(t, `{"mode":"bayes","model":"beta_binomial","priorParameters":{"alpha":1,"beta":1},"successes":8,"trials":10,"nullValue":0.5}`)
	near(t, "posterior mean", out.Conjugate.Mean, 0.75, 1e-15)
	near(t, "Bayes factor", *out.Conjugate.BayesFactor.Against, 1024.0/(45*11), 1e-10) // evidence 1/11 against C(10,8)/2^10
	_, out = must(t, `{"mode":"bayes","model":"normal","priorParameters":{"mean":0,"sd":2},"sigma":2,"data":[3,3,3]}`)
	near(t, "mean of the mean", out.Conjugate.Mean, 2.25, 1e-14)
	_, again := must(t, `{"mode":"bayes","model":"normal","priorParameters":{"mean":0,"sd":2},"sigma":2,"summaries":[{"n":3,"mean":3,"sd":0}]}`)
	near(t, "from a summary", again.Conjugate.Mean, 2.25, 1e-14)
	_, out = must(t, `{"mode":"bayes","model":"gamma_poisson","priorParameters":{"shape":2,"rate":1},"data":[4,2],"exposure":3}`)
	near(t, "rate", out.Conjugate.Mean, 2, 1e-15)
}

// A million numbers go through, from JSON to a summary.
func TestSummaryOfAMillionNumbers(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"mode":"summary","data":[`)
	for i := range stats.MaxValues {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", i%1000)
	}
	_, out := must(t, b.String()+"]}")
	if s := out.Stats; s.N != stats.MaxValues || s.Mean != 499.5 || s.Min != 0 || s.Max != 999 || s.Median != 499.5 {
		t.Errorf("n %d, mean %g, min %g, max %g, median %g", s.N, s.Mean, s.Min, s.Max, s.Median)
	}
	refused(t, b.String()+",1]}", "parameters.data", "1000000")
}

// The same seed gives the same bytes with one core and with several.
func TestMonteCarloDoesNotDependOnCores(t *testing.T) {
	model := `{"mode":"monte_carlo","variables":{"a":{"distribution":"gamma","shape":0.7,"rate":1},"b":{"distribution":"student_t","df":4}},"expression":"a*b","event":"result > 1","draws":150000,"seed":11}`
	want, _ := must(t, model)
	for _, tickets := range []int{1, 2, 8} {
		s := work.New(work.Config{Tickets: tickets})
		ticket, err := s.Acquire(t.Context(), work.Claim{Tenant: "acme", Subject: "alice", Lane: work.Interactive})
		if err != nil {
			t.Fatal(err)
		}
		var seen []float64
		got, _, err := call(t, &tools.Call{Ticket: ticket, OnProgress: func(done, total float64, _ string) { seen = append(seen, done/total) }}, model)
		ticket.Release()
		if err != nil {
			t.Fatal(err)
		}
		if string(got.Result) != string(want.Result) || *got.Seed != 11 {
			t.Errorf("%d tickets, seed %d:\n%s\nwant\n%s", tickets, *got.Seed, got.Result, want.Result)
		}
		if len(seen) < 2 || seen[len(seen)-1] != 1 || got.Budget.Used.Steps < 150_000 {
			t.Errorf("progress %v, %d steps", seen, got.Budget.Used.Steps)
		}
	}
	other, _ := must(t, strings.Replace(model, `"seed":11`, `"seed":12`, 1))
	if string(other.Result) == string(want.Result) {
		t.Error("another seed gives the same result")
	}
}

func TestMonteCarloAgainstAnalysis(t *testing.T) {
	e, out := must(t, `{"mode":"monte_carlo","variables":{"x":{"distribution":"uniform","min":0,"max":1},"y":{"distribution":"uniform","min":0,"max":1}},"expression":"4*(x^2 + y^2 < 1 ? 1 : 0)","draws":200000}`)
	near(t, "pi", out.MonteCarlo.Mean, math.Pi, 4**out.MonteCarlo.StandardError)
	if e.Seed == nil || *e.Seed != 7 || e.Budget == nil || out.N != 200_000 {
		t.Errorf("seed %v, budget %v, n %d", e.Seed, e.Budget, out.N)
	}
	e, _ = must(t, `{"mode":"monte_carlo","variables":{"x":{"distribution":"student_t","df":1}},"draws":5000}`)
	if len(e.Warnings) == 0 || e.Warnings[0].Code != "not_converged" {
		t.Errorf("a Cauchy mean: warnings %v", e.Warnings)
	}
}

// Cut by its step limit, sampling returns what it has; a statistic of data does
// not.
func TestBudgets(t *testing.T) {
	c := &tools.Call{Limits: budget.Limits{Steps: 1_000_000}}
	e, out, err := call(t, c, `{"mode":"monte_carlo","variables":{"x":{"distribution":"bernoulli","p":0.5}},"draws":100000,"maxSteps":20001}`)
	if err != nil || out.MonteCarlo.Samples != 20_000 || out.MonteCarlo.Requested != 100_000 || e.Budget.Hit != "maxSteps" {
		t.Errorf("%v: %d draws, budget %+v", err, out.MonteCarlo.Samples, e.Budget)
	}
	_, _, err = call(t, &tools.Call{}, `{"data":[`+strings.Repeat("1,", 200_000)+`2],"maxSteps":10}`)
	if fault.KindOf(err) != fault.TooLarge {
		t.Errorf("summary within 10 steps: err = %v, want too_large", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = StatisticalReasoning.Invoke(ctx, &tools.Call{}, json.RawMessage(modelExample))
	if fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: err = %v", err)
	}
}

func TestCorrelationAndRegression(t *testing.T) {
	const pairs = `"x":[44.4,45.9,41.9,53.3,44.7,44.1,50.7,45.2,60.1],"y":[2.6,3.1,2.5,5.0,3.6,4.0,5.2,2.8,3.8]`
	for method, want := range map[string]float64{"pearson": 0.5711816, "spearman": 0.6, "kendall": 0.4444444} {
		_, out := must(t, `{"mode":"correlation","method":"`+method+`",`+pairs+`}`)
		near(t, method, *out.Correlation.Effect, want, 5e-8)
	}
	_, out := must(t, `{"mode":"regression","y":[3,5,4,8,9,11],"predictors":{"b":[1,0,1,0,1,0],"a":[1,2,3,4,5,6]}}`)
	r := out.Regression
	if len(r.Coefficients) != 3 || r.Coefficients[1].Name != "a" || r.Coefficients[2].Name != "b" || r.DF != 3 || *r.RSquared < 0.9 {
		t.Errorf("%+v", r)
	}
}

func TestBootstrapAndPower(t *testing.T) {
	e, out := must(t, `{"mode":"bootstrap","statistic":"median","x":[12,15,9,22,14,18,11,40,13,16],"y":[1,2,3,4],"seed":5}`)
	if b := out.Bootstrap; b.Estimate != 12 || b.BCa == nil || out.N != 14 || *e.Seed != 5 {
		t.Errorf("%+v", b)
	}
	_, out = must(t, `{"mode":"power","effect":1,"n":"20"}`)
	near(t, "power", out.Power.Power, 0.8689528, 1e-6)
	_, out = must(t, `{"mode":"power","design":"proportion","proportions":[0.5,0.75],"power":0.9}`)
	if out.Power.N != 77 || out.Power.Total != 154 {
		t.Errorf("%+v", out.Power)
	}
}
