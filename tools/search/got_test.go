package search_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools/search"
)

func TestGoTPageRank(t *testing.T) {
	d := newDesk(t)
	out, e := must[search.GoTOutput](d, "graph_of_thought", `{"nodes":[{"id":"A","content":"a"},{"id":"B","label":"b"},{"id":"C","content":"c"}],
		"edges":[{"from":"A","to":"B","type":"supports"},{"from":"B","to":"C","type":"supports"},{"from":"C","to":"A","type":"supports"},{"from":"A","to":"C","edgeType":"supports"}]}`)
	for i, want := range []float64{.3878, .2148, .3974} {
		if got := out.Analysis.PageRank.Ranks[i]; math.Abs(got-want) > 5e-5 {
			t.Errorf("rank %d is %v, want %v", i, got, want)
		}
	}
	// B is between A and C but for the way that is shorter; A and C are on the ways around.
	if b := out.Analysis.Betweenness; !b.All || !slices.Equal(b.Values, []float64{1, 0, 1}) {
		t.Errorf("betweenness %+v", b)
	}
	if a := out.Analysis; len(a.Circles) != 1 || len(a.Circles[0]) != 3 || out.IDs["C"] != 2 || e.Basis != "computed" || !a.PageRank.Converged {
		t.Errorf("%+v, ids %v, basis %q", a, out.IDs, e.Basis)
	}
}

// One root is split into eight, which are merged by pairs: 4, 2 and 1.
func TestGoTPlanVolume(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.GoTOutput](d, "graph_of_thought", `{"roots":["sort"],"plan":[{"id":"split","kind":"generate","count":8},{"id":"four","kind":"aggregate","count":2,"after":["split"]},
		{"id":"two","kind":"aggregate","count":2,"after":["four"]},{"id":"one","kind":"aggregate","count":2,"after":["two"]}]}`)
	id := out.GraphID
	for range 20 {
		out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"action":"ask","graphId":%q,"n":8}`, id)
		for _, k := range out.Tickets {
			var made []string
			for i := range k.Wanted {
				made = append(made, fmt.Sprintf(`{"content":"%s %d"}`, k.Operation, i))
			}
			must[search.GoTOutput](d, "graph_of_thought", `{"graphId":%q,"ticket":%q,"thoughts":[%s]}`, id, k.ID, strings.Join(made, ","))
		}
	}
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"action":"analyze","graphId":%q,"from":0,"to":15}`, id)
	if a := out.Analysis; len(a.Volume) != 16 || a.Volume[15] != 15 || a.Latency[15] != 4 || a.Strongest != nil {
		t.Errorf("%+v", a)
	}
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"graphId":%q,"offset":14,"count":5}`, id)
	if s := out.State; !s.Done || s.Total != 16 || s.Edges != 22 || len(s.Thoughts) != 2 || s.Thoughts[1].Number != 15 {
		t.Errorf("%+v", s)
	}
	d.refused("parameters.edges[0]", "would close the cycle", "graph_of_thought", `{"graphId":%q,"edges":[{"from":15,"to":0,"type":"aggregates"}]}`, id)
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"action":"list"}`)
	if g := out.Graphs[0]; g.Edges != 22 || g.Steps != 4 {
		t.Errorf("a refused edge changed the graph: %+v", g)
	}
}

// What sequential_thinking hands over is a root.
func TestGoTRoot(t *testing.T) {
	d := newDesk(t)
	out, e := must[search.GoTOutput](d, "graph_of_thought", `{"root":"one"}`)
	if len(e.Warnings) != 1 || e.Warnings[0].Code != "nothing_computed" {
		t.Errorf("warnings %v", e.Warnings)
	}
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"graphId":%q}`, out.GraphID)
	if s := out.State; s.Total != 1 || s.Thoughts[0].Content != "one" {
		t.Errorf("%+v", s)
	}
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"root":"one","nodes":["a","b"],"edges":[{"from":0,"to":1}]}`)
	if len(out.Added) != 2 || out.Added[0] != 0 || len(out.Analysis.Volume) != 2 {
		t.Errorf("the root beside nodes: %+v", out)
	}
}

