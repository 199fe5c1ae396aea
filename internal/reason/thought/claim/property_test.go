package claim_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought/claim"
)

// formula is an expression with its value, computed while it was drawn.
type formula struct {
	text  string
	value *big.Rat
	level int // 3 atom, 2 product, 1 sum: what needs brackets
}

func (f formula) in(level int) string {
	if f.level < level {
		return "(" + f.text + ")"
	}
	return f.text
}

// draw returns a formula of whole numbers and decimals with + - * /.
func draw(t *rapid.T, depth int) formula {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "leaf") == 0 {
		n := rapid.IntRange(0, 999_999).Draw(t, "number")
		text := fmt.Sprint(n)
		value := big.NewRat(int64(n), 1)
		switch rapid.IntRange(0, 3).Draw(t, "spelling") {
		case 0:
			text = grouped(text)
		case 1:
			text = fmt.Sprintf("%d.%02d", n/100, n%100)
			value.SetFrac64(int64(n), 100)
		}
		return formula{text, value, 3}
	}
	a, b := draw(t, depth-1), draw(t, depth-1)
	space := rapid.SampledFrom([]string{"", " "}).Draw(t, "space")
	join := func(x, op, y string) string { return x + space + op + space + y }
	switch op := rapid.SampledFrom([]string{"+", "-", "*", "×", "/", "÷"}).Draw(t, "op"); op {
	case "+":
		return formula{join(a.in(1), op, b.in(1)), new(big.Rat).Add(a.value, b.value), 1}
	case "-":
		return formula{join(a.in(1), op, b.in(2)), new(big.Rat).Sub(a.value, b.value), 1}
	case "*", "×":
		return formula{join(a.in(2), op, b.in(2)), new(big.Rat).Mul(a.value, b.value), 2}
	default:
		if b.value.Sign() == 0 {
			return a
		}
		return formula{join(a.in(2), op, b.in(3)), new(big.Rat).Quo(a.value, b.value), 2}
	}
}

func grouped(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// TestFormulas: a true equation is verified and a false one is not, and a refuted
// claim states the true value.
func TestFormulas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := draw(t, rapid.IntRange(1, 4).Draw(t, "depth"))
		if f.level == 3 || len(f.text) > 400 {
			return
		}
		lead := rapid.SampledFrom([]string{"", "So ", "1. ", "Total: ", "(", "**"}).Draw(t, "lead")
		right := f.value.RatString()
		got := claim.Scan(lead + f.text + " = " + right).Arithmetic
		if len(got) != 1 || got[0].Verdict != claim.Verified {
			t.Fatalf("%s%s = %s: got %+v", lead, f.text, right, got)
		}
		off := big.NewRat(rapid.Int64Range(1, 1000).Draw(t, "off"), 1)
		wrong := new(big.Rat).Add(f.value, off)
		got = claim.Scan(lead + f.text + " = " + wrong.RatString()).Arithmetic
		if len(got) != 1 || got[0].Verdict == claim.Verified {
			t.Fatalf("%s%s = %s: got %+v", lead, f.text, wrong.RatString(), got)
		}
		if got[0].Verdict == claim.NotAssessable {
			return
		}
		if exact, ok := new(big.Rat).SetString(got[0].Exact); !ok || exact.Cmp(f.value) != 0 {
			t.Fatalf("%s: exact is %s, want %s", f.text, got[0].Exact, f.value.RatString())
		}
	})
}

// TestVerifiedIsTrue: whatever surrounds a claim, "verified" is only said of two
// equal numbers, and "refuted" only of two that differ.
func TestVerifiedIsTrue(t *testing.T) {
	pieces := []string{"1", "2", "10", "0.5", "1,000", "x", "of", "and", "=", "==", "+", "-", "*", "/", "^", "%", "(", ")", " ", "\n", ".", ",", "$", "km", "so", "²", "!"}
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 1, 40).Draw(t, "pieces"), "")
		for _, a := range claim.Scan(text).Arithmetic {
			exact, ok := new(big.Rat).SetString(a.Exact)
			claimed, ok2 := new(big.Rat).SetString(a.Claimed)
			switch {
			case a.Verdict == claim.NotAssessable, strings.Contains(a.Exact+a.Claimed, "…"):
			case !ok || !ok2:
				t.Fatalf("%q: %+v", text, a)
			case (exact.Cmp(claimed) == 0) != (a.Verdict == claim.Verified):
				t.Fatalf("%q: %+v", text, a)
			}
		}
	})
}

// FuzzScan: no input makes the scanner panic, and what it reports lies within the
// text.
func FuzzScan(f *testing.F) {
	for _, seed := range []string{
		"17*23=391", "7*8=54", "0.1+0.2=0.3", "1,000 + 5% of 200 = 1,010", "- 3 + 5 = 2", "2⁻³ = 1/8", "x := 5", "$5+€3=8",
		"((1+2)=3", "5! = 120", "1e999=1+1", "\xff\xfe=1+1", "a=b=c=1+1=2", "²=1", "%%=%", "1+1=²", "\u200d1+1=2",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := claim.Scan(text)
		for _, a := range r.Arithmetic {
			if a.Offset < 0 || a.Offset >= len(text) || a.Text == "" || a.Verdict == "" {
				t.Errorf("%q: %+v", text, a)
			}
		}
		for _, b := range r.Bindings {
			if b.Name == "" || !strings.Contains(text, b.Name) {
				t.Errorf("%q: %+v", text, b)
			}
		}
	})
}

func BenchmarkScan(b *testing.B) {
	text := "We have 17*23 = 391 and x = 5 km, so 0.1 + 0.2 = 0.3 holds. " + strings.Repeat("Prose without numbers goes on for a while. ", 8)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		claim.Scan(text)
	}
}
