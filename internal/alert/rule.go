package alert

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Severity says how soon somebody should look.
type Severity string

// The severities, as Prometheus rules name them.
const (
	Warning  Severity = "warning"  // in working hours
	Critical Severity = "critical" // now
)

// Sample is what was measured at one moment, by name. A name that is missing was
// not measured; a counter only grows while its process lives.
type Sample map[string]float64

// Measure makes the one number that a rule judges out of samples.
type Measure struct {
	Of   string        // the value
	In   time.Duration // 0 takes it as it is; otherwise it is a counter, and its increase in that time is taken
	Over string        // with In: the counter by whose increase that is divided, at most 1
	// Least is the increase of Over below which the share is 0: a few are too few
	// to judge by.
	Least float64
}

// Rule says from where on a number is too much, and for how long.
type Rule struct {
	Name     string // a word, also of its runbook
	Severity Severity
	Summary  string // a sentence for whoever is woken
	Unit     string // of the number: "s", "ratio" or what is counted
	Measure  Measure

	Above float64       // the number is too much above this
	For   time.Duration // and the alert fires when it was so for this long
	// Clear, at most Above, is where it is good again: between the two a firing alert
	// goes on firing, and no new one begins.
	Clear float64
	Hold  time.Duration // it is over when the number was good for this long
}

// Bounds of a set of rules.
const (
	maxRules  = 64
	maxPeriod = 24 * time.Hour // of In, For and Hold
)

// Validate says what is wrong with the rule.
func (r Rule) Validate() error {
	var errs []error
	bad := func(when bool, format string, args ...any) {
		if when {
			errs = append(errs, fmt.Errorf("rule %.40q: "+format, append([]any{r.Name}, args...)...))
		}
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	bad(r.Name == "" || len(r.Name) > 64 || strings.Trim(r.Name, letters) != "", "want a name of at most 64 letters and digits")
	bad(r.Severity != Warning && r.Severity != Critical, "severity %.20q: want %s or %s", r.Severity, Warning, Critical)
	bad(r.Measure.Of == "", "it measures nothing")
	bad(r.Measure.Over != "" && r.Measure.In == 0, "a share of counters needs a time to count in")
	bad(!finite(r.Above) || !finite(r.Clear) || r.Clear > r.Above, "clear is %v and above %v: want numbers, clear at most above", r.Clear, r.Above)
	for _, d := range []time.Duration{r.Measure.In, r.For, r.Hold} {
		bad(d < 0 || d > maxPeriod, "%v: want a time from 0 to %v", d, maxPeriod)
	}
	return errors.Join(errs...)
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// validate checks a set of rules.
func validate(rules []Rule) error {
	if len(rules) > maxRules {
		return fmt.Errorf("%d rules, at most %d are evaluated", len(rules), maxRules)
	}
	var errs []error
	seen := map[string]bool{}
	for _, r := range rules {
		errs = append(errs, r.Validate())
		if seen[r.Name] {
			errs = append(errs, fmt.Errorf("rule %s is there twice", r.Name))
		}
		seen[r.Name] = true
	}
	return errors.Join(errs...)
}
