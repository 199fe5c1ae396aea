package sample

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
	"github.com/lyceum-mcp/lyceum/tools"
)

// test is mode hypothesis_test.
func test(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	if in.PValues != nil {
		return correct(ctx, c, in, out)
	}
	d, err := readData(in)
	if err != nil {
		return err
	}
	echoed := in.TestStatistic != nil || in.PValue != nil || in.DOF != nil || in.EffectSize != nil
	if d.empty() {
		if echoed {
			return tools.Badf("parameters", "the data of the test: the server computes the statistic, p and the effect size from data and does not repeat given ones; send for example %s", testExample)
		}
		return tools.Badf("parameters", "the data of the test, for example %s; or pValues to be corrected", testExample)
	}
	if echoed {
		c.Warn("not_used", "testStatistic, pValue, dof and effectSize are computed from the data; those of the call were not used")
	}
	name := in.Test
	switch name {
	case "":
		return tools.Badf("parameters.test", "the name of the test, or auto to have one chosen by a stated rule; for example %s", testExample)
	case "auto":
		if name, out.Rule, err = stats.Choose(c.Meter(ctx), d.Data); err != nil {
			return err
		}
		c.Warn("chosen_from_data", "the test was chosen by looking at the data, which makes its p a little too small; name a test beforehand where that matters")
	}
	t, err := d.run(ctx, c, in, name)
	if err != nil {
		return err
	}
	c.Method(t.Method, t.Source)
	out.Test, out.N = t, t.N
	suggest(c, in, t)
	return nil
}

func correct(ctx context.Context, c *tools.Call, in Input, out *Output) error {
	r, err := stats.AdjustPValues(c.Meter(ctx), in.PValues, in.Alpha)
	if err != nil {
		return err
	}
	c.Method("Holm; Benjamini-Hochberg", "Holm 1979; Benjamini & Hochberg 1995")
	out.Corrections, out.N = r, r.N
	return nil
}

// data is what a call gives a test to work on.
type data struct {
	stats.Data
	moments []stats.Sample // instead of X and Y
}

func (d data) empty() bool {
	return d.X == nil && d.Y == nil && d.Groups == nil && d.Table == nil && d.Observed == nil &&
		d.Successes == nil && d.Trials == nil && d.moments == nil
}

func readData(in Input) (data, error) {
	d := data{Data: stats.Data{X: in.X, Y: in.Y, Paired: in.Paired, Groups: in.Groups, Table: in.Table, Observed: in.Observed}}
	if d.X == nil {
		d.X = in.Data
	}
	if len(d.Groups) == 2 && d.X == nil && d.Y == nil {
		d.X, d.Y = d.Groups[0], d.Groups[1]
	}
	if in.P0 != nil {
		d.P0 = *in.P0
	}
	var err error
	if d.Successes, err = counts("parameters.successes", in.Successes); err != nil {
		return d, err
	}
	if d.Trials, err = counts("parameters.trials", in.Trials); err != nil {
		return d, err
	}
	for i, s := range in.Summaries {
		d.moments = append(d.moments, stats.Sample{
			Field:   fmt.Sprintf("summaries[%d]", i),
			Moments: stats.Moments{N: s.N, Mean: s.Mean, Variance: s.SD * s.SD},
		})
	}
	return d, nil
}

