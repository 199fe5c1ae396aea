package expr_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/expr"
	"github.com/lyceum-mcp/lyceum/internal/reason/seed"
)

// oracle evaluates the part of the language that is also Go, on the syntax tree
// that Go's own parser makes of it. It shares nothing with the package: not the
// parser, not the precedences, not the arithmetic. Truth values are 0 and 1;
// failed says that something was not finite or out of a domain.
type oracle struct {
	vars   map[string]float64
	array  []float64 // a
	failed bool
}

func (o *oracle) finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		o.failed = true
	}
	return v
}

func (o *oracle) eval(n ast.Expr) float64 {
	if o.failed {
		return 0
	}
	switch n := n.(type) {
	case *ast.ParenExpr:
		return o.eval(n.X)
	case *ast.BasicLit:
		v, err := strconv.ParseFloat(n.Value, 64)
		if err != nil {
			panic(err)
		}
		return v
	case *ast.Ident:
		v, ok := o.vars[n.Name]
		if !ok {
			panic("no variable " + n.Name)
		}
		return v
	case *ast.UnaryExpr:
		v := o.eval(n.X)
		switch n.Op {
		case token.SUB:
			return -v
		case token.ADD:
			return v
		case token.NOT:
			return 1 - v
		}
	case *ast.BinaryExpr:
		return o.binary(n)
	case *ast.CallExpr:
		return o.call(n)
	case *ast.IndexExpr:
		i := o.eval(n.Index)
		if o.failed || math.IsNaN(i) || i < 0 || i >= float64(len(o.array)) || i != math.Floor(i) {
			o.failed = true
			return 0
		}
		return o.array[int(i)]
	}
	panic("unexpected syntax")
}

func (o *oracle) binary(n *ast.BinaryExpr) float64 {
	x := o.eval(n.X)
	if n.Op == token.LAND && x == 0 || n.Op == token.LOR && x == 1 {
		return x
	}
	y := o.eval(n.Y)
	if o.failed {
		return 0
	}
	is := map[token.Token]bool{
		token.EQL: x == y, token.NEQ: x != y, token.LSS: x < y, token.LEQ: x <= y, token.GTR: x > y, token.GEQ: x >= y,
		token.LAND: y == 1, token.LOR: y == 1,
	}
	if v, ok := is[n.Op]; ok {
		if v {
			return 1
		}
		return 0
	}
	switch n.Op {
	case token.ADD:
		return o.finite(x + y)
	case token.SUB:
		return o.finite(x - y)
	case token.MUL:
		return o.finite(x * y)
	case token.QUO:
		return o.finite(x / y)
	}
	panic("unexpected operator " + n.Op.String())
}

func (o *oracle) call(n *ast.CallExpr) float64 {
	name := n.Fun.(*ast.Ident).Name
	if name == "choose" {
		if o.eval(n.Args[0]) == 1 {
			return o.eval(n.Args[1])
		}
		return o.eval(n.Args[2])
	}
	var args []float64
	for _, a := range n.Args {
		if id, ok := a.(*ast.Ident); ok && id.Name == "a" {
			args = append(args, o.array...)
			continue
		}
		args = append(args, o.eval(a))
	}
	if o.failed {
		return 0
	}
	switch name {
	case "abs":
		return math.Abs(args[0])
	case "sqrt":
		return o.finite(math.Sqrt(args[0]))
	case "floor":
		return math.Floor(args[0])
	case "exp":
		return o.finite(math.Exp(args[0]))
	case "mod":
		if args[1] == 0 {
			o.failed = true
			return 0
		}
		r := math.Remainder(args[0], args[1]) // in [-y/2, y/2]
		if r != 0 && math.Signbit(r) != math.Signbit(args[1]) {
			r += args[1]
		}
		return r
	case "min":
		return slices.Min(args)
	case "max":
		return slices.Max(args)
	case "sum":
		var total float64
		for _, v := range args {
			total = o.finite(total + v)
		}
		return total
	case "size":
		return float64(len(args))
	case "clamp":
		if args[1] > args[2] {
			o.failed = true
			return 0
		}
		return math.Max(args[1], math.Min(args[0], args[2]))
	}
	panic("unexpected function " + name)
}

// writer writes random formulas in the common part of both languages.
type writer struct {
	rng *rand.Rand
	b   strings.Builder
}

