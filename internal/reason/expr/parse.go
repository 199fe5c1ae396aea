package expr

import (
	"fmt"
	"strconv"
	"strings"
)

// node is one operation of a parsed and type-checked formula.
type node struct {
	kind nodeKind
	op   opcode // of an operation
	typ  Type
	at   int     // byte offset
	val  float64 // of a constant
	slot int     // of a variable or an array
	len  int     // of an array
	args []*node
}

type nodeKind uint8

const (
	nodeConst nodeKind = iota
	nodeVar
	nodeOp  // args by op, left to right
	nodeAnd // args[0] && args[1]
	nodeOr
	nodeIf    // args[0] ? args[1] : args[2]
	nodeIndex // the element args[0] of an array
)

// infix describes a binary operator: how tightly it binds, what its operands
// and result are. same marks an operator whose operands may be of either type
// as long as they agree.
type infix struct {
	power  int
	right  bool
	op     opcode
	arg    Type
	result Type
	same   bool
}

const (
	powerCond = 1 + iota
	powerOr
	powerAnd
	powerEqual
	powerOrder
	powerSum
	powerProduct
	powerSign
	powerPow
)

var infixes = map[string]infix{
	"?":  {power: powerCond, right: true},
	"||": {power: powerOr, arg: Bool, result: Bool},
	"&&": {power: powerAnd, arg: Bool, result: Bool},
	"==": {power: powerEqual, op: opEq, same: true, result: Bool},
	"!=": {power: powerEqual, op: opNe, same: true, result: Bool},
	"<":  {power: powerOrder, op: opLt, result: Bool},
	"<=": {power: powerOrder, op: opLe, result: Bool},
	">":  {power: powerOrder, op: opGt, result: Bool},
	">=": {power: powerOrder, op: opGe, result: Bool},
	"+":  {power: powerSum, op: opAdd},
	"-":  {power: powerSum, op: opSub},
	"*":  {power: powerProduct, op: opMul},
	"/":  {power: powerProduct, op: opDiv},
	"%":  {power: powerProduct, op: opMod},
	"^":  {power: powerPow, right: true, op: opPow},
}

type parser struct {
	scope *Scope
	lex   lexer
	tok   token
	depth int
}

func parse(s *Scope, src string) (*node, error) {
	if len(src) > MaxSource {
		return nil, errorAt("", 0, fmt.Sprintf("the formula has %d bytes", len(src)), fmt.Sprintf("at most %d", MaxSource))
	}
	p := &parser{scope: s, lex: lexer{src: src}}
	if err := p.advance(); err != nil {
		return nil, err
	}
	n, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected(operatorHint(p.tok))
	}
	return n, nil
}

func (p *parser) advance() (err error) {
	p.tok, err = p.lex.next()
	return err
}

func (p *parser) unexpected(expected string) *Error {
	return errorAt(p.lex.src, p.tok.at, p.tok.describe(), expected)
}

// operatorHint says what may follow a complete value.
func operatorHint(t token) string {
	switch t.text {
	case "and", "AND":
		return `"&&"`
	case "or", "OR":
		return `"||"`
	case "[":
		return "an operator or the end; only an array has elements"
	case ")":
		return "no more than one \")\" for each \"(\""
	}
	return "an operator or the end"
}

func (p *parser) expect(text string) error {
	if p.tok.kind != tokOp || p.tok.text != text {
		return p.unexpected(strconv.Quote(text))
	}
	return p.advance()
}

// expression parses as many operators as bind tighter than power.
func (p *parser) expression(power int) (*node, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, errorAt(p.lex.src, p.tok.at, "nested too deeply", fmt.Sprintf("at most %d levels", MaxDepth))
	}
	defer func() { p.depth-- }()
	left, err := p.prefix()
	if err != nil {
		return nil, err
	}
	for p.tok.kind == tokOp {
		in, ok := infixes[p.tok.text]
		if !ok || in.power <= power {
			break
		}
		if left, err = p.infix(left, in); err != nil {
			return nil, err
		}
	}
	return left, nil
}

func (p *parser) infix(left *node, in infix) (*node, error) {
	at := p.tok.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if in.power == powerCond {
		return p.conditional(left, at)
	}
	power := in.power
	if in.right {
		power--
	}
	right, err := p.expression(power)
	if err != nil {
		return nil, err
	}
	want := in.arg
	if in.same {
		want = left.typ
	}
	for _, n := range []*node{left, right} {
		if n.typ != want {
			return nil, typeError(p.lex.src, n, want)
		}
	}
	n := &node{kind: nodeOp, op: in.op, typ: in.result, at: at, args: []*node{left, right}}
	switch in.power {
	case powerOr:
		n.kind = nodeOr
	case powerAnd:
		n.kind = nodeAnd
	}
	return n, nil
}

// conditional parses what follows the ? of c ? a : b.
func (p *parser) conditional(cond *node, at int) (*node, error) {
	yes, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if err := p.expect(":"); err != nil {
		return nil, err
	}
	no, err := p.expression(powerCond - 1)
	if err != nil {
		return nil, err
	}
	return p.choice(at, cond, yes, no)
}

