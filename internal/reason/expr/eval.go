package expr

import (
	"math"
	"strconv"
)

type opcode uint8

const (
	opConst     opcode = iota // push val
	opLoad                    // push slot arg
	opIndex                   // replace the index on top by slot arg + index
	opJump                    // go on at arg
	opBranch                  // drop the top; go on at arg if it was false
	opJumpIfNot               // go on at arg if the top is false, else drop it
	opJumpIf                  // go on at arg if the top is true, else drop it
	opNot
	opEq
	opNe
	opLt
	opLe
	opGt
	opGe
	opNeg
	opAbs
	opFloor
	opCeil
	opRound
	opSign
	opMin
	opMax
	opClamp
	opAdd // from here on the result may fail to be finite
	opSub
	opMul
	opDiv
	opMod
	opPow
	opSqrt
	opExp
	opLog
	opSin
	opCos
	opTan
	opTanh
)

// run executes the program. The top of the stack is kept in a variable; stack
// holds what is below it, with one unused value at the bottom.
func (p *Program) run(vars, stack []float64) (float64, error) {
	var top float64
	sp := 0
	code := p.code
	for pc := 0; pc < len(code); pc++ {
		in := &code[pc]
		switch in.op {
		case opConst:
			stack[sp] = top
			sp++
			top = in.val
			continue
		case opLoad:
			stack[sp] = top
			sp++
			top = vars[in.arg]
			continue
		case opIndex:
			if !within(top, in.val) {
				return 0, p.fail(pc, top, 0)
			}
			top = vars[int(in.arg)+int(top)]
			continue
		case opJump:
			pc = int(in.arg) - 1
			continue
		case opBranch:
			if top == 0 {
				pc = int(in.arg) - 1
			}
			sp--
			top = stack[sp]
			continue
		case opJumpIfNot, opJumpIf:
			if (top != 0) == (in.op == opJumpIf) {
				pc = int(in.arg) - 1
				continue
			}
			sp--
			top = stack[sp]
			continue
		case opNot:
			top = truth(top == 0)
			continue
		case opNeg:
			top = -top
			continue
		case opAbs:
			top = math.Abs(top)
			continue
		case opFloor:
			top = math.Floor(top)
			continue
		case opCeil:
			top = math.Ceil(top)
			continue
		case opRound:
			top = math.Round(top)
			continue
		case opSign:
			top = truth(top > 0) - truth(top < 0)
			continue
		case opSqrt, opExp, opLog, opSin, opCos, opTan, opTanh:
			x := top
			if top = unary(in.op, x); top-top != 0 {
				return 0, p.fail(pc, x, 0)
			}
			continue
		case opClamp:
			sp -= 2
			low := stack[sp+1]
			if low > top {
				return 0, p.fail(pc, low, top)
			}
			top = max(low, min(top, stack[sp]))
			continue
		}
		sp--
		x, y := stack[sp], top
		switch in.op {
		case opEq:
			top = truth(x == y)
		case opNe:
			top = truth(x != y)
		case opLt:
			top = truth(x < y)
		case opLe:
			top = truth(x <= y)
		case opGt:
			top = truth(x > y)
		case opGe:
			top = truth(x >= y)
		case opMin:
			top = min(x, y)
		case opMax:
			top = max(x, y)
		case opAdd:
			top = x + y
		case opSub:
			top = x - y
		case opMul:
			top = x * y
		case opDiv:
			top = x / y
		case opMod:
			top = mod(x, y)
		case opPow:
			top = math.Pow(x, y)
		}
		if top-top != 0 {
			return 0, p.fail(pc, x, y)
		}
	}
	if top-top != 0 {
		return 0, p.fail(len(code)-1, top, 0)
	}
	return top + 0, nil // never -0
}

func unary(op opcode, x float64) float64 {
	switch op {
	case opSqrt:
		return math.Sqrt(x)
	case opExp:
		return math.Exp(x)
	case opLog:
		return math.Log(x)
	case opSin:
		return math.Sin(x)
	case opCos:
		return math.Cos(x)
	case opTan:
		return math.Tan(x)
	}
	return math.Tanh(x)
}

// within reports whether v is an index of an array of n elements.
func within(v, n float64) bool { return v >= 0 && v < n && v == math.Trunc(v) }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// mod is the remainder with the sign of y: x - y·⌊x/y⌋, exact (Knuth, The Art
// of Computer Programming 1, 1.2.4).
func mod(x, y float64) float64 {
	r := math.Mod(x, y)
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r
}

// fail says why the instruction at pc has no finite result for x and y.
func (p *Program) fail(pc int, x, y float64) error {
	problem, expected := "the result is too large", "a result below 1.8e308"
	switch op := p.code[pc].op; {
	case op == opIndex:
		problem = "the index is " + strconv.FormatFloat(x, 'g', 6, 64)
		expected = "a whole number from 0 to " + strconv.Itoa(int(p.code[pc].val)-1)
	case x-x != 0 || y-y != 0:
		problem, expected = "a variable is not a finite number", ""
	case op == opDiv && y == 0:
		problem, expected = "division by zero", "a divisor other than 0"
	case op == opMod && y == 0:
		problem, expected = "remainder of a division by zero", "a divisor other than 0"
	case op == opSqrt:
		problem, expected = "square root of a negative number", "an argument of at least 0"
	case op == opLog:
		problem, expected = "logarithm of a number that is not positive", "an argument above 0"
	case op == opPow && x == 0:
		problem, expected = "negative power of zero", "a base other than 0"
	case op == opPow && x < 0 && y != math.Trunc(y):
		problem, expected = "fractional power of a negative number", "a base of at least 0"
	case op == opClamp:
		problem, expected = "the lower bound of clamp is above the upper bound", "clamp(x, low, high)"
	}
	return errorAt(p.src, int(p.at[pc]), problem, expected)
}
