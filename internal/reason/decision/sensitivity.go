package decision

import (
	"math"
	"slices"
)

// Flip tells how far the weight of one criterion, or the probability of one
// state, may move before another option wins. The others keep their proportions
// among themselves.
type Flip struct {
	Name   string     `json:"name"`            // of the criterion or state
	Weight float64    `json:"weight"`          // now, of a total of 1
	Below  *FlipPoint `json:"below,omitempty"` // nearest smaller weight at which the winner changes
	Above  *FlipPoint `json:"above,omitempty"` // nearest larger one
	Stable bool       `json:"stable"`          // the winner is the same for every weight from 0 to 1
}

// FlipPoint is a weight beyond which other options lead.
type FlipPoint struct {
	Weight float64  `json:"weight"`
	To     []string `json:"to"`
}

// Shift is what happens when one weight changes by ±20 % and all are divided by
// their sum again.
type Shift struct {
	Name    string   `json:"name"`
	Less    []string `json:"minus20"` // the winners
	More    []string `json:"plus20"`
	Changes bool     `json:"changes"`
}

// Sensitivity says what the recommendation owes to the weights.
type Sensitivity struct {
	Of         string      `json:"of"`               // criteria weights or state probabilities
	Method     string      `json:"method,omitempty"` // how the flip weights were found
	Flips      []Flip      `json:"flips,omitempty"`
	Unassessed string      `json:"notAssessable,omitempty"` // why there are no flips
	OneWay     []Shift     `json:"oneWay,omitempty"`
	MonteCarlo *MonteCarlo `json:"monteCarlo,omitempty"`
}

// scanSteps divides the range from a weight to 0 and to 1 where scores are not
// linear in the weights.
const scanSteps = 64

// moved writes to out w with weight t at j and the others in proportion.
func moved(w []float64, j int, t float64, out []float64) {
	rest := without(w, j)
	for k := range w {
		out[k] = (1 - t) * (w[k] / rest)
	}
	out[j] = t
}

// without sums w except at j: not 1−w[j], which loses small weights.
func without(w []float64, j int) float64 {
	total := 0.0
	for k, x := range w {
		if k != j {
			total += x
		}
	}
	return total
}

// flips finds the flip weights of every dimension. A step is one option scored
// once.
func (md *model) flips(b *board) (list []Flip, why string) {
	scores := b.scores(b.w)
	winners := best(scores, b.scorer.tolerance(b.w))
	switch {
	case len(b.rows) < 2:
		return nil, "only one option can be assessed"
	case len(b.dims) < 2:
		return nil, "with a single weight there is nothing to shift"
	case !alike(b, winners):
		return nil, "several options lead with equal scores: any shift of weight can separate them"
	}
	challengers := make([]int, 0, len(b.rows))
	for i := range b.rows {
		if !slices.Contains(winners, i) {
			challengers = append(challengers, i)
		}
	}
	for j, dim := range b.dims {
		var below, above *FlipPoint
		if l, ok := b.scorer.(linear); ok {
			if !md.m.Step(int64(len(b.rows))) {
				return list, ""
			}
			below, above = md.crossings(b, l.v, winners[0], challengers, j)
		} else {
			below = md.scan(b, winners[0], challengers, j, 0)
			above = md.scan(b, winners[0], challengers, j, 1)
			if !md.m.Step(0) {
				return list, ""
			}
		}
		list = append(list, Flip{Name: dim, Weight: b.w[j], Below: below, Above: above, Stable: below == nil && above == nil})
	}
	return list, ""
}

// alike reports whether the winners are one option or copies of each other, so
// that weights cannot separate them.
func alike(b *board, winners []int) bool {
	first := winners[0]
	var v [][]float64
	switch s := b.scorer.(type) {
	case linear:
		v = s.v
	case closeness:
		v = s.v
	}
	for _, i := range winners[1:] {
		if !slices.Equal(v[i], v[first]) {
			return false
		}
	}
	return true
}

