// Package archtest proves that the source tree keeps to its architecture.
//
// The rules are data (rules.go): the layers that imports may only go down, the
// fences around third-party packages, and the few things that only a program's
// main package may touch. Check reads the files itself, whatever their build
// tags: a test that asks "go list" is cached by "go test" and misses new
// packages, while files opened by the test are tracked.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Rules describe an architecture. Directories are slash-separated and relative
// to the module's root. Wherever a list of directories is asked for, "p" is
// that package, "p/..." is everything below it, "..." is every package, and
// "*x" is every package whose last element ends in x.
type Rules struct {
	// Module is the module's path.
	Module string

	// Layers run bottom up. On one line, a group may import the groups to its
	// left; entries of one group, joined by |, may not import each other, nor
	// may the packages of a "p/..." entry unless it is written "p/...+".
	Layers []string

	// Confined packages may import fewer of our packages than their layer allows.
	Confined []Confined

	// Fences say which packages may use a foreign one. An import that is neither
	// ours nor the standard library's needs a fence: a new dependency is a
	// decision, and its row says why.
	Fences []Fence
}

// Confined narrows what of ours the packages Dirs may import.
type Confined struct {
	Dirs   []string
	May    []string
	Reason string
}

// Fence keeps a foreign package, and those below it, inside the packages
// Inside. Where several fences match an import, the longest counts. With Names
// only these identifiers of exactly that package are fenced.
type Fence struct {
	Import string
	Names  []string
	Inside []string
	Tests  bool // holds for test files too
	Reason string
}

// checker collects what is wrong.
type checker struct {
	rules     Rules
	documents map[string]bool // directory with non-test files → one of them has a package comment
	found     []string
}

// Check returns what in the module at the root of fsys breaks the rules, sorted,
// each as "file: what and why". The error is about reading and parsing.
func Check(fsys fs.FS, rules Rules) ([]string, error) {
	c := &checker{rules: rules, documents: map[string]bool{}}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && foreign(fsys, name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		c.file(name, file)
		return nil
	})
	for dir, ok := range c.documents {
		if !ok {
			c.report(dir, "no file has a package comment")
		}
	}
	slices.Sort(c.found)
	return slices.Compact(c.found), err
}

// foreign reports whether the directory holds no packages of this module: the
// go command skips the same ones, and node_modules is never ours.
func foreign(fsys fs.FS, dir string) bool {
	base := path.Base(dir)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") ||
		base == "testdata" || base == "vendor" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

func (c *checker) report(where, format string, args ...any) {
	c.found = append(c.found, where+": "+fmt.Sprintf(format, args...))
}

// file checks one source file.
func (c *checker) file(name string, file *ast.File) {
	dir := path.Dir(name)
	test := strings.HasSuffix(name, "_test.go")
	if !test {
		c.documents[dir] = c.documents[dir] || documented(file)
	}
	for _, spec := range file.Imports {
		imp, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			c.report(name, "import %s: %v", spec.Path.Value, err)
			continue
		}
		if spec.Name != nil && spec.Name.Name == "." && !test {
			c.report(name, "dot import of %s hides where names come from", imp)
		}
		if ours, ok := c.ours(imp); !ok {
			c.fences(name, dir, imp, test)
		} else if !test {
			c.ownImport(name, dir, ours)
		}
		c.names(name, dir, imp, spec, file, test)
	}
}

// documented reports whether file carries a package comment in godoc's form.
func documented(file *ast.File) bool {
	text := file.Doc.Text()
	if file.Name.Name == "main" {
		return text != ""
	}
	return strings.HasPrefix(text, "Package "+file.Name.Name+" ")
}

// ours returns the directory of an import of this module.
func (c *checker) ours(imp string) (dir string, ok bool) {
	if imp == c.rules.Module {
		return ".", true
	}
	return strings.CutPrefix(imp, c.rules.Module+"/")
}

// ownImport checks an import of our own package dir imp by non-test code.
func (c *checker) ownImport(name, dir, imp string) {
	if within("*test", imp) && !within("*test", dir) {
		c.report(name, "%s may not import %s: a test suite does not ship", dir, imp)
		return
	}
	from, fromFree := c.place(name, dir)
	to, _ := c.place(name, imp)
	if from == nil || to == nil {
		return
	}
	if d := slices.Compare(to, from); d > 0 || d == 0 && !fromFree {
		c.report(name, "%s may not import %s: imports go down the layers only", dir, imp)
		return
	}
	for _, r := range c.rules.Confined {
		if withinAny(r.Dirs, dir) && !withinAny(r.May, imp) {
			c.report(name, "%s may not import %s: %s", dir, imp, r.Reason)
		}
	}
}

// place returns the line of dir in the layers and its position there, nil if it
// has none, and whether packages at that place may import each other. An exact
// entry beats a pattern, a longer pattern a shorter one.
func (c *checker) place(name, dir string) (at []int, free bool) {
	best := -1
	for i, line := range c.rules.Layers {
		for j, group := range strings.Fields(line) {
			for entry := range strings.SplitSeq(group, "|") {
				pattern, siblings := strings.CutSuffix(entry, "+")
				weight := len(pattern)
				if pattern == dir {
					weight = len(dir) + len("/...")
				}
				if within(pattern, dir) && weight > best {
					best, at, free = weight, []int{i, j}, siblings
				}
			}
		}
	}
	if at == nil {
		c.report(name, "%s is in no layer", dir)
	}
	return at, free
}

// fences checks an import of a foreign package.
func (c *checker) fences(name, dir, imp string, test bool) {
	var fence *Fence
	for i := range c.rules.Fences {
		f := &c.rules.Fences[i]
		if f.Names == nil && (imp == f.Import || strings.HasPrefix(imp, f.Import+"/")) &&
			(fence == nil || len(f.Import) > len(fence.Import)) {
			fence = f
		}
	}
	first, _, _ := strings.Cut(imp, "/")
	switch {
	case fence == nil && strings.Contains(first, ".") && !test:
		c.report(name, "%s may not import %s: no fence says who may use it and why", dir, imp)
	case fence == nil || test && !fence.Tests || withinAny(fence.Inside, dir):
	default:
		c.report(name, "%s may not import %s: %s", dir, imp, fence.Reason)
	}
}

// names checks the use of fenced identifiers of the package imported by spec.
func (c *checker) names(name, dir, imp string, spec *ast.ImportSpec, file *ast.File, test bool) {
	local := path.Base(imp)
	if spec.Name != nil {
		local = spec.Name.Name
	}
	for _, f := range c.rules.Fences {
		if f.Import != imp || f.Names == nil || test && !f.Tests || withinAny(f.Inside, dir) {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(f.Names, sel.Sel.Name) {
				c.report(name, "%s may not use %s.%s: %s", dir, imp, sel.Sel.Name, f.Reason)
			}
			return true
		})
	}
}

// withinAny reports whether dir is in one of patterns.
func withinAny(patterns []string, dir string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return within(p, dir) })
}

// within reports whether pattern, in the form that Rules describes, covers dir.
func within(pattern, dir string) bool {
	if suffix, ok := strings.CutPrefix(pattern, "*"); ok {
		return strings.HasSuffix(path.Base(dir), suffix)
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return strings.HasPrefix(dir, base+"/")
	}
	return pattern == "..." || pattern == dir
}
