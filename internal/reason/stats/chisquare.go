package stats

import (
	"fmt"
	"math"
)

// GoodnessOfFit tests whether counts follow the expected ones: counts with the
// same total, or probabilities that add up to 1, or nil for equal frequencies.
// estimated is how many parameters of the expected distribution were fitted to
// the same data; each costs a degree of freedom (Fisher 1924).
func GoodnessOfFit(observed, expected []float64, estimated int, o Options) (*Test, error) {
	if err := o.checkTwoSided("a chi-squared test"); err != nil {
		return nil, err
	}
	n, err := checkCounts("observed", observed)
	if err != nil {
		return nil, err
	}
	want, null, err := expectedCounts(observed, expected, n)
	if err != nil {
		return nil, err
	}
	df := float64(len(observed) - 1 - estimated)
	if estimated < 0 || df < 1 {
		return nil, wrong("estimatedParameters", fmt.Sprintf("0 to %d", len(observed)-2), estimated)
	}
	var chi sum
	least, small := math.Inf(1), 0
	for i, e := range want {
		chi.add((observed[i] - e) * (observed[i] - e) / e)
		least = min(least, e)
		if e < 5 {
			small++
		}
	}
	x := chi.value()
	t := begin(o, "chi_square_gof", "Pearson chi-squared test of goodness of fit", "Pearson 1900", null, int(n))
	t.DF = known(df)
	t.decide("chi-squared", x, chiSF(x, df), asymptotic)
	w := math.Sqrt(x / n)
	t.effect(chiEffect("Cohen w", w, x, df, n, o))
	t.independent()
	t.cochran(least, small, len(want))
	return t, nil
}

func checkCounts(field string, counts []float64) (total float64, err error) {
	switch {
	case len(counts) < 2:
		return 0, wrong(field, "at least 2 counts", len(counts))
	case len(counts) > MaxCells:
		return 0, wrong(field, fmt.Sprintf("at most %d counts", MaxCells), len(counts))
	}
	for i, c := range counts {
		if err := countArg(fmt.Sprintf("%s[%d]", field, i), c); err != nil {
			return 0, err
		}
		total += c
	}
	if total == 0 {
		return 0, wrong(field, "at least one observation", "only zeros")
	}
	return total, nil
}

func expectedCounts(observed, expected []float64, n float64) (want []float64, null string, err error) {
	want = make([]float64, len(observed))
	if expected == nil {
		for i := range want {
			want[i] = n / float64(len(want))
		}
		return want, "all categories are equally likely (no expected counts were given)", nil
	}
	if len(expected) != len(observed) {
		return nil, "", wrong("expected", fmt.Sprintf("%d values, one for each of observed", len(observed)), len(expected))
	}
	var total sum
	for i, e := range expected {
		if err := positiveArg(fmt.Sprintf("expected[%d]", i), e); err != nil {
			return nil, "", err
		}
		total.add(e)
	}
	s := total.value()
	if math.Abs(s-1) > 1e-6 && math.Abs(s-n) > 1e-6*n {
		return nil, "", wrong("expected", fmt.Sprintf("counts that add up to the %g observed ones, or probabilities that add up to 1", n), s)
	}
	for i, e := range expected {
		want[i] = e / s * n
	}
	return want, "the categories have the expected frequencies", nil
}

// cochran notes the rule of Cochran (1954) for the chi-squared approximation.
func (t *Test) cochran(least float64, small, cells int) {
	status := Met
	if least < 1 || float64(small) > 0.2*float64(cells) {
		status = Doubtful
	}
	t.assume("expected counts", status, "the least is %.4g; %d of %d are below 5 (rule: none below 1, at most a fifth below 5)", least, small, cells)
}

// chiEffect returns an effect size √(χ²/(n·k)), whose value is given, with the
// interval of the noncentrality. That is an interval of the population's value,
// which the estimate overstates by about df/n, so it can lie below the estimate.
func chiEffect(name string, value, x, df, nk float64, o Options) Estimate {
	e := Estimate{Name: name, Value: known(value)}
	low, high, ok := noncentralBounds(func(l float64) float64 { return noncentralChi(x, df, l) }, o.level())
	e.noncentral(ok, math.Sqrt(low/nk), math.Sqrt(high/nk), o, "noncentral chi-squared (Steiger & Fouladi 1997)")
	return e
}

// noncentral sets an interval from the noncentralities that agree with a
// statistic. There are none where it is smaller than chance alone makes it.
func (e *Estimate) noncentral(ok bool, low, high float64, o Options, method string) {
	switch {
	case !ok:
		e.Note = "the statistic is too large for an interval"
	case high == 0:
		e.Note = "no interval: the statistic is smaller than chance alone makes it in all but a few samples"
	default:
		e.Interval = between(low, high, o, method)
	}
}

// contingency is a checked table with its margins.
type contingency struct {
	cells      [][]float64
	rows, cols []float64
	n          float64
}

