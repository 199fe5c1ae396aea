package oidc

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	maxSubject = 512  // bytes of sub, tenant and client_id, each
	maxName    = 128  // bytes of a name for people
	maxScopes  = 256  // scopes of one token
	maxSeconds = 1e11 // after the year 5000: milliseconds given as seconds are caught
)

// idTokenClaims are claims of other kinds of token: nonce, at_hash, c_hash and
// s_hash of ID tokens (OpenID Connect Core §3.3.2.11), events of logout and
// security event tokens.
var idTokenClaims = [...]string{"nonce", "at_hash", "c_hash", "s_hash", "events"}

// otherTypes are the typ of tokens that are known to be no access tokens: the
// IANA registry's, as of OpenID Connect, RFC 8417, RFC 9101, RFC 9449, RFC 9701
// and the drafts for identity assertions.
var otherTypes = []string{
	"logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-authz-req+jwt", "token-introspection+jwt", "oauth-id-jag+jwt",
	"entity-statement+jwt", "client-authentication+jwt", "oauth-client-attestation+jwt", "kb+jwt", "dc+sd-jwt", "id_token+jwt",
}

// judge checks what an unverified token says about itself, the cheap refusals
// before the costly signature: a token for somebody else never causes a fetch.
// What it accepts is true only once the signature is verified.
func (v *Verifier) judge(t *token, audiences []string, now time.Time) (*identity.Principal, error) {
	if err := v.checkAlgorithm(t); err != nil {
		return nil, err
	}
	if err := v.checkKind(t); err != nil {
		return nil, err
	}
	if err := checkAudience(t.claims, audiences); err != nil {
		return nil, err
	}
	expires, err := v.config.checkTimes(t.claims, now)
	if err != nil {
		return nil, err
	}
	p, err := v.config.principal(t.claims)
	if err != nil {
		return nil, err
	}
	p.Issuer, p.Expires = v.config.Issuer, expires
	return p, nil
}

// principal reads who and what the claims of a token or of an introspection
// answer are for. Issuer, expiry and token key are the caller's to set.
func (c *Config) principal(claims object) (*identity.Principal, error) {
	p := &identity.Principal{}
	var err error
	if p.KeyThumbprint, err = c.binding(claims); err != nil {
		return nil, err
	}
	for _, claim := range c.Required {
		if value, ok := claims[claim]; !ok || slices.Contains([]string{"null", `""`, "[]", "{}"}, string(value)) {
			return nil, identity.Refuse("missing_claim", fmt.Errorf("%.*q", maxDetail, claim))
		}
	}
	if p.Subject, err = name(claims, "sub"); err != nil {
		return nil, identity.Refuse("bad_subject", err)
	}
	if p.Tenant, err = c.tenant(claims); err != nil {
		return nil, identity.Refuse("bad_tenant", err)
	}
	if p.Scopes, err = c.scopes(claims); err != nil {
		return nil, identity.Refuse("bad_scope", err)
	}
	if p.ClientID, err = client(claims); err != nil {
		return nil, identity.Refuse("bad_client", err)
	}
	if p.TokenID, err = optionalName(claims, "jti"); err != nil {
		return nil, identity.Refuse("bad_token_id", err)
	}
	if p.SessionID, err = optionalName(claims, "sid"); err != nil {
		return nil, identity.Refuse("bad_session_id", err)
	}
	if p.IssuedAt, _, err = seconds(claims, "iat"); err != nil {
		return nil, identity.Refuse("bad_issued_at", err)
	}
	p.Name = displayName(claims, p.Subject)
	return p, nil
}

// binding returns the thumbprint of the key that a token is bound to, "" if it is
// a bearer token, as far as the rule for it lets either through. Any binding
// that nobody here can check, such as one to a certificate, is refused.
func (c *Config) binding(claims object) (string, error) {
	cnf, bound := claims["cnf"]
	switch {
	case !bound && c.DPoP == DPoPRequired:
		return "", identity.Refuse("not_sender_constrained", errors.New("a bearer token, and this issuer's must be bound to a key"))
	case !bound:
		return "", nil
	case c.DPoP == DPoPOff:
		return "", identity.Refuse("sender_constrained", errors.New("bound to a key by cnf, presented as a bearer token"))
	}
	o, err := parseObject(cnf)
	if err != nil {
		return "", identity.Refuse("bad_confirmation", err)
	}
	jkt, err := o.text("jkt")
	if err == nil && len(o) != 1 {
		err = errors.New("cnf names more than a key's thumbprint")
	}
	if err != nil {
		return "", identity.Refuse("bad_confirmation", err)
	}
	if b, err := decode(jkt); err != nil || len(b) != sha256.Size {
		return "", identity.Refuse("bad_confirmation", errors.New("jkt is not a SHA-256"))
	}
	return jkt, nil
}

