package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

// fetch reads a public document, without a token, as a browser page elsewhere does.
func (s *site) fetch(url string, into any) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Origin", "https://elsewhere.example")
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d %s %v", url, resp.StatusCode, body, err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		s.t.Fatalf("%s: %v", url, err)
	}
	return resp.Header.Get("Content-Type")
}

// TestCardAndDiscover follows a catalog to the card and the card to the server:
// what the card says must be what server/discover says.
func TestCardAndDiscover(t *testing.T) {
	s := start(t, nil)
	for _, path := range []string{api.AICatalogPath, api.MCPCatalogPath} {
		var catalog struct {
			Entries []struct{ Identifier, Type, URL string }
		}
		s.fetch(s.app.URL()+path, &catalog)
		if len(catalog.Entries) != 1 {
			t.Fatalf("%s: %+v", path, catalog)
		}
		var card struct {
			Name, Version, Title string
			Remotes              []struct {
				Type, URL string
				Versions  []string `json:"supportedProtocolVersions"`
			}
		}
		if kind := s.fetch(catalog.Entries[0].URL, &card); kind != catalog.Entries[0].Type {
			t.Errorf("%s: the card is %s, want %s", path, kind, catalog.Entries[0].Type)
		}
		if len(card.Remotes) != 1 || card.Remotes[0].Type != "streamable-http" {
			t.Fatalf("%s: %+v", path, card)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, card.Remotes[0].URL, strings.NewReader(
			`{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",`+
				`"io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("Mcp-Protocol-Version", "2026-07-28")
		r.Header.Set("Mcp-Method", "server/discover")
		r.Header.Set("Authorization", "Bearer "+s.token(devidp.TokenRequest{Sub: "alice"}))
		resp, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var m struct {
			Result struct {
				SupportedVersions []string
				Meta              struct {
					Server struct{ Name, Version, Title string } `json:"io.modelcontextprotocol/serverInfo"`
				} `json:"_meta"`
			}
		}
		if err := json.NewDecoder(resp.Body).Decode(&m); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("server/discover: %d %v", resp.StatusCode, err)
		}
		server := m.Result.Meta.Server
		if _, name, _ := strings.Cut(card.Name, "/"); name != server.Name || card.Version != server.Version || card.Title != server.Title || server.Version == "" {
			t.Errorf("the card says %+v, the server %+v", card, server)
		}
		if !slices.Equal(card.Remotes[0].Versions, m.Result.SupportedVersions) || len(card.Remotes[0].Versions) == 0 {
			t.Errorf("the card says %v, the server %v", card.Remotes[0].Versions, m.Result.SupportedVersions)
		}
		if !strings.HasSuffix(catalog.Entries[0].Identifier, ":"+server.Name) {
			t.Errorf("the catalog says %s", catalog.Entries[0].Identifier)
		}
	}
}

// A server behind a proxy is published under its public name only.
func TestCardHasNoInternalAddress(t *testing.T) {
	s := start(t, nil, func(c *config.Config) {
		c.PublicURL = "https://mcp.example.com/"
		c.HTTP.AllowedHosts = []string{"mcp.example.com", "127.0.0.1"}
	})
	for _, path := range []string{api.CardPath, api.AICatalogPath, api.MCPCatalogPath} {
		var doc json.RawMessage
		s.fetch(s.app.ListenURL()+path, &doc)
		if text := string(doc); strings.Contains(text, "127.0.0.1") || !strings.Contains(text, `"https://mcp.example.com/mcp`) {
			t.Errorf("%s: %s", path, text)
		}
	}
}
