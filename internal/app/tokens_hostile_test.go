package app_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

type m = map[string]any

// attack is a request that must be refused.
type attack struct {
	lines  []string // headers
	target string   // "" is /mcp
	status int      // 0 is 401
	code   string   // of the challenge; "" is invalid_token, "-" is none
	reason string   // that operators learn
	dpop   bool     // the challenge is of the scheme DPoP
}

// bearer presents a token in the ordinary way.
func bearer(token, reason string) attack {
	return attack{lines: []string{"Authorization: Bearer " + token}, reason: reason}
}

// header presents these header lines.
func header(status int, code, reason string, lines ...string) attack {
	return attack{lines: lines, status: status, code: code, reason: reason}
}

// forgeries are JWTs that say they are of the pinned issuer, or look like it.
func (f *fort) forgeries() map[string]attack {
	now := time.Now().Unix()
	good := f.forge(nil, nil)
	p := strings.Split(good, ".")
	head, body, sig := p[0], p[1], p[2]
	claimsOf := func(raw string) string { // signed with the issuer's key
		hb, _ := base64.RawURLEncoding.DecodeString(head)
		tok, err := f.remote.ForgeRaw(hb, []byte(raw))
		if err != nil {
			f.t.Fatal(err)
		}
		return tok
	}
	plain, _ := base64.RawURLEncoding.DecodeString(body)
	change := func(old, new string) string {
		if !strings.Contains(string(plain), old) {
			f.t.Fatalf("%s is not in %s", old, plain)
		}
		return claimsOf(strings.Replace(string(plain), old, new, 1))
	}
	h := func(changes m, reason string) attack { return bearer(f.forge(changes, nil), reason) }
	c := func(changes m, reason string) attack { return bearer(f.forge(nil, changes), reason) }

	stranger, err := devidp.New(devidp.Config{Algorithm: "ES256"})
	if err != nil {
		f.t.Fatal(err)
	}
	issuer := issuerOf(f.t, plain)
	if err := stranger.SetIssuer(issuer, "urn:lyceum:test"); err != nil {
		f.t.Fatal(err)
	}
	kid := f.remote.PublicKeys().Keys[0].KeyID
	strange := func(changes m) string {
		tok, err := stranger.Forge(changes, nil)
		if err != nil {
			f.t.Fatal(err)
		}
		return tok
	}
	own := stranger.PublicKeys().Keys[0]

	return map[string]attack{
		"alg none":                       h(m{"alg": "none"}, "malformed_token"),
		"alg none with a signature":      bearer(f.forge(m{"alg": "none"}, nil)+sig, "bad_algorithm"),
		"alg None":                       h(m{"alg": "None"}, "bad_algorithm"),
		"alg NONE":                       h(m{"alg": "NONE"}, "bad_algorithm"),
		"alg nOnE":                       h(m{"alg": "nOnE"}, "bad_algorithm"),
		"HS256 with the public key":      h(m{"alg": "HS256"}, "bad_algorithm"),
		"HS384":                          h(m{"alg": "HS384"}, "bad_algorithm"),
		"RS256 for an EC key":            h(m{"alg": "RS256"}, "wrong_algorithm_for_key"),
		"no alg":                         h(m{"alg": nil}, "bad_algorithm"),
		"another's key under our kid":    bearer(strange(m{"kid": kid}), "bad_signature"),
		"another's key under its kid":    bearer(strange(nil), "unknown_key"),
		"kid is a path":                  bearer(strange(m{"kid": "../../../../dev/null"}), "unknown_key"),
		"kid is SQL":                     bearer(strange(m{"kid": "x' UNION SELECT 'key';--"}), "unknown_key"),
		"kid is a command":               bearer(strange(m{"kid": "|cat /etc/passwd"}), "unknown_key"),
		"kid is a URL":                   bearer(strange(m{"kid": "https://evil.example/key"}), "unknown_key"),
		"kid is huge":                    bearer(strange(m{"kid": strings.Repeat("k", 600)}), "bad_key_id"),
		"key in the header (jwk)":        bearer(strange(m{"jwk": own}), "unsupported_header"),
		"URL of keys in the header":      bearer(strange(m{"jku": "https://evil.example/jwks"}), "unsupported_header"),
		"URL of a certificate":           bearer(strange(m{"x5u": "https://evil.example/crt"}), "unsupported_header"),
		"certificate in the header":      bearer(strange(m{"x5c": []string{"MIIB"}}), "unsupported_header"),
		"crit":                           h(m{"crit": []string{"exp"}}, "unsupported_header"),
		"payload not encoded (b64)":      h(m{"b64": false}, "unsupported_header"),
		"compressed":                     h(m{"zip": "DEF"}, "unsupported_header"),
		"encrypted (JWE)":                bearer(f.forge(m{"alg": "RSA-OAEP", "enc": "A256GCM"}, nil)+".AAAA.AAAA", "unsupported_header"),
		"claims changed":                 bearer(head+"."+b64url([]byte(strings.Replace(string(plain), "alice", "admin", 1)))+"."+sig, "bad_signature"),
		"signature cut":                  bearer(head+"."+body+"."+sig[:40], "bad_signature"),
		"signature empty":                bearer(head+"."+body+".", "malformed_token"),
		"four segments":                  bearer(good+".AAAA", "malformed_token"),
		"two segments":                   bearer(head+"."+body, "inactive_token"),
		"only dots":                      bearer("...", "inactive_token"),
		"padding inside":                 header(400, "invalid_request", "invalid_request", "Authorization: Bearer "+head+"=."+body+"."+sig),
		"duplicate sub":                  bearer(change(`"sub":"alice"`, `"sub":"admin","sub":"alice"`), "malformed_token"),
		"duplicate scope with escapes":   bearer(change(`"sub":"alice"`, `"sub":"alice","sc\u006fpe":"admin.write"`), "malformed_token"),
		"deep nesting":                   bearer(change(`"sub":"alice"`, `"sub":"alice","x":`+strings.Repeat("[", 99)+strings.Repeat("]", 99)), "malformed_token"),
		"exp is 1e400":                   bearer(change(fmt.Sprintf(`"exp":%d`, expOf(f.t, plain)), `"exp":1e400`), "bad_expiry"),
		"exp has 400 digits":             bearer(change(fmt.Sprintf(`"exp":%d`, expOf(f.t, plain)), `"exp":`+strings.Repeat("9", 400)), "bad_expiry"),
		"claims are an array":            bearer(claimsOf(`["alice"]`), "malformed_token"),
		"claims are not JSON":            bearer(claimsOf(`alice`), "malformed_token"),
		"expired":                        c(m{"exp": now - 60}, "token_expired"),
		"expires at the epoch":           c(m{"exp": 0}, "token_expired"),
		"no exp":                         c(m{"exp": nil}, "bad_expiry"),
		"exp is a text":                  c(m{"exp": "2099-01-01"}, "bad_expiry"),
		"not yet valid":                  c(m{"nbf": now + 600}, "token_not_yet_valid"),
		"issued in the future":           c(m{"iat": now + 600}, "issued_in_the_future"),
		"another audience":               c(m{"aud": "https://other.example/mcp"}, "wrong_audience"),
		"no audience":                    c(m{"aud": nil}, "wrong_audience"),
		"empty audience":                 c(m{"aud": ""}, "wrong_audience"),
		"empty list of audiences":        c(m{"aud": []string{}}, "wrong_audience"),
		"audiences without us":           c(m{"aud": []string{"urn:a", "urn:b"}}, "wrong_audience"),
		"audience in another case":       c(m{"aud": "URN:LYCEUM:TEST"}, "wrong_audience"),
		"audience is an object":          c(m{"aud": m{"urn:lyceum:test": true}}, "bad_audience"),
		"issuer with a slash":            c(m{"iss": issuer + "/"}, "inactive_token"),
		"issuer in upper case":           c(m{"iss": strings.ToUpper(issuer)}, "inactive_token"),
		"issuer with a lookalike letter": c(m{"iss": strings.Replace(issuer, "dev", "d\u0435v", 1)}, "inactive_token"),
		"unknown issuer":                 c(m{"iss": "https://evil.example"}, "inactive_token"),
		"no issuer":                      c(m{"iss": nil}, "inactive_token"),
		"the dev issuer's name":          c(m{"iss": devidp.LocalIssuer, "aud": devidp.LocalAudience}, "unknown_key"),
		"ID token":                       bearer(f.forge(m{"typ": "JWT"}, m{"aud": "ide", "nonce": "n"}), "not_an_access_token"),
		"typ JWT":                        h(m{"typ": "JWT"}, "bad_type"),
		"no typ":                         h(m{"typ": nil}, "bad_type"),
		"typ of a proof":                 h(m{"typ": "dpop+jwt"}, "bad_type"),
		"logout token":                   bearer(f.logoutToken(), "not_an_access_token"),
		"sub is a number":                c(m{"sub": 7}, "bad_subject"),
		"sub is empty":                   c(m{"sub": ""}, "bad_subject"),
		"no sub":                         c(m{"sub": nil}, "bad_subject"),
		"sub with a line break":          c(m{"sub": "alice\r\nX-Admin: 1"}, "bad_subject"),
		"sub with NUL":                   c(m{"sub": "alice\x00admin"}, "bad_subject"),
		"tenant that is not listed":      c(m{"tenant": "globex"}, "bad_tenant"),
		"no tenant":                      c(m{"tenant": nil}, "bad_tenant"),
		"scope with a line break":        c(m{"scope": "reason\nadmin.write"}, "bad_scope"),
		"token of 15 KiB of nonsense":    bearer(good+strings.Repeat("A", 15<<10), "bad_signature"),
		"bound token as bearer":          bearer(f.forge(nil, m{"cnf": m{"jkt": f.thumbprint()}}), "sender_constrained"),
		"bound to a certificate":         bearer(f.forge(nil, m{"cnf": m{"x5t#S256": "AAAA"}}), "bad_confirmation"),
		"bound to nonsense":              bearer(f.forge(nil, m{"cnf": "x"}), "bad_confirmation"),
	}
}

