package tot

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Answer is the best path so far.
type Answer struct {
	Node     int      `json:"node"`
	Path     []string `json:"path"` // contents from the root
	Solution bool     `json:"solution"`
	Value    *float64 `json:"value,omitempty"`    // mean of the client's values, or the share of the votes
	Variance *float64 `json:"variance,omitempty"` // of at least two samples
	Cost     *float64 `json:"cost,omitempty"`     // of AStar
}

// Best returns the best solution or, before there is one, the best judged
// thought; false if nothing is judged. AStar looks for the lowest cost, for cost
// and heuristic before there is a solution.
func (t *Tree) Best() (Answer, bool) {
	at := t.bestSolution()
	if at < 0 {
		var judged []int
		for i := range t.Nodes {
			n := &t.Nodes[i]
			if i > 0 && n.Status != Waiting && n.Status != Pruned && (n.Samples > 0 || n.Mean > 0 || t.Settings.Strategy == AStar) {
				judged = append(judged, i)
			}
		}
		if len(judged) == 0 {
			return Answer{}, false
		}
		if t.Settings.Strategy != AStar { // the deepest: a path, not its first step
			deepest := 0
			for _, i := range judged {
				deepest = max(deepest, t.Nodes[i].Depth)
			}
			judged = slices.DeleteFunc(judged, func(i int) bool { return t.Nodes[i].Depth < deepest })
		}
		t.sort(judged)
		at = judged[0]
	}
	n := &t.Nodes[at]
	a := Answer{Node: at, Path: t.Path(at), Solution: n.Status == Solution, Variance: n.Variance()}
	if n.Samples > 0 {
		a.Value = new(n.Mean)
	}
	if t.Settings.Strategy == AStar {
		a.Cost = new(n.Cost)
	}
	return a, true
}

// Frontier returns the thoughts that are still to be judged or continued, most
// promising first, at most most of them.
func (t *Tree) Frontier(most int) []int {
	out := []int{}
	for i := range t.Nodes {
		switch t.Nodes[i].Status {
		case Waiting, Judged, Active:
			out = append(out, i)
		}
	}
	t.sort(out)
	return out[:min(len(out), max(most, 0))]
}

// Loss is a thought that is not followed any more.
type Loss struct {
	Node   int    `json:"node"`
	Reason string `json:"reason"`
}

// Losses returns the pruned thoughts, latest first, at most most of them.
func (t *Tree) Losses(most int) []Loss {
	out := []Loss{}
	for i := len(t.Nodes) - 1; i >= 0 && len(out) < most; i-- {
		if t.Nodes[i].Status == Pruned {
			out = append(out, Loss{i, t.Nodes[i].Why})
		}
	}
	return out
}

// Admissible is what the tree itself says about the heuristic of AStar, which
// the client supplied: whether it never overestimates cannot be computed, but
// some overestimates show.
type Admissible struct {
	Basis         string `json:"basis"`         // client_supplied
	Refuted       []int  `json:"overestimated"` // thoughts on the best solution's path that overestimate what it cost
	Inconsistent  []int  `json:"inconsistent"`  // thoughts whose heuristic fell by more than the step cost
	OptimalIfTrue bool   `json:"optimalIfTrue"` // the search ended, and nothing refutes the heuristic
	Gap           string `json:"gap,omitempty"` // why optimality is not claimed
	Best          int    `json:"solution"`      // -1 if there is none
}

// Heuristic examines the heuristic of AStar.
func (t *Tree) Heuristic() Admissible {
	a := Admissible{Basis: "client_supplied", Refuted: []int{}, Inconsistent: []int{}, Best: t.bestSolution()}
	for i := range t.Nodes {
		n := &t.Nodes[i]
		if n.Parent < 0 {
			continue
		}
		p := &t.Nodes[n.Parent]
		if n.Parent > 0 && p.Heuristic > (n.Cost-p.Cost)+n.Heuristic+1e-9*(1+p.Heuristic) {
			a.Inconsistent = append(a.Inconsistent, n.Parent)
		}
	}
	a.Inconsistent = slices.Compact(a.Inconsistent)
	if a.Best >= 0 {
		total := t.Nodes[a.Best].Cost
		for at := a.Best; at > 0; at = t.Nodes[at].Parent {
			if n := &t.Nodes[at]; n.Heuristic > total-n.Cost+1e-9*(1+total) {
				a.Refuted = append(a.Refuted, at)
			}
		}
	}
	switch {
	case t.Done != Optimal:
		a.Gap = "the search did not end with a solution"
	case len(a.Refuted) > 0:
		a.Gap = "the heuristic overestimates on the solution's own path"
	default:
		a.OptimalIfTrue = true
	}
	return a
}

// Graph returns the tree as a graph for drawing.
func (t *Tree) Graph() graph.Graph {
	var g graph.Graph
	id := func(i int) string { return "n" + strconv.Itoa(i) }
	for i := range t.Nodes {
		n := &t.Nodes[i]
		node := graph.Node{ID: id(i), Label: n.Content, Kind: string(n.Status), Attrs: map[string]string{"status": string(n.Status)}}
		switch {
		case t.Settings.Strategy == AStar:
			node.Attrs["f"] = fmt.Sprintf("%.5g", n.Cost+n.Heuristic)
		case n.Samples > 0:
			node.Attrs["value"] = fmt.Sprintf("%.5g", n.Mean)
		}
		if i == 0 {
			node.Kind = "root"
		} else {
			g.Edges = append(g.Edges, graph.Edge{From: id(n.Parent), To: id(i)})
		}
		g.Nodes = append(g.Nodes, node)
	}
	return g
}

