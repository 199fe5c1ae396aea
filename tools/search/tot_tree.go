package search

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/tot"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// totTrees holds each tree under its own id.
var totTrees = shelf[tot.Tree]{
	operation: "tree_of_thought", parameter: "treeId", noun: "tree of thoughts", prefix: "thoughts_",
	slot: session.NewSlot[tot.Tree]("tree_of_thought"), empty: func(t *tot.Tree) bool { return len(t.Nodes) == 0 },
}

func (in *ToTInput) start(ctx context.Context, c *tools.Call, out ToTOutput, implied bool) (ToTOutput, error) {
	root := in.Root
	if root == "" {
		root = c.Prompt
	}
	first, err := in.branches()
	if err != nil {
		return out, err
	}
	var t *tot.Tree
	out.TreeID, err = totTrees.create(ctx, c, func(id string) (*tot.Tree, error) {
		var err error
		if t, err = tot.New(in.settings(c), root, id); err != nil {
			return nil, flaws(err, totSetting)
		}
		if len(first) > 0 {
			out.Told, err = openToT(t, first)
		}
		return t, err
	})
	if err != nil {
		return out, err
	}
	out.Settings = &t.Settings
	totCredit(c, t.Settings.Strategy)
	if out.Told != nil {
		out.State = in.state(t)
		in.answer(c, &out, t)
		in.told(c, out.TreeID, *out.Told)
		return out, nil
	}
	if c.Basis(tools.Template); implied {
		bare(c, "a tree needs thoughts that you propose and judge")
	}
	totTrees.next(c, out.TreeID, "ask", "Get the ticket of the root, to propose the first thoughts.")
	return out, nil
}

// totSetting names a setting as the parameter that it came from.
func totSetting(path string) string {
	if path == "votes" {
		path = "votesWanted"
	}
	return inParameters(path)
}

// openToT tells the first thoughts.
func openToT(t *tot.Tree, first []tot.Child) (*tot.Told, error) {
	now := time.Now().UTC()
	tickets, _, err := t.Ask(1, now, time.Minute)
	if err != nil {
		return nil, err
	}
	told, err := t.Tell(tickets[0].ID, tot.Tell{Children: first}, now)
	if err != nil {
		return nil, flaws(err, func(path string) string { return "parameters." + strings.Replace(path, "children", "branches", 1) })
	}
	return &told, nil
}

// branches reads the first thoughts.
func (in *ToTInput) branches() ([]tot.Child, error) {
	var list []tot.Child
	for i, raw := range in.Branches {
		var o tot.Child
		text, is, err := texted(raw, &o)
		if is {
			o.Content = text
		}
		if err != nil || o.Content == "" {
			return nil, tools.Bad(fmt.Sprintf("parameters.branches[%d]", i), `a text, or an object such as {"content": "…", "value": 0.5}`, string(raw))
		}
		if i < len(in.Evaluations) && in.Evaluations[i] != nil {
			o.Value = in.Evaluations[i]
		}
		list = append(list, o)
	}
	return list, nil
}

// settings are those of a new tree. What has been left out is zero, which means
// the default.
func (in *ToTInput) settings(c *tools.Call) tot.Settings {
	s := tot.Settings{
		Strategy: tot.Strategy(in.Strategy), Breadth: or(in.Breadth), Depth: or(in.Depth), Judge: tot.Judge(in.Judge),
		Samples: or(in.Samples), Votes: or(in.Votes), Threshold: in.Threshold, Solutions: or(in.Solutions),
	}
	if n := c.Limits.Nodes; n > 0 {
		s.MaxNodes = int(min(n, tot.MaxNodes))
	}
	return s
}

func (in *ToTInput) update(ctx context.Context, c *tools.Call, fn func(*tot.Tree) error) error {
	return totTrees.update(ctx, c, in.TreeID, func(t *tot.Tree) error {
		totCredit(c, t.Settings.Strategy)
		return fn(t)
	})
}

func (in *ToTInput) ask(ctx context.Context, c *tools.Call, out ToTOutput, now time.Time) (ToTOutput, error) {
	var s tot.Settings
	err := in.update(ctx, c, func(t *tot.Tree) (err error) {
		s = t.Settings
		out.Tickets, out.Shortage, err = t.Ask(in.N, now, in.ttl())
		return err
	})
	if err != nil {
		return out, err
	}
	for _, t := range out.Tickets {
		last := t.Paths[0][len(t.Paths[0])-1]
		switch t.Kind {
		case tot.Propose:
			child := map[string]any{"content": ""}
			if s.Strategy == tot.AStar {
				child["cost"], child["heuristic"] = nil, nil
			}
			totTrees.next(c, in.TreeID, "tell", fmt.Sprintf("Fill in children, thoughts that follow from %s; none if it leads nowhere.", quote(last)),
				"ticket", t.ID, "children", []map[string]any{child})
		case tot.Evaluate:
			totTrees.next(c, in.TreeID, "tell", fmt.Sprintf("Fill in %d evaluations: what %s is worth. solution, if it solves the problem.", t.Wanted, quote(last)),
				"ticket", t.ID, "evaluations", make([]any, t.Wanted))
		case tot.Vote:
			totTrees.next(c, in.TreeID, "tell", fmt.Sprintf("Fill in %d votes, each one of the nodes %v.", t.Wanted, t.Nodes), "ticket", t.ID, "votes", make([]any, min(t.Wanted, 16)))
		}
	}
	if len(out.Tickets) == 0 {
		totTrees.next(c, in.TreeID, "show", "No ticket is to be had now: see where the search stands.")
	}
	return out, nil
}

