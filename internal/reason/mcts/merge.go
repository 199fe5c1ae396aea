package mcts

import (
	"math"
	"slices"
)

// place is a position in one of the trees of a search.
type place struct {
	tree *grower
	at   int32
}

// level is the same position in all trees that have it, with the statistics of
// its moves added up in the order of the trees.
type level struct {
	places []place
	player int
	moves  []ActionStat // by action index; those never tried have no visits
}

func (s *search) roots() []place {
	places := make([]place, len(s.trees))
	for i, g := range s.trees {
		places[i] = place{g, 0}
	}
	return places
}

// merge adds up the moves of a position. It returns nil if no tree knows any.
func (s *search) merge(places []place) *level {
	l := &level{places: places}
	slot := map[int32]int{}
	var samples []sample
	for _, p := range places {
		at := p.tree.position(p.at)
		if at.status != expanded {
			continue
		}
		l.player = 1
		if at.sign < 0 {
			l.player = 2
		}
		for e := at.first; e < at.first+at.count; e++ {
			m := p.tree.move(e)
			i, ok := slot[m.action]
			if !ok {
				i = len(l.moves)
				slot[m.action] = i
				l.moves = append(l.moves, ActionStat{index: int(m.action), limit: bounds{math.Inf(-1), math.Inf(1)}})
				samples = append(samples, sample{})
			}
			l.moves[i].Visits += int64(m.visits)
			if m.visits > 0 {
				samples[i].add(sample{float64(m.visits), p.tree.score(e).mean, m.m2})
			}
			if p.tree.proofs != nil {
				b, limit := *p.tree.proof(e), &l.moves[i].limit
				limit.low, limit.high = max(limit.low, b.low), min(limit.high, b.high)
			}
		}
	}
	if len(l.moves) == 0 {
		return nil
	}
	s.finish(l, samples)
	return l
}

// finish derives values and intervals and puts the moves in the order of their
// actions.
func (s *search) finish(l *level, samples []sample) {
	var total int64
	for _, m := range l.moves {
		total += m.Visits
	}
	for i := range l.moves {
		m := &l.moves[i]
		m.Action = s.model.Label(m.index)
		m.Share = float64(m.Visits) / float64(max(total, 1))
		m.mean = samples[i].mean
		m.Proven = m.limit.exact()
		switch {
		case m.Proven:
			m.mean = m.limit.low
		case samples[i].n == 0:
			continue
		default:
			m.Interval = s.interval(l.player, samples[i])
		}
		if m.mean == 0 {
			m.mean = 0 // never -0
		}
		m.Value = new(m.mean)
	}
	slices.SortFunc(l.moves, func(a, b ActionStat) int { return a.index - b.index })
}

func (s *search) interval(player int, x sample) *Interval {
	switch {
	case !s.traits.Bounded:
		return x.normal()
	case player == 2:
		return x.hoeffding(-s.traits.High, -s.traits.Low)
	}
	return x.hoeffding(s.traits.Low, s.traits.High)
}

// best returns the answer, nil if nothing was tried. Of the moves that are not
// proven to be at most as good as another, the criterion picks one; it has to be
// better than what is proven.
func (l *level) best(c Criterion) *ActionStat {
	if l == nil {
		return nil
	}
	least := math.Inf(-1)
	for _, m := range l.moves {
		least = max(least, m.limit.low)
	}
	var sure, open *ActionStat
	for i := range l.moves {
		m := &l.moves[i]
		switch {
		case m.Value == nil:
		case m.limit.high > least:
			if open == nil || m.better(open, c) {
				open = m
			}
		case m.Proven && m.mean == least && sure == nil:
			sure = m
		}
	}
	switch {
	case open == nil:
		return sure
	case sure == nil || c == ByLCB && open.rank(c) > least || c != ByLCB && open.mean > least:
		return open
	}
	return sure
}

// better reports whether m goes before o; the earlier action wins a tie.
func (m *ActionStat) better(o *ActionStat, c Criterion) bool {
	a, b := m.rank(c), o.rank(c)
	if a != b {
		return a > b
	}
	return m.mean > o.mean
}

func (m *ActionStat) rank(c Criterion) float64 {
	switch {
	case c == ByVisits:
		return float64(m.Visits)
	case c == ByValue:
		return m.mean
	case m.Interval == nil: // of one value nothing can be said
		return math.Inf(-1)
	}
	return m.Interval.Low
}

func (s *search) result() *Result {
	r := &Result{Player: s.player, Simulations: s.done(), Trees: len(s.trees), Actions: []ActionStat{}, Variation: []Step{}}
	for _, g := range s.trees {
		r.Nodes += g.nodes()
		r.Depth = max(r.Depth, g.depth)
		r.Solved = r.Solved || g.solved
	}
	l := s.merge(s.roots())
	if l == nil {
		return r
	}
	r.Actions, r.Entropy = l.moves, l.entropy()
	if best := l.best(s.o.Criterion); best != nil {
		r.Best, r.Value = best.Action, best.Value
		r.Variation = s.variation(l, longest)
	}
	r.Run = s.bestRun(l, r)
	return r
}

// bestRun returns the best run that any tree kept. When all is proven, that is
// the variation: the run of the proven value may have been put together from
// parts of several.
func (s *search) bestRun(l *level, r *Result) *Run {
	if r.Solved && s.trees[0].records {
		run := &Run{Value: *r.Value, Actions: []string{}}
		for _, step := range s.variation(l, s.traits.Horizon) {
			run.Actions = append(run.Actions, step.Action)
		}
		return run
	}
	var best *grower
	for _, g := range s.trees {
		if g.run != nil && (best == nil || g.record > best.record) {
			best = g
		}
	}
	if best == nil {
		return nil
	}
	run := &Run{Value: best.record + 0, Actions: make([]string, len(best.run))}
	for i, a := range best.run {
		run.Actions[i] = s.model.Label(int(a))
	}
	return run
}

// entropy is how undecided the visits are, as that of a Tree.
func (l *level) entropy() *float64 {
	visits := make([]int64, len(l.moves))
	for i, m := range l.moves {
		visits[i] = m.Visits
	}
	return entropy(visits)
}

// longest bounds the principal variation.
const longest = 64

// variation follows the best move from a position on for as long as the trees
// know it.
func (s *search) variation(l *level, most int) []Step {
	var steps []Step
	for len(steps) < most && l != nil {
		best := l.best(s.o.Criterion)
		if best == nil {
			break
		}
		steps = append(steps, Step{best.Action, l.player, best.Visits, best.mean})
		l = s.merge(follow(l.places, int32(best.index)))
	}
	return steps
}

// follow returns where an action leads in each tree, by the outcome that was
// most frequent over all of them.
func follow(places []place, action int32) []place {
	seen := map[int32]int64{}
	var after []place
	for _, p := range places {
		at := p.tree.position(p.at)
		for e := at.first; e < at.first+at.count; e++ {
			if p.tree.move(e).action != action {
				continue
			}
			for q := p.tree.move(e).next; q != 0; q = p.tree.position(q).sibling {
				seen[p.tree.position(q).outcome] += int64(p.tree.position(q).seen)
				after = append(after, place{p.tree, q})
			}
		}
	}
	most, outcome := int64(-1), int32(0)
	for o, n := range seen {
		if n > most || n == most && o < outcome {
			most, outcome = n, o
		}
	}
	return slices.DeleteFunc(after, func(p place) bool { return p.tree.position(p.at).outcome != outcome })
}
