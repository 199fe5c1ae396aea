package web

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

const (
	maxForm    = 16 << 10 // bytes
	maxIDToken = 64 << 10 // bytes
	leeway     = time.Minute
)

// login is a login under way: what this server must find again when the browser
// comes back. The browser has its name in a cookie, so that nobody can finish a
// login in somebody else's browser.
type login struct {
	state    string
	nonce    string
	pkce     string
	redirect string
	view     query // where the person wanted to go
}

// oauth returns the client's side of the code flow.
func (s *site) oauth(redirect string) *oauth2.Config {
	p := s.cfg.Provider
	c := &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.Secret, RedirectURL: redirect,
		Scopes:   []string{"openid", string(policy.AdminRead), string(policy.AdminWrite)},
		Endpoint: oauth2.Endpoint{AuthURL: p.AuthURL, TokenURL: p.TokenURL},
	}
	if p.Secret == "" {
		c.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return c
}

// logIn sends the browser to the issuer.
func (s *site) logIn(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Provider == nil {
		return fault.Newf(fault.NotFound, "nobody can log in here")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(fault.Invalid, err, "the form cannot be read")
	}
	l := &login{
		state: newName(), nonce: newName(), pkce: oauth2.GenerateVerifier(), redirect: s.origin(r) + CallbackPath, view: parseQuery(r.PostForm),
	}
	params := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(l.pkce), oauth2.SetAuthURLParam("nonce", l.nonce)}
	if s.cfg.Provider.Resource != "" {
		params = append(params, oauth2.SetAuthURLParam("resource", s.cfg.Provider.Resource))
	}
	for name, value := range s.cfg.Provider.Params {
		params = append(params, oauth2.SetAuthURLParam(name, value))
	}
	name, now := newName(), time.Now()
	s.logins.put(name, l, now.Add(loginTTL), now)
	s.setCookie(w, loginCookie, name, now.Add(loginTTL))
	w.Header().Set("Location", s.oauth(l.redirect).AuthCodeURL(l.state, params...))
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// errLogin is what a person is told who came back with something that does not
// fit what was begun.
func errLogin(err error) error {
	return &fault.Error{Kind: fault.Invalid, Code: "login_failed", Public: "The login did not work out. Please try again.", Err: err}
}

// callback finishes a login. Whatever comes of it, what was begun is used up.
func (s *site) callback(w http.ResponseWriter, r *http.Request) error {
	if s.cfg.Provider == nil {
		return fault.Newf(fault.NotFound, "nobody can log in here")
	}
	cookie, err := r.Cookie(s.cookieName(loginCookie))
	if err != nil {
		return errLogin(errors.New("no login is under way in this browser"))
	}
	s.setCookie(w, loginCookie, "", time.Time{})
	l, ok := s.logins.take(cookie.Value, time.Now())
	if !ok {
		return errLogin(errors.New("the login took longer than " + loginTTL.String()))
	}
	q := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(l.state)) != 1 {
		return errLogin(errors.New("the state is another one"))
	}
	if iss := q.Get("iss"); iss != "" && iss != s.cfg.Provider.Issuer {
		return errLogin(fmt.Errorf("the answer is from %.80q", iss)) // RFC 9207
	}
	if code := q.Get("error"); code != "" {
		err := fmt.Errorf("the issuer says %.80q: %.200q", code, q.Get("error_description"))
		return &fault.Error{Kind: fault.Forbidden, Code: "login_refused", Public: "You were not logged in: the identity provider refused.", Err: err}
	}
	v, p, err := s.redeem(r.Context(), l, q.Get("code"))
	if err != nil {
		return err
	}
	if old, err := r.Cookie(s.cookieName(visitCookie)); err == nil {
		s.forget(old.Value)
	}
	for _, gone := range s.visitors.put(v.name, v, v.expires, time.Now()) {
		gone.leave()
	}
	s.setCookie(w, visitCookie, v.name, v.expires)
	s.deps.Log.InfoContext(r.Context(), "operator logged in", "operator", p.Subject, "operator_issuer", p.Issuer, "until", v.expires)
	http.Redirect(w, r, Prefix+l.view.suffix(), http.StatusSeeOther)
	return nil
}

