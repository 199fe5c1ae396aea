package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Certified values of the NIST Statistical Reference Datasets.
func TestRegressNorris(t *testing.T) {
	y := []float64{0.1, 338.8, 118.1, 888.0, 9.2, 228.1, 668.5, 998.5, 449.1, 778.9, 559.2, 0.3, 0.1, 778.1, 668.8, 339.3, 448.9, 10.8, 557.7, 228.3, 998.0, 888.8, 119.6, 0.3, 0.6, 557.6, 339.3, 888.0, 998.5, 778.9, 10.2, 117.6, 228.9, 668.4, 449.2, 0.2}
	x := []float64{0.2, 337.4, 118.2, 884.6, 10.1, 226.5, 666.3, 996.3, 448.6, 777.0, 558.2, 0.4, 0.6, 775.5, 666.9, 338.0, 447.5, 11.6, 556.0, 228.1, 995.8, 887.6, 120.2, 0.3, 0.3, 556.8, 339.1, 887.2, 999.0, 779.0, 11.1, 118.3, 229.2, 669.1, 448.9, 0.5}
	r := must[*Regression](t)(Regress(free(), y, []Column{{Name: "x", Values: x}}, 0.95))
	closeTo(t, "intercept", r.Coefficients[0].Estimate, -0.262323073774029, 1e-11)
	closeTo(t, "slope", r.Coefficients[1].Estimate, 1.00211681802045, 1e-13)
	closeTo(t, "se of the intercept", r.Coefficients[0].SE, 0.232818234301152, 1e-12)
	closeTo(t, "se of the slope", r.Coefficients[1].SE, 0.429796848199937e-3, 1e-12)
	closeTo(t, "residual sd", r.ResidualSD, 0.884796396144373, 1e-12)
	closeTo(t, "R squared", *r.RSquared, 0.999993745883712, 1e-14)
	closeTo(t, "F", *r.F, 5436385.54079785, 1e-11)
}

func TestRegressLongley(t *testing.T) {
	y := []float64{60323, 61122, 60171, 61187, 63221, 63639, 64989, 63761, 66019, 67857, 68169, 66513, 68655, 69564, 69331, 70551}
	cols := []Column{
		{Name: "deflator", Values: []float64{83.0, 88.5, 88.2, 89.5, 96.2, 98.1, 99.0, 100.0, 101.2, 104.6, 108.4, 110.8, 112.6, 114.2, 115.7, 116.9}},
		{Name: "gnp", Values: []float64{234289, 259426, 258054, 284599, 328975, 346999, 365385, 363112, 397469, 419180, 442769, 444546, 482704, 502601, 518173, 554894}},
		{Name: "unemployed", Values: []float64{2356, 2325, 3682, 3351, 2099, 1932, 1870, 3578, 2904, 2822, 2936, 4681, 3813, 3931, 4806, 4007}},
		{Name: "forces", Values: []float64{1590, 1456, 1616, 1650, 3099, 3594, 3547, 3350, 3048, 2857, 2798, 2637, 2552, 2514, 2572, 2827}},
		{Name: "population", Values: []float64{107608, 108632, 109773, 110929, 112075, 113270, 115094, 116219, 117388, 118734, 120445, 121950, 123366, 125368, 127852, 130081}},
		{Name: "year", Values: []float64{1947, 1948, 1949, 1950, 1951, 1952, 1953, 1954, 1955, 1956, 1957, 1958, 1959, 1960, 1961, 1962}},
	}
	r := must[*Regression](t)(Regress(free(), y, cols, 0.95))
	for i, want := range []struct{ b, se float64 }{
		{-3482258.63459582, 890420.383607373},
		{15.0618722713733, 84.9149257747669},
		{-0.358191792925910e-1, 0.334910077722432e-1},
		{-2.02022980381683, 0.488399681651699},
		{-1.03322686717359, 0.214274163161675},
		{-0.511041056535807e-1, 0.226073200069370},
		{1829.15146461355, 455.478499142212},
	} {
		closeTo(t, r.Coefficients[i].Name, r.Coefficients[i].Estimate, want.b, 1e-9)
		closeTo(t, "se of "+r.Coefficients[i].Name, r.Coefficients[i].SE, want.se, 1e-9)
	}
	closeTo(t, "residual sd", r.ResidualSD, 304.854073561965, 1e-10)
	closeTo(t, "R squared", *r.RSquared, 0.995479004577296, 1e-12)
	closeTo(t, "F", *r.F, 330.285339234588, 1e-9)
}

func TestRegressRefuses(t *testing.T) {
	y := []float64{1, 2, 3, 5}
	_, err := Regress(free(), y, nil, 0.95)
	refused(t, "no predictor", err, "x")
	_, err = Regress(free(), y, []Column{{Name: "a", Values: []float64{1, 2, 3}}}, 0.95)
	refused(t, "short column", err, "a")
	_, err = Regress(free(), y, []Column{{Name: "a", Values: []float64{2, 2, 2, 2}}}, 0.95)
	refused(t, "constant column", err, "a")
	_, err = Regress(free(), y, []Column{{Name: "a", Values: []float64{1, 2, 4, 8}}, {Name: "b", Values: []float64{3, 5, 9, 17}}}, 0.95)
	refused(t, "b = 2a + 1", err, "b")
	_, err = Regress(free(), []float64{1, 2}, []Column{{Name: "a", Values: []float64{1, 2}}}, 0.95)
	refused(t, "no degrees of freedom", err, "y")
}

func TestRegressExactAndConstant(t *testing.T) {
	x := []float64{1, 2, 3, 4, 5}
	r := must[*Regression](t)(Regress(free(), []float64{3, 3, 3, 3, 3}, []Column{{Name: "x", Values: x}}, 0.95))
	if r.RSquared != nil || r.F != nil || r.Coefficients[1].Estimate != 0 || r.Coefficients[0].Estimate != 3 {
		t.Errorf("constant y: %+v", r)
	}
	r = must[*Regression](t)(Regress(free(), []float64{1, 3, 5, 7, 9}, []Column{{Name: "x", Values: x}}, 0.95))
	near(t, "slope", r.Coefficients[1].Estimate, 2, 1e-15)
	near(t, "intercept", r.Coefficients[0].Estimate, -1, 1e-14)
	near(t, "R squared", *r.RSquared, 1, 1e-15)
}

// The slope of one predictor is r·sy/sx, and its test is that of Pearson's r.
func TestRegressAgreesWithPearson(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(4, 30).Draw(t, "n")
		v := rapid.Float64Range(-10, 10)
		x := append(rapid.SliceOfN(v, n, n).Draw(t, "x"), 25, -25)
		y := append(rapid.SliceOfN(v, n, n).Draw(t, "y"), 3, 25)
		r, err := Regress(free(), y, []Column{{Name: "x", Values: x}}, 0.95)
		if err != nil {
			t.Fatal(err)
		}
		p, err := Pearson(free(), x, y, two)
		if err != nil {
			t.Fatal(err)
		}
		a, _ := momentsOf(free(), x)
		b, _ := momentsOf(free(), y)
		same(t, "slope", r.Coefficients[1].Estimate, *p.Effect*b.SD()/a.SD())
		same(t, "R squared", *r.RSquared, *p.Effect**p.Effect)
		if math.Abs(*p.Effect) < 1 {
			same(t, "t", *r.Coefficients[1].T, p.Statistic)
			same(t, "p", *r.Coefficients[1].P, p.PValue)
		}
	})
}
