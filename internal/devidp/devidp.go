// Package devidp is an OAuth 2.1 and OpenID Connect issuer for development and
// tests, with real keys and real tokens.
//
// It has users but no passwords: whoever reaches it picks a name. So it is for a
// server that listens on loopback addresses only, and it refuses requests whose
// Host is not one (DNS rebinding). The keys are in the data directory, readable
// by its owner only. Whoever can read them can mint any token, and so could
// start the server itself; nobody else can.
//
// Everything but the keys is in memory, bounded, and gone after a restart.
// From the bottom up: keys.go keeps the keys, mint.go and forge.go make tokens,
// shelf.go bounds what is remembered, clients.go and document.go know who asks,
// authorize.go and grants.go are the two halves of the code flow, metadata.go
// describes it all.
package devidp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// Prefix is the path of the issuer's URL: its endpoints are below it.
	Prefix = "/dev/idp"

	// LocalIssuer and LocalAudience are iss and aud of tokens that do not know the
	// server's port: those that MintFromDir makes, perhaps before there is a
	// server. A server accepts them only if they are signed with the keys of its
	// own data directory. LocalIssuer is also how owners are known whatever the
	// port was, so that their sessions are still theirs after a restart on another
	// one.
	LocalIssuer   = "http://localhost" + Prefix
	LocalAudience = "urn:lyceum:dev"

	// TenantClaim is the claim that names the tenant.
	TenantClaim = "tenant"

	// DefaultTenant is the tenant of those that have none.
	DefaultTenant = "dev"

	// DefaultClient is the client_id of tokens that nobody asked for over HTTP.
	DefaultClient = "lyceum-dev"
)

// Defaults of Config.
const (
	DefaultTTL        = time.Hour
	DefaultRefreshTTL = 24 * time.Hour
	DefaultAlgorithm  = "RS256" // what every client can verify
)

const (
	maxTTL     = 30 * 24 * time.Hour
	codeTTL    = time.Minute
	maxCodes   = 1000
	maxRefresh = 10_000
	maxRevoked = 10_000
	maxClients = 1000
)

// User is somebody the login page offers.
type User struct {
	Sub    string // unique; also the login_hint
	Tenant string // "" means DefaultTenant
	Name   string // for people; "" means Sub
}

// Config describes an Issuer. Its zero value works.
type Config struct {
	Issuer    string   // URL that ends in Prefix; "" until SetIssuer
	Resources []string // audiences that tokens may be for; the first is the default

	KeyDir    string // directory of the key file; "" keeps the keys in memory
	Algorithm string // of keys that are made: RS256, PS256, ES256 or EdDSA; "" means DefaultAlgorithm

	Users         []User   // none means alice and bob of one tenant, carol of another, and admin
	Clients       []Client // registered beforehand
	Scopes        []string // that may be granted; none means reason, code, admin.read, admin.write
	DefaultScopes []string // granted when none are asked for; none means reason and code

	TTL        time.Duration // of access and ID tokens, at most 30 days; 0 means DefaultTTL
	RefreshTTL time.Duration // of a refresh token; 0 means DefaultRefreshTTL

	Roots *x509.CertPool // of the sites where clients describe themselves; nil means the system's
}

func (c Config) withDefaults() Config {
	if c.Algorithm == "" {
		c.Algorithm = DefaultAlgorithm
	}
	if len(c.Users) == 0 {
		c.Users = []User{
			{Sub: "alice", Name: "Alice"},
			{Sub: "bob", Name: "Bob"},
			{Sub: "carol", Name: "Carol", Tenant: "other"},
			{Sub: "admin", Name: "Administrator"},
		}
	}
	c.Users = slices.Clone(c.Users)
	for i := range c.Users {
		u := &c.Users[i]
		u.Tenant = orDefault(u.Tenant, DefaultTenant)
		u.Name = orDefault(u.Name, u.Sub)
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"reason", "code", "admin.read", "admin.write"}
	}
	if len(c.DefaultScopes) == 0 {
		c.DefaultScopes = []string{"reason", "code"}
	}
	c.TTL = orDefault(c.TTL, DefaultTTL)
	c.RefreshTTL = orDefault(c.RefreshTTL, DefaultRefreshTTL)
	return c
}

func orDefault[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	seen := make(map[string]bool)
	for _, u := range c.Users {
		if u.Sub == "" || seen[u.Sub] {
			bad("user %q: want a name that nobody else has", u.Sub)
		}
		seen[u.Sub] = true
	}
	for _, s := range slices.Concat(c.Scopes, c.DefaultScopes) {
		if s == "" || strings.ContainsAny(s, " \t\r\n\"\\") {
			bad("scope %q: want characters without spaces, quotes and backslashes", s)
		}
	}
	if c.TTL < time.Second || c.TTL > maxTTL || c.RefreshTTL < time.Second || c.RefreshTTL > maxTTL {
		bad("lifetimes %s and %s: want 1s to %s", c.TTL, c.RefreshTTL, maxTTL)
	}
	for _, client := range c.Clients {
		if client.ID == "" {
			bad("client %q: want an id", client.Name)
		}
		if err := client.validate(); err != nil {
			bad("client %q: %w", client.ID, err)
		}
	}
	return errors.Join(errs...)
}

