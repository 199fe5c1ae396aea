package sample

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/stats"
)

func TestHypothesisTestsByName(t *testing.T) {
	for p, want := range map[string]struct {
		test    string
		stat, p float64
	}{
		`"test":"mann_whitney","x":[1,2,3,4,5],"y":[6,7,8,9,10]`:                              {"mann_whitney", 0, 2.0 / 252},
		`"test":"mann_whitney","groups":[[1,2,3,4,5],[6,7,8,9,10]]`:                           {"mann_whitney", 0, 2.0 / 252},
		`"test":"chi_square_gof","observed":[44,56],"expected":[50,50]`:                       {"chi_square_gof", 1.44, 0.230139},
		`"test":"chi_square_gof","observed":[44,56]`:                                          {"chi_square_gof", 1.44, 0.230139},
		`"test":"chi_square_independence","table":[[10,20],[20,10]]`:                          {"chi_square_independence", 6.666667, 0.009823},
		`"test":"fisher_exact","table":[[4,0],[0,4]],"alternative":"greater"`:                 {"fisher_exact", 4, 1.0 / 70},
		`"test":"fisher_exact","successes":[4,0],"trials":[4,4],"alternative":"greater"`:      {"fisher_exact", 4, 1.0 / 70},
		`"test":"proportion_z","successes":["200",250],"trials":"[1000,1000]"`:                {"proportion_z", -2.677398, 0.007419},
		`"test":"proportion_z","successes":44,"trials":100,"p0":0.5`:                          {"proportion_z", -1.2, 0.230139},
		`"test":"binomial","successes":"44","trials":"100","p0":0.5`:                          {"binomial", 44, 0.271253},
		`"test":"z","data":[1,3],"sigma":2`:                                                   {"z_one_sample", math.Sqrt2, 0.157299},
		`"test":"z","x":[1,3],"y":[0,0],"sigma":2,"sigmaY":2`:                                 {"z_two_sample", 1, 0.317311},
		`"test":"t_paired","x":[3,5,4],"y":[1,2,3]`:                                           {"t_paired", 3.464102, 0.074180},
		`"test":"t_pooled","x":[1,2,3],"y":[4,5,6]`:                                           {"t_pooled", -3.674235, 0.021312},
		`"test":"t_welch","summaries":[{"n":3,"mean":2,"sd":1},{"n":3,"mean":5,"sd":1}]`:      {"t_welch", -3.674235, 0.021312},
		`"test":"wilcoxon_signed_rank","data":[1,2,3,4,5]`:                                    {"wilcoxon_signed_rank", 15, 2.0 / 32},
		`"test":"wilcoxon_signed_rank","x":[2,4,6,8,10],"y":[1,2,3,4,5]`:                      {"wilcoxon_signed_rank", 15, 2.0 / 32},
		`"test":"kruskal_wallis","groups":[[1,2],[3,4],[5,6]]`:                                {"kruskal_wallis", 32.0 / 7, 0.101701},
		`"test":"anova","groups":[[1,2,3],[4,5,6]]`:                                           {"anova", 13.5, 0.021312},
		`"test":"anova","x":[1,2,3],"y":[4,5,6]`:                                              {"anova", 13.5, 0.021312},
		`"test":"ks","x":[1,2,3],"y":[4,5,6]`:                                                 {"ks_two_sample", 1, 0.1},
		`"test":"ks","data":[0.25],"distribution":{"distribution":"uniform","min":0,"max":1}`: {"ks_one_sample", 0.75, 0.5},
		`"test":"permutation","x":[1,2,3],"y":[4,5,6]`:                                        {"permutation", -3, 0.1},
		`"test":"permutation","paired":true,"x":[4,5,7],"y":[1,2,3]`:                          {"permutation_paired", 10.0 / 3, 0.25},
	} {
		_, out := must(t, `{"mode":"hypothesis_test",`+p+`}`)
		if out.Test.Test != want.test {
			t.Errorf("%s ran %s", p, out.Test.Test)
		}
		near(t, p+": statistic", out.Test.Statistic, want.stat, 1e-6)
		near(t, p+": p", out.Test.PValue, want.p, 1e-6)
	}
}

