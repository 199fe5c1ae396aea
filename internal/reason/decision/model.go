package decision

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// model is a checked problem with names resolved to positions. Only Analyze and
// what it calls write to it; it lives as long as one analysis.
type model struct {
	p       *Problem
	s       *Settings
	m       *budget.Meter
	how     Run
	res     *Result
	options []Option // as given, or as named by outcomes or payoffs
	keys    []string
	at      map[string]int // id, key or unambiguous name → position; ambiguous: −1
	out     []bool         // left out by a constraint or for want of the constrained value
	quiet   bool           // while scoring is repeated: nothing is recorded

	board  *board // what the sensitivity analyses vary; nil: nothing to vary
	varies string // what its dimensions are

	weights []float64 // of the criteria, sum 1
	active  []int     // criteria with weight
	states  []string
	chance  []float64 // by state; nil when no probabilities were given
	payoff  [][]float64
	lottery [][]int // positions in p.Outcomes by option
}

func compile(m *budget.Meter, p *Problem, s *Settings) (*model, error) {
	md := &model{p: p, s: s, m: m, res: &Result{Method: s.Method}}
	for _, check := range []func() error{
		md.checkSizes, md.checkOptions, md.checkCriteria, md.checkConstraints, md.checkOutcomes, md.checkPayoffs,
	} {
		if err := check(); err != nil {
			return nil, err
		}
	}
	return md, nil
}

func (md *model) checkSizes() error {
	for _, c := range []struct {
		field string
		n     int
		most  int
	}{
		{"options", len(md.p.Options), MaxOptions},
		{"criteria", len(md.p.Criteria), MaxCriteria},
		{"constraints", len(md.p.Constraints), MaxCriteria},
		{"states", len(md.p.States), MaxStates},
		{"probabilities", len(md.p.Probabilities), MaxStates},
		{"payoffs", len(md.p.Payoffs), MaxOptions},
		{"possibleOutcomes", len(md.p.Outcomes), MaxOptions * MaxStates},
	} {
		if c.n > c.most {
			return bad(c.field, fmt.Sprintf("at most %d items", c.most), fmt.Sprintf("%d items", c.n))
		}
	}
	return nil
}

// number refuses what no computation here can take.
func number(field string, x float64) error {
	if math.IsNaN(x) || math.Abs(x) > MaxMagnitude {
		return bad(field, fmt.Sprintf("a finite number of magnitude at most %g", MaxMagnitude), x)
	}
	return nil
}

func (md *model) checkOptions() error {
	md.options = md.p.Options
	if len(md.options) == 0 {
		md.options = md.impliedOptions()
		if len(md.options) > MaxOptions {
			return bad("possibleOutcomes", fmt.Sprintf("at most %d options", MaxOptions), fmt.Sprintf("%d options", len(md.options)))
		}
	}
	md.at = make(map[string]int, 2*len(md.options))
	md.keys = make([]string, len(md.options))
	md.out = make([]bool, len(md.options))
	for i, o := range md.options {
		field := fmt.Sprintf("options[%d]", i)
		key := o.Key()
		if key == "" {
			return bad(field+".name", "a name or an id", "nothing")
		}
		if _, taken := md.at[key]; taken {
			return bad(field, "a name or id that no other option has", key)
		}
		md.at[key], md.keys[i] = i, key
		if !md.m.Pause() {
			return md.unfinished()
		}
		for _, a := range slices.Sorted(maps.Keys(o.Attributes)) {
			if err := number(field+".attributes."+a, o.Attributes[a]); err != nil {
				return err
			}
		}
	}
	for i, o := range md.options {
		if j, taken := md.at[o.Name]; !taken {
			md.at[o.Name] = i
		} else if o.Name != md.keys[i] && (j < 0 || o.Name != md.keys[j]) {
			md.at[o.Name] = -1
		}
	}
	return nil
}

