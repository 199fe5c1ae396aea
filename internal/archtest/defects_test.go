package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	defectRow  = regexp.MustCompile(`^\| D(\d+) \|`)
	namedTest  = regexp.MustCompile("`([a-z0-9/]+)\\.(Test\\w+)`")
	firstShown = 26 // the defects of sessions, persistence and identity
	lastShown  = 48
)

// TestDefectsAreShown holds docs/defects.md to what it promises: each defect has
// a row, and each row names tests that exist.
func TestDefectsAreShown(t *testing.T) {
	root := os.DirFS("../..")
	text, err := fs.ReadFile(root, "docs/defects.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	tests := map[string]map[string]bool{} // by directory
	for line := range strings.Lines(string(text)) {
		m := defectRow.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if rows[m[1]] {
			t.Errorf("D%s has two rows", m[1])
		}
		rows[m[1]] = true
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 4 {
			t.Errorf("D%s has %d cells, want 4", m[1], len(cells))
			continue
		}
		named := namedTest.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 || len(named) != strings.Count(cells[3], "`")/2 {
			t.Errorf("D%s is shown by %q: want tests as `dir.TestName`", m[1], cells[3])
		}
		for _, n := range named {
			if tests[n[1]] == nil {
				tests[n[1]] = testsIn(t, root, n[1])
			}
			if !tests[n[1]][n[2]] {
				t.Errorf("D%s: there is no test %s in %s", m[1], n[2], n[1])
			}
		}
	}
	for n := firstShown; n <= lastShown; n++ {
		if !rows[fmt.Sprint(n)] {
			t.Errorf("D%d has no row", n)
		}
	}
}

// testsIn returns the names of the tests of one directory.
func testsIn(t *testing.T, root fs.FS, dir string) map[string]bool {
	t.Helper()
	files, err := fs.Glob(root, path.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		src, err := fs.ReadFile(root, file)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, src, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}
