package sessions

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf16"
)

// digest returns the SHA-256 of the canonical form of slots, in hex after
// "sha256:". Whoever parsed an export, in whatever language and however it was
// spaced on the way, can compute it again.
func digest(slots map[string]json.RawMessage) (string, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, name := range sortedKeys(slots) {
		if i > 0 {
			b.WriteByte(',')
		}
		writeString(&b, name)
		b.WriteByte(':')
		var v any
		if err := json.Unmarshal(slots[name], &v); err != nil {
			return "", fmt.Errorf("slot %s: %w", name, err)
		}
		if err := writeCanonical(&b, v); err != nil {
			return "", fmt.Errorf("slot %s: %w", name, err)
		}
	}
	b.WriteByte('}')
	sum := sha256.Sum256(b.Bytes())
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}

// writeCanonical writes v, as encoding/json decodes into an any, in the form of
// RFC 8785: no blanks, members sorted by the UTF-16 units of their names, numbers
// as ECMAScript prints them.
func writeCanonical(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case float64:
		if v == 0 {
			v = 0 // −0 is written 0
		}
		text, err := json.Marshal(v) // which follows ECMAScript
		if err != nil {
			return err
		}
		b.Write(text)
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
		for i, key := range sortedKeys(v) {
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

// sortedKeys returns the keys of m in the order of their UTF-16 units.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	return keys
}

// names returns the names of slots in the order of an export, which is the one of
// its digest.
func names(slots map[string]json.RawMessage) []string { return sortedKeys(slots) }

// short are the escapes with a letter of their own.
var short = map[rune]string{'"': `\"`, '\\': `\\`, '\b': `\b`, '\f': `\f`, '\n': `\n`, '\r': `\r`, '\t': `\t`}

// writeString writes s with the escapes that are needed and no others.
func writeString(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case short[r] != "":
			b.WriteString(short[r])
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
