package app

import (
	"context"
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
// A local server has no page: no browser reaches it.
func (a *App) page(verifier identity.Verifier) (http.Handler, error) {
	if a.listener == nil {
		return nil, nil
	}
	cfg := web.Config{URL: a.pageURL(), KeepAlive: a.cfg.HTTP.Keepalive, WriteTimeout: a.cfg.HTTP.WriteTimeout}
	for _, is := range a.cfg.Issuers() {
		cfg.Issuers = append(cfg.Issuers, is.Issuer)
	}
	deps := web.Deps{Log: a.log, Verifier: verifier, Alerts: a.alerts.snapshot}
	if a.issuer != nil {
		cfg.Provider = &web.Provider{
			Issuer: a.baseURL + devidp.Prefix, AuthURL: devidp.Prefix + "/authorize", TokenURL: a.baseURL + devidp.Prefix + "/token",
			ClientID: adminClient, Resource: a.baseURL + api.MCPPath, Params: map[string]string{"auto": "1", "login_hint": "admin"},
			Button: "Continue as admin", Hint: "Development mode: no password, for anybody on this machine.",
		}
		if a.adminLn != nil {
			cfg.Provider.AuthURL = a.baseURL + devidp.Prefix + "/authorize" // the issuer is on the other listener
		}
		// The issuer is in this process: its tokens need no network.
		inside := &local{handler: a.issuer}
		deps.Client = &http.Client{Transport: inside, Timeout: 10 * time.Second}
		a.undo.push("page", func(context.Context) error { inside.wait(); return nil })
	}
	if a.watcher.spans != nil {
		deps.Spans = a.watcher.spans.List
	}
	if a.cfg.Telemetry.Timelines > 0 {
		deps.Timeline = a.watcher.moments
	}
	return web.New(cfg, a.monitor(), deps)
}

// pageURL is the base URL of the listener that serves the page.
func (a *App) pageURL() string { return strings.TrimSuffix(a.AdminURL(), web.Prefix) }

// pageClient is how the development identity provider knows the page. The ports
// of loopback addresses do not matter there.
func (a *App) pageClient() devidp.Client {
	c := devidp.Client{ID: adminClient, Name: "Lyceum admin page", Grants: []string{"authorization_code"}}
	for _, origin := range []string{"http://127.0.0.1", "http://localhost", "http://[::1]"} {
		c.RedirectURIs = append(c.RedirectURIs, origin+web.CallbackPath)
	}
	if url := a.pageURL(); strings.HasPrefix(url, "https://") {
		c.RedirectURIs = append(c.RedirectURIs, url+web.CallbackPath)
	}
	return c
}

// moments is the timeline of a session as the page wants it.
func (w *watcher) moments(ref string) ([]web.Moment, bool) {
	found, known := w.times.of(ref)
	moments := make([]web.Moment, 0, len(found))
	for _, h := range found {
		moments = append(moments, web.Moment(h))
	}
	return moments, known
}
