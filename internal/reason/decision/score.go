package decision

import (
	"cmp"
	"fmt"
	"math"
)

// scorer scores a fixed set of options for any weights that sum to 1; more is
// better. It is what the sensitivity analyses vary.
type scorer interface {
	// score writes the scores of all options to out.
	score(w, out []float64)
	// tolerance returns the difference below which two scores for w are equal.
	tolerance(w []float64) float64
}

// linear scores by Σ wⱼ·vᵢⱼ: the weighted sum itself, AHP, the logarithm of the
// weighted product, and expected utility over states.
type linear struct{ v [][]float64 }

func (l linear) score(w, out []float64) {
	for i, row := range l.v {
		total := 0.0
		for j, x := range row {
			total += w[j] * x
		}
		out[i] = total
	}
}

func (l linear) tolerance(w []float64) float64 {
	peak := 0.0
	for _, row := range l.v {
		total := 0.0
		for j, x := range row {
			total += w[j] * math.Abs(x)
		}
		peak = max(peak, total)
	}
	return slack * peak
}

// closeness scores by TOPSIS: the distance to the worst point as a share of the
// distances to the worst and the best.
type closeness struct {
	v      [][]float64 // vector-normalized, sign as given
	up, dn [][]float64 // squared distances to the best and the worst value of each criterion
	hi, lo []float64   // best and worst value of each criterion
}

func newCloseness(x [][]float64, minimize []bool) closeness {
	n, m := len(x), len(minimize)
	c := closeness{v: grid(n, m), up: grid(n, m), dn: grid(n, m), hi: make([]float64, m), lo: make([]float64, m)}
	column := make([]float64, n)
	for j := range m {
		for i := range x {
			column[i] = x[i][j]
		}
		unit(column)
		c.hi[j], c.lo[j] = column[0], column[0]
		for i, v := range column {
			c.v[i][j] = v
			c.hi[j], c.lo[j] = max(c.hi[j], v), min(c.lo[j], v)
		}
		if minimize[j] {
			c.hi[j], c.lo[j] = c.lo[j], c.hi[j]
		}
		for i, v := range column {
			c.up[i][j] = (v - c.hi[j]) * (v - c.hi[j])
			c.dn[i][j] = (v - c.lo[j]) * (v - c.lo[j])
		}
	}
	return c
}

// distances returns how far option i is from the best and the worst point.
func (c closeness) distances(i int, w []float64) (up, dn float64) {
	for j, wj := range w {
		up += wj * wj * c.up[i][j]
		dn += wj * wj * c.dn[i][j]
	}
	return math.Sqrt(up), math.Sqrt(dn)
}

// score gives every option ½ where all of them coincide, which the ratio leaves
// open; an analysis refuses that case before it reports a number.
func (c closeness) score(w, out []float64) {
	for i := range c.v {
		up, dn := c.distances(i, w)
		if up+dn == 0 {
			out[i] = 0.5
		} else {
			out[i] = dn / (up + dn)
		}
	}
}

func (c closeness) tolerance([]float64) float64 { return slack }

func grid(n, m int) [][]float64 {
	cells := make([]float64, n*m)
	rows := make([][]float64, n)
	for i := range rows {
		rows[i] = cells[i*m : (i+1)*m : (i+1)*m]
	}
	return rows
}

// board is a set of options scored on dimensions: criteria, or states of the
// world with their probabilities for weights.
type board struct {
	rows   []int // positions in model.options
	dims   []string
	w      []float64
	scorer scorer
}

func (b *board) scores(w []float64) []float64 {
	out := make([]float64, len(b.rows))
	b.scorer.score(w, out)
	return out
}

// buildBoard scores the options rows, whose raw values are x, by an attribute
// method. It is called again with fewer rows by the check for rank reversal,
// since normalization depends on who takes part.
func (md *model) buildBoard(rows []int, x [][]float64) (*board, error) {
	b := &board{rows: rows}
	minimize := make([]bool, len(md.active))
	for k, j := range md.active {
		b.dims = append(b.dims, cmp.Or(md.p.Criteria[j].Name, "overall"))
		b.w = append(b.w, md.weights[j])
		minimize[k] = md.p.Criteria[j].Minimize
	}
	if md.s.Method == TOPSIS {
		b.scorer = newCloseness(x, minimize)
		return b, nil
	}
	v := grid(len(rows), len(md.active))
	for k := range md.active {
		column := make([]float64, len(rows))
		for i := range x {
			column[i] = x[i][k]
		}
		column, err := md.column(rows, k, column, minimize[k])
		if err != nil {
			return nil, err
		}
		for i := range v {
			v[i][k] = column[i]
		}
	}
	b.scorer = linear{v}
	return b, nil
}

// column turns the values of the k-th active criterion into comparable ones.
func (md *model) column(rows []int, k int, x []float64, minimize bool) ([]float64, error) {
	name := md.p.Criteria[md.active[k]].Name
	field := func(row int) string { return fmt.Sprintf("options[%d].attributes.%s", rows[row], name) }
	if md.s.Method == WeightedProduct {
		for i := range x {
			if x[i] <= 0 {
				return nil, bad(field(i), "a value above 0: the weighted product multiplies powers; multi-criteria takes any value", x[i])
			}
			x[i] = math.Log(x[i])
			if minimize {
				x[i] = -x[i]
			}
		}
		return x, nil
	}
	if md.s.Method == AHP {
		if j := md.p.Comparisons.Options[name]; !j.empty() {
			return md.judged(rows, name, j)
		}
	}
	v, not := normalizeColumn(x, minimize, md.s.normalization())
	if not != nil {
		return nil, bad(field(not.row), not.want, x[not.row])
	}
	return v, nil
}

func (s *Settings) normalization() Normalization {
	switch {
	case s.Normalization != "":
		return s.Normalization
	case s.Method == AHP:
		return Sum // Saaty's distributive mode
	}
	return MinMax
}
