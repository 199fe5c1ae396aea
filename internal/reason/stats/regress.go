package stats

import (
	"cmp"
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// maxDesign bounds the numbers of a regression, so that its columns fit in
// memory several times over.
const maxDesign = 5_000_000

// Coefficient is one term of a fitted regression.
type Coefficient struct {
	Name     string    `json:"name"`
	Estimate float64   `json:"estimate"`
	SE       float64   `json:"standardError"`
	T        *float64  `json:"t,omitempty"`
	P        *float64  `json:"pValue,omitempty"`
	Interval *Interval `json:"interval"`
}

// Regression is a linear model fitted by ordinary least squares.
type Regression struct {
	N            int           `json:"n"`
	Coefficients []Coefficient `json:"coefficients"` // the intercept first
	RSquared     *float64      `json:"rSquared,omitempty"`
	Adjusted     *float64      `json:"adjustedRSquared,omitempty"`
	ResidualSD   float64       `json:"residualStddev"`
	DF           int           `json:"dof"` // of the residuals
	F            *float64      `json:"f,omitempty"`
	FP           *float64      `json:"fPValue,omitempty"`
	Assumptions  []Assumption  `json:"assumptions"`
	Notes        []string      `json:"notes"`
}

// Column is a named predictor.
type Column struct {
	Name   string // in the result
	Field  string // in errors; Name when empty
	Values []float64
}

func (c Column) field() string { return cmp.Or(c.Field, c.Name) }

// Regress fits y = b0 + Σ b·column by least squares: centred columns and modified
// Gram-Schmidt on the augmented matrix, which is as accurate as Householder's
// method (Björck 1967). A column that is a combination of others is an error.
func Regress(m *budget.Meter, y []float64, columns []Column, level float64) (*Regression, error) {
	if err := checkDesign(y, columns, level); err != nil {
		return nil, err
	}
	fit, err := newFit(m, y, columns)
	if err != nil {
		return nil, err
	}
	return fit.report(m, columns, level)
}

func checkDesign(y []float64, columns []Column, level float64) error {
	if err := levelArg("confidence", level); err != nil {
		return err
	}
	switch k := len(columns); {
	case k == 0:
		return missing("x", "at least one predictor")
	case k > MaxTerms:
		return wrong("x", fmt.Sprintf("at most %d predictors", MaxTerms), k)
	}
	if err := checkSample("y", y, len(columns)+2); err != nil {
		return err
	}
	if n := len(y) * (len(columns) + 1); n > maxDesign {
		return wrong("x", fmt.Sprintf("at most %d numbers in all columns together", maxDesign), n)
	}
	for _, c := range columns {
		if err := checkSample(c.field(), c.Values, 1); err != nil {
			return err
		}
		if len(c.Values) != len(y) {
			return wrong(c.field(), fmt.Sprintf("%d values, one for each of y", len(y)), len(c.Values))
		}
	}
	return nil
}

// fit is the triangular factor of the centred and scaled columns and y, and what
// the residuals are.
type fit struct {
	n      int
	yMean  float64
	yScale float64
	means  []float64
	scales []float64
	r      [][]float64 // upper triangle, with ones on the diagonal
	norms  []float64   // squared norms of the orthogonal columns
	z      []float64   // projections of y on them
	rest   []float64   // residuals, over yScale
	sst    float64     // sum of squares of centred y, over yScale²
}

// dependent is the share of a column's square below which what the others leave
// of it is rounding.
const dependent = 1e-20

func newFit(m *budget.Meter, y []float64, columns []Column) (*fit, error) {
	f := &fit{n: len(y), r: make([][]float64, len(columns))}
	var err error
	var cy central
	if f.rest, cy, err = centred(m, y); err != nil {
		return nil, err
	}
	f.yMean, f.yScale = cy.mean, cy.scale
	if f.sst, err = dotProduct(m, f.rest, f.rest); err != nil {
		return nil, err
	}
	q := make([][]float64, len(columns))
	for j, c := range columns {
		col, cc, err := centred(m, c.Values)
		if err != nil {
			return nil, err
		}
		if cc.scale == 0 {
			return nil, wrong(c.field(), "values that vary; the intercept is there already", "equal values only")
		}
		q[j] = col
		f.means, f.scales = append(f.means, cc.mean), append(f.scales, cc.scale)
	}
	for j := range q {
		before := float64(f.n) // an upper bound of the squared norm of a scaled column
		norm, err := dotProduct(m, q[j], q[j])
		if err != nil {
			return nil, err
		}
		if norm <= dependent*before {
			return nil, wrong(columns[j].field(), "a column that is no combination of those before it", "one that adds nothing")
		}
		f.norms = append(f.norms, norm)
		f.r[j] = make([]float64, len(q))
		for k := j + 1; k < len(q); k++ {
			if f.r[j][k], err = project(m, q[j], q[k], norm); err != nil {
				return nil, err
			}
		}
		z, err := project(m, q[j], f.rest, norm)
		if err != nil {
			return nil, err
		}
		f.z = append(f.z, z)
	}
	return f, nil
}

// centred returns (x−mean)/scale.
func centred(m *budget.Meter, x []float64) ([]float64, central, error) {
	c, err := centralMoments(m, x)
	if err != nil {
		return nil, c, err
	}
	out := make([]float64, len(x))
	if c.scale == 0 {
		return out, c, nil
	}
	return out, c, each(m, len(x), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			out[i] = (x[i] - c.mean) / c.scale
		}
	})
}

