package search

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

const (
	// maxMCTSTrees bounds the trees of one session. Calls that start one at the
	// same moment may exceed it by their number.
	maxMCTSTrees   = 50
	mctsTreePrefix = "tree_"
)

// mctsTrees holds each tree under its own id.
var mctsTrees = session.NewSlot[mcts.Tree]("mcts")

func (in *MCTSInput) start(ctx context.Context, c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	if n := len(c.Session.Keys(mctsTrees.Name())); n >= maxMCTSTrees {
		return out, &fault.Error{
			Kind: fault.TooLarge, Code: "too_many_trees",
			Public: fmt.Sprintf("this session keeps %d trees, the most it may: delete one (action delete with its treeId)", n),
		}
	}
	root := in.Root
	if root == "" {
		root = c.Prompt
	}
	candidates, err := mctsChildren("parameters.candidates", in.Candidates)
	if err != nil {
		return out, err
	}
	t, err := mcts.NewTree(in.settings(c), root, candidates)
	if err != nil {
		return out, mctsFlaws(err, "parameters")
	}
	out.TreeID, out.Settings = session.NewObjectID(mctsTreePrefix), &t.Settings
	err = mctsTrees.Key(out.TreeID).Update(ctx, c.Session, func(stored *mcts.Tree) error {
		*stored = *t
		return nil
	})
	mctsCredit(c, t.Settings.Policy, "")
	c.Basis(tools.ClientSupplied)
	c.Next("mcts", "Ask which nodes to value or expand.", mctsOn(out.TreeID, "ask", "n", max(1, min(len(candidates), 4))))
	return out, err
}

// settings are those of a new tree. What has been left out is zero, which means
// the default.
func (in *MCTSInput) settings(c *tools.Call) mcts.Settings {
	s := mcts.Settings{Policy: mcts.Policy(in.Policy), Exploration: in.Exploration, VirtualLoss: in.Loss, MaxNodes: mcts.MaxTreeNodes}
	if in.Discount != nil {
		s.Discount = *in.Discount
	}
	if len(in.ValueRange) == 2 {
		s.Low, s.High = in.ValueRange[0], in.ValueRange[1]
	}
	if in.Widening != nil {
		s.Widening = &mcts.Widening{K: in.Widening.K, Alpha: in.Widening.Alpha}
	}
	if n := c.Limits.Nodes; n > 0 {
		s.MaxNodes = int(min(n, mcts.MaxTreeNodes))
	}
	return s
}

// mctsChildren reads children given as texts or as objects.
func mctsChildren(path string, raw []json.RawMessage) ([]mcts.Child, error) {
	var list []mcts.Child
	for i, r := range raw {
		var c mcts.Child
		if json.Unmarshal(r, &c.Content) != nil {
			var o struct {
				Content string
				Prior   json.RawMessage
			}
			ok := json.Unmarshal(r, &o) == nil && o.Content != ""
			if ok && len(o.Prior) > 0 && string(o.Prior) != "null" {
				prior, err := strconv.ParseFloat(strings.Trim(string(o.Prior), `" `), 64)
				c.Prior, ok = &prior, err == nil
			}
			if !ok {
				return nil, tools.Bad(fmt.Sprintf("%s[%d]", path, i), `a text, or an object such as {"content": "…", "prior": 0.5}`, string(r))
			}
			c.Content = o.Content
		}
		list = append(list, c)
	}
	return list, nil
}

// mctsOn returns the parameters of an action on a tree.
func mctsOn(treeID, action string, more ...any) map[string]any {
	p := map[string]any{"action": action, "treeId": treeID}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i].(string)] = more[i+1]
	}
	return p
}

// update changes the stored tree.
func (in *MCTSInput) update(ctx context.Context, c *tools.Call, fn func(*mcts.Tree) error) error {
	err := mctsTrees.Key(in.TreeID).Update(ctx, c.Session, func(t *mcts.Tree) error {
		if len(t.Nodes) == 0 {
			return unknownMCTSTree(in.TreeID)
		}
		mctsCredit(c, t.Settings.Policy, "")
		return fn(t)
	})
	return mctsFlaws(err, "parameters")
}

// read returns a copy of the stored tree.
func (in *MCTSInput) read(c *tools.Call) (*mcts.Tree, error) {
	t, ok, err := mctsTrees.Key(in.TreeID).Read(c.Session)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unknownMCTSTree(in.TreeID)
	}
	mctsCredit(c, t.Settings.Policy, "")
	return &t, nil
}

func unknownMCTSTree(id string) error {
	return tools.Bad("parameters.treeId", "the id of a tree in this session; action list shows them", id)
}

