package api

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/lyceum-mcp/lyceum/middleware"
)

var update = flag.Bool("update", false, "renew the golden files")

// golden are the documents by path, with what they are served as.
var golden = []struct{ path, file, kind string }{
	{CardPath, "server-card.json", "application/mcp-server-card+json"},
	{AICatalogPath, "ai-catalog.json", "application/ai-catalog+json"},
	{MCPCatalogPath, "mcp-catalog.json", "application/json"},
}

// publicSite is a server with a public name behind a listener of another.
func publicSite(t *testing.T) Deps {
	d := newSite(t).deps
	d.Config.BaseURL, d.Config.Version = "https://mcp.example.com", "1.2.3"
	d.Config.Origins = middleware.Origins{Hosts: []string{"mcp.example.com"}, Origins: []string{"https://mcp.example.com"}}
	return d
}

// read sends a request without a token.
func read(h http.Handler, method, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "https://mcp.example.com"+path, http.NoBody)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestDocuments(t *testing.T) {
	h := MainHandler(publicSite(t))
	for _, g := range golden {
		w := read(h, "GET", g.path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != g.kind {
			t.Errorf("%s: %d %s, want 200 %s", g.path, w.Code, w.Header().Get("Content-Type"), g.kind)
		}
		file := filepath.Join("testdata", g.file)
		if *update {
			if err := os.WriteFile(file, w.Body.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("%s has changed:\n%s\nwant\n%s", g.path, w.Body, want)
		}
	}
}

// Browsers and caches of anybody: what the draft asks for in "CORS Requirements"
// and "Caching", and what HTTP asks for.
func TestDocumentsOverHTTP(t *testing.T) {
	h := MainHandler(publicSite(t))
	for _, g := range golden {
		t.Run(g.file, func(t *testing.T) {
			first := read(h, "GET", g.path)
			tag := first.Header().Get("ETag")
			if len(tag) < 18 || tag[0] != '"' {
				t.Fatalf("ETag %q, want a strong one", tag)
			}
			for _, c := range []struct {
				name, method string
				headers      []string
				status       int
				body         bool
			}{
				{"plain", "GET", nil, 200, true},
				{"of that type", "GET", []string{"Accept", g.kind}, 200, true},
				{"of another type", "GET", []string{"Accept", "text/html"}, 200, true},
				{"foreign page", "GET", []string{"Origin", "https://example.org"}, 200, true},
				{"page of a file", "GET", []string{"Origin", "null"}, 200, true},
				{"our page", "GET", []string{"Origin", "https://mcp.example.com"}, 200, true},
				{"bad token", "GET", []string{"Authorization", "Bearer nonsense"}, 200, true},
				{"known", "GET", []string{"If-None-Match", tag}, 304, false},
				{"known weakly", "GET", []string{"If-None-Match", `"x", W/` + tag}, 304, false},
				{"known any", "GET", []string{"If-None-Match", "*"}, 304, false},
				{"changed", "GET", []string{"If-None-Match", `"x"`}, 200, true},
				{"head", "HEAD", nil, 200, false},
				{"head known", "HEAD", []string{"If-None-Match", tag}, 304, false},
				{"preflight", "OPTIONS", []string{"Origin", "https://example.org", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "content-type"}, 204, false},
				{"options", "OPTIONS", nil, 204, false},
			} {
				w := read(h, c.method, g.path, c.headers...)
				got := w.Header()
				if w.Code != c.status || (w.Body.Len() > 0) != c.body || c.body && !bytes.Equal(w.Body.Bytes(), first.Body.Bytes()) {
					t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
				}
				if got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Allow-Methods") != "GET" ||
					got.Get("Access-Control-Allow-Headers") != "Content-Type" || got.Get("Access-Control-Allow-Credentials") != "" || got.Get("Vary") != "" {
					t.Errorf("%s: browsers are told %v", c.name, got)
				}
				if c.method != "OPTIONS" && (got.Get("Cache-Control") != "public, max-age=3600" || got.Get("ETag") != tag) {
					t.Errorf("%s: caches are told %v", c.name, got)
				}
				if c.method == "HEAD" && c.status == 200 && (got.Get("Content-Type") != g.kind || got.Get("Content-Length") != fmt.Sprint(first.Body.Len())) {
					t.Errorf("%s: %v", c.name, got)
				}
			}
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				if w := read(h, method, g.path); w.Code != http.StatusMethodNotAllowed {
					t.Errorf("%s: %d, want 405", method, w.Code)
				}
			}
			for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
				if w := read(h, method, g.path, "Host", "rebound.example"); w.Code != http.StatusForbidden {
					t.Errorf("%s for another host: %d, want 403", method, w.Code)
				}
			}
			if w := read(h, "POST", g.path, "Origin", "https://example.org"); w.Code != http.StatusForbidden {
				t.Errorf("a POST of a foreign page: %d, want 403", w.Code)
			}
			if w := read(AdminHandler(publicSite(t)), "GET", g.path); w.Code != http.StatusNotFound {
				t.Errorf("the operators' listener: %d, want 404", w.Code)
			}
		})
	}
}

