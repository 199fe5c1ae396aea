// Package debug decides which test of a failing system to make next, and what the
// outcomes say about where the fault is.
//
// # Ask and tell
//
// Whoever uses the package makes the tests. A driver says which one is next (Ask),
// takes the outcome (Tell: pass, fail, or unresolved when there was none) and says
// what is known so far. A driver is its settings and the log of what it was told,
// and nothing else: all else is derived from these by playing the log again, so it
// survives a round trip through JSON, equal logs give equal questions, and a log
// from outside is judged by playing it (Validate).
//
//   - Bisect (bisect.go) looks for the first bad one of an ordered range by binary
//     search, and goes round what cannot be tested.
//   - Noisy (noisy.go) does so when an outcome can be wrong: it keeps the posterior
//     and asks at its median (Burnashev & Zigangirov 1974; Karp & Kleinberg 2007).
//   - Delta (delta.go) makes a failing input 1-minimal: ddmin (Zeller & Hildebrandt
//     2002).
//   - Causes (causes.go) keeps probabilities of possible causes by Bayes' rule and
//     asks the test with most information per cost (Lindley 1956).
//   - Split (split.go) halves a system of dependent components (half-split).
//   - Search (backtrack.go) walks choices depth first and jumps back over those that
//     a dead end does not depend on (Prosser 1993).
//
// # At once
//
// Slice (slice.go) is what can reach, or be reached from, a node of a dependence
// graph (Weiser 1981); Spectrum (spectrum.go) ranks program elements by the
// outcomes of the tests that run them (Jones & Harrold 2005; Abreu et al. 2006;
// Wong et al. 2014); FaultTree (tree.go) gives minimal cut sets by MOCUS (Fussell &
// Vesely 1972); Reverse (reverse.go) tells the hypotheses about a black box that
// what was observed refutes.
//
// The package is pure: no clock, no goroutine, no lock, no chance.
package debug

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Outcome is what a test came to.
type Outcome string

// The outcomes.
const (
	Pass       Outcome = "pass"
	Fail       Outcome = "fail"
	Unresolved Outcome = "unresolved" // it could not be made, or says neither
)

// Limits of every driver.
const (
	MaxName  = 200  // bytes of a name
	MaxTests = 4000 // outcomes told
)

// Query is a test to make.
type Query struct {
	Test  string   `json:"test"`               // its name, to be sent back with the outcome
	Do    string   `json:"do"`                 // what to test, in words
	Set   []string `json:"set,omitempty"`      // of delta debugging: what to leave in
	Bits  *float64 `json:"gainBits,omitempty"` // expected information
	Cost  *float64 `json:"cost,omitempty"`     // as the client gave it
	Ratio *float64 `json:"gainPerCost,omitempty"`
}

// Finding is what is known so far.
type Finding struct {
	Done       bool     `json:"done"`
	Found      []string `json:"found,omitempty"` // the answer when done; several when no test can part them
	Candidates int      `json:"candidates"`      // what it may still be
	AtMost     *int     `json:"testsAtMost,omitempty"`
	Ranking    []Weight `json:"ranking,omitempty"` // the likeliest first
	Told       int      `json:"testsTold"`
	Why        string   `json:"why"`
}

// Weight is a probability, or another score between 0 and 1, of something.
type Weight struct {
	Name        string  `json:"name"`
	Probability float64 `json:"probability"`
}

// maxRanking bounds the rankings of findings.
const maxRanking = 20

// flaw is one thing wrong with what the client gave.
func flaw(path, expected, format string, args ...any) error {
	return problem.Flaws{{Path: path, Problem: fmt.Sprintf(format, args...), Expected: expected}}
}

func checkOutcome(o Outcome) error {
	switch o {
	case Pass, Fail, Unresolved:
		return nil
	}
	return flaw("outcome", "pass, fail or unresolved", "%.40q", o)
}

// room refuses a log that is full.
func room(told int) error {
	if told >= MaxTests {
		return flaw("outcome", fmt.Sprintf("at most %d outcomes of one case; start another one with what is left", MaxTests), "%d before this one", told)
	}
	return nil
}

// named checks names: not empty, not too long, each once.
func named(path string, names []string) (map[string]int, error) {
	at := make(map[string]int, len(names))
	for i, n := range names {
		if err := checkName(fmt.Sprintf("%s[%d]", path, i), n); err != nil {
			return nil, err
		}
		if j, twice := at[n]; twice {
			return nil, flaw(fmt.Sprintf("%s[%d]", path, i), "a name that no other one has", "%.80q, as %s[%d]", n, path, j)
		}
		at[n] = i
	}
	return at, nil
}

func checkName(path, name string) error {
	if strings.TrimSpace(name) == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return flaw(path, fmt.Sprintf("a name of 1 to %d bytes in UTF-8", MaxName), "%.40q of %d bytes", name, len(name))
	}
	return nil
}

// list writes a few names in a row.
func list(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
