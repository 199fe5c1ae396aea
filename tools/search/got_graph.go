package search

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// graphs holds each graph under its own id.
var graphs = shelf[got.Graph]{
	operation: "graph_of_thought", parameter: "graphId", noun: "graph of thoughts", prefix: "graph_",
	slot: session.NewSlot[got.Graph]("graph_of_thought"), empty: func(g *got.Graph) bool { return len(g.Thoughts) == 0 },
}

// rankSteps and rankChange are when PageRank ends.
const (
	rankSteps  = 1000
	rankChange = 1e-12
)

func (in *GoTInput) start(ctx context.Context, c *tools.Call, out GoTOutput, implied bool) (GoTOutput, error) {
	thoughts, roots, err := in.beginning(c, &out)
	if err != nil {
		return out, err
	}
	edges, err := in.edges(out.IDs)
	if err != nil {
		return out, err
	}
	var g *got.Graph
	out.GraphID, err = graphs.create(ctx, c, func(id string) (*got.Graph, error) {
		if roots == nil {
			roots = sources(len(thoughts), edges)
		}
		var err error
		g, err = got.NewFrom(thoughts, edges, roots, in.Plan, id)
		return g, flaws(err, in.placed(len(thoughts)-len(in.Nodes)))
	})
	if err != nil {
		return out, err
	}
	if len(in.Plan) > 0 {
		out.State = in.state(g)
		graphs.next(c, out.GraphID, "ask", "Get the first work of the plan.", "n", 4)
	}
	switch {
	case len(edges) > 0 || in.From != nil && in.To != nil:
		return in.analyze(ctx, c, out, g)
	case len(in.Plan) > 0:
		c.Basis(tools.ClientSupplied)
	default:
		if c.Basis(tools.Template); implied && len(in.Nodes) == 0 {
			bare(c, "a graph needs thoughts that you write")
		}
		c.Next("graph_of_thought", "Work on it by a plan: write, score, keep the best, merge them.", map[string]any{"action": "start", "roots": contents(g, g.Roots), "plan": usualPlan})
		graphs.next(c, out.GraphID, "add", "Put in thoughts and how they relate, by number.", "nodes", []any{map[string]any{"content": "", "type": "evidence"}}, "edges",
			[]any{map[string]any{"from": len(g.Thoughts), "to": 0, "type": "supports", "weight": nil}})
	}
	return out, nil
}

// placed names a thought of a new graph as the parameter that it came from: the
// first ones are roots.
func (in *GoTInput) placed(roots int) func(path string) string {
	return func(path string) string {
		var i int
		if _, err := fmt.Sscanf(path, "nodes[%d]", &i); err == nil {
			rest := path[strings.IndexByte(path, ']')+1:]
			if path = fmt.Sprintf("nodes[%d]%s", i-roots, rest); i < roots {
				path = fmt.Sprintf("roots[%d]", i)
			}
		}
		return inParameters(path)
	}
}

// usualPlan is a plan to begin with.
var usualPlan = []got.Operation{
	{ID: "write", Kind: got.Generate, Count: 3},
	{ID: "rate", Kind: got.Score, After: []string{"write"}},
	{ID: "best", Kind: got.KeepBest, Count: 2, After: []string{"rate"}},
	{ID: "merge", Kind: got.Aggregate, After: []string{"best"}},
}

func contents(g *got.Graph, at []int) []string {
	var out []string
	for _, i := range at {
		out = append(out, g.Thoughts[i].Content)
	}
	return out
}

// beginning returns the thoughts that a graph starts with, and the roots among
// them, nil if they follow from the edges.
func (in *GoTInput) beginning(c *tools.Call, out *GoTOutput) (thoughts []got.Thought, roots []int, err error) {
	texts := in.Roots
	if len(texts) == 0 && len(in.Nodes) == 0 && c.Prompt != "" {
		texts = []string{c.Prompt}
	}
	if len(texts)+len(in.Nodes) == 0 {
		return nil, nil, tools.Bad("parameters.roots", "thoughts to begin with, or nodes, or a prompt", "nothing")
	}
	for i, text := range texts {
		thoughts = append(thoughts, got.Thought{Content: text})
		roots = append(roots, i)
	}
	nodes, err := in.nodes(len(thoughts), out)
	return append(thoughts, nodes...), roots, err
}

