package expr_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
)

var testVars = []expr.Var{{Name: "x"}, {Name: "y"}, {Name: "zero"}, {Name: "on", Type: expr.Bool}, {Name: "off", Type: expr.Bool}, {Name: "größe_2"}, {Name: "list", Len: 3}, {Name: "lit", Type: expr.Bool, Len: 2}}

var testSlots = []float64{3, -1, 0, 1, 0, 2.5, 0, 1, 2, 1, 0}

func scope(t testing.TB) *expr.Scope {
	t.Helper()
	s, err := expr.NewScope(testVars, map[string]float64{"rate": 0.25})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNumbers(t *testing.T) {
	s := scope(t)
	for src, want := range map[string]float64{
		"1":                          1,
		".5":                         .5,
		"2.":                         2,
		"1e-7":                       1e-7,
		"1E+2":                       100,
		"2.5e3":                      2500,
		"5--1":                       6,
		"5---1":                      4,
		"x-y":                        4,
		"y-x":                        -4,
		"x/10^8":                     3e-8,
		"2+3*4":                      14,
		"(2+3)*4":                    20,
		"10-4-3":                     3,
		"64/4/2":                     8,
		"-2^2":                       -4,
		"2^-1":                       .5,
		"2^3^2":                      512,
		"-x^2":                       -9,
		"7 % 3":                      1,
		"-7 % 3":                     2,
		"mod(-7, -3)":                -1,
		"mod(5.5, 2)":                1.5,
		"abs(y)":                     1,
		"sqrt(2)":                    math.Sqrt2,
		"exp(1)":                     math.E,
		"log(e)":                     1,
		"sin(pi/2)":                  1,
		"cos(pi)":                    -1,
		"tan(pi/4)":                  math.Tan(math.Pi / 4),
		"tanh(0.5)":                  math.Tanh(.5),
		"floor(-1.5)":                -2,
		"ceil(-1.5)":                 -1,
		"round(2.5)":                 3,
		"round(-2.5)":                -3,
		"min(3)":                     3,
		"min(3, x, -4, 2)":           -4,
		"max(1, 2, y)":               2,
		"clamp(9, 0, 5)":             5,
		"clamp(-9, 0, 5)":            0,
		"clamp(x, 3, 3)":             3,
		"pow(2, 10)":                 1024,
		"sign(-3)+sign(0)+sign(8)":   0,
		"if(x > 2, 10, 20)":          10,
		"if(on && off, 10, 20)":      20,
		"x > 2 ? 10 : 20":            10,
		"off ? 1 : on ? 2 : 3":       2,
		"(on ? 1 : 2) + 1":           2,
		"list[2]":                    2,
		"list[ list[x - 2] ] * 5":    5,
		"sum(list) + len(list)":      6,
		"max(list, x) - min(list)":   3,
		"sum(1, list[2], x)":         6,
		"lit[0] ? len(lit) : 0":      2,
		"if(zero == 0, 7, 1/zero)":   7,
		"if(true, 7, 1/0)":           7,
		"if(false, log(-1), 8)":      8,
		"größe_2 * 2":                5,
		"rate*4":                     1,
		"e":                          math.E,
		"\n\t 1 +\r\n 2 ":            3,
		"0.1+0.2":                    0.30000000000000004,
		"if(on, if(off, 1, 2), 3)":   2,
		"1 - (2 - (3 - (4 - x)))":    1 - (2 - (3 - (4 - 3))),
		"+x + +y":                    2,
		"clamp(1, min(0, 5), 2 + 3)": 1,
	} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if got, err := p.Eval(testSlots); err != nil || got != want {
			t.Errorf("%q = %v, %v; want %v", src, got, err, want)
		}
		if p.String() != src || p.Type() != expr.Number {
			t.Errorf("%q reports source %q, type %v", src, p, p.Type())
		}
	}
}

