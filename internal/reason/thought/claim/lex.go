package claim

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a token means to the scanner.
type kind uint8

const (
	number  kind = iota
	sign         // an operator: + - * / ^ or % for the remainder
	percent      // % after a number
	opening
	closing
	equals
	word
	gap     // punctuation that ends an expression without changing it
	line    // the end of a line
	bang    // ! right after a number: an exclamation, or a factorial
	strange // anything else; what it does to the numbers beside it is unknown
)

// token is one piece of a text.
type token struct {
	kind       kind
	op         byte // of a sign, one of + - * / ^ %
	start, end int  // bytes of the text
	spaced     bool // white space stands before it, on the same line
	bullet     bool // a dash that opens a line, and may be the mark of a list item
	assign     bool // := rather than =
	currency   rune // of a number: the sign in front of it, or 0
}

// operand reports whether an expression can end with t.
func (t token) operand() bool { return t.kind == number || t.kind == percent || t.kind == closing }

// lexer splits a text into tokens in one pass.
type lexer struct {
	text     string
	i        int
	spaced   bool
	currency rune
	tokens   []token
}

// lex returns the tokens of text. It never fails: what it does not know is
// strange.
func lex(text string) []token {
	l := lexer{text: text, tokens: make([]token, 0, len(text)/4+8)}
	for l.i < len(text) {
		r, size := utf8.DecodeRuneInString(text[l.i:])
		switch {
		case r == '\n' || r == '\r':
			l.emit(token{kind: line}, size)
		case unicode.IsSpace(r):
			l.i += size
			l.spaced = true
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r):
			l.i += size // accents and joiners have no meaning of their own
		case isDigit(r) || r == '.' && l.digitAt(l.i+1):
			l.number()
		case unicode.IsLetter(r):
			l.word()
		default:
			l.symbol(r, size)
		}
	}
	return l.tokens
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// emit appends t, which is size bytes long.
func (l *lexer) emit(t token, size int) {
	t.start, t.end, t.spaced = l.i, l.i+size, l.spaced
	l.tokens = append(l.tokens, t)
	l.i += size
	l.spaced, l.currency = false, 0
}

// last returns the token before the cursor; a line end at the start of the text.
func (l *lexer) last() token {
	if n := len(l.tokens); n > 0 {
		return l.tokens[n-1]
	}
	return token{kind: line}
}

func (l *lexer) digitAt(i int) bool { return i < len(l.text) && isDigit(rune(l.text[i])) }

// before returns the rune in front of the cursor, 0 at the start.
func (l *lexer) before() rune {
	if l.i == 0 {
		return 0
	}
	r, _ := utf8.DecodeLastRuneInString(l.text[:l.i])
	return r
}

// at returns the rune off bytes after the cursor, 0 at the end.
func (l *lexer) at(off int) rune {
	if l.i+off >= len(l.text) {
		return 0
	}
	r, _ := utf8.DecodeRuneInString(l.text[l.i+off:])
	return r
}

// next returns the first rune after off bytes that is no blank and whether blanks
// stand before it; 0 at the end of the line.
func (l *lexer) next(off int) (r rune, spaced bool) {
	for _, r := range l.text[l.i+off:] {
		switch {
		case r == '\n' || r == '\r':
			return 0, true
		case !unicode.IsSpace(r):
			return r, spaced
		}
		spaced = true
	}
	return 0, true
}

// word takes a run of letters with the digits, underscores and apostrophes inside
// it. Scripts that do not part words by blanks keep their digits out.
func (l *lexer) word() {
	var prev rune
	end := 0
	for off, r := range l.text[l.i:] {
		letter := unicode.IsLetter(r) || unicode.Is(unicode.Mn, r)
		digit := isDigit(r) && !dense(prev)
		joint := (r == '_' || r == '\'' || r == '’') && off > 0
		if !letter && !digit && !joint || r == utf8.RuneError || joint && (prev == '_' || prev == '\'' || prev == '’') {
			break
		}
		if letter || digit {
			end = off + utf8.RuneLen(r)
		}
		prev = r
	}
	l.emit(token{kind: word}, end)
}

func dense(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Thai)
}

// gaps are runes that end an expression without touching its meaning.
const gaps = ",.;?\"“”„«»`[]{}#…⇒→⟹⟶←↔⟺⇔∴∵•◦▪—。，；：、！？「」（）【】_" + "\u2028"

// symbol takes one token that begins with r, which is neither digit nor letter.
func (l *lexer) symbol(r rune, size int) {
	switch r {
	case '=':
		l.equals(size)
	case '+', '-', '−', '–':
		l.additive(r, size)
	case '*', '×', '·', '⋅', '∗':
		l.times(r, size)
	case '/', '÷', '∕':
		l.slash(r, size)
	case '^':
		l.operator('^', size)
	case '%':
		l.percent(size)
	case '(':
		l.emit(token{kind: opening}, size)
	case ')':
		l.emit(token{kind: closing}, size)
	case '$', '€', '£', '¥':
		if follow := l.at(size); isDigit(follow) || follow == '.' && l.digitAt(l.i+size+1) {
			l.i += size
			l.currency = r
			return
		}
		l.emit(token{kind: gap}, size)
	case '²', '³', '¹', '⁰', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹', '⁻':
		l.superscript()
	default:
		l.punctuation(r, size)
	}
}