func dotProduct(m *budget.Meter, a, b []float64) (float64, error) {
	var s sum
	err := each(m, len(a), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			s.add(a[i] * b[i])
		}
	})
	return s.value(), err
}

// project removes from b its part along a, whose squared norm is given, and
// returns the coefficient.
func project(m *budget.Meter, a, b []float64, norm float64) (float64, error) {
	d, err := dotProduct(m, a, b)
	if err != nil {
		return 0, err
	}
	c := d / norm
	return c, each(m, len(a), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			b[i] -= c * a[i]
		}
	})
}

func (f *fit) report(m *budget.Meter, columns []Column, level float64) (*Regression, error) {
	sse, err := dotProduct(m, f.rest, f.rest)
	if err != nil {
		return nil, err
	}
	k := len(columns)
	df := f.n - k - 1
	sigma := math.Sqrt(sse / float64(df)) // over yScale
	out := &Regression{N: f.n, DF: df, ResidualSD: sigma * f.yScale, Notes: []string{}}
	slopes, spread := f.solve()
	crit := tQuantile((1+level)/2, float64(df))
	intercept := f.yMean
	for j := range columns {
		intercept -= slopes[j] * f.yScale / f.scales[j] * f.means[j]
	}
	out.add("intercept", intercept, sigma*f.yScale*math.Sqrt(1/float64(f.n)+f.leverage()), crit, level)
	for j, c := range columns {
		unit := f.yScale / f.scales[j]
		out.add(c.Name, slopes[j]*unit, sigma*unit*math.Sqrt(spread[j]), crit, level)
	}
	out.quality(f, sse, k)
	return out, out.assume(m, f.rest)
}

// solve returns the coefficients of the scaled columns and the diagonal of the
// inverse of their cross products.
func (f *fit) solve() (slopes, spread []float64) {
	k := len(f.z)
	slopes, spread = make([]float64, k), make([]float64, k)
	for j := k - 1; j >= 0; j-- {
		slopes[j] = f.z[j]
		for i := j + 1; i < k; i++ {
			slopes[j] -= f.r[j][i] * slopes[i]
		}
	}
	for j := range k { // row j of the inverse of the triangle
		for i, v := range f.inverseRow(j) {
			spread[j] += v * v / f.norms[i]
		}
	}
	return slopes, spread
}

func (f *fit) inverseRow(j int) []float64 {
	k := len(f.z)
	row := make([]float64, k)
	row[j] = 1
	for i := j + 1; i < k; i++ {
		for l := j; l < i; l++ {
			row[i] -= row[l] * f.r[l][i]
		}
	}
	return row
}

// leverage returns the squared length of the means in the metric of the columns:
// the part of the intercept's variance that the slopes add.
func (f *fit) leverage() float64 {
	k := len(f.z)
	w := make([]float64, k)
	for j := range k {
		for i, v := range f.inverseRow(j) {
			w[i] += f.means[j] / f.scales[j] * v
		}
	}
	var s float64
	for i, v := range w {
		s += v * v / f.norms[i]
	}
	return s
}

func (r *Regression) add(name string, b, se, crit, level float64) {
	c := Coefficient{
		Name: name, Estimate: b, SE: se,
		Interval: &Interval{Low: known(b - crit*se), High: known(b + crit*se), Level: level, Method: "Student t"},
	}
	if t := b / se; known(t) != nil {
		c.T, c.P = known(t), known(clamp(2*tSF(math.Abs(t), float64(r.DF))))
	}
	r.Coefficients = append(r.Coefficients, c)
}

func (r *Regression) quality(f *fit, sse float64, k int) {
	if f.sst == 0 {
		r.Notes = append(r.Notes, "y does not vary: R squared and F are not assessable")
		return
	}
	r2 := clamp(1 - sse/f.sst)
	r.RSquared = known(r2)
	r.Adjusted = known(1 - sse/float64(r.DF)/(f.sst/float64(f.n-1)))
	F := (f.sst - sse) / float64(k) / (sse / float64(r.DF))
	if known(F) == nil {
		r.Notes = append(r.Notes, "the fit is exact: F and the tests of the coefficients are not assessable")
		return
	}
	r.F, r.FP = known(F), known(fSF(F, float64(k), float64(r.DF)))
}

// assume notes what the residuals say.
func (r *Regression) assume(m *budget.Meter, rest []float64) error {
	t := &Test{}
	t.assume("linear relation", NotChecked, "look at a plot of the residuals")
	t.assume("equal variance of the errors", NotChecked, "look at a plot of the residuals against the fit")
	var step, square float64
	for i, v := range rest {
		square += v * v
		if i > 0 {
			step += (v - rest[i-1]) * (v - rest[i-1])
		}
	}
	if square > 0 {
		t.assume("independent errors", NotChecked, "Durbin-Watson %.3g in the given order (about 2 without serial correlation)", step/square)
		if err := t.normality(m, Sample{Field: "residuals", Values: rest}); err != nil {
			return err
		}
	}
	r.Assumptions = t.Assumptions
	return nil
}
