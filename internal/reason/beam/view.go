package beam

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Ranked is one of the best paths.
type Ranked struct {
	Node   int       `json:"node"`
	Path   []string  `json:"path"`   // contents from the root
	Scores []float64 `json:"scores"` // of the steps
	Value  float64   `json:"value"`
	Status Status    `json:"status"`
	Group  int       `json:"group,omitempty"`
}

// Paths returns up to k of the best paths: complete ones by value, then those in
// the beam, then those that stalled. Equal ones go by age.
func (b *Beam) Paths(k int) []Ranked {
	rank := map[Status]int{Completed: 1, Active: 2, Candidate: 3, Stalled: 4}
	var at []int
	for i := range b.Nodes {
		if rank[b.Nodes[i].Status] > 0 && (i > 0 || len(b.Nodes) == 1) {
			at = append(at, i)
		}
	}
	slices.SortFunc(at, func(x, y int) int {
		p, q := &b.Nodes[x], &b.Nodes[y]
		return cmp.Or(rank[p.Status]-rank[q.Status], cmp.Compare(q.Value, p.Value), x-y)
	})
	out := []Ranked{}
	for _, i := range at[:min(max(k, 0), len(at))] {
		n := &b.Nodes[i]
		r := Ranked{i, b.Path(i), b.scores(i), n.Value, n.Status, n.Group}
		if r.Scores == nil {
			r.Scores = []float64{}
		}
		out = append(out, r)
	}
	return out
}

// Loss is a path that left the search.
type Loss struct {
	Node   int     `json:"node"`
	Value  float64 `json:"value"`
	Depth  int     `json:"depth"`
	Status Status  `json:"status"`
	Reason string  `json:"reason"`
}

// History returns the paths that were pruned, merged or stalled, latest first,
// at most most of them.
func (b *Beam) History(most int) []Loss {
	out := []Loss{}
	for i := len(b.Nodes) - 1; i >= 0 && len(out) < most; i-- {
		n := &b.Nodes[i]
		why := ""
		switch n.Status {
		case Pruned:
			if why = fmt.Sprintf("the beam was full; its lowest value was %g", n.Cut); n.Floor != nil {
				why = fmt.Sprintf("too far below the best of its generation: values from %g on were kept", *n.Floor)
			}
		case Merged:
			why = fmt.Sprintf("the same state as node %d", n.Into)
		case Stalled:
			why = "no continuation was proposed, or there was no room for it"
		default:
			continue
		}
		out = append(out, Loss{i, n.Value, n.Depth, n.Status, why})
	}
	return out
}

// Counts returns the number of nodes of each status.
func (b *Beam) Counts() map[Status]int {
	out := map[Status]int{}
	for i := range b.Nodes {
		out[b.Nodes[i].Status]++
	}
	return out
}

// Graph returns the search as a graph for drawing.
func (b *Beam) Graph() graph.Graph {
	var g graph.Graph
	for i := range b.Nodes {
		n := &b.Nodes[i]
		id := "n" + strconv.Itoa(i)
		node := graph.Node{ID: id, Label: n.Content, Kind: string(n.Status), Attrs: map[string]string{"value": strconv.FormatFloat(n.Value, 'g', 5, 64), "status": string(n.Status)}}
		if i == 0 {
			node.Kind, node.Attrs = "root", nil
		} else {
			g.Edges = append(g.Edges, graph.Edge{From: "n" + strconv.Itoa(n.Parent), To: id, Label: strconv.FormatFloat(n.Score, 'g', 4, 64)})
		}
		g.Nodes = append(g.Nodes, node)
		if n.Status == Merged {
			g.Edges = append(g.Edges, graph.Edge{From: id, To: "n" + strconv.Itoa(n.Into), Kind: "merged"})
		}
	}
	return g
}

