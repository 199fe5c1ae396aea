package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

func TestDrawersAreOfSlots(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range catalog.Drawers() {
		if seen[d.Slot] || !slices.ContainsFunc(catalog.SlotTypes(), func(s session.SlotType) bool { return s.Name == d.Slot }) {
			t.Errorf("the drawer of %q is of no slot, or the second of one", d.Slot)
		}
		seen[d.Slot] = true
	}
}

func drawer(t *testing.T, slot string) tools.Drawer {
	t.Helper()
	all := catalog.Drawers()
	i := slices.IndexFunc(all, func(d tools.Drawer) bool { return d.Slot == slot })
	if i < 0 {
		t.Fatalf("no drawer of %s", slot)
	}
	return all[i]
}

func labels(g graph.Graph) (out []string) {
	for _, n := range g.Nodes {
		out = append(out, n.Kind+" "+n.Label)
	}
	return out
}

// A chain is drawn with all its texts, also those that were put aside, its
// branches and its revisions.
func TestChainIsDrawn(t *testing.T) {
	d := newDesk(t)
	if g, version, err := drawer(t, "sequential").Graph(d.h, ""); version != 0 || err != nil || len(g.Nodes) != 0 {
		t.Errorf("of nothing: %+v, %d, %v", g, version, err)
	}
	for _, p := range []string{
		`{"thought":"first","nextThoughtNeeded":true}`,
		`{"thought":"second, and 2 + 2 = 5","nextThoughtNeeded":true,"confidence":0.5}`,
		`{"thought":"better","revisesThought":2,"nextThoughtNeeded":true}`,
		`{"thought":"aside","branchFromThought":1,"branchId":"side","nextThoughtNeeded":true}`,
	} {
		d.must("sequential_thinking", p)
	}
	g, version, err := drawer(t, "sequential").Graph(d.h, "")
	if err != nil || version != d.h.Version() {
		t.Fatal(err, version)
	}
	// A revision takes the next number, or that of the thought it revises.
	got := labels(g)
	if len(got) != 4 || got[0] != "root 1: first" || got[1] != "pruned 2: second, and 2 + 2 = 5" || !strings.HasSuffix(got[2], ": better") || !strings.HasSuffix(got[3], ": aside") {
		t.Errorf("%q", got)
	}
	want := []graph.Edge{{From: "t1", To: "t2"}, {From: "t1", To: "t3"}, {From: "t2", To: "t3", Label: "revised", Kind: "revises"}, {From: "t1", To: "t4"}}
	if !slices.Equal(g.Edges, want) || g.Nodes[3].Attrs["branch"] != "side" || g.Nodes[1].Attrs["confidence"] != "0.5" || g.Nodes[1].Attrs["refuted"] != "1" {
		t.Errorf("%+v", g)
	}
	d.fill(200) // enough for texts to be put aside
	g, _, err = drawer(t, "sequential").Graph(d.h, "")
	if err != nil || g.Validate() != nil || len(g.Nodes) < 200 {
		t.Fatalf("%v, %v, %d nodes", err, g.Validate(), len(g.Nodes))
	}
	for _, n := range g.Nodes {
		if strings.HasSuffix(n.Label, ": ") {
			t.Errorf("%s has no text", n.ID)
		}
	}
	if _, version, err := drawer(t, "sequential").Graph(d.h, "key"); version != 0 || err != nil {
		t.Errorf("of a key: %d, %v", version, err)
	}
}

func TestDecisionIsDrawn(t *testing.T) {
	d := newDesk(t)
	id := field[string](t, d.must("decision_framework", `{"decisionStatement":"Which?","options":[{"name":"a","attributes":{"x":1}},{"id":"o2","name":"b","attributes":{"x":2}}],"criteria":[{"name":"x"}]}`), "decisionId")
	g, version, err := drawer(t, "decision").Graph(d.h, id)
	if err != nil || version == 0 || g.Validate() != nil {
		t.Fatal(err, version, g.Validate())
	}
	if got := labels(g); !slices.Equal(got, []string{"root Which?", " a", "solution b"}) || g.Nodes[2].Attrs["x"] != "2" || len(g.Edges) != 2 {
		t.Errorf("%+v", g)
	}
	for name, c := range map[string]struct {
		parameters string
		nodes      int
		edges      []graph.Edge
	}{
		"payoffs": {
			`{"analysisType":"expected-utility","options":[{"name":"a"},{"name":"b"}],"payoffs":{"a":{"dry":3,"wet":1},"b":{"dry":2,"wet":2}},"probabilities":{"dry":0.25,"wet":0.75}}`,
			5,
			[]graph.Edge{
				{From: "option 0", To: "state 0", Label: "3"},
				{From: "option 0", To: "state 1", Label: "1"},
				{From: "option 1", To: "state 0", Label: "2"},
				{From: "option 1", To: "state 1", Label: "2"},
			},
		},
		"outcomes": {
			`{"analysisType":"expected-utility","options":[{"name":"a"},{"name":"b"}],"possibleOutcomes":[{"option":"a","probability":1,"value":3},{"option":"b","probability":0.5,"value":9},{"option":"b","probability":0.5,"value":0}]}`,
			6,
			[]graph.Edge{{From: "option 0", To: "outcome 0", Label: "p=1"}, {From: "option 1", To: "outcome 1", Label: "p=0.5"}, {From: "option 1", To: "outcome 2", Label: "p=0.5"}},
		},
	} {
		id := field[string](t, d.must("decision_framework", c.parameters), "decisionId")
		g, _, err := drawer(t, "decision").Graph(d.h, id)
		if err != nil || g.Validate() != nil || len(g.Nodes) != c.nodes {
			t.Errorf("%s: %v, %v, %+v", name, err, g.Validate(), g)
		}
		for _, e := range c.edges {
			if !slices.Contains(g.Edges, e) {
				t.Errorf("%s: no edge %+v in %+v", name, e, g.Edges)
			}
		}
	}
}
