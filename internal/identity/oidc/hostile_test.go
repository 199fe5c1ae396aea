package oidc_test

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

func clientOf(n *network) *http.Client { return &http.Client{Transport: n} }

// hostile returns tokens that must be refused, by name. All are signed with a
// good key unless the name says otherwise, so that one check alone is at work.
func hostile() map[string]struct{ token, reason string } {
	es, rs, ps := signES(), signRS(), signPS()
	good := es.token(nil, nil)
	parts := strings.Split(good, ".")
	head, body, sig := parts[0], parts[1], parts[2]
	now := time.Now().Unix()

	der := must(x509.MarshalPKIXPublicKey(rs.key.Public()))
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	modulus := rs.key.Public().(*rsa.PublicKey).N.Bytes()
	jwk := must(json.Marshal(rs.jwk()))
	hs := func(kid string, secret []byte) string {
		return compact("HS256", secret, rs.header(fields{"alg": "HS256", "kid": kid}), goodClaims(nil))
	}
	raw := func(header, claims string) string { return compact("ES256", es.key, header, claims) }
	header, claims := es.header(nil), goodClaims(nil)
	change := func(s, old, new string) string {
		if !strings.Contains(s, old) {
			panic(old + " is not in " + s)
		}
		return strings.Replace(s, old, new, 1)
	}
	flip := func(s string) string { // another value, the same length, still strict base64url
		b := must(base64.RawURLEncoding.DecodeString(s))
		b[len(b)/2] ^= 1
		return b64(b)
	}
	attacker := signStranger()
	own := attacker.jwk()
	own.KeyID = "mine"

	type c = struct{ token, reason string }
	return map[string]c{
		// Form.
		"empty":                      {"", "malformed_token"},
		"one part":                   {"abc", "malformed_token"},
		"two parts":                  {head + "." + body, "malformed_token"},
		"four parts":                 {good + ".x", "malformed_token"},
		"five parts, as a JWE":       {good + ".x.y", "malformed_token"},
		"empty header":               {"." + body + "." + sig, "malformed_token"},
		"empty claims":               {head + ".." + sig, "malformed_token"},
		"empty signature":            {head + "." + body + ".", "malformed_token"},
		"JSON serialisation":         {`{"payload":"` + body + `","protected":"` + head + `","signature":"` + sig + `"}`, "malformed_token"},
		"padded base64":              {head + "=." + body + "." + sig, "malformed_token"},
		"standard base64":            {head + "." + body + "." + "+/" + sig[2:], "malformed_token"},
		"line break in base64":       {head + "." + body[:8] + "\n" + body[8:] + "." + sig, "malformed_token"},
		"space around":               {" " + good + " ", "malformed_token"},
		"loose trailing bits":        {head + "." + body + "." + sig[:len(sig)-1] + "_", "malformed_token"},
		"too long":                   {good + strings.Repeat("A", 16<<10), "token_too_long"},
		"header is an array":         {raw(`["alg"]`, claims), "malformed_token"},
		"header is not JSON":         {raw(`{"alg":`, claims), "malformed_token"},
		"text after the header":      {raw(header+"{}", claims), "malformed_token"},
		"text after the claims":      {raw(header, claims+`{"sub":"root"}`), "malformed_token"},
		"claims are a string":        {raw(header, `"alice"`), "malformed_token"},
		"claims are null":            {raw(header, `null`), "malformed_token"},
		"nested token":               {raw(header, good), "malformed_token"},
		"not UTF-8":                  {raw(header, change(claims, "alice", "ali\xffce")), "malformed_token"},
		"deep nesting":               {raw(header, change(claims, `"alice"`, `"alice","x":`+strings.Repeat("[", 40)+strings.Repeat("]", 40))), "malformed_token"},
		"duplicate alg":              {raw(change(header, `"alg":"ES256"`, `"alg":"none","alg":"ES256"`), claims), "malformed_token"},
		"duplicate sub":              {raw(header, change(claims, `"sub":"alice"`, `"sub":"root","sub":"alice"`)), "malformed_token"},
		"duplicate sub with escapes": {raw(header, change(claims, `"sub":"alice"`, `"sub":"alice","s\u0075b":"root"`)), "malformed_token"},
		"duplicate in a nested one":  {raw(header, change(claims, `"sub":"alice"`, `"sub":"alice","act":[{"sub":"a","sub":"b"}]`)), "malformed_token"},

		// Algorithms and keys.
		"alg none, no signature":       {b64([]byte(es.header(fields{"alg": "none"}))) + "." + body + ".", "malformed_token"},
		"alg none, old signature":      {compact("ES256", es.key, es.header(fields{"alg": "none"}), claims), "bad_algorithm"},
		"alg NONE":                     {raw(es.header(fields{"alg": "NoNe"}), claims), "bad_algorithm"},
		"alg missing":                  {raw(es.header(fields{"alg": nil}), claims), "bad_algorithm"},
		"alg is a number":              {raw(es.header(fields{"alg": 256}), claims), "bad_algorithm"},
		"alg in odd case":              {raw(change(header, `"alg"`, `"Alg"`), claims), "bad_algorithm"},
		"HS256 with the PEM":           {hs("rs", pemKey), "bad_algorithm"},
		"HS256 with the DER":           {hs("rs", der), "bad_algorithm"},
		"HS256 with the modulus":       {hs("rs", modulus), "bad_algorithm"},
		"HS256 with the JWK":           {hs("rs", jwk), "bad_algorithm"},
		"HS256 with nothing":           {hs("rs", []byte{}), "bad_algorithm"},
		"HS256 with the EC key":        {hs("es", must(es.key.Public().(*ecdsa.PublicKey).Bytes())), "bad_algorithm"},
		"ES384, not allowed":           {signES384().token(nil, nil), "bad_algorithm"},
		"PS256 with a key for RS256":   {compact("PS256", ps.key, rs.header(fields{"alg": "PS256"}), claims), "wrong_algorithm_for_key"},
		"RS256 with a key for ES256":   {compact("RS256", rs.key, es.header(fields{"alg": "RS256"}), claims), "wrong_algorithm_for_key"},
		"EdDSA with a key for ES256":   {compact("EdDSA", signEd().key, es.header(fields{"alg": "EdDSA"}), claims), "wrong_algorithm_for_key"},
		"another's key, our kid":       {attacker.token(nil, nil), "bad_signature"},
		"changed claims":               {head + "." + b64([]byte(change(claims, "alice", "root!"))) + "." + sig, "bad_signature"},
		"changed signature":            {head + "." + body + "." + flip(sig), "bad_signature"},
		"short signature":              {head + "." + body + "." + b64([]byte("short")), "bad_signature"},
		"all-zero signature":           {head + "." + body + "." + b64(make([]byte, 64)), "bad_signature"}, // CVE-2022-21449
		"signature in DER":             {head + "." + body + "." + b64(append([]byte{0x30, 0x44}, make([]byte, 68)...)), "bad_signature"},
		"unknown kid":                  {es.token(fields{"kid": "nobody"}, nil), "unknown_key"},
		"kid in other case":            {es.token(fields{"kid": "ES"}, nil), "unknown_key"},
		"kid as a path":                {es.token(fields{"kid": "../../dev/null"}, nil), "unknown_key"},
		"kid as SQL":                   {es.token(fields{"kid": "x' UNION SELECT 'k"}, nil), "unknown_key"},
		"kid is a number":              {es.token(fields{"kid": 1}, nil), "bad_key_id"},
		"kid is empty":                 {es.token(fields{"kid": ""}, nil), "bad_key_id"},
		"kid is huge":                  {es.token(fields{"kid": strings.Repeat("k", 600)}, nil), "bad_key_id"},
		"no kid, two keys that fit":    {compact("RS256", rs.key, rs.header(fields{"kid": nil}), claims), "no_key_id"},
		"embedded jwk":                 {compact("ES256", attacker.key, es.header(fields{"jwk": own, "kid": nil}), claims), "unsupported_header"},
		"jku":                          {compact("ES256", attacker.key, es.header(fields{"jku": "https://evil.example/keys"}), claims), "unsupported_header"},
		"x5u":                          {compact("ES256", attacker.key, es.header(fields{"x5u": "https://evil.example/c"}), claims), "unsupported_header"},
		"x5c":                          {compact("ES256", attacker.key, es.header(fields{"x5c": []string{"AAAA"}}), claims), "unsupported_header"},
		"crit":                         {es.token(fields{"crit": []string{"exp"}, "exp": 1}, nil), "unsupported_header"},
		"crit, empty":                  {es.token(fields{"crit": []string{}}, nil), "unsupported_header"},
		"unencoded payload (RFC 7797)": {es.token(fields{"b64": false, "crit": []string{"b64"}}, nil), "unsupported_header"},
		"zip":                          {es.token(fields{"zip": "DEF"}, nil), "unsupported_header"},

		// Kind of token.
		"typ JWT":               {es.token(fields{"typ": "JWT"}, nil), "bad_type"},
		"typ missing":           {es.token(fields{"typ": nil}, nil), "bad_type"},
		"typ is a number":       {es.token(fields{"typ": 1}, nil), "bad_type"},
		"typ dpop+jwt":          {es.token(fields{"typ": "dpop+jwt"}, nil), "bad_type"},
		"typ oauth-id-jag+jwt":  {es.token(fields{"typ": "oauth-id-jag+jwt"}, nil), "bad_type"},
		"typ logout+jwt":        {es.token(fields{"typ": "logout+jwt"}, nil), "bad_type"},
		"typ at+jwt with nonce": {es.token(nil, fields{"nonce": "n"}), "not_an_access_token"},
		"with at_hash":          {es.token(nil, fields{"at_hash": "h"}), "not_an_access_token"},
		"with events":           {es.token(nil, fields{"events": fields{}}), "not_an_access_token"},
		"DPoP-bound":            {es.token(nil, fields{"cnf": fields{"jkt": "abc"}}), "sender_constrained"},
		"bound to a certificate": {
			es.token(nil, fields{"cnf": fields{"x5t#S256": "abc"}}),
			"sender_constrained",
		},

		// Issuer and audience.
		"another issuer":           {es.token(nil, fields{"iss": "https://evil.example"}), "unknown_issuer"},
		"issuer with a slash":      {es.token(nil, fields{"iss": issuerURL + "/"}), "unknown_issuer"},
		"issuer in upper case":     {es.token(nil, fields{"iss": strings.ToUpper(issuerURL)}), "unknown_issuer"},
		"issuer missing":           {es.token(nil, fields{"iss": nil}), "bad_issuer"},
		"issuer is an array":       {es.token(nil, fields{"iss": []string{issuerURL}}), "bad_issuer"},
		"issuer under another key": {es.token(nil, fields{"iss": nil, "ISS": issuerURL}), "bad_issuer"},
		"audience missing":         {es.token(nil, fields{"aud": nil}), "wrong_audience"},
		"audience empty":           {es.token(nil, fields{"aud": []string{}}), "wrong_audience"},
		"another audience":         {es.token(nil, fields{"aud": "https://other.example/mcp"}), "wrong_audience"},
		"audience is a prefix":     {es.token(nil, fields{"aud": "https://mcp.example"}), "wrong_audience"},
		"audience is longer":       {es.token(nil, fields{"aud": audience + "/x"}), "wrong_audience"},
		"audience with 2 slashes":  {es.token(nil, fields{"aud": audience + "//"}), "wrong_audience"},
		"audience in upper case":   {es.token(nil, fields{"aud": strings.ToUpper(audience)}), "wrong_audience"},
		"audiences in one string":  {es.token(nil, fields{"aud": "x " + audience}), "wrong_audience"},
		"audience is a number":     {es.token(nil, fields{"aud": 7}), "bad_audience"},
		"audience has a null":      {es.token(nil, fields{"aud": []any{nil, audience}}), "bad_audience"},
		"audience has an array":    {es.token(nil, fields{"aud": []any{[]string{audience}}}), "bad_audience"},
		"the client is audience":   {es.token(nil, fields{"aud": "ide"}), "wrong_audience"},

		// Times.
		"expired":             {es.token(nil, fields{"exp": now - 31}), "token_expired"},
		"expired long ago":    {es.token(nil, fields{"exp": 0}), "token_expired"},
		"exp missing":         {es.token(nil, fields{"exp": nil}), "bad_expiry"},
		"exp is a string":     {es.token(nil, fields{"exp": fmt.Sprint(now + 600)}), "bad_expiry"},
		"exp is null":         {raw(header, change(claims, fmt.Sprintf(`"exp":%d`, now+600), `"exp":null`)), "bad_expiry"},
		"exp is true":         {es.token(nil, fields{"exp": true}), "bad_expiry"},
		"exp is negative":     {es.token(nil, fields{"exp": -1}), "bad_expiry"},
		"exp in milliseconds": {es.token(nil, fields{"exp": (now + 600) * 1000}), "bad_expiry"},
		"exp is 1e400":        {raw(header, change(claims, fmt.Sprintf(`"exp":%d`, now+600), `"exp":1e400`)), "bad_expiry"},
		"exp twice by case":   {es.token(nil, fields{"exp": now - 600, "EXP": now + 600}), "token_expired"},
		"not yet valid":       {es.token(nil, fields{"nbf": now + 60}), "token_not_yet_valid"},
		"nbf is a string":     {es.token(nil, fields{"nbf": "0"}), "bad_not_before"},
		"iat 1 h ahead":       {es.token(nil, fields{"iat": now + 3600}), "issued_in_the_future"},
		"iat is a string":     {es.token(nil, fields{"iat": "0"}), "bad_issued_at"},

		// Who and what.
		"sub missing":            {es.token(nil, fields{"sub": nil}), "bad_subject"},
		"sub empty":              {es.token(nil, fields{"sub": ""}), "bad_subject"},
		"sub is a number":        {es.token(nil, fields{"sub": 1}), "bad_subject"},
		"sub is an object":       {es.token(nil, fields{"sub": fields{"id": "alice"}}), "bad_subject"},
		"sub with a line break":  {es.token(nil, fields{"sub": "alice\nroot"}), "bad_subject"},
		"sub with NUL":           {es.token(nil, fields{"sub": "alice\x00"}), "bad_subject"},
		"sub with half a pair":   {raw(header, change(claims, `"alice"`, `"alice\ud800"`)), "bad_subject"},
		"sub is huge":            {es.token(nil, fields{"sub": strings.Repeat("a", 600)}), "bad_subject"},
		"scope is a number":      {es.token(nil, fields{"scope": 1}), "bad_scope"},
		"scope has an object":    {es.token(nil, fields{"scope": []any{fields{"admin": true}}}), "bad_scope"},
		"scope with a tab":       {es.token(nil, fields{"scope": "reason\tadmin.write"}), "bad_scope"},
		"scope with wide space":  {es.token(nil, fields{"scope": "reason\u00a0admin.write"}), "bad_scope"},
		"scopes without number":  {es.token(nil, fields{"scope": strings.Repeat("a ", 300)}), "bad_scope"},
		"client_id is an array":  {es.token(nil, fields{"client_id": []string{"ide"}}), "bad_client"},
		"tenant missing":         {es.token(nil, fields{"tenant": nil}), "bad_tenant"},
		"tenant empty":           {es.token(nil, fields{"tenant": ""}), "bad_tenant"},
		"tenant is an array":     {es.token(nil, fields{"tenant": []string{"acme"}}), "bad_tenant"},
		"tenant with a newline":  {es.token(nil, fields{"tenant": "acme\n"}), "bad_tenant"},
		"another tenant's token": {es.token(nil, fields{"tenant": "globex"}), "bad_tenant"},
	}
}

