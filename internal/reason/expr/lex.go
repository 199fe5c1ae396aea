package expr

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokNumber
	tokName
	tokOp // an operator or a delimiter; its text says which
)

type token struct {
	kind tokenKind
	at   int
	text string
	val  float64 // of tokNumber
}

// describe names a token for an error message.
func (t token) describe() string {
	switch t.kind {
	case tokEnd:
		return "the formula ends here"
	case tokNumber:
		return "found the number " + t.text
	}
	return "found " + strconv.Quote(t.text)
}

type lexer struct {
	src string
	off int
}

// operators has every operator and delimiter, those of two characters first.
var operators = [...]string{
	"||", "&&", "==", "!=", "<=", ">=",
	"+", "-", "*", "/", "%", "^", "<", ">", "!", "?", ":", "(", ")", "[", "]", ",",
}

func (l *lexer) next() (token, error) {
	for l.off < len(l.src) && strings.IndexByte(" \t\r\n", l.src[l.off]) >= 0 {
		l.off++
	}
	rest := l.src[l.off:]
	if rest == "" {
		return token{kind: tokEnd, at: l.off}, nil
	}
	if n := numberLen(rest); n > 0 {
		return l.number(rest[:n])
	}
	if n := identLen(rest); n > 0 {
		return l.take(tokName, n), nil
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return l.take(tokOp, len(op)), nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	return token{}, errorAt(l.src, l.off, "found "+strconv.QuoteRune(r), strayHint(r))
}

func (l *lexer) take(kind tokenKind, n int) token {
	t := token{kind: kind, at: l.off, text: l.src[l.off : l.off+n]}
	l.off += n
	return t
}

func (l *lexer) number(text string) (token, error) {
	val, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return token{}, errorAt(l.src, l.off, "the number "+clip(text)+" is too large", "at most 1.8e308")
	}
	t := l.take(tokNumber, len(text))
	t.val = val
	return t, nil
}

// strayHint says what to write instead of a character that starts no token.
func strayHint(r rune) string {
	switch r {
	case '=':
		return `"==" to compare`
	case '&':
		return `"&&" for "and"`
	case '|':
		return `"||" for "or"`
	case '"', '\'':
		return "numbers and names; there are no strings"
	case '{':
		return "\"(\"; there are no lists"
	}
	return "a number, a name, an operator or a parenthesis"
}

// numberLen returns the length of the decimal number that s starts with, or 0.
// An e that no digits follow is not part of it.
func numberLen(s string) int {
	digits := func(i int) int {
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			i++
		}
		return i
	}
	i := digits(0)
	if i < len(s) && s[i] == '.' {
		j := digits(i + 1)
		if i == 0 && j == 1 {
			return 0
		}
		i = j
	}
	if i == 0 {
		return 0
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if k := digits(j); k > j {
			i = k
		}
	}
	return i
}

// identLen returns the length of the name that s starts with, or 0.
func identLen(s string) int {
	for i, r := range s {
		if r == '_' || unicode.IsLetter(r) || i > 0 && unicode.IsDigit(r) {
			continue
		}
		return i
	}
	return len(s)
}

// clip shortens text from the client for a message.
func clip(s string) string {
	const most = 40
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
