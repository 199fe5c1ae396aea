package devidp

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	scopeOpenID = "openid"
	maxQuery    = 16 << 10 // bytes
	maxNonce    = 512      // bytes
	maxScope    = 1024     // bytes
	maxAsked    = 4        // resources in one request
)

//go:embed login.html
var loginPage string

var loginTemplate = template.Must(template.New("login").Parse(loginPage))

// question is a valid authorization request.
type question struct {
	client    Client
	redirect  string
	state     string
	nonce     string
	challenge string
	scopes    []string
	audience  []string
	hint      string
	prompt    string
	auto      bool
	ttl       time.Duration // of access tokens
}

// grant is what a user gave to a client, from the code to the last refresh.
type grant struct {
	client    string
	redirect  string
	nonce     string
	challenge string
	scopes    []string
	audience  []string
	user      User
	at        time.Time
	ttl       time.Duration // of its access tokens

	// owned by the issuer's mu
	used    bool   // the code was presented
	revoked bool   // no refresh any more
	newest  string // key of the newest access token
}

// authorize is the authorization endpoint: it shows the page where the developer
// picks a name. With auto=1 and a login_hint there is no page. That is for
// clients on this machine only: the answer goes to a loopback address, so that no
// web site can log somebody in behind their back.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.RawQuery) > maxQuery {
		http.Error(w, "the query is too long", http.StatusRequestURITooLong)
		return
	}
	form, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		http.Error(w, "the query cannot be read", http.StatusBadRequest)
		return
	}
	q, ok := i.ask(w, r, form)
	if !ok {
		return
	}
	switch {
	case q.auto && (!toLoopback(q.redirect) || !loopback(hostname(r.RemoteAddr))):
		i.answer(w, r, q, "error", "access_denied", "error_description", "auto is for loopback addresses only")
	case q.auto:
		user, ok := i.user(q.hint)
		if !ok {
			i.answer(w, r, q, "error", "login_required", "error_description", "login_hint names nobody")
			return
		}
		i.answer(w, r, q, "code", i.newCode(q, user))
	case slices.Contains(strings.Fields(q.prompt), "none"):
		i.answer(w, r, q, "error", "login_required", "error_description", "nobody is logged in")
	default:
		i.showLogin(w, q, form)
	}
}

// login takes the name that was picked. The page's form repeats the request.
func (i *Issuer) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form cannot be read", http.StatusBadRequest)
		return
	}
	q, ok := i.ask(w, r, r.PostForm)
	if !ok {
		return
	}
	user, ok := i.user(r.PostForm.Get("user"))
	if !ok {
		i.answer(w, r, q, "error", "access_denied", "error_description", "nobody was picked")
		return
	}
	i.answer(w, r, q, "code", i.newCode(q, user))
}

func (i *Issuer) user(sub string) (User, bool) {
	at := slices.IndexFunc(i.config.Users, func(u User) bool { return u.Sub == sub })
	if at < 0 {
		return User{}, false
	}
	return i.config.Users[at], true
}

// ask reads an authorization request. If it is wrong, the answer is written: to
// the person as long as client or redirect URI are in doubt, to the client then.
func (i *Issuer) ask(w http.ResponseWriter, r *http.Request, form url.Values) (q question, ok bool) {
	page := func(text string) (question, bool) {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, text, http.StatusBadRequest)
		return q, false
	}
	if name := repeated(form); name != "" {
		return page("the parameter " + name + " occurs more than once")
	}
	client, err := i.client(r.Context(), form.Get("client_id"))
	if err != nil {
		return page(err.Error())
	}
	q.client = client
	if q.redirect = form.Get("redirect_uri"); !q.client.mayRedirect(q.redirect) {
		return page("the redirect_uri is not one that this client has registered")
	}
	q.state = form.Get("state")
	if e := i.read(&q, form); e != nil {
		i.answer(w, r, q, "error", e.code, "error_description", plain(e.text))
		return q, false
	}
	return q, true
}

// read reads what the client may be told about.
func (i *Issuer) read(q *question, form url.Values) *oauthError {
	if form.Get("response_type") != "code" {
		return badRequest("unsupported_response_type", "want response_type=code")
	}
	if !q.client.may(grantCode) {
		return badRequest("unauthorized_client", "this client has not registered the grant authorization_code")
	}
	q.challenge = form.Get("code_challenge")
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(q.challenge); err != nil || len(raw) != 32 || form.Get("code_challenge_method") != "S256" {
		return badRequest("invalid_request", "want a code_challenge with code_challenge_method=S256")
	}
	if q.nonce = form.Get("nonce"); len(q.nonce) > maxNonce {
		return badRequest("invalid_request", "the nonce is too long")
	}
	var e *oauthError
	if q.scopes, e = i.grantable(form.Get("scope")); e != nil {
		return e
	}
	if q.audience, e = i.askedAudience(form["resource"]); e != nil {
		return e
	}
	if q.ttl, e = i.askedTTL(form.Get("ttl")); e != nil {
		return e
	}
	q.hint, q.prompt, q.auto = form.Get("login_hint"), form.Get("prompt"), form.Get("auto") == "1"
	return nil
}