// sources returns the thoughts that nothing leads to, at most as many as a plan
// can begin with, and the first of all if there are none.
func sources(n int, edges []got.Edge) []int {
	led := make([]bool, n)
	for _, e := range edges {
		if e.Relation.Acyclic() && e.To >= 0 && e.To < n {
			led[e.To] = true
		}
	}
	var out []int
	for i, l := range led {
		if !l && len(out) < got.MaxCount {
			out = append(out, i)
		}
	}
	if len(out) == 0 {
		out = []int{0}
	}
	return out
}

// nodes reads thoughts that get the numbers from first on.
func (in *GoTInput) nodes(first int, out *GoTOutput) ([]got.Thought, error) {
	var list []got.Thought
	out.IDs = map[string]int{}
	for i, raw := range in.Nodes {
		var o struct {
			ID, Content, Label, Type, NodeType string
			Score                              *float64
		}
		text, is, err := texted(raw, &o)
		if is {
			o.Content = text
		}
		if o.Content == "" {
			o.Content = o.Label
		}
		if o.Type == "" {
			o.Type = o.NodeType
		}
		path := fmt.Sprintf("parameters.nodes[%d]", i)
		if err != nil || o.Content == "" {
			return nil, tools.Bad(path, `a text, or an object such as {"id": "a", "content": "…", "type": "evidence", "score": 0.5}`, string(raw))
		}
		if o.ID != "" {
			if _, twice := out.IDs[o.ID]; twice {
				return nil, tools.Bad(path+".id", "an id of its own", o.ID)
			}
			out.IDs[o.ID] = first + i
		}
		list = append(list, got.Thought{Content: o.Content, Type: o.Type, Score: o.Score})
		out.Added = append(out.Added, first+i)
	}
	return list, nil
}

// edges reads edges between thoughts that are known by id or by number.
func (in *GoTInput) edges(ids map[string]int) ([]got.Edge, error) {
	var list []got.Edge
	for i, e := range in.Edges {
		var ends [2]int
		for k, v := range []any{e.From, e.To} {
			at, ok := endOf(v, ids)
			if !ok {
				return nil, tools.Bad(fmt.Sprintf("parameters.edges[%d].%s", i, []string{"from", "to"}[k]), "the id of a node of this call, or the number of a thought", v)
			}
			ends[k] = at
		}
		weight := 1.0
		if e.Weight != nil {
			weight = *e.Weight
		}
		list = append(list, got.Edge{From: ends[0], To: ends[1], Relation: got.Relation(e.Type), Weight: weight})
	}
	return list, nil
}

func endOf(v any, ids map[string]int) (int, bool) {
	switch v := v.(type) {
	case string:
		at, known := ids[v]
		if !known {
			n, err := strconv.Atoi(v)
			at, known = n, err == nil && n >= 0 && n < got.MaxThoughts
		}
		return at, known
	case float64:
		return int(v), v == math.Trunc(v) && v >= 0 && v < got.MaxThoughts
	case json.Number:
		n, err := v.Int64()
		return int(n), err == nil && n >= 0 && n < got.MaxThoughts
	}
	return 0, false
}

func (in *GoTInput) add(ctx context.Context, c *tools.Call, out GoTOutput) (GoTOutput, error) {
	if len(in.Nodes)+len(in.Edges) == 0 {
		return out, tools.Bad("parameters.nodes", "nodes or edges to put in", "nothing")
	}
	c.Basis(tools.ClientSupplied)
	err := graphs.update(ctx, c, in.GraphID, func(g *got.Graph) error {
		thoughts, err := in.nodes(len(g.Thoughts), &out)
		if err != nil {
			return err
		}
		edges, err := in.edges(out.IDs)
		if err != nil {
			return err
		}
		return g.Extend(thoughts, edges)
	})
	graphs.next(c, in.GraphID, "analyze", "See what the graph says now.")
	return out, err
}

