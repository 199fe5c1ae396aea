package jsonscan

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	good := []string{
		`{}`, `[]`, ` {"a":1} `, `"x"`, `-0.5e+3`, `{"a":{"a":1},"b":[{"a":1},{"a":2}]}`, `{"a":"\u00e9\"\\"}`, `{"é":1}`,
		`{"a":[],"b":{},"c":null,"d":true,"e":false}`, `0`, `[[[[[[1]]]]]]`,
	}
	for _, s := range good {
		if err := Check([]byte(s)); err != nil {
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
		if err := Check([]byte(s)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v, want an error with %q", s, err, want)
		}
	}
}

// Objects with many keys change to a set; the duplicate must still be found.
func TestCheckManyKeys(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range 1000 {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"k` + strings.Repeat("x", i) + `":1`)
	}
	if err := Check(append(bytes.Clone(b.Bytes()), '}')); err != nil {
		t.Fatal(err)
	}
	if err := Check(append(bytes.Clone(b.Bytes()), `,"kx":1}`...)); err == nil {
		t.Error("a duplicate among many keys passed")
	}
}

// Whatever the scanner accepts, encoding/json accepts with the same meaning.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[1,2,{"x":"\u0041"}]`, `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{}}}`, `"\ud800"`, `{"a":{"b":{"c":[]}}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if Check(b) != nil {
			return
		}
		if !json.Valid(b) {
			t.Fatalf("accepted what is not JSON: %q", b)
		}
		var want map[string]json.RawMessage
		isObject := json.Unmarshal(b, &want) == nil && want != nil
		got := map[string]json.RawMessage{}
		object := IsObject(b)
		for k, v := range Members(b) {
			got[string(k)] = v
		}
		if object != isObject || (isObject && len(got) != len(want)) {
			t.Fatalf("%q: members %v, want %v", b, got, want)
		}
		for k, v := range want {
			if g, ok := got[k]; ok && !bytes.Equal(g, bytes.TrimSpace(v)) {
				t.Fatalf("%q: member %q is %q, want %q", b, k, g, v)
			}
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	body := []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"noop","parameters":{"text":"hello"}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if Check(body) != nil {
			b.Fatal("refused")
		}
	}
}