func (l *lexer) equals(size int) {
	switch n := run(l.text[l.i:], '='); {
	case n > 2 || l.at(n) == '<' || l.at(n) == '~':
		l.emit(token{kind: strange}, n)
	case l.at(n) == '>':
		l.emit(token{kind: gap}, n+1) // an arrow
	default:
		l.emit(token{kind: equals}, max(n, size))
	}
}

// run returns how often s begins with b.
func run(s string, b byte) int {
	n := 0
	for n < len(s) && s[n] == b {
		n++
	}
	return n
}

// operator emits a sign, unless it is the first half of an assignment such as +=.
func (l *lexer) operator(op byte, size int) {
	if l.at(size) == '=' {
		l.emit(token{kind: strange}, size+1)
		return
	}
	l.emit(token{kind: sign, op: op}, size)
}

func (l *lexer) additive(r rune, size int) {
	opensLine := l.last().kind == line
	_, spacedAfter := l.next(size)
	if r == '+' {
		switch {
		case l.at(size) == '+':
			l.emit(token{kind: strange}, 2)
		case opensLine && spacedAfter:
			l.emit(token{kind: gap}, size)
		default:
			l.operator('+', size)
		}
		return
	}
	switch follow := l.at(size); {
	case follow == '>':
		l.emit(token{kind: gap}, size+1)
	case r == '-' && follow == '-':
		l.emit(token{kind: gap}, run(l.text[l.i:], '-'))
	case r == '–' && !spacedAfter:
		l.emit(token{kind: strange}, size) // a range, more often than a minus
	case follow == '=':
		l.operator('-', size)
	default:
		l.emit(token{kind: sign, op: '-', bullet: opensLine && spacedAfter}, size)
	}
}

// times tells a product from a bullet and from the asterisks of emphasis.
func (l *lexer) times(r rune, size int) {
	n, op := size, byte('*')
	if r == '*' {
		if n = run(l.text[l.i:], '*'); n == 2 {
			op = '^'
		}
	}
	prev := l.last()
	follow, spacedAfter := l.next(n)
	begins := isDigit(follow) || strings.ContainsRune("(.-−$€£¥", follow)
	switch {
	case l.at(n) == '=':
		l.emit(token{kind: strange}, n+1)
	case prev.operand() && begins && (n <= 2 || r != '*'):
		l.emit(token{kind: sign, op: op}, n)
	case prev.operand() && (l.spaced || !spacedAfter && unicode.IsLetter(follow)):
		l.emit(token{kind: strange}, n) // times something that is no number
	case prev.kind == word && (!l.spaced || spacedAfter):
		l.emit(token{kind: strange}, n)
	default:
		l.emit(token{kind: gap}, n)
	}
}

func (l *lexer) slash(r rune, size int) {
	switch {
	case r == '/' && l.at(size) == '/' && l.last().operand():
		l.emit(token{kind: strange}, 2) // whole division, in some languages
	case r == '/' && l.at(size) == '/':
		l.emit(token{kind: gap}, 2) // a remark
	default:
		l.operator('/', size)
	}
}

// percent tells "17 % 5" and "17%5", a remainder, from "50% 0.5".
func (l *lexer) percent(size int) {
	follow, spacedAfter := l.next(size)
	begins := isDigit(follow) || follow == '(' || follow == '.'
	if follow == '-' {
		begins = l.spaced
	}
	switch {
	case !l.last().operand():
		l.emit(token{kind: strange}, size)
	case begins && l.spaced == spacedAfter:
		l.emit(token{kind: sign, op: '%'}, size)
	default:
		l.emit(token{kind: percent}, size)
	}
}

// superscript turns 3² into 3 ^ 2.
func (l *lexer) superscript() {
	const digits = "⁰¹²³⁴⁵⁶⁷⁸⁹"
	start := l.i
	l.emit(token{kind: sign, op: '^'}, 0)
	for off, r := range l.text[start:] {
		if r != '⁻' && !strings.ContainsRune(digits, r) {
			l.emit(token{kind: number}, start+off-l.i)
			return
		}
	}
	l.emit(token{kind: number}, len(l.text)-l.i)
}

func (l *lexer) punctuation(r rune, size int) {
	after := isDigit(l.before())
	switch {
	case r == ':' && l.at(size) == '=':
		l.emit(token{kind: equals, assign: true}, size+1)
	case r == '!' && l.at(size) == '=':
		l.emit(token{kind: strange}, size+1)
	case r == '!' && l.last().operand() && !l.spaced:
		l.emit(token{kind: bang}, size)
	case r == '<' || r == '>':
		if follow := l.at(size); follow == '=' || follow == '<' || follow == '>' {
			l.emit(token{kind: strange}, size+1)
			return
		}
		l.emit(token{kind: gap}, size)
	case r == '.' && l.at(size) == '.':
		l.emit(token{kind: strange}, run(l.text[l.i:], '.'))
	case r == '…':
		l.emit(token{kind: strange}, size)
	case r == ':', r == '|', r == '\'', r == '’', r == '′', r == '″':
		k := gap
		if after && (r != ':' || l.digitAt(l.i+size)) || r == '|' && l.digitAt(l.i+size) {
			k = strange // a ratio, a time, an absolute value, feet and inches
		}
		l.emit(token{kind: k}, size)
	case r == '!' || strings.ContainsRune(gaps, r):
		l.emit(token{kind: gap}, size)
	case unicode.Is(unicode.So, r) && !after:
		l.emit(token{kind: gap}, size) // a picture
	default:
		l.emit(token{kind: strange}, size)
	}
}
