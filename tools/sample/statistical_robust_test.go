package sample

import (
	"encoding/json"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Whatever numbers come, the answer is a result whose p values are
// probabilities, or a complaint that the caller can act on: never a number that
// JSON cannot hold, never an internal failure.
func TestAnyNumbersGiveAResultOrAComplaint(t *testing.T) {
	value := rapid.OneOf(
		rapid.SampledFrom([]float64{0, 1, -1, 2, 0.1, 1e-300, -1e-300, 1e300, 1e15, 1e15 + 1, 1.7e308, -1.7e308, 5e-324}),
		rapid.Map(rapid.IntRange(-9, 9), func(i int) float64 { return float64(i) }),
		rapid.Float64Range(-1e6, 1e6),
	)
	sample := rapid.SliceOfN(value, 0, 9)
	count := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, 5, 1e6, 1e12}), rapid.Map(rapid.IntRange(0, 40), func(i int) float64 { return float64(i) }))
	rapid.Check(t, func(t *rapid.T) {
		p := map[string]any{
			"mode":   rapid.SampledFrom([]string{"summary", "hypothesis_test", "correlation", "regression", "bootstrap", "monte_carlo", "bayes"}).Draw(t, "mode"),
			"test":   rapid.SampledFrom([]string{"auto", "t", "t_pooled", "t_welch", "t_paired", "z", "proportion_z", "binomial", "chi_square_gof", "chi_square_independence", "fisher_exact", "mann_whitney", "wilcoxon_signed_rank", "kruskal_wallis", "anova", "ks", "permutation"}).Draw(t, "test"),
			"method": rapid.SampledFrom([]string{"pearson", "spearman", "kendall"}).Draw(t, "method"),
			"model":  rapid.SampledFrom([]string{"beta_binomial", "normal", "gamma_poisson"}).Draw(t, "model"),
			"x":      sample.Draw(t, "x"), "mu": value.Draw(t, "mu"), "resamples": 199, "seed": 3,
			"sigma": 2, "p0": 0.3, "exposure": 3, "nullValue": 0.4,
			"successes":       rapid.SliceOfN(count, 1, 2).Draw(t, "successes"),
			"trials":          rapid.SliceOfN(count, 1, 2).Draw(t, "trials"),
			"observed":        rapid.SliceOfN(count, 2, 4).Draw(t, "observed"),
			"table":           rapid.SliceOfN(rapid.SliceOfN(count, 2, 2), 2, 3).Draw(t, "table"),
			"groups":          rapid.SliceOfN(sample, 2, 4).Draw(t, "groups"),
			"distribution":    map[string]any{"distribution": "normal", "mean": 0, "sd": 1},
			"priorParameters": map[string]any{},
		}
		switch p["model"] {
		case "beta_binomial":
			p["priorParameters"] = map[string]any{"alpha": count.Draw(t, "alpha"), "beta": count.Draw(t, "beta")}
		case "normal":
			p["priorParameters"] = map[string]any{"mean": value.Draw(t, "mean"), "sd": value.Draw(t, "sd")}
		default:
			p["priorParameters"] = map[string]any{"shape": count.Draw(t, "shape"), "rate": count.Draw(t, "rate")}
		}
		p["data"] = p["x"]
		if p["mode"] == "monte_carlo" {
			p["samples"] = p["x"]
		}
		if rapid.Bool().Draw(t, "two samples") {
			p["y"] = sample.Draw(t, "y")
			p["paired"] = rapid.Bool().Draw(t, "paired")
		}
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		c := &tools.Call{}
		result, err := StatisticalReasoning.Invoke(t.Context(), c, raw)
		if err != nil {
			if _, bad := errors.AsType[*tools.BadArguments](err); !bad && fault.KindOf(err) != fault.Invalid {
				t.Fatalf("%s: %v", raw, err)
			}
			return
		}
		var out Output
		if err := json.Unmarshal(result, &out); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []*stats.Test{out.Test, out.Correlation} {
			if tt != nil && !(tt.PValue >= 0 && tt.PValue <= 1) {
				t.Errorf("%s: p = %g", raw, tt.PValue)
			}
		}
	})
}
