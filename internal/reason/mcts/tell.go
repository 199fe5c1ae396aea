package mcts

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Tell is what the client says about the node of a ticket.
type Tell struct {
	Value    *float64 `json:"value"`    // needed for Evaluate, and for Expand without children
	Children []Child  `json:"children"` // new steps from here; on Expand none means that there are no more
	Terminal bool     `json:"terminal"` // nothing can come after this node
}

// Told is what a Tell did. A repeated Tell gets the same one.
type Told struct {
	Ticket     string   `json:"ticket"`
	Node       int      `json:"node"`
	Children   []int    `json:"children"` // nodes added
	Duplicates int      `json:"duplicates,omitempty"`
	Dropped    int      `json:"dropped,omitempty"` // children for which there was no room
	Visits     int64    `json:"visits"`            // of the node
	Value      *float64 `json:"value,omitempty"`   // mean of the node; nil if it has none
	RootVisits int64    `json:"rootVisits"`
}

// Receipt remembers a Tell, so that it can be repeated after a lost answer.
type Receipt struct {
	Number int64  `json:"number"`
	Digest string `json:"digest"`
	Told   Told   `json:"told"`
}

// Tell answers a ticket: the value goes up to the root, discounted once for
// each level, the virtual loss goes away, and the children become leaves. The
// same Tell again returns the same Told and changes nothing; another one for
// the same ticket is a conflict. A ticket that is not open is fault.NotFound.
func (t *Tree) Tell(id string, what Tell, now time.Time) (Told, error) {
	digest := what.digest()
	if number, ok := ticketNumber(id); ok {
		if i := slices.IndexFunc(t.Receipts, func(r Receipt) bool { return r.Number == number }); i >= 0 {
			if r := t.Receipts[i]; r.Digest == digest {
				return r.Told, nil
			}
			return Told{}, fault.Newf(fault.Conflict, "the ticket %s was told something else already", id)
		}
	}
	t.Expire(now)
	i, err := t.find(id)
	if err != nil {
		return Told{}, err
	}
	o := t.Open[i]
	if err := t.check(o, what); err != nil {
		return Told{}, err
	}
	t.release(o)
	t.Open = slices.Delete(t.Open, i, i+1)
	told := t.accept(o, what)
	t.Receipts = append(t.Receipts, Receipt{o.Number, digest, told})
	if over := len(t.Receipts) - keptReceipts; over > 0 {
		t.Receipts = slices.Delete(t.Receipts, 0, over)
	}
	return told, nil
}

func (t *Tree) check(o Open, what Tell) error {
	s := t.Settings
	if v := what.Value; v != nil && !(*v >= s.Low && *v <= s.High) {
		return problem.Bad("value", fmt.Sprintf("a number from %v to %v", s.Low, s.High), "%v", *v)
	}
	if what.Terminal && (len(what.Children) > 0 || len(t.Nodes[o.Node].Children) > 0) {
		return problem.Bad("terminal", "false for a node with children", "true")
	}
	if err := checkChildren("children", what.Children); err != nil {
		return err
	}
	n := &t.Nodes[o.Node]
	adds := len(what.Children) > 0 || len(n.Children) > 0 || what.Terminal && n.Own > 0
	if what.Value == nil && (o.Kind == Evaluate || !adds) {
		return problem.Bad("value", fmt.Sprintf("a number from %v to %v", s.Low, s.High), "nothing")
	}
	return nil
}

func (t *Tree) accept(o Open, what Tell) Told {
	n := &t.Nodes[o.Node]
	n.Terminal = n.Terminal || what.Terminal
	if o.Kind == Expand && len(n.Children) > 0 && len(what.Children) == 0 {
		n.Complete = true
	}
	added := t.attach(o.Node, what.Children) // may move the nodes
	if what.Value != nil {
		t.Tells++
		t.backup(o.Node, *what.Value)
		t.revisit()
	}
	n = &t.Nodes[o.Node]
	told := Told{
		Ticket: ticketID(o.Number), Node: o.Node, Children: added.nodes, Duplicates: added.duplicates, Dropped: added.dropped,
		Visits: n.Visits, RootVisits: t.Nodes[0].Visits,
	}
	if told.Children == nil {
		told.Children = []int{}
	}
	if n.Visits > 0 {
		told.Value = new(n.Mean)
	}
	return told
}

// backup adds one visit that ends at a node.
func (t *Tree) backup(at int, value float64) {
	t.Nodes[at].Own++
	for ; at >= 0; at = t.Nodes[at].Parent {
		if value == 0 {
			value = 0 // never -0, which storing would lose
		}
		n := &t.Nodes[at]
		s := n.sample()
		s.add(sample{n: 1, mean: value})
		n.Visits++
		n.Mean, n.M2 = s.mean, s.m2
		value *= t.Settings.Discount
	}
}

// maxRevisits bounds the known visits that one Tell brings about.
const maxRevisits = 64

// revisit lets the policy go where it likes for as long as that is a terminal
// node, whose value is known: such a visit needs no ticket, and without it the
// visits of a finished line would never show how good it is.
func (t *Tree) revisit() {
	states := t.states()
	if states[0] == exhausted || !slices.Contains(states, exhausted) {
		return
	}
	for range maxRevisits {
		at := t.descend(func(child int) bool { return states[child] != taken })
		if n := &t.Nodes[at]; !n.Terminal || n.Own == 0 {
			return
		}
		t.Revisits++
		t.backup(at, t.Nodes[at].Mean)
	}
}

// digest identifies the content of a Tell.
func (w Tell) digest() string {
	if len(w.Children) == 0 {
		w.Children = nil
	}
	b, err := json.Marshal(w)
	if err != nil { // a value that JSON cannot say is refused by check
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:12])
}
