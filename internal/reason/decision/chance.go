package decision

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// sumSlack is how far probabilities may be from summing to 1.
const sumSlack = 1e-9

func checkSum(field string, total float64) error {
	if math.Abs(total-1) > sumSlack {
		return bad(field, "probabilities that sum to 1 (within 1e-9)", fmt.Sprintf("a sum of %.12g", total))
	}
	return nil
}

func checkProbability(field string, p float64) error {
	if !(p >= 0 && p <= 1) {
		return bad(field, "a probability from 0 to 1", p)
	}
	return nil
}

func (md *model) checkOutcomes() error {
	if len(md.p.Outcomes) == 0 {
		return nil
	}
	md.lottery = make([][]int, len(md.options))
	for k, o := range md.p.Outcomes {
		field := fmt.Sprintf("possibleOutcomes[%d]", k)
		i, err := md.option(field+".option", o.Option)
		if err != nil {
			return err
		}
		if err := number(field+".value", o.Value); err != nil {
			return err
		}
		if o.Probability != nil {
			if err := checkProbability(field+".probability", *o.Probability); err != nil {
				return err
			}
		}
		md.lottery[i] = append(md.lottery[i], k)
	}
	for i, list := range md.lottery {
		if err := md.checkLottery(i, list); err != nil {
			return err
		}
	}
	return nil
}

func (md *model) checkLottery(i int, list []int) error {
	if len(list) > MaxStates {
		return bad("possibleOutcomes", fmt.Sprintf("at most %d outcomes for one option", MaxStates), fmt.Sprintf("%d for %s", len(list), md.keys[i]))
	}
	total, known := 0.0, 0
	for _, k := range list {
		if q := md.p.Outcomes[k].Probability; q != nil {
			total += *q
			known++
		}
	}
	switch known {
	case 0:
		return nil
	case len(list):
		return checkSum("possibleOutcomes (option "+md.keys[i]+")", total)
	}
	return bad("possibleOutcomes (option "+md.keys[i]+")", "a probability for each of its outcomes or for none",
		fmt.Sprintf("%d of %d", known, len(list)))
}

func (md *model) checkPayoffs() error {
	if len(md.p.Payoffs) == 0 {
		return nil
	}
	if len(md.p.Outcomes) > 0 {
		return bad("payoffs", "either payoffs per state or possibleOutcomes per option, not both (send an empty one to drop it)", "both")
	}
	if err := md.checkStates(); err != nil {
		return err
	}
	md.payoff = make([][]float64, len(md.options))
	for _, name := range slices.Sorted(maps.Keys(md.p.Payoffs)) {
		i, err := md.option("payoffs."+name, name)
		if err != nil {
			return err
		}
		if md.payoff[i] != nil {
			return bad("payoffs."+name, "one row for each option", "a second row for "+md.keys[i])
		}
		row := make([]float64, len(md.states))
		for s, state := range md.states {
			x, has := md.p.Payoffs[name][state]
			if !has {
				row[s] = math.NaN()
			} else if err := number("payoffs."+name+"."+state, x); err != nil {
				return err
			} else {
				row[s] = x
			}
		}
		md.payoff[i] = row
	}
	return md.checkProbabilities()
}

// checkStates settles the order of the states and that payoffs name no other.
func (md *model) checkStates() error {
	found := map[string]bool{}
	for _, row := range md.p.Payoffs {
		for state := range row {
			found[state] = true
		}
	}
	md.states = slices.Clone(md.p.States)
	if len(md.states) == 0 {
		md.states = slices.Sorted(maps.Keys(found))
	}
	if len(md.states) == 0 || len(md.states) > MaxStates {
		return bad("payoffs", fmt.Sprintf("payoffs in 1 to %d states", MaxStates), fmt.Sprintf("%d states", len(md.states)))
	}
	seen := map[string]bool{}
	for k, state := range md.states {
		if state == "" || seen[state] {
			return bad(fmt.Sprintf("states[%d]", k), "a name that no other state has", fmt.Sprintf("%q", state))
		}
		seen[state] = true
	}
	for _, state := range slices.Sorted(maps.Keys(found)) {
		if !seen[state] {
			return bad("payoffs", "only the states "+strings.Join(md.states, ", "), state)
		}
	}
	return nil
}

