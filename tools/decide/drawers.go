package decide

import (
	"cmp"
	"maps"
	"slices"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/reason/decision"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Drawers shows decisions.
func Drawers() []tools.Drawer {
	return []tools.Drawer{tools.NewDrawer(decisions, (*Decision).Graph)}
}

// Graph draws the decision as the tree that it is: the options, and what may come
// of each, with its probability or its payoff. The option that the last analysis
// recommends, or those that were tied, are marked.
func (d *Decision) Graph() graph.Graph {
	s := sketch{last: &d.Last, options: map[string]string{}}
	s.node("decision", cmp.Or(d.Statement, "decision"), "root", map[string]string{"method": string(d.Last.Method)})
	for _, o := range d.Problem.Options {
		s.option(o)
	}
	for i, o := range d.Problem.Outcomes {
		label := ""
		if o.Probability != nil {
			label = "p=" + figure(*o.Probability)
		}
		id := s.node("outcome "+strconv.Itoa(i), figure(o.Value), "", nil)
		s.edge(s.known(o.Option), id, label)
	}
	s.payoffs(&d.Problem)
	return s.g
}

// sketch is a decision that is being drawn.
type sketch struct {
	g       graph.Graph
	last    *Verdict
	options map[string]string // nodes of options, by id and by name
}

func figure(v float64) string { return strconv.FormatFloat(v, 'g', 5, 64) }

func (s *sketch) node(id, label, kind string, attrs map[string]string) string {
	s.g.Nodes = append(s.g.Nodes, graph.Node{ID: id, Label: label, Kind: kind, Attrs: attrs})
	return id
}

func (s *sketch) edge(from, to, label string) {
	s.g.Edges = append(s.g.Edges, graph.Edge{From: from, To: to, Label: label})
}

func (s *sketch) option(o decision.Option) string {
	attrs := map[string]string{}
	for name, v := range o.Attributes {
		attrs[name] = figure(v)
	}
	kind := ""
	switch key := o.Key(); {
	case key == s.last.Recommendation:
		kind = "solution"
	case slices.Contains(s.last.Tied, key):
		kind = "active"
	}
	id := s.node("option "+strconv.Itoa(len(s.g.Edges)), cmp.Or(o.Name, o.ID), kind, attrs)
	s.edge("decision", id, "")
	for _, key := range []string{o.Name, o.ID} {
		s.options[key] = id
	}
	return id
}

// known returns the node of an option that is named elsewhere, which it may be
// the first to do.
func (s *sketch) known(key string) string {
	if id := s.options[key]; id != "" {
		return id
	}
	return s.option(decision.Option{ID: key})
}

// payoffs draws each as an edge from its option to its state.
func (s *sketch) payoffs(p *decision.Problem) {
	states := map[string]string{}
	state := func(name string) string {
		if states[name] == "" {
			attrs := map[string]string{}
			if p, ok := p.Probabilities[name]; ok {
				attrs["p"] = figure(p)
			}
			states[name] = s.node("state "+strconv.Itoa(len(states)), name, "", attrs)
		}
		return states[name]
	}
	if len(p.Payoffs) == 0 {
		return
	}
	for _, name := range p.States {
		state(name)
	}
	for _, option := range slices.Sorted(maps.Keys(p.Payoffs)) {
		from := s.known(option)
		for _, name := range slices.Sorted(maps.Keys(p.Payoffs[option])) {
			s.edge(from, state(name), figure(p.Payoffs[option][name]))
		}
	}
}
