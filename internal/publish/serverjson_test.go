package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/lyceum-mcp/lyceum/api"
)

// Rules of the registry beyond the schema, from its official requirements and
// the validators of v1.8.8.
var (
	registryName  = regexp.MustCompile(`^io\.github\.[a-zA-Z0-9](-?[a-zA-Z0-9])*/[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]$`)
	versionRange  = regexp.MustCompile(`^\s*[\^~<>=]|\|\||\s-\s|(^|\.)[xX*](\.|$)`)
	repositoryURL = regexp.MustCompile(`^https://github\.com/[\w.-]+/[\w.-]+$`)
	releaseAsset  = regexp.MustCompile(`^/([a-zA-Z0-9]([a-zA-Z0-9-]{0,37}[a-zA-Z0-9])?)/([a-zA-Z0-9._-]+)/releases/download/([^/]+)/([^/]+)$`)
	sha256Hex     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	variable      = regexp.MustCompile(`\{([^}]+)\}`)
)

// registryFaults returns what in s the registry would refuse.
func registryFaults(s serverDetail) []string {
	var faults []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	badVersion := func(v string) bool { return v == "" || v == "latest" || versionRange.MatchString(v) }
	add(s.Schema != "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json", "$schema %s", s.Schema)
	add(!registryName.MatchString(s.Name), "name %s", s.Name)
	add(strings.TrimSpace(s.Title) == "", "title %q", s.Title)
	add(badVersion(s.Version), "version %s", s.Version)
	add(s.Repository.Source != "github" || !repositoryURL.MatchString(s.Repository.URL), "repository %v", s.Repository)
	namespace, _, _ := strings.Cut(strings.TrimPrefix(s.Name, "io.github."), "/")
	add(!strings.HasPrefix(s.Repository.URL, "https://github.com/"+namespace+"/"), "the repository %s is in another namespace than %s", s.Repository.URL, s.Name)
	site, err := url.Parse(s.WebsiteURL)
	add(err != nil || site.Scheme != "https" || strings.ContainsAny(s.WebsiteURL, "\"'<> \t\r\n"), "websiteUrl %s", s.WebsiteURL)
	for _, r := range s.Remotes {
		for _, m := range variable.FindAllStringSubmatch(r.URL, -1) {
			_, ok := r.Variables[m[1]]
			add(!ok, "remote %s: the variable %s is not described", r.URL, m[1])
		}
		u, err := url.Parse(variable.ReplaceAllString(r.URL, "example.com"))
		host := ""
		if err == nil {
			host = u.Hostname()
		}
		add(err != nil || u.Scheme != "https" || host == "localhost" || host == "127.0.0.1" || strings.HasSuffix(host, ".localhost"), "remote %s", r.URL)
	}
	seen := map[string]bool{}
	for _, p := range s.Packages {
		u, err := url.Parse(p.Identifier)
		add(err != nil || u.Scheme != "https" || u.Host != "github.com" || !releaseAsset.MatchString(u.Path) || !strings.Contains(p.Identifier, "mcp"), "package %s", p.Identifier)
		add(seen[p.Identifier], "two packages are %s", p.Identifier)
		seen[p.Identifier] = true
		add(p.RegistryType != "mcpb" || p.Transport.Type != "stdio", "package %s of %s over %s", p.Identifier, p.RegistryType, p.Transport.Type)
		add(!sha256Hex.MatchString(p.FileSHA256), "package %s with the sum %q", p.Identifier, p.FileSHA256)
		add(badVersion(p.Version) || p.Version != s.Version, "package %s of version %s", p.Identifier, p.Version)
	}
	return faults
}

