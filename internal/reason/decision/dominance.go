package decision

import (
	"cmp"
	"slices"
	"strings"
)

// Dominance says which options lose whatever the weights or probabilities are:
// another one is at least as good everywhere and better somewhere.
type Dominance struct {
	Kind        string      `json:"kind"` // what was compared
	Undominated []string    `json:"undominated"`
	Dominated   []Dominated `json:"dominated"`
	Identical   [][]string  `json:"identical,omitempty"` // groups of options that do not differ
	Fronts      [][]string  `json:"-"`                   // layers: the first is Undominated
}

// Dominated is an option that loses to others.
type Dominated struct {
	Option string   `json:"option"`
	By     []string `json:"by"`    // at most five of them
	Count  int      `json:"count"` // all of them
}

const maxDominators = 5

// relation tells whether option i is better than j somewhere, and worse
// somewhere.
type relation func(i, j int) (better, worse bool)

// dominance compares all pairs. A step is one pair. It returns nil when the
// budget ends first, since half a comparison proves nothing.
func (md *model) dominance(kind string, rows []int, compare relation) *Dominance {
	n := len(rows)
	over := make([][]int, n) // whom i dominates
	under := make([][]int, n)
	twin := make([]int, n) // first option that i equals
	for i := range twin {
		twin[i] = i
	}
	for i := range n {
		if !md.m.Step(int64(n - i)) {
			return nil
		}
		for j := i + 1; j < n; j++ {
			better, worse := compare(i, j)
			switch {
			case better && !worse:
				over[i], under[j] = append(over[i], j), append(under[j], i)
			case worse && !better:
				over[j], under[i] = append(over[j], i), append(under[i], j)
			case !better && !worse && twin[j] == j:
				twin[j] = twin[i]
			}
		}
	}
	d := &Dominance{Kind: kind, Dominated: []Dominated{}, Identical: md.twins(rows, twin)}
	d.Fronts = md.fronts(rows, over, under)
	d.Undominated = d.Fronts[0]
	for i, by := range under {
		if len(by) > 0 {
			names := md.named(rows, by)
			d.Dominated = append(d.Dominated, Dominated{md.keys[rows[i]], names[:min(len(names), maxDominators)], len(by)})
		}
	}
	slices.SortFunc(d.Dominated, func(a, b Dominated) int { return cmp.Compare(a.Option, b.Option) })
	return d
}

// fronts peels the options in layers: each holds those that only earlier layers
// dominate.
func (md *model) fronts(rows []int, over, under [][]int) [][]string {
	left := make([]int, len(rows)) // dominators not yet peeled
	var front []int
	for i := range rows {
		if left[i] = len(under[i]); left[i] == 0 {
			front = append(front, i)
		}
	}
	var layers [][]string
	for len(front) > 0 {
		layers = append(layers, md.named(rows, front))
		var next []int
		for _, i := range front {
			for _, j := range over[i] {
				if left[j]--; left[j] == 0 {
					next = append(next, j)
				}
			}
		}
		front = next
	}
	return layers
}

func (md *model) twins(rows, twin []int) [][]string {
	groups := map[int][]int{}
	for i, first := range twin {
		groups[first] = append(groups[first], i)
	}
	var list [][]string
	for _, g := range groups {
		if len(g) > 1 {
			list = append(list, md.named(rows, g))
		}
	}
	slices.SortFunc(list, func(a, b []string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// dominanceOfAttributes compares raw values on every criterion with weight.
func (md *model) dominanceOfAttributes(rows []int, x [][]float64, crit []int) *Dominance {
	return md.dominance("no worse on any criterion, better on one", rows, func(i, j int) (better, worse bool) {
		for k, c := range crit {
			a, b := x[i][k], x[j][k]
			if md.p.Criteria[c].Minimize {
				a, b = b, a
			}
			better, worse = better || a > b, worse || a < b
		}
		return better, worse
	})
}

// dominanceOfProspects compares payoffs state by state, and separate outcomes by
// first-order stochastic dominance.
func (md *model) dominanceOfProspects(rows []int, list []prospect) {
	if md.payoff != nil {
		md.res.Dominance = md.dominance("no worse in any state, better in one", rows, func(i, j int) (better, worse bool) {
			for s, a := range list[i].values {
				b := list[j].values[s]
				better, worse = better || a > b, worse || a < b
			}
			return better, worse
		})
		return
	}
	ladders := make([]ladder, len(list))
	for i, pr := range list {
		if pr.chance == nil {
			return
		}
		ladders[i] = pr.ladder()
	}
	md.res.Dominance = md.dominance("first-order stochastic: no value is less likely to be reached, one is likelier", rows, func(i, j int) (better, worse bool) {
		return ladders[i].above(ladders[j])
	})
}

// ladder is a distribution function: values ascending, with the probability of
// at most that value.
type ladder struct{ values, upTo []float64 }

func (pr prospect) ladder() ladder {
	order := make([]int, len(pr.values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(pr.values[a], pr.values[b]) })
	l := ladder{}
	total := 0.0
	for _, i := range order {
		total += pr.chance[i]
		l.values, l.upTo = append(l.values, pr.values[i]), append(l.upTo, total)
	}
	return l
}

// above compares two distribution functions: the smaller one is the better.
func (l ladder) above(o ladder) (better, worse bool) {
	i, j := 0, 0
	var f, g float64
	for i < len(l.values) || j < len(o.values) {
		var t float64
		switch {
		case j == len(o.values) || (i < len(l.values) && l.values[i] <= o.values[j]):
			t = l.values[i]
		default:
			t = o.values[j]
		}
		for i < len(l.values) && l.values[i] == t {
			f = l.upTo[i]
			i++
		}
		for j < len(o.values) && o.values[j] == t {
			g = o.upTo[j]
			j++
		}
		better, worse = better || f < g-sumSlack, worse || f > g+sumSlack
	}
	return better, worse
}