func TestHypothesisTestsRefuseByTheNamesOfTheCall(t *testing.T) {
	for p, path := range map[string]string{
		`"x":[1,2],"y":[3,4]`:                                           "parameters.test",
		`"test":"t","data":[1]`:                                         "parameters.data",
		`"test":"t","x":[1]`:                                            "parameters.x",
		`"test":"t","x":[1,2],"y":[2,3]`:                                "parameters.test",
		`"test":"t_welch","x":[1,2]`:                                    "parameters.y",
		`"test":"t_welch","y":[1,2]`:                                    "parameters.x",
		`"test":"mann_whitney","groups":[[],[1]]`:                       "parameters.groups[0]",
		`"test":"t_welch","summaries":[{"n":3,"mean":2,"sd":1}]`:        "parameters.summaries",
		`"test":"t","summaries":[{"n":1,"mean":2,"sd":1}]`:              "parameters.summaries[0].n",
		`"test":"z","data":[1,2]`:                                       "parameters.sigma",
		`"test":"proportion_z","successes":3,"trials":10`:               "parameters.p0",
		`"test":"proportion_z","successes":3`:                           "parameters.successes",
		`"test":"proportion_z","successes":[1,2,3],"trials":[4,5,6]`:    "parameters.successes",
		`"test":"proportion_z","successes":[1,"a"],"trials":[4,5]`:      "parameters.successes[1]",
		`"test":"proportion_z","successes":[9,1],"trials":[4,5]`:        "parameters.successes[0]",
		`"test":"fisher_exact","successes":[9,1],"trials":[4,5]`:        "parameters.successes[0]",
		`"test":"binomial","successes":[1,2],"trials":[4,5]`:            "parameters.test",
		`"test":"fisher_exact","x":[1,2]`:                               "parameters.table",
		`"test":"anova","data":[1,2]`:                                   "parameters.groups",
		`"test":"ks","data":[1,2]`:                                      "parameters.distribution.distribution",
		`"test":"chi_square_independence","table":[[1,2],[3]]`:          "parameters.table[1]",
		`"test":"chi_square_gof","observed":[1,2],"alternative":"less"`: "parameters.alternative",
		`"test":"t","data":[1,2],"alpha":0`:                             "parameters.alpha",
		`"test":"auto","summaries":[{"n":3,"mean":2,"sd":1}]`:           "parameters.x",
		`"test":"permutation","x":[1,2],"y":[1],"paired":true`:          "parameters.y",
		`"test":"wilcoxon_signed_rank","x":[1,2],"y":[1]`:               "parameters.y",
		`"pValues":[0.5,2]`:                                             "parameters.pValues[1]",
	} {
		refused(t, `{"mode":"hypothesis_test",`+p+`}`, path)
	}
}

// A test is chosen only when that was asked for, and the rule is stated.
func TestAutoStatesItsRule(t *testing.T) {
	e, out := must(t, `{"mode":"hypothesis_test","test":"auto","x":[5.1,4.9,5.6,4.7,5.3],"y":[5.8,6.1,5.4,5.9,6.0]}`)
	if out.Test.Test != "t_welch" || !strings.Contains(out.Rule, "Shapiro-Wilk") || len(e.Warnings) != 1 || e.Warnings[0].Code != "chosen_from_data" {
		t.Errorf("ran %s by %q, warnings %v", out.Test.Test, out.Rule, e.Warnings)
	}
	_, out = must(t, `{"mode":"hypothesis_test","test":"auto","table":[[3,1],[1,3]]}`)
	if out.Test.Test != "fisher_exact" || out.Rule == "" {
		t.Errorf("ran %s by %q", out.Test.Test, out.Rule)
	}
	_, out = must(t, `{"mode":"hypothesis_test","test":"auto","successes":[1,3],"trials":[5,6]}`)
	if out.Test.Test != "fisher_exact" {
		t.Errorf("few successes: ran %s", out.Test.Test)
	}
	if _, out = must(t, testExample); out.Rule != "" {
		t.Errorf("a named test has a rule %q", out.Rule)
	}
}

// A doubtful assumption comes with a call that does without it, and that call
// works.
func TestDoubtfulNormalityProposesRanks(t *testing.T) {
	e, out := must(t, `{"mode":"hypothesis_test","test":"t_welch","x":[1,1.1,1.2,0.9,1,1.1,40],"y":[2,2.1,2.2,1.9,2,2.3,2.4],"alpha":0.01}`)
	var doubtful bool
	for _, a := range out.Test.Assumptions {
		doubtful = doubtful || a.Status == stats.Doubtful
	}
	if !doubtful || len(e.Next) != 1 {
		t.Fatalf("assumptions %v, next %v", out.Test.Assumptions, e.Next)
	}
	p, err := json.Marshal(e.Next[0].Parameters)
	if err != nil {
		t.Fatal(err)
	}
	if _, out = must(t, string(p)); out.Test.Test != "mann_whitney" || out.Test.Alpha != 0.01 || out.Test.N != 14 {
		t.Errorf("the proposed call ran %s of %d at %g", out.Test.Test, out.Test.N, out.Test.Alpha)
	}
}

func TestCorrections(t *testing.T) {
	e, out := must(t, `{"mode":"hypothesis_test","pValues":[0.01,0.02,0.03,0.04,0.05]}`)
	if r := out.Corrections; r.BH.Count != 5 || r.Holm.Count != 1 || out.N != 5 || out.Test != nil || !strings.Contains(e.Source, "Holm 1979") {
		t.Errorf("%+v, source %s", r, e.Source)
	}
}
