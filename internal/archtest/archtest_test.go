package archtest

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// TestTree holds the whole repository to the rules.
func TestTree(t *testing.T) {
	found, err := Check(os.DirFS("../.."), Lyceum())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Error(f)
	}
}

// tree is a small module that keeps to the rules; the cases of TestCheck spoil it.
func tree() fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, src := range map[string]string{
		"go.mod":                              "module github.com/lyceum-mcp/lyceum",
		"cmd/lyceum/main.go":                  "// Lyceum is a server.\npackage main\nimport (\"os\"; \"os/signal\"; \"github.com/alecthomas/kong\"; \"github.com/lyceum-mcp/lyceum/internal/app\")\nvar _ = os.Args",
		"cmd/lyceum/conformance.go":           "//go:build conformance\n\npackage main\nimport \"github.com/lyceum-mcp/lyceum/tools\"",
		"internal/app/app.go":                 "// Package app builds.\npackage app\nimport (\"github.com/lyceum-mcp/lyceum/internal/config\"; \"github.com/lyceum-mcp/lyceum/api\")",
		"internal/config/config.go":           "// Package config reads.\npackage config\nimport \"github.com/knadh/koanf/v2\"",
		"api/api.go":                          "// Package api maps.\npackage api\nimport (\"github.com/go-chi/chi/v5\"; \"github.com/lyceum-mcp/lyceum/middleware\")",
		"middleware/limit.go":                 "// Package middleware wraps.\npackage middleware\nimport (\"github.com/go-chi/httprate\"; \"go.opentelemetry.io/otel/trace\")",
		"tools/tools.go":                      "// Package tools defines.\npackage tools\nimport (\"github.com/mark3labs/mcp-go/mcp\"; \"github.com/lyceum-mcp/lyceum/session\")",
		"tools/search/mcts.go":                "// Package search adapts.\npackage search\nimport (\"github.com/lyceum-mcp/lyceum/tools\"; \"github.com/lyceum-mcp/lyceum/internal/reason/mcts\")",
		"tools/causal/causal.go":              "// Package causal adapts.\npackage causal",
		"tools/catalog/catalog.go":            "// Package catalog lists.\npackage catalog\nimport \"github.com/lyceum-mcp/lyceum/tools/search\"",
		"session/session.go":                  "// Package session holds.\npackage session\nimport \"github.com/hashicorp/golang-lru/v2/simplelru\"",
		"session/session_test.go":             "package session\nimport (\"os\"; \"testing\"; \"github.com/lyceum-mcp/lyceum/internal/app\")\nvar _ = os.Getenv",
		"session/storetest/suite.go":          "// Package storetest proves.\npackage storetest\nimport (\"testing\"; \"pgregory.net/rapid\"; \"github.com/lyceum-mcp/lyceum/session\")",
		"internal/reason/mcts/mcts.go":        "// Package mcts searches.\npackage mcts\nimport (\"math/rand/v2\"; \"gonum.org/v1/gonum/stat\"; \"github.com/lyceum-mcp/lyceum/internal/reason/budget\")",
		"internal/reason/budget/budget.go":    "// Package budget bounds.\npackage budget\nimport \"github.com/lyceum-mcp/lyceum/internal/fault\"",
		"internal/fault/fault.go":             "// Package fault classifies.\npackage fault\nimport \"os\"\nvar _ = os.ErrNotExist",
		"internal/event/event.go":             "// Package event delivers.\npackage event",
		"internal/lint/go.mod":                "module lint",
		"internal/lint/bad.go":                "package lint\nimport \"math/rand\"",
		"web/node_modules/x/x.go":             "package x",
		"session/testdata/bad.go":             "not go at all",
		"internal/telemetry/telemetry.go":     "// Package telemetry starts.\npackage telemetry\nimport \"go.opentelemetry.io/otel/sdk/trace\"",
		"internal/telemetry/sub/only_test.go": "package sub\nimport \"testing\"",
	} {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

func TestCheck(t *testing.T) {
	const ours = "github.com/lyceum-mcp/lyceum/"
	imports := func(pkg string, paths ...string) string {
		return "// Package " + pkg + " is.\npackage " + pkg + "\nimport (\"" + strings.Join(paths, "\"\n\"") + "\")\n"
	}
	tests := []struct {
		name, file, src string
		want            []string // each is the start of one violation; no others
	}{
		{"as it should be", "internal/fault/more.go", "package fault", nil},
		{"up the layers", "internal/fault/bad.go", imports("fault", ours+"session"), []string{"internal/fault/bad.go: internal/fault may not import session: imports go down"}},
		{"behind a build tag", "internal/fault/bad.go", "//go:build conformance\n\n" + imports("fault", ours+"session"), []string{"internal/fault/bad.go: internal/fault may not import session"}},
		{"tests may look up", "internal/fault/up_test.go", imports("fault", ours+"session"), nil},
		{"beside on one line", "internal/fault/bad.go", imports("fault", ours+"internal/event"), []string{"internal/fault/bad.go: internal/fault may not import internal/event"}},
		{"between families", "tools/causal/bad.go", imports("causal", ours+"tools/search"), []string{"tools/causal/bad.go: tools/causal may not import tools/search"}},
		{"family to catalog", "tools/causal/bad.go", imports("causal", ours+"tools/catalog"), []string{"tools/causal/bad.go: tools/causal may not import tools/catalog"}},
		{"between faces", "web/bad.go", imports("web", ours+"middleware"), []string{"web/bad.go: web may not import middleware"}},
		{"left to right", "internal/config/bad.go", imports("config", ours+"internal/app"), []string{"internal/config/bad.go: internal/config may not import internal/app"}},
		{"between algorithms", "internal/reason/beam/beam.go", imports("beam", ours+"internal/reason/mcts"), nil},
		{"impure algorithm", "internal/reason/mcts/bad.go", imports("mcts", ours+"internal/event"), []string{"internal/reason/mcts/bad.go: internal/reason/mcts may not import internal/event: algorithms are pure"}},
		{"algorithm with state", "internal/reason/mcts/bad.go", imports("mcts", ours+"session"), []string{"internal/reason/mcts/bad.go: internal/reason/mcts may not import session"}},
		{"in no layer", "internal/helpers/h.go", imports("helpers", ours+"internal/fault"), []string{"internal/helpers/h.go: internal/helpers is in no layer"}},
		{"suite in the program", "internal/app/bad.go", imports("app", ours+"session/storetest"), []string{"internal/app/bad.go: internal/app may not import session/storetest: a test suite"}},
		{"SDK outside", "tools/search/bad.go", imports("search", "go.opentelemetry.io/otel/sdk/trace"), []string{"tools/search/bad.go: tools/search may not import go.opentelemetry.io/otel/sdk/trace: packages use"}},
		{"SDK in a test", "tools/search/sdk_test.go", imports("search", "go.opentelemetry.io/otel/sdk/trace"), nil},
		{"protocol server in a tool", "tools/search/bad.go", imports("search", "github.com/mark3labs/mcp-go/server"), []string{"tools/search/bad.go: tools/search may not import github.com/mark3labs/mcp-go/server: a new revision"}},
		{"no row for a dependency", "tools/search/bad.go", imports("search", "github.com/some/where"), []string{"tools/search/bad.go: tools/search may not import github.com/some/where: no fence"}},
		{"no row for a test dependency", "tools/search/dep_test.go", imports("search", "github.com/some/where"), nil},
		{"a name that only begins alike", "middleware/bad.go", imports("middleware", "github.com/go-chi/httprate-redis"), []string{"middleware/bad.go: middleware may not import github.com/go-chi/httprate-redis: no fence"}},
		{"old random numbers", "tools/search/rand_test.go", imports("search", "math/rand"), []string{"tools/search/rand_test.go: tools/search may not import math/rand: it draws"}},
		{"testing ships", "session/bad.go", imports("session", "testing/synctest"), []string{"session/bad.go: session may not import testing/synctest: the testing package"}},
		{"signals", "internal/app/bad.go", imports("app", "os/signal"), []string{"internal/app/bad.go: internal/app may not import os/signal: only cmd"}},
		{"environment", "internal/config/bad.go", imports("config", "os") + "var home = os.Getenv(\"HOME\")", []string{"internal/config/bad.go: internal/config may not use os.Getenv: only cmd"}},
		{"environment by another name", "internal/config/bad.go", "package config\nimport sys \"os\"\nvar a = sys.Args", []string{"internal/config/bad.go: internal/config may not use os.Args"}},
		{"a method of that name", "internal/config/good.go", "package config\ntype t struct{ Args []string }\nfunc f(os t) []string { return os.Args }", nil},
		{"dot import", "internal/config/bad.go", "package config\nimport . \"os\"", []string{"internal/config/bad.go: dot import of os"}},
		{"no package comment", "internal/work/work.go", "package work", []string{"internal/work: no file has a package comment"}},
		{"another comment", "internal/work/work.go", "// Work shares.\npackage work", []string{"internal/work: no file has a package comment"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fsys := tree()
			fsys[tt.file] = &fstest.MapFile{Data: []byte(tt.src)}
			got, err := Check(fsys, Lyceum())
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("found %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestCheckUnreadable(t *testing.T) {
	fsys := tree()
	fsys["session/broken.go"] = &fstest.MapFile{Data: []byte("package")}
	if _, err := Check(fsys, Lyceum()); err == nil {
		t.Error("a file that does not parse gave no error")
	}
	if _, err := Check(fstest.MapFS{"a": {Mode: fs.ModeDir}}, Rules{}); err != nil {
		t.Errorf("an empty tree: %v", err)
	}
}

// TestRules keeps the data tidy: a fence without a reason teaches nobody.
func TestRules(t *testing.T) {
	r := Lyceum()
	seen := map[string]bool{}
	for _, f := range r.Fences {
		key := f.Import + strings.Join(f.Names, ",")
		if seen[key] {
			t.Errorf("fence %s is listed twice", f.Import)
		}
		seen[key] = true
		if len(f.Reason) < 10 {
			t.Errorf("fence %s has no reason: %q", f.Import, f.Reason)
		}
	}
	for _, c := range r.Confined {
		if len(c.Reason) < 10 {
			t.Errorf("%v is confined without a reason", c.Dirs)
		}
	}
}
