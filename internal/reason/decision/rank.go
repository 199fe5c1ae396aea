package decision

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// Ranked is an option's place. Equal scores share a rank, and the next rank
// counts all that stand before it (1, 2, 2, 4).
type Ranked struct {
	Option string  `json:"option"`
	Name   string  `json:"name,omitempty"`
	Rank   int     `json:"rank"`
	Score  float64 `json:"score"`
}

// slack is the relative difference below which two scores are equal: far above
// the rounding of a sum of 200 terms, far below any difference that was meant.
const slack = 1e-12

// best returns the indexes of the highest scores, equal within tol.
func best(scores []float64, tol float64) []int {
	top := math.Inf(-1)
	for _, s := range scores {
		top = max(top, s)
	}
	var at []int
	for i, s := range scores {
		if s >= top-tol {
			at = append(at, i)
		}
	}
	return at
}

// ranks returns the place of every score, best first, counting from 1.
func ranks(scores []float64, tol float64) []int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	place := make([]int, len(scores))
	lead := 0
	for k, i := range order {
		if scores[order[lead]]-scores[i] > tol {
			lead = k
		}
		place[i] = lead + 1
	}
	return place
}

// ranking lists the options of rows by place, equal ones by key, so that it does
// not depend on the order in which options were given.
func (md *model) ranking(rows []int, scores []float64, tol float64) []Ranked {
	place := ranks(scores, tol)
	list := make([]Ranked, len(rows))
	for k, i := range rows {
		list[k] = Ranked{Option: md.keys[i], Rank: place[k], Score: scores[k]}
		if name := md.options[i].Name; name != md.keys[i] {
			list[k].Name = name
		}
	}
	slices.SortFunc(list, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(a.Option, b.Option))
	})
	return list
}

// named returns the sorted keys of the options at positions at of rows.
func (md *model) named(rows, at []int) []string {
	names := make([]string, len(at))
	for k, i := range at {
		names[k] = md.keys[rows[i]]
	}
	slices.Sort(names)
	return names
}

// byKey maps each option of rows to its value.
func (md *model) byKey(rows []int, values []float64) map[string]float64 {
	out := make(map[string]float64, len(rows))
	for k, i := range rows {
		out[md.keys[i]] = values[k]
	}
	return out
}
