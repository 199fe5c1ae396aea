package mcts_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/reason/mcts"
)

func TestExportEscapes(t *testing.T) {
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

	mermaid := must[string](t)(tree.Export(mcts.Mermaid))
	lines := strings.Split(strings.TrimSuffix(mermaid, "\n"), "\n")
	if len(lines) != 1+7+6 || lines[0] != "flowchart TD" {
		t.Fatalf("mermaid has %d lines:\n%s", len(lines), mermaid)
	}
	for i, line := range lines[1:8] {
		prefix, suffix := fmt.Sprintf(`  n%d["`, i), `"]`
		inner, okA := strings.CutPrefix(line, prefix)
		inner, okB := strings.CutSuffix(inner, suffix)
		if text, _, _ := strings.Cut(inner, "<br/>"); !okA || !okB || strings.ContainsAny(text, "\"<>[](){}|`&%\\:/=") || strings.Count(inner, "<br/>") != 1 {
			t.Errorf("mermaid line %q", line)
		}
	}
	if want := `  n1["#34;#93;#59; click n0 #34;javascript#58;alert#40;1#41;#34;<br/>N=1 Q=0.500"]`; lines[2] != want {
		t.Errorf("mermaid line %q, want %q", lines[2], want)
	}

	dot := must[string](t)(tree.Export(mcts.DOT))
	lines = strings.Split(strings.TrimSuffix(dot, "\n"), "\n")
	if len(lines) != 3+7+6 {
		t.Fatalf("dot has %d lines:\n%s", len(lines), dot)
	}
	for _, line := range lines[2:9] {
		_, quoted, _ := strings.Cut(line, `label="`)
		end := 0
		for end < len(quoted) && quoted[end] != '"' {
			if quoted[end] == '\\' {
				end++
				if !strings.ContainsRune(`\"n`, rune(quoted[end])) {
					t.Errorf("dot escapes %q in %q", quoted[end], line)
				}
			}
			end++
		}
		if quoted[end:] != `"];` {
			t.Errorf("dot line %q goes on after its label with %q", line, quoted[end:])
		}
	}

	text := must[string](t)(tree.Export(mcts.JSON))
	if strings.ContainsAny(text, "<>&") {
		t.Error("the JSON holds < > or & unescaped")
	}
	var back mcts.Tree
	if err := json.Unmarshal([]byte(text), &back); err != nil || back.Nodes[1].Content != hostile[0] {
		t.Errorf("JSON export does not read back: %v", err)
	}
	if again := must[string](t)(back.Export(mcts.JSON)); again != text {
		t.Errorf("JSON export reads back as\n%s\nwant\n%s", again, text)
	}
}
