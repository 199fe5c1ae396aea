package search

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/got"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// GoTInput is the input of the operation graph_of_thought. Which parameters an
// action reads is said in their texts.
type GoTInput struct {
	Action  string `json:"action" enum:"start|add|ask|tell|abandon|analyze|show|export|list|delete" doc:"start makes a graph, of a plan of operations or of nodes and edges; add puts nodes and edges in; ask and tell carry out the plan; analyze examines what is there. Default: start with roots, nodes, a plan or a prompt, show with graphId."`
	GraphID string `json:"graphId" maxLen:"64" doc:"The graph, for every action but start and list."`

	Roots []string        `json:"roots" maxItems:"64" doc:"start: the thoughts that the plan begins with. Default: the nodes that nothing leads to; without nodes the prompt."`
	Root  string          `json:"root" maxLen:"8192" doc:"start: the same for one thought, where there are no nodes."`
	Plan  []got.Operation `json:"plan" maxItems:"200" doc:"start: operations on thoughts, each after others; together they must not close a cycle."`

	Nodes       []json.RawMessage `json:"nodes" maxItems:"500" doc:"start, add: thoughts: texts, or objects {id, content, type, score}. An id serves the edges of this call. type is your word, such as hypothesis, evidence, conclusion, question, insight, assumption, counterargument."`
	Edges       []GoTEdge         `json:"edges" maxItems:"2000" doc:"start, add: relations between thoughts. derives, aggregates, refines, depends-on and leads-to must not close a cycle."`
	Paths       json.RawMessage   `json:"paths" doc:"Old parameter: the strongest path is computed, by analyze with from and to."`
	OptimalPath json.RawMessage   `json:"optimalPath" doc:"Old parameter: it is a result."`

	Tickets
	Thoughts []GoTThought `json:"thoughts" maxItems:"64" doc:"tell: new thoughts, for generate (up to what is wanted), aggregate and refine (one)."`
	Score    *float64     `json:"score" doc:"tell: for score."`
	Valid    *bool        `json:"valid" doc:"tell: for validate."`
	Note     string       `json:"note" maxLen:"8192" doc:"tell: why, for score and validate."`

	From    *int    `json:"from" min:"0" doc:"analyze, start: the thought where a path of support begins."`
	To      *int    `json:"to" min:"0" doc:"analyze, start: the thought that it supports."`
	Measure string  `json:"measure" enum:"product|widest" default:"product" doc:"analyze: strength of a path: the product of its weights, or the lowest."`
	Damping float64 `json:"damping" default:"0.85" min:"0" max:"0.9999" doc:"analyze: of PageRank."`
	Best    int     `json:"best" default:"5" min:"0" max:"100" doc:"show: how many of the thoughts of highest score."`
	Offset  int     `json:"offset" default:"0" min:"0" doc:"show: the first thought to list."`
	Count   int     `json:"count" default:"50" min:"0" max:"500" doc:"show: how many thoughts to list."`
	Drawing
	Chain
}

// GoTThought is a thought as a client writes it.
type GoTThought struct {
	Content string   `json:"content" required:"true" maxLen:"8192" doc:"What it says."`
	Type    string   `json:"type" maxLen:"64" doc:"Your word for its kind."`
	Score   *float64 `json:"score" doc:"How good it is, if that is known already."`
}

// GoTEdge is an edge as a client writes it, with the old names of its relation.
type GoTEdge struct {
	From     any      `json:"from" required:"true" doc:"A node of this call by its id, or a thought by its number."`
	To       any      `json:"to" required:"true" doc:"Likewise."`
	Type     string   `json:"type" enum:"supports|contradicts|refines|questions|leads-to|depends-on|alternatives|elaborates|derives|aggregates" doc:"Default leads-to."`
	EdgeType string   `json:"edgeType" enum:"supports|contradicts|refines|questions|leads-to|depends-on|alternatives|elaborates|derives|aggregates" doc:"Old name of type."`
	Weight   *float64 `json:"weight" min:"0" max:"1" doc:"Strength. Default 1."`
}

// GoTOutput is the result of the operation graph_of_thought: the action, and the
// part that belongs to it.
type GoTOutput struct {
	Action      string         `json:"action"`
	GraphID     string         `json:"graphId,omitempty"`
	OptimalPath []string       `json:"optimalPath,omitempty"` // with from and to: the strongest path
	Added       []int          `json:"added,omitempty"`       // start, add: numbers of the nodes, in their order
	IDs         map[string]int `json:"ids,omitempty"`         // and of those that had an id
	Tickets     []got.Ticket   `json:"tickets,omitzero"`      // ask
	Shortage    got.Shortage   `json:"shortage,omitempty"`    // ask: why there are fewer
	Told        *got.Told      `json:"told,omitempty"`        // tell
	State       *GoTState      `json:"state,omitempty"`       // show, start with a plan
	Analysis    *GoTAnalysis   `json:"analysis,omitempty"`    // analyze, start with edges
	Export      *Export        `json:"export,omitempty"`
	Graphs      []GoTEntry     `json:"graphs,omitzero"` // list
	Deleted     bool           `json:"deleted,omitempty"`
}

// GoTState is where a graph of thoughts stands.
type GoTState struct {
	Plan     []got.State  `json:"plan"`
	Done     bool         `json:"done"` // the whole plan
	Best     []GoTNode    `json:"best"` // scored thoughts, highest first
	Thoughts []GoTNode    `json:"thoughts"`
	Total    int          `json:"total"` // thoughts
	Edges    int          `json:"edges"`
	Dropped  int          `json:"dropped,omitempty"` // for which there was no room
	Open     []got.Ticket `json:"openTickets"`
}

