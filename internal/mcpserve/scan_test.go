package mcpserve

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	good := []string{
		`{}`, `[]`, ` {"a":1} `, `"x"`, `-0.5e+3`, `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, `{"a":"\u00e9\"\\"}`, `{"é":1}`,
		`{"a":[],"b":{},"c":null,"d":true,"e":false}`, `0`, `[[[[[[1]]]]]]`,
	}
	for _, s := range good {
		if err := scan([]byte(s)); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	bad := map[string]string{
		``: "empty", `{`: "key", `{"a"}`: "expected :", `{"a":1,}`: "key", `[1,]`: "not a JSON", `{"a":1}{`: "more after", `01`: "more after", `1.`: "malformed", `-`: "malformed",
		`{"a":1,"a":2}`: "twice", `{"a":1,"\u0061":2}`: "twice", `{"x":{"k":1,"b":2,"k":3}}`: "twice", "\"\x01\"": "control", "\"\xff\"": "UTF-8",
		`"\x"`: "escape", `"\u12g4"`: "escape", `nul`: "not a JSON", `"abc`: "cut short", `[1 2]`: "expected", `{"a" 1}`: "expected :", `'a'`: "not a JSON",
		strings.Repeat("[", 300): "deeply",
	}
	for s, want := range bad {
		if err := scan([]byte(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want an error with %q", s, err, want)
		}
	}
}

// Objects with many keys change to a set; the duplicate must still be found.
func TestScanManyKeys(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1`)
	}
	if err := scan(append(bytes.Clone(b.Bytes()), '}')); err != nil {
		t.Fatal(err)
	}
	if err := scan(append(bytes.Clone(b.Bytes()), `,"kx":1}`...)); err == nil {
		t.Error("a duplicate among many keys passed")
	}
}

func TestDecodeMessage(t *testing.T) {
	m, bad := parse([]byte(`{"jsonrpc":"2.0","id":"7","method":"tools/call","params":{"name":"x","arguments":{"a":[1,{"b":"}"}]},"_meta":{"progressToken":5,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`))
	if bad != nil {
		t.Fatal(bad)
	}
	if string(m.id) != `"7"` || m.name != "x" || string(m.arguments) != `{"a":[1,{"b":"}"}]}` || string(m.meta.progressToken) != "5" || m.meta.version != rev2026 {
		t.Errorf("decoded %+v", m)
	}
	tests := map[string]int{
		`{"jsonrpc":"2.0","id":null,"method":"x"}`:                                     codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1.5,"method":"x"}`:                                      codeInvalidRequest,
		`{"jsonrpc":"2.0","id":{},"method":"x"}`:                                       codeInvalidRequest,
		`{"jsonrpc":"1.0","id":1,"method":"x"}`:                                        codeInvalidRequest,
		`{"id":1,"method":"x"}`:                                                        codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1}`:                                                     codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":5}`:                                          codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"Method":"x"}`:                                        codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"Name":"y"}}`:                  codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"argumentſ":{}}}`:              codeInvalidRequest, // folds to "arguments"
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":{"ProgressToken":1}}}`: codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":7}`:                             codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"method":"x","params":{"_meta":7}}`:                   codeInvalidParams,
		`{"jsonrpc":"2.0","id":1,"method":"x","result":{}}`:                            codeInvalidRequest,
		`{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}`:                                 codeParse,
		`5`: codeInvalidRequest,
	}
	for body, code := range tests {
		if _, bad := parse([]byte(body)); bad == nil || bad.code != code {
			t.Errorf("%s: %v, want code %d", body, bad, code)
		}
	}
}

// Whatever the scanner accepts, encoding/json accepts with the same meaning.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[1,2,{"x":"\u0041"}]`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{}}}`, `"\ud800"`, `{"a":{"b":{"c":[]}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if scan(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("accepted what is not JSON: %q", b)
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(b, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		object, _ := members(b, func(k, v []byte) error { got[string(k)] = bytes.Clone(v); return nil })
		if object != isObject || (isObject && len(got) != len(want)) {
			t.Fatalf("%q: members %v, want %v", b, got, want)
		}
		for k, v := range want {
			if g, ok := got[k]; ok && !bytes.Equal(g, bytes.TrimSpace(v)) {
				t.Fatalf("%q: member %q is %q, want %q", b, k, g, v)
			}
		}
		_, _ = decode(b)
	})
}

func FuzzHeaderValue(f *testing.F) {
	f.Add("=?base64?w6k=?=")
	f.Add("plain")
	f.Add("=?base64??=")
	f.Fuzz(func(t *testing.T, v string) { _, _ = decodeHeader(v) })
}

func TestDecodeHeader(t *testing.T) {
	for v, want := range map[string]string{"plain": "plain", "=?base64?w6k=?=": "é", "=?base64??=": "", "=?base64?abc": "=?base64?abc", "=?BASE64?w6k=?=": "=?BASE64?w6k=?="} {
		if got, bad := decodeHeader(v); bad != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", v, got, bad, want)
		}
	}
	for _, v := range []string{"=?base64?w6k?=", "=?base64?****?="} {
		if _, bad := decodeHeader(v); bad == nil {
			t.Errorf("%q was accepted", v)
		}
	}
}