// impliedOptions names the options that outcomes or payoffs speak of.
func (md *model) impliedOptions() []Option {
	var list []Option
	seen := map[string]bool{}
	for _, o := range md.p.Outcomes {
		if o.Option != "" && !seen[o.Option] {
			seen[o.Option] = true
			list = append(list, Option{Name: o.Option})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(md.p.Payoffs)) {
		if !seen[name] {
			list = append(list, Option{Name: name})
		}
	}
	return list
}

func (md *model) option(field, ref string) (int, error) {
	i, ok := md.at[ref]
	switch {
	case !ok || ref == "":
		return 0, bad(field, "the id or name of an option", fmt.Sprintf("%q", ref))
	case i < 0:
		return 0, bad(field, "an id: more than one option has this name", ref)
	}
	return i, nil
}

func (md *model) checkCriteria() error {
	if len(md.p.Criteria) == 0 {
		return nil
	}
	seen := map[string]bool{}
	md.weights = make([]float64, len(md.p.Criteria))
	total := 0.0
	for j, c := range md.p.Criteria {
		field := fmt.Sprintf("criteria[%d]", j)
		if c.Name == "" || seen[c.Name] {
			return bad(field+".name", "a name that no other criterion has", fmt.Sprintf("%q", c.Name))
		}
		seen[c.Name] = true
		md.weights[j] = 1
		if c.Weight != nil {
			md.weights[j] = *c.Weight
		}
		if err := number(field+".weight", md.weights[j]); err != nil {
			return err
		}
		if md.weights[j] < 0 {
			return bad(field+".weight", "a weight of at least 0; for a criterion where less is better use type minimize", md.weights[j])
		}
		total += md.weights[j]
	}
	if total == 0 {
		return bad("criteria", "at least one weight above 0", "all weights are 0")
	}
	md.useWeights(md.weights, total)
	return nil
}

// useWeights sets the weights, divided by their sum, and which criteria count.
func (md *model) useWeights(w []float64, total float64) {
	md.active = nil
	for j := range w {
		w[j] /= total
		if w[j] > 0 {
			md.active = append(md.active, j)
		}
	}
	md.weights = w
}

func (md *model) checkConstraints() error {
	for k, c := range md.p.Constraints {
		field := fmt.Sprintf("constraints[%d]", k)
		if err := number(field+".value", c.Value); err != nil {
			return err
		}
		if _, ok := c.holds(0); !ok {
			return bad(field+".op", "one of <=, <, >=, >, =", c.Op)
		}
		for i, o := range md.options {
			x, has := o.Attributes[c.Attribute]
			holds, _ := c.holds(x)
			switch {
			case md.out[i]:
			case !has:
				md.out[i] = true
				md.res.NotAssessable = append(md.res.NotAssessable, Gap{md.keys[i], []string{c.Attribute}})
			case !holds:
				md.out[i] = true
				md.res.Excluded = append(md.res.Excluded, Exclusion{Option: md.keys[i], Constraint: c.String(), Value: x})
			}
		}
	}
	return nil
}

// holds reports whether x meets the constraint; ok is false for an unknown Op.
func (c Constraint) holds(x float64) (holds, ok bool) {
	switch c.Op {
	case "<=":
		return x <= c.Value, true
	case "<":
		return x < c.Value, true
	case ">=":
		return x >= c.Value, true
	case ">":
		return x > c.Value, true
	case "=":
		return x == c.Value, true
	}
	return false, false
}

// attributes returns the options that have a value for each criterion of crit,
// and their values; the others become gaps. Under AHP a criterion on which the
// options were compared in pairs needs no values.
func (md *model) attributes(crit []int) (rows []int, x [][]float64) {
	for i, o := range md.options {
		if md.out[i] {
			continue
		}
		row := make([]float64, len(crit))
		var missing []string
		for k, j := range crit {
			name := md.p.Criteria[j].Name
			v, has := o.Attributes[name]
			if !has && !(md.s.Method == AHP && !md.p.Comparisons.Options[name].empty()) {
				missing = append(missing, name)
			}
			row[k] = v
		}
		if missing != nil {
			md.res.NotAssessable = append(md.res.NotAssessable, Gap{md.keys[i], missing})
			continue
		}
		rows, x = append(rows, i), append(x, row)
	}
	return rows, x
}

// nobody explains why no option is left to rank.
func (md *model) nobody(field, what string) error {
	got := describe(md.res.NotAssessable)
	if len(md.res.Excluded) > 0 {
		got = cmp.Or(got, "no gaps") + fmt.Sprintf("; %d options excluded by constraints", len(md.res.Excluded))
	}
	return bad(field, what, cmp.Or(got, "nothing"))
}
