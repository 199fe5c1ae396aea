package claim

import (
	"fmt"
	"strings"
)

// maxWritten is more decimals than a literal can have: its digits, its exponent,
// and two for a sign of percent.
const maxWritten = 4*maxDigits + 1000

// Validate reports whether Scan could have found the binding in some text. The
// other methods compute with its value and its places, so they must be small.
func (b *Binding) Validate() error {
	switch {
	case b.Name == "" || len(b.Name) > maxName:
		return fmt.Errorf("name: %d bytes, want 1 to %d", len(b.Name), maxName)
	case !exact(b.Value):
		return fmt.Errorf("value: %.40q, want a whole number or a fraction of at most %d bytes", b.Value, maxShown)
	case b.Places < 0 || b.Places > maxWritten:
		return fmt.Errorf("places: %d, want 0 to %d", b.Places, maxWritten)
	case b.Value == "" && (b.Places != 0 || b.Unit != "" || !b.Reset):
		return fmt.Errorf("value: nothing, but there are places or a unit, or it is not reset")
	}
	return nil
}

// exact reports whether s is empty or a number as big.Rat writes it, short enough.
func exact(s string) bool {
	if s == "" {
		return true
	}
	if len(s) > maxShown {
		return false
	}
	above, below, fraction := strings.Cut(strings.TrimPrefix(s, "-"), "/")
	whole := func(s string) bool { return s != "" && digits(s) == len(s) && (s[0] != '0' || s == "0") }
	return whole(above) && (!fraction || whole(below) && below != "0")
}
