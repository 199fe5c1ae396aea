package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// pending is a login that was begun.
type pending struct{ verifier string }

// stateCookie ties a login to the browser that began it, so that nobody can be
// logged in as somebody else by a link.
const stateCookie = "lyceum_login"

const loginTimeout = 15 * time.Second

type loginView struct {
	Login   Login
	Problem string
	BaseURL string
}

func (p *page) login(w http.ResponseWriter, r *http.Request) { p.showLogin(w, r, http.StatusOK, "") }

func (p *page) showLogin(w http.ResponseWriter, r *http.Request, status int, problem string) {
	p.render(w, r, status, "login.html", loginView{Login: p.Login, Problem: problem, BaseURL: p.BaseURL})
}

// startLogin sends the browser to the provider.
func (p *page) startLogin(w http.ResponseWriter, r *http.Request) {
	if p.Login.AuthURL == "" {
		p.showLogin(w, r, http.StatusNotFound, "")
		return
	}
	verifier := oauth2.GenerateVerifier()
	state := p.pending.put(pending{verifier}, time.Now().Add(pendingTTL))
	p.setCookie(w, stateCookie, state, pendingTTL)
	opts := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	if p.Login.Resource != "" {
		opts = append(opts, oauth2.SetAuthURLParam("resource", p.Login.Resource))
	}
	for k, v := range p.Login.Extra {
		opts = append(opts, oauth2.SetAuthURLParam(k, v))
	}
	http.Redirect(w, r, p.oauth.AuthCodeURL(state, opts...), http.StatusSeeOther)
}

// callback is where the provider sends the browser back to.
func (p *page) callback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	begun, err := r.Cookie(stateCookie)
	p.setCookie(w, stateCookie, "", -1)
	login, known := p.pending.take(q.Get("state"))
	if err != nil || !known || begun.Value != q.Get("state") {
		p.showLogin(w, r, http.StatusBadRequest, "That login was not begun in this browser, or took too long. Please try again.")
		return
	}
	if q.Get("error") != "" {
		p.showLogin(w, r, http.StatusForbidden, "The identity provider refused the login.")
		return
	}
	who, err := p.principal(r.Context(), q.Get("code"), login.verifier)
	if err != nil {
		p.Log.WarnContext(r.Context(), "admin login failed", "error", err)
		text := "The login failed. The log of the server says why."
		if fault.KindOf(err) == fault.Forbidden {
			text = "You are logged in, but you may not look at this page: it needs the scope admin.read."
		}
		p.showLogin(w, r, http.StatusForbidden, text)
		return
	}
	expires := who.Expires
	if expires.IsZero() {
		expires = time.Now().Add(time.Hour)
	}
	p.setCookie(w, p.cookie, p.logins.put(who, expires), time.Until(expires))
	p.Log.InfoContext(r.Context(), "admin login", "subject", who.Subject, "issuer", who.Issuer, "tenant", who.Tenant)
	http.Redirect(w, r, "/admin/", http.StatusSeeOther)
}

// principal changes a code into a token and the token into somebody, checked as
// every other caller is.
func (p *page) principal(ctx context.Context, code, verifier string) (*identity.Principal, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	opts := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
	if p.Login.Resource != "" {
		opts = append(opts, oauth2.SetAuthURLParam("resource", p.Login.Resource))
	}
	token, err := p.oauth.Exchange(context.WithValue(ctx, oauth2.HTTPClient, p.Client), code, opts...)
	if err != nil {
		return nil, errors.Join(errors.New("exchange the code"), err)
	}
	who, err := p.Verifier.Verify(ctx, token.AccessToken)
	if err != nil {
		return nil, errors.Join(errors.New("verify the token"), err)
	}
	return who, policy.Require(who, policy.AdminRead)
}

func (p *page) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(p.cookie); err == nil {
		p.logins.drop(c.Value)
	}
	p.setCookie(w, p.cookie, "", -1)
	http.Redirect(w, r, "/admin/login", http.StatusSeeOther)
}

// who returns the person behind a request, or nil.
func (p *page) who(r *http.Request) *identity.Principal {
	c, err := r.Cookie(p.cookie)
	if err != nil {
		return nil
	}
	who, _ := p.logins.get(c.Value)
	return who
}

func (p *page) setCookie(w http.ResponseWriter, name, value string, life time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, Secure: p.secure, SameSite: http.SameSiteLaxMode, MaxAge: int(life / time.Second)}
	if life < 0 {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// deny answers a request of the page's own script.
func deny(w http.ResponseWriter, r *http.Request, err error) { reply.Fail(w, r, err) }

var errLoggedOut = fault.Newf(fault.Unauthenticated, "log in again")