// Validate checks a beam that came from outside: whatever holds of one that was
// built by New, Ask and Tell and that later calls rely on.
func (b *Beam) Validate() error {
	if err := b.Settings.settle(); err != nil {
		return err
	}
	if n := len(b.Nodes); n < 1 || n > b.Settings.MaxNodes {
		return problem.Bad("nodes", fmt.Sprintf("1 to %d", b.Settings.MaxNodes), "%d", n)
	}
	if b.Generation < 0 || b.Generation > b.Settings.Depth || len(b.Best) > b.Generation || b.Dropped < 0 || len(b.Done) > 64 {
		return problem.Bad("generation", fmt.Sprintf("0 to %d, with a best value each at most", b.Settings.Depth), "%d", b.Generation)
	}
	for i := range b.Nodes {
		if err := b.validNode(i); err != nil {
			return err
		}
	}
	in := map[int]bool{}
	for i, at := range b.Frontier {
		if at < 0 || at >= len(b.Nodes) || in[at] || b.Nodes[at].Depth != b.Generation {
			return problem.Bad(fmt.Sprintf("frontier[%d]", i), "nodes of the generation, once each", "%d", at)
		}
		in[at] = true
	}
	open := false
	for i := range b.Nodes {
		switch s := b.Nodes[i].Status; {
		case s == Active && !in[i]:
			return problem.Bad(fmt.Sprintf("nodes[%d].status", i), "active for nodes of the frontier only", "%s", s)
		case s == Candidate && (!in[b.Nodes[i].Parent] || b.Done != NotDone):
			return problem.Bad(fmt.Sprintf("nodes[%d].status", i), "candidate for continuations of the frontier only", "%s", s)
		}
		open = open || b.Nodes[i].Status == Active
	}
	if b.Done == NotDone && b.Generation >= b.Settings.Depth {
		return problem.Bad("done", "a reason, after the last generation", "none")
	}
	if b.Done == NotDone && !open {
		return problem.Bad("done", "a reason, as nothing is active", "none")
	}
	return b.validTickets()
}

func (b *Beam) validNode(i int) error {
	n := &b.Nodes[i]
	path := fmt.Sprintf("nodes[%d]", i)
	if err := problem.CheckText(path+".content", n.Content, MaxContent); err != nil {
		return err
	}
	if len(n.Key) > MaxKey || !utf8.ValidString(n.Key) {
		return problem.Bad(path+".key", fmt.Sprintf("at most %d bytes of UTF-8", MaxKey), "%d bytes", len(n.Key))
	}
	if !slices.Contains([]Status{Candidate, Active, Expanded, Completed, Pruned, Merged, Stalled}, n.Status) || i == 0 && n.Status == Candidate {
		return problem.Bad(path+".status", "a known status", "%.32q", string(n.Status))
	}
	if n.Group < 0 || n.Group > b.Settings.Groups || n.Into < 0 || n.Into >= len(b.Nodes) || n.Cut-n.Cut != 0 || n.Floor != nil && *n.Floor-*n.Floor != 0 {
		return problem.Bad(path, "a group and nodes that exist", "group %d, into %d", n.Group, n.Into)
	}
	if i == 0 {
		if n.Parent != -1 || n.Depth != 0 || n.Value != 0 || n.Score != 0 {
			return problem.Bad(path, "a root without parent and value", "parent %d", n.Parent)
		}
		return nil
	}
	if n.Parent < 0 || n.Parent >= i || b.Nodes[n.Parent].Depth+1 != n.Depth || n.Depth > b.Settings.Depth {
		return problem.Bad(path+".parent", "an earlier node, one level up", "%d", n.Parent)
	}
	if err := b.Settings.Aggregate.checkScore(path+".score", n.Score); err != nil {
		return err
	}
	if v := b.Settings.Aggregate.Value(b.scores(i), b.Settings.LengthPenalty, b.Settings.Decay); !(math.Abs(n.Value-v) <= 1e-9*(1+math.Abs(v))) {
		return problem.Bad(path+".value", fmt.Sprintf("%v, by the scores of its path", v), "%v", n.Value)
	}
	return nil
}

func (b *Beam) validTickets() error {
	if err := b.Tickets.Validate(len(b.Nodes), func(kind string) bool { return kind == expand }); err != nil {
		return err
	}
	held := map[int]bool{}
	for i, o := range b.Tickets.Open {
		at := o.Nodes[0]
		if len(o.Nodes) != 1 || held[at] || b.Nodes[at].Status != Active || b.Done != NotDone {
			return problem.Bad(fmt.Sprintf("tickets.open[%d]", i), "one ticket for an active node", "node %d", at)
		}
		held[at] = true
	}
	for i, r := range b.Tickets.Receipts {
		if len(r.Result.Children) > MaxTellChildren || r.Result.Ticket != b.Tickets.ID(r.Number) {
			return problem.Bad(fmt.Sprintf("tickets.receipts[%d]", i), "the result of its ticket", "%.64q", r.Result.Ticket)
		}
	}
	return nil
}
