package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// maxFisher bounds the smallest margin of a table, which is the number of tables
// that the exact test looks at.
const maxFisher = 100_000

// FisherExact tests whether the rows and columns of a 2×2 table are independent,
// given its margins (Fisher 1934). The two-sided p adds every table that is no
// likelier than the one seen. The odds ratio is the conditional maximum
// likelihood estimate with its exact interval.
func FisherExact(m *budget.Meter, table [][]float64, o Options) (*Test, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := newContingency(table)
	if err != nil {
		return nil, err
	}
	if len(c.rows) != 2 || len(c.cols) != 2 {
		return nil, wrong("table", "2 rows of 2 counts; use chi_square_independence for larger tables", fmt.Sprintf("%dx%d", len(c.rows), len(c.cols)))
	}
	h, err := newHypergeometric(m, c)
	if err != nil {
		return nil, err
	}
	at := int(table[0][0]) - h.least
	t := begin(o, "fisher_exact", "Fisher exact test", "Fisher 1934",
		"rows and columns are independent (odds ratio 1)", int(c.n))
	t.decide("table[0][0]", table[0][0], exactTail(h.logs, at, o.Alternative), exact)
	or, err := h.oddsRatio(m, at, o)
	if err != nil {
		return nil, err
	}
	t.effect(or)
	t.phi(c, o)
	t.independent()
	t.assume("fixed margins", NotChecked, "the p value is conditional on the row and column totals")
	return t, nil
}

// hypergeometric is the distribution of the first cell given the margins.
type hypergeometric struct {
	least int // the smallest possible first cell
	logs  []float64
}

func newHypergeometric(m *budget.Meter, c *contingency) (*hypergeometric, error) {
	r, k := c.rows[0], c.cols[0]
	least, most := max(0, r+k-c.n), min(r, k)
	if most-least > maxFisher {
		return nil, wrong("table", fmt.Sprintf("a smallest margin of at most %d for the exact test; use chi_square_independence", maxFisher), most-least)
	}
	h := &hypergeometric{least: int(least), logs: make([]float64, int(most-least)+1)}
	base := logChoose(c.n, k)
	err := each(m, len(h.logs), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			x := least + float64(i)
			h.logs[i] = logChoose(r, x) + logChoose(c.n-r, k-x) - base
		}
	})
	return h, err
}

// tilted returns the mean and the two tails at the index at, of the distribution
// for a given logarithm of the odds ratio (Fisher's noncentral hypergeometric).
func (h *hypergeometric) tilted(logOdds float64, at int) (mean, atMost, atLeast float64) {
	top := math.Inf(-1)
	for i, l := range h.logs {
		top = max(top, l+float64(i)*logOdds)
	}
	var total float64
	for i, l := range h.logs {
		p := math.Exp(l + float64(i)*logOdds - top)
		total += p
		mean += p * float64(i)
		if i <= at {
			atMost += p
		}
		if i >= at {
			atLeast += p
		}
	}
	return mean / total, atMost / total, atLeast / total
}

func (h *hypergeometric) oddsRatio(m *budget.Meter, at int, o Options) (Estimate, error) {
	e := Estimate{Name: "odds ratio", Note: "conditional maximum likelihood"}
	last := len(h.logs) - 1
	if last == 0 {
		e.Note = "the margins leave only one table"
		return e, nil
	}
	find := func(f func(mean, atMost, atLeast float64) float64) float64 {
		g := func(l float64) float64 {
			if !m.Step(int64(len(h.logs)/16 + 1)) {
				return 0 // ends the search; the caller looks at the meter
			}
			return f(h.tilted(l, at))
		}
		reach := 2.0
		for (g(-reach) > 0) == (g(reach) > 0) && reach < 600 {
			reach *= 2
		}
		return math.Exp(solve(g, -reach, reach))
	}
	tail := o.Alpha / 2
	iv := &Interval{Low: new(0.0), Level: o.level(), Method: "exact, conditional on the margins (Cornfield 1956)"}
	e.Interval = iv
	switch at {
	case 0:
		e.Value = new(0.0)
	case last:
		e.Note = "the estimate is infinite: a cell is 0"
	default:
		e.Value = known(find(func(mean, _, _ float64) float64 { return mean - float64(at) }))
	}
	if at > 0 {
		iv.Low = known(find(func(_, _, atLeast float64) float64 { return atLeast - tail }))
	}
	if at < last {
		iv.High = known(find(func(_, atMost, _ float64) float64 { return tail - atMost }))
	}
	if m.Err() != nil || m.Hit() != budget.None {
		return e, spent(m)
	}
	return e, nil
}