func (w *writer) pick(from ...string) { w.b.WriteString(from[w.rng.IntN(len(from))]) }

// number writes a chain of terms without parentheses around them, so that
// precedence decides.
func (w *writer) number(depth int) {
	w.term(depth)
	for range w.rng.IntN(3) {
		w.pick("+", "- ", "*", "/", " - ", " + ")
		w.term(depth)
	}
}

func (w *writer) term(depth int) {
	w.pick("", "", "", "- ")
	if depth == 0 || w.rng.IntN(3) == 0 {
		w.pick("x", "y", "z", "0", "1", "2.5", "1e-7", "3e2", ".125")
		return
	}
	switch w.rng.IntN(10) {
	case 0:
		w.args(depth, "(", 1)
	case 1:
		w.pick("abs", "sqrt", "floor", "exp")
		w.args(depth, "(", 1)
	case 2:
		w.args(depth, "min(", 2)
	case 3:
		w.args(depth, "max(", 3)
	case 4:
		w.args(depth, "clamp(", 3)
	case 5:
		w.args(depth, "mod(", 2)
	case 7:
		w.pick("a[floor(clamp(", "a[(clamp(")
		w.number(depth - 1)
		w.pick(", 0, 2))]", ", 1, 3))]", ", 2, 2))]")
	case 8:
		w.pick("sum(", "max(", "min(")
		w.number(depth - 1)
		w.pick(", a)", ", a, a[1])")
	case 9:
		w.pick("size(a)", "sum(a)", "a[0]", "a[3]", "max(a, 1)")
	case 6:
		w.b.WriteString("choose(")
		w.truth(depth - 1)
		w.b.WriteString(", ")
		w.args(depth, "", 2)
	}
}

func (w *writer) args(depth int, open string, n int) {
	w.b.WriteString(open)
	for i := range n {
		if i > 0 {
			w.b.WriteString(", ")
		}
		w.number(depth - 1)
	}
	w.b.WriteString(")")
}

func (w *writer) truth(depth int) {
	w.comparison(depth)
	for range w.rng.IntN(3) {
		w.pick("&&", "||", " && ", " || ")
		w.comparison(depth)
	}
}

func (w *writer) comparison(depth int) {
	switch {
	case depth > 0 && w.rng.IntN(3) == 0:
		w.pick("!(", "(")
		w.truth(depth - 1)
		w.b.WriteString(")")
	case w.rng.IntN(4) == 0:
		w.pick("on", "off", "!on", "!off")
	default:
		w.number(max(depth-1, 0))
		w.pick("< ", "<=", ">", ">=", "==", "!=")
		w.number(max(depth-1, 0))
	}
}

// ours turns what Go cannot say into the language of the package.
var ours = strings.NewReplacer("choose(", "if(", "size(", "len(")

