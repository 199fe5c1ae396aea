package bridge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// Login says how the bridge gets a token when it was given none.
type Login struct {
	CacheDir     string                 // the user's: the login is kept below it
	ClientID     string                 // registered beforehand, or the URL of a client-id metadata document; "" registers one
	ClientSecret string                 // of ClientID, "" if it has none
	MetadataURL  string                 // of a client-id metadata document, for servers that take one; https
	Machine      bool                   // the client itself is the user (RFC 6749 §4.4): ClientID and ClientSecret are needed
	CallbackPort int                    // on 127.0.0.1; 0 is any
	Open         func(url string) error // shows a page to the user; nil only prints its URL
	Wait         time.Duration          // for the user; 0 is DefaultLoginWait
}

// check refuses what cannot be meant.
func (l *Login) check() error {
	if l.MetadataURL != "" {
		u, err := url.Parse(l.MetadataURL)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "" || strings.Trim(u.Path, "/") == "" {
			return fmt.Errorf("client metadata %q: want an https URL with a path, without user and fragment", l.MetadataURL)
		}
	}
	if l.Machine && (l.ClientID == "" || l.ClientSecret == "" || strings.HasPrefix(l.ClientID, "https://")) {
		return errors.New("client credentials: want the client's id and its secret")
	}
	if l.ClientSecret != "" && l.ClientID == "" {
		return errors.New("a client secret is given and no client id")
	}
	if l.CallbackPort < 0 || l.CallbackPort > 65535 {
		return fmt.Errorf("callback port %d: want 0 to 65535", l.CallbackPort)
	}
	return nil
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
	switch refusal(err) {
	case "invalid_client", "unauthorized_client":
		a.forgetClient()
		return nil, nil
	case "invalid_grant":
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("refresh the token: %w", plainly(err))
	}
	e := *old
	e.refreshed = true
	return &e, e.take(token, old.Scopes)
}

// moved reports whether the server trusts another issuer now than the one that the
// login is from: then nothing of the login is of use.
func (a *account) moved(ctx context.Context, w *want, e *entry) bool {
	if w.challenge.scheme == "" {
		return false
	}
	doc, err := a.web.resource(ctx, a.endpoint, w.challenge.params["resource_metadata"])
	return err == nil && len(doc.Servers) > 0 && !slices.Contains(doc.Servers, e.Issuer)
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
// resource. If the server has forgotten the client, it is registered anew, once.
func (a *account) interact(ctx context.Context, w *want, old *entry) (*entry, error) {
	s, err := a.web.discover(ctx, a.endpoint, w.challenge)
	if err != nil {
		return nil, err
	}
	if err := s.issuer.interactive(); err != nil {
		return nil, err
	}
	client := a.given(&s.issuer)
	isGiven := client != nil
	if !isGiven {
		client = a.kept(ctx, &s.issuer)
	}
	e, err := a.askUser(ctx, w, s, old, client)
	switch {
	case isGiven || client == nil:
	case errors.Is(err, errClient):
		a.forgetClient()
		a.say("%v: registering again", err)
		return a.askUser(ctx, w, s, old, nil)
	case errors.Is(err, errNobody) && a.proven != client.ID:
		a.forgetClient() // the page may have said that it does not know the client
	}
	return e, err
}

// askUser is one login, by a client, or by one that is registered for it.
func (a *account) askUser(ctx context.Context, w *want, s *site, old *entry, client *registration) (*entry, error) {
	state, verifier := rand.Text(), oauth2.GenerateVerifier()
	back, client, err := a.callback(ctx, client, state)
	if err != nil {
		return nil, err
	}
	defer back.close()
	if client == nil {
		if client, err = a.register(ctx, s, back.url()); err != nil {
			return nil, err
		}
	}
	e := a.entry(s, scopesToAsk(s, w, old))
	if len(e.Scopes) > 0 && slices.Contains(s.issuer.Scopes, "offline_access") {
		e.Scopes = union(e.Scopes, "offline_access")
	}
	e.use(client)
	flow := e.client()
	flow.Endpoint.AuthURL, flow.RedirectURL, flow.Scopes = s.issuer.AuthorizationURL, back.url(), e.Scopes
	resource := oauth2.SetAuthURLParam("resource", s.resource)
	a.show(flow.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier), resource), e.Scopes)
	answer, err := back.wait(ctx, a.login.Wait)
	if err != nil {
		return nil, err
	}
	got, err := code(answer, &s.issuer)
	if err != nil {
		return nil, err
	}
	token, err := flow.Exchange(context.WithValue(ctx, oauth2.HTTPClient, a.web.client), got, oauth2.VerifierOption(verifier), resource)
	if r := refusal(err); r == "invalid_client" || r == "unauthorized_client" {
		return nil, fmt.Errorf("%w: %w", errClient, plainly(err))
	}
	if err != nil {
		return nil, fmt.Errorf("exchange the code: %w", plainly(err))
	}
	if err := e.take(token, e.Scopes); err != nil {
		return nil, err
	}
	a.proven = client.ID
	a.say("logged in, scopes %q", e.Scopes)
	return e, nil
}

