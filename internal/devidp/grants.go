package devidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// refreshToken is one link of a chain of refresh tokens. Used ones are kept, so
// that their reuse is seen (RFC 9700 §4.14.2).
type refreshToken struct {
	grant *grant
	used  bool // owned by the issuer's mu
}

// tokenAnswer is RFC 6749 §5.1 with OpenID Connect Core §3.1.3.3.
type tokenAnswer struct {
	AccessToken  string `json:"access_token"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int64  `json:"expires_in"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
}

// token is the token endpoint.
func (i *Issuer) token(w http.ResponseWriter, r *http.Request) {
	c, e := i.clientForm(w, r)
	if e != nil {
		fail(w, e)
		return
	}
	var answer tokenAnswer
	switch grantType := r.PostForm.Get("grant_type"); {
	case grantType != grantCode && grantType != grantRefresh && grantType != grantClient:
		e = badRequest("unsupported_grant_type", "want "+grantCode+", "+grantRefresh+" or "+grantClient)
	case !c.may(grantType):
		e = badRequest("unauthorized_client", "this client has not registered the grant "+grantType)
	case grantType == grantCode:
		answer, e = i.redeemCode(c, r.PostForm)
	case grantType == grantRefresh:
		answer, e = i.redeemRefresh(c, r.PostForm)
	default:
		answer, e = i.clientCredentials(c, r.PostForm)
	}
	if e != nil {
		fail(w, e)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// clientForm reads a form and authenticates the client that sent it.
func (i *Issuer) clientForm(w http.ResponseWriter, r *http.Request) (Client, *oauthError) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		return Client{}, badRequest("invalid_request", "want a form of at most 64 KiB")
	}
	if name := repeated(r.PostForm); name != "" {
		return Client{}, badRequest("invalid_request", "a parameter occurs more than once")
	}
	return i.authenticate(r)
}

// redeemCode exchanges a code. It can be presented once, with whatever result;
// the second time, what came of it is revoked (RFC 6749 §4.1.2).
func (i *Issuer) redeemCode(c Client, form url.Values) (tokenAnswer, *oauthError) {
	g := i.takeCode(form.Get("code"))
	switch {
	case g == nil || g.client != c.ID:
		return tokenAnswer{}, badRequest("invalid_grant", "the code is not good, or no longer")
	case form.Get("redirect_uri") != g.redirect:
		return tokenAnswer{}, badRequest("invalid_grant", "the redirect_uri is not the one the code was sent to")
	case !proves(form.Get("code_verifier"), g.challenge):
		return tokenAnswer{}, badRequest("invalid_grant", "the code_verifier does not fit the code_challenge")
	}
	return i.fulfil(c, g, g.scopes, form, g.nonce)
}

func (i *Issuer) takeCode(code string) *grant {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.codes.get(code, now)
	if !ok {
		return nil
	}
	if g.used {
		i.revokeLocked(g, now)
		return nil
	}
	g.used = true
	return g
}

// revokeLocked ends a grant: its refresh tokens and its newest access token.
func (i *Issuer) revokeLocked(g *grant, now time.Time) {
	g.revoked = true
	if g.newest != "" {
		i.revoked.put(g.newest, struct{}{}, now.Add(i.config.TTL), now)
	}
}

// proves checks PKCE with S256 (RFC 7636 §4.6).
func proves(verifier, challenge string) bool {
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}

// redeemRefresh exchanges a refresh token for a new one. A token that comes a
// second time was stolen from one of the two who have it: the grant ends.
func (i *Issuer) redeemRefresh(c Client, form url.Values) (tokenAnswer, *oauthError) {
	g := i.takeRefresh(c, form.Get("refresh_token"))
	if g == nil {
		return tokenAnswer{}, badRequest("invalid_grant", "the refresh token is not good, or no longer")
	}
	scopes := g.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		scopes = slices.DeleteFunc(slices.Clone(g.scopes), func(s string) bool { return !slices.Contains(asked, s) })
		if len(scopes) == 0 || slices.ContainsFunc(asked, func(s string) bool { return !slices.Contains(g.scopes, s) }) {
			return tokenAnswer{}, badRequest("invalid_scope", "want some of the scopes that were granted: "+strings.Join(g.scopes, " "))
		}
	}
	return i.fulfil(c, g, scopes, form, "")
}

