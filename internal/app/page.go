package app

import (
	"net/http"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/web"
)

// adminClient is the page at the development identity provider.
const adminClient = "lyceum-admin"

// page builds the page for people. In development anybody on this machine can
// log in with one click; otherwise the page says how to use the REST interface.
func (a *App) page(verifier identity.Verifier) (http.Handler, error) {
	cfg := web.Config{BaseURL: a.pageURL()}
	if a.issuer != nil {
		cfg.Login = web.Login{
			AuthURL: a.baseURL + devidp.Prefix + "/authorize", TokenURL: a.baseURL + devidp.Prefix + "/token", ClientID: adminClient,
			Resource: a.baseURL + api.MCPPath, Extra: map[string]string{"auto": "1", "login_hint": "admin"},
			Button: "Continue as admin", Note: "Development mode: anybody on this machine can.",
		}
	}
	return web.New(cfg, web.Deps{Monitor: a.monitor(), Verifier: verifier, Client: &http.Client{Timeout: 10 * time.Second}, Log: a.log})
}

// pageURL is the base URL of the listener that serves the page.
func (a *App) pageURL() string { return strings.TrimSuffix(a.AdminURL(), "/admin/") }

// pageClient is how the development identity provider knows the page.
func (a *App) pageClient() devidp.Client {
	return devidp.Client{ID: adminClient, Name: "Lyceum admin page", RedirectURIs: []string{a.pageURL() + "/admin/callback"}}
}