// callback opens the port for the answer: the configured one, or the one that the
// client is registered with. If that is taken, so that the client must be another
// one, the client that is returned is nil.
func (a *account) callback(ctx context.Context, client *registration, state string) (*callback, *registration, error) {
	port := strconv.Itoa(a.login.CallbackPort)
	foreign := func() { a.say("an answer with a wrong state came and was not used: waiting for the right one") }
	if client == nil || client.Redirect == "" || port != "0" {
		if client != nil && client.Redirect != "" && client.port() != port {
			client = nil
		}
		back, err := newCallback(ctx, port, state, foreign)
		return back, client, err
	}
	if back, err := newCallback(ctx, client.port(), state, foreign); err == nil {
		return back, client, nil
	}
	back, err := newCallback(ctx, port, state, foreign)
	return back, nil, err
}

// alone gets a token for the client itself.
func (a *account) alone(ctx context.Context, w *want, old *entry) (*entry, error) {
	s, err := a.web.discover(ctx, a.endpoint, w.challenge)
	if err != nil {
		return nil, err
	}
	e := a.entry(s, scopesToAsk(s, w, old))
	e.use(a.given(&s.issuer))
	options := []oauth2.AuthCodeOption{oauth2.SetAuthURLParam("grant_type", "client_credentials"), oauth2.SetAuthURLParam("resource", s.resource)}
	if len(e.Scopes) > 0 {
		options = append(options, oauth2.SetAuthURLParam("scope", strings.Join(e.Scopes, " ")))
	}
	token, err := e.client().Exchange(context.WithValue(ctx, oauth2.HTTPClient, a.web.client), "", options...)
	if err != nil {
		return nil, fmt.Errorf("get a token as the client %q: %w", e.ClientID, plainly(err))
	}
	return e, e.take(token, e.Scopes)
}

// entry returns a login without tokens.
func (a *account) entry(s *site, scopes []string) *entry {
	return &entry{
		URL: a.endpoint, Resource: s.resource, Issuer: s.issuer.Issuer, TokenURL: s.issuer.TokenURL, RevokeURL: s.issuer.RevocationURL,
		Configured: a.login.ClientID, Machine: a.login.Machine, Scopes: scopes,
	}
}

// scopesToAsk are those of the challenge, or the server's baseline without one,
// and what was granted before: a step up must not take anything away.
func scopesToAsk(s *site, w *want, old *entry) []string {
	ask := w.challenge.scopes()
	if len(ask) == 0 {
		ask = s.scopes
	}
	if w.raise && old != nil {
		return union(ask, old.Scopes...)
	}
	return union(ask)
}

// union sorts scopes and drops those that are there twice.
func union(a []string, b ...string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
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