func (i *Issuer) takeRefresh(c Client, token string) *grant {
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	link, ok := i.refresh.get(tokenKey(token), now)
	if !ok || link.grant.client != c.ID || link.grant.revoked {
		return nil
	}
	if link.used {
		i.revokeLocked(link.grant, now)
		return nil
	}
	link.used = true
	return link.grant
}

// fulfil makes the tokens of a grant.
func (i *Issuer) fulfil(c Client, g *grant, scopes []string, form url.Values, nonce string) (tokenAnswer, *oauthError) {
	audience := g.audience
	if asked := form["resource"]; len(asked) > 0 {
		var e *oauthError
		if audience, e = i.askedAudience(asked); e != nil {
			return tokenAnswer{}, e
		}
		if slices.ContainsFunc(audience, func(a string) bool { return !slices.Contains(g.audience, a) }) {
			return tokenAnswer{}, badRequest("invalid_target", "the resource was not granted")
		}
	}
	issuer, _ := i.identity()
	a := access{issuer: issuer, audience: audience, user: g.user, client: c.ID, scopes: scopes, ttl: g.ttl}
	answer, e := i.answerWith(a)
	if e != nil {
		return answer, e
	}
	if slices.Contains(scopes, scopeOpenID) {
		var err error
		if answer.IDToken, err = i.idToken(a, nonce, answer.AccessToken, g.at); err != nil {
			return tokenAnswer{}, unsigned
		}
	}
	now := time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	if g.revoked { // meanwhile
		return tokenAnswer{}, badRequest("invalid_grant", "the grant was revoked")
	}
	g.newest = tokenKey(answer.AccessToken)
	if c.may(grantRefresh) {
		answer.RefreshToken = rand.Text()
		i.refresh.put(tokenKey(answer.RefreshToken), &refreshToken{grant: g}, now.Add(i.config.RefreshTTL), now)
	}
	return answer, nil
}

// clientCredentials gives a client a token of its own.
func (i *Issuer) clientCredentials(c Client, form url.Values) (tokenAnswer, *oauthError) {
	scopes, e := i.grantable(form.Get("scope"))
	if e != nil {
		return tokenAnswer{}, e
	}
	audience, e := i.askedAudience(form["resource"])
	if e != nil {
		return tokenAnswer{}, e
	}
	issuer, _ := i.identity()
	return i.answerWith(access{
		issuer: issuer, audience: audience, user: User{Sub: c.ID, Tenant: DefaultTenant, Name: c.Name},
		client: c.ID, scopes: scopes, ttl: i.config.TTL,
	})
}

var unsigned = &oauthError{status: http.StatusInternalServerError, code: "server_error", text: "the token could not be signed"}

func (i *Issuer) answerWith(a access) (tokenAnswer, *oauthError) {
	token, err := i.accessToken(a)
	if err != nil {
		return tokenAnswer{}, unsigned
	}
	return tokenAnswer{AccessToken: token, TokenType: "Bearer", ExpiresIn: int64(a.ttl.Seconds()), Scope: strings.Join(a.scopes, " ")}, nil
}

// revoke is the revocation endpoint (RFC 7009). A refresh token ends its grant,
// an access token only itself. Unknown tokens are no error; another client's are
// not touched.
func (i *Issuer) revoke(w http.ResponseWriter, r *http.Request) {
	c, e := i.clientForm(w, r)
	if e != nil {
		fail(w, e)
		return
	}
	token := r.PostForm.Get("token")
	if token == "" {
		fail(w, badRequest("invalid_request", "want a token"))
		return
	}
	key, now := tokenKey(token), time.Now()
	client, expires := i.inspect(token)
	i.mu.Lock()
	if link, ok := i.refresh.get(key, now); ok && link.grant.client == c.ID {
		i.revokeLocked(link.grant, now)
	} else if client == c.ID && now.Before(expires) {
		i.revoked.put(key, struct{}{}, expires, now)
	}
	i.mu.Unlock()
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}
