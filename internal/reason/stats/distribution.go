package stats

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat/distuv"
)

// Distribution names a distribution and gives its parameters by name.
type Distribution struct {
	Kind    string
	Params  map[string]float64
	Values  []float64 // of a discrete distribution
	Weights []float64 // of Values, made to add up to 1; nil: equal
}

// family describes one kind of distribution.
type family struct {
	params   []string
	optional map[string]float64                             // parameters with a default
	check    func(field string, p map[string]float64) error // beyond being finite
	sample   func(p map[string]float64) func(*rand.Rand) float64
	cdf      func(p map[string]float64) func(float64) float64 // nil for a lattice
	mean     func(p map[string]float64) float64
	variance func(p map[string]float64) float64
}

// Distributions returns the names of the distributions, sorted.
func Distributions() []string {
	names := []string{"discrete"}
	for k := range families() {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}

// DistributionParams returns the parameters of a kind; those with a default end
// in "?".
func DistributionParams(kind string) []string {
	if kind == "discrete" {
		return []string{"values", "weights?"}
	}
	f, ok := families()[kind]
	if !ok {
		return nil
	}
	names := slices.Clone(f.params)
	for k := range f.optional {
		names = append(names, k+"?")
	}
	slices.Sort(names[len(f.params):])
	return names
}

// String writes d as in normal(mean=0, sd=1).
func (d Distribution) String() string {
	if d.Kind == "discrete" {
		return fmt.Sprintf("discrete(%d values)", len(d.Values))
	}
	keys := make([]string, 0, len(d.Params))
	for k := range d.Params {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for i, k := range keys {
		keys[i] = fmt.Sprintf("%s=%g", k, d.Params[k])
	}
	return d.Kind + "(" + strings.Join(keys, ", ") + ")"
}

// resolve checks d and returns its family with all parameters set.
func (d Distribution) resolve(field string) (family, map[string]float64, error) {
	f, ok := families()[d.Kind]
	if !ok {
		return f, nil, wrong(field+".distribution", "one of "+strings.Join(Distributions(), ", "), d.Kind)
	}
	want := fmt.Sprintf("the parameters of %s: %s", d.Kind, strings.Join(DistributionParams(d.Kind), ", "))
	if d.Values != nil || d.Weights != nil {
		return f, nil, wrong(field, want, "values or weights, which are for discrete")
	}
	p := map[string]float64{}
	maps.Copy(p, f.optional)
	keys := make([]string, 0, len(d.Params))
	for k := range d.Params {
		keys = append(keys, k)
	}
	slices.Sort(keys) // the first problem is always the same one
	for _, k := range keys {
		if _, optional := f.optional[k]; !optional && !slices.Contains(f.params, k) {
			return f, nil, wrong(field+"."+k, want, k)
		}
		if err := finiteArg(field+"."+k, d.Params[k]); err != nil {
			return f, nil, err
		}
		p[k] = d.Params[k]
	}
	for _, k := range f.params {
		if _, ok := p[k]; !ok {
			return f, nil, missing(field+"."+k, want)
		}
	}
	return f, p, f.check(field, p)
}

// sampler returns a function that draws from d.
func (d Distribution) sampler(field string) (func(*rand.Rand) float64, error) {
	if d.Kind == "discrete" {
		return d.discrete(field)
	}
	f, p, err := d.resolve(field)
	if err != nil {
		return nil, err
	}
	return f.sample(p), nil
}

// moments returns the mean and variance of d; infinite or NaN where it has none.
func (d Distribution) moments() (mean, variance float64) {
	if d.Kind == "discrete" {
		w := d.normalised()
		for i, v := range d.Values {
			mean += w[i] * v
		}
		for i, v := range d.Values {
			variance += w[i] * (v - mean) * (v - mean)
		}
		return mean, variance
	}
	f, p, err := d.resolve("distribution")
	if err != nil {
		return math.NaN(), math.NaN()
	}
	return f.mean(p), f.variance(p)
}

func (d Distribution) continuousCDF(field string) (func(float64) float64, error) {
	if d.Kind == "discrete" {
		return nil, wrong(field+".distribution", "a continuous distribution", d.Kind)
	}
	f, p, err := d.resolve(field)
	if err != nil {
		return nil, err
	}
	if f.cdf == nil {
		return nil, wrong(field+".distribution", "a continuous distribution", d.Kind)
	}
	return f.cdf(p), nil
}

func (d Distribution) normalised() []float64 {
	w := make([]float64, len(d.Values))
	var s sum
	for i := range w {
		w[i] = 1
		if d.Weights != nil {
			w[i] = d.Weights[i]
		}
		s.add(w[i])
	}
	for i := range w {
		w[i] /= s.value()
	}
	return w
}

// discrete draws by the alias method (Walker 1977, Vose 1991): constant time.
func (d Distribution) discrete(field string) (func(*rand.Rand) float64, error) {
	if len(d.Params) > 0 {
		return nil, wrong(field, "values and weights only", "other parameters")
	}
	if err := checkSample(field+".values", d.Values, 1); err != nil {
		return nil, err
	}
	if d.Weights != nil && len(d.Weights) != len(d.Values) {
		return nil, wrong(field+".weights", fmt.Sprintf("%d weights, one for each value", len(d.Values)), len(d.Weights))
	}
	var total float64
	for i, w := range d.Weights {
		if !(w >= 0) || math.IsInf(w, 0) {
			return nil, wrong(fmt.Sprintf("%s.weights[%d]", field, i), "a finite weight, 0 or above", w)
		}
		total += w
	}
	if d.Weights != nil && (total == 0 || math.IsInf(total, 0)) {
		return nil, wrong(field+".weights", "weights with a finite sum above 0", total)
	}
	cut, alias := aliases(d.normalised())
	values := d.Values
	return func(r *rand.Rand) float64 {
		i := r.IntN(len(values))
		if r.Float64() >= cut[i] {
			i = alias[i]
		}
		return values[i]
	}, nil
}

func aliases(w []float64) (cut []float64, alias []int) {
	n := len(w)
	cut, alias = make([]float64, n), make([]int, n)
	var small, large []int
	for i := range w {
		cut[i], alias[i] = w[i]*float64(n), i
		if cut[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		alias[s] = l
		if cut[l] -= 1 - cut[s]; cut[l] < 1 {
			large = large[:len(large)-1]
			small = append(small, l)
		}
	}
	for _, rest := range [][]int{small, large} { // 1 but for rounding
		for _, i := range rest {
			cut[i] = 1
		}
	}
	return cut, alias
}

// Largest parameters for which the samplers keep their precision.
const (
	maxShape  = 1e9
	minShape  = 1e-3
	maxTrials = 1e9
	maxRate   = 1e9
)

func shapeArg(field string, v float64) error {
	if v < minShape || v > maxShape {
		return wrong(field, fmt.Sprintf("a shape from %g to %g", float64(minShape), float64(maxShape)), v)
	}
	return nil
}

// logGammaDraw returns the logarithm of a gamma variate of unit rate. It does
// not underflow for a small shape.
func logGammaDraw(r *rand.Rand, shape float64) float64 {
	if shape >= 1 {
		return math.Log(distuv.Gamma{Alpha: shape, Beta: 1, Src: r}.Rand())
	}
	return math.Log(distuv.Gamma{Alpha: shape + 1, Beta: 1, Src: r}.Rand()) - r.ExpFloat64()/shape
}
