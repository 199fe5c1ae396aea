package got

import "slices"

// Components returns the sets of thoughts that edges of any relation connect,
// largest first, then by their lowest thought.
func (g *Graph) Components() [][]int {
	to := make([]int, len(g.Thoughts))
	for i := range to {
		to[i] = i
	}
	root := func(i int) int {
		for to[i] != i {
			to[i] = to[to[i]]
			i = to[i]
		}
		return i
	}
	for _, e := range g.Edges {
		a, b := root(e.From), root(e.To)
		to[max(a, b)] = min(a, b)
	}
	index := map[int]int{}
	out := [][]int{}
	for i := range to {
		r := root(i)
		k, known := index[r]
		if !known {
			k = len(out)
			index[r] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], i)
	}
	slices.SortStableFunc(out, func(a, b []int) int { return len(b) - len(a) })
	return out
}

// Circles returns the sets of more than one thought in which each is supported
// by each other along supports, derives and leads-to edges: circular reasoning.
// They are the strongly connected components (Tarjan, 1972), by lowest thought.
func (g *Graph) Circles() [][]int {
	s := scc{out: g.lists(backs, false), edges: g.Edges, index: make([]int, len(g.Thoughts)), low: make([]int, len(g.Thoughts)), on: make([]bool, len(g.Thoughts))}
	for i := range g.Thoughts {
		if s.index[i] == 0 {
			s.visit(i)
		}
	}
	slices.SortFunc(s.found, func(a, b []int) int { return a[0] - b[0] })
	return s.found
}

type scc struct {
	out        [][]int
	edges      []Edge
	index, low []int // index from 1
	on         []bool
	stack      []int
	next       int
	found      [][]int
}

// visit walks from root without recursion: a chain may be long.
func (s *scc) visit(root int) {
	type frame struct{ at, edge int }
	enter := func(at int) frame {
		s.next++
		s.index[at], s.low[at], s.on[at] = s.next, s.next, true
		s.stack = append(s.stack, at)
		return frame{at: at}
	}
	path := []frame{enter(root)}
	for len(path) > 0 {
		f := &path[len(path)-1]
		if f.edge < len(s.out[f.at]) {
			to := s.edges[s.out[f.at][f.edge]].To
			f.edge++
			if s.index[to] == 0 {
				path = append(path, enter(to))
			} else if s.on[to] {
				s.low[f.at] = min(s.low[f.at], s.index[to])
			}
			continue
		}
		at := f.at
		path = path[:len(path)-1]
		if len(path) > 0 {
			up := path[len(path)-1].at
			s.low[up] = min(s.low[up], s.low[at])
		}
		if s.low[at] == s.index[at] {
			k := slices.Index(s.stack, at)
			set := slices.Clone(s.stack[k:])
			s.stack = s.stack[:k]
			for _, i := range set {
				s.on[i] = false
			}
			if slices.Sort(set); len(set) > 1 {
				s.found = append(s.found, set)
			}
		}
	}
}

// Articulation returns the thoughts without which a component falls apart, by
// edges of any relation (Hopcroft and Tarjan, 1973), ascending.
func (g *Graph) Articulation() []int {
	n := len(g.Thoughts)
	near := make([][]int, n)
	for i, e := range g.Edges {
		near[e.From] = append(near[e.From], i)
		near[e.To] = append(near[e.To], i)
	}
	type frame struct{ at, by, edge, children int }
	index, low := make([]int, n), make([]int, n)
	cut := make([]bool, n)
	next := 0
	for root := range n {
		if index[root] != 0 {
			continue
		}
		next++
		index[root], low[root] = next, next
		path := []frame{{at: root, by: -1}}
		for len(path) > 0 {
			f := &path[len(path)-1]
			if f.edge < len(near[f.at]) {
				i := near[f.at][f.edge]
				f.edge++
				to := g.Edges[i].From + g.Edges[i].To - f.at
				switch {
				case to == f.by:
				case index[to] != 0:
					low[f.at] = min(low[f.at], index[to])
				default:
					f.children++
					next++
					index[to], low[to] = next, next
					path = append(path, frame{at: to, by: f.at})
				}
				continue
			}
			done := *f
			path = path[:len(path)-1]
			if len(path) == 0 {
				cut[root] = done.children > 1
				continue
			}
			up := path[len(path)-1].at
			low[up] = min(low[up], low[done.at])
			if up != root && low[done.at] >= index[up] {
				cut[up] = true
			}
		}
	}
	out := []int{}
	for i, c := range cut {
		if c {
			out = append(out, i)
		}
	}
	return out
}