// Whoever names a host in a request does not decide where others go.
func TestDocumentsComeFromTheConfiguration(t *testing.T) {
	d := publicSite(t)
	d.Config.Origins.Hosts = nil // any host is served: a proxy in front checks it
	h := MainHandler(d)
	for _, g := range golden {
		want := read(h, "GET", g.path).Body.String()
		got := read(h, "GET", g.path, "Host", "evil.example", "X-Forwarded-Host", "evil.example", "Forwarded", "host=evil.example").Body.String()
		if got != want || strings.Contains(got, "evil") {
			t.Errorf("%s for another host:\n%s", g.path, got)
		}
	}
}

func TestDocumentsAreRateLimited(t *testing.T) {
	d := publicSite(t)
	d.Config.PerAddress = len(golden)
	h := MainHandler(d)
	for _, g := range golden {
		if w := read(h, "GET", g.path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", g.path, w.Code)
		}
	}
	if w := read(h, "GET", CardPath); w.Code != http.StatusTooManyRequests {
		t.Errorf("one more: %d, want 429", w.Code)
	}
}

// The card is what its schema says, and the schema refuses what a card must not
// have.
func TestCardSchema(t *testing.T) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schema, err := c.Compile("testdata/server-card.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	check := func(change func(card map[string]any)) error {
		card := map[string]any{}
		if err := json.Unmarshal(publicSite(t).Config.documents()[0].body, &card); err != nil {
			t.Fatal(err)
		}
		change(card)
		return schema.Validate(card)
	}
	if err := check(func(map[string]any) {}); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(map[string]any){
		"no schema":        func(c map[string]any) { delete(c, "$schema") },
		"another schema":   func(c map[string]any) { c["$schema"] = "https://example.com/schema.json" },
		"no name":          func(c map[string]any) { delete(c, "name") },
		"a bare name":      func(c map[string]any) { c["name"] = "lyceum" },
		"two slashes":      func(c map[string]any) { c["name"] = "a/b/c" },
		"no version":       func(c map[string]any) { delete(c, "version") },
		"a long text":      func(c map[string]any) { c["description"] = strings.Repeat("x", 101) },
		"tools":            func(c map[string]any) { c["tools"] = []any{} },
		"packages":         func(c map[string]any) { c["packages"] = []any{} },
		"a relative URL":   func(c map[string]any) { c["websiteUrl"] = "docs" },
		"another protocol": func(c map[string]any) { c["remotes"].([]any)[0].(map[string]any)["url"] = "ftp://example.com" },
		"stdio":            func(c map[string]any) { c["remotes"].([]any)[0].(map[string]any)["type"] = "stdio" },
	} {
		if check(change) == nil {
			t.Errorf("the schema takes a card with %s", name)
		}
	}
}

func TestPublisher(t *testing.T) {
	for base, want := range map[string]string{
		"https://mcp.example.com":      "urn:air:mcp.example.com:lyceum",
		"https://MCP.Example.com:8443": "urn:air:mcp.example.com:lyceum",
		"http://127.0.0.1:8383":        "urn:air:127.0.0.1:lyceum",
		"http://[::1]:8383":            "urn:air:%3A%3A1:lyceum",
		"https://example.com/lyceum":   "urn:air:example.com:lyceum",
	} {
		if got := (Config{BaseURL: base}).urn(); got != want {
			t.Errorf("%s: %s, want %s", base, got, want)
		}
	}
}