// checkServer holds a server.json against the schema, the registry's rules and
// what the server says of itself.
func checkServer(t *testing.T, name string) serverDetail {
	t.Helper()
	if err := compile(t, "server-2025-12-11.schema.json").Validate(readJSON(t, name)); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	var s serverDetail
	if err := readStrict(name, &s); err != nil {
		t.Fatal(err)
	}
	for _, fault := range registryFaults(s) {
		t.Errorf("%s: %s", name, fault)
	}
	card := [4]string{api.ServerName, api.ServerTitle, api.ServerDescription, api.Repository}
	if got := [4]string{s.Name, s.Title, s.Description, s.Repository.URL}; got != card || s.WebsiteURL != api.Repository {
		t.Errorf("%s says %q, the server's card %q", name, got, card)
	}
	return s
}

func TestServerJSON(t *testing.T) {
	s := checkServer(t, filepath.Join(root, serverFile))
	if len(s.Packages) != 0 || s.Version != "0.0.0-dev" {
		t.Errorf("version %s with %d packages: what only a release has is filled in by make server-json", s.Version, len(s.Packages))
	}
}

func TestServerJSONOfARelease(t *testing.T) {
	dir := t.TempDir()
	base, sums := committedManifest(t), map[string]string{}
	task := task{version: "v1.2.3", dir: dir, out: new(bytes.Buffer)}
	const platforms = "linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64"
	for text := range strings.FieldsSeq(platforms) {
		p, err := parsePlatform(text)
		if err != nil {
			t.Fatal(err)
		}
		sums[p.bundle()] = packFake(t, filepath.Join(dir, p.bundle()), base.fill(p, "1.2.3", []tool{{"a", "b"}}))
	}
	t.Chdir(root)
	if err := task.run(context.Background(), "server-json", platforms); err != nil {
		t.Fatal(err)
	}
	t.Chdir("internal/publish")
	s := checkServer(t, filepath.Join(dir, serverFile))
	if s.Version != "1.2.3" || len(s.Packages) != len(sums) {
		t.Errorf("version %s, %d packages", s.Version, len(s.Packages))
	}
	for _, p := range s.Packages {
		_, file, _ := strings.Cut(p.Identifier, "/releases/download/v1.2.3/")
		if sums[file] == "" || sums[file] != p.FileSHA256 {
			t.Errorf("%s has the sum %s, want %q", p.Identifier, p.FileSHA256, sums[file])
		}
	}
}

// Who has no server for others leaves remotes out, who has one needs no variable.
func TestServerJSONOfOthers(t *testing.T) {
	schema := compile(t, "server-2025-12-11.schema.json")
	var s serverDetail
	if err := readStrict(filepath.Join(root, serverFile), &s); err != nil {
		t.Fatal(err)
	}
	for _, remotes := range [][]serverRemote{nil, {{Type: "streamable-http", URL: "https://mcp.example.com/mcp"}}} {
		s.Remotes = remotes
		text, err := encode(s)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(doc); err != nil || len(registryFaults(s)) > 0 {
			t.Errorf("%s: %v, %v", text, err, registryFaults(s))
		}
	}
}

// What is published cannot be taken back: nothing half is.
func TestServerJSONRefuses(t *testing.T) {
	t.Chdir(root)
	for name, c := range map[string]struct {
		version, bundle string // of the bundle that is there; "" is none
	}{
		"no bundle":               {"1.2.3", ""},
		"an older bundle":         {"1.2.3", "1.2.2"},
		"no release":              {"devel", "0.0.0-dev-devel"},
		"changes not in a commit": {"1.2.3-dirty", "1.2.3-dirty"},
	} {
		dir := t.TempDir()
		if c.bundle != "" {
			p := platform{"linux", "amd64"}
			packFake(t, filepath.Join(dir, p.bundle()), manifest{Version: c.bundle})
		}
		task := task{version: c.version, dir: dir, out: new(bytes.Buffer)}
		if err := task.run(t.Context(), "server-json", "linux/amd64"); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := os.Stat(filepath.Join(dir, serverFile)); err == nil {
			t.Errorf("%s: server.json was written", name)
		}
	}
}

