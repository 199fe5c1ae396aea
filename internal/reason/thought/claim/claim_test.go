package claim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

// want is one expected claim: the verdict, and the exact and claimed values.
type want struct {
	verdict        claim.Verdict
	exact, claimed string
}

func TestArithmetic(t *testing.T) {
	const (
		yes   = claim.Verified
		no    = claim.Refuted
		maybe = claim.NotAssessable
	)
	for _, tc := range []struct {
		name, text string
		want       []want
	}{
		{"product", "17*23=391", []want{{yes, "391", "391"}}},
		{"wrong product", "7*8=54", []want{{no, "56", "54"}}},
		{"decimals are exact", "0.1+0.2=0.3", []want{{yes, "0.3", "0.3"}}},
		{"decimals are exact, not floats", "0.1+0.2=0.30000000000000004", []want{{no, "0.3", "0.30000000000000004"}}},
		{"signs of the book", "6 × 7 = 42 and 84 ÷ 2 = 41, 10 − 3 = 7", []want{{yes, "42", "42"}, {no, "42", "41"}, {yes, "7", "7"}}},
		{"power", "2^10 = 1024; 2**3=8; 3² = 9; 10⁻² = 0.01; 5³=124", []want{
			{yes, "1024", "1024"}, {yes, "8", "8"}, {yes, "9", "9"}, {yes, "0.01", "0.01"}, {no, "125", "124"},
		}},
		{"precedence", "2+3*4=14 and 2*(3+4)=14 and 2(3+4)=14", []want{{yes, "14", "14"}, {yes, "14", "14"}, {yes, "14", "14"}}},
		{"fractions", "1/2 + 1/3 = 5/6, 1/3 + 1/3 = 3/4", []want{{yes, "5/6", "5/6"}, {no, "2/3", "0.75"}}},
		{"percent", "20% * 50 = 10; 3/4 = 75%; 50% + 25% = 80%", []want{{yes, "10", "10"}, {yes, "0.75", "0.75"}, {no, "0.75", "0.8"}}},
		{"remainder", "17 % 5 = 2; 17%5=3", []want{{yes, "2", "2"}, {no, "2", "3"}}},
		{"thousands", "1,000 + 2,500 = 3,500 and 1,200,000/2=600,001", []want{{yes, "3500", "3500"}, {no, "600000", "600001"}}},
		{"scientific", "1e3 + 1 = 1001; 2.5e-1 * 4 = 1", []want{{yes, "1001", "1001"}, {yes, "1", "1"}}},
		{"chain", "2*3 = 6 = 12/2 = 7", []want{{yes, "6", "6"}, {yes, "6", "6"}, {no, "6", "7"}}},
		{"assigned chain", "cost = 3*4 = 12", []want{{yes, "12", "12"}}},
		{"number first", "391 = 17*23. So 392 = 17*23", []want{{yes, "391", "391"}}},
		{"number first, refuted", "392 = 17*23", []want{{no, "391", "392"}}},
		{"money", "$5 + $3 = $8, €2*3 = €7", []want{{yes, "8", "8"}, {no, "6", "7"}}},
		{"negative", "-3 + 5 = 2 and 4 - -1 = 5 and 3*-2=-6", []want{{yes, "2", "2"}, {yes, "5", "5"}, {yes, "-6", "-6"}}},
		{"prose around it", "We know that 7*8=54, therefore the total is off.", []want{{no, "56", "54"}}},
		{"label", "Step 2: 7*8=54", []want{{no, "56", "54"}}},
		{"list items", "1. 7*8=54\n2) 6*7=42\n- 5*5=26\n* 4*4=16\n(a) 3*3=10", []want{
			{no, "56", "54"}, {yes, "42", "42"}, {no, "25", "26"}, {yes, "16", "16"}, {no, "9", "10"},
		}},
		{"emphasis", "**7*8=54** and `6*7=42` and _1+1=3_", []want{{no, "56", "54"}, {yes, "42", "42"}, {no, "2", "3"}}},
		{"table", "| 7*8=54 | 2+2=4 |", []want{{no, "56", "54"}, {yes, "4", "4"}}},
		{"brackets", "(7*8=54) and (see 2+2=5)", []want{{no, "56", "54"}, {no, "4", "5"}}},
		{"question", "Is 7*8=54? No!", []want{{no, "56", "54"}}},
		{"double equals", "7*8 == 54", []want{{no, "56", "54"}}},
		{"a noun behind it", "3*4 = 13 apples", []want{{no, "12", "13"}}},
		{"script without blanks", "因此7*8=54。", []want{{no, "56", "54"}}},
		{"huge but fine", "2^200 / 2^199 = 2", []want{{yes, "2", "2"}}},
		{"minus one to a huge power", "(0-1)^1000001 = 0-1", []want{{yes, "-1", "-1"}}},

		{"rounded", "10/3 = 3.33; 2/3 = 0.66; 2/3=0.67; 1/3 = 33.3%; 1e10/3 = 3.33e9", []want{
			{maybe, "10/3", "3.33"}, {maybe, "2/3", "0.66"}, {maybe, "2/3", "0.67"}, {maybe, "1/3", "0.333"}, {maybe, "10000000000/3", "3330000000"},
		}},
		{"rounded badly", "10/3 = 3.35; 7/2 = 3", []want{{no, "10/3", "3.35"}, {no, "3.5", "3"}}},
		{"units", "2*30 = 1 hour; 24*60 = 1440 minutes", []want{{maybe, "60", "1"}, {yes, "1440", "1440"}}},
		{"percent of what", "100 + 10% = 110", []want{{maybe, "100.1", "110"}}},
		{"hypothesis", "Suppose 2+2=5", []want{{maybe, "4", "5"}}},
		{"factorial or cheer", "7*8=56! but 1*2*3 = 3!", []want{{yes, "56", "56"}, {maybe, "6", "3"}}},
		{"other arithmetic", "In binary, 1+1=10. And 9 + 5 = 2 (mod 12)", []want{{maybe, "2", "10"}, {maybe, "14", "2"}}},
		{"comma as decimal mark", "1.000 + 500 = 1.500 and 1,250 + 1,250 = 2,500", []want{{maybe, "501", "1.5"}, {yes, "2500", "2500"}}},
		{"sign of the base", "-2^2 = 4", []want{{maybe, "-4", "4"}}},
		{"tower", "2^3^2 = 64; 2^3^2 = 512", []want{{maybe, "512", "64"}, {yes, "512", "512"}}},
		{"division by zero", "5/0 = 7", []want{{maybe, "", "7"}}},
		{"too large", "9^9^9 = 1; 2^5000 = 2", []want{{maybe, "", "1"}, {maybe, "", "2"}}},
		{"dash of a list or minus", "- 3 + 5 = 2", []want{{maybe, "8", "2"}}},
		{"divisor or factor", "6/2(1+2) = 1", []want{{maybe, "9", "1"}}},

		{"whole parts", "13 ÷ 4 = 3 remainder 1; 13/4 = 3 R1; 13/4=3 with one left", []want{{maybe, "3.25", "3"}, {maybe, "3.25", "3"}, {maybe, "3.25", "3"}}},
		{"rounding somewhere in the text", "Integer division: 7/2 = 3, but 7/2 = 5", []want{{maybe, "3.5", "3"}, {no, "3.5", "5"}}},
		{"another base", "In base two, 1+1=10; in base-3, 2+2=11", []want{{maybe, "2", "10"}, {maybe, "4", "11"}}},
		{"floats", "0.1+0.2=0.30000000000000004 in floating point", []want{{maybe, "0.3", "0.30000000000000004"}}},
		{"conventions", "0^0 = 0; -7 % 3 = 2; 7.5 % 2 = 1", []want{{maybe, "1", "0"}, {maybe, "-1", "2"}, {maybe, "", "1"}}},
		{"roots", "4^(1/2) = 2; 0^-1 = 0", []want{{maybe, "", "2"}, {maybe, "", "0"}}},
		{"powers of fractions", "(2/3)^-2 = 9/4; (-2)^3 = -8", []want{{yes, "2.25", "2.25"}, {yes, "-8", "-8"}}},
		{"formula first", "Speed = distance / time = 100/2 = 50 km/h", []want{{yes, "50", "50"}}},
		{"arrows and dashes", "7*8=54 -> wrong; 2+2=4 --- right", []want{{no, "56", "54"}, {yes, "4", "4"}}},
		{"plus as a list mark", "+ 3+3=7", []want{{no, "6", "7"}}},
		{"comment", "// 2+2=5", []want{{no, "4", "5"}}},
		{"spaced dash", "10 – 3 = 8", []want{{no, "7", "8"}}},

		{"silent: goes on from something else", "|x| + 2 = 3+4; a[1] + 2 = 3+4; x'+1 = 3+4; x² + 1 = 3+4", nil},
		{"silent: programs", "7 // 2 = 4*1; i++ = 3+4; i += 3+4; 5 choose 2 = 10; C(5,2) = 5!/(2!3!)", nil},
		{"silent: macros", "\\frac{1}{2} + 1 = 3+4; 2^{10} = 1000+1", nil},
		{"silent: ranges and ratios", "3–5 = 1+1; 3:4 = 6:8+1", nil},
		{"silent: a percentage of something", "1,000 + 5% of 200 = 1,010", nil},
		{"silent: variables", "x + 3 = 5, 2x = 6, 3 + x = 4, f(3) = 9, 5 = 2y", nil},
		{"silent: words that calculate", "3 times 4 + 2 = 14; half of 3+4=2; sqrt 9+16 = 5; 2 plus 3*4 = 15", nil},
		{"silent: units inside", "5 kg + 3 kg = 8 kg; 5kg+3kg=9kg; 60 min = 1 hour", nil},
		{"silent: no operator", "version 3 = 4; 200 = 10", nil},
		{"silent: comparisons", "7*8 != 54, 7*8 >= 54, 7*8 ≈ 54, 7*8 => 54, x += 3*4", nil},
		{"silent: ellipsis", "1+2+...+10 = 54; 1/3 = 0.333...", nil},
		{"silent: sections, dates, times", "1.2.3 = 4*5.6.7; 10:30 + 2 = 12; 2024-01-05 = 2*3", nil},
		{"silent: decimal commas", "1,5 + 2,5 = 4", nil},
		{"silent: functions", "max(3, 4+5) = 9; sin(30)*2 = 1; f(2+2=5)", nil},
		{"silent: cut off", "3 + \n4 = 8; 5 + 5 = 5 +", nil},
		{"silent: root and factorial", "√9 + 1 = 5; 3! + 4 = 11; ± 3 + 4 = 8", nil},
		{"silent: mixed money", "$5 + €3 = $8", nil},
		{"silent: nothing", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := claim.Scan(tc.text).Arithmetic
			if len(got) != len(tc.want) {
				t.Fatalf("%q: got %d claims %+v, want %d", tc.text, len(got), got, len(tc.want))
			}
			for i, w := range tc.want {
				g := got[i]
				if g.Verdict != w.verdict || g.Exact != w.exact || g.Claimed != w.claimed {
					t.Errorf("%q: claim %q: got %s exact %q claimed %q (%s), want %s %q %q",
						tc.text, g.Text, g.Verdict, g.Exact, g.Claimed, g.Reason, w.verdict, w.exact, w.claimed)
				}
				if (g.Reason != "") != (g.Verdict == claim.NotAssessable) {
					t.Errorf("%q: verdict %s with the reason %q", g.Text, g.Verdict, g.Reason)
				}
				if !strings.HasPrefix(tc.text[g.Offset:], strings.TrimSuffix(g.Text, "…")) {
					t.Errorf("%q: offset %d does not show %q", tc.text, g.Offset, g.Text)
				}
			}
		})
	}
}

