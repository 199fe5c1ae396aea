package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// call parses the arguments of a function whose name is t.
func (p *parser) call(t token) (*node, error) {
	f, ok := functions[t.text]
	if !ok {
		return nil, errorAt(p.lex.src, t.at, fmt.Sprintf("the function %q is unknown", clip(t.text)),
			"one of "+strings.Join(Functions(), ", "))
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	args, err := p.args(f)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokOp || p.tok.text != ")" {
		return nil, p.unexpected("\",\" or \")\"")
	}
	if len(args) < f.min || f.max > 0 && len(args) > f.max {
		return nil, errorAt(p.lex.src, t.at, fmt.Sprintf("%s is given %d arguments", t.text, len(args)), f.usage)
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch t.text {
	case "len":
		return &node{kind: nodeConst, at: t.at, val: float64(len(args))}, nil
	case "if":
		return p.choice(t.at, args[0], args[1], args[2])
	}
	for _, a := range args {
		if a.typ != Number {
			return nil, typeError(p.lex.src, a, Number)
		}
	}
	return &node{kind: nodeOp, op: f.op, at: t.at, args: args}, nil
}

// args parses the arguments of f up to what ends them.
func (p *parser) args(f function) ([]*node, error) {
	var args []*node
	for p.tok.kind != tokOp || p.tok.text != ")" || len(args) > 0 {
		var elements []*node
		var err error
		if f.arrays {
			elements, err = p.array()
		}
		if err == nil && elements == nil {
			if f.op == opConst {
				return nil, p.unexpected("the name of an array")
			}
			elements = make([]*node, 1)
			elements[0], err = p.expression(0)
		}
		if err != nil {
			return nil, err
		}
		if args = append(args, elements...); p.tok.kind != tokOp || p.tok.text != "," || f.op == opConst {
			break
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// function is what a name followed by "(" calls.
type function struct {
	op       opcode
	min, max int // arguments; max 0 is any number
	usage    string
	arrays   bool // an argument may be an array: all its elements
}

var functions = map[string]function{
	"abs":   {opAbs, 1, 1, "abs(x)", false},
	"sqrt":  {opSqrt, 1, 1, "sqrt(x)", false},
	"exp":   {opExp, 1, 1, "exp(x)", false},
	"log":   {opLog, 1, 1, "log(x), the natural logarithm", false},
	"sin":   {opSin, 1, 1, "sin(x), x in radians", false},
	"cos":   {opCos, 1, 1, "cos(x), x in radians", false},
	"tan":   {opTan, 1, 1, "tan(x), x in radians", false},
	"tanh":  {opTanh, 1, 1, "tanh(x)", false},
	"floor": {opFloor, 1, 1, "floor(x)", false},
	"ceil":  {opCeil, 1, 1, "ceil(x)", false},
	"round": {opRound, 1, 1, "round(x)", false},
	"sign":  {opSign, 1, 1, "sign(x)", false},
	"pow":   {opPow, 2, 2, "pow(x, y)", false},
	"mod":   {opMod, 2, 2, "mod(x, y)", false},
	"min":   {opMin, 1, 0, "min(x, …), of numbers and arrays", true},
	"max":   {opMax, 1, 0, "max(x, …), of numbers and arrays", true},
	"sum":   {opAdd, 1, 0, "sum(x, …), of numbers and arrays", true},
	"len":   {opConst, 0, 0, "len(array)", true},
	"clamp": {opClamp, 3, 3, "clamp(x, low, high)", false},
	"if":    {opJump, 3, 3, "if(condition, a, b)", false},
}

// Functions returns the names of the functions, sorted.
func Functions() []string { return slices.Sorted(maps.Keys(functions)) }