func (in *GoTInput) ask(ctx context.Context, c *tools.Call, out GoTOutput, now time.Time) (GoTOutput, error) {
	c.Basis(tools.ClientSupplied)
	err := graphs.update(ctx, c, in.GraphID, func(g *got.Graph) (err error) {
		out.Tickets, out.Shortage, err = g.Ask(in.N, now, in.ttl())
		return err
	})
	if err != nil {
		return out, err
	}
	for _, t := range out.Tickets {
		fields := []any{"ticket", t.ID}
		var why string
		switch about := quote(t.Contents[0]); t.Kind {
		case got.Score:
			why, fields = fmt.Sprintf("Fill in score: how good %s is.", about), append(fields, "score", nil)
		case got.Validate:
			why, fields = fmt.Sprintf("Fill in valid: whether %s holds.", about), append(fields, "valid", nil)
		case got.Aggregate:
			why = fmt.Sprintf("Fill in one thought that merges %d.", len(t.Thoughts))
		case got.Refine:
			why = fmt.Sprintf("Fill in a better version of %s.", about)
		default:
			why = fmt.Sprintf("Fill in up to %d thoughts that follow from %s.", t.Wanted, about)
		}
		if t.Wanted > 0 {
			fields = append(fields, "thoughts", []any{map[string]any{"content": ""}})
		}
		graphs.next(c, in.GraphID, "tell", why, fields...)
	}
	if len(out.Tickets) == 0 {
		graphs.next(c, in.GraphID, "show", "There is no work to be had now: see where the plan stands.")
	}
	return out, nil
}

func (in *GoTInput) tell(ctx context.Context, c *tools.Call, out GoTOutput, now time.Time) (GoTOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	what := got.Tell{Score: in.Score, Valid: in.Valid, Note: in.Note}
	for _, t := range in.Thoughts {
		what.Thoughts = append(what.Thoughts, got.Thought{Content: t.Content, Type: t.Type, Score: t.Score})
	}
	c.Basis(tools.ClientSupplied)
	err := graphs.update(ctx, c, in.GraphID, func(g *got.Graph) error {
		told, err := g.Tell(in.Ticket, what, now)
		out.Told = &told
		return err
	})
	if err != nil {
		return out, err
	}
	if n := out.Told.Dropped; n > 0 {
		c.Warn("graph_full", "%d thoughts were left out: the graph has as many as it may", n)
	}
	if !out.Told.Done {
		graphs.next(c, in.GraphID, "ask", "Go on with the plan.", "n", 4)
	}
	graphs.next(c, in.GraphID, "show", "See the plan and the best thoughts.")
	return out, nil
}