func TestBindings(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"plain", "x = 5", "x=5"},
		{"introduced", "Let x = 5 and y = 2.50. So z = x", "x=5 y=5/2"},
		{"computed", "total = 3*4 = 12", "total=12"},
		{"unit", "v = 5 km", "v=5 km"},
		{"money", "price = $5", "price=5 $"},
		{"percent", "p = 5%", "p=1/20"},
		{"assignment", "x := 7", "x=7"},
		{"changes itself", "x = x + 1", "x=?"},
		{"changes itself by another", "x = y*2 + x", "x=?"},
		{"two values", "x = 1. Then x = 2.", "x=?"},
		{"several solutions", "x = 5 or x = 7; x = 1, 2", ""},
		{"conditions", "if x = 5 then y = 3. For n = 2, z = 4. Case 1: w = 1.", ""},
		{"qualified", "fixed cost = 50 and variable cost = 30", ""},
		{"part of a formula", "2x = 6, a + b = 3, f(x) = 2, x^2 = 4, 1/y = 2, u.v = 3", ""},
		{"test, not binding", "x == 5, x != 5, x <= 5", ""},
		{"keyword argument", "f(x=5)", ""},
		{"open end", "x = 5 - y, x = ±3, x = 1/0", ""},
		{"deliberate change", "Update x = 9", "x=9!"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, b := range claim.Scan(tc.text).Bindings {
				s := b.Name + "=" + b.Value
				if b.Value == "" {
					s = b.Name + "=?"
				} else if b.Reset {
					s += "!"
				}
				if b.Unit != "" {
					s += " " + b.Unit
				}
				got = append(got, s)
			}
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%q: got %q, want %q", tc.text, s, tc.want)
			}
		})
	}
}

