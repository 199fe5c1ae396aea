package claim

import (
	"fmt"
	"math/big"
	"strings"
)

const (
	maxBits  = 2048 // of numerator and denominator together
	maxDepth = 32   // of nested brackets and signs

	maxPlaces = 20 // decimals that are shown; beyond that it is a fraction
)

// outcome is the value of an expression, or why it has none.
type outcome struct {
	num       *big.Rat
	doubt     string // another reading of the expression has another value
	failure   string // it has no value, or none of bearable size
	malformed bool   // it is no expression
	currency  rune
}

func (o outcome) fine() bool { return !o.malformed && o.failure == "" && o.num != nil }

// show writes a value: whole and short decimal numbers as such, others as a
// fraction, and only the beginning of very long ones.
func (o outcome) show() string {
	if o.num == nil {
		return ""
	}
	text := o.num.RatString()
	if n, exact := o.num.FloatPrec(); exact && n > 0 && n <= maxPlaces {
		text = o.num.FloatString(n)
	}
	if len(text) > maxShown {
		return fmt.Sprintf("%s… (%d characters)", text[:maxShown/2], len(text))
	}
	return text
}

// eval computes a segment.
func (s *scanner) eval(g segment, m marks) outcome {
	p := parser{scanner: s, pos: g.lo, end: g.hi, marks: m}
	v := p.sum(0)
	o := outcome{num: v.num, doubt: p.doubt, failure: p.failure, currency: p.currency}
	o.malformed = p.broken || p.failure == "" && p.pos != p.end
	if o.malformed || o.failure != "" {
		o.num = nil
	}
	return o
}

// value is an intermediate number. share marks a bare percentage.
type value struct {
	num   *big.Rat
	share bool
}

// parser evaluates while it parses; the first problem ends it.
//
//	sum     = product {("+"|"-") product}
//	product = factor {("*"|"/"|"%") factor | bracket}
//	factor  = ("+"|"-") factor | power
//	power   = atom {percent} ["^" factor]
//	atom    = number | "(" sum ")"
type parser struct {
	*scanner
	pos, end int
	marks    marks
	currency rune
	doubt    string
	failure  string
	broken   bool
}

func (p *parser) stopped() bool { return p.broken || p.failure != "" }

func (p *parser) peek() token {
	if p.pos < p.end {
		return p.tokens[p.pos]
	}
	return token{kind: line}
}

// operator returns the operator at the cursor if it is one of ops, else 0.
func (p *parser) operator(ops string) byte {
	if t := p.peek(); t.kind == sign && strings.IndexByte(ops, t.op) >= 0 {
		p.pos++
		return t.op
	}
	return 0
}

// made counts one operation and checks the size of its result.
func (p *parser) made(r *big.Rat) *big.Rat {
	p.work--
	if p.work <= 0 || r.Num().BitLen()+r.Denom().BitLen() > maxBits {
		p.failure = "the numbers are too large"
	}
	return r
}

func (p *parser) sum(depth int) value {
	v := p.product(depth)
	for !p.stopped() {
		op := p.operator("+-")
		if op == 0 {
			break
		}
		w := p.product(depth)
		if p.stopped() {
			break
		}
		if v.share != w.share {
			p.doubt = "a percentage next to a plain number can mean a part of it"
		}
		if op == '-' {
			w.num = new(big.Rat).Neg(w.num)
		}
		v = value{num: p.made(new(big.Rat).Add(v.num, w.num)), share: v.share && w.share}
	}
	return v
}

func (p *parser) product(depth int) value {
	v := p.factor(depth)
	fraction := false // an operator before a bracket without sign: 6/2(1+2)
	for !p.stopped() {
		op := p.operator("*/%")
		if t := p.peek(); op == 0 && t.kind == opening {
			op = '*'
			if fraction {
				p.doubt = "a bracket without a sign in front can belong to the divisor"
			}
		}
		if op == 0 {
			break
		}
		fraction = fraction || op != '*'
		if w := p.factor(depth); !p.stopped() {
			v = value{num: p.combine(op, v.num, w.num)}
		}
	}
	return v
}