// counts reads a number, an array of numbers, or either of them in a string.
func counts(path string, raw json.RawMessage) ([]float64, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	var one float64
	if json.Unmarshal(raw, &one) == nil && string(raw) != "null" {
		return []float64{one}, nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil || len(items) == 0 || len(items) > 2 {
		return nil, tools.Bad(path, "a count or an array of 1 or 2 counts", string(raw))
	}
	many := make([]float64, len(items))
	for i, item := range items {
		text := string(item)
		if s, err := strconv.Unquote(text); err == nil {
			text = s
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, tools.Bad(fmt.Sprintf("%s[%d]", path, i), "a count", string(item))
		}
		many[i] = v
	}
	return many, nil
}

// samples returns the one or two samples of a t test.
func (d data) samples(n int) ([]stats.Sample, error) {
	if d.moments != nil {
		if len(d.moments) != n {
			return nil, tools.Bad("parameters.summaries", fmt.Sprintf("%d of them for this test", n), len(d.moments))
		}
		return d.moments, nil
	}
	x := []stats.Sample{{Field: "x", Values: given(d.X)}}
	if n == 1 {
		if d.Y != nil {
			return nil, tools.Bad("parameters.test", "t_welch, t_pooled or t_paired, for there are two samples", "a one-sample test")
		}
		return x, nil
	}
	return append(x, stats.Sample{Field: "y", Values: given(d.Y)}), nil
}

// given makes an absent sample an empty one, which is refused by name.
func given(x []float64) []float64 {
	if x == nil {
		return []float64{}
	}
	return x
}

// run computes the test of a name; the names are those of the parameter test and
// of stats.Choose.
func (d data) run(ctx context.Context, c *tools.Call, in Input, name string) (*stats.Test, error) {
	m, o := c.Meter(ctx), stats.Options{Alternative: stats.Alternative(in.Alternative), Alpha: in.Alpha}
	switch name {
	case "t", "t_one_sample":
		s, err := d.samples(1)
		if err != nil {
			return nil, err
		}
		return stats.TTestOne(m, s[0], in.Mu, o)
	case "t_pooled", "t_welch":
		s, err := d.samples(2)
		if err != nil {
			return nil, err
		}
		if name == "t_pooled" {
			return stats.TTestPooled(m, s[0], s[1], in.Mu, o)
		}
		return stats.TTestWelch(m, s[0], s[1], in.Mu, o)
	case "t_paired":
		return stats.TTestPaired(m, d.X, d.Y, in.Mu, o)
	case "z":
		return d.z(ctx, c, in, o)
	case "proportion_z", "binomial":
		return d.proportion(ctx, c, in, name, o)
	case "chi_square_gof":
		return stats.GoodnessOfFit(d.Observed, in.Expected, in.Estimated, o)
	case "chi_square_independence":
		return stats.Independence(d.Table, in.Yates, o)
	case "fisher_exact":
		table, err := d.fourfold()
		if err != nil {
			return nil, err
		}
		return stats.FisherExact(m, table, o)
	case "mann_whitney":
		return stats.MannWhitney(m, d.X, d.Y, o)
	case "wilcoxon_signed_rank":
		diff, field, err := d.differences()
		if err != nil {
			return nil, err
		}
		return stats.SignedRank(m, field, diff, in.Mu, o)
	case "kruskal_wallis":
		return stats.KruskalWallis(m, d.groups(), o)
	case "anova":
		return stats.OneWay(m, d.groups(), o)
	case "ks":
		if d.Y != nil {
			return stats.KSTwo(m, d.X, d.Y, o)
		}
		return stats.KSOne(m, d.X, in.Against.distribution(), o)
	default: // permutation
		return d.permutation(ctx, c, in, o)
	}
}

func (d data) z(ctx context.Context, c *tools.Call, in Input, o stats.Options) (*stats.Test, error) {
	if in.Sigma == nil {
		return nil, tools.Badf("parameters.sigma", "the known standard deviation of the population; where it is estimated from the data use a t test")
	}
	if d.Y == nil {
		return stats.ZTest(c.Meter(ctx), d.X, in.Mu, *in.Sigma, o)
	}
	sigmaY := *in.Sigma
	if in.SigmaY != nil {
		sigmaY = *in.SigmaY
	}
	return stats.ZTestTwo(c.Meter(ctx), d.X, d.Y, in.Mu, *in.Sigma, sigmaY, o)
}

func (d data) proportion(ctx context.Context, c *tools.Call, in Input, name string, o stats.Options) (*stats.Test, error) {
	if len(d.Successes) == 0 || len(d.Trials) != len(d.Successes) {
		return nil, tools.Badf("parameters.successes", `successes and trials with 1 or 2 counts each, such as {"successes":[200,250],"trials":[1000,1000]}`)
	}
	if len(d.Successes) == 2 {
		if name == "binomial" {
			return nil, tools.Bad("parameters.test", "fisher_exact for two proportions", name)
		}
		return stats.ProportionTwo(d.Successes[0], d.Trials[0], d.Successes[1], d.Trials[1], o)
	}
	if in.P0 == nil {
		return nil, tools.Badf("parameters.p0", "the proportion under the null hypothesis, above 0 and below 1")
	}
	if name == "binomial" {
		return stats.BinomialExact(c.Meter(ctx), d.Successes[0], d.Trials[0], *in.P0, o)
	}
	return stats.ProportionOne(d.Successes[0], d.Trials[0], *in.P0, o)
}

// fourfold returns the 2×2 table, which two proportions are too.
func (d data) fourfold() ([][]float64, error) {
	if d.Table != nil || len(d.Successes) != 2 || len(d.Trials) != 2 {
		return d.Table, nil
	}
	table := make([][]float64, 2)
	for i := range table {
		failures := d.Trials[i] - d.Successes[i]
		if failures < 0 {
			return nil, tools.Bad(fmt.Sprintf("parameters.successes[%d]", i), fmt.Sprintf("at most the %g trials", d.Trials[i]), d.Successes[i])
		}
		table[i] = []float64{d.Successes[i], failures}
	}
	return table, nil
}

// differences returns what a one-sample rank or sign test works on.
func (d data) differences() (diff []float64, field string, err error) {
	if d.Y == nil {
		return d.X, "x", nil
	}
	diff, err = stats.Differences(d.X, d.Y)
	return diff, "x-y", err
}

func (d data) groups() [][]float64 {
	if d.Groups == nil && d.X != nil && d.Y != nil {
		return [][]float64{d.X, d.Y}
	}
	return d.Groups
}

func (d data) permutation(ctx context.Context, c *tools.Call, in Input, o stats.Options) (*stats.Test, error) {
	m := c.Meter(ctx)
	r, err := resampling(ctx, c, in)
	if err != nil {
		return nil, err
	}
	if d.Y != nil && !d.Paired {
		return stats.PermutationTwo(m, d.X, d.Y, o, r)
	}
	diff, field, err := d.differences()
	if err != nil {
		return nil, err
	}
	return stats.PermutationPaired(m, field, diff, in.Mu, o, r)
}

// maxRepeated is how many numbers a proposed call repeats.
const maxRepeated = 200

// suggest proposes a test by ranks where the normal distribution is doubtful.
func suggest(c *tools.Call, in Input, t *stats.Test) {
	instead := map[string]string{
		"t_one_sample": "wilcoxon_signed_rank", "t_paired": "wilcoxon_signed_rank",
		"t_pooled": "mann_whitney", "t_welch": "mann_whitney", "anova": "kruskal_wallis",
	}[t.Test]
	if instead == "" || t.N > maxRepeated {
		return
	}
	for _, a := range t.Assumptions {
		if a.Name != "normal distribution" || a.Status != stats.Doubtful {
			continue
		}
		p := map[string]any{"mode": "hypothesis_test", "test": instead, "alternative": in.Alternative, "alpha": in.Alpha}
		for name, x := range map[string][]float64{"data": in.Data, "x": in.X, "y": in.Y} {
			if x != nil {
				p[name] = x
			}
		}
		if in.Groups != nil {
			p["groups"] = in.Groups
		}
		if instead == "wilcoxon_signed_rank" {
			p["mu"] = in.Mu
		}
		c.Next("statistical_reasoning", "the data do not look normal: see whether a test by ranks agrees", p)
		return
	}
}