// grantable returns the scopes to be granted: those asked for that exist, and the
// default ones if none were asked for. Clients ask for offline_access and profile
// without need, so what is unknown is passed over unless nothing remains.
func (i *Issuer) grantable(asked string) ([]string, *oauthError) {
	if len(asked) > maxScope {
		return nil, badRequest("invalid_scope", "the scope is too long")
	}
	all := strings.Fields(asked)
	if len(all) == 0 {
		return i.config.DefaultScopes, nil
	}
	var granted []string
	for _, s := range all {
		if (s == scopeOpenID || slices.Contains(i.config.Scopes, s)) && !slices.Contains(granted, s) {
			granted = append(granted, s)
		}
	}
	if len(granted) == 0 {
		return nil, badRequest("invalid_scope", "want some of "+scopeOpenID+" "+strings.Join(i.config.Scopes, " "))
	}
	return granted, nil
}

// askedAudience returns the audiences for the resources that a client names (RFC
// 8707), as they are configured. A trailing slash is no difference: clients add
// and lose it.
func (i *Issuer) askedAudience(asked []string) ([]string, *oauthError) {
	_, resources := i.identity()
	if len(resources) == 0 {
		return nil, &oauthError{status: http.StatusServiceUnavailable, code: "temporarily_unavailable", text: "no resource is configured yet"}
	}
	if len(asked) == 0 {
		return resources[:1], nil
	}
	if len(asked) > maxAsked {
		return nil, badRequest("invalid_target", "too many resources")
	}
	var audience []string
	for _, a := range asked {
		at := slices.IndexFunc(resources, func(r string) bool { return strings.TrimSuffix(r, "/") == strings.TrimSuffix(a, "/") })
		if at < 0 {
			return nil, badRequest("invalid_target", "the resource is not one of this server's")
		}
		if !slices.Contains(audience, resources[at]) {
			audience = append(audience, resources[at])
		}
	}
	return audience, nil
}

// askedTTL returns how long access tokens live: as configured, or ttl seconds. No
// standard has that parameter. It is for whoever wants to see a client refresh,
// and does not want to wait for an hour.
func (i *Issuer) askedTTL(asked string) (time.Duration, *oauthError) {
	if asked == "" {
		return i.config.TTL, nil
	}
	n, err := strconv.ParseInt(asked, 10, 32)
	ttl := time.Duration(n) * time.Second
	if err != nil || n < 1 || ttl > i.config.TTL {
		return 0, badRequest("invalid_request", fmt.Sprintf("want a ttl of 1 to %.0f seconds", i.config.TTL.Seconds()))
	}
	return ttl, nil
}

func (i *Issuer) newCode(q question, user User) string {
	code, now := rand.Text(), time.Now()
	g := &grant{
		client: q.client.ID, redirect: q.redirect, nonce: q.nonce, challenge: q.challenge,
		scopes: q.scopes, audience: q.audience, user: user, at: now, ttl: q.ttl,
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.codes.put(code, g, now.Add(codeTTL), now)
	return code
}

// answer redirects to the client with these parameters, and with state and iss
// (RFC 9207).
func (i *Issuer) answer(w http.ResponseWriter, r *http.Request, q question, parameters ...string) {
	issuer, _ := i.identity()
	u, err := url.Parse(q.redirect)
	if err != nil {
		http.Error(w, "the redirect_uri cannot be read", http.StatusBadRequest)
		return
	}
	query := u.Query()
	for at := 0; at < len(parameters); at += 2 {
		query.Set(parameters[at], parameters[at+1])
	}
	query.Set("iss", issuer)
	if q.state != "" {
		query.Set("state", q.state)
	}
	u.RawQuery = query.Encode()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", u.String())
	if r.Method == http.MethodPost {
		w.WriteHeader(http.StatusSeeOther) // the form must not be posted on
		return
	}
	w.WriteHeader(http.StatusFound)
}

func (i *Issuer) showLogin(w http.ResponseWriter, q question, form url.Values) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	type field struct{ Name, Value string }
	var fields []field
	for _, name := range slices.Sorted(maps.Keys(form)) {
		for _, v := range form[name] {
			if name != "user" {
				fields = append(fields, field{name, v})
			}
		}
	}
	target, _ := url.Parse(q.redirect) // ask has read it
	_ = loginTemplate.Execute(w, map[string]any{
		"Client": q.client.Name, "Target": target.Scheme + "://" + target.Host, "Scopes": q.scopes, "Users": i.config.Users,
		"Hint": q.hint, "Fields": fields, "Action": Prefix + "/authorize",
	}) // fails only if the person left
}

// repeated returns a parameter that occurs twice and may not (RFC 6749 §3.1).
func repeated(form url.Values) string {
	for name, values := range form {
		if len(values) > 1 && name != "resource" {
			return name
		}
	}
	return ""
}

func toLoopback(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && loopback(u.Hostname())
}