func (in *MCTSInput) ask(ctx context.Context, c *tools.Call, out MCTSOutput, now time.Time) (MCTSOutput, error) {
	var low, high float64
	err := in.update(ctx, c, func(t *mcts.Tree) (err error) {
		low, high = t.Settings.Low, t.Settings.High
		out.Tickets, out.Shortage, err = t.Ask(in.N, now.UTC(), time.Duration(in.Seconds)*time.Second)
		return err
	})
	if err != nil {
		return out, err
	}
	for _, t := range out.Tickets {
		why := fmt.Sprintf("Fill in value, from %v to %v: how good %s is.", low, high, mctsNode(t))
		fields := []any{"ticket", t.ID, "value", nil}
		if t.Kind == mcts.Expand {
			why = fmt.Sprintf("Fill in children, the next steps from %s, and value, from %v to %v, if you can judge it.", mctsNode(t), low, high)
			fields = append(fields, "children", []string{})
		}
		c.Next("mcts", why, mctsOn(in.TreeID, "tell", fields...))
	}
	if len(out.Tickets) == 0 {
		c.Next("mcts", "No ticket is to be had now: see what the tree says.", mctsOn(in.TreeID, "best"))
	}
	return out, nil
}

// mctsNode quotes the node of a ticket, shortened.
func mctsNode(t mcts.Ticket) string {
	const most = 60
	r := []rune(t.Path[len(t.Path)-1])
	if len(r) > most {
		r = append(r[:most-1], '…')
	}
	return fmt.Sprintf("%q", string(r))
}

func (in *MCTSInput) tell(ctx context.Context, c *tools.Call, out MCTSOutput, now time.Time) (MCTSOutput, error) {
	if in.Ticket == "" {
		return out, tools.Bad("parameters.ticket", "a ticket that action ask returned", "nothing")
	}
	children, err := mctsChildren("parameters.children", in.Childs)
	if err != nil {
		return out, err
	}
	err = in.update(ctx, c, func(t *mcts.Tree) error {
		told, err := t.Tell(in.Ticket, mcts.Tell{Value: in.Value, Children: children, Terminal: in.End}, now.UTC())
		out.Told = &told
		return err
	})
	if err != nil {
		return out, err
	}
	if n := out.Told.Duplicates; n > 0 {
		c.Warn("duplicate_children", "%d children were left out: the node has them already", n)
	}
	if n := out.Told.Dropped; n > 0 {
		c.Warn("tree_full", "%d children were left out: the tree has as many nodes as it may", n)
	}
	c.Next("mcts", "Go on with the next node.", mctsOn(in.TreeID, "ask"))
	c.Next("mcts", "See what the tree says now.", mctsOn(in.TreeID, "best"))
	return out, nil
}

func (in *MCTSInput) abandon(ctx context.Context, c *tools.Call, out MCTSOutput, now time.Time) (MCTSOutput, error) {
	if in.Ticket == "" {
		return out, tools.Bad("parameters.ticket", "a ticket that action ask returned", "nothing")
	}
	err := in.update(ctx, c, func(t *mcts.Tree) error { return t.Abandon(in.Ticket, now.UTC()) })
	return out, err
}

func (in *MCTSInput) best(c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	t, err := in.read(c)
	if err != nil {
		return out, err
	}
	t.Expire(time.Now())
	a, err := t.Best(mcts.Criterion(in.Criterion), mcts.IntervalMethod(in.Interval))
	if err != nil {
		return out, mctsFlaws(err, "parameters")
	}
	out.Answer = &a
	if len(a.Path) > 0 {
		out.BestAction = a.Path[0].Content
	} else {
		c.Warn("not_assessable", "no child of the root has been valued yet")
	}
	c.Next("mcts", "Value more nodes.", mctsOn(in.TreeID, "ask", "n", 4))
	return out, nil
}

func (in *MCTSInput) export(c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	t, err := in.read(c)
	if err != nil {
		return out, err
	}
	t.Expire(time.Now())
	out.Export, err = in.Drawing.export(c, t)
	c.Basis(tools.Computed) // the means are
	return out, err
}

func (in *MCTSInput) remove(ctx context.Context, c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	if _, err := in.read(c); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	if err := mctsTrees.Key(in.TreeID).Delete(ctx, c.Session); err != nil {
		return out, err
	}
	out.Deleted = true
	return out, nil
}

func listMCTS(c *tools.Call, out MCTSOutput) (MCTSOutput, error) {
	out.Trees = []MCTSEntry{}
	c.Basis(tools.ClientSupplied)
	for _, id := range c.Session.Keys(mctsTrees.Name()) {
		t, ok, err := mctsTrees.Key(id).Read(c.Session)
		if err != nil {
			return out, err
		}
		if !ok { // deleted since
			continue
		}
		t.Expire(time.Now())
		out.Trees = append(out.Trees, MCTSEntry{id, t.Nodes[0].Content, t.Settings.Policy, len(t.Nodes), t.Nodes[0].Visits, len(t.Open)})
	}
	return out, nil
}