func newContingency(table [][]float64) (*contingency, error) {
	if len(table) < 2 {
		return nil, wrong("table", "at least 2 rows of counts", len(table))
	}
	c := &contingency{cells: table, rows: make([]float64, len(table)), cols: make([]float64, len(table[0]))}
	if len(c.cols) < 2 {
		return nil, wrong("table[0]", "at least 2 counts", len(c.cols))
	}
	if len(c.rows)*len(c.cols) > MaxCells {
		return nil, wrong("table", fmt.Sprintf("at most %d cells", MaxCells), len(c.rows)*len(c.cols))
	}
	for i, row := range table {
		if len(row) != len(c.cols) {
			return nil, wrong(fmt.Sprintf("table[%d]", i), fmt.Sprintf("%d counts, as in the first row", len(c.cols)), len(row))
		}
		for j, v := range row {
			if err := countArg(fmt.Sprintf("table[%d][%d]", i, j), v); err != nil {
				return nil, err
			}
			c.rows[i] += v
			c.cols[j] += v
			c.n += v
		}
	}
	for i, r := range c.rows {
		if r == 0 {
			return nil, wrong(fmt.Sprintf("table[%d]", i), "a row with at least one observation", "only zeros")
		}
	}
	for j, k := range c.cols {
		if k == 0 {
			return nil, wrong("table", fmt.Sprintf("at least one observation in column %d", j), "only zeros")
		}
	}
	return c, nil
}

// Independence tests whether the rows and columns of a table of counts are
// independent. yates asks for the continuity correction of 2×2 tables.
func Independence(table [][]float64, yates bool, o Options) (*Test, error) {
	if err := o.checkTwoSided("a chi-squared test"); err != nil {
		return nil, err
	}
	c, err := newContingency(table)
	if err != nil {
		return nil, err
	}
	square := len(c.rows) == 2 && len(c.cols) == 2
	if yates && !square {
		return nil, wrong("yates", "false: the correction is for 2x2 tables", "true")
	}
	plain, worst := c.chi(false)
	x := plain
	method := "Pearson chi-squared test of independence"
	if yates {
		x, _ = c.chi(true)
		method += ", Yates correction"
	}
	df := float64((len(c.rows) - 1) * (len(c.cols) - 1))
	t := begin(o, "chi_square_independence", method, "Pearson 1900; Fisher 1922", "rows and columns are independent", int(c.n))
	t.DF = known(df)
	t.decide("chi-squared", x, chiSF(x, df), asymptotic)
	k := float64(min(len(c.rows), len(c.cols)) - 1)
	if square {
		t.phi(c, o)
	}
	t.effect(chiEffect("Cramer V", math.Sqrt(plain/(c.n*k)), plain, df, c.n*k, o))
	if square {
		t.oddsRatio(table[0][0], table[0][1], table[1][0], table[1][1], o)
	}
	t.independent()
	least, small := c.expected()
	t.cochran(least, small, len(c.rows)*len(c.cols))
	t.Notes = append(t.Notes, worst)
	return t, nil
}

// chi returns the statistic and names the cell with the largest adjusted
// residual (Haberman 1973).
func (c *contingency) chi(yates bool) (x float64, where string) {
	var s sum
	var at [2]int
	var residual float64
	for i, row := range c.cells {
		for j, v := range row {
			e := c.rows[i] / c.n * c.cols[j]
			d := v - e
			if yates {
				d = max(0, math.Abs(d)-0.5)
			}
			s.add(d * d / e)
			r := (v - e) / math.Sqrt(e*(1-c.rows[i]/c.n)*(1-c.cols[j]/c.n))
			if math.Abs(r) > math.Abs(residual) {
				residual, at = r, [2]int{i, j}
			}
		}
	}
	return s.value(), fmt.Sprintf("largest adjusted residual: %.4g in table[%d][%d]", residual, at[0], at[1])
}

func (c *contingency) expected() (least float64, small int) {
	least = math.Inf(1)
	for _, r := range c.rows {
		for _, k := range c.cols {
			e := r / c.n * k
			least = min(least, e)
			if e < 5 {
				small++
			}
		}
	}
	return least, small
}

// phi adds the correlation of the two binary variables with the interval of the
// delta method (Bishop, Fienberg & Holland 1975, ch. 11).
func (t *Test) phi(c *contingency, o Options) {
	a, b, d := c.rows[0]/c.n, c.cols[0]/c.n, c.cells[0][0]/c.n
	ra, rb := a*(1-a), b*(1-b)
	phi := (d - a*b) / math.Sqrt(ra*rb)
	da, db := 2*a-1, 2*b-1
	v := 1 - phi*phi + phi*(1+phi*phi/2)*da*db/math.Sqrt(ra*rb) - 0.75*phi*phi*(da*da/ra+db*db/rb)
	half := normQuantile(1-o.Alpha/2) * math.Sqrt(max(0, v)/c.n)
	t.effect(Estimate{
		Name: "phi", Value: known(phi),
		Interval: between(max(-1, phi-half), min(1, phi+half), o, "delta method (Bishop et al. 1975)"),
	})
}
