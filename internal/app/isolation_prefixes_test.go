package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Every prefix that the code mints ids with is one that the walk tries: a new kind
// of id comes with its row, or with an example that makes one.
func TestEveryKindOfIDIsWalked(t *testing.T) {
	w := newWalk(t)
	walked := map[string]string{"rs": "sessions", "ts": "transports", "jb": "jobs", "ask": "questions"}
	for _, k := range w.objects() {
		prefix, _, _ := strings.Cut(k.name, " ")
		walked[prefix] = k.name
	}
	minted := mintedPrefixes(t, filepath.Join("..", ".."))
	for prefix, where := range minted {
		if walked[prefix] == "" {
			t.Errorf("%s: ids that begin with %s_ are not in the registry: no example of an operation makes one", where, prefix)
		}
	}
	for _, prefix := range []string{"rs", "ts", "jb", "tree"} {
		if minted[prefix] == "" {
			t.Errorf("the code mints no id that begins with %s_: the search for prefixes is broken (%v)", prefix, minted)
		}
	}
}

// mintedPrefixes returns the prefixes of ids in the code below root, with where they
// stand: the arguments of NewObjectID and ObjectID, and the prefixes of
// directories.
func mintedPrefixes(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, top := range []string{"api", "internal", "middleware", "session", "tools", "web"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(dir string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return err
			}
			return prefixesIn(t, dir, found)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func prefixesIn(t *testing.T, dir string, found map[string]string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return err
	}
	set, texts := token.NewFileSet(), map[string]string{} // constants of the package
	var parsed []*ast.File
	mints := false // the package makes ids of objects
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		parsed = append(parsed, f)
		ast.Inspect(f, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (id.Name == "ObjectID" || id.Name == "NewObjectID") {
				mints = true
			}
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if text, ok := literal(v.Values[i], nil); ok {
							texts[name.Name] = text
						}
					}
				}
			}
			return true
		})
	}
	note := func(at token.Pos, e ast.Expr) {
		text, ok := literal(e, texts)
		if !ok && handedOn(e) { // whoever gave it is looked at
			return
		}
		if !ok {
			t.Errorf("%v: the prefix of an id is no constant", set.Position(at))
			return
		}
		found[strings.TrimSuffix(text, "_")] = set.Position(at).String()
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				name := ""
				switch fn := n.Fun.(type) {
				case *ast.Ident:
					name = fn.Name
				case *ast.SelectorExpr:
					name = fn.Sel.Name
				}
				if (name == "NewObjectID" || name == "ObjectID" || name == "Keyed" && mints) && len(n.Args) > 0 {
					note(n.Pos(), n.Args[0])
				}
			case *ast.KeyValueExpr: // of what mints ids with its prefix
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "prefix" && mints {
					note(n.Pos(), n.Value)
				}
			case *ast.ValueSpec:
				for i, name := range n.Names {
					if (name.Name == "TransportPrefix" || name.Name == "DefaultPrefix") && i < len(n.Values) {
						note(n.Pos(), n.Values[i])
					}
				}
			}
			return true
		})
	}
	return nil
}

// handedOn reports whether e is made of a parameter or field called prefix.
func handedOn(e ast.Expr) (found bool) {
	ast.Inspect(e, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == "prefix"
		return true
	})
	return found
}

// literal returns the text of a constant.
func literal(e ast.Expr, texts map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.Ident:
		text, ok := texts[e.Name]
		return text, ok
	}
	return "", false
}