func TestHostileTokens(t *testing.T) {
	twin := named("rs-twin", "RS256", keyRSA) // so that two keys fit RS256
	n := newNetwork(signRS, signPS, signES, signEd, signES384, twin)
	v := newVerifier(t, n, func(c *oidc.Config) { c.Tenant, c.TenantClaim = "acme", "tenant" })
	if got := reason(t.Context(), v, signES().token(nil, nil)); got != "" {
		t.Fatalf("the good token was refused: %s", got)
	}
	for name, tc := range hostile() {
		t.Run(name, func(t *testing.T) {
			p, err := v.Verify(t.Context(), tc.token)
			if p != nil || fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("Verify = %+v, %v; want Unauthenticated", p, err)
			}
			if got := identity.Reason(err); got != tc.reason {
				t.Errorf("reason %q (%v), want %q", got, err, tc.reason)
			}
			public, want := fault.From(err).Public, "the access token is not valid"
			if tc.reason == "token_expired" {
				want = "the access token has expired"
			}
			if public != want {
				t.Errorf("the caller is told %q, want %q", public, want)
			}
			if len(err.Error()) > 400 {
				t.Errorf("the log line has %d bytes of the token's text", len(err.Error()))
			}
		})
	}
	if got := n.count(jwksURL); got != 1 {
		t.Errorf("the keys were fetched %d times, want once", got)
	}
	for url := range n.asked {
		if url != jwksURL {
			t.Errorf("fetched %s", url)
		}
	}
}

