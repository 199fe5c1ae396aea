package tot

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// step continues one run, or one level. It reports false when a limit was met:
// what was open before is then still open.
func (s *solver) step() (bool, error) {
	used, _ := s.meter.Used()
	ok, err := s.work()
	if err == nil && s.Result.Done == NotDone && ok {
		s.conclude()
	}
	now, _ := s.meter.Used()
	s.Steps += now - used
	return ok, err
}

func (s *solver) work() (bool, error) {
	if s.o.Strategy == BreadthFirst {
		return s.level()
	}
	var at int
	if s.ordered() {
		at = s.Open[0]
	} else {
		at = s.Open[len(s.Open)-1]
	}
	found, ok, err := s.expand([]int{at})
	if err != nil || !ok {
		return false, err
	}
	if s.ordered() {
		heap.Pop((*queue)(s))
	} else {
		s.Open = s.Open[:len(s.Open)-1]
	}
	good, err := s.sift(found)
	if err != nil {
		return false, err
	}
	if s.o.Strategy == DepthFirst {
		slices.SortStableFunc(good, func(a, b node) int { return cmp.Compare(a.rank, b.rank) }) // best on top
		ties(good)
		if len(good) == 0 {
			s.Result.Backtracks++
		}
	}
	for _, n := range good {
		i, ok := s.keep(n)
		if !ok {
			s.Result.Exhaustive = false
			return false, nil
		}
		if s.ordered() {
			heap.Push((*queue)(s), i)
		} else {
			s.Open = append(s.Open, i)
		}
	}
	s.nodes[at].state = nil
	return true, nil
}

// ties reverses runs of equal rank, so that of those the first comes off the
// stack first.
func ties(sorted []node) {
	for i := 0; i < len(sorted); {
		j := i + 1
		for j < len(sorted) && sorted[j].rank == sorted[i].rank {
			j++
		}
		slices.Reverse(sorted[i:j])
		i = j
	}
}

// level continues all open runs and keeps the b best.
func (s *solver) level() (bool, error) {
	const chunk = 64
	var found []node
	for at := 0; at < len(s.Open); at += chunk {
		more, ok, err := s.expand(s.Open[at:min(at+chunk, len(s.Open))])
		if err != nil || !ok {
			return false, err
		}
		found = append(found, more...)
	}
	last := s.Open
	good, err := s.sift(found)
	if err != nil {
		return false, err
	}
	slices.SortStableFunc(good, func(a, b node) int { return cmp.Compare(b.rank, a.rank) })
	if cut := len(good) - s.o.Breadth; cut > 0 {
		good = good[:s.o.Breadth]
		s.Result.Pruned += int64(cut)
		s.Result.Exhaustive = false
	}
	var open []int
	for _, n := range good {
		i, ok := s.keep(n)
		if !ok {
			s.Open, s.Result.Exhaustive = open, false
			return false, nil
		}
		open = append(open, i)
	}
	for _, at := range last {
		s.nodes[at].state = nil
	}
	s.Open = open
	return true, nil
}

// expand makes every legal move from some nodes, side by side, and counts the
// steps in their order.
func (s *solver) expand(at []int) ([]node, bool, error) {
	found := make([][]node, len(at))
	steps := make([]int64, len(at))
	errs := make([]error, len(at))
	whole := make([]bool, len(at))
	spread := s.o.Spread
	if spread == nil || len(at) == 1 {
		spread = s.meter.Inline()
	}
	stopped := spread(len(at), func(m *budget.Meter, i int) {
		found[i], whole[i], errs[i] = s.moves(m, at[i])
		steps[i], _ = m.Used()
	})
	var out []node
	for i := range at {
		if errs[i] != nil {
			return nil, false, errs[i]
		}
		if !whole[i] {
			s.meter.Pause() // it sees what the other meter saw
			s.Result.Exhaustive = false
			return nil, false, stopped
		}
		if !s.meter.Step(steps[i]) {
			s.Result.Exhaustive = false
			return nil, false, nil
		}
		out = append(out, found[i]...)
	}
	if stopped == nil {
		s.Result.Expanded += int64(len(at))
		s.Result.Generated += int64(len(out))
	}
	return out, stopped == nil, stopped
}

func (s *solver) moves(m *budget.Meter, at int) ([]node, bool, error) {
	acts, err := s.m.Actions(s.nodes[at].state, nil)
	if err != nil {
		return nil, false, err
	}
	out := make([]node, 0, len(acts))
	for _, a := range acts {
		if !m.Step(max(1, s.t.Weight)) {
			return nil, false, nil
		}
		n, err := s.follow(at, a)
		if err != nil {
			return nil, false, err
		}
		out = append(out, n)
	}
	return out, true, nil
}