func (v *Verifier) checkAlgorithm(t *token) error {
	if !slices.Contains(v.config.Algorithms, t.alg) {
		return identity.Refuse("bad_algorithm", fmt.Errorf("%.*q", maxDetail, t.alg))
	}
	return nil
}

// checkKind tells access tokens from the other tokens that the same issuer
// signs with the same keys.
func (v *Verifier) checkKind(t *token) error {
	for _, name := range idTokenClaims {
		if t.claims.has(name) {
			return identity.Refuse("not_an_access_token", fmt.Errorf("it has %s", name))
		}
	}
	if t.typ == string(TypAccessToken) {
		return nil
	}
	if !v.config.Typ.takes(t.typ) {
		return identity.Refuse("bad_type", fmt.Errorf("typ %.*q", maxDetail, t.typ))
	}
	if !t.claims.has("client_id") && !slices.ContainsFunc(v.config.ScopeClaims, t.claims.has) {
		return identity.Refuse("not_an_access_token", errors.New("neither a scope nor a client_id"))
	}
	if kind, err := t.claims.optionalText("typ"); err != nil || kind != "" && !strings.EqualFold(kind, "bearer") {
		return identity.Refuse("not_an_access_token", fmt.Errorf("claim typ %.*q", maxDetail, kind)) // Keycloak: ID, Refresh, Offline, Logout
	}
	audiences, err := t.claims.texts("aud")
	if err != nil {
		return identity.Refuse("bad_audience", err)
	}
	for _, claim := range [...]string{"client_id", "azp"} {
		if id, err := t.claims.optionalText(claim); err != nil || id != "" && slices.Contains(audiences, id) {
			return identity.Refuse("not_an_access_token", fmt.Errorf("its audience is its %s", claim))
		}
	}
	return nil
}

// takes reports whether a typ other than that of access tokens may be one.
func (t Typ) takes(typ string) bool {
	switch t {
	case TypCompatible:
		return typ == "" || typ == "jwt"
	case TypAny:
		return !slices.Contains(otherTypes, typ)
	}
	return false
}

func checkAudience(claims object, want []string) error {
	got, err := claims.texts("aud")
	if err != nil {
		return identity.Refuse("bad_audience", err)
	}
	for _, a := range got {
		for _, w := range want {
			if sameResource(a, w) {
				return nil
			}
		}
	}
	return identity.Refuse("wrong_audience", fmt.Errorf("aud %.*q", maxDetail, strings.Join(got, " ")))
}

// sameResource compares two resource identifiers: exactly, but for one slash at the
// end and the case of scheme and host, which is how clients write the same URL.
func sameResource(a, b string) bool {
	return canonical(strings.TrimSuffix(a, "/")) == canonical(strings.TrimSuffix(b, "/"))
}

// canonical returns a URL with scheme and host in lower case, and anything else as
// it is.
func canonical(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return s
	}
	end := len(u.Scheme) + len("://") + len(u.Host)
	if u.User != nil || len(s) < end || !strings.EqualFold(s[:end], u.Scheme+"://"+u.Host) {
		return s
	}
	return strings.ToLower(s[:end]) + s[end:]
}

