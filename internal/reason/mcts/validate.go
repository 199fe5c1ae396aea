package mcts

import (
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// maxTickets is more tickets than a tree can have handed out.
const maxTickets = 1 << 50

// Validate reports whether NewTree, Ask, Tell, Abandon and Expire could have made
// the tree, as far as that shows: what they rely on holds, such as that a child
// comes after its parent and has one, that the visits add up, that each mean is of
// values within the range, and that tickets and nodes name each other. It is for a
// tree from outside. What the client says about its nodes is not judged. Time
// linear in the nodes, but for the depths of the open tickets.
func (t *Tree) Validate() error {
	for _, check := range []func() error{t.validateSettings, t.validateNodes, t.validateChildren, t.validateTickets, t.validateCounts, t.validateReceipts} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) validateSettings() error {
	s := t.Settings
	switch {
	case s.Exploration == nil || s.VirtualLoss == nil:
		return fmt.Errorf("settings: want explorationConstant and virtualLoss")
	case s.Policy == "" || s.Discount == 0 || s.Low >= s.High || s.MaxNodes == 0:
		return fmt.Errorf("settings: want policy, discount, maxNodes, and low below high")
	}
	if err := s.settle(); err != nil {
		return fmt.Errorf("settings.%w", err)
	}
	if n := len(t.Nodes); n == 0 || n > s.MaxNodes {
		return fmt.Errorf("nodes: %d, want 1 to maxNodes, %d", n, s.MaxNodes)
	}
	return nil
}

// validateNodes checks each node by itself, and that it comes after its parent.
func (t *Tree) validateNodes() error {
	for i := range t.Nodes {
		n := &t.Nodes[i]
		wrong := func(field, format string, args ...any) error {
			return fmt.Errorf("nodes[%d].%s: "+format, append([]any{i, field}, args...)...)
		}
		if err := checkContent("content", n.Content); err != nil {
			return fmt.Errorf("nodes[%d].%w", i, err)
		}
		switch {
		case i == 0 && n.Parent != -1:
			return wrong("parent", "%d, want -1 of the root", n.Parent)
		case i > 0 && (n.Parent < 0 || n.Parent >= i):
			return wrong("parent", "%d, want a node before it", n.Parent)
		case !(n.Prior >= 0 && n.Prior <= maxMagnitude) || i == 0 && n.Prior != 1:
			return wrong("prior", "%v, want 0 to 1e100, and 1 of the root", n.Prior)
		case n.Own < 0 || n.Own > n.Visits || n.Visits > 2*maxRevisits*maxTickets:
			return wrong("visits", "%d, of which %d its own", n.Visits, n.Own)
		case n.Terminal && (len(n.Children) > 0 || n.Own == 0 || n.Complete || n.Ticket != 0):
			return wrong("terminal", "true of a node without a value, or with children or an open ticket")
		case n.Complete && (len(n.Children) == 0 || n.Ticket != 0):
			return wrong("complete", "true of a node without children, or with an open ticket")
		}
	}
	return nil
}

// validateChildren checks that every node but the root is in its parent's list
// once, in the order in which attach puts them.
func (t *Tree) validateChildren() error {
	listed := 0
	for i := range t.Nodes {
		n := &t.Nodes[i]
		if len(n.Children) > MaxTellChildren && t.Settings.Widening == nil {
			return fmt.Errorf("nodes[%d].children: %d, the most is %d", i, len(n.Children), MaxTellChildren)
		}
		texts := make(map[string]bool, len(n.Children))
		for k, c := range n.Children {
			switch {
			case c <= i || c >= len(t.Nodes) || t.Nodes[c].Parent != i:
				return fmt.Errorf("nodes[%d].children[%d]: %d is no node whose parent is %d", i, k, c, i)
			case k > 0 && !t.ordered(n.Children[k-1], c):
				return fmt.Errorf("nodes[%d].children[%d]: %d is there twice, or before one of a lower prior", i, k, c)
			}
			text := strings.TrimSpace(t.Nodes[c].Content)
			if texts[text] {
				return fmt.Errorf("nodes[%d].content: the same as that of a sibling", c)
			}
			texts[text] = true
		}
		listed += len(n.Children)
	}
	if listed != len(t.Nodes)-1 { // each is listed at most once, where it belongs
		return fmt.Errorf("nodes: %d of %d are no children of their parents", len(t.Nodes)-1-listed, len(t.Nodes))
	}
	return nil
}

func (t *Tree) ordered(a, b int) bool {
	pa, pb := t.Nodes[a].Prior, t.Nodes[b].Prior
	return pa > pb || pa == pb && a < b
}

// validateTickets checks that open tickets and nodes name each other.
func (t *Tree) validateTickets() error {
	if len(t.Open) > MaxOpenTickets || t.LastTicket < 0 || t.LastTicket > maxTickets {
		return fmt.Errorf("open: %d tickets of %d, the most is %d", len(t.Open), t.LastTicket, MaxOpenTickets)
	}
	pending := make([]int, len(t.Nodes))
	held := 0
	for i, o := range t.Open {
		wrong := func(field string, got any, want string) error {
			return fmt.Errorf("open[%d].%s: %v, want %s", i, field, got, want)
		}
		switch {
		case o.Number < 1 || o.Number > t.LastTicket || i > 0 && o.Number <= t.Open[i-1].Number:
			return wrong("number", o.Number, "1 to lastTicket, ascending")
		case o.Node < 0 || o.Node >= len(t.Nodes) || t.Nodes[o.Node].Ticket != o.Number:
			return wrong("node", o.Node, "the node that has this ticket")
		case !t.asks(o.Kind, &t.Nodes[o.Node]):
			return wrong("kind", fmt.Sprintf("%.40q", o.Kind), "evaluate for a leaf without a value, else expand; evaluate for any node of a full tree")
		case o.Expires.Before(time.Unix(0, 0)):
			return wrong("expires", o.Expires, "a time after 1970")
		}
		for at := o.Node; at >= 0; at = t.Nodes[at].Parent {
			pending[at]++
		}
	}
	for i := range t.Nodes {
		if n := &t.Nodes[i]; n.Ticket != 0 {
			held++
		}
		if t.Nodes[i].Pending != pending[i] {
			return fmt.Errorf("nodes[%d].pending: %d, want %d, by the open tickets", i, t.Nodes[i].Pending, pending[i])
		}
	}
	if held != len(t.Open) {
		return fmt.Errorf("open: %d tickets, the nodes have %d", len(t.Open), held)
	}
	return nil
}

// asks reports whether issue can have made a ticket of that kind for the node: a
// tree may have become full since.
func (t *Tree) asks(k Kind, n *Node) bool {
	unvalued := n.Own == 0 && n.Parent >= 0 && len(n.Children) == 0
	return k == Evaluate && (unvalued || len(t.Nodes) >= t.Settings.MaxNodes) || k == Expand && !unvalued
}

// validateCounts checks that visits add up and that means and squares are of so
// many values within the range.
func (t *Tree) validateCounts() error {
	s := t.Settings
	low, high := s.Low, s.High
	if s.Discount < 1 { // discounting moves values towards 0
		low, high = min(low, 0), max(high, 0)
	}
	// What rounding may add up to in sums of values of that size.
	const rounding = 1e-7
	size := max(math.Abs(s.Low), math.Abs(s.High))
	for i := range t.Nodes {
		n := &t.Nodes[i]
		visits, below := n.Own, 0.0
		for _, c := range n.Children {
			visits += t.Nodes[c].Visits
			below += s.Discount * t.Nodes[c].Mean * float64(t.Nodes[c].Visits)
		}
		total := float64(n.Visits)
		own := total*n.Mean - below
		slack := rounding * size * total
		switch {
		case visits != n.Visits:
			return fmt.Errorf("nodes[%d].visits: %d, want %d: its own and its children's", i, n.Visits, visits)
		case n.Visits == 0 && (n.Mean != 0 || n.M2 != 0):
			return fmt.Errorf("nodes[%d].mean: %v, but it has no visits", i, n.Mean)
		case !(n.Mean*total >= low*total-slack && n.Mean*total <= high*total+slack):
			return fmt.Errorf("nodes[%d].mean: %v, want %v to %v", i, n.Mean, low, high)
		case !(own >= s.Low*float64(n.Own)-slack && own <= s.High*float64(n.Own)+slack):
			return fmt.Errorf("nodes[%d].mean: %v, but with its children's it is not a mean of values from %v to %v", i, n.Mean, s.Low, s.High)
		case !(n.M2 >= 0 && n.M2 <= total*(high-low)*(high-low)*(0.25+rounding)) || n.Visits == 1 && n.M2 != 0:
			return fmt.Errorf("nodes[%d].m2: %v of %d values from %v to %v", i, n.M2, n.Visits, low, high) // Popoviciu 1935
		}
	}
	root := t.Nodes[0].Visits
	if t.Tells < 0 || t.Tells > t.LastTicket-int64(len(t.Open)) || t.Revisits < 0 || t.Revisits > maxRevisits*t.Tells || t.Tells+t.Revisits != root {
		return fmt.Errorf("tells: %d and %d revisits after %d tickets, %d visits of the root", t.Tells, t.Revisits, t.LastTicket, root)
	}
	return nil
}

// validateReceipts checks what a repeated Tell would get.
func (t *Tree) validateReceipts() error {
	if n := len(t.Receipts); n > keptReceipts || int64(n+len(t.Open)) > t.LastTicket {
		return fmt.Errorf("receipts: %d after %d tickets, the most is %d", n, t.LastTicket, keptReceipts)
	}
	seen := make(map[int64]bool, len(t.Receipts)+len(t.Open))
	for _, o := range t.Open {
		seen[o.Number] = true
	}
	var before int64
	for i, r := range t.Receipts {
		wrong := func(field string, got any, want string) error {
			return fmt.Errorf("receipts[%d].%s: %v, want %s", i, field, got, want)
		}
		told := &r.Told
		digest, err := hex.DecodeString(r.Digest)
		switch {
		case r.Number < 1 || r.Number > t.LastTicket || seen[r.Number]:
			return wrong("number", r.Number, "1 to lastTicket, once, and of no open ticket")
		case err != nil || len(digest) != 12 || hex.EncodeToString(digest) != r.Digest:
			return wrong("digest", fmt.Sprintf("%.40q", r.Digest), "24 hexadecimal digits")
		case told.Ticket != ticketID(r.Number):
			return wrong("told.ticket", fmt.Sprintf("%.40q", told.Ticket), ticketID(r.Number))
		case told.Node < 0 || told.Node >= len(t.Nodes):
			return wrong("told.node", told.Node, "a node")
		case told.RootVisits < before || told.RootVisits > t.Nodes[0].Visits:
			return wrong("told.rootVisits", told.RootVisits, "no fewer than before, and no more than the root has")
		}
		n := &t.Nodes[told.Node]
		before, seen[r.Number] = told.RootVisits, true
		switch {
		case told.Visits < 0 || told.Visits > n.Visits || told.Visits > told.RootVisits:
			return wrong("told.visits", told.Visits, "no more than the node and the root have")
		case (told.Value == nil) != (told.Visits == 0) || told.Value != nil && !(math.Abs(*told.Value) <= maxMagnitude):
			return wrong("told.value", told.Value, "a number if it has visits")
		case told.Duplicates < 0 || told.Dropped < 0 || told.Duplicates > MaxTellChildren || told.Dropped > MaxTellChildren || len(told.Children)+told.Duplicates+told.Dropped > MaxTellChildren:
			return wrong("told.children", len(told.Children), fmt.Sprintf("at most %d, with those left out", MaxTellChildren))
		case told.Children == nil || slices.ContainsFunc(told.Children, func(c int) bool { return c < 1 || c >= len(t.Nodes) || t.Nodes[c].Parent != told.Node }):
			return wrong("told.children", told.Children, "children of the node")
		}
	}
	return nil
}