// Issuer is the issuer. It is an http.Handler for the paths that Paths returns.
type Issuer struct {
	config Config
	keys   *keyring
	mux    http.Handler

	documents *documents

	mu sync.Mutex

	// owned by mu
	url       string   // "" until it is known
	resources []string // the first is the default
	clients   map[string]Client
	joined    *shelf[Client] // registered over HTTP
	described *shelf[Client] // by their documents
	codes     *shelf[*grant]
	refresh   *shelf[*refreshToken]
	revoked   *shelf[struct{}] // token keys of access tokens
}

// New returns an issuer. With a KeyDir it reads the keys there, and makes them if
// there are none.
func New(config Config) (*Issuer, error) {
	config = config.withDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("development issuer: %w", err)
	}
	keys, err := openKeys(config.KeyDir, config.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("development issuer: %w", err)
	}
	i := &Issuer{
		config: config, keys: keys,
		clients:   make(map[string]Client),
		joined:    newShelf[Client](maxClients),
		described: newShelf[Client](maxDocuments),
		documents: newDocuments(config),
		codes:     newShelf[*grant](maxCodes),
		refresh:   newShelf[*refreshToken](maxRefresh),
		revoked:   newShelf[struct{}](maxRevoked),
	}
	for _, c := range config.Clients {
		i.clients[c.ID] = c.withDefaults()
	}
	i.resources = config.Resources
	if config.Issuer != "" {
		if err := i.SetIssuer(config.Issuer); err != nil {
			return nil, err
		}
	}
	i.mux = i.routes()
	return i, nil
}

// SetIssuer sets the issuer's URL once the port is known, and the resources too
// if any are given. Before that, the endpoints answer 503.
func (i *Issuer) SetIssuer(issuer string, resources ...string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != Prefix {
		return fmt.Errorf("development issuer %q: want a URL such as http://127.0.0.1:8383%s", issuer, Prefix)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.url = issuer
	if len(resources) > 0 {
		i.resources = slices.Clone(resources)
	}
	return nil
}

// identity returns the issuer's URL, "" if it is not known yet, and the
// audiences its tokens may have.
func (i *Issuer) identity() (issuer string, resources []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.url, i.resources
}

// Name returns LocalIssuer: the one name of this issuer that does not depend on
// the port.
func (i *Issuer) Name() string { return LocalIssuer }

// Audiences returns what a token with this iss may be for: the resources under
// the issuer's URL, LocalAudience under LocalIssuer, and nil under any other.
func (i *Issuer) Audiences(iss string) []string {
	issuer, resources := i.identity()
	var all []string
	if iss == LocalIssuer {
		all = append(all, LocalAudience)
	}
	if iss == issuer {
		all = append(all, resources...)
	}
	return all
}

// Revoked reports whether the access token with this key, its SHA-256 in hex,
// was revoked.
func (i *Issuer) Revoked(tokenKey string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, revoked := i.revoked.get(tokenKey, time.Now())
	return revoked
}

// Paths returns the patterns that the issuer must be mounted at, without
// stripping: Prefix and below, and the two well-known documents whose place is
// at the root of the host (RFC 8414 §3.1).
func Paths() []string {
	return []string{
		Prefix + "/",
		"/.well-known/oauth-authorization-server" + Prefix,
		"/.well-known/openid-configuration" + Prefix,
	}
}

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	issuer, _ := i.identity()
	if issuer == "" {
		http.Error(w, "the issuer does not know its URL yet", http.StatusServiceUnavailable)
		return
	}
	if u, err := url.Parse(issuer); !loopback(hostname(r.Host)) && (err != nil || r.Host != u.Host) {
		http.Error(w, "this issuer is for loopback addresses only", http.StatusMisdirectedRequest)
		return
	}
	i.mux.ServeHTTP(w, r)
}

func (i *Issuer) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(method, path string, allowed func(origin string) bool, h http.HandlerFunc) {
		mux.HandleFunc(method+" "+path, cors(allowed, h))
		mux.HandleFunc("OPTIONS "+path, cors(allowed, h))
	}
	for _, path := range []string{
		Prefix + "/.well-known/openid-configuration",
		Prefix + "/.well-known/oauth-authorization-server",
		"/.well-known/openid-configuration" + Prefix,
		"/.well-known/oauth-authorization-server" + Prefix,
	} {
		open("GET", path, anyOrigin, i.metadata)
	}
	open("GET", Prefix+"/jwks", anyOrigin, i.jwks)
	open("POST", Prefix+"/token", localOrigin, i.token)
	open("POST", Prefix+"/register", localOrigin, i.register)
	open("POST", Prefix+"/revoke", localOrigin, i.revoke)
	mux.HandleFunc("POST "+Prefix+"/introspect", i.introspect) // for servers, not for scripts

	// The page is for browsers, so other sites must not press its buttons.
	mux.HandleFunc("GET "+Prefix+"/authorize", i.authorize)
	mux.Handle("POST "+Prefix+"/authorize", http.NewCrossOriginProtection().Handler(http.HandlerFunc(i.login)))
	return mux
}

// cors lets scripts of allowed origins read the answers of h, for clients that run
// in a browser. No answer depends on cookies.
func cors(allowed func(origin string) bool, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		ok := origin != "" && allowed(origin)
		if ok {
			head.Set("Access-Control-Allow-Origin", origin)
		}
		switch {
		case r.Method != http.MethodOptions:
			h(w, r)
		case ok:
			head.Set("Access-Control-Allow-Methods", "GET, POST")
			head.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, MCP-Protocol-Version")
			head.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}
}

func anyOrigin(string) bool { return true }

func localOrigin(origin string) bool {
	u, err := url.Parse(origin)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopback(u.Hostname())
}

// hostname returns host:port without the port and without brackets.
func hostname(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
