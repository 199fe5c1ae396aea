package beam

import (
	"fmt"
	"math"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Child is a continuation that the client proposes.
type Child struct {
	Content  string   `json:"content" doc:"What the next step or state is." required:"true" maxLen:"8192"`
	Score    *float64 `json:"score" doc:"How good the step is; from 0 to 1 for product, at most 0 for logprob." required:"true"`
	Key      string   `json:"key,omitempty" doc:"Names the state that the path leads to: paths of equal keys are merged." maxLen:"1024"`
	Complete bool     `json:"complete,omitempty" doc:"The path ends here, finished."`
}

// Tell is what the client says about the path of a ticket.
type Tell struct {
	Children []Child `json:"children"`
	Complete bool    `json:"complete"` // the path is finished as it is; it has no children then
}

// Told is what a Tell did. A repeated Tell gets the same one.
type Told struct {
	Ticket     string `json:"ticket"`
	Node       int    `json:"node"`
	Children   []int  `json:"children"`             // nodes added
	Duplicates int    `json:"duplicates,omitempty"` // equal continuations of the same path
	Dropped    int    `json:"dropped,omitempty"`    // for which there was no room
	Status     Status `json:"status"`               // of the node
	Generation int    `json:"generation"`           // closed so far
	Closed     bool   `json:"closed"`               // this Tell closed one
	Done       Reason `json:"done,omitempty"`
}

// Tell answers a ticket. The same Tell again returns the same Told and changes
// nothing; another one for the same ticket is fault.Conflict, a ticket that is
// not open fault.NotFound. The last one of a generation closes it: equal states
// are merged, complete paths leave the beam, and the best of the others stay.
func (b *Beam) Tell(id string, what Tell, now time.Time) (Told, error) {
	if len(what.Children) == 0 {
		what.Children = nil
	}
	digest := ticket.Digest(what)
	if told, known, err := b.Tickets.Repeat(id, digest); known {
		return told, err
	}
	b.Tickets.Expire(now)
	o, err := b.Tickets.Find(id)
	if err != nil {
		return Told{}, err
	}
	if err := b.check(what); err != nil {
		return Told{}, err
	}
	told := b.accept(o, what)
	b.Tickets.Settle(o.Number, digest, told)
	if b.Done != NotDone {
		b.Tickets.Open = nil
	}
	return told, nil
}

func (b *Beam) check(what Tell) error {
	if len(what.Children) > MaxTellChildren {
		return problem.Bad("children", fmt.Sprintf("at most %d", MaxTellChildren), "%d", len(what.Children))
	}
	if what.Complete && len(what.Children) > 0 {
		return problem.Bad("complete", "false for a path that goes on", "true")
	}
	for i, c := range what.Children {
		path := fmt.Sprintf("children[%d]", i)
		if err := problem.CheckText(path+".content", c.Content, MaxContent); err != nil {
			return err
		}
		if c.Key != "" {
			if err := problem.CheckText(path+".key", c.Key, MaxKey); err != nil {
				return err
			}
		}
		if c.Score == nil {
			return problem.Bad(path+".score", "a number", "nothing")
		}
		if err := b.Settings.Aggregate.checkScore(path+".score", *c.Score); err != nil {
			return err
		}
	}
	return nil
}

func (b *Beam) accept(o ticket.Open, what Tell) Told {
	at := o.Nodes[0]
	told := Told{Ticket: b.Tickets.ID(o.Number), Node: at, Children: []int{}}
	seen := map[string]int{}
	scores := append(b.scores(at), 0)
	for _, c := range what.Children {
		same := "t" + normal(c.Content)
		if c.Key != "" {
			same = "k" + c.Key
		}
		scores[len(scores)-1] = *c.Score + 0 // never -0, which storing would lose
		n := Node{
			Content: c.Content, Key: c.Key, Parent: at, Depth: b.Nodes[at].Depth + 1, Score: scores[len(scores)-1], Status: Candidate,
			Value: b.Settings.Aggregate.Value(scores, b.Settings.LengthPenalty, b.Settings.Decay) + 0,
		}
		if c.Complete {
			n.Status = Completed
		}
		if first, twice := seen[same]; twice {
			told.Duplicates++
			if old := &b.Nodes[first]; n.Value > old.Value { // the better of two equal ones
				if old.Status == Completed {
					n.Status = Completed
				}
				*old = n
			} else if n.Status == Completed {
				old.Status = Completed
			}
			continue
		}
		if len(b.Nodes) >= b.Settings.MaxNodes {
			told.Dropped++
			b.Dropped++
			continue
		}
		seen[same] = len(b.Nodes)
		told.Children = append(told.Children, len(b.Nodes))
		b.Nodes = append(b.Nodes, n)
	}
	switch n := &b.Nodes[at]; {
	case what.Complete:
		n.Status = Completed
	case len(told.Children) > 0:
		n.Status = Expanded
	default:
		n.Status = Stalled
	}
	told.Status = b.Nodes[at].Status
	before := b.Generation
	b.advance()
	told.Generation, told.Closed, told.Done = b.Generation, b.Generation > before, b.Done
	return told
}

// advance closes the generation if all its paths have been told.
func (b *Beam) advance() {
	for _, at := range b.Frontier {
		if b.Nodes[at].Status == Active {
			return
		}
	}
	b.Generation++
	last := b.Frontier
	b.Frontier = []int{}
	states := map[string]int{}
	b.finished(states)
	var pool []candidate
	for i := range b.Nodes {
		if n := &b.Nodes[i]; n.Status == Candidate {
			pool = append(pool, candidate{at: i, value: n.Value, token: normal(n.Content), group: b.Nodes[n.Parent].Group})
		}
	}
	pool = b.threshold(pool)
	alike := b.likeness()
	lowest := make([]float64, b.Settings.Groups+1)
	first := make([]map[string]int, b.Settings.Groups+1)
	// Neither step nor take fails.
	_ = pick(pool, b.Settings.Width, b.Settings.Groups, *b.Settings.Diversity, func() bool { return true }, func(c candidate, group int) (bool, error) {
		n := &b.Nodes[c.at]
		if first[group] == nil {
			first[group] = map[string]int{}
		}
		if state := b.state(n); state != "" {
			into, twice := first[group][state]
			if !twice {
				into, twice = states[state]
				twice = twice && b.Nodes[into].Value >= n.Value
			}
			if twice {
				n.Status, n.Into = Merged, into
				return false, nil
			}
			if into, twice := alike.find(n, group); twice {
				n.Status, n.Into = Merged, into
				return false, nil
			}
			first[group][state] = c.at
		}
		n.Status, n.Group = Active, group
		if len(b.Frontier) == 0 || b.Nodes[b.Frontier[len(b.Frontier)-1]].Group != group {
			lowest[group] = n.Value
		}
		lowest[group] = min(lowest[group], n.Value)
		b.Frontier = append(b.Frontier, c.at)
		alike.keep(c.at, group)
		return true, nil
	})
	b.cut(pool, lowest, first, alike)
	b.conclude(len(last) > 0)
}

// finished merges the complete paths of the generation among themselves; they
// take no place in the beam.
func (b *Beam) finished(states map[string]int) {
	for i := range b.Nodes {
		n := &b.Nodes[i]
		if n.Status != Completed {
			continue
		}
		state := b.state(n)
		if state == "" || i == 0 {
			continue
		}
		old, twice := states[state]
		switch {
		case !twice:
			states[state] = i
		case n.Value > b.Nodes[old].Value:
			b.Nodes[old].Status, b.Nodes[old].Into = Merged, i
			states[state] = i
		default:
			n.Status, n.Into = Merged, old
		}
	}
}

// cut prunes the candidates that got no place, or merges those that are the same
// as one that did.
func (b *Beam) cut(pool []candidate, lowest []float64, first []map[string]int, alike *likeness) {
	for _, c := range pool {
		n := &b.Nodes[c.at]
		if n.Status != Candidate {
			continue
		}
		n.Status = Pruned
		n.Cut = lowest[max(c.group, 1)]
		if state := b.state(n); state != "" {
			into, twice := first[max(c.group, 1)][state]
			if !twice {
				into, twice = alike.find(n, max(c.group, 1))
			}
			if twice {
				n.Status, n.Into, n.Cut = Merged, into, 0
			}
		}
	}
}

// conclude notes the best value and decides whether the search is done.
func (b *Beam) conclude(any bool) {
	top, complete, active := math.Inf(-1), math.Inf(-1), math.Inf(-1)
	for i, n := range b.Nodes {
		if i > 0 && n.Status == Completed || n.Status == Active {
			top = max(top, n.Value)
			if n.Status == Completed {
				complete = max(complete, n.Value)
			} else {
				active = max(active, n.Value)
			}
		}
	}
	if !math.IsInf(top, -1) {
		if n := len(b.Best); n > 0 {
			top = max(top, b.Best[n-1])
		}
		b.Best = append(b.Best, top)
	} else if n := len(b.Best); n > 0 {
		b.Best = append(b.Best, b.Best[n-1])
	}
	stop := b.Settings.Stop
	switch {
	case len(b.Frontier) == 0 && b.has(Completed):
		b.Done = AllComplete
	case len(b.Frontier) == 0:
		b.Done = AllStalled
	case stop.Target != nil && top >= *stop.Target:
		b.Done = TargetReached
	case stop.Gap != nil && complete >= active+*stop.Gap:
		b.Done = GapReached
	case b.unimproved():
		b.Done = NoImprovement
	case stop.Consensus > 0 && b.Generation > 1 && b.agree() >= stop.Consensus:
		b.Done = Consensus
	case b.Generation >= b.Settings.Depth:
		b.Done = Generations
	case any && len(b.Nodes) >= b.Settings.MaxNodes:
		b.Done = Full
	}
}

func (b *Beam) has(s Status) bool {
	for i := range b.Nodes {
		if b.Nodes[i].Status == s {
			return true
		}
	}
	return false
}

// unimproved reports whether the best value rose by no more than MinImprovement
// over the last Patience generations.
func (b *Beam) unimproved() bool {
	p, n := b.Settings.Stop.Patience, len(b.Best)
	return p > 0 && n > p && b.Best[n-1]-b.Best[n-1-p] <= b.Settings.Stop.MinImprovement
}

// agree returns the largest share of the beam with the same first step.
func (b *Beam) agree() float64 {
	counts := map[int]int{}
	most := 0
	for _, at := range b.Frontier {
		for b.Nodes[at].Depth > 1 {
			at = b.Nodes[at].Parent
		}
		counts[at]++
		most = max(most, counts[at])
	}
	return float64(most) / float64(len(b.Frontier))
}
