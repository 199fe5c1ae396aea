// Package jsonscan reads JSON text once, strictly, and takes members out of it
// without decoding the rest.
//
// Check is stricter than encoding/json: duplicate keys and invalid UTF-8 are
// errors, so whatever passes means the same to every decoder behind it. Members
// and String then work on text that Check has accepted; on other text they may
// panic.
package jsonscan

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"
)

// maxDepth is how deep arrays and objects may nest. The scanner recurses, and
// no call has a reason to come near.
const maxDepth = 256

// linearKeys is how many keys of an object are compared one by one; objects
// with more use a set.
const linearKeys = 16

var errEmpty = errors.New("the body is empty")

// scanner reads JSON text once. It is stricter than encoding/json: duplicate
// keys and invalid UTF-8 are errors. Members of one object are remembered by
// their decoded keys.
type scanner struct {
	b    []byte
	i    int
	keys [][]byte // of the objects that are open, a stack
}

// Check reports the first thing that makes b not exactly one JSON value.
func Check(b []byte) error {
	var keys [16][]byte // enough for most texts, and on the stack
	s := scanner{b: b, keys: keys[:0]}
	s.space()
	if s.i == len(b) {
		return errEmpty
	}
	if err := s.value(0); err != nil {
		return err
	}
	s.space()
	if s.i < len(b) {
		return s.fail("there is more after the JSON value")
	}
	return nil
}

func (s *scanner) fail(text string) error { return fmt.Errorf("%s (at byte %d)", text, s.i) }

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return s.fail("nested too deeply")
	}
	if s.i == len(s.b) {
		return s.fail("cut short")
	}
	switch c := s.b[s.i]; c {
	case '{':
		return s.object(depth)
	case '[':
		return s.array(depth)
	case '"':
		_, err := s.string()
		return err
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		if c == '-' || (c >= '0' && c <= '9') {
			return s.number()
		}
		return s.fail("not a JSON value")
	}
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.b[s.i:], []byte(w)) {
		return s.fail("not a JSON value")
	}
	s.i += len(w)
	return nil
}