func TestCompatibleRefusesOtherKinds(t *testing.T) {
	v := newVerifier(t, newNetwork(signES), func(c *oidc.Config) {
		c.Typ = oidc.TypCompatible
		c.Audiences = []string{audience, "ide"}
	})
	for name, tc := range map[string]struct {
		header, claims fields
		want           string
	}{
		"an ID token":               {fields{"typ": "JWT"}, fields{"aud": "ide", "nonce": "n", "scope": nil, "client_id": nil}, "not_an_access_token"},
		"an ID token without nonce": {fields{"typ": "JWT"}, fields{"aud": "ide", "scope": nil, "client_id": nil}, "not_an_access_token"},
		"an ID token with scope":    {fields{"typ": "JWT"}, fields{"aud": "ide", "azp": "ide", "client_id": nil}, "not_an_access_token"},
		"audience is the client":    {fields{"typ": nil}, fields{"aud": []string{audience, "ide"}}, "not_an_access_token"},
		"neither scope nor client":  {fields{"typ": nil}, fields{"scope": nil, "client_id": nil, "azp": "ide"}, "not_an_access_token"},
		"a refresh token":           {fields{"typ": "JWT"}, fields{"typ": "Refresh"}, "not_an_access_token"},
		"typ claim of a wrong kind": {fields{"typ": "JWT"}, fields{"typ": []string{"Bearer"}}, "not_an_access_token"},
		"an identity assertion":     {fields{"typ": "oauth-id-jag+jwt"}, nil, "bad_type"},
		"a proof":                   {fields{"typ": "dpop+jwt"}, nil, "bad_type"},
		"audience of a wrong kind":  {fields{"typ": "JWT"}, fields{"aud": 1}, "bad_audience"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := reason(t.Context(), v, signES().token(tc.header, tc.claims)); got != tc.want {
				t.Errorf("reason %q, want %q", got, tc.want)
			}
		})
	}
}