// checkProbabilities reads the chances of the states and drops the states that
// cannot occur.
func (md *model) checkProbabilities() error {
	if len(md.p.Probabilities) == 0 {
		return nil
	}
	total := 0.0
	for _, state := range slices.Sorted(maps.Keys(md.p.Probabilities)) {
		q := md.p.Probabilities[state]
		if !slices.Contains(md.states, state) {
			return bad("probabilities."+state, "one of the states "+strings.Join(md.states, ", "), state)
		}
		if err := checkProbability("probabilities."+state, q); err != nil {
			return err
		}
		total += q
	}
	for _, state := range md.states {
		if _, has := md.p.Probabilities[state]; !has {
			return bad("probabilities."+state, "a probability for every state", "nothing")
		}
	}
	if err := checkSum("probabilities", total); err != nil {
		return err
	}
	var keep []int
	for s, state := range md.states {
		if q := md.p.Probabilities[state]; q > 0 {
			keep = append(keep, s)
			md.chance = append(md.chance, q/total) // exact, where thirds were rounded
		} else {
			md.note("impossible_state", "state %s has probability 0 and was left out", state)
		}
	}
	md.states = pick(md.states, keep)
	for i, row := range md.payoff {
		if row != nil {
			md.payoff[i] = pick(row, keep)
		}
	}
	return nil
}

// pick returns the items of list at positions at.
func pick[T any](list []T, at []int) []T {
	out := make([]T, len(at))
	for k, i := range at {
		out[k] = list[i]
	}
	return out
}

// prospect is what choosing an option may bring. chance is nil when unknown.
type prospect struct {
	values []float64
	chance []float64
}

// prospects returns the options whose outcomes are known, with their
// probabilities where needed; the others become gaps.
func (md *model) prospects(needChance bool) (rows []int, list []prospect) {
	for i := range md.options {
		if md.out[i] {
			continue
		}
		pr, missing := md.prospect(i)
		if missing == nil && needChance && pr.chance == nil {
			missing = []string{"probabilities"}
		}
		if missing != nil {
			md.res.NotAssessable = append(md.res.NotAssessable, Gap{md.keys[i], missing})
			continue
		}
		rows, list = append(rows, i), append(list, pr)
	}
	return rows, list
}

func (md *model) prospect(i int) (prospect, []string) {
	if md.payoff != nil {
		if md.payoff[i] == nil {
			return prospect{}, []string{"payoffs"}
		}
		var missing []string
		for s, x := range md.payoff[i] {
			if math.IsNaN(x) {
				missing = append(missing, "payoff in "+md.states[s])
			}
		}
		return prospect{md.payoff[i], md.chance}, missing
	}
	if md.lottery == nil || len(md.lottery[i]) == 0 {
		return prospect{}, []string{"outcomes"}
	}
	var pr prospect
	total := 0.0
	for _, k := range md.lottery[i] {
		o := md.p.Outcomes[k]
		switch {
		case o.Probability == nil:
			pr.values = append(pr.values, o.Value)
		case *o.Probability > 0: // what cannot happen is no worst case either
			pr.values = append(pr.values, o.Value)
			pr.chance = append(pr.chance, *o.Probability)
			total += *o.Probability
		}
	}
	for k := range pr.chance {
		pr.chance[k] /= total
	}
	return pr, nil
}

// mean returns the expected value of a prospect.
func (pr prospect) mean() float64 {
	total := 0.0
	for k, x := range pr.values {
		total += pr.chance[k] * x
	}
	return total
}

// deviation returns the standard deviation around mean.
func (pr prospect) deviation(mean float64) float64 {
	total := 0.0
	for k, x := range pr.values {
		total += pr.chance[k] * (x - mean) * (x - mean)
	}
	return math.Sqrt(total)
}