func (s *scanner) number() error {
	if s.b[s.i] == '-' {
		s.i++
	}
	switch {
	case s.i < len(s.b) && s.b[s.i] == '0':
		s.i++
	case !s.digits():
		return s.fail("a malformed number")
	}
	if s.i < len(s.b) && s.b[s.i] == '.' {
		s.i++
		if !s.digits() {
			return s.fail("a malformed number")
		}
	}
	if s.i < len(s.b) && (s.b[s.i] == 'e' || s.b[s.i] == 'E') {
		s.i++
		if s.i < len(s.b) && (s.b[s.i] == '+' || s.b[s.i] == '-') {
			s.i++
		}
		if !s.digits() {
			return s.fail("a malformed number")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > start
}

// string reads a string and returns its text, quotes included.
func (s *scanner) string() ([]byte, error) {
	start := s.i
	ascii := true
	for s.i++; s.i < len(s.b); s.i++ {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			text := s.b[start:s.i]
			if !ascii && !utf8.Valid(text) {
				return nil, s.fail("not UTF-8")
			}
			return text, nil
		case c == '\\':
			s.i++
			if s.i == len(s.b) {
				return nil, s.fail("cut short")
			}
			if err := s.escape(); err != nil {
				return nil, err
			}
		case c < 0x20:
			return nil, s.fail("a control character inside a string")
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return nil, s.fail("cut short")
}

func (s *scanner) escape() error {
	switch s.b[s.i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
		for range 4 {
			s.i++
			if s.i == len(s.b) || !hex(s.b[s.i]) {
				return s.fail("a malformed escape")
			}
		}
		return nil
	}
	return s.fail("a malformed escape")
}

func hex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func (s *scanner) array(depth int) error {
	s.i++
	s.space()
	if s.i < len(s.b) && s.b[s.i] == ']' {
		s.i++
		return nil
	}
	for {
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		if s.i == len(s.b) {
			return s.fail("cut short")
		}
		switch s.b[s.i] {
		case ',':
			s.i++
		case ']':
			s.i++
			return nil
		default:
			return s.fail("expected , or ]")
		}
	}
}

func (s *scanner) object(depth int) error {
	s.i++
	base := len(s.keys)
	defer func() { s.keys = s.keys[:base] }()
	var many map[string]struct{}
	s.space()
	if s.i < len(s.b) && s.b[s.i] == '}' {
		s.i++
		return nil
	}
	for {
		s.space()
		if s.i == len(s.b) || s.b[s.i] != '"' {
			return s.fail("expected a key")
		}
		key, err := s.string()
		if err != nil {
			return err
		}
		if many, err = s.unique(base, many, key); err != nil {
			return err
		}
		s.space()
		if s.i == len(s.b) || s.b[s.i] != ':' {
			return s.fail("expected :")
		}
		s.i++
		s.space()
		if err := s.value(depth + 1); err != nil {
			return err
		}
		s.space()
		if s.i == len(s.b) {
			return s.fail("cut short")
		}
		switch s.b[s.i] {
		case ',':
			s.i++
		case '}':
			s.i++
			return nil
		default:
			return s.fail("expected , or }")
		}
	}
}

// unique notes a key of the object whose keys start at base.
func (s *scanner) unique(base int, many map[string]struct{}, quoted []byte) (map[string]struct{}, error) {
	key := unquoteKey(quoted)
	dup := func() error { return s.fail(fmt.Sprintf("the key %.64q stands twice in one object", key)) }
	if many != nil {
		if _, ok := many[string(key)]; ok {
			return many, dup()
		}
		many[string(key)] = struct{}{}
		return many, nil
	}
	for _, k := range s.keys[base:] {
		if bytes.Equal(k, key) {
			return nil, dup()
		}
	}
	s.keys = append(s.keys, key)
	if len(s.keys)-base > linearKeys {
		many = make(map[string]struct{}, 2*linearKeys)
		for _, k := range s.keys[base:] {
			many[string(k)] = struct{}{}
		}
	}
	return many, nil
}

// unquoteKey returns the text of a valid JSON string.
func unquoteKey(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var k string
	if json.Unmarshal(quoted, &k) != nil { // cannot be: the scanner has read it
		return inner
	}
	return []byte(k)
}

// Members iterates over the members of the object b in the order in which they
// stand: key and raw value, both parts of b unless the key has escapes. There
// are none when b is no object; see IsObject.
func Members(b []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		s := scanner{b: b}
		s.space()
		if s.i == len(b) || b[s.i] != '{' {
			return
		}
		s.i++
		for {
			s.space()
			switch s.b[s.i] {
			case '}':
				return
			case ',':
				s.i++
				continue
			}
			start := s.i
			s.skip()
			key := unquoteKey(s.b[start:s.i])
			s.space()
			s.i++ // the colon
			s.space()
			start = s.i
			s.skip()
			if !yield(key, s.b[start:s.i]) {
				return
			}
		}
	}
}

// IsObject reports whether b is an object.
func IsObject(b []byte) bool {
	s := scanner{b: b}
	s.space()
	return s.i < len(b) && b[s.i] == '{'
}

// String returns the text of the JSON string b, or "" when b is something else.
func String(b []byte) string {
	if len(b) < 2 || b[0] != '"' {
		return ""
	}
	return string(unquoteKey(b))
}

// skip moves over one value of text that Check has accepted.
func (s *scanner) skip() {
	depth := 0
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case '"':
			for s.i++; s.b[s.i] != '"'; s.i++ {
				if s.b[s.i] == '\\' {
					s.i++
				}
			}
			s.i++
			if depth == 0 {
				return
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return // the end of what holds a scalar
			}
			depth--
			if depth == 0 {
				s.i++
				return
			}
		case ',', ' ', '\t', '\n', '\r', ':':
			if depth == 0 {
				return
			}
		}
		s.i++
	}
}