func TestGoTContradiction(t *testing.T) {
	d := newDesk(t)
	out, e := must[search.GoTOutput](d, "graph_of_thought", `{"nodes":["for","against","yes","no"],"edges":[{"from":0,"to":2,"type":"supports"},{"from":1,"to":3,"type":"supports"},{"from":2,"to":3,"type":"contradicts"}],"from":0,"to":3}`)
	if c := out.Analysis.Contradictions; len(c) != 1 || !c[0].Conflict || !warned(e, "no_path") {
		t.Fatalf("%+v, %v", c, e.Warnings)
	}
	if len(e.Next) < 1 || !strings.Contains(e.Next[0].Why, "2 and 3 contradict") {
		t.Errorf("next %+v", e.Next)
	}
}

func TestGoTBadArguments(t *testing.T) {
	d := newDesk(t)
	out, _ := must[search.GoTOutput](d, "graph_of_thought", `{"roots":["r"],"plan":[{"id":"rate","kind":"score"}]}`)
	id := out.GraphID
	out, _ = must[search.GoTOutput](d, "graph_of_thought", `{"action":"ask","graphId":%q}`, id)
	ticket := out.Tickets[0].ID
	for _, x := range []struct{ path, want, parameters string }{
		{"parameters.action", `{"nodes": […], "edges": […]}`, `{}`},
		{"parameters.action", "one of start, add", `{"action":"think"}`},
		{"parameters.graphId", "as action start returned it", `{"action":"analyze"}`},
		{"parameters.graphId", "action list shows them", `{"action":"analyze","graphId":"graph_x"}`},
		{"parameters.roots", "thoughts to begin with", `{"action":"start"}`},
		{"parameters.roots[1]", "a text", `{"roots":["a"," "]}`},
		{"parameters.nodes[0].score", "size at most", `{"roots":["a"],"nodes":[{"content":"b","score":1e13}]}`},
		{"parameters.nodes[1].id", "an id of its own", `{"nodes":[{"id":"a","content":"a"},{"id":"a","content":"b"}]}`},
		{"parameters.nodes[0]", "a text, or an object", `{"nodes":[7]}`},
		{"parameters.edges[0].to", "the id of a node", `{"nodes":["a"],"edges":[{"from":0,"to":"b"}]}`},
		{"parameters.edges[0]", "two thoughts from 0 to 0", `{"nodes":["a"],"edges":[{"from":0,"to":1}]}`},
		{"parameters.edges[0].weight", "from 0 to 1", `{"nodes":["a"],"edges":[{"from":0,"to":1,"weight":2}]}`},
		{"parameters.edges[1]", "closes no cycle", `{"nodes":["a","b"],"edges":[{"from":0,"to":1},{"from":1,"to":0}]}`},
		{"parameters.plan[0].count", "for generate", `{"roots":["a"],"plan":[{"id":"w","kind":"generate"}]}`},
		{"parameters.plan[1].after[0]", "closes a cycle", `{"roots":["a"],"plan":[{"id":"w","kind":"score","after":["v"]},{"id":"v","kind":"score","after":["w"]}]}`},
		{"parameters.nodes", "nodes or edges to put in", fmt.Sprintf(`{"action":"add","graphId":%q}`, id)},
		{"parameters.from", "from and to, or neither", fmt.Sprintf(`{"action":"analyze","graphId":%q,"from":0}`, id)},
		{"parameters.from", "two thoughts of the graph", fmt.Sprintf(`{"action":"analyze","graphId":%q,"from":0,"to":9}`, id)},
		{"parameters.ticket", "that action ask returned", fmt.Sprintf(`{"action":"tell","graphId":%q}`, id)},
		{"parameters.score", "a number to score", fmt.Sprintf(`{"graphId":%q,"ticket":%q}`, id, ticket)},
		{"parameters.score", "size at most", fmt.Sprintf(`{"graphId":%q,"ticket":%q,"score":1e13}`, id, ticket)},
		{"parameters.thoughts", "0 to 0, to score", fmt.Sprintf(`{"graphId":%q,"ticket":%q,"score":1,"thoughts":[{"content":"x"}]}`, id, ticket)},
	} {
		d.refused(x.path, x.want, "graph_of_thought", "%s", x.parameters)
	}
}
