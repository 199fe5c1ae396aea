package api

import (
	"mime"
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// LogoutPath is where issuers say that a login is over.
const LogoutPath = "/auth/backchannel-logout"

// logout is the back-channel logout endpoint (OpenID Connect Back-Channel Logout
// 1.0 §2.5). It needs no credential: the logout token is one. Whatever is wrong
// with that is answered with 400, as §2.8 asks, and without saying what; only an
// outage is 503, so that the issuer tries again.
func (s *server) logout(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	token, err := logoutToken(r)
	if err == nil {
		err = s.Logout(r.Context(), token)
	}
	switch kind := fault.KindOf(err); {
	case err == nil:
		w.WriteHeader(http.StatusOK)
	case kind == fault.Unauthenticated:
		fail(w, r, &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Public: "the logout token is not valid", Err: err})
	default:
		fail(w, r, err)
	}
}

// logoutToken returns the one parameter of the form.
func logoutToken(r *http.Request) (string, error) {
	bad := func(text string) (string, error) {
		return "", &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Public: text}
	}
	if mt, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mt != "application/x-www-form-urlencoded" {
		return bad("want a form, application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		if kind := fault.KindOf(err); kind == fault.TooLarge || kind == fault.Timeout {
			return "", err
		}
		return bad("the form cannot be read")
	}
	if tokens := r.PostForm["logout_token"]; len(tokens) == 1 && tokens[0] != "" {
		return tokens[0], nil
	}
	return bad("want one logout_token in the form")
}

// logoutRoutes are the routes of logout, if any issuer is known.
func (s *server) logoutRoutes() []route {
	if s.Logout == nil {
		return nil
	}
	return []route{{http.MethodPost, LogoutPath, "", http.HandlerFunc(s.logout)}}
}
