package mcts_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

// Whatever contents hold, a drawing has one node for each node of the tree, and
// nothing else.
func TestContentsStayContents(t *testing.T) {
	hostile := []string{
		`"]; click n0 "javascript:alert(1)"`,
		"</script><img src=x onerror=alert(1)>",
		"a\"];\n  evil [shape=none]; //",
		`\N\G\" ] --> n0`,
		"line\nbreak\x00\x1b[31m\u202eright to left #quot; &lt; `code` %%{init}%%",
		strings.Repeat("long ", 100),
	}
	tree := newTree(t, mcts.Settings{}, hostile...)
	tell(t, tree, ask(t, tree, 1, noon)[0].ID, .5)
	g := tree.Graph()
	if len(g.Nodes) != 7 || len(g.Edges) != 6 || g.Nodes[1].Label != hostile[0] {
		t.Fatalf("%+v", g)
	}
	mermaid, _, err := g.Draw(graph.Mermaid, 0)
	if want := `  n1["#34;#93;#59; click n0 #34;javascript#58;alert#40;1#41;#34;<br/>N#61;1 Q#61;0.500"]`; err != nil || !strings.Contains(mermaid, want+"\n") {
		t.Errorf("%v: no line %s in\n%s", err, want, mermaid)
	}
	if n := strings.Count(mermaid, "\n"); n != 1+7+6+1 { // and the colour of the root
		t.Errorf("%d lines of Mermaid:\n%s", n, mermaid)
	}
	dot, _, err := g.Draw(graph.DOT, 0)
	if n := strings.Count(dot, "\n"); err != nil || n != 3+7+6 {
		t.Errorf("%v, %d lines of DOT:\n%s", err, n, dot)
	}
	text, err := json.Marshal(tree)
	if err != nil || strings.ContainsAny(string(text), "<>&") {
		t.Errorf("%v, or the JSON holds < > or & unescaped", err)
	}
	var back mcts.Tree
	if err := json.Unmarshal(text, &back); err != nil || back.Nodes[1].Content != hostile[0] {
		t.Errorf("the tree does not read back: %v", err)
	}
}

func TestGraphShowsWhatNodesAre(t *testing.T) {
	tree := newTree(t, mcts.Settings{}, "good", "dead", "open", "new")
	for _, value := range []float64{.75, 0} {
		ticket := ask(t, tree, 1, noon)[0]
		if _, err := tree.Tell(ticket.ID, mcts.Tell{Value: &value, Terminal: true}, noon); err != nil {
			t.Fatal(err)
		}
	}
	ask(t, tree, 1, noon)
	g := tree.Graph()
	for i, want := range []string{"root", "completed", "dead", "active", ""} {
		if n := g.Nodes[i]; n.Kind != want || (n.Attrs["end"] != "") != (i == 1 || i == 2) {
			t.Errorf("node %d: %+v, want %q", i, n, want)
		}
	}
	if a := g.Nodes[1].Attrs; a["N"] != "1" || a["Q"] != "0.750" || g.Edges[3] != (graph.Edge{From: "n0", To: "n4"}) {
		t.Errorf("%+v", g)
	}
}
