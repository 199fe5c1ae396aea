package catalog_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

const module = "github.com/lyceum-mcp/lyceum/"

// Every slot that a package of the server declares is one that a document may
// bring, and judged.
func TestSlotTypesAreComplete(t *testing.T) {
	tree := os.DirFS("../..")
	var found []string
	for _, root := range []string{"tools", "internal"} {
		err := fs.WalkDir(tree, root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
				return err
			}
			found = append(found, slotsOf(t, tree, name)...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	var known []string
	for _, s := range catalog.SlotTypes() {
		known = append(known, s.Name)
	}
	slices.Sort(known)
	if len(found) < 4 || !slices.Equal(found, known) {
		t.Errorf("the sources declare the slots %q, catalog.SlotTypes has %q: a family returns those of its own in SlotTypes, and their values have a method Validate", found, known)
	}
	for _, s := range catalog.SlotTypes() {
		if s.Check(s.Name, []byte(`{"schema":1,"data":{"nodes":7,"thoughts":7,"number":-1,"problem":7}}`)) == nil {
			t.Errorf("slot %s takes anything", s.Name)
		}
		if s.Check(s.Name+"/x/y", []byte(`{"schema":1,"data":{}}`)) == nil {
			t.Errorf("slot %s takes any key or an empty value", s.Name)
		}
	}
}

// slotsOf returns the names of the slots that a file declares.
func slotsOf(t *testing.T, tree fs.FS, name string) (names []string) {
	t.Helper()
	file := parse(t, tree, name)
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		fun := call.Fun
		if generic, ok := fun.(*ast.IndexExpr); ok {
			fun = generic.X
		}
		if sel, ok := fun.(*ast.SelectorExpr); ok {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "session" && strings.HasPrefix(sel.Sel.Name, "NewSlot") {
				names = append(names, constant(t, tree, path.Dir(name), file, call.Args[0]))
			}
		}
		return true
	})
	return names
}

func parse(t *testing.T, tree fs.FS, name string) *ast.File {
	t.Helper()
	src, err := fs.ReadFile(tree, name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// constant returns the text that an expression of a file stands for: literals,
// constants of this package and of our others, and sums of them.
func constant(t *testing.T, tree fs.FS, dir string, file *ast.File, e ast.Expr) string {
	t.Helper()
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return text
	case *ast.BinaryExpr:
		return constant(t, tree, dir, file, e.X) + constant(t, tree, dir, file, e.Y)
	case *ast.Ident:
		return declared(t, tree, dir, e.Name)
	case *ast.SelectorExpr:
		pkg, _ := e.X.(*ast.Ident)
		for _, spec := range file.Imports {
			imp, _ := strconv.Unquote(spec.Path.Value)
			if ours, ok := strings.CutPrefix(imp, module); ok && pkg != nil && path.Base(imp) == pkg.Name {
				return declared(t, tree, ours, e.Sel.Name)
			}
		}
	}
	t.Fatalf("%s: the name of a slot is no constant", dir)
	return ""
}

// declared returns the text of a constant of a package.
func declared(t *testing.T, tree fs.FS, dir, name string) string {
	t.Helper()
	files, err := fs.Glob(tree, dir+"/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		file := parse(t, tree, f)
		for _, d := range file.Decls {
			gen, ok := d.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, s := range gen.Specs {
				v, ok := s.(*ast.ValueSpec)
				if !ok {
					continue
				}
				if i := slices.IndexFunc(v.Names, func(n *ast.Ident) bool { return n.Name == name }); i >= 0 && i < len(v.Values) {
					return constant(t, tree, dir, file, v.Values[i])
				}
			}
		}
	}
	t.Fatalf("%s has no constant %s", dir, name)
	return ""
}