func (in *ToTInput) tell(ctx context.Context, c *tools.Call, out ToTOutput, now time.Time) (ToTOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	var values []float64
	for _, v := range in.Evaluations {
		values = append(values, *v) // Check has seen to it
	}
	err := in.update(ctx, c, func(t *tot.Tree) error {
		told, err := t.Tell(in.Ticket, tot.Tell{Children: in.Childs, Values: values, Votes: in.Cast, Solution: in.Solution}, now)
		out.Told = &told
		return flaws(err, func(path string) string { return inParameters(strings.Replace(path, "values", "evaluations", 1)) })
	})
	if err != nil {
		return out, err
	}
	in.told(c, in.TreeID, *out.Told)
	return out, nil
}

// told says what came of a tell, and what can be done next.
func (in *ToTInput) told(c *tools.Call, id string, told tot.Told) {
	if n := told.Duplicates; n > 0 {
		c.Warn("duplicate_children", "%d children were left out: the thought has them already", n)
	}
	if n := told.Dropped; n > 0 {
		c.Warn("tree_full", "%d children were left out: the tree has as many thoughts as it may", n)
	}
	if told.Done == tot.NotDone {
		totTrees.next(c, id, "ask", "Go on with what the strategy wants to know next.", "n", 4)
	}
	totTrees.next(c, id, "show", "See the best path so far.")
}

func (in *ToTInput) abandon(ctx context.Context, c *tools.Call, out ToTOutput, now time.Time) (ToTOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	return out, in.update(ctx, c, func(t *tot.Tree) error { return t.Abandon(in.Ticket, now) })
}

func (in *ToTInput) show(c *tools.Call, out ToTOutput, now time.Time) (ToTOutput, error) {
	t, err := totTrees.read(c, in.TreeID)
	if err != nil {
		return out, err
	}
	t.Tickets.Expire(now)
	totCredit(c, t.Settings.Strategy)
	out.State = in.state(t)
	in.answer(c, &out, t)
	if t.Done == tot.NotDone {
		totTrees.next(c, in.TreeID, "ask", "Go on with what the strategy wants to know next.", "n", 4)
	}
	return out, nil
}

// answer notes the best path, or that there is none.
func (in *ToTInput) answer(c *tools.Call, out *ToTOutput, t *tot.Tree) {
	if a, ok := t.Best(); ok {
		out.State.Best, out.SelectedPath = &a, a.Path
		return
	}
	if t.Settings.Strategy == tot.AStar {
		return
	}
	c.Warn("not_assessable", "no thought has been judged yet")
}

func (in *ToTInput) state(t *tot.Tree) *ToTState {
	s := &ToTState{
		Done: t.Done, Frontier: []ToTThought{}, Pruned: t.Losses(in.Most), Nodes: len(t.Nodes), Visited: t.Visited,
		Backtracks: t.Backs, Dropped: t.Dropped, Open: t.Outstanding(),
	}
	star := t.Settings.Strategy == tot.AStar
	for _, at := range t.Frontier(in.Most) {
		n := &t.Nodes[at]
		v := ToTThought{Node: at, Content: n.Content, Depth: n.Depth, Status: n.Status}
		if n.Samples > 0 {
			v.Value = new(n.Mean)
		}
		if star {
			v.Cost = new(n.Cost)
		}
		s.Frontier = append(s.Frontier, v)
	}
	if star {
		s.Heuristic = new(t.Heuristic())
	}
	return s
}

func (in *ToTInput) list(c *tools.Call, out ToTOutput) (ToTOutput, error) {
	out.Trees = []ToTEntry{}
	c.Basis(tools.ClientSupplied)
	now := time.Now()
	err := totTrees.each(c, func(id string, t *tot.Tree) {
		t.Tickets.Expire(now)
		out.Trees = append(out.Trees, ToTEntry{id, t.Nodes[0].Content, t.Settings.Strategy, len(t.Nodes), len(t.Tickets.Open), t.Done})
	})
	return out, err
}
