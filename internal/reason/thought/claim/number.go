package claim

import (
	"math/big"
	"strconv"
	"strings"
	"unicode"
)

const (
	maxDigits   = 64  // of one literal
	maxExponent = 300 // of one literal in scientific notation
)

// number takes digits with thousands separators, a fraction and an exponent. A
// literal that can be read in more than one way, or that touches a letter, is
// strange.
func (l *lexer) number() {
	s := l.text[l.i:]
	prev := l.last()
	dotted := l.before() == '.' || s[0] == '.' && !l.spaced && (prev.kind == word || prev.operand()) && prev.end == l.i
	whole := digits(s)
	n := whole
	for n <= maxDigits && whole <= 3 && thousands(s[n:]) {
		n += 4
	}
	grouped := n > whole
	bad := dotted || whole > 1 && s[0] == '0' || grouped && s[0] == '0' || n > maxDigits
	if separated(s[n:], ',') {
		bad = true
	}
	if separated(s[n:], '.') {
		n += 1 + digits(s[n+1:])
		bad = bad || separated(s[n:], '.') || separated(s[n:], ',') || n > 2*maxDigits
	}
	if k := exponent(s[n:]); k > 0 {
		n += k
	}
	follow := l.at(n)
	if unicode.IsLetter(follow) && !dense(follow) || follow == '_' && letterOrDigit(l.at(n+1)) {
		bad = true
	}
	k := number
	if bad {
		k = strange
	}
	l.emit(token{kind: k, currency: l.currency}, n)
}

func letterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

func digits(s string) int {
	n := 0
	for n < len(s) && isDigit(rune(s[n])) {
		n++
	}
	return n
}

// thousands reports whether s begins with a comma and exactly three digits.
func thousands(s string) bool { return strings.HasPrefix(s, ",") && digits(s[1:]) == 3 }

// separated reports whether s begins with mark and a digit.
func separated(s string, mark byte) bool { return len(s) > 1 && s[0] == mark && isDigit(rune(s[1])) }

// exponent returns the length of an exponent such as e-12 at the start of s, or 0.
func exponent(s string) int {
	if len(s) < 2 || s[0] != 'e' && s[0] != 'E' {
		return 0
	}
	n := 1
	if s[n] == '+' || s[n] == '-' {
		n++
	}
	d := digits(s[n:])
	if d == 0 || d > 3 {
		return 0
	}
	return n + d
}

// marks says which of comma and point parts thousands and which the decimals.
type marks uint8

const (
	plainMarks   marks = iota // 1,234.5
	swappedMarks              // 1.234,5, as in much of Europe
)

// value returns the number that text writes, or false when marks do not fit it.
func (m marks) value(text string) (*big.Rat, bool) {
	if len(text) > 4*maxDigits {
		return nil, false
	}
	if r := []rune(text); len(r) > 0 && r[0] > unicode.MaxASCII {
		text = plainDigits(r)
	}
	if m == swappedMarks {
		var ok bool
		if text, ok = swap(text); !ok {
			return nil, false
		}
	}
	mantissa, exp, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(text), ",", ""), "e")
	if n, err := strconv.Atoi(exp); exp != "" && (err != nil || max(n, -n) > maxExponent) {
		return nil, false
	}
	if exp != "" {
		mantissa += "e" + exp
	}
	return new(big.Rat).SetString(mantissa)
}

// plainDigits turns superscripts into a number that big.Rat reads.
func plainDigits(super []rune) string {
	var b strings.Builder
	for _, r := range super {
		switch r {
		case '⁻':
			b.WriteByte('-')
		case '¹':
			b.WriteByte('1')
		case '²':
			b.WriteByte('2')
		case '³':
			b.WriteByte('3')
		default:
			b.WriteByte(byte('0' + r - '⁰'))
		}
	}
	return b.String()
}

// swap rewrites a literal whose comma is the decimal mark with a point instead.
func swap(text string) (string, bool) {
	comma, point := strings.Count(text, ","), strings.Count(text, ".")
	switch {
	case comma == 0 && point == 0:
		return text, true
	case comma == 1 && point == 0:
		return strings.Replace(text, ",", ".", 1), true
	case comma == 0 && point == 1:
		whole, fraction, _ := strings.Cut(text, ".")
		return whole + fraction, len(fraction) == 3 && digits(fraction) == 3 && len(whole) <= 3 && whole != "" && whole[0] != '0'
	}
	return "", false
}

// decimals returns the place of the last digit that a literal writes: 2 for 3.14,
// 3 for 12.5%, which is 0.125, and −8 for 3.1e9. ok is false for a plain whole
// number, which claims to be exact.
func (s *scanner) decimals(g segment) (n int, ok bool) {
	for _, t := range s.tokens[g.lo:g.hi] {
		switch t.kind {
		case number:
			text := strings.ToLower(s.text[t.start:t.end])
			mantissa, exp, scientific := strings.Cut(text, "e")
			_, fraction, point := strings.Cut(mantissa, ".")
			shift, _ := strconv.Atoi(exp) // 0 without one
			n, ok = len(fraction)-shift, point || scientific
		case percent:
			n += 2
		}
	}
	return n, ok
}