// checkTimes returns when the token expires. exp counts as not passed, nbf and
// iat as passed, within the leeway.
func (c *Config) checkTimes(claims object, now time.Time) (expires time.Time, err error) {
	expires, ok, err := seconds(claims, "exp")
	if err == nil && !ok {
		err = errors.New("exp is missing")
	}
	if err != nil {
		return expires, identity.Refuse("bad_expiry", err)
	}
	if !now.Before(expires.Add(c.Leeway)) {
		return expires, identity.Refuse(identity.ReasonExpired, fmt.Errorf("at %s", expires.UTC().Format(time.RFC3339)))
	}
	for _, past := range [...]struct{ claim, bad, early string }{
		{"nbf", "bad_not_before", "token_not_yet_valid"},
		{"iat", "bad_issued_at", "issued_in_the_future"},
	} {
		at, ok, err := seconds(claims, past.claim)
		if err != nil {
			return expires, identity.Refuse(past.bad, err)
		}
		if ok && at.After(now.Add(c.Leeway)) {
			return expires, identity.Refuse(past.early, fmt.Errorf("%s is %s", past.claim, at.UTC().Format(time.RFC3339)))
		}
	}
	return expires, nil
}

// seconds reads a NumericDate (RFC 7519 §2): a JSON number, fractions allowed.
func seconds(claims object, claim string) (at time.Time, ok bool, err error) {
	value, ok := claims[claim]
	if !ok {
		return at, false, nil
	}
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return at, false, fmt.Errorf("%s is not a number", claim)
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f < 0 || f > maxSeconds {
		return at, false, fmt.Errorf("%s is out of range", claim)
	}
	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)), true, nil
}

func (c *Config) tenant(claims object) (string, error) {
	if c.TenantClaim == "" {
		return orDefault(c.Tenant, c.Issuer), nil
	}
	tenant, err := name(claims, c.TenantClaim)
	if err == nil && (c.Tenant != "" && tenant != c.Tenant || len(c.Tenants) > 0 && !slices.Contains(c.Tenants, tenant)) {
		err = fmt.Errorf("%.*q is not this issuer's tenant", maxDetail, tenant)
	}
	return tenant, err
}

// scopes unites the scope claims: strings with spaces (RFC 8693 §4.2) or arrays.
func (c *Config) scopes(claims object) ([]string, error) {
	var all []string
	for _, claim := range c.ScopeClaims {
		values, err := claims.texts(claim)
		if err != nil {
			return nil, err
		}
		for _, value := range values {
			all = append(all, strings.FieldsFunc(value, func(r rune) bool { return r == ' ' })...)
		}
	}
	if len(all) > maxScopes {
		return nil, fmt.Errorf("%d scopes, at most %d are read", len(all), maxScopes)
	}
	for _, s := range all {
		if strings.ContainsFunc(s, notScope) {
			return nil, fmt.Errorf("scope %.*q", maxDetail, s)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// notScope reports whether r may not be in a scope (RFC 6749 §3.3).
func notScope(r rune) bool { return r <= ' ' || r == '"' || r == '\\' || r > '~' }

// client returns who asked for the token: client_id (RFC 9068), azp (OpenID
// Connect) or "".
func client(claims object) (string, error) {
	for _, claim := range [...]string{"client_id", "azp"} {
		if claims.has(claim) {
			return name(claims, claim)
		}
	}
	return "", nil
}

// name returns a claim that names something: it may become part of a key.
func name(claims object, claim string) (string, error) {
	s, err := claims.text(claim)
	switch {
	case err != nil:
		return "", err
	case len(s) > maxSubject:
		return "", fmt.Errorf("%s has %d bytes, at most %d are read", claim, len(s), maxSubject)
	case strings.ContainsFunc(s, unprintable):
		return "", fmt.Errorf("%s has a character that cannot be printed", claim)
	}
	return s, nil
}

// optionalName is name for a claim that need not be there.
func optionalName(claims object, claim string) (string, error) {
	if !claims.has(claim) {
		return "", nil
	}
	return name(claims, claim)
}

// unprintable catches control characters, and the replacement rune that package
// json puts for broken escapes, which would make one subject of two.
func unprintable(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) }

// displayName is for people only, so a claim of the wrong kind is passed over.
func displayName(claims object, subject string) string {
	for _, claim := range [...]string{"name", "preferred_username"} {
		var s string
		if json.Unmarshal(claims[claim], &s) == nil && s != "" && !strings.ContainsFunc(s, unprintable) {
			return clip(s, maxName)
		}
	}
	return clip(subject, maxName)
}

// clip shortens s to n bytes at the edge of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
