// Package claim finds what a text claims in numbers and decides it exactly.
//
// A text in a natural language cannot be read with certainty, so the scanner
// prefers silence to a wrong verdict. It looks at each equals sign, takes the
// longest expression that touches it on either side (segment.go), and grades the
// surroundings: nothing is said where they may change the meaning ("3 times 4 + 2
// = 14"), a false equation is "not assessable" where they might ("= 5 hours"), and
// it is refuted only where they cannot. Both sides are evaluated with exact
// rational numbers (eval.go), free of units. A true equation is true whatever
// stands around it.
//
// Cost: linear in the text, with a fixed ceiling on arithmetic (maxWork operations
// on numbers of at most maxBits bits). Nothing panics on any input.
package claim

import (
	"math/big"
	"strings"
	"unicode/utf8"
)

// Verdict says what came of a claim.
type Verdict string

// The verdicts.
const (
	Verified      Verdict = "verified"       // both sides are the same number
	Refuted       Verdict = "refuted"        // they are not
	NotAssessable Verdict = "not_assessable" // they differ, but the text can be read in another way
)

// Arithmetic is one claim "expression = expression" of a text.
type Arithmetic struct {
	Text    string  // the claim as it stands there, cut to a readable length
	Offset  int     // its first byte in the text
	Verdict Verdict // of reading the two sides as exact numbers
	Expr    string  // the side that is an expression, as it stands there; the left one of two
	Exact   string  // its value
	Claimed string  // the value of the other side
	Reason  string  // why it is not assessable; else ""
}

const (
	maxClaims = 32   // reported of one text
	maxWork   = 2048 // operations on exact numbers for one text
	maxShown  = 120  // bytes of a claim or number that are quoted
)

// Report is what a text claims.
type Report struct {
	Arithmetic []Arithmetic
	Bindings   []Binding
	// Cut is set when the text had more claims than one report holds, or was too
	// much work; what is reported is right all the same.
	Cut bool
}

// Count returns how many arithmetic claims got verdict v.
func (r *Report) Count(v Verdict) int {
	n := 0
	for i := range r.Arithmetic {
		if r.Arithmetic[i].Verdict == v {
			n++
		}
	}
	return n
}

// Scan reports the arithmetic claims and bindings of text.
func Scan(text string) Report {
	var r Report
	if !strings.ContainsAny(text, "=") {
		return r
	}
	s := scanner{text: text, tokens: lex(text), work: maxWork}
	s.survey()
	binder := newBinder(&s)
	for i, t := range s.tokens {
		if t.kind != equals {
			continue
		}
		if s.work <= 0 || len(r.Arithmetic) >= maxClaims {
			r.Cut = true
			break
		}
		left, right := s.leftOf(i), s.rightOf(i)
		binder.look(i, right)
		if a, ok := s.decide(left, right, t.assign); ok {
			r.Arithmetic = append(r.Arithmetic, a)
		}
	}
	r.Bindings = binder.list()
	return r
}

// scanner is the state of one Scan.
type scanner struct {
	text      string
	tokens    []token
	work      int    // operations left
	otherwise string // why numbers may not mean what they look like, anywhere in the text
	rounds    bool   // the text speaks of rounding
}

// decide compares the expressions on the two sides of an equals sign. ok is false
// when there is nothing to say.
func (s *scanner) decide(left, right segment, assign bool) (a Arithmetic, ok bool) {
	if assign || left.grade == unknown || right.grade == unknown || !(left.compound(s) || right.compound(s)) {
		return a, false
	}
	l, r := s.eval(left, plainMarks), s.eval(right, plainMarks)
	if l.malformed || r.malformed || mixed(l.currency, r.currency) {
		return a, false
	}
	a.Offset = s.tokens[left.lo].start
	a.Text = shorten(s.text[a.Offset:s.tokens[right.hi-1].end])
	exact, claimed, computed, literal := l, r, left, right
	if !left.compound(s) {
		exact, claimed, computed, literal = r, l, right, left
	}
	a.Expr, a.Exact, a.Claimed = shorten(s.source(computed)), exact.show(), claimed.show()
	if fail := l.failure + r.failure; fail != "" {
		if l.failure != "" {
			fail = l.failure
		}
		a.Verdict, a.Reason, a.Exact, a.Claimed = NotAssessable, fail, l.show(), r.show()
		return a, true
	}
	if l.num.Cmp(r.num) == 0 {
		a.Verdict = Verified
		return a, true
	}
	a.Reason = s.doubt(left, right, l, r)
	if a.Reason == "" && !literal.compound(s) {
		a.Reason = s.rounded(literal, exact.num, claimed.num)
	}
	a.Verdict = Refuted
	if a.Reason != "" {
		a.Verdict = NotAssessable
	}
	// A bare number before the sign, after words, may be part of a phrase.
	if a.Verdict == Refuted && !left.compound(s) && left.prose {
		return a, false
	}
	return a, true
}

// source returns the text of a segment.
func (s *scanner) source(g segment) string {
	return s.text[s.tokens[g.lo].start:s.tokens[g.hi-1].end]
}

// doubt returns a reason to believe that an equation that is false as it stands
// was meant in another way, or "".
func (s *scanner) doubt(left, right segment, l, r outcome) string {
	for _, reason := range []string{l.doubt, r.doubt, left.why, right.why, s.otherwise} {
		if reason != "" {
			return reason
		}
	}
	ls, rs := s.eval(left, swappedMarks), s.eval(right, swappedMarks)
	if ls.fine() && rs.fine() && ls.num.Cmp(rs.num) == 0 {
		return "true when the comma is the decimal mark"
	}
	return s.dashed(left, r)
}

// dashed tries the reading in which the dash that opens a line belongs to the
// number after it.
func (s *scanner) dashed(left segment, r outcome) string {
	if !left.dashed {
		return ""
	}
	left.lo--
	if l := s.eval(left, plainMarks); l.fine() && l.num.Cmp(r.num) == 0 {
		return "the leading dash can be a minus or the mark of a list"
	}
	return ""
}

// rounded returns a reason when the claimed number has decimals and is the exact
// one rounded or cut to as many.
func (s *scanner) rounded(literal segment, exact, claimed *big.Rat) string {
	n, ok := s.decimals(literal)
	switch diff := new(big.Rat).Sub(exact, claimed); {
	case ok:
	case s.rounds && !exact.IsInt() && diff.Abs(diff).Cmp(big.NewRat(1, 1)) < 0:
		return "equal only after rounding, of which the text speaks"
	default:
		return ""
	}
	unit := power10(-n)
	diff := new(big.Rat).Sub(exact, claimed)
	nearer := new(big.Rat).Abs(diff).Cmp(new(big.Rat).Mul(unit, big.NewRat(1, 2))) <= 0
	cut := diff.Sign() == exact.Sign() && new(big.Rat).Abs(diff).Cmp(unit) < 0
	if nearer || cut {
		return "equal only after rounding to the digits that are written"
	}
	return ""
}

func power10(n int) *big.Rat {
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n, -n))), nil)
	if n < 0 {
		return new(big.Rat).SetFrac(big.NewInt(1), p)
	}
	return new(big.Rat).SetInt(p)
}

// mixed reports whether two currency signs differ; numbers without one go with
// any.
func mixed(a, b rune) bool { return a != 0 && b != 0 && a != b }

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
