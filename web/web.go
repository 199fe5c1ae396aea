// Package web shows the running server to a person: a page at /admin/ that
// lists sessions live and can end them.
//
// The page has no power of its own. Whoever opens it logs in at the server's
// OpenID provider (authorization code with PKCE); the access token stays on this
// side, behind an opaque cookie, and every look and every act is checked against
// its scopes. Raw session ids never reach the page: sessions go by their
// references.
package web

import (
	"context"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

// Monitor is what the page shows and does.
type Monitor interface {
	Sessions() iter.Seq[session.Info]
	EndSession(ctx context.Context, ref string) error
	Work() work.Stats
	InFlight() int
	Server() (version string, since time.Time)
	Ready() error
}

// Login says how a person logs in. Its zero value means that nobody can, and
// the page explains how to use the REST interface instead.
type Login struct {
	AuthURL  string // of the provider
	TokenURL string
	ClientID string
	Resource string            // audience that the token must be for
	Extra    map[string]string // parameters of the authorization request
	Button   string            // what the button says
	Note     string            // what stands below it
}

// Config describes the page.
type Config struct {
	BaseURL string // of the listener that serves it, without a trailing slash
	Login   Login
}

// Deps are what the page needs. All are needed.
type Deps struct {
	Monitor  Monitor
	Verifier identity.Verifier
	Client   *http.Client // asks the provider for tokens
	Log      *slog.Logger
}

// Bounds of the page.
const (
	maxLogins   = 1000 // people logged in
	maxPending  = 1000 // logins begun and not finished
	pendingTTL  = 10 * time.Minute
	maxWatchers = 50
	maxRows     = 1000 // sessions shown; the newest
	tick        = time.Second
)

//go:embed static templates
var files embed.FS

type page struct {
	Config
	Deps
	templates *template.Template
	oauth     *oauth2.Config
	logins    *shelf[*identity.Principal]
	pending   *shelf[pending]
	watchers  chan struct{} // a place for each open event stream
	secure    bool
	cookie    string
}

// New returns the handler of everything below /admin/.
func New(cfg Config, deps Deps) (http.Handler, error) {
	templates, err := template.New("").Funcs(template.FuncMap{"ago": ago, "size": size}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the page's templates: %w", err)
	}
	u, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("parse the page's URL: %w", err)
	}
	p := &page{
		Config: cfg, Deps: deps, templates: templates, secure: u.Scheme == "https", cookie: "lyceum_admin",
		logins: newShelf[*identity.Principal](maxLogins), pending: newShelf[pending](maxPending), watchers: make(chan struct{}, maxWatchers),
		oauth: &oauth2.Config{
			ClientID: cfg.Login.ClientID, RedirectURL: cfg.BaseURL + "/admin/callback", Scopes: []string{"openid", "admin.read", "admin.write"},
			Endpoint: oauth2.Endpoint{AuthURL: cfg.Login.AuthURL, TokenURL: cfg.Login.TokenURL, AuthStyle: oauth2.AuthStyleInParams},
		},
	}
	if p.secure {
		p.cookie = "__Host-" + p.cookie
	}
	static, err := fs.Sub(files, "static")
	if err != nil {
		return nil, fmt.Errorf("find the page's files: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /admin/static/", http.StripPrefix("/admin/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /admin/{$}", p.index)
	mux.HandleFunc("GET /admin/login", p.login)
	mux.HandleFunc("GET /admin/login/start", p.startLogin)
	mux.HandleFunc("GET /admin/callback", p.callback)
	mux.HandleFunc("POST /admin/logout", p.logout)
	mux.HandleFunc("GET /admin/events", p.events)
	mux.HandleFunc("POST /admin/sessions/{ref}/end", p.end)
	return headers(new(http.CrossOriginProtection).Handler(mux)), nil
}

const policyHeader = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// headers replaces the chain's policy, which lets nothing be rendered.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policyHeader)
		if strings.HasPrefix(r.URL.Path, "/admin/static/") {
			w.Header().Set("Cache-Control", "no-cache")
		} else {
			w.Header().Set("Cache-Control", "no-store")
		}
		next.ServeHTTP(w, r)
	})
}
