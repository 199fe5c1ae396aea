package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/session"
)

func TestCanonical(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{}`, `{}`},
		{` [ ] `, `[]`},
		{"{\"b\" :\t1,\n\"a\":[ true , false,null ] }", `{"a":[true,false,null],"b":1}`},
		{`{"aa":1,"a":2,"":3}`, `{"":3,"a":2,"aa":1}`},
		{`{"z":{"y":1,"x":{"b":1,"a":2}},"a":1}`, `{"a":1,"z":{"x":{"a":2,"b":1},"y":1}}`},
		{`"\u0041\/\u00e9\ud83d\ude00\u0000\n\u001f\""`, `"A/é😀\u0000\n\u001f\""`},
		{`{"\u0062":1,"a":2}`, `{"a":2,"b":1}`},
		{`{"a\n":1,"a\"":2,"a!":3}`, `{"a\n":1,"a!":3,"a\"":2}`},
		{`[1.0,1e2,-0,-0.0,0.1,1e-7,1E400,123456789012345678901234567890,9007199254740993,10000000000000000]`, `[1,100,0,0,0.1,1e-7,1E400,123456789012345678901234567890,9007199254740993,10000000000000000]`},
	}
	for _, tt := range tests {
		got, ok := canonical([]byte("before "), []byte(tt.in))
		if !ok || string(got) != "before "+tt.want {
			t.Errorf("%s: %s %v, want %s", tt.in, got, ok, tt.want)
		}
	}
	for _, in := range []string{"", "{", `{"a":1,"a":2}`, "\xff", "1 2", strings.Repeat("[", 1000)} {
		if _, ok := canonical(nil, []byte(in)); ok {
			t.Errorf("%.20q is JSON", in)
		}
		if ArgumentsDigest([]byte(in)) == ArgumentsDigest([]byte(in+" ")) {
			t.Errorf("%.20q: the digest is not of its bytes", in)
		}
	}
}

// The canonical form is that of session documents, which is computed in another
// way, and it is its own.
func TestCanonicalAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, err := json.MarshalIndent(value(t, 4), " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		got, ok := canonical(nil, text)
		want, err := session.Canonical(text)
		if !ok || err != nil || string(got) != string(want) {
			t.Fatalf("%s\nhas the form\n%s\nwant\n%s\n%v", text, got, want, err)
		}
		again, ok := canonical(nil, got)
		if !ok || string(again) != string(got) {
			t.Fatalf("the form of\n%s\nis\n%s", got, again)
		}
	})
}

func value(t *rapid.T, depth int) any {
	kinds := 6
	if depth == 0 {
		kinds = 4
	}
	text := rapid.StringOf(rapid.RuneFrom([]rune("ab\"\\\n\x01é\u2028/<"))) // keys beyond U+FFFF are sorted otherwise
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.Bool().Draw(t, "bool")
	case 1:
		return text.Draw(t, "text")
	case 2:
		return rapid.Float64().Draw(t, "number")
	case 3:
		return rapid.Int64().Draw(t, "whole")
	case 4:
		var all []any
		for range rapid.IntRange(0, 4).Draw(t, "items") {
			all = append(all, value(t, depth-1))
		}
		return all
	}
	all := map[string]any{}
	for i := range rapid.IntRange(0, 20).Draw(t, "members") {
		all[text.Draw(t, "key")+fmt.Sprint(i%3)] = value(t, depth-1)
	}
	return all
}