// Validate checks a tree that came from outside: whatever holds of one that was
// built by New, Ask and Tell and that later calls rely on.
func (t *Tree) Validate() error {
	if err := t.Settings.settle(); err != nil {
		return err
	}
	if n := len(t.Nodes); n < 1 || n > t.Settings.MaxNodes || t.Backs < 0 || t.Dropped < 0 || len(t.Done) > 64 {
		return problem.Bad("nodes", fmt.Sprintf("1 to %d", t.Settings.MaxNodes), "%d", n)
	}
	children := make([]int, len(t.Nodes))
	for i := range t.Nodes {
		if err := t.validNode(i); err != nil {
			return err
		}
		for _, c := range t.Nodes[i].Children {
			if c <= i || c >= len(t.Nodes) || t.Nodes[c].Parent != i || children[c] > 0 {
				return problem.Bad(fmt.Sprintf("nodes[%d].children", i), "later nodes with this parent", "%d", c)
			}
			children[c]++
		}
	}
	for i := range t.Nodes[1:] {
		if children[i+1] != 1 {
			return problem.Bad(fmt.Sprintf("nodes[%d]", i+1), "to be among its parent's children", "not so")
		}
	}
	for _, list := range []struct {
		path  string
		nodes []int
	}{{"level", t.Level}, {"stack", t.Stack}, {"visited", t.Visited}} {
		seen := map[int]bool{}
		for _, at := range list.nodes {
			if at < 0 || at >= len(t.Nodes) || seen[at] {
				return problem.Bad(list.path, "nodes, once each", "%d", at)
			}
			seen[at] = true
		}
	}
	return t.validOpen()
}

func (t *Tree) validNode(i int) error {
	n := &t.Nodes[i]
	path := fmt.Sprintf("nodes[%d]", i)
	if err := problem.CheckText(path+".content", n.Content, MaxContent); err != nil {
		return err
	}
	switch {
	case len(n.Key) > MaxContent || len(n.Why) > MaxContent:
		return problem.Bad(path, fmt.Sprintf("texts of at most %d bytes", MaxContent), "longer ones")
	case !slices.Contains([]Status{Waiting, Judged, Active, Explored, Pruned, Solution, Dead}, n.Status):
		return problem.Bad(path+".status", "a known status", "%.32q", string(n.Status))
	case !number(n.Mean) || !(n.M2 >= 0 && n.M2 <= MaxSamples*4*MaxNumber*MaxNumber) || n.Samples < 0 || n.Samples > max(MaxSamples, MaxVotes):
		return problem.Bad(path, "a mean, a sum of squares and a number of samples", "%v, %v, %d", n.Mean, n.M2, n.Samples)
	case !(n.Cost >= 0 && n.Cost <= MaxNumber && n.Heuristic >= 0 && n.Heuristic <= MaxNumber):
		return problem.Bad(path+".cost", fmt.Sprintf("0 to %v", MaxNumber), "%v and %v", n.Cost, n.Heuristic)
	case n.Status == Waiting && t.Settings.Judge == ByValue && n.Samples >= t.Settings.Samples:
		return problem.Bad(path+".samples", fmt.Sprintf("fewer than %d of a thought not judged", t.Settings.Samples), "%d", n.Samples)
	case i == 0 && (n.Parent != -1 || n.Depth != 0 || n.Cost != 0 || n.Status == Waiting):
		return problem.Bad(path, "a root without parent and cost", "parent %d", n.Parent)
	case i > 0 && (n.Parent < 0 || n.Parent >= i || t.Nodes[n.Parent].Depth+1 != n.Depth || n.Depth > t.Settings.Depth || n.Cost < t.Nodes[n.Parent].Cost):
		return problem.Bad(path+".parent", "an earlier node, one level up", "%d", n.Parent)
	}
	return nil
}

func (t *Tree) validOpen() error {
	if b := t.Ballot; b != nil {
		if len(b.Nodes) < 2 || len(b.Votes) != len(b.Nodes) || t.Settings.Judge != ByVote || t.Done != NotDone {
			return problem.Bad("ballot", "two nodes or more, with their votes", "%d and %d", len(b.Nodes), len(b.Votes))
		}
		cast, seen := 0, map[int]bool{}
		for i, at := range b.Nodes {
			if at < 0 || at >= len(t.Nodes) || seen[at] || t.Nodes[at].Status != Waiting || b.Votes[i] < 0 || b.Votes[i] > t.Settings.Votes {
				return problem.Bad(fmt.Sprintf("ballot.nodes[%d]", i), "candidates, once each, with a count of votes", "%d", at)
			}
			seen[at] = true
			cast += b.Votes[i]
		}
		if cast != b.Cast || cast >= t.Settings.Votes {
			return problem.Bad("ballot.cast", fmt.Sprintf("the sum of the votes, below %d", t.Settings.Votes), "%d", b.Cast)
		}
	}
	if err := t.Tickets.Validate(len(t.Nodes), func(k string) bool { return k == Propose || k == Evaluate || k == Vote }); err != nil {
		return err
	}
	held := map[int]bool{}
	for i, o := range t.Tickets.Open {
		at, s := o.Nodes[0], t.Nodes[o.Nodes[0]].Status
		ok := t.Done == NotDone && !held[at]
		switch o.Kind {
		case Vote:
			ok = ok && t.Ballot != nil && slices.Equal(o.Nodes, t.Ballot.Nodes)
		case Evaluate:
			ok = ok && len(o.Nodes) == 1 && s == Waiting && t.Settings.Judge == ByValue
		case Propose:
			ok = ok && len(o.Nodes) == 1 && (s == Active || s == Judged) && t.Nodes[at].Depth < t.Settings.Depth
		}
		if !ok {
			return problem.Bad(fmt.Sprintf("tickets.open[%d]", i), "one ticket for what is wanted of a node", "%s of node %d", o.Kind, at)
		}
		held[at] = true
	}
	return nil
}
