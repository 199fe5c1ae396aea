package sample

import (
	"context"
	"encoding/json"
	"errors"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Input has the ancestor's parameters (mode, data, prior, likelihood, samples,
// test) and what they lacked: the data of a test, and a model to sample.
type Input struct {
	Mode string `json:"mode" enum:"summary|bayes|hypothesis_test|monte_carlo|correlation|regression|bootstrap|power" default:"summary" doc:"What to compute."`

	Data       []float64 `json:"data" maxItems:"1000000" doc:"The numbers of a summary, of a one-sample test, or the counts of a gamma_poisson update."`
	Confidence float64   `json:"confidence" default:"0.95" min:"0" max:"1" doc:"Level of confidence and credible intervals; the intervals of a test are at 1-alpha."`
	Quantiles  []float64 `json:"quantiles" maxItems:"100" doc:"Quantiles to report, from 0 to 1; the quartiles and the 5 % tails when absent."`
	Fence      float64   `json:"fence" default:"1.5" min:"0" doc:"Summary: outliers lie this many interquartile ranges beyond a quartile (Tukey)."`

	BayesInput
	TestInput
	ModelInput
	PlanInput
}

// BayesInput is read by mode bayes.
type BayesInput struct {
	Model           string               `json:"model" enum:"discrete|beta_binomial|normal|gamma_poisson" default:"discrete" doc:"Bayes: hypotheses with likelihoods, or a conjugate model of a probability, a mean with known sigma, or a rate."`
	Prior           map[string]float64   `json:"prior" maxItems:"1000" doc:"Discrete: the probability of each hypothesis before the evidence. Divided by its sum."`
	Likelihood      map[string]float64   `json:"likelihood" maxItems:"1000" doc:"Discrete: for each hypothesis the probability of the evidence if it is true."`
	Likelihoods     []map[string]float64 `json:"likelihoods" maxItems:"10000" doc:"Discrete: several independent pieces of evidence, each like likelihood."`
	Repeat          int                  `json:"repeat" default:"1" min:"1" max:"10000" doc:"Discrete: the evidence was seen this many times, independently."`
	PriorParameters map[string]float64   `json:"priorParameters" maxItems:"4" doc:"beta_binomial: alpha, beta; normal: mean, sd; gamma_poisson: shape, rate."`
	NullValue       *float64             `json:"nullValue" doc:"Conjugate models: compare with this fixed value by a Bayes factor."`
	Exposure        *float64             `json:"exposure" doc:"gamma_poisson: total time or area in which the counts were seen; one unit for each count when absent."`
}

// TestInput is read by modes hypothesis_test, correlation, regression and
// bootstrap.
type TestInput struct {
	Test string `json:"test" enum:"auto|t|t_one_sample|t_pooled|t_welch|t_paired|z|proportion_z|binomial|chi_square_gof|chi_square_independence|fisher_exact|mann_whitney|wilcoxon_signed_rank|kruskal_wallis|anova|ks|permutation" doc:"The test; auto chooses by a rule that the result states. t is the one-sample test; z, ks and permutation take one or two samples."`

	X         []float64      `json:"x" maxItems:"1000000" doc:"First sample (data serves too); the one predictor of a regression."`
	Y         []float64      `json:"y" maxItems:"1000000" doc:"Second sample; the response of a regression."`
	Paired    bool           `json:"paired" doc:"x[i] and y[i] belong together: for auto and permutation."`
	Groups    [][]float64    `json:"groups" maxItems:"1000" doc:"Samples of several groups: for anova and kruskal_wallis, or two for a two-sample test."`
	Summaries []MomentsInput `json:"summaries" maxItems:"2" doc:"For the t tests of unpaired samples, instead of values: n, mean and sd of one or two samples."`

	Mu        float64           `json:"mu" default:"0" doc:"The mean, or difference of means, under the null hypothesis."`
	Sigma     *float64          `json:"sigma" doc:"Known standard deviation of the population: for z and the normal model."`
	SigmaY    *float64          `json:"sigmaY" doc:"z with two samples: that of y; sigma when absent."`
	Successes json.RawMessage   `json:"successes" doc:"A count or an array of 1 or 2 counts: proportions, beta_binomial."`
	Trials    json.RawMessage   `json:"trials" doc:"A count or an array of 1 or 2 counts, with successes."`
	P0        *float64          `json:"p0" doc:"The proportion under the null hypothesis."`
	Observed  []float64         `json:"observed" maxItems:"10000" doc:"chi_square_gof: the count of each category."`
	Expected  []float64         `json:"expected" maxItems:"10000" doc:"chi_square_gof: expected counts, or probabilities; equal when absent."`
	Estimated int               `json:"estimatedParameters" default:"0" min:"0" doc:"chi_square_gof: parameters of the expected distribution that were fitted to the same counts."`
	Table     [][]float64       `json:"table" maxItems:"5000" doc:"Rows of counts: for chi_square_independence and fisher_exact."`
	Yates     bool              `json:"yates" doc:"chi_square_independence: continuity correction of a 2x2 table."`
	Against   DistributionInput `json:"distribution" doc:"ks with one sample: the distribution under the null hypothesis."`

	Alternative string    `json:"alternative" enum:"two-sided|less|greater" default:"two-sided" doc:"Direction of the alternative hypothesis."`
	Alpha       float64   `json:"alpha" default:"0.05" min:"0" max:"1" doc:"Significance level."`
	PValues     []float64 `json:"pValues" maxItems:"100000" doc:"p values of a family of tests, to be corrected by Holm and by Benjamini-Hochberg."`
	Resamples   int       `json:"resamples" default:"9999" min:"99" max:"1000000" doc:"permutation: random arrangements where there are too many to list; bootstrap: resamples."`
	Statistic   string    `json:"statistic" enum:"mean|median|stddev|trimmed_mean" default:"mean" doc:"bootstrap: of the data, or of x minus that of y."`

	Method     string               `json:"method" enum:"pearson|spearman|kendall" default:"pearson" doc:"Correlation: which coefficient."`
	Predictors map[string][]float64 `json:"predictors" maxItems:"50" doc:"Regression: named columns, instead of x."`

	TestStatistic *float64 `json:"testStatistic" doc:"Not used: the server computes it from the data."`
	PValue        *float64 `json:"pValue" doc:"Not used: the server computes it from the data; pValues corrects a family of them."`
	DOF           *float64 `json:"dof" doc:"Not used: the server computes it from the data."`
	EffectSize    *float64 `json:"effectSize" doc:"Not used: the server computes it from the data."`
}

// MomentsInput is one row of a table of results.
type MomentsInput struct {
	N    float64 `json:"n" required:"true"`
	Mean float64 `json:"mean" required:"true"`
	SD   float64 `json:"sd" required:"true" min:"0" doc:"With divisor n-1."`
}

// ModelInput is read by mode monte_carlo.
type ModelInput struct {
	Variables  map[string]DistributionInput `json:"variables" maxItems:"64" doc:"Independent random variables by name."`
	Constants  map[string]float64           `json:"constants" maxItems:"1000" doc:"Named numbers of the formula."`
	Expression string                       `json:"expression" maxLen:"8192" doc:"Formula of the variables, such as \"price * demand - cost\"; may be absent with one variable. A condition has its probability as mean."`
	Event      string                       `json:"event" maxLen:"8192" doc:"Condition whose probability is wanted, such as \"result < 0\"; result is the value of the formula."`
	Draws      int                          `json:"draws" default:"10000" min:"1" max:"10000000" doc:"How many draws; the budget may end them earlier."`
	Samples    []float64                    `json:"samples" maxItems:"1000000" doc:"Draws that you made yourself, to be summarised instead."`
}

// PlanInput is read by mode power.
type PlanInput struct {
	Design      string    `json:"design" enum:"t_one_sample|t_paired|t_two_sample|proportion" default:"t_two_sample" doc:"Power: the planned test. Give two of n, power and effect; the third is computed."`
	N           *float64  `json:"n" doc:"Power: values, pairs, or values per group."`
	Power       *float64  `json:"power" doc:"Power: the probability of finding the effect, such as 0.8."`
	Effect      *float64  `json:"effect" doc:"Power: difference in standard deviations (Cohen d)."`
	Proportions []float64 `json:"proportions" maxItems:"2" doc:"Power of design proportion: the two proportions, instead of effect."`
}

// DistributionInput names a distribution with the parameters that it has.
type DistributionInput struct {
	Kind     string    `json:"distribution" enum:"normal|lognormal|uniform|triangular|beta|gamma|exponential|student_t|bernoulli|binomial|poisson|discrete" doc:"normal(mean, sd), lognormal(mu, sigma of the logarithm), uniform(min, max), triangular(min, mode, max), beta(alpha, beta), gamma(shape, rate), exponential(rate), student_t(df, location, scale), bernoulli(p), binomial(n, p), poisson(rate), discrete(values, weights)."`
	Mean     *float64  `json:"mean"`
	SD       *float64  `json:"sd"`
	Mu       *float64  `json:"mu"`
	Sigma    *float64  `json:"sigma"`
	Min      *float64  `json:"min"`
	Max      *float64  `json:"max"`
	Mode     *float64  `json:"mode"`
	Alpha    *float64  `json:"alpha"`
	Beta     *float64  `json:"beta"`
	Shape    *float64  `json:"shape"`
	Rate     *float64  `json:"rate"`
	DF       *float64  `json:"df"`
	Location *float64  `json:"location"`
	Scale    *float64  `json:"scale"`
	P        *float64  `json:"p"`
	N        *float64  `json:"n"`
	Values   []float64 `json:"values" maxItems:"1000000"`
	Weights  []float64 `json:"weights" maxItems:"1000000"`
}

// Output has one block, that of the mode. stats, bayesianResult, testResult and
// mcResult are the ancestor's names.
type Output struct {
	Mode        string             `json:"mode"`
	N           int                `json:"n"`
	Stats       *stats.Summary     `json:"stats,omitempty"`
	Bayes       *stats.Posterior   `json:"bayesianResult,omitempty"`
	Conjugate   *stats.Conjugate   `json:"conjugateResult,omitempty"`
	Test        *stats.Test        `json:"testResult,omitempty"`
	Rule        string             `json:"rule,omitempty"` // why auto chose the test
	Corrections *stats.Corrections `json:"corrections,omitempty"`
	MonteCarlo  *stats.MonteCarlo  `json:"mcResult,omitempty"`
	Correlation *stats.Test        `json:"correlationResult,omitempty"`
	Regression  *stats.Regression  `json:"regressionResult,omitempty"`
	Bootstrap   *stats.Bootstrap   `json:"bootstrapResult,omitempty"`
	Power       *stats.Planned     `json:"powerResult,omitempty"`
}

// StatisticalReasoning is the operation statistical_reasoning.
var StatisticalReasoning = tools.Define(tools.Spec{
	Name: "statistical_reasoning", Family: "sample", Title: "Statistical reasoning",
	Summary: "Summarise data, test hypotheses, update beliefs by Bayes, sample models by Monte Carlo, bootstrap, correlate, regress, plan sample sizes.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.ReadOnly,
	Method: "descriptive statistics, quantiles of type 7", Source: "Tukey 1977; Hyndman & Fan 1996",
	Examples: []tools.Example{
		{Title: "Describe a sample", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"summary","data":[5.1,4.9,5.6,4.7,5.3,5.0,5.2,4.8]}}`},
		{Title: "Update a belief", Arguments: `{"operation":"statistical_reasoning","parameters":` + bayesExample + `}`},
		{Title: "Compare two samples", Arguments: `{"operation":"statistical_reasoning","parameters":` + testExample + `}`},
		{Title: "Compare two conversion rates", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"hypothesis_test","test":"proportion_z","successes":[200,250],"trials":[1000,1000]}}`},
		{Title: "Correct a family of p values", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"hypothesis_test","pValues":[0.01,0.02,0.03,0.04,0.05]}}`},
		{Title: "Risk of a loss", Arguments: `{"operation":"statistical_reasoning","parameters":` + modelExample + `}`},
		{Title: "Conjugate update", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"bayes","model":"beta_binomial","priorParameters":{"alpha":1,"beta":1},"successes":8,"trials":10,"nullValue":0.5}}`},
		{Title: "Plan a sample size", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"power","design":"t_two_sample","effect":0.5,"power":0.8}}`},
		{Title: "Interval of a median", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"bootstrap","statistic":"median","data":[12,15,9,22,14,18,11,40,13,16]}}`},
		{Title: "Fit a line", Arguments: `{"operation":"statistical_reasoning","parameters":{"mode":"regression","x":[1,2,3,4,5],"y":[2.1,3.9,6.2,7.8,10.1]}}`},
	},
}, reason)

