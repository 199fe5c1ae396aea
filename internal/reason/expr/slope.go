package expr

import "math"

// dual is a value and its slope (automatic differentiation in forward mode:
// Wengert, 1964).
type dual struct{ v, d float64 }

// Slope computes the formula, which must be of type Number, and its derivative
// with respect to the variable in a slot, exactly but for rounding. Conditions
// count as constant: at the border of one, the slope is that of the branch
// taken. It is an *Error if there is no derivative: where abs, min, max or clamp
// has a kink, floor, ceil, round, sign or mod jumps, or the tangent is vertical.
// It takes two to three times as long as Eval.
func (p *Program) Slope(slots []float64, slot int) (value, slope float64, err error) {
	var stack [MaxStack + 1]dual
	var top dual
	sp := 0
	for pc := 0; pc < len(p.code); pc++ {
		in := &p.code[pc]
		switch in.op {
		case opConst, opLoad:
			stack[sp] = top
			sp++
			top = dual{v: in.val}
			if in.op == opLoad {
				top = dual{slots[in.arg], truth(int(in.arg) == slot)}
			}
		case opIndex:
			if !within(top.v, in.val) {
				return 0, 0, p.fail(pc, top.v, 0)
			}
			if top.d != 0 {
				return 0, 0, p.kink(pc)
			}
			i := int(in.arg) + int(top.v)
			top = dual{slots[i], truth(i == slot)}
		case opJump:
			pc = int(in.arg) - 1
		case opBranch:
			if top.v == 0 {
				pc = int(in.arg) - 1
			}
			sp--
			top = stack[sp]
		case opJumpIfNot, opJumpIf:
			if (top.v != 0) == (in.op == opJumpIf) {
				pc = int(in.arg) - 1
				continue
			}
			sp--
			top = stack[sp]
		default:
			args := [3]dual{top}
			switch arity(in.op) {
			case 2:
				sp--
				args = [3]dual{stack[sp], top}
			case 3:
				sp -= 2
				args = [3]dual{stack[sp], stack[sp+1], top}
			}
			top.v = operate(in.op, args[0].v, args[1].v, args[2].v)
			if top.v-top.v != 0 {
				return 0, 0, p.fail(pc, args[0].v, args[1].v)
			}
			if top.d = differentiate(in.op, args, top.v); top.d-top.d != 0 {
				return 0, 0, p.kink(pc)
			}
		}
	}
	if top.v-top.v != 0 {
		return 0, 0, p.fail(len(p.code)-1, top.v, 0)
	}
	return top.v + 0, top.d + 0, nil
}

func arity(op opcode) int {
	switch op {
	case opNot, opNeg, opAbs, opFloor, opCeil, opRound, opSign, opSqrt, opExp, opLog, opSin, opCos, opTan, opTanh:
		return 1
	case opClamp:
		return 3
	}
	return 2
}

// operate computes what run does for op, NaN where clamp is given no range.
func operate(op opcode, x, y, z float64) float64 {
	switch op {
	case opNot:
		return truth(x == 0)
	case opEq:
		return truth(x == y)
	case opNe:
		return truth(x != y)
	case opLt:
		return truth(x < y)
	case opLe:
		return truth(x <= y)
	case opGt:
		return truth(x > y)
	case opGe:
		return truth(x >= y)
	case opNeg:
		return -x
	case opAbs:
		return math.Abs(x)
	case opFloor:
		return math.Floor(x)
	case opCeil:
		return math.Ceil(x)
	case opRound:
		return math.Round(x)
	case opSign:
		return truth(x > 0) - truth(x < 0)
	case opMin:
		return min(x, y)
	case opMax:
		return max(x, y)
	case opClamp:
		return unlessAt(y > z, max(y, min(z, x)))
	case opAdd:
		return x + y
	case opSub:
		return x - y
	case opMul:
		return x * y
	case opDiv:
		return x / y
	case opMod:
		return mod(x, y)
	case opPow:
		return math.Pow(x, y)
	}
	return unary(op, x)
}

// differentiate returns the slope of an operation whose result is r, NaN if it
// has none.
func differentiate(op opcode, args [3]dual, r float64) float64 {
	x, y := args[0], args[1]
	switch op {
	case opAdd:
		return x.d + y.d
	case opSub:
		return x.d - y.d
	case opMul:
		return x.d*y.v + x.v*y.d
	case opDiv:
		return (x.d - r*y.d) / y.v
	case opMod:
		if x.d == 0 && y.d == 0 {
			return 0
		}
		return unlessAt(r == 0, x.d-y.d*math.Floor(x.v/y.v))
	case opPow:
		return differentiatePower(x, y, r)
	case opMin:
		return either(x, y, x.v < y.v)
	case opMax:
		return either(x, y, x.v > y.v)
	case opClamp:
		low := either(y, x, y.v > x.v)
		inner := dual{max(y.v, x.v), low}
		return either(args[2], inner, args[2].v < inner.v)
	}
	if x.d == 0 {
		return 0
	}
	switch op {
	case opNeg:
		return -x.d
	case opAbs:
		return unlessAt(x.v == 0, math.Copysign(1, x.v)*x.d)
	case opFloor, opCeil:
		return unlessAt(x.v == r, 0)
	case opRound:
		return unlessAt(math.Abs(x.v-r) == .5, 0)
	case opSign:
		return unlessAt(x.v == 0, 0)
	case opSqrt:
		return x.d / (2 * r)
	case opExp:
		return x.d * r
	case opLog:
		return x.d / x.v
	case opSin:
		return x.d * math.Cos(x.v)
	case opCos:
		return -x.d * math.Sin(x.v)
	case opTan:
		return x.d * (1 + r*r)
	case opTanh:
		return x.d * (1 - r*r)
	}
	return 0 // a truth value
}

// differentiatePower returns the slope of x^y = r.
func differentiatePower(x, y dual, r float64) float64 {
	var d float64
	if x.d != 0 && y.v != 0 {
		d = y.v * math.Pow(x.v, y.v-1) * x.d
	}
	if y.d != 0 { // r·ln x exists for a positive base only
		d += r * math.Log(x.v) * y.d
	}
	return d
}

// either returns the slope of a if first holds, else of b; NaN where both are
// equal and their slopes are not.
func either(a, b dual, first bool) float64 {
	switch {
	case a.v == b.v:
		return unlessAt(a.d != b.d, a.d)
	case first:
		return a.d
	}
	return b.d
}

func unlessAt(kink bool, slope float64) float64 {
	if kink {
		return math.NaN()
	}
	return slope
}

// kink says that the instruction at pc has no derivative.
func (p *Program) kink(pc int) error {
	return errorAt(p.src, int(p.at[pc]), "there is no derivative at this point", "a point where it is smooth, and a slope below 1.8e308")
}
