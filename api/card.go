package api

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// What Lyceum is called where it is published: here, in server.json and in the
// manifest of the bundles. Tests hold the three together.
const (
	ServerName        = "io.github.lyceum-mcp/lyceum" // its GitHub namespace in reverse DNS, as the MCP registry has it
	ServerTitle       = "Lyceum"
	ServerDescription = "A reasoning server for AI agents: exact, reproducible operations over the Model Context Protocol."
	Repository        = "https://github.com/lyceum-mcp/lyceum"
)

// Where the public documents are.
const (
	CardPath       = MCPPath + "/server-card"
	AICatalogPath  = "/.well-known/ai-catalog.json"
	MCPCatalogPath = "/.well-known/mcp/catalog.json"
)

const (
	cardSchema = "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json"
	cardType   = "application/mcp-server-card+json"
)

// revisions are those that the endpoint speaks, newest first: what
// server/discover answers, which a test of the whole server compares.
var revisions = []string{"2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// serverCard is the MCP Server Card (SEP-2127, draft of schema v2): who the
// server is and where it is reached, for clients that have not connected yet. It
// names no tools and no scheme of authentication: the first are listed at run
// time, and the challenge of the endpoint leads to the second (RFC 9728).
type serverCard struct {
	Schema      string     `json:"$schema"`
	Name        string     `json:"name"`
	Version     string     `json:"version"`
	Title       string     `json:"title"`
	Description string     `json:"description"`
	WebsiteURL  string     `json:"websiteUrl"`
	Repository  repository `json:"repository"`
	Remotes     []remote   `json:"remotes"`
}

type repository struct {
	Source string `json:"source"`
	URL    string `json:"url"`
}

type remote struct {
	Type      string   `json:"type"`
	URL       string   `json:"url"`
	Revisions []string `json:"supportedProtocolVersions"`
}

// catalog lists the card. The AI Catalog and the MCP Catalog, a subset of it,
// differ in the version that they state.
type catalog struct {
	SpecVersion string         `json:"specVersion"`
	Entries     []catalogEntry `json:"entries"`
}

type catalogEntry struct {
	Identifier  string `json:"identifier"`
	DisplayName string `json:"displayName"` // optional in an AI Catalog, but not in an MCP Catalog
	Type        string `json:"type"`
	URL         string `json:"url"`
}

// publicDoc is a public document: the same bytes for everybody, from any web
// page, for as long as the server runs.
type publicDoc struct {
	path string
	kind string // media type
	tag  string // strong entity tag
	body []byte
}

func newPublicDoc(path, kind string, v any) *publicDoc {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	_ = enc.Encode(v) // strings always encode
	return &publicDoc{path: path, kind: kind, tag: fmt.Sprintf(`"%x"`, sha256.Sum256(b.Bytes())), body: b.Bytes()}
}

// documents makes the public documents. They are built from the configured URL,
// never from a request: a Host header must not decide where clients go.
func (c Config) documents() []*publicDoc {
	card := serverCard{
		Schema: cardSchema, Name: ServerName, Version: c.Version, Title: ServerTitle, Description: ServerDescription, WebsiteURL: Repository,
		Repository: repository{Source: "github", URL: Repository},
		Remotes:    []remote{{Type: "streamable-http", URL: c.BaseURL + MCPPath, Revisions: revisions}},
	}
	entries := []catalogEntry{{Identifier: c.urn(), DisplayName: ServerTitle, Type: cardType, URL: c.BaseURL + CardPath}}
	return []*publicDoc{
		newPublicDoc(CardPath, cardType, card),
		newPublicDoc(AICatalogPath, "application/ai-catalog+json", catalog{"1.0", entries}),
		newPublicDoc(MCPCatalogPath, "application/json", catalog{"draft", entries}),
	}
}

// urn names this server as its publisher's, who is the host of the public URL:
// urn:air:PUBLISHER:NAME, with the name that follows the slash in the card. The
// colons of an IPv6 address would read as further parts.
func (c Config) urn() string {
	_, name, _ := strings.Cut(ServerName, "/")
	publisher := ""
	if u, err := url.Parse(c.BaseURL); err == nil {
		publisher = strings.ReplaceAll(strings.ToLower(u.Hostname()), ":", "%3A")
	}
	return "urn:air:" + publisher + ":" + name
}

// ServeHTTP answers GET, HEAD, conditional requests and, as a page of any origin
// may read the document, its preflights.
func (d *publicDoc) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", http.MethodGet)
	h.Set("Access-Control-Allow-Headers", "Content-Type")
	if r.Method == http.MethodOptions {
		h.Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Content-Type", d.kind)
	h.Set("ETag", d.tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body)) // which knows ETag
}

// documentRoutes are the routes of the public documents.
func (s *server) documentRoutes() []route {
	var rows []route
	for _, d := range s.Config.documents() {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			rows = append(rows, route{method, d.path, "", d})
		}
	}
	return rows
}
