package debug

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Limits of dependence graphs.
const (
	MaxGraphNodes = 20_000
	MaxGraphEdges = 100_000
)

// Dependences is a program dependence graph: for each node, what it depends on.
type Dependences struct {
	Data    map[string][]string // statement → those whose values it uses
	Control map[string][]string // statement → those that decide whether it runs
}

// Kinds of slices.
const (
	Backward = "backward" // what can have made the criterion what it is
	Forward  = "forward"  // what the criterion can have an effect on
	Chop     = "chop"     // what can carry an effect from the sources to the criterion
)

// Sliced is a node of a slice.
type Sliced struct {
	Node     string `json:"node"`
	Distance int    `json:"distance"`       // dependences to the criterion, at least
	Via      string `json:"via,omitempty"`  // the next node on a shortest way to the criterion
	Kind     string `json:"kind,omitempty"` // of that dependence: data or control
}

// Slice is the part of a program that matters for a criterion.
type Slice struct {
	Kind     string   `json:"kind"`
	Nodes    []Sliced `json:"nodes"`    // the nearest first
	Size     int      `json:"size"`     // nodes in the slice
	Total    int      `json:"total"`    // nodes in the graph
	Excluded []string `json:"excluded"` // the others; at most maxExcluded
}

const maxExcluded = 200

// link is a dependence, seen from one end.
type link struct {
	to      int
	control bool
}

// pdg is the graph with both directions.
type pdg struct {
	names    []string
	at       map[string]int
	uses     [][]link
	affects  [][]link
	numEdges int
}

func (d *Dependences) build() (*pdg, error) {
	g := &pdg{at: map[string]int{}}
	for _, side := range []struct {
		path    string
		edges   map[string][]string
		control bool
	}{{"dependencies", d.Data, false}, {"controlDependencies", d.Control, true}} {
		for _, from := range sortedKeys(side.edges) {
			i, err := g.node(side.path+"."+from, from)
			if err != nil {
				return nil, err
			}
			for n, to := range side.edges[from] {
				j, err := g.node(fmt.Sprintf("%s.%s[%d]", side.path, from, n), to)
				if err != nil {
					return nil, err
				}
				if g.numEdges++; g.numEdges > MaxGraphEdges {
					return nil, flaw(side.path, fmt.Sprintf("at most %d dependences", MaxGraphEdges), "more")
				}
				g.uses[i] = append(g.uses[i], link{j, side.control})
				g.affects[j] = append(g.affects[j], link{i, side.control})
			}
		}
	}
	if len(g.names) == 0 {
		return nil, flaw("dependencies", `what each node depends on, such as {"7": ["3", "5"], "5": ["3"]}`, "none")
	}
	return g, nil
}

func (g *pdg) node(path, name string) (int, error) {
	if i, ok := g.at[name]; ok {
		return i, nil
	}
	if err := checkName(path, name); err != nil {
		return 0, err
	}
	if len(g.names) == MaxGraphNodes {
		return 0, flaw(path, fmt.Sprintf("at most %d nodes", MaxGraphNodes), "more")
	}
	g.at[name] = len(g.names)
	g.names = append(g.names, name)
	g.uses, g.affects = append(g.uses, nil), append(g.affects, nil)
	return len(g.names) - 1, nil
}

func (g *pdg) find(path string, names []string) ([]int, error) {
	if len(names) == 0 {
		return nil, flaw(path, "at least one node of the graph", "none")
	}
	var out []int
	for i, n := range names {
		at, ok := g.at[n]
		if !ok {
			return nil, flaw(fmt.Sprintf("%s[%d]", path, i), "a node of the graph, such as "+list(g.names[:min(4, len(g.names))]), "%.80q", n)
		}
		out = append(out, at)
	}
	return out, nil
}

// reach walks the edges from some nodes, breadth first.
func (g *pdg) reach(from []int, edges [][]link) map[int]Sliced {
	seen := map[int]Sliced{}
	var queue []int
	for _, i := range from {
		if _, ok := seen[i]; !ok {
			seen[i] = Sliced{Node: g.names[i]}
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		i := queue[0]
		queue = queue[1:]
		for _, l := range edges[i] {
			if _, ok := seen[l.to]; ok {
				continue
			}
			kind := "data"
			if l.control {
				kind = "control"
			}
			seen[l.to] = Sliced{Node: g.names[l.to], Distance: seen[i].Distance + 1, Via: g.names[i], Kind: kind}
			queue = append(queue, l.to)
		}
	}
	return seen
}

// Slice returns the slice of that kind for the criterion; sources are for a chop.
// It costs one pass over the graph, two for a chop.
func (d *Dependences) Slice(kind string, criterion, sources []string) (Slice, error) {
	g, err := d.build()
	if err != nil {
		return Slice{}, err
	}
	at, err := g.find("criterion", criterion)
	if err != nil {
		return Slice{}, err
	}
	edges := g.uses
	switch kind {
	case Forward:
		edges = g.affects
	case Backward, Chop:
	default:
		return Slice{}, flaw("direction", "backward, forward or chop", "%.40q", kind)
	}
	in := g.reach(at, edges)
	if kind == Chop {
		starts, err := g.find("sources", sources)
		if err != nil {
			return Slice{}, err
		}
		from := g.reach(starts, g.affects)
		for i := range in {
			if _, ok := from[i]; !ok {
				delete(in, i)
			}
		}
	}
	out := Slice{Kind: kind, Size: len(in), Total: len(g.names), Nodes: []Sliced{}, Excluded: []string{}}
	for i, name := range g.names {
		if s, ok := in[i]; ok {
			out.Nodes = append(out.Nodes, s)
		} else {
			out.Excluded = append(out.Excluded, name)
		}
	}
	slices.SortFunc(out.Nodes, func(a, b Sliced) int {
		return cmp.Or(cmp.Compare(a.Distance, b.Distance), natural(a.Node, b.Node))
	})
	slices.SortFunc(out.Excluded, natural)
	out.Excluded = out.Excluded[:min(len(out.Excluded), maxExcluded)]
	return out, nil
}

// natural compares names, whole numbers by their value and before words.
func natural(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), cmp.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return cmp.Compare(a, b)
}
