// Package expr compiles formulas over named variables to a small typed bytecode.
//
// A formula such as
//
//	if(stock > 0 && !closed, min(stock, 3) * price, -1e-3)
//
// is parsed once (operator precedence parsing: Pratt, 1973), checked for types,
// and bound to slots of a []float64; evaluating it then allocates nothing and
// looks up no names. There are two types, Number (float64) and Bool; a Bool
// occupies a slot as 0 or 1.
//
// A variable may be an array of fixed length. a[i] is its element with the index
// i, from 0; sum, min and max take an array's name for all its elements, and
// len(a) is their number.
//
// Operators, loosest first:
//
//	c ? a : b      ||      &&      == !=      < <= > >=      + -      * / %      -x +x !x      x ^ y
//
// The power operator groups to the right and binds tighter than a sign, so
// -2^2 is -4. The remainder x % y, also written mod(x, y), has the sign of y.
// && || ?: and if evaluate only what they need. Functions are listed by
// Functions; round goes half away from zero. The constants are pi, e, true and
// false; a variable may take the name of a numeric constant.
//
// Every value a formula computes is a finite number: a division by zero, an
// overflow, or an argument outside a function's domain is an error that says
// where in the source it happened.
package expr

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Bounds on one formula. They keep compiling linear and evaluating within a
// few microseconds.
const (
	MaxSource  = 8192 // bytes of source
	MaxDepth   = 64   // levels of nesting
	MaxProgram = 4096 // instructions
	MaxStack   = 64   // values pending at once
	MaxName    = 64   // bytes of a name
	MaxVars    = 4096 // variables of a scope
)

// Type is the type of a variable or a formula.
type Type uint8

// The types.
const (
	Number Type = iota // a finite float64
	Bool               // a truth value; 0 or 1 in a slot
)

// String returns "number" or "truth value".
func (t Type) String() string {
	if t == Bool {
		return "truth value"
	}
	return "number"
}

// Var is a variable that formulas may name.
type Var struct {
	Name string
	Type Type
	Len  int // elements of an array, which take as many slots; 0 is no array
}

// Error says what is wrong with a formula and where. It is of kind
// fault.Invalid.
type Error struct {
	Line, Col int    // from 1; columns count characters
	Problem   string // what was found
	Expected  string // what would be right; may be empty
}

// Error returns "line:col: problem; expected …".
func (e *Error) Error() string {
	s := fmt.Sprintf("%d:%d: %s", e.Line, e.Col, e.Problem)
	if e.Expected != "" {
		s += "; expected " + e.Expected
	}
	return s
}

// Unwrap classifies the error for package fault.
func (e *Error) Unwrap() error { return fault.Newf(fault.Invalid, "%s", e.Error()) }

// Scope holds the names that formulas may use. It is immutable and safe for
// concurrent use.
type Scope struct {
	vars   []Var // by slot
	slots  map[string]int
	arrays map[string]int // lengths
	consts map[string]float64
}

