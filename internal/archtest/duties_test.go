package archtest

import (
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"
)

var dutyRow = regexp.MustCompile(`^\| ([A-Z]\d+[a-c]?) \|`)

// duties are the numbered lines of the two lists: the last number of each letter,
// and the lines that were put between two others.
var duties = map[string]struct {
	first, last map[string]int
	between     []string
}{
	"docs/duties-base.md": {
		first: map[string]int{"X": 0},
		last:  map[string]int{"A": 27, "B": 8, "C": 30, "D": 10, "E": 5, "F": 5, "G": 4, "H": 2, "S": 4, "T": 16, "X": 7, "Z": 12},
	},
	"docs/duties-features.md": {
		last:    map[string]int{"I": 5, "J": 12, "K": 5, "L": 3, "M": 5, "N": 5, "O": 12, "P": 18, "Q": 16, "R": 7, "U": 8},
		between: []string{"O11b", "O11c"},
	},
}

// TestDutiesAreShown holds the lists of duties to what they promise: each duty of
// the protocol has one row, and the last cell of each row names a test or says why
// there is none.
func TestDutiesAreShown(t *testing.T) {
	root := os.DirFS("../..")
	for file, want := range duties {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			t.Error(err)
			continue
		}
		rows := map[string]bool{}
		for line := range strings.Lines(string(text)) {
			m := dutyRow.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			if rows[m[1]] {
				t.Errorf("%s: %s has two rows", file, m[1])
			}
			rows[m[1]] = true
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			shown := strings.TrimSpace(cells[len(cells)-1])
			named := namedTest.FindAllStringSubmatch(shown, -1)
			if len(named) == 0 && len(strings.Fields(shown)) < 3 {
				t.Errorf("%s: %s is shown by %q: want tests as `dir.TestName`, or a reason", file, m[1], shown)
			}
		}
		for letter, last := range want.last {
			first := 1
			if n, ok := want.first[letter]; ok {
				first = n
			}
			for n := first; n <= last; n++ {
				if id := fmt.Sprint(letter, n); !rows[id] {
					t.Errorf("%s: %s has no row", file, id)
				}
			}
		}
		for _, id := range want.between {
			if !rows[id] {
				t.Errorf("%s: %s has no row", file, id)
			}
		}
	}
}

// TestNamedTestsExist looks for every test that a document names as dir.TestName.
func TestNamedTestsExist(t *testing.T) {
	root := os.DirFS("../..")
	files, err := fs.Glob(root, "docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]map[string]bool{} // by directory
	for _, file := range append(files, "README.md", "SECURITY.md", "ARCHITECTURE.md", "CONTRIBUTING.md") {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range namedTest.FindAllStringSubmatch(string(text), -1) {
			if tests[n[1]] == nil {
				tests[n[1]] = testsIn(t, root, n[1])
			}
			if !tests[n[1]][n[2]] {
				t.Errorf("%s: there is no test %s in %s", file, n[2], n[1])
			}
		}
	}
}