// others are requests whose trouble is not in a JWT.
func (f *fort) others() map[string]attack {
	good := f.forge(nil, nil)
	const request, scheme = "invalid_request", "no_credential"
	return map[string]attack{
		"no credential":            header(401, "-", scheme),
		"Basic":                    header(401, "-", scheme, "Authorization: Basic YWxpY2U6c2VjcmV0"),
		"another scheme":           header(401, "-", scheme, "Authorization: BearerX "+good),
		"a tab behind the scheme":  header(401, "-", scheme, "Authorization: Bearer\t"+good),
		"no scheme":                header(401, "-", scheme, "Authorization: "+good),
		"token in another header":  header(401, "-", scheme, "X-Access-Token: "+good),
		"token in a cookie":        header(401, "-", scheme, "Cookie: access_token="+good),
		"empty token":              header(400, request, request, "Authorization: Bearer"),
		"two headers":              header(400, request, request, "Authorization: Bearer "+good, "Authorization: Bearer "+good),
		"two headers of two kinds": header(400, request, request, "Authorization: Bearer "+good, "Authorization: Basic YTpi"),
		"two tokens":               header(400, request, request, "Authorization: Bearer "+good+", Bearer "+good),
		"two tokens with a space":  header(400, request, request, "Authorization: Bearer "+good+" "+good),
		"quoted":                   header(400, request, request, `Authorization: Bearer "`+good+`"`),
		"a tab in the token":       header(400, request, request, "Authorization: Bearer "+good[:9]+"\t"+good[9:]),
		"a letter beyond ASCII":    header(400, request, request, "Authorization: Bearer \u00e9"+good),
		"oversized":                header(400, request, request, "Authorization: Bearer "+strings.Repeat("a", 17<<10)),
		"in the query":             {target: "/mcp?access_token=" + good, status: 400, code: request, reason: request},
		"in the query and header":  {target: "/mcp?access_token=" + good, lines: []string{"Authorization: Bearer " + good}, status: 400, code: request, reason: request},

		"static token, wrong":         bearer(f.static[:len(f.static)-1]+"x", "unknown_static_token"),
		"static token, cut":           bearer(f.static[:20], "unknown_static_token"),
		"static token, prefix only":   bearer("lyc_", "unknown_static_token"),
		"static token, its hash":      bearer("lyc_"+strings.Repeat("ab", 32), "unknown_static_token"),
		"static token, expired":       bearer(f.expired, "token_expired"),
		"static token in upper case":  bearer(strings.ToUpper(f.static), "inactive_token"),
		"opaque, inactive":            bearer("stolen-and-revoked", "inactive_token"),
		"opaque, another audience":    bearer("good-but-not-for-us", "wrong_audience"),
		"opaque, no audience":         bearer("good-but-no-audience", "wrong_audience"),
		"opaque, a refresh token":     bearer("good-but-refresh", "not_an_access_token"),
		"opaque, active but over":     bearer("good-but-over", "token_expired"),
		"opaque, another issuer's":    bearer("good-but-of-another", "unknown_issuer"),
		"opaque, bound, DPoP is off":  bearer("good-but-bound", "sender_constrained"),
		"opaque, the endpoint's down": header(503, "-", "issuer_unavailable", "Authorization: Bearer down"),
	}
}