// The checks above find what they are for.
func TestRegistryFaultsAreFound(t *testing.T) {
	var good serverDetail
	if err := readStrict(filepath.Join(root, serverFile), &good); err != nil {
		t.Fatal(err)
	}
	pkg := serverPackage{"mcpb", "https://github.com/lyceum-mcp/lyceum/releases/download/v1.2.3/lyceum-linux-amd64.mcpb", "0.0.0-dev", strings.Repeat("a", 64), serverTransport{"stdio"}}
	good.Packages = []serverPackage{pkg}
	if faults := registryFaults(good); len(faults) > 0 {
		t.Fatal(faults)
	}
	for name, spoil := range map[string]func(*serverDetail){
		"bare name":         func(s *serverDetail) { s.Name = "lyceum" },
		"two slashes":       func(s *serverDetail) { s.Name += "/x" },
		"another namespace": func(s *serverDetail) { s.Name = "io.github.other/lyceum" },
		"range":             func(s *serverDetail) { s.Version = "^1.2.3" },
		"wildcard":          func(s *serverDetail) { s.Version = "1.x" },
		"latest":            func(s *serverDetail) { s.Version = "latest" },
		"old schema":        func(s *serverDetail) { s.Schema = strings.Replace(s.Schema, "2025-12-11", "2025-09-29", 1) },
		"plain site":        func(s *serverDetail) { s.WebsiteURL = "http://example.com" },
		"loopback":          func(s *serverDetail) { s.Remotes = []serverRemote{{"streamable-http", "https://localhost/mcp", nil}} },
		"plain remote":      func(s *serverDetail) { s.Remotes = []serverRemote{{"streamable-http", "http://example.com/mcp", nil}} },
		"unknown variable":  func(s *serverDetail) { s.Remotes = []serverRemote{{"streamable-http", "https://{tenant}/mcp", nil}} },
		"no sum":            func(s *serverDetail) { s.Packages[0].FileSHA256 = "" },
		"elsewhere":         func(s *serverDetail) { s.Packages[0].Identifier = "https://example.com/lyceum-mcp.mcpb" },
		"no release asset": func(s *serverDetail) {
			s.Packages[0].Identifier = "https://github.com/lyceum-mcp/lyceum/raw/main/x.mcpb"
		},
		"twice":              func(s *serverDetail) { s.Packages = append(s.Packages, s.Packages[0]) },
		"of another version": func(s *serverDetail) { s.Packages[0].Version = "1.0.0" },
	} {
		s := good
		s.Packages = []serverPackage{pkg}
		spoil(&s)
		if len(registryFaults(s)) == 0 {
			t.Errorf("%s is not found", name)
		}
	}
	schema, doc := compile(t, "server-2025-12-11.schema.json"), readJSON(t, filepath.Join(root, serverFile))
	for name, spoil := range map[string]func(map[string]any){
		"no name":         func(s map[string]any) { delete(s, "name") },
		"a long text":     func(s map[string]any) { s["description"] = strings.Repeat("x", 101) },
		"another scheme":  func(s map[string]any) { s["remotes"].([]any)[0].(map[string]any)["url"] = "ftp://example.com" },
		"stdio elsewhere": func(s map[string]any) { s["remotes"].([]any)[0].(map[string]any)["type"] = "stdio" },
		"a short sum": func(s map[string]any) {
			s["packages"] = []any{map[string]any{"registryType": "mcpb", "identifier": "x", "fileSha256": "abc", "transport": map[string]any{"type": "stdio"}}}
		},
	} {
		if schema.Validate(changed(t, doc, spoil)) == nil {
			t.Errorf("the schema takes %s", name)
		}
	}
}

// packFake writes a bundle with this manifest and no program, and returns its sum.
func packFake(t *testing.T, name string, m manifest) string {
	t.Helper()
	text, err := encode(m)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := pack(map[string]file{"manifest.json": {0o644, text}})
	if err != nil {
		t.Fatal(err)
	}
	if err := write(name, packed); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(packed))
}

// committedManifest reads mcpb/manifest.json.
func committedManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	if err := readStrict(filepath.Join(root, manifestFile), &m); err != nil {
		t.Fatal(err)
	}
	return m
}
