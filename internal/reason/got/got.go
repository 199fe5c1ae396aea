// Package got keeps graphs of thoughts: thoughts are made from several others,
// merged, refined and scored along a plan of operations (Besta et al., Graph of
// thoughts, 2023).
//
// A plan is a directed acyclic graph of operations. One is ready when all before
// it are done; its input is what they put out. What only the client can do is
// handed out as tickets (ask) and taken back (tell); keeping the best is
// computed. Thoughts and typed edges can also be added by hand, and the graph
// can be examined: support, contradictions, rank, volume, components.
package got

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/internal/reason/ticket"
)

// Bounds.
const (
	MaxThoughts   = 5000
	MaxEdges      = 20_000
	MaxOperations = 200
	MaxAfter      = 32
	MaxContent    = 8192 // bytes
	MaxName       = 64   // bytes of an operation's id
	MaxCount      = 64   // thoughts of one generation, and inputs of one merge
	MaxScore      = 1e12
)

// Kind says what an operation does with each thought, or group, of its input.
type Kind string

// The kinds.
const (
	Generate  Kind = "generate"  // asks for up to Count new thoughts from one
	Aggregate Kind = "aggregate" // asks for one thought from Count, or from all
	Refine    Kind = "refine"    // asks for a better version of one
	Score     Kind = "score"     // asks for a number, and passes the thought on
	KeepBest  Kind = "keepBest"  // computes: passes on the Count of highest score
	Validate  Kind = "validate"  // asks whether one holds, and passes on those that do
)

// Operation is one step of a plan.
type Operation struct {
	ID    string   `json:"id" doc:"Unique name." required:"true" maxLen:"64"`
	Kind  Kind     `json:"kind" enum:"generate|aggregate|refine|score|keepBest|validate" required:"true"`
	After []string `json:"after,omitempty" doc:"Operations whose output is its input. None: the roots." maxItems:"32"`
	Count int      `json:"count,omitempty" doc:"generate: thoughts to ask for from each; aggregate: thoughts to merge into one, 0 for all; keepBest: thoughts to keep." min:"0" max:"64"`
}

// Step is the state of an operation.
type Step struct {
	Operation
	Started bool  `json:"started,omitempty"`
	Done    bool  `json:"done,omitempty"`
	Jobs    []Job `json:"jobs,omitempty"`
	Out     []int `json:"out,omitempty"`
}

// Job is one thing that an operation asks the client.
type Job struct {
	In   []int `json:"in"`
	Out  []int `json:"out,omitempty"`
	Done bool  `json:"done,omitempty"`
}

// Thought is a node.
type Thought struct {
	Content string   `json:"content"`
	Type    string   `json:"type,omitempty"` // such as hypothesis or evidence; the client's word
	Score   *float64 `json:"score,omitempty"`
	Valid   *bool    `json:"valid,omitempty"`
	Note    string   `json:"note,omitempty"`
	By      string   `json:"by,omitempty"` // the operation that made it
}

// Relation is the type of an edge.
type Relation string

// The relations. Those that say where a thought comes from must not close
// cycles.
const (
	Derives      Relation = "derives" // from premise to what follows
	Aggregates   Relation = "aggregates"
	Refines      Relation = "refines" // from the old version to the new
	DependsOn    Relation = "depends-on"
	LeadsTo      Relation = "leads-to"
	Supports     Relation = "supports"
	Contradicts  Relation = "contradicts"
	Questions    Relation = "questions"
	Alternatives Relation = "alternatives"
	Elaborates   Relation = "elaborates"
)

// Relations returns all relations.
func Relations() []Relation {
	return []Relation{Derives, Aggregates, Refines, DependsOn, LeadsTo, Supports, Contradicts, Questions, Alternatives, Elaborates}
}

// Acyclic reports whether edges of this relation, together with the others of
// which that holds, must not close a cycle.
func (r Relation) Acyclic() bool {
	switch r {
	case Derives, Aggregates, Refines, DependsOn, LeadsTo:
		return true
	}
	return false
}

// Edge is a typed edge.
type Edge struct {
	From     int      `json:"from"`
	To       int      `json:"to"`
	Relation Relation `json:"relation"`
	Weight   float64  `json:"weight"` // strength, 0 to 1
}

// Graph is a graph of thoughts. It is plain data that survives a JSON round
// trip, and it is not safe for concurrent use. Time is passed in; nothing in it
// is random.
type Graph struct {
	Thoughts []Thought         `json:"thoughts"`
	Edges    []Edge            `json:"edges"`
	Roots    []int             `json:"roots"` // the input of operations without predecessors
	Plan     []Step            `json:"plan"`
	Dropped  int               `json:"dropped,omitempty"` // for which there was no room
	Tickets  ticket.Book[Told] `json:"tickets"`
}