// goScope is what the formulas of a writer may name.
func goScope(t testing.TB) *expr.Scope {
	t.Helper()
	s, err := expr.NewScope([]expr.Var{{Name: "x"}, {Name: "y"}, {Name: "z"}, {Name: "on", Type: expr.Bool}, {Name: "off", Type: expr.Bool}, {Name: "a", Len: 3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// verdict is how a comparison with Go ended.
type verdict int

const (
	agreed   verdict = iota // on a value
	failed                  // on there being none
	tooLarge                // to be compiled
)

// compareWithGo writes a formula of a type and evaluates it in both languages.
func compareWithGo(t *testing.T, s *expr.Scope, w *writer, typ expr.Type, slots []float64) verdict {
	t.Helper()
	if typ == expr.Bool {
		w.truth(2)
	} else {
		w.number(2)
	}
	src := w.b.String()
	tree, err := parser.ParseExpr(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	o := &oracle{vars: map[string]float64{"x": slots[0], "y": slots[1], "z": slots[2], "on": 1, "off": 0}, array: slots[5:]}
	want := o.eval(tree)
	p, err := s.Compile(ours.Replace(src), typ)
	if err != nil {
		if strings.Contains(err.Error(), "; expected at most") {
			return tooLarge
		}
		t.Fatalf("%s: %v", src, err)
	}
	got, err := p.Eval(slots)
	switch {
	case o.failed != (err != nil):
		t.Fatalf("%s at %v: %v, %v; Go says failed=%v, %v", src, slots, got, err, o.failed, want)
	case o.failed:
		return failed
	case !same(got, want, strings.Contains(src, "mod")):
		t.Fatalf("%s at %v = %v, Go says %v", src, slots, got, want)
	}
	return agreed
}

func TestAgreesWithGo(t *testing.T) {
	s := goScope(t)
	var count [3]int
	for i := range uint64(20_000) {
		w := &writer{rng: seed.Stream(11, i)}
		slots := []float64{float64(w.rng.IntN(9) - 4), w.rng.NormFloat64(), math.Ldexp(w.rng.Float64(), w.rng.IntN(60)-30), 1, 0, -2, w.rng.NormFloat64(), 40}
		count[compareWithGo(t, s, w, expr.Type(i%2), slots)]++
	}
	if count[agreed] < 5000 || count[failed] < 500 || count[tooLarge] > 100 {
		t.Errorf("%d formulas agreed, %d failed to evaluate and %d were too large: the generator covers too little", count[agreed], count[failed], count[tooLarge])
	}
}

// The fuzzer picks the formula, through the random numbers it is written with,
// and the values of the variables.
func FuzzAgainstGo(f *testing.F) {
	f.Add(uint64(1), uint64(2), false, 1.0, -2.5, 1e-7, 3.0)
	f.Add(uint64(3), uint64(4), true, 1e200, 0.0, -4.0, 2.0)
	s := goScope(f)
	f.Fuzz(func(t *testing.T, hi, lo uint64, truth bool, x, y, z, a float64) {
		slots := []float64{x + 0, y + 0, z + 0, 1, 0, a + 0, x + 0, 2}
		for _, v := range slots {
			if v-v != 0 || v != 0 && math.Abs(v) < 1e-300 {
				return // what is rounded at the edge of the range differs
			}
		}
		typ := expr.Number
		if truth {
			typ = expr.Bool
		}
		w := &writer{rng: rand.New(rand.NewPCG(hi, lo))}
		compareWithGo(t, s, w, typ, slots)
	})
}

// same compares exactly, except that the oracle's remainder may be rounded once
// more than ours.
func same(a, b float64, loose bool) bool {
	if a == b {
		return true
	}
	return loose && math.Abs(a-b) <= 1e-9*(1+math.Abs(b))
}

func FuzzCompile(f *testing.F) {
	for _, src := range []string{
		"5--1", "1e-7", "if(x>0&&on,min(x,y,1)*2,-x^2)", "x?1:2", "clamp(x,1/0,3)", "on==off", "((((", "2^^2", "größe_2%0", "mod(1e308*10,3)",
		"\xff\xfe", "x\n+\ny", "!!!on", "min(", "1.e5", ".e5", "1e+", "if(on,if(off,1,2),3)", "list[1]", "sum(list,x)", "list[x]-list", "len(list)+max(list)", "list[list[0]]",
	} {
		f.Add(src, 1.0, -2.0)
	}
	s := scope(f)
	f.Fuzz(func(t *testing.T, src string, x, y float64) {
		if x-x != 0 || y-y != 0 {
			return
		}
		slots := []float64{x, y, 0, 1, 0, x, 0, 1, 2}
		for _, typ := range []expr.Type{expr.Number, expr.Bool} {
			p, err := s.Compile(src, typ)
			if err != nil {
				if e, ok := err.(*expr.Error); !ok || e.Line < 1 || e.Col < 1 || e.Problem == "" {
					t.Fatalf("error %#v has no position or no text", err)
				}
				continue
			}
			v, err := p.Eval(slots)
			if err == nil && v-v != 0 {
				t.Fatalf("%q = %v", src, v)
			}
			if err == nil && typ == expr.Bool && v != 0 && v != 1 {
				t.Fatalf("%q has the truth value %v", src, v)
			}
			if err == nil && typ == expr.Number {
				same, slope, errSlope := p.Slope(slots, 0)
				if errSlope == nil && (same != v || slope-slope != 0) {
					t.Fatalf("%q = %v, with its slope %v, %v", src, v, same, slope)
				}
			}
			again, errAgain := p.Eval(slots)
			if again != v || (err == nil) != (errAgain == nil) {
				t.Fatalf("%q = %v, then %v", src, v, again)
			}
		}
	})
}
