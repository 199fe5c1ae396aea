package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// MaxDocumentDepth is how deep arrays and objects may be nested in what has a
// canonical form.
const MaxDocumentDepth = 512

// Canonical returns the canonical form of a JSON text, RFC 8785: no blanks,
// members sorted by the UTF-16 units of their names, no needless escapes, numbers
// as ECMAScript prints them. Only an integer that a float64 cannot hold is kept
// digit by digit, because a seed must not change on its way. It refuses what has
// two members of one name, and what is not JSON in UTF-8, with the position.
func Canonical(data []byte) ([]byte, error) {
	v, err := parse(data, MaxDocumentDepth)
	if err != nil {
		return nil, err
	}
	return canonical(v)
}

// canonical writes a value that parse returned.
func canonical(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := writeCanonical(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// parse reads one JSON value: maps, slices, strings, booleans, nil and
// json.Number.
func parse(data []byte, depth int) (any, error) {
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, n := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && n == 1 {
				break
			}
			at += n
		}
		return nil, unreadable("it is not UTF-8 at byte %d", at)
	}
	var raw json.RawMessage // its decoding checks the whole syntax
	if err := json.Unmarshal(data, &raw); err != nil {
		if s, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, unreadable("it is not JSON at byte %d: %s", s.Offset, s.Error())
		}
		return nil, unreadable("it is not JSON: %s", err.Error())
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return parseValue(dec, depth)
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	token, err := dec.Token()
	if err != nil {
		return nil, unreadable("it is not JSON at byte %d: %s", dec.InputOffset(), err.Error())
	}
	open, ok := token.(json.Delim)
	if !ok {
		return token, nil
	}
	if depth == 0 {
		return nil, unreadable("it is nested too deep at byte %d", dec.InputOffset())
	}
	if open == '[' {
		items := []any{}
		for dec.More() {
			item, err := parseValue(dec, depth-1)
			if err != nil {
				return nil, err
			}
			items = append(items, item)
		}
		_, err := dec.Token()
		return items, err
	}
	members := map[string]any{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, unreadable("it is not JSON at byte %d: %s", dec.InputOffset(), err.Error())
		}
		key, _ := name.(string) // the syntax was checked
		if _, twice := members[key]; twice {
			return nil, unreadable("the member %.64q is there twice, the second time at byte %d", key, dec.InputOffset())
		}
		if members[key], err = parseValue(dec, depth-1); err != nil {
			return nil, err
		}
	}
	_, err = dec.Token()
	return members, err
}

func unreadable(format string, args ...any) error {
	return coded(fault.Invalid, "document_unreadable", "the document cannot be read: "+format, args...)
}

func writeCanonical(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case json.Number:
		text, err := canonicalNumber(string(v))
		if err != nil {
			return err
		}
		b.WriteString(text)
	case string:
		writeString(b, v)
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			if err := writeCanonical(b, item); err != nil {
				return err
			}
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, key := range canonicalOrder(v) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, key)
			b.WriteByte(':')
			if err := writeCanonical(b, v[key]); err != nil {
				return err
			}
		}
		b.WriteByte('}')
	default:
		return fmt.Errorf("no canonical form of a %T", v)
	}
	return nil
}

// canonicalNumber returns a JSON number as ECMAScript prints it, or an integer
// that would lose digits as it is.
func canonicalNumber(text string) (string, error) {
	whole := !strings.ContainsAny(text, ".eE")
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		if whole {
			return text, nil
		}
		return "", unreadable("the number %.32s is out of range", text)
	}
	if whole && len(text) > 15 {
		// 400 digits are more than any float64 has.
		n, ok := new(big.Int).SetString(text[:min(len(text), 400)], 10)
		exact, accuracy := big.NewFloat(f).Int(nil)
		if !ok || len(text) > 400 || accuracy != big.Exact || n.Cmp(exact) != 0 {
			return text, nil
		}
	}
	if f == 0 {
		f = 0 // −0 is written 0
	}
	out, err := json.Marshal(f) // which follows ECMAScript
	return string(out), err
}

// canonicalOrder returns the keys of m in the order of their UTF-16 units.
func canonicalOrder[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if isASCII(a) && isASCII(b) {
			return strings.Compare(a, b)
		}
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	return keys
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// short are the escapes with a letter of their own.
var short = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// writeString writes s with the escapes that are needed and no others.
func writeString(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r >= ' ' && r != '"' && r != '\\':
			b.WriteRune(r)
		case short[r] != "":
			b.WriteString(short[r])
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
}
