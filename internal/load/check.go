package load

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// What a check is about.
const (
	MaxP99    = "max-p99"    // 99 % quantile of the latency of good answers, ms
	MaxErrors = "max-errors" // share of the calls that were due and did not get a good answer
	MinRate   = "min-rate"   // good answers a second
	MaxRatio  = "max-ratio"  // p99 of the quiet group beside the others ÷ alone
)

// Check is something that must hold at the end of a run: of one group, or with
// no group of all of them together, which in a fairness run is the quiet group
// beside the others.
type Check struct {
	What  string
	Group string
	Limit float64
}

// ParseCheck reads the limit of a check: a duration for MaxP99, a share such as
// 0.01 or 1% for MaxErrors, a number for the others; each may be preceded by
// "GROUP=".
func ParseCheck(what, text string) (Check, error) {
	c := Check{What: what}
	group, value, named := strings.Cut(text, "=")
	if !named {
		group, value = "", text
	}
	c.Group = group
	var err error
	form := "a number"
	switch what {
	case MaxP99:
		var d time.Duration
		form = "a duration such as 20ms"
		d, err = time.ParseDuration(value)
		c.Limit = float64(d) / float64(time.Millisecond)
	case MaxErrors:
		form = "a share such as 0.01 or 1%"
		number, percent := strings.CutSuffix(value, "%")
		if c.Limit, err = strconv.ParseFloat(number, 64); percent {
			c.Limit /= 100
		}
	default:
		c.Limit, err = strconv.ParseFloat(value, 64)
	}
	if err != nil || !(c.Limit >= 0) || math.IsInf(c.Limit, 0) {
		return c, fault.Newf(fault.Invalid, "%s %q: it must be %s, or GROUP= and that", what, text, form)
	}
	return c, nil
}

func (p *Plan) checkChecks(bad *invalid) {
	for _, c := range p.Checks {
		switch {
		case c.What == MaxRatio && !p.Fairness:
			bad.addf("%s: only a fairness run has a ratio", c.What)
		case c.What == MaxRatio && c.Group != "" && c.Group != p.Quiet:
			bad.addf("%s: only the quiet group has a ratio", c.What)
		case !slices.Contains([]string{MaxP99, MaxErrors, MinRate, MaxRatio}, c.What):
			bad.addf("check %q: there is no such check", c.What)
		case c.Group != "" && !slices.ContainsFunc(p.Groups, func(g Group) bool { return g.Name == c.Group }):
			bad.addf("%s: there is no group %q", c.What, c.Group)
		}
	}
}

// judge holds the report against the checks. A value that is not known does not
// pass.
func (r *Report) judge(p *Plan) {
	r.Checks = make([]CheckResult, 0, len(p.Checks))
	for _, c := range p.Checks {
		out := CheckResult{What: c.What, Group: c.Group, Limit: c.Limit}
		if c.What == MaxRatio {
			out.Group = p.Quiet
			if r.Fairness != nil {
				out.Got = r.Fairness.P99Ratio
			}
		} else if g := r.checked(p, &out.Group); g != nil {
			switch c.What {
			case MaxP99:
				out.Got = g.Latency.P99
			case MaxErrors:
				out.Got = g.Errors
			case MinRate:
				out.Got = g.Goodput
			}
		}
		switch {
		case out.Got == nil:
		case c.What == MinRate:
			out.OK = *out.Got >= c.Limit
		default:
			out.OK = *out.Got <= c.Limit
		}
		r.Checks = append(r.Checks, out)
	}
}

// checked returns the result that a check of group is about, and puts the name
// of what was looked at into group. It is nil when that was not measured.
func (r *Report) checked(p *Plan, group *string) *Result {
	if *group == "" && p.Fairness {
		*group = p.Quiet
	}
	last := &r.Phases[len(r.Phases)-1]
	if p.Fairness && last.Name != phaseBeside {
		return nil
	}
	if *group == "" {
		*group = totalName
		return &last.Total
	}
	return last.group(*group)
}

// Passed reports whether every check held.
func (r *Report) Passed() bool {
	return !slices.ContainsFunc(r.Checks, func(c CheckResult) bool { return !c.OK })
}