// proofs are bad proofs of possession of f's key.
func (f *fort) proofs() map[string]attack {
	now := time.Now().Unix()
	token := f.forge(nil, m{"cnf": m{"jkt": f.thumbprint()}})
	other := f.forge(nil, m{"cnf": m{"jkt": f.thumbprint()}})
	show := func(reason string, proofs ...string) attack {
		a := attack{lines: []string{"Authorization: DPoP " + token}, code: "invalid_dpop_proof", reason: reason, dpop: true}
		for _, p := range proofs {
			a.lines = append(a.lines, "DPoP: "+p)
		}
		return a
	}
	h := func(changes m) attack { return show("bad_proof", f.proof(token, changes, nil)) }
	c := func(reason string, changes m) attack { return show(reason, f.proof(token, nil, changes)) }
	private := f.jwk()
	private["d"] = "AAAA"
	used := f.proof(token, nil, nil)
	if resp, body := f.raw("/mcp", "Authorization: DPoP "+token, "DPoP: "+used); resp.StatusCode != http.StatusOK {
		f.t.Fatalf("a good proof: %d %s", resp.StatusCode, body)
	}
	unbound := attack{lines: []string{"Authorization: DPoP " + f.forge(nil, nil), "DPoP: " + f.proof(f.forge(nil, nil), nil, nil)}, reason: "not_sender_constrained", dpop: true}
	stolen := f.forge(nil, m{"cnf": m{"jkt": strings.Repeat("A", 43)}})
	return map[string]attack{
		"proof missing":                  show("no_proof"),
		"two proofs":                     show("several_proofs", f.proof(token, nil, nil), f.proof(token, nil, nil)),
		"proof replayed":                 show("proof_replayed", used),
		"proof is nonsense":              show("bad_proof", "nonsense"),
		"proof for another method":       c("proof_for_another_request", m{"htm": "GET"}),
		"proof for a method in lower":    c("proof_for_another_request", m{"htm": "post"}),
		"proof for another path":         c("proof_for_another_request", m{"htu": f.app.URL() + "/admin"}),
		"proof for another host":         c("proof_for_another_request", m{"htu": "https://evil.example/mcp"}),
		"proof for a path below":         c("proof_for_another_request", m{"htu": f.app.URL() + "/mcp/"}),
		"proof for another token":        show("proof_for_another_token", f.proof(other, nil, nil)),
		"proof without ath":              c("proof_for_another_token", m{"ath": nil}),
		"proof too old":                  c("proof_out_of_time", m{"iat": now - 120}),
		"proof of the future":            c("proof_out_of_time", m{"iat": now + 120}),
		"proof without iat":              c("proof_out_of_time", m{"iat": nil}),
		"proof without jti":              c("bad_proof", m{"jti": nil}),
		"proof with a huge jti":          c("bad_proof", m{"jti": strings.Repeat("j", 300)}),
		"proof of typ JWT":               h(m{"typ": "JWT"}),
		"proof with alg none":            h(m{"alg": "none"}),
		"proof with HS256":               h(m{"alg": "HS256"}),
		"proof without key":              h(m{"jwk": nil}),
		"proof with a private key":       h(m{"jwk": private}),
		"proof with a symmetric key":     h(m{"jwk": m{"kty": "oct", "k": "AAAA"}}),
		"proof with crit":                h(m{"crit": []string{"exp"}}),
		"proof with a bad signature":     show("bad_proof", signedLike(f.proof(token, nil, nil), f.proof(token, nil, nil))),
		"bearer token with DPoP":         unbound,
		"token bound to another's key":   {lines: []string{"Authorization: DPoP " + stolen, "DPoP: " + f.proof(stolen, nil, nil)}, code: "invalid_dpop_proof", reason: "proof_of_another_key", dpop: true},
		"bound token, proof, but Bearer": {lines: []string{"Authorization: Bearer " + token, "DPoP: " + f.proof(token, nil, nil)}, reason: "sender_constrained"},
	}
}

