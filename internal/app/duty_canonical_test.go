package app_test

// (1) to be put into internal/app: public_url is written in its canonical form
// wherever it is told or compared (scheme and host in lower case, no slash at the end).

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestDutyCanonicalResource(t *testing.T) {
	_, hash := identity.NewStaticToken()
	cfg := config.Default()
	cfg.Addr, cfg.Data, cfg.PublicURL = "127.0.0.1:0", t.TempDir(), "HTTPS://MCP.Example.COM/"
	cfg.HTTP.AllowedHosts = []string{"127.0.0.1"}
	cfg.Auth.Tokens = []config.StaticToken{{Hash: hash, Tenant: "acme", Subject: "robot", Scopes: []string{"reason"}}}
	s := startWith(t, cfg, app.Options{})
	resp, err := s.http.Get("http://" + s.app.Addr() + "/.well-known/oauth-protected-resource/mcp")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if !strings.Contains(string(body), `"resource":"https://mcp.example.com/mcp"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	// (2) a path that does not take a method says which it takes (RFC 9110 §15.5.6).
	r, err := http.NewRequest("POST", "http://"+s.app.Addr()+"/.well-known/oauth-protected-resource/mcp", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp2, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp2.Body.Close()
	if resp2.StatusCode != 405 || resp2.Header.Get("Allow") != "GET" {
		t.Errorf("%d, Allow %q", resp2.StatusCode, resp2.Header.Get("Allow"))
	}
}
