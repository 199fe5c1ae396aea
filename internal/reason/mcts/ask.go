package mcts

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
)

// Ticket is the right and the request to say something about one node.
type Ticket struct {
	ID      string    `json:"ticket"`
	Node    int       `json:"node"`
	Kind    Kind      `json:"kind"`
	Path    []string  `json:"path"` // contents from the root to the node
	Expires time.Time `json:"expires"`
}

// Shortage says why Ask handed out fewer tickets than it was asked for.
type Shortage string

// The shortages.
const (
	NoShortage Shortage = ""
	Exhausted  Shortage = "exhausted"  // every leaf is terminal and evaluated
	HandedOut  Shortage = "handed_out" // every other leaf has an open ticket
	TooMany    Shortage = "too_many"   // MaxOpenTickets are open
)

// Ask hands out up to n tickets, 1 to MaxAsk, for the leaves that the policy
// prefers; they expire ttl after now. Until it is told or ends otherwise, a
// ticket counts as VirtualLoss visits of the lowest value along its path, so
// that the next ticket leads elsewhere (Chaslot, Winands and van den Herik,
// 2008). A leaf has at most one open ticket. Time linear in n times the nodes.
func (t *Tree) Ask(n int, now time.Time, ttl time.Duration) ([]Ticket, Shortage, error) {
	if n < 1 || n > MaxAsk {
		return nil, "", problem.Bad("n", fmt.Sprintf("1 to %d", MaxAsk), "%d", n)
	}
	t.Expire(now)
	tickets := []Ticket{}
	for range n {
		if len(t.Open) >= MaxOpenTickets {
			return tickets, TooMany, nil
		}
		states := t.states()
		if states[0] != available {
			if states[0] == exhausted {
				return tickets, Exhausted, nil
			}
			return tickets, HandedOut, nil
		}
		at := t.descend(func(child int) bool { return states[child] == available })
		tickets = append(tickets, t.issue(at, now.Add(ttl)))
	}
	return tickets, NoShortage, nil
}

// state is whether tickets can be had at or below a node.
type state uint8

const (
	taken     state = iota // only by waiting for open ones
	available              // yes
	exhausted              // never: all is terminal and known
)

// states returns the state of every node.
func (t *Tree) states() []state {
	s := make([]state, len(t.Nodes))
	for i := len(t.Nodes) - 1; i >= 0; i-- { // children come after their parents
		n := &t.Nodes[i]
		switch {
		case n.Terminal && n.Own > 0:
			s[i] = exhausted
		case len(n.Children) == 0:
			if n.Ticket == 0 {
				s[i] = available
			}
		case t.widens(n):
			s[i] = available
		default:
			s[i] = t.combine(n, s)
		}
	}
	return s
}

func (t *Tree) combine(n *Node, s []state) state {
	children := t.considered(n)
	all := n.Ticket == 0 && len(children) == len(n.Children)
	for _, c := range children {
		if s[c] == available {
			return available
		}
		all = all && s[c] == exhausted
	}
	if all {
		return exhausted
	}
	return taken
}

// descend follows the policy from the root through children that are allowed
// and ends at a leaf, or at a node that should get more children.
func (t *Tree) descend(allow func(child int) bool) int {
	at := 0
	for {
		n := &t.Nodes[at]
		if len(n.Children) == 0 || n.Terminal || t.widens(n) {
			return at
		}
		best, next, priors := math.Inf(-1), -1, t.priors(n)
		for _, c := range t.considered(n) {
			if !allow(c) {
				continue
			}
			if s := t.score(n, c, priors); next < 0 || s > best {
				best, next = s, c
			}
		}
		if next < 0 {
			return at
		}
		at = next
	}
}