// Minimal parameters, quoted where something is missing.
const (
	bayesExample = `{"mode":"bayes","prior":{"sick":0.01,"healthy":0.99},"likelihood":{"sick":0.99,"healthy":0.05}}`
	testExample  = `{"mode":"hypothesis_test","test":"t_welch","x":[5.1,4.9,5.6,4.7],"y":[5.8,6.1,5.4,5.9]}`
	modelExample = `{"mode":"monte_carlo","variables":{"price":{"distribution":"triangular","min":8,"mode":10,"max":15},"demand":{"distribution":"normal","mean":1000,"sd":150}},"expression":"price * demand - 9000","event":"result < 0"}`
)

func reason(ctx context.Context, c *tools.Call, in Input) (Output, error) {
	out := Output{Mode: in.Mode}
	var err error
	switch in.Mode {
	case "summary":
		err = summarise(ctx, c, in, &out)
	case "bayes":
		err = update(ctx, c, in, &out)
	case "hypothesis_test":
		err = test(ctx, c, in, &out)
	case "monte_carlo":
		err = simulate(ctx, c, in, &out)
	case "correlation":
		err = correlate(ctx, c, in, &out)
	case "regression":
		err = regress(ctx, c, in, &out)
	case "bootstrap":
		err = bootstrap(ctx, c, in, &out)
	case "power":
		err = plan(ctx, c, in, &out)
	}
	return out, repairable(err, in)
}

// repairable turns a complaint about an input into one about the parameters, by
// the names that the client used.
func repairable(err error, in Input) error {
	e, ok := errors.AsType[*stats.InputError](err)
	if !ok {
		return err
	}
	field := e.Field
	if strings.HasPrefix(field, "x-y") { // of pairs
		field = "x" + field[3:]
	}
	if in.X == nil {
		switch {
		case in.Data != nil && (field == "x" || strings.HasPrefix(field, "x[")):
			field = "data" + field[1:]
		case len(in.Groups) == 2 && len(field) > 0 && (field[0] == 'x' || field[0] == 'y') && (len(field) == 1 || field[1] == '['):
			field = map[byte]string{'x': "groups[0]", 'y': "groups[1]"}[field[0]] + field[1:]
		}
	}
	if e.Got == "" {
		return tools.Bad("parameters."+field, e.Want, "nothing")
	}
	return tools.Bad("parameters."+field, e.Want, e.Got)
}

func summarise(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	s, err := stats.Summarize(c.Meter(ctx), in.Data, stats.SummaryOptions{Level: in.Confidence, Quantiles: in.Quantiles, Fence: in.Fence})
	if err != nil {
		return err
	}
	out.Stats, out.N = s, s.N
	return nil
}