func (p *parser) choice(at int, cond, yes, no *node) (*node, error) {
	if cond.typ != Bool {
		return nil, typeError(p.lex.src, cond, Bool)
	}
	if no.typ != yes.typ {
		return nil, errorAt(p.lex.src, no.at, "this is a "+no.typ.String(), "a "+yes.typ.String()+", like the other branch")
	}
	return &node{kind: nodeIf, typ: yes.typ, at: at, args: []*node{cond, yes, no}}, nil
}

// prefix parses a value with the signs before it.
func (p *parser) prefix() (*node, error) {
	t := p.tok
	if t.kind == tokEnd {
		return nil, p.unexpected("a number, a name or \"(\"")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case t.kind == tokNumber:
		return &node{kind: nodeConst, at: t.at, val: t.val}, nil
	case t.kind == tokName && p.tok.kind == tokOp && p.tok.text == "(":
		return p.call(t)
	case t.kind == tokName:
		return p.name(t)
	}
	switch t.text {
	case "(":
		n, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case "-", "+":
		n, err := p.operand(Number)
		if err != nil || t.text == "+" {
			return n, err
		}
		return &node{kind: nodeOp, op: opNeg, at: t.at, args: []*node{n}}, nil
	case "!":
		n, err := p.operand(Bool)
		if err != nil {
			return nil, err
		}
		return &node{kind: nodeOp, op: opNot, typ: Bool, at: t.at, args: []*node{n}}, nil
	}
	if t.text == "[" {
		return nil, errorAt(p.lex.src, t.at, t.describe(), "\"(\"; there are no lists but arrays, as in a[0]")
	}
	return nil, errorAt(p.lex.src, t.at, t.describe(), "a number, a name or \"(\"")
}

// operand parses what a sign applies to.
func (p *parser) operand(want Type) (*node, error) {
	n, err := p.expression(powerSign)
	if err == nil && n.typ != want {
		return nil, typeError(p.lex.src, n, want)
	}
	return n, err
}

func (p *parser) name(t token) (*node, error) {
	if n := p.scope.arrays[t.text]; n > 0 {
		return p.index(t, n)
	}
	if slot, ok := p.scope.slots[t.text]; ok {
		return &node{kind: nodeVar, typ: p.scope.vars[slot].Type, at: t.at, slot: slot}, nil
	}
	if c, ok := p.scope.consts[t.text]; ok {
		return &node{kind: nodeConst, at: t.at, val: c}, nil
	}
	switch t.text {
	case "true":
		return &node{kind: nodeConst, typ: Bool, at: t.at, val: 1}, nil
	case "false":
		return &node{kind: nodeConst, typ: Bool, at: t.at}, nil
	case "not":
		return nil, errorAt(p.lex.src, t.at, `found "not"`, `"!"`)
	}
	if _, ok := functions[t.text]; ok {
		return nil, errorAt(p.lex.src, t.at, t.text+" is a function", `"(" after it`)
	}
	return nil, errorAt(p.lex.src, t.at, fmt.Sprintf("the name %q is unknown", clip(t.text)), p.known())
}

// index parses what follows the name of an array of n elements.
func (p *parser) index(t token, n int) (*node, error) {
	if p.tok.kind != tokOp || p.tok.text != "[" {
		return nil, errorAt(p.lex.src, t.at, t.text+" is an array", fmt.Sprintf("%s[0] to %s[%d], or sum(%s)", t.text, t.text, n-1, t.text))
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	i, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if i.typ != Number {
		return nil, typeError(p.lex.src, i, Number)
	}
	slot := p.scope.slots[t.text]
	return &node{kind: nodeIndex, typ: p.scope.vars[slot].Type, at: t.at, slot: slot, len: n, args: []*node{i}}, p.expect("]")
}

// array parses an argument that is an array as a whole into its elements. It
// returns nil, and has parsed nothing, if there is none.
func (p *parser) array() ([]*node, error) {
	n := p.scope.arrays[p.tok.text]
	if p.tok.kind != tokName || n == 0 {
		return nil, nil
	}
	before := *p
	name := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokOp || p.tok.text != "," && p.tok.text != ")" {
		*p = before
		return nil, nil
	}
	slot := p.scope.slots[name.text]
	elements := make([]*node, n)
	for i := range elements {
		elements[i] = &node{kind: nodeVar, typ: p.scope.vars[slot].Type, at: name.at, slot: slot + i}
	}
	return elements, nil
}

// known lists the names that a formula may use, as far as they are few.
func (p *parser) known() string {
	if len(p.scope.vars) == 0 {
		return "a number or a function"
	}
	const most = 12
	var names []string
	for _, v := range p.scope.vars[:min(most, len(p.scope.vars))] {
		names = append(names, v.Name)
	}
	list := "one of " + strings.Join(names, ", ")
	if more := len(p.scope.vars) - most; more > 0 {
		list += fmt.Sprintf(" and %d more", more)
	}
	return list
}
