package tot

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// The kinds of ticket.
const (
	Propose  = "propose"  // continue a thought
	Evaluate = "evaluate" // say what a thought is worth
	Vote     = "vote"     // choose among thoughts
)

// Ticket is the request to say something about a thought, or several.
type Ticket struct {
	ID      string     `json:"ticket"`
	Kind    string     `json:"kind"`
	Nodes   []int      `json:"nodes"`
	Paths   [][]string `json:"paths"`  // of each, contents from the root
	Wanted  int        `json:"wanted"` // values or votes still missing; 0 for Propose
	Expires time.Time  `json:"expires"`
}

// Shortage says why Ask handed out fewer tickets than it was asked for.
type Shortage string

// The shortages.
const (
	NoShortage Shortage = ""
	Finished   Shortage = "done"       // the search is over
	HandedOut  Shortage = "handed_out" // what comes next depends on open tickets
	TooMany    Shortage = "too_many"   // ticket.MaxOpen are open
)

// work is something to ask for.
type work struct {
	kind  string
	nodes []int
}

// Ask hands out up to n tickets for what the strategy wants to know next, 1 to
// ticket.MaxAsk; they expire ttl after now. There is one open ticket for a
// thought, and one for a ballot.
func (t *Tree) Ask(n int, now time.Time, ttl time.Duration) ([]Ticket, Shortage, error) {
	if n < 1 || n > ticket.MaxAsk {
		return nil, "", problem.Bad("n", fmt.Sprintf("1 to %d", ticket.MaxAsk), "%d", n)
	}
	t.Tickets.Expire(now)
	out := []Ticket{}
	if t.Done != NotDone {
		return out, Finished, nil
	}
	for _, w := range t.wanted(n) {
		o, ok := t.Tickets.Issue(w.kind, w.nodes, now.Add(ttl))
		if !ok {
			return out, TooMany, nil
		}
		out = append(out, t.ticket(o))
	}
	if len(out) < n {
		return out, HandedOut, nil
	}
	return out, NoShortage, nil
}

func (t *Tree) ticket(o ticket.Open) Ticket {
	k := Ticket{ID: t.Tickets.ID(o.Number), Kind: o.Kind, Nodes: slices.Clone(o.Nodes), Expires: o.Expires}
	for _, at := range o.Nodes {
		k.Paths = append(k.Paths, t.Path(at))
	}
	switch o.Kind {
	case Evaluate:
		k.Wanted = t.Settings.Samples - t.Nodes[o.Nodes[0]].Samples
	case Vote:
		k.Wanted = t.Settings.Votes - t.Ballot.Cast
	}
	return k
}

// Outstanding returns the open tickets, oldest first.
func (t *Tree) Outstanding() []Ticket {
	out := []Ticket{}
	for _, o := range t.Tickets.Open {
		out = append(out, t.ticket(o))
	}
	return out
}

// Abandon gives a ticket back.
func (t *Tree) Abandon(id string, now time.Time) error { return t.Tickets.Abandon(id, now) }

// wanted returns up to n things to ask for.
func (t *Tree) wanted(n int) []work {
	held := map[int]bool{}
	for _, o := range t.Tickets.Open {
		for _, at := range o.Nodes {
			held[at] = true
		}
	}
	var out []work
	add := func(kind string, at int) {
		if len(out) < n && !held[at] {
			out = append(out, work{kind, []int{at}})
		}
	}
	if b := t.Ballot; b != nil {
		if !held[b.Nodes[0]] {
			out = append(out, work{Vote, b.Nodes})
		}
		return out
	}
	if t.Settings.Judge == ByValue {
		for i := range t.Nodes {
			if t.Nodes[i].Status == Waiting {
				add(Evaluate, i)
			}
		}
	}
	for _, at := range t.due() {
		add(Propose, at)
	}
	return out
}

// due returns the thoughts that may be continued now, most promising first.
func (t *Tree) due() []int {
	switch t.Settings.Strategy {
	case BreadthFirst:
		var out []int
		for _, at := range t.Level {
			if t.Nodes[at].Status == Active {
				out = append(out, at)
			}
		}
		return out
	case DepthFirst:
		if k := len(t.Stack); k > 0 && t.Nodes[t.Stack[k-1]].Status == Active {
			return t.Stack[k-1:]
		}
		return nil
	}
	best := t.bestSolution()
	var out []int
	for i := range t.Nodes {
		n := &t.Nodes[i]
		if s := n.Status; s != Active && s != Judged || n.Depth >= t.Settings.Depth {
			continue
		}
		if t.Settings.Strategy == AStar && best >= 0 && n.Cost+n.Heuristic >= t.Nodes[best].Cost {
			continue
		}
		out = append(out, i)
	}
	t.sort(out)
	return out
}

// sort orders thoughts best first, older ones first among equals.
func (t *Tree) sort(at []int) {
	slices.SortFunc(at, func(a, b int) int {
		p, q := &t.Nodes[a], &t.Nodes[b]
		if t.Settings.Strategy == AStar { // deeper first among equals: nearer to a goal
			return cmp.Or(cmp.Compare(p.Cost+p.Heuristic, q.Cost+q.Heuristic), cmp.Compare(p.Heuristic, q.Heuristic), a-b)
		}
		return cmp.Or(cmp.Compare(q.Mean, p.Mean), a-b)
	})
}

// bestSolution returns the solution of lowest cost under AStar, of highest value
// otherwise, -1 if there is none.
func (t *Tree) bestSolution() int {
	var all []int
	for i := range t.Nodes {
		if t.Nodes[i].Status == Solution {
			all = append(all, i)
		}
	}
	if len(all) == 0 {
		return -1
	}
	t.sort(all)
	return all[0]
}

// Path returns the contents from the root to a thought.
func (t *Tree) Path(at int) []string {
	var out []string
	for ; at >= 0; at = t.Nodes[at].Parent {
		out = append(out, t.Nodes[at].Content)
	}
	slices.Reverse(out)
	return out
}
