package devidp

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The grants.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	grantClient  = "client_credentials"
)

const (
	maxBody       = 64 << 10 // bytes of a form or a registration
	maxRedirects  = 20       // of one client
	maxURL        = 2048     // bytes
	maxClientName = 128      // bytes
	clientTTL     = 30 * 24 * time.Hour
)

// Client is a program that asks for tokens.
type Client struct {
	ID           string
	Secret       string // "" makes it a public client, which needs PKCE only
	Name         string // for people; "" means ID
	RedirectURIs []string
	Grants       []string // none means authorization_code and refresh_token
}

func (c Client) withDefaults() Client {
	if c.Name == "" {
		c.Name = c.ID
	}
	if len(c.Grants) == 0 {
		c.Grants = []string{grantCode, grantRefresh}
	}
	return c
}

func (c Client) validate() error {
	if len(c.Name) > maxClientName {
		return fmt.Errorf("client_name has %d bytes: want at most %d", len(c.Name), maxClientName)
	}
	if len(c.RedirectURIs) > maxRedirects {
		return fmt.Errorf("%w: %d of them, want at most %d", errRedirect, len(c.RedirectURIs), maxRedirects)
	}
	var errs []error
	for _, uri := range c.RedirectURIs {
		errs = append(errs, checkRedirect(uri))
	}
	for _, g := range c.Grants {
		switch {
		case g != grantCode && g != grantRefresh && g != grantClient:
			errs = append(errs, fmt.Errorf("grant %q: want %s, %s or %s", g, grantCode, grantRefresh, grantClient))
		case g == grantClient && c.Secret == "":
			errs = append(errs, fmt.Errorf("grant %s: want a client with a secret", g))
		}
	}
	return errors.Join(errs...)
}

// errRedirect is in every error about a redirect URI: RFC 7591 §3.2.2 has a code
// of its own for those.
var errRedirect = errors.New("redirect URI")

// checkRedirect takes https, http on loopback addresses, and schemes of native
// applications (RFC 8252 §7), but none that a browser itself acts on.
func checkRedirect(uri string) error {
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxURL || u.Fragment != "" || strings.Contains(uri, "#") || u.User != nil {
		return fmt.Errorf("%w %.80q: want an absolute URL without fragment, at most %d bytes", errRedirect, uri, maxURL)
	}
	switch u.Scheme {
	case "https":
		if u.Host != "" {
			return nil
		}
	case "http":
		if loopback(u.Hostname()) {
			return nil
		}
		return fmt.Errorf("%w %.80q: want https, or http on a loopback address", errRedirect, uri)
	case "", "javascript", "data", "file", "vbscript", "about", "blob", "ftp", "ws", "wss", "view-source", "filesystem":
	default:
		return nil
	}
	return fmt.Errorf("%w %.80q: its scheme is not one to redirect to", errRedirect, uri)
}

// redirectMatches compares exactly (RFC 9700 §4.1.3), but lets the port of a
// loopback address be any: native applications get one when they start
// (RFC 8252 §7.3).
func redirectMatches(registered, asked string) bool {
	if registered == asked {
		return true
	}
	r, err1 := url.Parse(registered)
	a, err2 := url.Parse(asked)
	if err1 != nil || err2 != nil || r.Scheme != "http" || !loopback(r.Hostname()) || r.Hostname() != a.Hostname() {
		return false
	}
	a.Host = r.Host
	return r.String() == a.String() && checkRedirect(asked) == nil
}

func (c Client) mayRedirect(uri string) bool {
	return slices.ContainsFunc(c.RedirectURIs, func(r string) bool { return redirectMatches(r, uri) })
}

func (c Client) may(grant string) bool { return slices.Contains(c.Grants, grant) }

