package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Data is what a test can be chosen for. The first of the fields that is set, in
// the order Table, Observed, Trials, Groups, X, decides what kind of question is
// asked.
type Data struct {
	X, Y              []float64
	Paired            bool // x[i] and y[i] belong together
	Groups            [][]float64
	Table             [][]float64
	Observed          []float64
	Successes, Trials []float64
	P0                float64 // of one proportion
}

// largeSample is the size from which the mean of a sample is taken as normal.
const largeSample = 30

// Choose names the test for d and the rule that decided. A choice that looks at
// the data makes the p value of the chosen test a little too small.
func Choose(m *budget.Meter, d Data) (test, rule string, err error) {
	switch {
	case d.Table != nil:
		return chooseTable(d.Table)
	case d.Observed != nil:
		return "chi_square_gof", "counts of categories against expected ones", nil
	case d.Trials != nil || d.Successes != nil:
		return chooseProportion(d)
	case d.Groups != nil:
		return chooseGroups(m, d.Groups)
	case d.X != nil && d.Y != nil && d.Paired:
		diff, err := Differences(d.X, d.Y)
		if err != nil {
			return "", "", err
		}
		return chooseByShape(m, "t_paired", "wilcoxon_signed_rank", "x-y", diff)
	case d.X != nil && d.Y != nil:
		return chooseByShape(m, "t_welch", "mann_whitney", "x", d.X, d.Y)
	case d.X != nil:
		return chooseByShape(m, "t_one_sample", "wilcoxon_signed_rank", "x", d.X)
	}
	return "", "", missing("x", "data: x, x and y, groups, table, observed, or successes and trials")
}

func chooseTable(table [][]float64) (test, rule string, err error) {
	c, err := newContingency(table)
	if err != nil {
		return "", "", err
	}
	least, _ := c.expected()
	small := len(c.rows) == 2 && len(c.cols) == 2 && least < 5 && min(c.rows[0], c.rows[1], c.cols[0], c.cols[1]) <= maxFisher
	if small {
		return "fisher_exact", fmt.Sprintf("2x2 table with an expected count of %.3g, below 5", least), nil
	}
	return "chi_square_independence", fmt.Sprintf("table whose least expected count is %.3g", least), nil
}

func chooseProportion(d Data) (test, rule string, err error) {
	if len(d.Trials) != len(d.Successes) || len(d.Trials) < 1 || len(d.Trials) > 2 {
		return "", "", wrong("successes and trials", "1 or 2 of each", fmt.Sprintf("%d and %d", len(d.Successes), len(d.Trials)))
	}
	for i := range d.Trials {
		if err := checkTrials(i, d.Successes[i], d.Trials[i]); err != nil {
			return "", "", err
		}
	}
	if len(d.Trials) == 1 {
		if err := levelArg("p0", d.P0); err != nil {
			return "", "", err
		}
		least := d.Trials[0] * min(d.P0, 1-d.P0)
		if least < 5 && d.Trials[0] <= maxBinomial {
			return "binomial", fmt.Sprintf("one proportion with an expected count of %.3g, below 5", least), nil
		}
		return "proportion_z", fmt.Sprintf("one proportion whose least expected count is %.3g", least), nil
	}
	n := d.Trials[0] + d.Trials[1]
	p := (d.Successes[0] + d.Successes[1]) / n
	least := min(d.Trials[0], d.Trials[1]) * min(p, 1-p)
	if least < 5 && min(d.Trials[0], d.Trials[1], p*n, n-p*n) <= maxFisher {
		return "fisher_exact", fmt.Sprintf("two proportions with an expected count of %.3g, below 5", least), nil
	}
	return "proportion_z", fmt.Sprintf("two proportions whose least expected count is %.3g", least), nil
}

func chooseGroups(m *budget.Meter, groups [][]float64) (test, rule string, err error) {
	if _, err := checkGroups(groups, 1); err != nil {
		return "", "", err
	}
	for i, g := range groups {
		normal, why, err := mayUseMean(m, fmt.Sprintf("groups[%d]", i), g)
		if err != nil {
			return "", "", err
		}
		if !normal {
			return "kruskal_wallis", why, nil
		}
	}
	_, p, ok, err := brownForsythe(m, groups)
	switch {
	case err != nil:
		return "", "", err
	case !ok:
		return "kruskal_wallis", "the spread of the groups cannot be compared", nil
	case p < 0.05:
		return "kruskal_wallis", fmt.Sprintf("unequal variances (Brown-Forsythe p = %.3g)", p), nil
	}
	return "anova", fmt.Sprintf("groups large or close to normal (Shapiro-Wilk p of 0.05 or more), variances alike (Brown-Forsythe p = %.3g)", p), nil
}

// chooseByShape returns mean where every sample is large or looks normal, else
// rank.
func chooseByShape(m *budget.Meter, mean, rank, field string, samples ...[]float64) (test, rule string, err error) {
	for i, x := range samples {
		if i > 0 {
			field = "y"
		}
		ok, why, err := mayUseMean(m, field, x)
		if err != nil {
			return "", "", err
		}
		if !ok {
			return rank, why, nil
		}
	}
	return mean, fmt.Sprintf("samples of %d or more, or close to normal (Shapiro-Wilk p of 0.05 or more)", largeSample), nil
}

// mayUseMean reports whether x is large or passes the Shapiro-Wilk test at 5 %.
func mayUseMean(m *budget.Meter, field string, x []float64) (ok bool, why string, err error) {
	if err := checkSample(field, x, 1); err != nil {
		return false, "", err
	}
	if len(x) >= largeSample {
		return true, "", nil
	}
	if len(x) < 3 {
		return false, fmt.Sprintf("%s has only %d values, too few to look normal", field, len(x)), nil
	}
	w, p, err := ShapiroWilk(m, x)
	if err != nil {
		if m.Err() != nil || m.Hit() != budget.None {
			return false, "", err
		}
		return false, field + " does not vary", nil
	}
	if math.IsNaN(p) || p < 0.05 {
		return false, fmt.Sprintf("%s has %d values and does not look normal (Shapiro-Wilk W = %.4f, p = %.3g)", field, len(x), w, p), nil
	}
	return true, "", nil
}
