package stats

import (
	"cmp"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Correction is one way to correct p values for their number.
type Correction struct {
	Method   string    `json:"method"`
	Source   string    `json:"source"`
	Controls string    `json:"controls"`
	Adjusted []float64 `json:"adjusted"` // in the order of the input
	Rejected []bool    `json:"rejected"`
	Count    int       `json:"rejections"`
}

// Corrections are a family of p values, corrected.
type Corrections struct {
	N     int        `json:"n"`
	Alpha float64    `json:"alpha"`
	Holm  Correction `json:"holm"`
	BH    Correction `json:"benjaminiHochberg"`

	Assumptions []Assumption `json:"assumptions"`
}

// AdjustPValues corrects a family of p values: Holm's step-down procedure
// controls the chance of any false rejection, whatever the dependence; Benjamini
// and Hochberg's step-up procedure the expected share of false rejections, under
// independence or positive dependence.
func AdjustPValues(m *budget.Meter, p []float64, alpha float64) (*Corrections, error) {
	if err := levelArg("alpha", alpha); err != nil {
		return nil, err
	}
	switch {
	case len(p) == 0:
		return nil, missing("pValues", "at least one p value")
	case len(p) > MaxPValues:
		return nil, wrong("pValues", fmt.Sprintf("at most %d", MaxPValues), len(p))
	}
	for i, v := range p {
		if !(v >= 0 && v <= 1) { // a path for each would take longer than the rest
			return nil, probabilityArg(fmt.Sprintf("pValues[%d]", i), v)
		}
	}
	n := len(p)
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	byValue := func(a, b int) int { return cmp.Or(cmp.Compare(p[a], p[b]), cmp.Compare(a, b)) }
	if err := sortBy(m, order, byValue); err != nil {
		return nil, err
	}
	holm, bh := make([]float64, n), make([]float64, n)
	var floor float64
	for k, i := range order {
		floor = max(floor, min(1, p[i]*float64(n-k)))
		holm[i] = floor
	}
	ceiling := 1.0
	for k := n - 1; k >= 0; k-- {
		i := order[k]
		ceiling = min(ceiling, p[i]*(float64(n)/float64(k+1)))
		bh[i] = ceiling
	}
	return &Corrections{
		N: n, Alpha: alpha,
		Holm: decided("Holm", "Holm 1979", "family-wise error rate", holm, alpha),
		BH:   decided("Benjamini-Hochberg", "Benjamini & Hochberg 1995", "false discovery rate", bh, alpha),
		Assumptions: []Assumption{
			{Name: "valid p values, all of the family", Status: NotChecked, Detail: "they were taken from the call; leaving some out after seeing them defeats the correction"},
			{Name: "independent or positively dependent tests", Status: NotChecked, Detail: "needed by Benjamini-Hochberg; Holm does without"},
		},
	}, nil
}

func decided(method, source, controls string, adjusted []float64, alpha float64) Correction {
	c := Correction{Method: method, Source: source, Controls: controls, Adjusted: adjusted, Rejected: make([]bool, len(adjusted))}
	for i, v := range adjusted {
		if v <= alpha*(1+1e-12) { // p·n/k is rounded: 0.05·5/5 must count as 0.05
			c.Rejected[i] = true
			c.Count++
		}
	}
	return c
}