func TestTruth(t *testing.T) {
	s := scope(t)
	for src, want := range map[string]bool{
		"true":                       true,
		"false":                      false,
		"!false":                     true,
		"!!off":                      false,
		"on":                         true,
		"x == 3":                     true,
		"x != 3":                     false,
		"x < 3 || x >= 3":            true,
		"x <= 3 && x > 3":            false,
		"on == !off":                 true,
		"on != off":                  true,
		"x < 4 == on":                true,
		"off && 1/zero > 0":          false,
		"on || 1/zero > 0":           true,
		"true || off && off":         true,
		"on && (off || on)":          true,
		"on ? off : on":              false,
		"off || off || x == 3 && on": true,
	} {
		p, err := s.Compile(src, expr.Bool)
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		if got, err := p.Test(testSlots); err != nil || got != want {
			t.Errorf("%q = %v, %v; want %v", src, got, err, want)
		}
	}
}

func TestNegativeZeroIsZero(t *testing.T) {
	s := scope(t)
	for _, src := range []string{"-zero", "0 * y", "mod(-4, 2)", "ceil(-0.5)"} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(testSlots); err != nil || math.Signbit(v) {
			t.Errorf("%q = %v, %v; want +0", src, v, err)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	s := scope(t)
	for _, c := range []struct {
		src  string
		typ  expr.Type
		want string
	}{
		{"", 0, "1:1: the formula ends here; expected a number, a name"},
		{"1 +", 0, "1:4: the formula ends here"},
		{"1 2", 0, "1:3: found the number 2; expected an operator or the end"},
		{"2x", 0, "1:2: found \"x\""},
		{"(1", 0, `1:3: the formula ends here; expected ")"`},
		{"1)", 0, `1:2: found ")"; expected no more`},
		{"x = 3", expr.Bool, `1:3: found '='; expected "=="`},
		{"on & off", expr.Bool, `expected "&&"`},
		{"on and off", expr.Bool, `1:4: found "and"; expected "&&"`},
		{"on or off", expr.Bool, `expected "||"`},
		{"not on", expr.Bool, `1:1: found "not"; expected "!"`},
		{"x +\n  wrong", 0, `2:3: the name "wrong" is unknown; expected one of x, y, zero, on, off, größe_2`},
		{"größe_2 + größe", 0, `1:11: the name "größe" is unknown`},
		{"sinus(1)", 0, `1:1: the function "sinus" is unknown; expected one of abs, ceil, clamp`},
		{"sqrt", 0, `1:1: sqrt is a function; expected "(" after it`},
		{"sqrt(1, 2)", 0, "1:1: sqrt is given 2 arguments; expected sqrt(x)"},
		{"sqrt()", 0, "sqrt is given 0 arguments"},
		{"min()", 0, "min is given 0 arguments"},
		{"min(1,)", 0, `1:7: found ")"`},
		{"min(1;2)", 0, "1:6: found ';'"},
		{"clamp(1 2)", 0, `1:9: found the number 2; expected "," or ")"`},
		{"on + 1", 0, "1:1: this is a truth value; expected a number, as in if(condition, 1, 0)"},
		{"1 + on", 0, "1:5: this is a truth value"},
		{"abs(on)", 0, "1:5: this is a truth value"},
		{"-on", 0, "1:2: this is a truth value"},
		{"!x", expr.Bool, "1:2: this is a number; expected a truth value, as in x != 0"},
		{"x && on", expr.Bool, "1:1: this is a number"},
		{"on == 1", expr.Bool, "1:7: this is a number; expected a truth value"},
		{"1 < x < 5", expr.Bool, "1:3: this is a truth value; expected a number"},
		{"if(x, 1, 2)", 0, "1:4: this is a number; expected a truth value"},
		{"if(on, 1, off)", 0, "1:11: this is a truth value; expected a number, like the other branch"},
		{"on ? 1", 0, `1:7: the formula ends here; expected ":"`},
		{"x", expr.Bool, "1:1: this is a number"},
		{"on", expr.Number, "1:1: this is a truth value"},
		{"1e999", 0, "1:1: the number 1e999 is too large"},
		{"list + 1", 0, `1:1: list is an array; expected list[0] to list[2], or sum(list)`},
		{"list[1", 0, `1:7: the formula ends here; expected "]"`},
		{"list[on]", 0, "1:6: this is a truth value"},
		{"sum(lit)", 0, "1:5: this is a truth value"},
		{"len(x)", 0, `1:5: found "x"; expected the name of an array`},
		{"len(list, list)", 0, `1:9: found ","`},
		{"abs(list)", 0, "list is an array"},
		{"[1, 2]", 0, "there are no lists"},
		{"x[0]", 0, `found "["; expected an operator or the end; only an array has elements`},
		{"'a'", 0, "there are no strings"},
		{"x @ y", 0, "1:3: found '@'"},
		{"\xff", 0, "1:1: found"},
		{strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100), 0, "nested too deeply; expected at most 64 levels"},
		{strings.Repeat("-", 100) + "1", 0, "nested too deeply"},
		{strings.Repeat("2^", 100) + "1", 0, "nested too deeply"},
		{strings.Repeat("clamp(x, x,", 40) + "x" + strings.Repeat(")", 40), 0, "values pending; expected at most 64"},
		{strings.Repeat("x+", 2100) + "x", 0, "instructions; expected at most 4096"},
		{strings.Repeat(" ", expr.MaxSource) + "1", 0, "the formula has 8193 bytes; expected at most 8192"},
	} {
		_, err := s.Compile(c.src, c.typ)
		if e, ok := errors.AsType[*expr.Error](err); !ok || !strings.Contains(e.Error(), c.want) {
			t.Errorf("%.60q: error %v, want it to contain %q", c.src, err, c.want)
		}
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.60q: kind %v, want invalid", c.src, fault.KindOf(err))
		}
	}
}