// New returns a graph of root thoughts with a plan, which may be empty. tag
// names it among others, for its tickets.
func New(roots []string, plan []Operation, tag string) (*Graph, error) {
	thoughts, all := make([]Thought, len(roots)), make([]int, len(roots))
	for i, text := range roots {
		if err := problem.CheckText(fmt.Sprintf("roots[%d]", i), text, MaxContent); err != nil {
			return nil, err
		}
		thoughts[i], all[i] = Thought{Content: text}, i
	}
	return NewFrom(thoughts, nil, all, plan, tag)
}

// NewFrom is New with thoughts and edges that are there already; roots are those
// that the plan begins with. The path of what is wrong with an edge is its place
// in edges.
func NewFrom(thoughts []Thought, edges []Edge, roots []int, plan []Operation, tag string) (*Graph, error) {
	if err := ticket.CheckTag(tag); err != nil {
		return nil, err
	}
	if n := len(roots); n < 1 || n > MaxCount {
		return nil, problem.Bad("roots", fmt.Sprintf("1 to %d", MaxCount), "%d", n)
	}
	g := &Graph{Thoughts: []Thought{}, Edges: []Edge{}, Roots: slices.Clone(roots), Plan: []Step{}}
	if err := g.Extend(thoughts, edges); err != nil {
		return nil, err
	}
	if err := g.known("roots", roots); err != nil {
		return nil, err
	}
	if err := checkPlan(plan); err != nil {
		return nil, err
	}
	for _, o := range plan {
		o.After = slices.Clone(o.After)
		g.Plan = append(g.Plan, Step{Operation: o})
	}
	g.Tickets.Tag = tag
	g.advance()
	return g, nil
}

func checkPlan(plan []Operation) error {
	if len(plan) > MaxOperations {
		return problem.Bad("plan", fmt.Sprintf("at most %d operations", MaxOperations), "%d", len(plan))
	}
	index := map[string]int{}
	for i, o := range plan {
		path := fmt.Sprintf("plan[%d]", i)
		if err := problem.CheckText(path+".id", o.ID, MaxName); err != nil {
			return err
		}
		if _, twice := index[o.ID]; twice {
			return problem.Bad(path+".id", "an id of its own", "%q is used already", o.ID)
		}
		index[o.ID] = i
		switch o.Kind {
		case Generate, KeepBest:
			if o.Count < 1 || o.Count > MaxCount {
				return problem.Bad(path+".count", fmt.Sprintf("1 to %d, for %s", MaxCount, o.Kind), "%d", o.Count)
			}
		case Aggregate:
			if o.Count == 1 || o.Count < 0 || o.Count > MaxCount {
				return problem.Bad(path+".count", fmt.Sprintf("0, or 2 to %d", MaxCount), "%d", o.Count)
			}
		case Refine, Score, Validate:
			if o.Count != 0 {
				return problem.Bad(path+".count", "nothing, for "+string(o.Kind), "%d", o.Count)
			}
		default:
			return problem.Bad(path+".kind", "generate, aggregate, refine, score, keepBest or validate", "%.32q", string(o.Kind))
		}
		if len(o.After) > MaxAfter {
			return problem.Bad(path+".after", fmt.Sprintf("at most %d", MaxAfter), "%d", len(o.After))
		}
	}
	return checkOrder(plan, index)
}