// signedLike returns a token with the signature of another one.
func signedLike(token, other string) string {
	return token[:strings.LastIndexByte(token, '.')] + other[strings.LastIndexByte(other, '.'):]
}

func (f *fort) logoutToken() string {
	f.t.Helper()
	tok, err := f.remote.LogoutToken("alice", "")
	if err != nil {
		f.t.Fatal(err)
	}
	return tok
}

func issuerOf(t *testing.T, claims []byte) string { return fieldOf[string](t, claims, "iss") }
func expOf(t *testing.T, claims []byte) int64     { return int64(fieldOf[float64](t, claims, "exp")) }

func fieldOf[T any](t *testing.T, claims []byte, name string) T {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(claims, &all); err != nil {
		t.Fatal(err)
	}
	v, ok := all[name].(T)
	if !ok {
		t.Fatalf("%s is not in %s", name, claims)
	}
	return v
}

// Every attack is refused by the whole server, over a socket: with the right
// status and challenge, a text that tells nothing, and one event that tells
// operators why. Good tokens of every kind are let in before and after.
func TestHostileTokens(t *testing.T) {
	f := newFort(t)
	bound := f.forge(nil, m{"cnf": m{"jkt": f.thumbprint()}})
	welcome := func() {
		t.Helper()
		for name, lines := range map[string][]string{
			"JWT":        {"Authorization: Bearer " + f.forge(nil, nil)},
			"lower case": {"authorization: bearer " + f.forge(nil, nil)},
			"dev":        {"Authorization: Bearer " + f.token(devidp.TokenRequest{Sub: "alice"})},
			"static":     {"Authorization: Bearer " + f.static},
			"opaque":     {"Authorization: Bearer good-" + rand.Text()},
			"bound":      {"Authorization: DPoP " + bound, "DPoP: " + f.proof(bound, nil, nil)},
			"bound, htu": {"Authorization: dpop " + bound, "DPoP: " + f.proof(bound, nil, m{"htu": strings.Replace(f.app.URL(), "http", "HTTP", 1) + "/%6Dcp?x=1#y"})},
		} {
			if resp, body := f.raw("/mcp", lines...); resp.StatusCode != http.StatusOK {
				t.Errorf("%s: %d %s", name, resp.StatusCode, body)
			}
		}
		if r := f.last(); len(r) != 0 {
			t.Errorf("refusals of good tokens: %+v", r)
		}
	}
	welcome()
	count := 0
	for _, table := range []map[string]attack{f.forgeries(), f.others(), f.proofs()} {
		for name, a := range table {
			count++
			t.Run(name, func(t *testing.T) { f.refused(t, a) })
		}
	}
	welcome()
	if count < 120 {
		t.Errorf("%d attacks, there were more", count)
	}
}

