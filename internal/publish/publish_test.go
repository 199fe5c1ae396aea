package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// root is where make runs the program, and what its files are relative to.
const root = "../.."

// readJSON reads a document for a schema.
func readJSON(t *testing.T, name string) any {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return doc
}

// compile reads a schema of testdata.
func compile(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	s, err := c.Compile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The schemas are those that the README names.
func TestSchemasAreWhatTheReadmeSays(t *testing.T) {
	readme, err := os.ReadFile("testdata/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if row := fmt.Sprintf("%x", sha256.Sum256(raw)); !strings.Contains(string(readme), row) {
			t.Errorf("%s has the sum %s, which README.md does not name", name, row)
		}
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct{ build, bundle, release string }{
		{"1.2.3", "1.2.3", "1.2.3"},
		{"v1.2.3", "1.2.3", "1.2.3"},
		{"v1.2.3-rc.1", "1.2.3-rc.1", "1.2.3-rc.1"},
		{"v1.2.3-4-g0123abc", "1.2.3-4-g0123abc", "1.2.3-4-g0123abc"},
		{"v1.2.3-dirty", "1.2.3-dirty", ""},
		{"v1.2.3-4-g0123abc-dirty", "1.2.3-4-g0123abc-dirty", ""},
		{"devel", "0.0.0-dev-devel", ""},
		{"0123abc-dirty", "0.0.0-dev-0123abc-dirty", ""},
		{"0012", "0.0.0-dev-0012", ""},
		{"v1.2", "0.0.0-dev-v1-2", ""},
		{"1.2.x", "0.0.0-dev-1-2-x", ""},
		{"^1.2.3", "0.0.0-dev--1-2-3", ""},
		{"1.02.3", "0.0.0-dev-1-02-3", ""},
		{"1.2.3-01", "0.0.0-dev-1-2-3-01", ""},
		{"1.2.3+meta", "0.0.0-dev-1-2-3-meta", ""},
		{"latest", "0.0.0-dev-latest", ""},
		{"", "0.0.0-dev-", ""},
	} {
		got := bundleVersion(c.build)
		if got != c.bundle || !semver.MatchString(got) {
			t.Errorf("bundle of %q: %q, want %q", c.build, got, c.bundle)
		}
		if got, err := releaseVersion(c.build); got != c.release || (err == nil) != (c.release != "") {
			t.Errorf("release of %q: %q, %v, want %q", c.build, got, err, c.release)
		}
	}
}

func TestPlatforms(t *testing.T) {
	for text, want := range map[string][3]string{
		"linux/amd64":   {"lyceum", "lyceum-linux-amd64.mcpb", "linux"},
		"darwin/arm64":  {"lyceum", "lyceum-darwin-arm64.mcpb", "darwin"},
		"windows/amd64": {"lyceum.exe", "lyceum-windows-amd64.mcpb", "win32"},
	} {
		p, err := parsePlatform(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := [3]string{p.program(), p.bundle(), hostNames[p.os]}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{"", "linux", "linux/386", "plan9/amd64", "linux/amd64/v3", "../amd64"} {
		if p, err := parsePlatform(text); err == nil {
			t.Errorf("%q: %v, want an error", text, p)
		}
	}
}

// The order of a map, the clock and what the files are dated change nothing.
func TestPackIsReproducible(t *testing.T) {
	files := map[string]file{}
	for i := range 50 {
		files[fmt.Sprintf("d%d/f%d", i%7, i)] = file{0o644, []byte(strings.Repeat(fmt.Sprint(i), 1000))}
	}
	first, err := pack(files)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := pack(files)
		if err != nil || string(again) != string(first) {
			t.Fatalf("the same files give %d other bytes (%v)", len(again), err)
		}
	}
	files["d0/f0"] = file{0o755, files["d0/f0"].data}
	if other, err := pack(files); err != nil || string(other) == string(first) {
		t.Errorf("another mode gives the same bytes (%v)", err)
	}
}

func TestListedTools(t *testing.T) {
	const before = `{"jsonrpc":"2.0","id":1,"result":{}}` + "\n"
	got, err := listedTools([]byte(before + `{"jsonrpc":"2.0","method":"notifications/message"}` + "\n" +
		`{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a","description":"b","inputSchema":{}}]}}` + "\n"))
	if err != nil || len(got) != 1 || got[0] != (tool{"a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
	for name, lines := range map[string]string{
		"no answer": before,
		"an error":  before + `{"jsonrpc":"2.0","id":2,"error":{"code":-32603,"message":"no"}}`,
		"no tools":  before + `{"jsonrpc":"2.0","id":2,"result":{"tools":[]}}`,
		"a page":    before + `{"jsonrpc":"2.0","id":2,"result":{"tools":[{"name":"a"}],"nextCursor":"x"}}`,
		"no JSON":   before + `panic: oh`,
	} {
		if got, err := listedTools([]byte(lines)); err == nil {
			t.Errorf("%s: %v, want an error", name, got)
		}
	}
}

// A member that the program does not know must not get lost on the way.
func TestReadStrict(t *testing.T) {
	name := filepath.Join(t.TempDir(), "manifest.json")
	if err := os.WriteFile(name, []byte(`{"name":"x","screenshots":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := readStrict(name, &m); err == nil || !strings.Contains(err.Error(), "screenshots") {
		t.Errorf("an unknown member: %v", err)
	}
}

// changed returns doc, decoded anew, after change.
func changed(t *testing.T, doc any, change func(map[string]any)) any {
	t.Helper()
	raw, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	change(out)
	return out
}
