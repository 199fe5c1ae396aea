package mcpserve

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// encodeHeader is what a client does to a value of Mcp-Name or Mcp-Param: plain
// text goes as it is, everything else in base64, as does text that looks like that
// form.
func encodeHeader(v string) string {
	plain := v != "" && v == strings.Trim(v, " \t") && !strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' })
	if plain && !(strings.HasPrefix(v, base64Prefix) && strings.HasSuffix(v, base64Suffix)) {
		return v
	}
	return base64Prefix + base64.StdEncoding.EncodeToString([]byte(v)) + base64Suffix
}

// received is a header value as a handler finds it: net/http lets no line break
// and no NUL through.
func received(v string) (string, bool) {
	if strings.ContainsAny(v, "\r\n\x00") {
		return "", false
	}
	got, bad := single(map[string][]string{headerName: {v}}, headerName)
	return got, bad == nil
}

// Whatever a client encodes is read as it was; whatever has the form of the
// encoding without being one is refused; everything else stands for itself.
func FuzzHeaderForm(f *testing.F) {
	for _, v := range []string{
		"plain", "", " padded ", "é", "=?base64?w6k=?=", "=?base64?w6k?=", "=?base64?w6l=?=", "=?base64??=", "=?base64?", "=?base64?=",
		"=?BASE64?w6k=?=", "=?base64?w6k=?=x", "=?base64?w6k=w6k=?=", "=?base64?_-__?=", "=?base64?+/+/?=", "=?base64?w6k= ?=", "tab\there", "\xff\xfe",
	} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		sent, ok := received(encodeHeader(v))
		if !ok {
			t.Fatalf("%q is sent as %q, which no handler sees", v, encodeHeader(v))
		}
		if got, bad := decodeHeader(sent); bad != nil || got != v {
			t.Fatalf("%q is sent as %q and read as %q, %v", v, sent, got, bad)
		}

		raw, ok := received(v)
		if !ok {
			return
		}
		got, bad := decodeHeader(raw)
		inner, form := strings.CutPrefix(raw, base64Prefix)
		inner, end := strings.CutSuffix(inner, base64Suffix)
		switch {
		case !form || !end:
			if bad != nil || got != raw {
				t.Fatalf("%q is read as %q, %v", raw, got, bad)
			}
		case bad == nil && base64.StdEncoding.EncodeToString([]byte(got)) != inner:
			t.Fatalf("%q is read as %q, which is written otherwise", raw, got)
		case bad != nil && (bad.code != codeHeader || bad.status != 400):
			t.Fatalf("%q is refused with %+v", raw, bad)
		}
	})
}

// A header that repeats a string argument is taken in every form that a client may
// send it, and no other string is.
func FuzzHeaderRepeatsArgument(f *testing.F) {
	f.Add("x", "x")
	f.Add("é", "=?base64?w6k=?=")
	f.Add("1.0", "1")
	f.Add("=?base64?w6k=?=", "é")
	f.Fuzz(func(t *testing.T, argument, header string) {
		if !utf8.ValidString(argument) {
			return // no body can hold it
		}
		value, err := json.Marshal(argument)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"string", "integer", "boolean"} {
			p := paramHeader{header: "Mcp-Param-X", kind: kind}
			if !p.equals(encodeHeader(argument), value) {
				t.Fatalf("%q as %s is not %q", argument, kind, encodeHeader(argument))
			}
			if got, bad := decodeHeader(header); p.equals(header, value) != (bad == nil && got == argument) {
				t.Fatalf("%q as %s: the header %q says %q, %v", argument, kind, header, got, bad)
			}
		}
	})
}
