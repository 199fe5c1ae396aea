package bridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// registration is who the bridge is for an authorization server. One that the
// server made (RFC 7591 §3.2.1) is kept and used again, with its redirect URI: the
// same port is taken if it is free, because not every server lets the port of a
// loopback address vary as RFC 8252 §7.3 demands.
type registration struct {
	ID      string `json:"client_id"`
	Secret  string `json:"client_secret,omitempty"`
	Method  string `json:"token_endpoint_auth_method,omitempty"`
	Expires int64  `json:"client_secret_expires_at,omitempty"` // seconds since 1970; 0 is never

	Issuer   string `json:"issuer"`
	Redirect string `json:"redirect_uri"`
}

// good reports whether a registration can still be tried at an issuer.
func (r *registration) good(issuer string) bool {
	return r != nil && r.Issuer == issuer && r.ID != "" && (r.Expires == 0 || time.Until(time.Unix(r.Expires, 0)) > expiryMargin)
}

// port is that of its redirect URI, "0" if it has none.
func (r *registration) port() string {
	if u, err := url.Parse(r.Redirect); err == nil && u.Port() != "" {
		return u.Port()
	}
	return "0"
}

// errClient means that the authorization server does not know this client.
var errClient = errors.New("the authorization server does not know this client any more")

// given returns the client that was configured, as far as this server takes it: one
// that was registered beforehand, or the URL of a metadata document, which is a
// client id where the server says so (draft-ietf-oauth-client-id-metadata-document).
func (a *account) given(m *issuerMetadata) *registration {
	id := a.login.ClientID
	if isDocument := strings.HasPrefix(id, "https://"); id != "" && !isDocument {
		return &registration{ID: id, Secret: a.login.ClientSecret, Method: m.method(a.login.ClientSecret != "")}
	} else if !isDocument {
		id = a.login.MetadataURL
	}
	if id == "" || !m.ClientDocuments {
		return nil
	}
	return &registration{ID: id, Method: "none"}
}

// kept returns the registration of an earlier login, if the server still knows it.
// A server that forgot it would tell only the user, on the page that it shows.
func (a *account) kept(ctx context.Context, m *issuerMetadata) *registration {
	r := &registration{}
	if found, err := readPrivate(a.cache.clientPath(), r); err != nil || !found || !r.good(m.Issuer) {
		return nil
	}
	if a.proven == r.ID {
		return r
	}
	e := &entry{TokenURL: m.TokenURL, ClientID: r.ID, ClientSecret: r.Secret, AuthStyle: r.style()}
	_, err := e.client().Exchange(context.WithValue(ctx, oauth2.HTTPClient, a.web.client), "",
		oauth2.SetAuthURLParam("grant_type", "refresh_token"), oauth2.SetAuthURLParam("refresh_token", rand.Text()))
	if refusal(err) == "invalid_client" {
		a.forgetClient()
		return nil
	}
	return r
}

func (a *account) forgetClient() {
	a.proven = ""
	if _, err := removeFile(a.cache.clientPath()); err != nil {
		a.say("the registration could not be forgotten: %v", err)
	}
}

// register makes this program a client of an authorization server and keeps that.
func (a *account) register(ctx context.Context, s *site, redirect string) (*registration, error) {
	m := &s.issuer
	if m.RegistrationURL == "" {
		why := "it takes no registrations"
		if a.login.MetadataURL != "" || a.login.ClientID != "" {
			why += " and no client-id metadata documents"
		}
		return nil, fmt.Errorf("authorization server %s: %s: register a client there and give its id with --client-id", m.Issuer, why)
	}
	body, err := json.Marshal(map[string]any{
		"client_name": "Lyceum stdio bridge", "redirect_uris": []string{redirect}, "application_type": "native",
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		"token_endpoint_auth_method": m.method(false),
	})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RegistrationURL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	r := &registration{}
	err = a.web.fetch(req, http.StatusCreated, r)
	if s.guessed && errors.Is(err, errNoDocument) {
		return nil, errNoWhere
	}
	if err != nil {
		return nil, fmt.Errorf("register as a client: %w (or give the id of one with --client-id)", err)
	}
	if r.ID == "" {
		return nil, fmt.Errorf("register as a client: %s gave no client_id", m.RegistrationURL)
	}
	if r.Method == "" {
		r.Method = m.method(r.Secret != "")
	}
	r.Issuer, r.Redirect = m.Issuer, redirect
	if err := writePrivate(a.cache.clientPath(), r); err != nil {
		a.say("the registration is not kept: %v", err)
	}
	a.proven = r.ID
	return r, nil
}

// method picks how a client shows who it is at the token endpoint: with its secret,
// if it has one, in the way that the server names first of those known here.
func (m *issuerMetadata) method(secret bool) string {
	known := []string{"none", "client_secret_basic", "client_secret_post"}
	if secret {
		known = append(known[1:], known[0])
	}
	for _, method := range known {
		if slices.Contains(m.TokenMethods, method) {
			return method
		}
	}
	if len(m.TokenMethods) == 0 && secret {
		return "client_secret_basic" // RFC 8414 §2
	}
	return "none"
}

// style is that method for oauth2.
func (r *registration) style() oauth2.AuthStyle {
	if r.Secret != "" && r.Method == "client_secret_basic" {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams
}

// use makes the login that of a client.
func (e *entry) use(r *registration) {
	e.ClientID, e.ClientSecret, e.AuthStyle = r.ID, r.Secret, r.style()
	if r.Method == "none" {
		e.ClientSecret = ""
	}
}

// refusal returns the code with which a token endpoint refused (RFC 6749 §5.2), ""
// for everything else.
func refusal(err error) string {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return ""
	}
	return e.ErrorCode
}

// plainly puts what a token endpoint answered on one line.
func plainly(err error) error {
	e, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return err
	case e.ErrorCode != "":
		return fmt.Errorf("the authorization server answered %q %q", e.ErrorCode, e.ErrorDescription)
	default:
		return fmt.Errorf("the authorization server answered with status %d", e.Response.StatusCode)
	}
}
