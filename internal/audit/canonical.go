package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
)

// ArgumentsDigest returns "sha256:" and the hexadecimal SHA-256 of the canonical
// form of a JSON value: no space, members sorted by their decoded keys' bytes,
// strings and numbers in one spelling (RFC 8785, but for the order of keys
// beyond U+FFFF and for integers that a float64 cannot hold, which stay as
// written). Of text that is not JSON it is the digest of the bytes.
func ArgumentsDigest(arguments json.RawMessage) string {
	text, ok := canonical(nil, arguments)
	if !ok {
		text = arguments
	}
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// canonical appends the canonical form of a JSON value, in one pass over text
// that is checked first. It reports whether text is JSON.
func canonical(dst []byte, text []byte) ([]byte, bool) {
	if jsonscan.Check(text) != nil {
		return dst, false
	}
	c := canonicalizer{in: text, out: dst}
	c.value()
	return c.out, true
}

// canonicalizer rewrites text that jsonscan.Check has accepted: it needs no
// error paths, and its recursion is as deep as Check allows.
type canonicalizer struct {
	in  []byte
	i   int
	out []byte
}

func (c *canonicalizer) space() {
	for c.i < len(c.in) {
		switch c.in[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

func (c *canonicalizer) value() {
	c.space()
	switch c.in[c.i] {
	case '{':
		c.object()
	case '[':
		c.array()
	case '"':
		c.text()
	case 't', 'f', 'n':
		n := 4
		if c.in[c.i] == 'f' {
			n = 5
		}
		c.out = append(c.out, c.in[c.i:c.i+n]...)
		c.i += n
	default:
		c.number()
	}
}

func (c *canonicalizer) array() {
	c.i++
	c.out = append(c.out, '[')
	for first := true; ; first = false {
		c.space()
		if c.in[c.i] == ']' {
			break
		}
		if !first {
			c.i++ // the comma
			c.out = append(c.out, ',')
		}
		c.value()
	}
	c.i++
	c.out = append(c.out, ']')
}

// member is where a member stands in the output: its key without quotes, and
// the whole of it.
type member struct{ start, keyEnd, end int }

func (c *canonicalizer) object() {
	c.i++
	c.out = append(c.out, '{')
	base := len(c.out)
	var few [16]member
	all := few[:0]
	sorted := true
	for {
		c.space()
		if c.in[c.i] == '}' {
			break
		}
		if len(all) > 0 {
			c.i++ // the comma
			c.out = append(c.out, ',')
			c.space()
		}
		m := member{start: len(c.out)}
		c.text()
		m.keyEnd = len(c.out) - 1
		c.space()
		c.i++ // the colon
		c.out = append(c.out, ':')
		c.value()
		m.end = len(c.out)
		if n := len(all); n > 0 && c.compare(all[n-1], m) > 0 {
			sorted = false
		}
		all = append(all, m)
	}
	c.i++
	if !sorted {
		c.sort(base, all)
	}
	c.out = append(c.out, '}')
}

// compare orders members by their decoded keys. Escapes are rare: what is
// escaped in canonical text is the quote, the backslash and control characters.
func (c *canonicalizer) compare(a, b member) int {
	x, y := c.out[a.start+1:a.keyEnd], c.out[b.start+1:b.keyEnd]
	if bytes.IndexByte(x, '\\') < 0 && bytes.IndexByte(y, '\\') < 0 {
		return bytes.Compare(x, y)
	}
	return bytes.Compare(decoded(c.out[a.start:a.keyEnd+1]), decoded(c.out[b.start:b.keyEnd+1]))
}

func decoded(quoted []byte) []byte {
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return quoted // cannot be: it is a JSON string
	}
	return []byte(s)
}

// sort puts members in order. Their bytes move, their lengths do not.
func (c *canonicalizer) sort(base int, all []member) {
	slices.SortFunc(all, c.compare)
	moved := make([]byte, 0, len(c.out)-base)
	for i, m := range all {
		if i > 0 {
			moved = append(moved, ',')
		}
		moved = append(moved, c.out[m.start:m.end]...)
	}
	c.out = append(c.out[:base], moved...)
}

// text rewrites a string: only what must be escaped is.
func (c *canonicalizer) text() {
	start := c.i
	c.i++
	plain := true
	for c.in[c.i] != '"' {
		if c.in[c.i] == '\\' {
			plain = false
			c.i++
		}
		c.i++
	}
	c.i++
	if plain {
		c.out = append(c.out, c.in[start:c.i]...)
		return
	}
	c.out = append(c.out, '"')
	for _, r := range string(decoded(c.in[start:c.i])) {
		c.out = appendRune(c.out, r)
	}
	c.out = append(c.out, '"')
}

func appendRune(b []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(b, '\\', byte(r))
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	if r < ' ' {
		return appendUnit(b, uint16(r))
	}
	return utf8.AppendRune(b, r)
}

func (c *canonicalizer) number() {
	start := c.i
	whole := true
	for c.i < len(c.in) {
		switch ch := c.in[c.i]; {
		case ch == '.' || ch == 'e' || ch == 'E':
			whole = false
		case ch != '-' && ch != '+' && (ch < '0' || ch > '9'):
			c.out = appendNumeral(c.out, c.in[start:c.i], whole)
			return
		}
		c.i++
	}
	c.out = appendNumeral(c.out, c.in[start:c.i], whole)
}

func appendNumeral(b, text []byte, whole bool) []byte {
	if whole && len(text) <= 15 {
		if string(text) == "-0" {
			return append(b, '0')
		}
		return append(b, text...)
	}
	if whole {
		if n, err := strconv.ParseInt(string(text), 10, 64); err != nil || int64(float64(n)) != n {
			return append(b, text...)
		}
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil { // out of range
		return append(b, text...)
	}
	if f == 0 {
		f = 0 // −0 is written 0
	}
	out, err := json.Marshal(f) // which follows ECMAScript
	if err != nil {
		return append(b, text...)
	}
	return append(b, out...)
}
