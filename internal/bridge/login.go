package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Login says how the bridge gets a token when it was given none.
type Login struct {
	CacheDir string                 // the user's: the login is kept below it
	ClientID string                 // registered beforehand, or the URL of a client-id metadata document; "" registers one
	Open     func(url string) error // shows a page to the user; nil only prints its URL
	Wait     time.Duration          // for the user; 0 is DefaultLoginWait
}

// DefaultLoginWait is how long a user has to log in.
const DefaultLoginWait = 5 * time.Minute

// Logout forgets the login for an endpoint and reports whether there was one. It
// asks the authorization server to end it there too; if that cannot be done, it is
// said on log, and the login is forgotten all the same.
func Logout(ctx context.Context, endpoint string, cfg Config) (bool, error) {
	a, err := newAccount(cfg, endpoint)
	if err != nil {
		return false, err
	}
	unlock, err := lockFile(ctx, a.cache.lockPath(), func() { a.say("another lyceum is logging in: waiting for it") })
	if err != nil {
		return false, err
	}
	defer unlock()
	if e, err := a.cache.read(); err == nil && e != nil {
		if err := a.revoke(ctx, e); err != nil {
			a.say("the authorization server was not told: %v", err)
		}
	}
	return a.cache.remove()
}

// revoke ends the grant where the server can do that (RFC 7009).
func (a *account) revoke(ctx context.Context, e *entry) error {
	if e.RevokeURL == "" || e.RefreshToken == "" {
		return nil
	}
	form := url.Values{"token": {e.RefreshToken}, "token_type_hint": {"refresh_token"}, "client_id": {e.ClientID}}
	if e.ClientSecret != "" {
		form.Set("client_secret", e.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := a.web.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", e.RevokeURL, resp.StatusCode)
	}
	return nil
}

// refresh exchanges the refresh token. It returns nil without an error if the
// server says that this login is over.
func (a *account) refresh(ctx context.Context, old *entry) (*entry, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, a.web.client)
	// oauth2's own refresh cannot name the resource (RFC 8707 §2.2). The empty code
	// that Exchange adds counts as none (RFC 6749 §3.2).
	token, err := old.client().Exchange(ctx, "",
		oauth2.SetAuthURLParam("grant_type", "refresh_token"), oauth2.SetAuthURLParam("refresh_token", old.RefreshToken),
		oauth2.SetAuthURLParam("resource", old.Resource))
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok && slices.Contains([]string{"invalid_grant", "invalid_client", "unauthorized_client"}, e.ErrorCode) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("refresh the token: %w", err)
	}
	e := *old
	return &e, e.take(token, old.Scopes)
}

// take puts what the token endpoint gave into the entry. A server that names no
// scope granted what was asked (RFC 6749 §5.1); one that gives no new refresh
// token leaves the old one good.
func (e *entry) take(token *oauth2.Token, asked []string) error {
	if token.Type() != "Bearer" {
		return fmt.Errorf("the authorization server gave a token of type %q: want Bearer", token.TokenType)
	}
	e.AccessToken, e.Expires, e.Scopes = token.AccessToken, token.Expiry.Round(0), asked
	if token.RefreshToken != "" {
		e.RefreshToken = token.RefreshToken
	}
	if granted, ok := token.Extra("scope").(string); ok && granted != "" {
		e.Scopes = strings.Fields(granted)
	}
	return nil
}

// interact lets the user log in: an authorization code with PKCE for this one
// resource.
func (a *account) interact(ctx context.Context, w *want, old *entry) (*entry, error) {
	s, err := a.web.discover(ctx, a.endpoint, w.challenge)
	if err != nil {
		return nil, err
	}
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	back, err := newCallback(ctx, state)
	if err != nil {
		return nil, err
	}
	defer back.close()
	e := &entry{
		URL: a.endpoint, Resource: s.resource, Issuer: s.issuer.Issuer, TokenURL: s.issuer.TokenURL, RevokeURL: s.issuer.RevocationURL,
		Configured: a.login.ClientID, Scopes: scopesToAsk(s, w, old),
	}
	if err := a.identify(ctx, e, s, back.url()); err != nil {
		return nil, err
	}
	client := e.client()
	client.Endpoint.AuthURL, client.RedirectURL, client.Scopes = s.issuer.AuthorizationURL, back.url(), e.Scopes
	resource := oauth2.SetAuthURLParam("resource", s.resource)
	a.show(client.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), resource), e.Scopes)
	answer, err := back.wait(ctx, a.login.Wait)
	if err != nil {
		return nil, err
	}
	got, err := code(answer, &s.issuer)
	if err != nil {
		return nil, err
	}
	token, err := client.Exchange(context.WithValue(ctx, oauth2.HTTPClient, a.web.client), got, oauth2.VerifierOption(verifier), resource)
	if err != nil {
		return nil, fmt.Errorf("exchange the code: %w", err)
	}
	if err := e.take(token, e.Scopes); err != nil {
		return nil, err
	}
	a.say("logged in, scopes %q", e.Scopes)
	return e, nil
}

// scopesToAsk are those of the challenge, or the server's baseline without one,
// and what was granted before: a step up must not take anything away. With
// offline_access, where the issuer has it, comes a refresh token.
func scopesToAsk(s *site, w *want, old *entry) []string {
	ask := w.challenge.scopes()
	if len(ask) == 0 {
		ask = slices.Clone(s.scopes)
	}
	if w.raise && old != nil {
		ask = append(ask, old.Scopes...)
	}
	if len(ask) > 0 && slices.Contains(s.issuer.Scopes, "offline_access") {
		ask = append(ask, "offline_access")
	}
	slices.Sort(ask)
	return slices.Compact(ask)
}

// identify finds the client to log in with: the one that was given, or one that
// is registered for this login.
func (a *account) identify(ctx context.Context, e *entry, s *site, redirect string) error {
	e.AuthStyle = oauth2.AuthStyleInParams
	id := a.login.ClientID
	document := strings.HasPrefix(id, "https://")
	if id != "" && (!document || s.issuer.ClientDocuments) {
		e.ClientID = id
		return nil
	}
	if s.issuer.RegistrationURL == "" {
		if document {
			return fmt.Errorf("authorization server %s: it takes no client-id metadata documents: register a client there and give its id with --client-id", s.issuer.Issuer)
		}
		return fmt.Errorf("authorization server %s: it takes no registrations: register a client there and give its id with --client-id", s.issuer.Issuer)
	}
	r, err := a.web.register(ctx, s.issuer.RegistrationURL, redirect)
	if err != nil {
		return err
	}
	e.ClientID, e.ClientSecret, e.AuthStyle = r.ID, r.Secret, r.style()
	return nil
}

// show tells the user what to do. The URL stands alone on its line, so that it can
// be found and clicked.
func (a *account) show(page string, scopes []string) {
	a.say("%s wants a login, for the scopes %q. Open this page in a browser within %s:\n\n%s\n", a.endpoint, scopes, a.login.Wait, page)
	if a.login.Open == nil {
		return
	}
	if err := a.login.Open(page); err != nil {
		a.say("no browser could be opened: %v", err)
	}
}

func (a *account) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.log, "lyceum stdio: "+format+"\n", args...) // nobody may be reading
}