// checkOrder refuses predecessors that do not exist, and cycles.
func checkOrder(plan []Operation, index map[string]int) error {
	state := make([]uint8, len(plan)) // 0 new, 1 on the path, 2 done
	var visit func(i int) error       // as deep as the plan is long
	visit = func(i int) error {
		state[i] = 1
		for k, name := range plan[i].After {
			path := fmt.Sprintf("plan[%d].after[%d]", i, k)
			j, known := index[name]
			switch {
			case !known:
				return problem.Bad(path, "the id of an operation", "%.64q", name)
			case slices.Index(plan[i].After, name) != k:
				return problem.Bad(path, "each operation once", "%.64q", name)
			case state[j] == 1:
				return problem.Bad(path, "an operation that does not wait for this one", "%.64q closes a cycle", name)
			case state[j] == 0:
				if err := visit(j); err != nil {
					return err
				}
			}
		}
		state[i] = 2
		return nil
	}
	for i := range plan {
		if state[i] == 0 {
			if err := visit(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// Add puts a thought into the graph by hand.
func (g *Graph) Add(t Thought) (int, error) {
	if len(g.Thoughts) >= MaxThoughts {
		return 0, fault.Newf(fault.TooLarge, "the graph has %d thoughts; expected at most %d", len(g.Thoughts)+1, MaxThoughts)
	}
	if err := checkThought("thought", &t); err != nil {
		return 0, err
	}
	t.By = ""
	g.Thoughts = append(g.Thoughts, t)
	return len(g.Thoughts) - 1, nil
}

// Extend is Add and Connect for many. Where one is refused, those before it are
// in the graph.
func (g *Graph) Extend(thoughts []Thought, edges []Edge) error {
	for i, t := range thoughts {
		if err := checkThought(fmt.Sprintf("nodes[%d]", i), &t); err != nil {
			return err
		}
		if _, err := g.Add(t); err != nil {
			return err
		}
	}
	for i, e := range edges {
		if err := g.checkEdge(fmt.Sprintf("edges[%d]", i), e); err != nil {
			return err
		}
		if err := g.Connect(e); fault.KindOf(err) == fault.Conflict {
			return problem.Bad(fmt.Sprintf("edges[%d]", i), "an edge that closes no cycle", "%s", fault.From(err).Public)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Connect adds an edge. One that would close a cycle where Relation.Acyclic
// forbids it is refused with fault.Conflict, and the cycle is named. The same
// edge again replaces the weight.
func (g *Graph) Connect(e Edge) error {
	if err := g.checkEdge("edge", e); err != nil {
		return err
	}
	for i := range g.Edges {
		if o := &g.Edges[i]; o.From == e.From && o.To == e.To && o.Relation == e.Relation {
			o.Weight = e.Weight
			return nil
		}
	}
	if len(g.Edges) >= MaxEdges {
		return fault.Newf(fault.TooLarge, "the graph has %d edges; expected at most %d", len(g.Edges)+1, MaxEdges)
	}
	if e.Relation.Acyclic() {
		if back := g.route(e.To, e.From); back != nil {
			return fault.Newf(fault.Conflict, "an edge %s from thought %d to %d would close the cycle %v", e.Relation, e.From, e.To, append(back, e.To))
		}
	}
	g.Edges = append(g.Edges, e)
	return nil
}

// route returns a path along acyclic relations, nil if there is none.
func (g *Graph) route(from, to int) []int {
	out := g.lists(Relation.Acyclic, false)
	before := map[int]int{from: -1}
	queue := []int{from}
	for k := 0; k < len(queue); k++ {
		if queue[k] == to {
			var path []int
			for at := to; at >= 0; at = before[at] {
				path = append(path, at)
			}
			slices.Reverse(path)
			return path
		}
		for _, e := range out[queue[k]] {
			next := g.Edges[e].To
			if _, seen := before[next]; !seen {
				before[next] = queue[k]
				queue = append(queue, next)
			}
		}
	}
	return nil
}

// lists returns the edges out of, or into, each thought.
func (g *Graph) lists(want func(Relation) bool, in bool) [][]int {
	out := make([][]int, len(g.Thoughts))
	for i, e := range g.Edges {
		if want(e.Relation) {
			at := e.From
			if in {
				at = e.To
			}
			out[at] = append(out[at], i)
		}
	}
	return out
}

func (g *Graph) checkEdge(path string, e Edge) error {
	n := len(g.Thoughts)
	switch {
	case e.From < 0 || e.From >= n || e.To < 0 || e.To >= n || e.From == e.To:
		return problem.Bad(path, fmt.Sprintf("two thoughts from 0 to %d", n-1), "%d and %d", e.From, e.To)
	case !slices.Contains(Relations(), e.Relation):
		return problem.Bad(path+".relation", "a known relation", "%.32q", string(e.Relation))
	case !(e.Weight >= 0 && e.Weight <= 1):
		return problem.Bad(path+".weight", "0 to 1", "%v", e.Weight)
	}
	return nil
}

func checkThought(path string, t *Thought) error {
	if err := problem.CheckText(path+".content", t.Content, MaxContent); err != nil {
		return err
	}
	for _, text := range []string{t.Type, t.Note, t.By} {
		if len(text) > MaxContent || !utf8.ValidString(text) {
			return problem.Bad(path, fmt.Sprintf("texts of at most %d bytes of UTF-8", MaxContent), "another one")
		}
	}
	if s := t.Score; s != nil && !(*s >= -MaxScore && *s <= MaxScore) {
		return problem.Bad(path+".score", fmt.Sprintf("a number of size at most %v", MaxScore), "%v", *s)
	}
	return nil
}