func (f *fort) refused(t *testing.T, a attack) {
	target, status, code := a.target, a.status, a.code
	if target == "" {
		target = "/mcp"
	}
	if status == 0 {
		status = http.StatusUnauthorized
	}
	switch code {
	case "":
		code = "invalid_token"
	case "-":
		code = ""
	}
	resp, body := f.raw(target, a.lines...)
	if resp.StatusCode != status {
		t.Errorf("status %d, want %d: %s", resp.StatusCode, status, body)
	}
	events := f.last()
	if len(events) != 1 || events[0].Reason != a.reason || events[0].Code != code || events[0].Status != status {
		t.Errorf("events %+v, want one with reason %q, code %q", events, a.reason, code)
	}
	for _, secret := range []string{a.reason + ":", "kid", "aud ", "jkt", "http://127.0.0.1", "evil.example", "urn:"} {
		if strings.Contains(body, secret) {
			t.Errorf("the answer tells %q: %s", secret, body)
		}
	}
	challenges := resp.Header.Values("WWW-Authenticate")
	if status == http.StatusServiceUnavailable {
		if len(challenges) != 0 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("an outage with challenge %q, Retry-After %q", challenges, resp.Header.Get("Retry-After"))
		}
		return
	}
	scheme := "Bearer"
	if a.dpop {
		scheme = "DPoP"
	}
	i := 0
	for i < len(challenges) && !strings.HasPrefix(challenges[i], scheme+` realm="lyceum"`) {
		i++
	}
	if i == len(challenges) {
		t.Fatalf("no %s challenge in %q", scheme, challenges)
	}
	c := challenges[i]
	if strings.Contains(c, "error=") != (code != "") || code != "" && !strings.Contains(c, `error="`+code+`"`) ||
		!strings.Contains(c, `resource_metadata="`+f.app.URL()+`/.well-known/oauth-protected-resource/mcp"`) {
		t.Errorf("challenge %s", c)
	}
	if a.dpop && (len(challenges) != 1 || !strings.Contains(c, `algs="ES256 ES384 EdDSA"`)) {
		t.Errorf("challenges %q", challenges)
	}
}
