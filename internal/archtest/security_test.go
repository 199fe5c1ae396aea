package archtest

import (
	"io/fs"
	"os"
	"strings"
	"testing"
)

// minThreats is how many threats SECURITY.md answers, at least.
const minThreats = 25

// TestThreatsAreAnswered holds SECURITY.md to what it promises: each threat has a
// control, and names tests that exist.
func TestThreatsAreAnswered(t *testing.T) {
	root := os.DirFS("../..")
	text, err := fs.ReadFile(root, "SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{} // by directory
	threats := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| threat ") {
			continue
		}
		threats++
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 {
			t.Errorf("%.40q has %d cells, want 3", line, len(cells))
			continue
		}
		if strings.TrimSpace(cells[1]) == "" {
			t.Errorf("nothing is done against %q", cells[0])
		}
		named := namedTest.FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 || len(named) != strings.Count(cells[2], "`")/2 {
			t.Errorf("%q is shown by %q: want tests as `dir.TestName`", cells[0], cells[2])
		}
		for _, n := range named {
			if tests[n[1]] == nil {
				tests[n[1]] = testsIn(t, root, n[1])
			}
			if !tests[n[1]][n[2]] {
				t.Errorf("%q: there is no test %s in %s", cells[0], n[2], n[1])
			}
		}
	}
	if threats < minThreats {
		t.Errorf("%d threats, want at least %d", threats, minThreats)
	}
}