// redeem turns a code into a visitor. Who it is and what they may do is the
// access token's to say, by the server's own verifier.
func (s *site) redeem(ctx context.Context, l *login, code string) (*visitor, *identity.Principal, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, s.deps.Client)
	token, err := s.oauth(l.redirect).Exchange(ctx, code, oauth2.VerifierOption(l.pkce))
	if err != nil {
		if _, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return nil, nil, errLogin(err)
		}
		return nil, nil, fault.Wrap(fault.Unavailable, err, "The identity provider does not answer. Please try again in a moment.")
	}
	p, err := s.deps.Verifier.Verify(ctx, token.AccessToken)
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
		return nil, nil, errLogin(err)
	case err != nil:
		return nil, nil, err
	}
	now := time.Now()
	raw, _ := token.Extra("id_token").(string)
	if err := s.checkIDToken(raw, l.nonce, p.Subject, now); err != nil {
		return nil, nil, errLogin(err)
	}
	if err := policy.Require(p, policy.AdminRead); err != nil {
		return nil, nil, &fault.Error{
			Kind: fault.Forbidden, Code: "insufficient_scope", Err: err,
			Public: fmt.Sprintf("You are %s, who may not look at this server: that needs the scope %s.", nameOf(p), policy.AdminRead),
		}
	}
	expires := now.Add(maxVisit)
	for _, t := range []time.Time{token.Expiry, p.Expires} {
		if !t.IsZero() && t.Before(expires) {
			expires = t
		}
	}
	return newVisitor(token.AccessToken, expires), p, nil
}

// checkIDToken ties the answer of the token endpoint to the login that this
// browser began. The signature is not checked, as OpenID Connect Core §3.1.3.7
// rule 6 allows for a token that came from the endpoint itself; nobody is
// believed to be anybody because of it, the access token decides that.
func (s *site) checkIDToken(raw, nonce, subject string, now time.Time) error {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || len(raw) > maxIDToken {
		return errors.New("the answer has no ID token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("read the ID token: %w", err)
	}
	var claims struct {
		Issuer   string   `json:"iss"`
		Subject  string   `json:"sub"`
		Audience audience `json:"aud"`
		Party    string   `json:"azp"`
		Nonce    string   `json:"nonce"`
		Expires  int64    `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fmt.Errorf("read the ID token: %w", err)
	}
	id := s.cfg.Provider.ClientID
	switch {
	case claims.Issuer != s.cfg.Provider.Issuer:
		return fmt.Errorf("the ID token is from %.80q", claims.Issuer)
	case !slices.Contains(claims.Audience, id) || claims.Party != "" && claims.Party != id:
		return errors.New("the ID token is for another client")
	case subtle.ConstantTimeCompare([]byte(claims.Nonce), []byte(nonce)) != 1:
		return errors.New("the ID token is of another login")
	case now.After(time.Unix(claims.Expires, 0).Add(leeway)):
		return errors.New("the ID token has expired")
	case claims.Subject != subject:
		return errors.New("the ID token and the access token are about different people")
	}
	return nil
}

// audience is one string or many (RFC 7519 §4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// logOut ends the login.
func (s *site) logOut(w http.ResponseWriter, r *http.Request) error {
	if cookie, err := r.Cookie(s.cookieName(visitCookie)); err == nil {
		s.forget(cookie.Value)
	}
	s.setCookie(w, visitCookie, "", time.Time{})
	http.Redirect(w, r, Prefix, http.StatusSeeOther)
	return nil
}

// home is for those who bookmarked the address of a form.
func (s *site) home(w http.ResponseWriter, r *http.Request) error {
	http.Redirect(w, r, Prefix, http.StatusSeeOther)
	return nil
}

// nameOf returns how a person is called on the page.
func nameOf(p *identity.Principal) string {
	if p.Name != "" {
		return p.Name
	}
	return p.Subject
}

// The cookies: one for a login, one while it is under way.
const (
	visitCookie = "lyceum_admin"
	loginCookie = "lyceum_admin_login"
)

// cookieName adds, under https, the prefix that keeps other hosts of the domain
// from setting the cookie.
func (s *site) cookieName(name string) string {
	if s.secure {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie until then, or removes it if value is "".
func (s *site) setCookie(w http.ResponseWriter, name, value string, until time.Time) {
	c := &http.Cookie{
		Name: s.cookieName(name), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: true,
		MaxAge: max(1, int(time.Until(until)/time.Second)),
	}
	if !s.secure { // plain http, on this machine
		c.Secure, c.Path = false, Prefix
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
