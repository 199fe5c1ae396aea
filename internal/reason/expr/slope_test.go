package expr_test

import (
	"math"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

func TestSlopes(t *testing.T) {
	s, err := expr.NewScope([]expr.Var{{Name: "x"}, {Name: "y"}, {Name: "a", Len: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	slots := []float64{2, 3, 5, 7, 11}
	for src, want := range map[string][2]float64{ // value and d/dx
		"4":                         {4, 0},
		"y":                         {3, 0},
		"3*x - y":                   {3, 3},
		"x*y/2":                     {3, 1.5},
		"1/x":                       {.5, -.25},
		"x^3":                       {8, 12},
		"x^0":                       {1, 0},
		"2^x":                       {4, 4 * math.Ln2},
		"x^x":                       {4, 4 * (math.Ln2 + 1)},
		"(-x)^3":                    {-8, -12},
		"sqrt(2*x)":                 {2, .5},
		"exp(-x)":                   {math.Exp(-2), -math.Exp(-2)},
		"log(x*x)":                  {math.Log(4), 1},
		"sin(x) + cos(x)":           {math.Sin(2) + math.Cos(2), math.Cos(2) - math.Sin(2)},
		"tan(x)":                    {math.Tan(2), 1 + math.Pow(math.Tan(2), 2)},
		"tanh(x/4)":                 {math.Tanh(.5), (1 - math.Pow(math.Tanh(.5), 2)) / 4},
		"abs(1-x)":                  {1, 1},
		"mod(x*2.5, y)":             {2, 2.5},
		"mod(7, x+0.5)":             {2, -2},
		"min(x, y) + max(x, y)":     {5, 1},
		"clamp(x, 0, 10)":           {2, 1},
		"clamp(5, x, y*x)":          {5, 0},
		"clamp(9, x, y*x)":          {6, 3},
		"clamp(x, 4*x, 99)":         {8, 4},
		"x > 1 ? x*x : -x":          {4, 4},
		"if(x > 9 || y < 0, x, -x)": {-2, -1},
		"floor(x*0.6) + sign(x)":    {2, 0},
		"sum(a, x, x)":              {27, 2},
		"max(a) * x":                {22, 11},
		"a[floor(x/4+1)] * x":       {14, 7},
	} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		v, d, err := p.Slope(slots, 0)
		if err != nil || math.Abs(v-want[0]) > 1e-12 || math.Abs(d-want[1]) > 1e-12 {
			t.Errorf("%s = %v with slope %v, %v; want %v", src, v, d, err, want)
		}
	}
	// An element of an array is a variable as any other.
	p, err := s.Compile("a[1] * sum(a)", expr.Number)
	if err != nil {
		t.Fatal(err)
	}
	if _, d, err := p.Slope(slots, 3); err != nil || d != 23+7 {
		t.Errorf("slope by a[1] is %v, %v; want 30", d, err)
	}
}

func TestNoSlope(t *testing.T) {
	s, err := expr.NewScope([]expr.Var{{Name: "x"}, {Name: "a", Len: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for src, want := range map[string]string{
		"abs(x)":         "1:1: there is no derivative",
		"1 + floor(x)":   "1:5: there is no derivative",
		"ceil(x)":        "no derivative",
		"round(x+0.5)":   "no derivative",
		"sign(x)":        "no derivative",
		"sqrt(x)":        "no derivative",
		"x^0.5":          "no derivative",
		"mod(x, 3)":      "no derivative",
		"min(x, -x)":     "no derivative",
		"max(x, 2*x, 0)": "no derivative",
		"clamp(x, 0, 1)": "no derivative",
		"a[x]":           "no derivative",
		"a[x+3]":         "1:1: the index is 3; expected a whole number from 0 to 2",
		"1/x":            "division by zero",
		"clamp(x, 1, 0)": "lower bound of clamp",
		"log(x)":         "logarithm",
	} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Errorf("%s: %v", src, err)
			continue
		}
		if _, _, err := p.Slope([]float64{0, 1, 2, 3}, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", src, err, want)
		}
	}
}

// The slope of random formulas against the central difference, at two widths:
// where these disagree, it is the difference that is wrong.
func TestSlopeAgreesWithDifferences(t *testing.T) {
	s := goScope(t)
	compared, curved, absorbed := 0, 0, 0
	for i := range uint64(20_000) {
		w := &writer{rng: seed.Stream(12, i)}
		w.b.WriteString([]string{"", "sin(", "tanh(", "cos(", "1.1^(", "tan(", "log("}[i%7])
		w.number(2)
		w.pick([][]string{{""}, {")"}, {")"}, {")"}, {")", ")^2"}, {")"}, {")"}}[i%7]...)
		slots := []float64{w.rng.NormFloat64(), 1 + w.rng.Float64(), w.rng.Float64(), 1, 0, -2, w.rng.NormFloat64(), 40}
		p, err := s.Compile(ours.Replace(w.b.String()), expr.Number)
		if err != nil || strings.Contains(w.b.String(), "mod(") || strings.Contains(w.b.String(), "1e-7") {
			continue // jumps closer together than the width look like a slope
		}
		value, slope, err := p.Slope(slots, 0)
		plain, errPlain := p.Eval(slots)
		if err == nil && (errPlain != nil || value != plain) {
			t.Fatalf("%s at %v = %v, %v; with its slope %v", p, slots, plain, errPlain, value)
		}
		if err != nil {
			continue
		}
		difference := func(h float64) (d float64, ok bool) {
			at := func(dx float64) float64 {
				moved := append([]float64{slots[0] + dx}, slots[1:]...)
				v, err := p.Eval(moved)
				ok = ok && err == nil
				return v
			}
			ok = true
			return (at(h) - at(-h)) / (2 * h), ok
		}
		wide, ok1 := difference(1.0173e-4)
		narrow, ok2 := difference(4.3391e-5)
		scale := 1e-5*(1+math.Abs(slope)) + 1e-10*math.Abs(value)/1e-5
		if !ok1 || !ok2 || math.Abs(wide-narrow) > scale || math.Abs(value) > 1e6 || math.Abs(slope) > 1e3 {
			continue // steep ones may turn several times within the width
		}
		compared++
		if slope != 0 {
			curved++
		}
		if slope != 0 && wide == 0 && narrow == 0 {
			absorbed++ // x is lost beside a number of another order, such as e^100
			continue
		}
		if math.Abs(slope-narrow) > 3*scale {
			t.Fatalf("%s at %v has slope %v; the difference is %v", p, slots, slope, narrow)
		}
	}
	if compared < 4000 || curved < 700 || absorbed > curved/50 {
		t.Errorf("%d formulas compared, %d with a slope, %d of them lost: the generator covers too little", compared, curved, absorbed)
	}
}