// crossings solves exactly: with weight t at j an option scores
// t·vⱼ + (1−t)·r, where r is its score on the other dimensions alone.
func (md *model) crossings(b *board, v [][]float64, winner int, challengers []int, j int) (below, above *FlipPoint) {
	rest := without(b.w, j)
	others := func(i int) float64 {
		total := 0.0
		for k, x := range v[i] {
			if k != j {
				total += b.w[k] / rest * x
			}
		}
		return total
	}
	own := others(winner)
	for _, i := range challengers {
		theirs := others(i)
		lead := own - theirs            // at t = 0
		ahead := v[winner][j] - v[i][j] // at t = 1
		if math.Abs(lead) <= slack*max(math.Abs(own), math.Abs(theirs)) {
			lead = 0
		}
		if (lead >= 0) == (ahead >= 0) { // the winner leads all the way, if at one end only by a tie
			continue
		}
		t := lead / (lead - ahead)
		key := md.keys[b.rows[i]]
		switch {
		case t > 0 && t <= b.w[j] && lead < 0:
			below = nearer(below, t, key, b.w[j])
		case t < 1 && t >= b.w[j] && ahead < 0:
			above = nearer(above, t, key, b.w[j])
		}
	}
	return below, above
}

// nearer keeps the crossing nearest to the present weight, with all options that
// cross there.
func nearer(p *FlipPoint, t float64, key string, now float64) *FlipPoint {
	switch {
	case p == nil || math.Abs(t-now) < math.Abs(p.Weight-now)-slack:
		return &FlipPoint{Weight: t, To: []string{key}}
	case math.Abs(t-p.Weight) <= slack:
		p.To = append(p.To, key)
		slices.Sort(p.To)
	}
	return p
}

// scan looks for the first weight on the way to end at which a challenger leads,
// in steps of 1/64 of the way, and halves the step it happened in 48 times. A
// lead that comes and goes within one step is not seen.
func (md *model) scan(b *board, winner int, challengers []int, j int, end float64) *FlipPoint {
	w := make([]float64, len(b.w))
	out := make([]float64, len(b.rows))
	leaders := func(t float64) []int {
		moved(b.w, j, t, w)
		b.scorer.score(w, out)
		tol := b.scorer.tolerance(w)
		var lead []int
		top := out[winner] + tol
		for _, i := range challengers {
			if out[i] > top {
				top, lead = out[i], []int{i}
			}
		}
		return lead
	}
	last := b.w[j]
	for k := 1; k <= scanSteps; k++ {
		if !md.m.Step(int64(len(b.rows))) {
			return nil
		}
		t := b.w[j] + (end-b.w[j])*float64(k)/scanSteps
		if leaders(t) == nil {
			last = t
			continue
		}
		for range 48 {
			if !md.m.Step(int64(len(b.rows))) {
				return nil
			}
			if mid := (last + t) / 2; leaders(mid) == nil {
				last = mid
			} else {
				t = mid
			}
		}
		return &FlipPoint{Weight: t, To: md.named(b.rows, leaders(t))}
	}
	return nil
}

// shifts recomputes the winners with each weight 20 % smaller and larger.
func (md *model) shifts(b *board) []Shift {
	if len(b.rows) < 2 || len(b.dims) < 2 {
		return nil
	}
	now := best(b.scores(b.w), b.scorer.tolerance(b.w))
	winners := func(j int, factor float64) []int {
		w := slices.Clone(b.w)
		w[j] *= factor
		total := 0.0
		for _, x := range w {
			total += x
		}
		for k := range w {
			w[k] /= total
		}
		return best(b.scores(w), b.scorer.tolerance(w))
	}
	var list []Shift
	for j, dim := range b.dims {
		if !md.m.Step(2 * int64(len(b.rows))) {
			break
		}
		less, more := winners(j, 0.8), winners(j, 1.2)
		list = append(list, Shift{
			Name: dim, Less: md.named(b.rows, less), More: md.named(b.rows, more),
			Changes: !slices.Equal(less, now) || !slices.Equal(more, now),
		})
	}
	return list
}
