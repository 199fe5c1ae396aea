package session

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// TestCanonical has the vectors of RFC 8785, sections 3.2.2 to 3.2.4 and
// appendix B.
func TestCanonical(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{
			"section 3.2.2",
			`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			"section 3.2.3: members are sorted by UTF-16 units",
			`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		{"zeros", `[0,-0,0.0,-0e5]`, `[0,0,0,0]`},
		{
			"appendix B", `[9007199254740992,295147905179352830000,5e-324,1.7976931348623157e308,9.999999999999997e22,1e21,999999999999999900000,0.000001,1e-7]`,
			`[9007199254740992,295147905179352830000,5e-324,1.7976931348623157e+308,9.999999999999997e+22,1e+21,999999999999999900000,0.000001,1e-7]`,
		},
		{"no needless escapes", `"<&>\u2028\u007f"`, "\"<&>\u2028\u007f\""},
		{"integers that a float64 does not hold keep their digits", `[9007199254740993,18446744073709551615,-9007199254740993]`, `[9007199254740993,18446744073709551615,-9007199254740993]`},
		{"empty", `[{},[],""]`, `[{},[],""]`},
	} {
		got, err := Canonical([]byte(tc.in))
		if err != nil || string(got) != tc.want {
			t.Errorf("%s:\n got %s, %v\nwant %s", tc.name, got, err, tc.want)
		}
	}
}

func TestDigestIgnoresSpelling(t *testing.T) {
	a, err := SlotsDigest(map[string]json.RawMessage{"x": json.RawMessage(`{"b": 1.0, "a": "<"}`)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := SlotsDigest(map[string]json.RawMessage{"x": json.RawMessage(`{"a":"\u003c","b":1}`)})
	if err != nil || a != b {
		t.Errorf("%s and %s (%v)", a, b, err)
	}
	if _, err := SlotsDigest(map[string]json.RawMessage{"x": json.RawMessage(`{`)}); err == nil {
		t.Error("a digest of broken JSON")
	}
}

func TestCanonicalRefuses(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{`{"a":1,"b":{"x":1,"x":2}}`, `member "x" is there twice, the second time at byte 21`},
		{`{"a":1,}`, "byte 8"},
		{`{"a":1} {}`, "byte 9"},
		{"[\"\xff\"]", "not UTF-8 at byte 2"},
		{`[1e999]`, "out of range"},
		{strings.Repeat("[", MaxDocumentDepth+1) + strings.Repeat("]", MaxDocumentDepth+1), "nested too deep at byte 513"},
		{``, "not JSON"},
	} {
		_, err := Canonical([]byte(tc.in))
		if err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%.40s: %v, want %s", tc.in, err, tc.want)
		}
	}
}
