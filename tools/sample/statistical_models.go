package sample

import (
	"context"
	"maps"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// update is mode bayes.
func update(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	if in.Model != "discrete" {
		return conjugate(ctx, c, in, out)
	}
	if in.Prior == nil {
		return tools.Badf("parameters.prior", "the probability of each hypothesis before the evidence; none is assumed. For example %s", bayesExample)
	}
	evidence := in.Likelihoods
	if in.Likelihood != nil {
		evidence = append([]map[string]float64{in.Likelihood}, evidence...)
	}
	if len(evidence) == 0 {
		return tools.Badf("parameters.likelihood", "for each hypothesis of prior the probability of the evidence if it is true; none is assumed. For example %s", bayesExample)
	}
	if seen := len(evidence) * in.Repeat; in.Repeat > 1 {
		if seen > maxPieces {
			return tools.Bad("parameters.repeat", "at most 10000 pieces of evidence in all", seen)
		}
		evidence = slices.Repeat(evidence, in.Repeat)
	}
	p, err := stats.Update(in.Prior, evidence)
	if err != nil {
		return err
	}
	c.Method("Bayes' theorem over hypotheses", "Bayes 1763; Laplace 1774")
	out.Bayes, out.N = p, p.N
	return nil
}

// maxPieces bounds the pieces of evidence of one update.
const maxPieces = 10_000

// conjugate computes a posterior in closed form. Nothing of the prior is assumed.
func conjugate(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	need := map[string][]string{"beta_binomial": {"alpha", "beta"}, "normal": {"mean", "sd"}, "gamma_poisson": {"shape", "rate"}}[in.Model]
	for _, name := range need {
		if _, ok := in.PriorParameters[name]; !ok {
			return tools.Badf("parameters.priorParameters."+name, "a number: the prior of %s has %s and %s; none is assumed", in.Model, need[0], need[1])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(in.PriorParameters)) {
		if !slices.Contains(need, name) {
			return tools.Bad("parameters.priorParameters."+name, need[0]+" and "+need[1]+" only", name)
		}
	}
	first, second := in.PriorParameters[need[0]], in.PriorParameters[need[1]]
	o := stats.ConjugateOptions{Level: in.Confidence, Null: in.NullValue}
	var r *stats.Conjugate
	var err error
	switch in.Model {
	case "beta_binomial":
		r, err = betaBinomial(in, first, second, o)
	case "normal":
		r, err = normal(ctx, c, in, first, second, o)
	default:
		exposure := float64(len(in.Data))
		if in.Exposure != nil {
			exposure = *in.Exposure
		}
		if len(in.Data) == 0 {
			return tools.Badf("parameters.data", "the counts, one for each interval watched")
		}
		r, err = stats.GammaPoisson(c.Meter(ctx), first, second, in.Data, exposure, o)
	}
	if err != nil {
		return err
	}
	c.Method("conjugate Bayesian update, "+r.Model, r.Source)
	out.Conjugate, out.N = r, r.N
	return nil
}

func betaBinomial(in Input, alpha, beta float64, o stats.ConjugateOptions) (*stats.Conjugate, error) {
	s, err := counts("parameters.successes", in.Successes)
	if err != nil {
		return nil, err
	}
	n, err := counts("parameters.trials", in.Trials)
	if err != nil {
		return nil, err
	}
	if len(s) != 1 || len(n) != 1 {
		return nil, tools.Badf("parameters.successes", `one count each of successes and trials, such as {"successes":8,"trials":10}`)
	}
	return stats.BetaBinomial(alpha, beta, s[0], n[0], o)
}

func normal(ctx context.Context, c *tools.Call, in Input, mean, sd float64, o stats.ConjugateOptions) (*stats.Conjugate, error) {
	if in.Sigma == nil {
		return nil, tools.Badf("parameters.sigma", "the known standard deviation of the values")
	}
	if len(in.Summaries) == 1 && in.Data == nil {
		s := in.Summaries[0]
		return stats.NormalKnownVariance(mean, sd, s.Mean, s.N, *in.Sigma, o)
	}
	x := in.Data
	if x == nil {
		x = in.X
	}
	m, err := stats.Mean(c.Meter(ctx), "data", x)
	if err != nil {
		return nil, err
	}
	return stats.NormalKnownVariance(mean, sd, m, float64(len(x)), *in.Sigma, o)
}

// simulate is mode monte_carlo.
func simulate(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	if in.Samples != nil {
		r, err := stats.DescribeDraws(c.Meter(ctx), in.Samples, in.Confidence, in.Quantiles)
		if err != nil {
			return err
		}
		c.Basis(tools.ClientSupplied)
		c.Method("summary of given draws", "Hyndman & Fan 1996")
		out.MonteCarlo, out.N = r, r.Samples
		return nil
	}
	if len(in.Variables) == 0 {
		return tools.Badf("parameters.variables", "the random variables with their distributions, for example %s; or samples that you drew yourself", modelExample)
	}
	model := stats.Model{Variables: map[string]stats.Distribution{}, Constants: in.Constants, Expression: in.Expression, Event: in.Event}
	for name, d := range in.Variables {
		model.Variables[name] = d.distribution()
	}
	k, err := keeper(ctx, c, in)
	if err != nil {
		return err
	}
	r, err := stats.Simulate(c.Meter(ctx), model, stats.Sampling{
		Draws: in.Draws, Seed: c.Seed(), Level: in.Confidence, Quantiles: in.Quantiles, Spread: spread(ctx, c), Keeper: k,
		Progress: func(done, total int) { c.Progress(float64(done), float64(total), "draws") },
	})
	if err != nil {
		return err
	}
	c.Method("Monte Carlo", "Metropolis & Ulam 1949; generator PCG-DXSM, O'Neill 2014")
	out.MonteCarlo, out.N = r, r.Samples
	if !r.Convergence.Stable {
		c.Warn("not_converged", "%s", r.Convergence.Note)
	}
	return nil
}

// spread uses several cores where the scheduler gives them. Each goroutine gives
// up its own turn.
func spread(ctx context.Context, c *tools.Call) stats.Spread {
	return c.Meter(ctx).Spread(c.Fan, func(ctx context.Context) error { return work.FromContext(ctx).Yield(ctx) })
}

// keeper keeps the draws of a call. Statistics have no effect before they are
// returned, so that a call may also begin again.
func keeper(ctx context.Context, c *tools.Call, in Input) (*budget.Keeper, error) {
	if c.Durable == nil {
		return nil, nil
	}
	m := c.Meter(ctx)
	numbers := [][]float64{in.Data, in.X, in.Y, in.Samples}
	sum, ok := fingerprint(m, append(numbers, in.Groups...))
	if !ok {
		return nil, m.Err()
	}
	in.Data, in.X, in.Y, in.Samples, in.Groups = nil, nil, nil, nil, nil // a million of them would take long to write
	return budget.Keep(c.Durable, tools.ErrCheckpointed, []any{"statistical_reasoning", 1, in, sum, c.Seed(), m.Limits().Steps})
}

// fingerprint tells lists of numbers apart (FNV-1a, by number). It reports false
// if the call ended meanwhile.
func fingerprint(m *budget.Meter, lists [][]float64) (sum uint64, ok bool) {
	const prime = 1099511628211
	sum = 14695981039346656037
	for _, x := range lists {
		sum = (sum ^ uint64(len(x))) * prime
		for i, v := range x {
			if i%8192 == 8191 && !m.Pause() {
				return 0, false
			}
			sum = (sum ^ math.Float64bits(v)) * prime
		}
	}
	return sum, true
}

// resampling says how the random arrangements of a call are drawn.
func resampling(ctx context.Context, c *tools.Call, in Input) (stats.Resampling, error) {
	k, err := keeper(ctx, c, in)
	return stats.Resampling{
		Resamples: in.Resamples, Seed: c.Seed(), Spread: spread(ctx, c), Keeper: k,
		Progress: func(done, total int) { c.Progress(float64(done), float64(total), "resamples") },
	}, err
}

// distribution collects the parameters that were given; which of them belong is
// for stats to say.
func (d DistributionInput) distribution() stats.Distribution {
	out := stats.Distribution{Kind: d.Kind, Params: map[string]float64{}, Values: d.Values, Weights: d.Weights}
	for name, v := range map[string]*float64{
		"mean": d.Mean, "sd": d.SD, "mu": d.Mu, "sigma": d.Sigma, "min": d.Min, "max": d.Max, "mode": d.Mode,
		"alpha": d.Alpha, "beta": d.Beta, "shape": d.Shape, "rate": d.Rate, "df": d.DF, "location": d.Location,
		"scale": d.Scale, "p": d.P, "n": d.N,
	} {
		if v != nil {
			out.Params[name] = *v
		}
	}
	return out
}

// correlate is mode correlation.
func correlate(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	if in.X == nil || in.Y == nil {
		return tools.Badf("parameters.x", `x and y of one length, such as {"mode":"correlation","x":[1,2,3,4],"y":[2,1,4,6]}`)
	}
	compute := map[string]func(*budget.Meter, []float64, []float64, stats.Options) (*stats.Test, error){
		"pearson": stats.Pearson, "spearman": stats.Spearman, "kendall": stats.Kendall,
	}[in.Method]
	t, err := compute(c.Meter(ctx), in.X, in.Y, stats.Options{Alternative: stats.Alternative(in.Alternative), Alpha: in.Alpha})
	if err != nil {
		return err
	}
	c.Method(t.Method, t.Source)
	out.Correlation, out.N = t, t.N
	return nil
}

// regress is mode regression.
func regress(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	var columns []stats.Column
	for _, name := range slices.Sorted(maps.Keys(in.Predictors)) {
		columns = append(columns, stats.Column{Name: name, Field: "predictors." + name, Values: in.Predictors[name]})
	}
	switch {
	case columns != nil && in.X != nil:
		return tools.Bad("parameters.x", "either x or predictors", "both")
	case columns == nil && in.X == nil, in.Y == nil:
		return tools.Badf("parameters.y", `y and one predictor x, or named predictors, such as {"mode":"regression","y":[2,4,5,8],"predictors":{"age":[1,2,3,4]}}`)
	case columns == nil:
		columns = []stats.Column{{Name: "x", Field: "x", Values: in.X}}
	}
	r, err := stats.Regress(c.Meter(ctx), in.Y, columns, in.Confidence)
	if err != nil {
		return err
	}
	c.Method("ordinary least squares", "Legendre 1805; Gauss 1809; Björck 1967")
	out.Regression, out.N = r, r.N
	return nil
}

// bootstrap is mode bootstrap.
func bootstrap(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	d, err := readData(in)
	if err != nil {
		return err
	}
	r, err := resampling(ctx, c, in)
	if err != nil {
		return err
	}
	b, err := stats.Resample(c.Meter(ctx), given(d.X), d.Y, stats.BootstrapOptions{Statistic: in.Statistic, Level: in.Confidence, Resampling: r})
	if err != nil {
		return err
	}
	c.Method("bootstrap", "Efron 1979; Efron 1987")
	out.Bootstrap, out.N = b, b.N
	return nil
}

// plan is mode power.
func plan(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	d := stats.Design{
		Test: in.Design, N: in.N, Power: in.Power, Effect: in.Effect,
		Options: stats.Options{Alternative: stats.Alternative(in.Alternative), Alpha: in.Alpha},
	}
	if in.Design == "proportion" {
		if len(in.Proportions) != 2 {
			return tools.Bad("parameters.proportions", "the two proportions, such as [0.5, 0.75]", in.Proportions)
		}
		d.P = [2]float64(in.Proportions)
	}
	p, err := stats.Plan(c.Meter(ctx), d)
	if err != nil {
		return err
	}
	c.Method(p.Method, p.Source)
	out.Power, out.N = p, p.N
	return nil
}