// GoTNode is a thought with its number.
type GoTNode struct {
	Number int `json:"number"`
	got.Thought
}

// GoTAnalysis is what can be computed about a graph.
type GoTAnalysis struct {
	PageRank       got.Rank            `json:"pageRank"`
	Betweenness    got.Centrality      `json:"betweenness"`
	Volume         []int               `json:"volume"`  // of each thought: how many others led to it
	Latency        []int               `json:"latency"` // of each thought: the longest way to it
	Components     [][]int             `json:"components"`
	Circles        [][]int             `json:"circularSupport"`
	Cuts           []int               `json:"cutThoughts"` // without which a component falls apart
	Contradictions []got.Contradiction `json:"contradictions"`
	Strongest      *got.Path           `json:"strongestPath,omitempty"`
}

// GoTEntry is a line of the list of graphs.
type GoTEntry struct {
	GraphID  string `json:"graphId"`
	Root     string `json:"root"`
	Thoughts int    `json:"thoughts"`
	Edges    int    `json:"edges"`
	Steps    int    `json:"operations"`
	Open     int    `json:"openTickets"`
	Done     bool   `json:"done"`
}

// GraphOfThought keeps a graph of thoughts, carries out a plan on it together
// with the client, and examines it.
var GraphOfThought = tools.Define(tools.Spec{
	Name: "graph_of_thought", Family: "search", Title: "Graph of thoughts",
	Summary: "Carries out a plan of operations (generate, aggregate, refine, score, keep the best, validate) on thoughts that you write, and analyses their graph.",
	Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true,
	Method: "Graph of thoughts", Source: "Besta et al. 2023",
	Examples: []tools.Example{
		{Title: "Examine a graph of your own", Arguments: `{"operation":"graph_of_thought","prompt":"","parameters":{"nodes":[{"id":"rain","content":"It will rain.","type":"hypothesis"},{"id":"clouds","content":"Clouds gather.","type":"evidence"},{"id":"dry","content":"It stays dry."}],"edges":[{"from":"clouds","to":"rain","type":"supports","weight":0.8},{"from":"rain","to":"dry","type":"contradicts"}]}}`},
		{Title: "Start a plan: write three, score them, merge the best two", Arguments: `{"operation":"graph_of_thought","prompt":"","parameters":{"roots":["Sum up the three reports."],"plan":[{"id":"write","kind":"generate","count":3},{"id":"rate","kind":"score","after":["write"]},{"id":"best","kind":"keepBest","count":2,"after":["rate"]},{"id":"merge","kind":"aggregate","after":["best"]}]}}`},
		{Title: "See the graphs of the session", Arguments: `{"operation":"graph_of_thought","prompt":"","parameters":{"action":"list"}}`},
	},
}, runGoT)

func runGoT(ctx context.Context, c *tools.Call, in GoTInput) (GoTOutput, error) {
	implied, err := in.settle(c)
	if err != nil {
		return GoTOutput{}, err
	}
	out := GoTOutput{Action: in.Action, GraphID: in.GraphID}
	switch in.Action {
	case "start":
		return in.start(ctx, c, out, implied)
	case "list":
		return in.list(c, out)
	}
	if err := graphs.named(in.GraphID); err != nil {
		return out, err
	}
	switch now := time.Now().UTC(); in.Action {
	case "add":
		return in.add(ctx, c, out)
	case "ask":
		return in.ask(ctx, c, out, now)
	case "tell":
		return in.tell(ctx, c, out, now)
	case "abandon":
		return in.abandon(ctx, c, out, now)
	case "analyze":
		g, err := graphs.read(c, in.GraphID)
		if err != nil {
			return out, err
		}
		return in.analyze(ctx, c, out, g)
	case "show":
		return in.show(c, out, now)
	case "export":
		g, err := graphs.read(c, in.GraphID)
		if err == nil {
			out.Export, err = in.export(c, g)
		}
		return out, err
	}
	c.Basis(tools.ClientSupplied)
	err = graphs.remove(ctx, c, in.GraphID)
	out.Deleted = err == nil
	return out, err
}

// settle decides on the action, and reports whether it had to, and gives old
// parameters their meaning or says that they have none.
func (in *GoTInput) settle(c *tools.Call) (implied bool, err error) {
	in.Chain.legacy(c)
	result(c, "paths", in.Paths)
	result(c, "optimalPath", in.OptimalPath)
	for i := range in.Edges {
		e := &in.Edges[i]
		if e.Type == "" {
			e.Type = e.EdgeType
		}
		if e.Type == "" {
			e.Type = string(got.LeadsTo)
		}
	}
	if in.Root != "" && len(in.Roots)+len(in.Nodes) == 0 {
		in.Roots = []string{in.Root}
	}
	if in.Action != "" {
		return false, nil
	}
	switch {
	case in.Ticket != "":
		in.Action = "tell"
	case in.GraphID != "" && len(in.Nodes)+len(in.Edges) > 0:
		in.Action = "add"
	case in.GraphID != "":
		in.Action = "show"
	case len(in.Roots)+len(in.Nodes) > 0 || c.Prompt != "":
		in.Action = "start"
	default:
		return true, tools.Badf("parameters.action", `what to do: {"nodes": […], "edges": […]} examines a graph of your thoughts; `+
			`{"roots": ["…"], "plan": [{"id": "write", "kind": "generate", "count": 3}]} starts a plan on them`)
	}
	return true, nil
}
