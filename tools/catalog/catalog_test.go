package catalog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

var update = flag.Bool("update", false, "rewrite the schema snapshots and the README's table")

func registry(t *testing.T) *tools.Registry {
	t.Helper()
	r, err := tools.NewRegistry(catalog.All()...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What clients see of an operation changes only on purpose.
func TestSchemas(t *testing.T) {
	want := map[string]bool{}
	check := func(name string, v any) {
		t.Helper()
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".json")
		want[name+".json"] = true
		if *update {
			if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%v (run go test ./tools/catalog -update)", err)
		} else if !bytes.Equal(got, b.Bytes()) {
			t.Errorf("%s differs from what the code says (run go test ./tools/catalog -update, and read the diff)", file)
		}
	}
	for _, tool := range append(catalog.All(), catalog.Direct()...) {
		s := tool.Spec()
		check(s.Name, map[string]any{
			"name": s.Name, "family": s.Family, "title": s.Title, "summary": s.Summary, "scope": s.Scope, "lane": s.Lane.String(),
			"method": s.Method, "source": s.Source, "parameters": tool.InputSchema(), "result": tool.OutputSchema(),
		})
	}
	f := tools.NewFacade(registry(t))
	check(f.Name(), map[string]any{"description": f.Description(), "inputSchema": f.InputSchema()})
	for _, f := range tools.NewFamilies(registry(t)) {
		if !json.Valid(f.InputSchema()) || !json.Valid(f.OutputSchema()) || len(f.Description()) > 1000 {
			t.Errorf("%s: bad schema, or a description of %d characters", f.Name(), len(f.Description()))
		}
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !want[file.Name()] {
			t.Errorf("testdata/%s belongs to no operation", file.Name())
		}
	}
}

// Every example is a call that works as it stands, and so is every follow-up
// that it proposes.
func TestExamples(t *testing.T) {
	r := registry(t)
	facade := tools.NewFacade(r)
	dir := session.New(session.Config{}, nil)
	defer dir.Close()
	owner := session.Owner{Tenant: "t", Issuer: "i", Subject: "s"}
	for _, tool := range r.All() {
		for i, example := range tool.Spec().Examples {
			t.Run(fmt.Sprintf("%s/%d", tool.Spec().Name, i), func(t *testing.T) {
				h, err := dir.Open(t.Context(), owner, session.Params{})
				if err != nil {
					t.Fatal(err)
				}
				defer h.Release()
				env := call(t, facade, h, example.Arguments)
				if env.Error != nil {
					t.Fatalf("%s: %+v", example.Arguments, env.Error)
				}
				if env.Operation != tool.Spec().Name || env.Basis == "" || env.Method == "" || len(env.Warnings) > 0 {
					t.Errorf("%s: operation %q basis %q method %q warnings %v", example.Arguments, env.Operation, env.Basis, env.Method, env.Warnings)
				}
				for _, n := range env.Next {
					if r.Lookup(n.Operation) == nil {
						t.Errorf("a follow-up names the operation %q", n.Operation)
					}
				}
			})
		}
	}
}

func call(t testing.TB, f *tools.Facade, h *session.Handle, arguments string) *tools.Envelope {
	t.Helper()
	req, err := f.Decode(json.RawMessage(arguments))
	if err != nil {
		t.Fatalf("%s: %v", arguments, err)
	}
	c := &tools.Call{
		Session: h, Principal: &identity.Principal{Tenant: "t", Issuer: "i", Subject: "s"},
		Limits: budget.Limits{Time: 10 * time.Second, Steps: 100_000_000, Nodes: 1_000_000},
	}
	req.Start(c)
	result, err := req.Tool.Invoke(t.Context(), c, req.Parameters)
	return c.Envelope(req.Tool.Spec(), result, err)
}

const (
	tableBegin = "<!-- operations: written by go test ./tools/catalog -update -->"
	tableEnd   = "<!-- operations end -->"
)

// The README's table of operations says what the code says.
func TestReadmeTable(t *testing.T) {
	var b strings.Builder
	b.WriteString(tableBegin + "\n\n| operation | computes | method | source |\n| --- | --- | --- | --- |\n")
	for _, tool := range catalog.All() {
		s := tool.Spec()
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, s.Summary, s.Method, s.Source)
	}
	b.WriteString("\n" + tableEnd)
	file := filepath.Join("..", "..", "README.md")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatal("README.md lacks the markers of the table")
	}
	want := before + b.String() + after
	switch {
	case *update:
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	case want != string(text):
		t.Error("the table in README.md is not what the code says (run go test ./tools/catalog -update)")
	}
}