func (in *GoTInput) abandon(ctx context.Context, c *tools.Call, out GoTOutput, now time.Time) (GoTOutput, error) {
	if err := in.named(); err != nil {
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	return out, graphs.update(ctx, c, in.GraphID, func(g *got.Graph) error { return g.Abandon(in.Ticket, now) })
}

// analyze examines g.
func (in *GoTInput) analyze(ctx context.Context, c *tools.Call, out GoTOutput, g *got.Graph) (GoTOutput, error) {
	if (in.From == nil) != (in.To == nil) {
		return out, tools.Bad("parameters.from", "from and to, or neither", "one of them")
	}
	meter := c.Meter(ctx)
	a := &GoTAnalysis{
		Latency: g.Latency(), Components: g.Components(), Circles: append([][]int{}, g.Circles()...),
		Cuts: g.Articulation(), Contradictions: g.Contradictions(), Volume: make([]int, 0, len(g.Thoughts)),
	}
	for i := range g.Thoughts {
		if !meter.Step(int64(1 + len(g.Edges)/16)) {
			break
		}
		a.Volume = append(a.Volume, g.Volume(i))
	}
	if err := meter.Err(); err != nil {
		return out, err
	}
	var err error
	if a.PageRank, err = got.PageRank(meter, len(g.Thoughts), g.Arcs(), in.Damping, rankChange, rankSteps); err != nil {
		return out, flaws(err, inParameters)
	}
	if !a.PageRank.Converged {
		c.Warn("incomplete", "the budget or the iterations ended before the ranks were settled; volumes are those of the first %d thoughts", len(a.Volume))
	}
	c.Method("PageRank, betweenness, components, longest paths, support and contradiction", "Brin & Page 1998; Brandes 2001; Tarjan 1972; Hopcroft & Tarjan 1973; Besta et al. 2023")
	if in.From != nil {
		p, found, err := g.Strongest(meter, *in.From, *in.To, got.Measure(in.Measure))
		switch {
		case err != nil:
			return out, flaws(err, inParameters)
		case found:
			a.Strongest, out.OptimalPath = &p, contents(g, p.Thoughts)
		default:
			c.Warn("no_path", "no chain of supports, derives and leads-to edges goes from thought %d to %d", *in.From, *in.To)
		}
	}
	if a.Betweenness, err = got.Betweenness(meter, len(g.Thoughts), g.Arcs()); err != nil {
		return out, err
	}
	if !a.Betweenness.All {
		c.Warn("incomplete", "the budget ended before betweenness was known: its values are lower bounds, from the ways that begin at the first %d thoughts", a.Betweenness.Sources)
	}
	if i := slices.IndexFunc(a.Contradictions, func(k got.Contradiction) bool { return k.Conflict }); i >= 0 {
		k := a.Contradictions[i]
		graphs.next(c, out.GraphID, "add", fmt.Sprintf("Thoughts %d and %d contradict each other and both have support: question one of its supports.", k.From, k.To),
			"nodes", []any{map[string]any{"content": "", "type": "question"}}, "edges", []any{map[string]any{"from": len(g.Thoughts), "to": k.ForFrom[0], "type": "questions"}})
	}
	if len(g.Plan) == 0 {
		graphs.next(c, out.GraphID, "add", "Put in what speaks for or against a thought.", "nodes", []any{map[string]any{"content": "", "type": "evidence"}},
			"edges", []any{map[string]any{"from": len(g.Thoughts), "to": 0, "type": "supports", "weight": nil}})
	}
	out.Analysis = a
	return out, nil
}

func (in *GoTInput) show(c *tools.Call, out GoTOutput, now time.Time) (GoTOutput, error) {
	g, err := graphs.read(c, in.GraphID)
	if err != nil {
		return out, err
	}
	g.Tickets.Expire(now)
	c.Basis(tools.ClientSupplied)
	out.State = in.state(g)
	if !g.Done() {
		graphs.next(c, in.GraphID, "ask", "Go on with the plan.", "n", 4)
	}
	graphs.next(c, in.GraphID, "analyze", "Examine support, contradictions and rank.")
	return out, nil
}

func (in *GoTInput) state(g *got.Graph) *GoTState {
	s := &GoTState{
		Plan: g.States(), Done: g.Done(), Best: []GoTNode{}, Thoughts: []GoTNode{}, Total: len(g.Thoughts),
		Edges: len(g.Edges), Dropped: g.Dropped, Open: g.Outstanding(),
	}
	for _, at := range g.Best(in.Best) {
		s.Best = append(s.Best, GoTNode{at, g.Thoughts[at]})
	}
	for at := in.Offset; at < len(g.Thoughts) && at < in.Offset+in.Count; at++ {
		s.Thoughts = append(s.Thoughts, GoTNode{at, g.Thoughts[at]})
	}
	return s
}

func (in *GoTInput) list(c *tools.Call, out GoTOutput) (GoTOutput, error) {
	out.Graphs = []GoTEntry{}
	c.Basis(tools.ClientSupplied)
	now := time.Now()
	err := graphs.each(c, func(id string, g *got.Graph) {
		g.Tickets.Expire(now)
		out.Graphs = append(out.Graphs, GoTEntry{id, g.Thoughts[0].Content, len(g.Thoughts), len(g.Edges), len(g.Plan), len(g.Tickets.Open), g.Done()})
	})
	return out, err
}