func TestEvalErrors(t *testing.T) {
	s := scope(t)
	for src, want := range map[string]string{
		"1 + x / zero":            "1:7: division by zero; expected a divisor other than 0",
		"1/0":                     "1:2: division by zero",
		"zero/zero":               "division by zero",
		"x %\nzero":               "1:3: remainder of a division by zero",
		"mod(x, 0)":               "1:1: remainder of a division by zero",
		"sqrt(y)":                 "1:1: square root of a negative number; expected an argument of at least 0",
		"log(zero)":               "logarithm of a number that is not positive",
		"log(y)":                  "logarithm of a number that is not positive",
		"zero ^ y":                "1:6: negative power of zero",
		"pow(y, 0.5)":             "fractional power of a negative number",
		"exp(1000)":               "the result is too large",
		"1e308 * 10":              "1:7: the result is too large",
		"1e308 + 1e308":           "the result is too large",
		"-1e308 - 1e308":          "the result is too large",
		"clamp(1, x, y)":          "1:1: the lower bound of clamp is above the upper bound",
		"1 / (1e308 * 10)":        "1:12: the result is too large", // not hidden by 1/∞ = 0
		"min(1, exp(1000))":       "the result is too large",
		"if(exp(1000) > 0, 1, 2)": "the result is too large",
	} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Errorf("%q: %v", src, err)
			continue
		}
		v, err := p.Eval(testSlots)
		if e, ok := errors.AsType[*expr.Error](err); !ok || !strings.Contains(e.Error(), want) {
			t.Errorf("%q = %v, error %v; want an error with %q", src, v, err, want)
		}
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q: kind %v, want invalid", src, fault.KindOf(err))
		}
	}
}

func TestBadSlotIsReported(t *testing.T) {
	s := scope(t)
	for _, src := range []string{"x", "x+1", "-x", "sin(x)", "x < 1 ? 1 : 2"} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Fatal(err)
		}
		for _, bad := range []float64{math.NaN(), math.Inf(1)} {
			slots := slices.Clone(testSlots)
			slots[0] = bad
			v, err := p.Eval(slots)
			if err == nil && v-v != 0 {
				t.Errorf("%q with x=%v = %v without an error", src, bad, v)
			}
		}
	}
}