// sift takes the solutions out of the new runs, and what is pruned or the same
// as a run that was at least as good. What is left may be continued.
func (s *solver) sift(found []node) ([]node, error) {
	good := found[:0]
	first := map[string]int{} // of BreadthFirst, whose level merges to the best
	for _, n := range found {
		if n.finished {
			ok, err := s.solves(&n)
			if err != nil {
				return nil, err
			}
			if ok {
				s.solution(n)
			}
			continue
		}
		if limit := s.o.Threshold; limit != nil && n.rank <= *limit || n.depth >= s.o.Depth {
			s.Result.Pruned++
			s.Result.Exhaustive = false
			continue
		}
		key := s.key(&n)
		if s.o.Strategy == BreadthFirst {
			if i, twice := first[key]; twice {
				s.Result.Merged++
				if n.earn > good[i].earn {
					good[i] = n
				}
				continue
			}
			first[key] = len(good)
			good = append(good, n)
			continue
		}
		if old, known := s.seen[key]; known && !s.better(n.earn, old) {
			s.Result.Merged++
			continue
		}
		s.seen[key] = n.earn
		good = append(good, n)
	}
	return good, nil
}

// keep adds a run to those kept; false if there is no room.
func (s *solver) keep(n node) (int, bool) {
	if !s.meter.Grow(1) {
		return 0, false
	}
	s.Moves = append(s.Moves, [2]int{n.before, n.action})
	s.nodes = append(s.nodes, n)
	return len(s.nodes) - 1, true
}

// solution keeps a solution if it is among the best.
func (s *solver) solution(n node) {
	if k := len(s.Solved); k == s.o.Solutions && !s.better(n.earn, s.nodes[s.Solved[k-1]].earn) {
		return
	}
	i, ok := s.keep(n)
	if !ok {
		return
	}
	s.Solved = append(s.Solved, i)
	slices.SortStableFunc(s.Solved, func(a, b int) int {
		switch p, q := s.nodes[a].earn, s.nodes[b].earn; {
		case s.better(p, q):
			return -1
		case s.better(q, p):
			return 1
		}
		return 0
	})
	s.Solved = s.Solved[:min(len(s.Solved), s.o.Solutions)]
}

func (s *solver) conclude() {
	enough := len(s.Solved) >= s.o.Solutions
	switch {
	case s.o.Strategy == AStar && enough && (len(s.Open) == 0 || s.nodes[s.Open[0]].rank >= s.nodes[s.Solved[len(s.Solved)-1]].earn):
		s.Result.Done = Optimal
	case len(s.Open) == 0:
		s.Result.Done = Exhausted
		if len(s.Solved) > 0 {
			s.Result.Done = Solved
		}
	case s.o.Strategy == AStar:
	case enough && (s.o.Strategy != BreadthFirst || s.o.Target != nil):
		s.Result.Done = Solved
	}
}

func (s *solver) result() *Result {
	r := s.Result
	r.Exhaustive = r.Exhaustive && len(s.Open) == 0 && r.Done != NotDone
	r.Optimal = len(s.Solved) > 0 && (r.Done == Optimal || r.Exhaustive)
	r.Solutions = []Run{}
	for _, at := range s.Solved {
		r.Solutions = append(r.Solutions, s.run(at))
	}
	switch {
	case len(r.Solutions) > 0:
		r.Best = &r.Solutions[0]
	case len(s.Open) > 0:
		best := s.Open[0]
		for _, at := range s.Open {
			if s.compare(at, best) < 0 {
				best = at
			}
		}
		if best > 0 {
			r.Best = new(s.run(best))
		}
	}
	return &r
}

func (s *solver) run(at int) Run {
	n := &s.nodes[at]
	out := Run{Actions: []string{}, Value: n.rank, Finished: n.finished}
	for ; at > 0; at = s.nodes[at].before {
		out.Actions = append(out.Actions, s.m.Label(s.nodes[at].action))
	}
	slices.Reverse(out.Actions)
	return out
}

func (s *solver) progress() Progress {
	p := Progress{Expanded: s.Result.Expanded, Open: len(s.Open), Solutions: len(s.Solved)}
	if len(s.Solved) > 0 {
		p.Best = new(s.nodes[s.Solved[0]].earn)
	}
	return p
}

// state returns what to keep. A move takes at most 24 bytes of JSON.
func (s *solver) state() (any, error) {
	if 24*len(s.Moves)+10*len(s.Open)+4096 > budget.MaxState {
		return nil, budget.ErrTooLarge
	}
	return s.kept, nil
}