// authenticate returns the client of a request to the token or the revocation
// endpoint: by HTTP Basic or in the form, and by its id alone if it is public.
func (i *Issuer) authenticate(r *http.Request) (Client, *oauthError) {
	id, secret, basic := r.BasicAuth()
	if basic {
		// RFC 6749 §2.3.1: both parts are form-encoded first.
		var err1, err2 error
		id, err1 = url.QueryUnescape(id)
		secret, err2 = url.QueryUnescape(secret)
		if form := r.PostForm.Get("client_id"); err1 != nil || err2 != nil || r.PostForm.Has("client_secret") || form != "" && form != id {
			return Client{}, badRequest("invalid_request", "the client is named in two ways")
		}
	} else {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	c, err := i.client(r.Context(), id)
	switch {
	case err != nil && isDocument(id):
		return Client{}, &oauthError{status: http.StatusUnauthorized, code: "invalid_client", text: err.Error()}
	case err != nil || subtle.ConstantTimeCompare([]byte(c.Secret), []byte(secret)) != 1:
		return Client{}, &oauthError{status: http.StatusUnauthorized, code: "invalid_client", text: "unknown client or wrong secret"}
	}
	return c, nil
}

// registration is the metadata of RFC 7591 §2 that matters here. A scope in it is
// not read: clients register the scope of the first challenge they met, and
// holding them to it would make every later step-up fail.
type registration struct {
	RedirectURIs  []string `json:"redirect_uris"`
	ClientName    string   `json:"client_name,omitempty"`
	GrantTypes    []string `json:"grant_types"`
	ResponseTypes []string `json:"response_types"`
	AuthMethod    string   `json:"token_endpoint_auth_method"`
}

// register is the registration endpoint (RFC 7591). When it is full, the client
// that registered first is forgotten.
func (i *Issuer) register(w http.ResponseWriter, r *http.Request) {
	var reg registration
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&reg); err != nil {
		fail(w, badRequest("invalid_client_metadata", "want a JSON object of at most 64 KiB"))
		return
	}
	c, err := reg.client()
	if err != nil {
		code := "invalid_client_metadata"
		if errors.Is(err, errRedirect) {
			code = "invalid_redirect_uri"
		}
		fail(w, badRequest(code, err.Error()))
		return
	}
	now := time.Now()
	i.mu.Lock()
	i.joined.put(c.ID, c, now.Add(clientTTL), now)
	i.mu.Unlock()

	reg.GrantTypes = c.Grants
	answer := struct {
		ID      string `json:"client_id"`
		Secret  string `json:"client_secret,omitempty"`
		Issued  int64  `json:"client_id_issued_at"`
		Expires *int64 `json:"client_secret_expires_at,omitempty"`
		registration
	}{ID: c.ID, Secret: c.Secret, Issued: now.Unix(), registration: reg}
	if c.Secret != "" {
		answer.Expires = new(now.Add(clientTTL).Unix())
	}
	writeJSON(w, http.StatusCreated, answer)
}

func (reg *registration) client() (Client, error) {
	c := Client{ID: "dyn-" + rand.Text(), Name: reg.ClientName, RedirectURIs: reg.RedirectURIs}
	switch reg.AuthMethod {
	case "none":
	case "", "client_secret_basic":
		reg.AuthMethod = "client_secret_basic" // the default of RFC 7591 §2
		c.Secret = rand.Text()
	case "client_secret_post":
		c.Secret = rand.Text()
	default:
		return c, fmt.Errorf("token_endpoint_auth_method %.40q: want none, client_secret_basic or client_secret_post", reg.AuthMethod)
	}
	if len(reg.GrantTypes) == 0 {
		reg.GrantTypes = []string{grantCode}
	}
	for _, g := range reg.GrantTypes {
		if (g == grantCode || g == grantRefresh || g == grantClient) && !c.may(g) {
			c.Grants = append(c.Grants, g) // others are not granted: RFC 7591 §3.2.1 lets us say so in the answer
		}
	}
	if len(c.Grants) == 0 {
		return c, fmt.Errorf("grant_types: want some of %s, %s, %s", grantCode, grantRefresh, grantClient)
	}
	if c.may(grantCode) {
		if len(c.RedirectURIs) == 0 {
			return c, fmt.Errorf("%w: want at least one in redirect_uris", errRedirect)
		}
		if len(reg.ResponseTypes) > 0 && !slices.Contains(reg.ResponseTypes, "code") {
			return c, errors.New("response_types: want code")
		}
		reg.ResponseTypes = []string{"code"}
	}
	// They are lists in the answer too: clients refuse null.
	reg.RedirectURIs = append([]string{}, reg.RedirectURIs...)
	reg.ResponseTypes = append([]string{}, reg.ResponseTypes...)
	return c.withDefaults(), c.validate()
}
