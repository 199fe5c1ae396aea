package got

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// State is how far an operation is.
type State struct {
	ID      string   `json:"id"`
	Kind    Kind     `json:"kind"`
	State   string   `json:"state"`             // waiting, ready or done
	WaitFor []string `json:"waitFor,omitempty"` // operations before it that are not done
	Jobs    int      `json:"jobs"`
	Told    int      `json:"told"`
	Out     []int    `json:"out"`
	Starved bool     `json:"starved,omitempty"` // it is done and had no input
}

// States returns the state of each operation, in the order of the plan.
func (g *Graph) States() []State {
	out := []State{}
	for i := range g.Plan {
		s := &g.Plan[i]
		v := State{ID: s.ID, Kind: s.Kind, State: "waiting", Jobs: len(s.Jobs), Out: append([]int{}, s.Out...)}
		for _, j := range s.Jobs {
			if j.Done {
				v.Told++
			}
		}
		switch {
		case s.Done:
			v.State = "done"
			v.Starved = len(s.Jobs) == 0 && len(s.Out) == 0
		case s.Started:
			v.State = "ready"
		default:
			for j := range g.Plan {
				if !g.Plan[j].Done && slices.Contains(s.After, g.Plan[j].ID) {
					v.WaitFor = append(v.WaitFor, g.Plan[j].ID)
				}
			}
		}
		out = append(out, v)
	}
	return out
}

// Best returns up to k scored thoughts, highest score first, older ones first
// among equals.
func (g *Graph) Best(k int) []int {
	out := []int{}
	for i := range g.Thoughts {
		if g.Thoughts[i].Score != nil {
			out = append(out, i)
		}
	}
	slices.SortStableFunc(out, g.compare)
	return out[:min(len(out), max(k, 0))]
}

// Graph returns the thoughts as a graph for drawing.
func (g *Graph) Graph() graph.Graph {
	var out graph.Graph
	id := func(i int) string { return "n" + strconv.Itoa(i) }
	for i := range g.Thoughts {
		t := &g.Thoughts[i]
		n := graph.Node{ID: id(i), Label: t.Content, Kind: t.Type, Attrs: map[string]string{}}
		if t.Score != nil {
			n.Attrs["score"] = strconv.FormatFloat(*t.Score, 'g', 5, 64)
		}
		if t.Valid != nil {
			n.Attrs["valid"] = strconv.FormatBool(*t.Valid)
		}
		if slices.Contains(g.Roots, i) {
			n.Kind = "root"
		}
		out.Nodes = append(out.Nodes, n)
	}
	for _, e := range g.Edges {
		out.Edges = append(out.Edges, graph.Edge{From: id(e.From), To: id(e.To), Label: string(e.Relation), Kind: string(e.Relation)})
	}
	return out
}

// Validate checks a graph that came from outside: whatever holds of one that was
// built by New and the other methods and that later calls rely on.
func (g *Graph) Validate() error {
	switch n := len(g.Thoughts); {
	case n < 1 || n > MaxThoughts:
		return problem.Bad("thoughts", fmt.Sprintf("1 to %d", MaxThoughts), "%d", n)
	case len(g.Edges) > MaxEdges || g.Dropped < 0:
		return problem.Bad("edges", fmt.Sprintf("at most %d", MaxEdges), "%d", len(g.Edges))
	case len(g.Roots) < 1 || len(g.Roots) > MaxCount:
		return problem.Bad("roots", fmt.Sprintf("1 to %d", MaxCount), "%d", len(g.Roots))
	}
	for i := range g.Thoughts {
		if err := checkThought(fmt.Sprintf("thoughts[%d]", i), &g.Thoughts[i]); err != nil {
			return err
		}
	}
	for i, e := range g.Edges {
		if err := g.checkEdge(fmt.Sprintf("edges[%d]", i), e); err != nil {
			return err
		}
	}
	if n := g.cyclic(); n > 0 {
		return problem.Bad("edges", "no cycle of acyclic relations", "%d thoughts wait for each other", n)
	}
	if err := g.known("roots", g.Roots); err != nil {
		return err
	}
	if err := g.validPlan(); err != nil {
		return err
	}
	return g.validTickets()
}

// cyclic returns how many thoughts are on, or after, a cycle.
func (g *Graph) cyclic() int {
	out := g.lists(Relation.Acyclic, false)
	waits := make([]int, len(g.Thoughts))
	for _, e := range g.Edges {
		if e.Relation.Acyclic() {
			waits[e.To]++
		}
	}
	var ready []int
	for i, w := range waits {
		if w == 0 {
			ready = append(ready, i)
		}
	}
	for k := 0; k < len(ready); k++ {
		for _, e := range out[ready[k]] {
			to := g.Edges[e].To
			if waits[to]--; waits[to] == 0 {
				ready = append(ready, to)
			}
		}
	}
	return len(g.Thoughts) - len(ready)
}

func (g *Graph) known(path string, list []int) error {
	seen := map[int]bool{}
	for i, at := range list {
		if at < 0 || at >= len(g.Thoughts) || seen[at] {
			return problem.Bad(fmt.Sprintf("%s[%d]", path, i), "thoughts, once each", "%d", at)
		}
		seen[at] = true
	}
	return nil
}

func (g *Graph) validPlan() error {
	var plan []Operation
	for _, s := range g.Plan {
		plan = append(plan, s.Operation)
	}
	if err := checkPlan(plan); err != nil {
		return err
	}
	for i := range g.Plan {
		s := &g.Plan[i]
		path := fmt.Sprintf("plan[%d]", i)
		open := slices.ContainsFunc(s.Jobs, func(j Job) bool { return !j.Done })
		if s.Started != g.ready(s) || s.Done != (s.Started && !open) || !s.Started && len(s.Jobs) > 0 || !s.Done && len(s.Out) > 0 || s.Kind == KeepBest && len(s.Jobs) > 0 || len(s.Jobs) > MaxThoughts {
			return problem.Bad(path, "started when all before it are done, done when all its jobs are", "started %t, done %t", s.Started, s.Done)
		}
		if err := g.known(path+".out", s.Out); err != nil {
			return err
		}
		for k, j := range s.Jobs {
			at := fmt.Sprintf("%s.jobs[%d]", path, k)
			if len(j.In) < 1 || s.Kind != Aggregate && len(j.In) > 1 || !j.Done && len(j.Out) > 0 {
				return problem.Bad(at, "input, and output when it is done", "%d and %d", len(j.In), len(j.Out))
			}
			if err := g.known(at+".in", j.In); err != nil {
				return err
			}
			if err := g.known(at+".out", j.Out); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *Graph) validTickets() error {
	most := len(g.Plan)
	for i := range g.Plan {
		most = max(most, len(g.Plan[i].Jobs))
	}
	if err := g.Tickets.Validate(most, func(string) bool { return true }); err != nil {
		return err
	}
	held := map[[2]int]bool{}
	for i, o := range g.Tickets.Open {
		ok := len(o.Nodes) == 2 && o.Nodes[0] < len(g.Plan) && o.Nodes[1] < len(g.Plan[o.Nodes[0]].Jobs)
		if ok {
			s := &g.Plan[o.Nodes[0]]
			key := [2]int{o.Nodes[0], o.Nodes[1]}
			ok = string(s.Kind) == o.Kind && !s.Jobs[o.Nodes[1]].Done && !held[key]
			held[key] = true
		}
		if !ok {
			return problem.Bad(fmt.Sprintf("tickets.open[%d]", i), "one ticket for a job that is not done", "%v", o.Nodes)
		}
	}
	return nil
}
