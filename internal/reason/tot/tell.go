package tot

import (
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Child is a thought that the client proposes.
type Child struct {
	Content   string   `json:"content" doc:"What the thought is." required:"true" maxLen:"8192"`
	Key       string   `json:"key,omitempty" doc:"Names the state it leads to: of equal keys one is looked at." maxLen:"8192"`
	Value     *float64 `json:"value,omitempty" doc:"A first value, if there is one. It counts as one sample."`
	Cost      *float64 `json:"cost,omitempty" doc:"Of this step, at least 0; needed by a-star." min:"0"`
	Heuristic *float64 `json:"heuristic,omitempty" doc:"Estimated cost from here to a goal, at least 0; a-star, default 0." min:"0"`
	Solution  bool     `json:"solution,omitempty" doc:"This thought solves the problem."`
}

// Tell is what the client says about the thoughts of a ticket.
type Tell struct {
	Children []Child   `json:"children"` // Propose; none is a dead end
	Values   []float64 `json:"values"`   // Evaluate; at most as many as are wanted
	Votes    []int     `json:"votes"`    // Vote: the node of each; at most as many as are wanted
	Solution bool      `json:"solution"` // Propose, Evaluate: the thought solves the problem
}

// Told is what a Tell did. A repeated Tell gets the same one.
type Told struct {
	Ticket     string   `json:"ticket"`
	Nodes      []int    `json:"nodes"`
	Children   []int    `json:"children"`
	Duplicates int      `json:"duplicates,omitempty"`
	Dropped    int      `json:"dropped,omitempty"`
	Status     Status   `json:"status"`             // of the first node
	Value      *float64 `json:"value,omitempty"`    // its mean
	Variance   *float64 `json:"variance,omitempty"` // of at least two samples
	Done       Reason   `json:"done,omitempty"`
}

// Tell answers a ticket. The same Tell again returns the same Told and changes
// nothing; another one for the same ticket is fault.Conflict, a ticket that is
// not open fault.NotFound.
func (t *Tree) Tell(id string, what Tell, now time.Time) (Told, error) {
	for _, empty := range []func(){
		func() { what.Children = orNil(what.Children) }, func() { what.Values = orNil(what.Values) }, func() { what.Votes = orNil(what.Votes) },
	} {
		empty()
	}
	digest := ticket.Digest(what)
	if told, known, err := t.Tickets.Repeat(id, digest); known {
		return told, err
	}
	t.Tickets.Expire(now)
	o, err := t.Tickets.Find(id)
	if err != nil {
		return Told{}, err
	}
	if err := t.check(o, what); err != nil {
		return Told{}, err
	}
	t.Tickets.Close(o.Number)
	told := Told{Ticket: t.Tickets.ID(o.Number), Nodes: o.Nodes, Children: []int{}}
	switch o.Kind {
	case Propose:
		t.proposed(o.Nodes[0], what, &told)
	case Evaluate:
		t.evaluated(o.Nodes[0], what)
	case Vote:
		t.voted(what.Votes)
	}
	t.advance()
	first := &t.Nodes[o.Nodes[0]]
	told.Status, told.Variance, told.Done = first.Status, first.Variance(), t.Done
	if first.Samples > 0 {
		told.Value = new(first.Mean)
	}
	t.Tickets.Settle(o.Number, digest, told)
	return told, nil
}

func orNil[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return s
}

func (t *Tree) check(o ticket.Open, what Tell) error {
	switch k := o.Kind; {
	case k != Propose && len(what.Children) > 0:
		return problem.Bad("children", "nothing, to "+k, "%d", len(what.Children))
	case k != Evaluate && len(what.Values) > 0:
		return problem.Bad("values", "nothing, to "+k, "%d", len(what.Values))
	case k != Vote && len(what.Votes) > 0:
		return problem.Bad("votes", "nothing, to "+k, "%d", len(what.Votes))
	case k == Vote:
		return t.checkVotes(what)
	case k == Evaluate:
		return t.checkValues(o, what)
	case what.Solution && len(what.Children) > 0:
		return problem.Bad("solution", "false for a thought that goes on", "true")
	case len(what.Children) > MaxTellChildren:
		return problem.Bad("children", fmt.Sprintf("at most %d", MaxTellChildren), "%d", len(what.Children))
	}
	for i, c := range what.Children {
		if err := t.checkChild(fmt.Sprintf("children[%d]", i), c, t.Nodes[o.Nodes[0]].Cost); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) checkVotes(what Tell) error {
	if n, most := len(what.Votes), t.Settings.Votes-t.Ballot.Cast; n < 1 || n > most {
		return problem.Bad("votes", fmt.Sprintf("1 to %d", most), "%d", n)
	}
	if what.Solution {
		return problem.Bad("solution", "false, to vote", "true")
	}
	for i, v := range what.Votes {
		if !slices.Contains(t.Ballot.Nodes, v) {
			return problem.Bad(fmt.Sprintf("votes[%d]", i), "a node of the ticket", "%d", v)
		}
	}
	return nil
}

func (t *Tree) checkValues(o ticket.Open, what Tell) error {
	if n, most := len(what.Values), t.Settings.Samples-t.Nodes[o.Nodes[0]].Samples; n < 1 || n > most {
		return problem.Bad("values", fmt.Sprintf("1 to %d", most), "%d", n)
	}
	for i, v := range what.Values {
		if !number(v) {
			return problem.Bad(fmt.Sprintf("values[%d]", i), fmt.Sprintf("a number of size at most %v", MaxNumber), "%v", v)
		}
	}
	return nil
}

func (t *Tree) checkChild(path string, c Child, spent float64) error {
	if err := problem.CheckText(path+".content", c.Content, MaxContent); err != nil {
		return err
	}
	if c.Key != "" {
		if err := problem.CheckText(path+".key", c.Key, MaxContent); err != nil {
			return err
		}
	}
	star := t.Settings.Strategy == AStar
	amount := func(v *float64) bool { return v == nil || *v >= 0 && *v <= MaxNumber }
	switch {
	case c.Value != nil && (!number(*c.Value) || star || t.Settings.Judge == ByVote):
		return problem.Bad(path+".value", "a number where values are the judge, nothing otherwise", "%v", *c.Value)
	case star && c.Cost == nil:
		return problem.Bad(path+".cost", "a number of at least 0", "nothing")
	case !star && (c.Cost != nil || c.Heuristic != nil):
		return problem.Bad(path+".cost", "nothing: only a-star takes costs", "something")
	case !amount(c.Cost) || c.Cost != nil && spent+*c.Cost > MaxNumber:
		return problem.Bad(path+".cost", fmt.Sprintf("0 to %v, with the path before it", MaxNumber), "%v", *c.Cost)
	case !amount(c.Heuristic):
		return problem.Bad(path+".heuristic", fmt.Sprintf("0 to %v", MaxNumber), "%v", *c.Heuristic)
	}
	return nil
}

// proposed adds the continuations of a thought.
func (t *Tree) proposed(at int, what Tell, told *Told) {
	t.Visited = append(t.Visited, at)
	seen := map[string]bool{}
	for _, c := range what.Children {
		same := "t" + normal(c.Content)
		if c.Key != "" {
			same = "k" + c.Key
		}
		if seen[same] {
			told.Duplicates++
			continue
		}
		seen[same] = true
		if len(t.Nodes) >= t.Settings.MaxNodes {
			told.Dropped++
			t.Dropped++
			continue
		}
		told.Children = append(told.Children, len(t.Nodes))
		t.add(at, c)
	}
	n := &t.Nodes[at]
	n.Children = slices.Clone(told.Children)
	switch {
	case what.Solution:
		n.Status, n.Goal = Solution, true
	case len(n.Children) > 0:
		n.Status = Explored
	default:
		n.Status = Dead
	}
}

func (t *Tree) add(parent int, c Child) {
	i := len(t.Nodes)
	n := Node{Content: c.Content, Key: c.Key, Parent: parent, Depth: t.Nodes[parent].Depth + 1, Status: Waiting, Goal: c.Solution}
	if c.Value != nil {
		n.sample(*c.Value)
	}
	if t.Settings.Strategy == AStar {
		n.Cost, n.Status = t.Nodes[parent].Cost+*c.Cost, Judged
		if c.Heuristic != nil {
			n.Heuristic = *c.Heuristic + 0
		}
	}
	t.Nodes = append(t.Nodes, n)
	t.unite(i)
	if t.Settings.Strategy == AStar {
		t.settleNode(i)
	} else if t.Settings.Judge == ByValue && n.Samples >= t.Settings.Samples {
		t.judged(i)
	}
}

// unite prunes one of two thoughts with the same key: the newer one, unless its
// cost is lower and the older one was not continued.
func (t *Tree) unite(i int) {
	n := &t.Nodes[i]
	if n.Key == "" {
		return
	}
	for j := range t.Nodes[:i] {
		old := &t.Nodes[j]
		if old.Key != n.Key || old.Status == Pruned {
			continue
		}
		if t.Settings.Strategy == AStar && n.Cost < old.Cost {
			if old.Status == Judged {
				t.prune(j, fmt.Sprintf("node %d reaches the same state at a lower cost", i))
			}
			continue
		}
		t.prune(i, fmt.Sprintf("the same state as node %d", j))
		return
	}
}

func (t *Tree) prune(i int, why string) {
	t.Nodes[i].Status, t.Nodes[i].Why = Pruned, why
	for _, o := range slices.Clone(t.Tickets.Open) {
		if o.Kind != Vote && o.Nodes[0] == i {
			t.Tickets.Close(o.Number)
		}
	}
}

// sample adds a value (Welford, 1962).
func (n *Node) sample(v float64) {
	n.Samples++
	d := v - n.Mean
	n.Mean += d/float64(n.Samples) + 0
	n.M2 += float64(d * (v - n.Mean))
}

func (t *Tree) evaluated(at int, what Tell) {
	n := &t.Nodes[at]
	for _, v := range what.Values {
		n.sample(v + 0)
	}
	n.Goal = n.Goal || what.Solution
	if n.Samples >= t.Settings.Samples {
		t.judged(at)
	}
}

func (t *Tree) voted(votes []int) {
	b := t.Ballot
	for _, v := range votes {
		b.Votes[slices.Index(b.Nodes, v)]++
		b.Cast++
	}
	if b.Cast < t.Settings.Votes {
		return
	}
	for i, at := range b.Nodes {
		n, p := &t.Nodes[at], float64(b.Votes[i])/float64(b.Cast)
		n.Samples, n.Mean = b.Cast, p
		n.M2 = float64(b.Cast) * p * (1 - p)
		t.judged(at)
	}
	t.Ballot = nil
}

// judged settles what a value decides: below the threshold nothing follows.
func (t *Tree) judged(at int) {
	n := &t.Nodes[at]
	if n.Status != Waiting {
		return
	}
	n.Status = Judged
	if limit := t.Settings.Threshold; limit != nil && n.Mean <= *limit && !n.Goal {
		t.prune(at, fmt.Sprintf("its value %g is not above the threshold %g", n.Mean, *limit))
	}
	t.settleNode(at)
}

// settleNode closes a judged thought that ends its path.
func (t *Tree) settleNode(at int) {
	n := &t.Nodes[at]
	if n.Status != Judged {
		return
	}
	if n.Goal {
		n.Status = Solution
	} else if n.Depth >= t.Settings.Depth && t.Settings.Strategy != BreadthFirst {
		n.Status = Dead
	}
}