// NewScope returns the scope of vars, which take the slots in their order, and
// of extra numeric constants, which may be nil. Names are letters, digits and
// underscores and do not start with a digit; a name given twice, "true" and
// "false" are refused.
func NewScope(vars []Var, consts map[string]float64) (*Scope, error) {
	s := &Scope{
		slots:  make(map[string]int, len(vars)),
		arrays: map[string]int{},
		consts: map[string]float64{"pi": math.Pi, "e": math.E},
	}
	for _, v := range vars {
		if err := CheckName(v.Name); err != nil {
			return nil, err
		}
		if _, twice := s.slots[v.Name]; twice {
			return nil, fault.Newf(fault.Invalid, "the name %q is given twice", v.Name)
		}
		if v.Len < 0 || len(s.vars)+max(v.Len, 1) > MaxVars {
			return nil, fault.Newf(fault.TooLarge, "the variables up to %q have more than %d elements", v.Name, MaxVars)
		}
		s.slots[v.Name] = len(s.vars)
		if v.Len == 0 {
			s.vars = append(s.vars, v)
			continue
		}
		s.arrays[v.Name] = v.Len
		for i := range v.Len {
			s.vars = append(s.vars, Var{Name: fmt.Sprintf("%s[%d]", v.Name, i), Type: v.Type})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(consts)) {
		if err := CheckName(name); err != nil {
			return nil, err
		}
		if _, twice := s.slots[name]; twice {
			return nil, fault.Newf(fault.Invalid, "the name %q is both a variable and a constant", name)
		}
		if c := consts[name]; c-c != 0 {
			return nil, fault.Newf(fault.Invalid, "the constant %q is not a finite number", name)
		}
		s.consts[name] = consts[name]
	}
	return s, nil
}

// CheckName reports why name cannot be a variable, or nil.
func CheckName(name string) error {
	switch {
	case name == "true" || name == "false":
		return fault.Newf(fault.Invalid, "%q cannot be a name: it is a truth value", name)
	case len(name) > MaxName:
		return fault.Newf(fault.TooLarge, "the name %.16q… is longer than %d bytes", name, MaxName)
	case name == "" || identLen(name) != len(name):
		return fault.Newf(fault.Invalid, "%.64q cannot be a name: use letters, digits and _, and no digit first", name)
	}
	return nil
}

// Len returns the number of slots.
func (s *Scope) Len() int { return len(s.vars) }

// Slot returns the slot of a variable, of an array its first.
func (s *Scope) Slot(name string) (slot int, ok bool) {
	slot, ok = s.slots[name]
	return slot, ok
}

// Elements returns the length of an array, 0 of any other name.
func (s *Scope) Elements(name string) int { return s.arrays[name] }

// Var returns the variable or the element, such as a[2], in a slot.
func (s *Scope) Var(slot int) Var { return s.vars[slot] }

// Compile translates src, which must have type want. The error is an *Error.
// It takes time linear in the length of src.
func (s *Scope) Compile(src string, want Type) (*Program, error) {
	tree, err := parse(s, src)
	if err != nil {
		return nil, err
	}
	if tree.typ != want {
		return nil, typeError(src, tree, want)
	}
	return emit(s, src, tree)
}

// Program is a compiled formula. It is immutable and safe for concurrent use.
type Program struct {
	src   string
	typ   Type
	code  []instr
	at    []int32 // byte offset in src of each instruction
	depth int     // values on the stack at most
	slots []int   // that it reads, ascending
}

// String returns the source.
func (p *Program) String() string { return p.src }

// Type returns the type of the result.
func (p *Program) Type() Type { return p.typ }

// Size returns the number of instructions: each takes about 2 ns, a
// transcendental function 10 to 50 ns.
func (p *Program) Size() int { return len(p.code) }

// Slots returns the slots that the program reads, ascending.
func (p *Program) Slots() []int { return slices.Clone(p.slots) }

// Constant returns the value of a program that does not depend on any variable
// and was folded to a constant.
func (p *Program) Constant() (value float64, ok bool) {
	if len(p.code) == 1 && p.code[0].op == opConst {
		return p.code[0].val, true
	}
	return 0, false
}

// Eval computes the formula. slots holds the value of every variable of the
// scope: finite numbers, 0 or 1 for a Bool; a shorter slice panics. A Bool
// result is 0 or 1. Eval does not allocate unless it fails; the error is an
// *Error.
func (p *Program) Eval(slots []float64) (float64, error) {
	if p.depth <= smallStack {
		var stack [smallStack]float64
		return p.run(slots, stack[:])
	}
	var stack [MaxStack]float64
	return p.run(slots, stack[:])
}

// Test is Eval for a formula of type Bool.
func (p *Program) Test(slots []float64) (bool, error) {
	v, err := p.Eval(slots)
	return v != 0, err
}

// smallStack is the stack that most formulas need: clearing a larger one costs
// more than running them.
const smallStack = 8

// errorAt returns an Error at a byte offset of src.
func errorAt(src string, offset int, problem, expected string) *Error {
	before := src[:min(max(offset, 0), len(src))]
	line := strings.LastIndexByte(before, '\n') + 1
	return &Error{
		Line:     strings.Count(before, "\n") + 1,
		Col:      len([]rune(before[line:])) + 1,
		Problem:  problem,
		Expected: expected,
	}
}

func typeError(src string, n *node, want Type) *Error {
	expected := "a " + want.String()
	switch {
	case want == Number && n.typ == Bool:
		expected += ", as in if(condition, 1, 0)"
	case want == Bool && n.typ == Number:
		expected += ", as in x != 0"
	}
	return errorAt(src, n.at, "this is a "+n.typ.String(), expected)
}