// combine returns a op b, where op is one of * / %.
func (p *parser) combine(op byte, a, b *big.Rat) *big.Rat {
	switch {
	case op == '*':
		return p.made(new(big.Rat).Mul(a, b))
	case b.Sign() == 0:
		p.failure = "division by zero"
		return a
	case op == '/':
		return p.made(new(big.Rat).Quo(a, b))
	case !a.IsInt() || !b.IsInt():
		p.failure = "the remainder of fractions is not defined here"
		return a
	}
	if a.Sign() < 0 || b.Sign() < 0 {
		p.doubt = "the sign of a remainder of negative numbers is a convention"
	}
	return p.made(new(big.Rat).SetInt(new(big.Int).Rem(a.Num(), b.Num())))
}

func (p *parser) factor(depth int) value {
	if depth > maxDepth {
		p.broken = true
		return value{num: new(big.Rat)}
	}
	op := p.operator("+-")
	if op == 0 {
		return p.power(depth)
	}
	first := p.pos
	v := p.factor(depth + 1)
	if op == '-' {
		if !p.stopped() && p.raised(first) {
			p.doubt = "the sign can belong to the base of the power"
		}
		v.num = new(big.Rat).Neg(v.num)
	}
	return v
}

// raised reports whether the factor that began at token first is a number with an
// exponent.
func (p *parser) raised(first int) bool {
	return first+1 < p.pos && p.tokens[first].kind == number && p.tokens[first+1].kind == sign && p.tokens[first+1].op == '^'
}

func (p *parser) power(depth int) value {
	v := p.atom(depth)
	for !p.stopped() && p.peek().kind == percent {
		p.pos++
		v = value{num: p.made(new(big.Rat).Mul(v.num, big.NewRat(1, 100))), share: true}
	}
	if p.stopped() || p.operator("^") == 0 {
		return v
	}
	first := p.pos
	e := p.factor(depth + 1)
	if p.stopped() {
		return v
	}
	if p.raised(first) {
		p.doubt = "a tower of powers can be read from either end"
	}
	return value{num: p.raise(v.num, e.num)}
}

// raise returns base to a whole power.
func (p *parser) raise(base, exp *big.Rat) *big.Rat {
	bits := int64(max(base.Num().BitLen(), base.Denom().BitLen()))
	switch {
	case !exp.IsInt():
		p.failure = "roots are not computed"
		return base
	case base.Sign() == 0 && exp.Sign() < 0:
		p.failure = "division by zero"
		return base
	case base.Sign() == 0 && exp.Sign() == 0:
		p.doubt = "0^0 is a convention"
	case !exp.Num().IsInt64() || max(exp.Num().Int64(), -exp.Num().Int64()) > maxBits:
		if bits > 1 {
			p.failure = "the numbers are too large"
			return base
		}
		// 0, 1 and −1 have powers as small as themselves.
		exp = new(big.Rat).SetInt64(int64(exp.Num().Bit(0)) + 2)
	case bits*max(exp.Num().Int64(), -exp.Num().Int64()) > 2*maxBits:
		p.failure = "the numbers are too large"
		return base
	}
	n := new(big.Int).Abs(exp.Num())
	num, den := new(big.Int).Exp(base.Num(), n, nil), new(big.Int).Exp(base.Denom(), n, nil)
	if exp.Sign() < 0 {
		num, den = den, num
	}
	return p.made(new(big.Rat).SetFrac(num, den))
}

func (p *parser) atom(depth int) value {
	t := p.peek()
	p.pos++
	switch t.kind {
	case number:
		if mixed(p.currency, t.currency) {
			p.broken = true
		}
		if t.currency != 0 {
			p.currency = t.currency
		}
		num, ok := p.marks.value(p.text[t.start:t.end])
		if !ok {
			p.broken = true
			num = new(big.Rat)
		}
		return value{num: num}
	case opening:
		v := p.sum(depth + 1)
		if !p.stopped() && p.peek().kind != closing {
			p.broken = true
		}
		p.pos++
		return v
	}
	p.broken = true
	return value{num: new(big.Rat)}
}
