package decision

import (
	"cmp"
	"slices"
)

// Reversals tells whether options that do not win decide who does: each of them
// is dropped in turn and the rest are ranked anew (Belton & Gear 1983).
type Reversals struct {
	Checked       int        `json:"checked"`       // options dropped in turn
	WinnerChanges []Reversal `json:"winnerChanges"` // drops that change the winner
	OrderChanges  int        `json:"orderChanges"`  // drops that swap any two of the rest
	Note          string     `json:"note,omitempty"`
}

// Reversal is one such drop.
type Reversal struct {
	Dropped string   `json:"dropped"`
	Before  []string `json:"before"`
	After   []string `json:"after"`
}

// independent methods score each option without looking at the others.
const independent = "this method scores each option by itself, so dropping another cannot change the order"

// reversals drops every option that does not win and ranks the rest with rescore,
// which gets the positions to keep and returns their scores and tolerance. A
// step is one option scored once.
func (md *model) reversals(rows []int, scores []float64, tol float64, rescore func(keep []int) ([]float64, float64, error)) (*Reversals, error) {
	r := &Reversals{WinnerChanges: []Reversal{}}
	place := ranks(scores, tol)
	winners := best(scores, tol)
	if len(rows) < 3 {
		r.Note = "fewer than three options: nothing can reverse"
		return r, nil
	}
	keep := make([]int, 0, len(rows))
	for drop := range rows {
		if slices.Contains(winners, drop) {
			continue
		}
		if !md.m.Step(int64(len(rows))) {
			return r, nil
		}
		keep = keep[:0]
		for i := range rows {
			if i != drop {
				keep = append(keep, i)
			}
		}
		again, tol, err := rescore(keep)
		if err != nil {
			return nil, err
		}
		r.Checked++
		after := md.named(pick(rows, keep), best(again, tol))
		if before := md.named(rows, winners); !slices.Equal(before, after) {
			r.WinnerChanges = append(r.WinnerChanges, Reversal{Dropped: md.keys[rows[drop]], Before: before, After: after})
		}
		if swapped(pick(place, keep), ranks(again, tol)) {
			r.OrderChanges++
		}
	}
	slices.SortFunc(r.WinnerChanges, func(a, b Reversal) int { return cmp.Compare(a.Dropped, b.Dropped) })
	return r, nil
}

// swapped reports whether some pair stands strictly one way before and strictly
// the other way after.
func swapped(before, after []int) bool {
	order := make([]int, len(before))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(before[a], before[b]) })
	worst := 0 // place after, among those strictly better before
	for lo := 0; lo < len(order); {
		hi := lo
		for hi < len(order) && before[order[hi]] == before[order[lo]] {
			hi++
		}
		group := order[lo:hi]
		for _, i := range group {
			if after[i] < worst {
				return true
			}
		}
		for _, i := range group {
			worst = max(worst, after[i])
		}
		lo = hi
	}
	return false
}