func TestScope(t *testing.T) {
	s := scope(t)
	if s.Len() != len(testSlots) || s.Var(8).Name != "list[2]" || s.Elements("list") != 3 || s.Elements("x") != 0 || s.Var(3) != testVars[3] {
		t.Errorf("scope of %d variables, slot 3 holds %v", s.Len(), s.Var(3))
	}
	if slot, ok := s.Slot("off"); !ok || slot != 4 {
		t.Errorf("off is in slot %d, %v; want 4", slot, ok)
	}
	if _, ok := s.Slot("rate"); ok {
		t.Error("a constant has a slot")
	}
	p, err := s.Compile("größe_2 + x*x - if(off, y, 0)", expr.Number)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Slots(); !slices.Equal(got, []int{0, 1, 4, 5}) {
		t.Errorf("the program reads slots %v, want [0 1 4 5]", got)
	}
	for name, vars := range map[string][]expr.Var{
		"twice":    {{Name: "a"}, {Name: "a"}},
		"empty":    {{Name: ""}},
		"digit":    {{Name: "1a"}},
		"space":    {{Name: "a b"}},
		"operator": {{Name: "(a+)+$"}},
		"true":     {{Name: "true"}},
		"long":     {{Name: strings.Repeat("a", expr.MaxName+1)}},
		"length":   {{Name: "a", Len: -1}},
		"elements": {{Name: "a", Len: 4000}, {Name: "b", Len: 97}},
		"many":     make([]expr.Var, expr.MaxVars+1),
	} {
		if _, err := expr.NewScope(vars, nil); err == nil || fault.KindOf(err) == fault.Internal {
			t.Errorf("scope %q: error %v, want a classified one", name, err)
		}
	}
	for name, consts := range map[string]map[string]float64{
		"clash": {"x": 1}, "nan": {"c": math.NaN()}, "name": {"c d": 1},
	} {
		if _, err := expr.NewScope(testVars, consts); fault.KindOf(err) != fault.Invalid {
			t.Errorf("constants %q: error %v, want invalid", name, err)
		}
	}
}

// A variable may be called like a function or a numeric constant.
func TestVariableShadowsConstant(t *testing.T) {
	s, err := expr.NewScope([]expr.Var{{Name: "e"}, {Name: "min"}}, map[string]float64{"pi": 3})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Compile("e + min(min, 5) + pi", expr.Number)
	if err != nil {
		t.Fatal(err)
	}
	if v, err := p.Eval([]float64{10, 2}); err != nil || v != 15 {
		t.Errorf("= %v, %v; want 15", v, err)
	}
}

func TestFolding(t *testing.T) {
	s := scope(t)
	for src, want := range map[string]float64{
		"2*3+1": 7, "if(1 < 2, 5, x)": 5, "min(4, 2, 3)": 2, "true ? rate : y": .25, "-(-(3))": 3,
	} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := p.Constant(); !ok || v != want || p.Size() != 1 {
			t.Errorf("%q folds to %v, %v with %d instructions; want %v", src, v, ok, p.Size(), want)
		}
	}
	for _, src := range []string{"x", "1/0", "x*0"} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := p.Constant(); ok {
			t.Errorf("%q folds to %v", src, v)
		}
	}
}

func TestEvalDoesNotAllocate(t *testing.T) {
	s := scope(t)
	deep := strings.Repeat("x - (", 30) + "y" + strings.Repeat(")", 30)
	for _, src := range []string{"if(x > 2 && on, max(x, y, 3) * sin(x), -1)", deep} {
		p, err := s.Compile(src, expr.Number)
		if err != nil {
			t.Fatal(err)
		}
		if n := testing.AllocsPerRun(100, func() { p.Eval(testSlots) }); n != 0 {
			t.Errorf("%.30q allocates %v times", src, n)
		}
	}
}

func ExampleScope_Compile() {
	scope, _ := expr.NewScope([]expr.Var{{Name: "stock"}, {Name: "closed", Type: expr.Bool}}, map[string]float64{"price": 4})
	sale, err := scope.Compile("if(stock > 0 && !closed, min(stock, 3) * price, -1e-3)", expr.Number)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sale.Eval([]float64{2, 0}))
	fmt.Println(sale.Eval([]float64{2, 1}))
	_, err = scope.Compile("stock > 0 and closed", expr.Bool)
	fmt.Println(err)
	// Output:
	// 8 <nil>
	// -0.001 <nil>
	// 1:11: found "and"; expected "&&"
}

func BenchmarkEval(b *testing.B) {
	s := scope(b)
	p, err := s.Compile("if(x > 2 && on, max(x, y) * 0.5 + x*y, -1)", expr.Number)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(testSlots); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(p.Size()), "ns/instr")
}