func TestContradicts(t *testing.T) {
	one := func(text string) claim.Binding {
		t.Helper()
		b := claim.Scan(text).Bindings
		if len(b) != 1 {
			t.Fatalf("%q: %d bindings", text, len(b))
		}
		return b[0]
	}
	for _, tc := range []struct {
		earlier, later string
		want           bool
	}{
		{"x = 5", "x = 7", true},
		{"x = 5", "so x = 5.0", false},
		{"x = 5", "y = 7", false},
		{"x = 5", "X = 7", false},
		{"x = 5 km", "x = 5000 m", false},
		{"x = 5 km", "x = 6 km", true},
		{"x = 10/3", "x = 3.33", false},
		{"x = 3.3333", "x = 3.33", false},
		{"x = 3.34", "x = 3.33", true},
		{"x = 5", "x = x + 1", false},
		{"x = x + 1", "x = 7", false},
		{"x = 5", "reset x = 7", false},
	} {
		if got := one(tc.earlier).Contradicts(one(tc.later)); got != tc.want {
			t.Errorf("%q then %q: contradicts is %v, want %v", tc.earlier, tc.later, got, tc.want)
		}
	}
}

// TestBounds feeds the scanner what would be slow if it were not bounded.
func TestBounds(t *testing.T) {
	const size = 32 << 10
	for name, text := range map[string]string{
		"brackets":         strings.Repeat("(", size),
		"nested value":     strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100) + "=1",
		"signs":            strings.Repeat("-", size) + "1=1+0",
		"many claims":      strings.Repeat("1+1=2 ", size/6),
		"one long claim":   "1" + strings.Repeat("+1", size/2) + "=7",
		"large powers":     strings.Repeat("7^700*3^700=", size/12),
		"long numbers":     strings.Repeat("9", size) + "+1=1",
		"superscripts":     "2" + strings.Repeat("⁹", size/3) + "=1",
		"fractions":        strings.Repeat("1/7+1/11+1/13+1/17+1/19+1/23+1/29=", size/36),
		"equals signs":     strings.Repeat("=", size),
		"spaced equals":    strings.Repeat("= ", size/2),
		"names":            strings.Repeat("x = 1 ", size/6),
		"groups":           "1" + strings.Repeat(",000", size/4) + "+1=2",
		"stars":            strings.Repeat("*", size) + "=",
		"words and equals": strings.Repeat("a=", size/2),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			claim.Scan(text)
			if d := time.Since(start); d > time.Second {
				t.Errorf("%d bytes took %v", len(text), d)
			}
		})
	}
}

func TestCut(t *testing.T) {
	if r := claim.Scan(strings.Repeat("1+1=2, ", 100)); !r.Cut || len(r.Arithmetic) != 32 {
		t.Errorf("100 claims: %d reported, cut is %v; want 32 and true", len(r.Arithmetic), r.Cut)
	}
}
