package stats

import (
	"fmt"
	"math"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// The largest inputs. Larger ones are refused with an InputError that names the
// bound.
const (
	MaxValues    = 1_000_000  // numbers in all samples of one call
	MaxDraws     = 10_000_000 // Monte Carlo draws
	MaxResamples = 1_000_000  // random permutations
	MaxGroups    = 1_000      // groups of a comparison
	MaxCells     = 10_000     // cells of a contingency table or a goodness-of-fit test
	MaxCount     = 1e12       // a count, so that products of counts stay exact enough
	MaxPValues   = 100_000    // p values corrected together
	MaxTerms     = 50         // columns of a regression
	MaxVariables = 64         // random variables of a Monte Carlo model
	MaxQuantiles = 100        // quantiles asked for
)

// InputError says which input is wrong, what would be right and what was there.
type InputError struct {
	Field string // such as "x", "table[1][0]"; the names are those of the parameters
	Want  string
	Got   string // empty when nothing was there
}

// Error returns the three parts in one line.
func (e *InputError) Error() string {
	s := e.Field + ": expected " + e.Want
	if e.Got != "" {
		s += ", got " + e.Got
	}
	return s
}

// Unwrap classifies the failure as one the caller can mend.
func (e *InputError) Unwrap() error {
	return &fault.Error{Kind: fault.Invalid, Public: e.Error()}
}

func wrong(field, want string, got any) error {
	return &InputError{Field: field, Want: want, Got: fmt.Sprint(got)}
}

func missing(field, want string) error { return &InputError{Field: field, Want: want} }

// spent says why m stopped a computation that has no partial result.
func spent(m *budget.Meter) error {
	if err := m.Err(); err != nil {
		return err
	}
	kind := fault.TooLarge
	if m.Hit() == budget.Time {
		kind = fault.Timeout
	}
	return fault.Newf(kind, "the budget %s ended before the data were read to the end; a statistic of a part would be wrong: raise it or send less data", m.Hit())
}

// valuesPerStep is how many numbers of a plain loop make one step of a budget.
const valuesPerStep = 64

// each calls fn on consecutive ranges that cover [0, n), counting one step for
// every valuesPerStep numbers.
func each(m *budget.Meter, n int, fn func(lo, hi int)) error {
	const stride = 16 * valuesPerStep
	for lo := 0; lo < n; lo += stride {
		hi := min(n, lo+stride)
		if !m.Step(int64(hi-lo+valuesPerStep-1) / valuesPerStep) {
			return spent(m)
		}
		fn(lo, hi)
	}
	return nil
}

// checkSample refuses a sample that is shorter than least, too long, or holds
// something that is not a finite number.
func checkSample(field string, x []float64, least int) error {
	switch {
	case len(x) == 0:
		return missing(field, fmt.Sprintf("at least %d %s; empty data have no statistics", least, plural(least, "number")))
	case len(x) < least:
		return wrong(field, fmt.Sprintf("at least %d numbers", least), fmt.Sprintf("%d", len(x)))
	case len(x) > MaxValues:
		return wrong(field, fmt.Sprintf("at most %d numbers", MaxValues), len(x))
	}
	for i, v := range x {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return wrong(fmt.Sprintf("%s[%d]", field, i), "a finite number", v)
		}
	}
	return nil
}

// checkTotal refuses samples that are too long together.
func checkTotal(field string, n int) error {
	if n > MaxValues {
		return wrong(field, fmt.Sprintf("at most %d numbers in all samples together", MaxValues), n)
	}
	return nil
}

func finiteArg(field string, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return wrong(field, "a finite number", v)
	}
	return nil
}

func positiveArg(field string, v float64) error {
	if !(v > 0) || math.IsInf(v, 0) {
		return wrong(field, "a finite number above 0", v)
	}
	return nil
}

func probabilityArg(field string, v float64) error {
	if !(v >= 0 && v <= 1) {
		return wrong(field, "a probability between 0 and 1", v)
	}
	return nil
}

// levelArg checks a confidence or significance level, which is strictly inside
// (0, 1).
func levelArg(field string, v float64) error {
	if !(v > 0 && v < 1) {
		return wrong(field, "a level above 0 and below 1", v)
	}
	return nil
}

func countArg(field string, v float64) error {
	if !(v >= 0 && v <= MaxCount) || v != math.Trunc(v) {
		return wrong(field, fmt.Sprintf("a whole count from 0 to %g", float64(MaxCount)), v)
	}
	return nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// known returns v, or nil where v is not a finite number: the data do not
// determine it.
func known(v float64) *float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil
	}
	return &v
}