// score rates a child of n by the policy, on values scaled to [0, 1] and with
// the virtual losses counted in. What was never tried goes first, except under
// PUCT, which takes the parent's mean for it. priors are those of n.
func (t *Tree) score(n *Node, child int, priors float64) float64 {
	c := &t.Nodes[child]
	loss := *t.Settings.VirtualLoss
	total := float64(n.Visits) + loss*float64(n.Pending)
	visits := float64(c.Visits) + loss*float64(c.Pending)
	mean := 0.0
	if visits > 0 {
		mean = t.scale(c.Mean) * float64(c.Visits) / visits
	}
	switch t.Settings.Policy {
	case UCB1Tuned:
		span := t.Settings.High - t.Settings.Low
		return UCB1TunedScore(mean, c.sample().variance()/(span*span), total, visits)
	case PUCT:
		if visits == 0 {
			mean = 0.5
			if n.Visits > 0 {
				mean = t.scale(n.Mean)
			}
		}
		return PUCTScore(mean, *t.Settings.Exploration, c.share(n, priors), max(total, 1), visits)
	}
	return UCB1(mean, *t.Settings.Exploration, total, visits)
}

func (t *Tree) scale(v float64) float64 {
	return (v - t.Settings.Low) / (t.Settings.High - t.Settings.Low)
}

// priors is the sum of the priors of a node's children.
func (t *Tree) priors(n *Node) (sum float64) {
	for _, i := range n.Children {
		sum += t.Nodes[i].Prior
	}
	return sum
}

// share is the share of a child of n in the priors of its siblings.
func (c *Node) share(n *Node, priors float64) float64 {
	if priors == 0 {
		return 1 / float64(len(n.Children))
	}
	return c.Prior / priors
}

func (t *Tree) issue(at int, expires time.Time) Ticket {
	n := &t.Nodes[at]
	kind := Expand
	if n.Own == 0 && n.Parent >= 0 && len(n.Children) == 0 || len(t.Nodes) >= t.Settings.MaxNodes {
		kind = Evaluate
	}
	t.LastTicket++
	n.Ticket = t.LastTicket
	t.Open = append(t.Open, Open{t.LastTicket, at, kind, expires})
	t.pend(at, 1)
	return t.ticket(t.Open[len(t.Open)-1])
}

func (t *Tree) ticket(o Open) Ticket {
	return Ticket{ticketID(o.Number), o.Node, o.Kind, t.Path(o.Node), o.Expires}
}

// Outstanding returns the open tickets, oldest first.
func (t *Tree) Outstanding() []Ticket {
	tickets := make([]Ticket, len(t.Open))
	for i, o := range t.Open {
		tickets[i] = t.ticket(o)
	}
	return tickets
}

// pend changes the virtual losses along the path to a node.
func (t *Tree) pend(at, by int) {
	for ; at >= 0; at = t.Nodes[at].Parent {
		t.Nodes[at].Pending += by
	}
}

// Expire takes back the tickets whose time is up and returns how many there
// were. When all tickets have expired, the tree's statistics are what they were
// before they were handed out.
func (t *Tree) Expire(now time.Time) int {
	before := len(t.Open)
	t.Open = slices.DeleteFunc(t.Open, func(o Open) bool {
		if o.Expires.After(now) {
			return false
		}
		t.release(o)
		return true
	})
	return before - len(t.Open)
}

func (t *Tree) release(o Open) {
	t.Nodes[o.Node].Ticket = 0
	t.pend(o.Node, -1)
}

// Abandon takes back an open ticket, as if it had expired.
func (t *Tree) Abandon(id string, now time.Time) error {
	t.Expire(now)
	i, err := t.find(id)
	if err != nil {
		return err
	}
	t.release(t.Open[i])
	t.Open = slices.Delete(t.Open, i, i+1)
	return nil
}

// find returns the index of an open ticket.
func (t *Tree) find(id string) (int, error) {
	number, ok := ticketNumber(id)
	i := slices.IndexFunc(t.Open, func(o Open) bool { return o.Number == number })
	if !ok || i < 0 {
		e := fault.Newf(fault.NotFound, "the ticket %.32q is not open: it expired, was told or abandoned, or never existed; ask for a new one", id)
		e.Code = "ticket_not_open"
		return 0, e
	}
	return i, nil
}

func ticketID(number int64) string { return "t" + strconv.FormatInt(number, 10) }

func ticketNumber(id string) (int64, bool) {
	digits, ok := strings.CutPrefix(id, "t")
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, ok && err == nil && ticketID(number) == id
}
