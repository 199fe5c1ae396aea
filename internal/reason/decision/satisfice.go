package decision

import (
	"fmt"
	"maps"
	"slices"
)

// Satisfaction says who meets the aspirations.
type Satisfaction struct {
	Satisfied  []string               `json:"satisfied"`
	First      string                 `json:"firstFound,omitempty"` // in the order given: where Simon's search would stop
	Shortfalls map[string][]Shortfall `json:"shortfalls"`           // by option that falls short
}

// Shortfall is how much an option lacks on a criterion, in its unit.
type Shortfall struct {
	Criterion string  `json:"criterion"`
	Level     float64 `json:"level"`
	Value     float64 `json:"value"`
	By        float64 `json:"by"`
}

// satisfice ranks by the number of aspirations that an option misses.
func (md *model) satisfice() error {
	if len(md.p.Aspirations) == 0 {
		return bad("aspirations", "the level that is good enough for each criterion that matters, such as {\"cost\": 100}", "nothing")
	}
	var crit []int
	var level []float64
	for _, name := range slices.Sorted(maps.Keys(md.p.Aspirations)) {
		j := slices.IndexFunc(md.p.Criteria, func(c Criterion) bool { return c.Name == name })
		if j < 0 {
			return bad("aspirations."+name, "the name of one of the criteria", name)
		}
		if err := number("aspirations."+name, md.p.Aspirations[name]); err != nil {
			return err
		}
		crit, level = append(crit, j), append(level, md.p.Aspirations[name])
	}
	rows, x := md.attributes(crit)
	if len(rows) == 0 {
		return md.nobody("options", "at least one option with a value for every aspiration")
	}
	md.res.Dominance = md.dominanceOfAttributes(rows, x, crit)
	sat := &Satisfaction{Satisfied: []string{}, Shortfalls: map[string][]Shortfall{}}
	scores := make([]float64, len(rows))
	for i, row := range rows {
		md.m.Step(1)
		for k, j := range crit {
			by := level[k] - x[i][k]
			if md.p.Criteria[j].Minimize {
				by = -by
			}
			if by > 0 {
				scores[i]--
				key := md.keys[row]
				sat.Shortfalls[key] = append(sat.Shortfalls[key], Shortfall{md.p.Criteria[j].Name, level[k], x[i][k], by})
			}
		}
		if scores[i] == 0 {
			sat.Satisfied = append(sat.Satisfied, md.keys[row])
		}
	}
	if len(sat.Satisfied) > 0 {
		sat.First = sat.Satisfied[0]
	}
	slices.Sort(sat.Satisfied)
	md.res.Satisfaction = sat
	md.res.Score = "aspirations missed, with the sign changed: 0 meets all of them"
	md.res.Reversals = &Reversals{WinnerChanges: []Reversal{}, Note: independent}
	md.decide(rows, scores, 0)
	if len(sat.Satisfied) == 0 {
		md.withhold(fmt.Sprintf("no option meets all %d aspirations; the nearest miss %v", len(crit), -md.res.Ranking[0].Score))
	}
	return nil
}

// pareto ranks by layers of dominance, on the criteria or, without criteria, on
// the payoffs.
func (md *model) pareto() error {
	var rows []int
	if len(md.p.Criteria) > 0 {
		var x [][]float64
		if rows, x = md.attributes(md.active); len(rows) > 0 {
			md.res.Dominance = md.dominanceOfAttributes(rows, x, md.active)
		}
	} else {
		if err := md.needs(false, false); err != nil {
			return err
		}
		var list []prospect
		if rows, list = md.prospects(md.payoff == nil); len(rows) > 0 {
			md.dominanceOfProspects(rows, list)
		}
	}
	if len(rows) == 0 {
		return md.nobody("options", "at least one option with all its values")
	}
	if md.res.Dominance == nil {
		return md.unfinished()
	}
	layer := map[string]float64{}
	for k, front := range md.res.Dominance.Fronts {
		for _, key := range front {
			layer[key] = float64(k)
		}
	}
	scores := make([]float64, len(rows))
	for i, row := range rows {
		scores[i] = 0 - layer[md.keys[row]]
	}
	md.res.Fronts = md.res.Dominance.Fronts
	md.res.Score = "layers of better options, with the sign changed: 0 is the Pareto set"
	md.res.Reversals = &Reversals{WinnerChanges: []Reversal{}, Note: "dropping a dominated option never changes the Pareto set"}
	md.decide(rows, scores, 0)
	return nil
}
