package oidc

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// FuzzParse checks that the parser never accepts what others read differently:
// what it accepts, go-jose and package json accept too, with the same values.
func FuzzParse(f *testing.F) {
	seg := base64.RawURLEncoding.EncodeToString
	add := func(header, claims string) { f.Add(seg([]byte(header)) + "." + seg([]byte(claims)) + ".c2ln") }
	add(`{"alg":"ES256","kid":"k","typ":"at+jwt"}`, `{"iss":"https://id.example","sub":"a","aud":["x",null],"exp":1.5e9}`)
	add(`{"alg":"ES256","alg":"none"}`, `{"iss":"a"}`)
	add(` { "alg" : "RS256" } `, ` { "iss" : "a" , "x" : [ 1 , { "y" : [ ] , "y" : 2 } ] } `)
	add(`{"alg":"ES256","jwk":{}}`, `{"iss":"a","\u0069ss":"b"}`)
	add(`{"alg":"ES256"}`, `{"iss":"a","x":`+strings.Repeat("[", 30)+strings.Repeat("]", 30)+`}`)
	add(`{"alg":"ES256"}`, `{"iss":"a\ud800","x":nul}`)
	f.Add("..")
	f.Add("a.b.c.d")
	f.Add("")

	f.Fuzz(func(t *testing.T, raw string) {
		const limit = 4096
		tok, err := parse(raw, limit)
		if err != nil {
			if tok != nil || fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("parse = %v, %v", tok, err)
			}
			return
		}
		if len(raw) > limit || tok.alg == "" || tok.issuer == "" {
			t.Fatalf("accepted %q as %+v", raw, tok)
		}
		jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(tok.alg)})
		if err != nil {
			return // go-jose is stricter about headers that are not ours to read
		}
		if h := jws.Signatures[0].Protected; h.KeyID != tok.kid || h.Algorithm != tok.alg {
			t.Fatalf("go-jose reads kid %q, alg %q; we read %q, %q", h.KeyID, h.Algorithm, tok.kid, tok.alg)
		}
		payload := jws.UnsafePayloadWithoutVerification()
		var claims map[string]json.RawMessage
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatalf("package json refuses the claims: %v", err)
		}
		if len(claims) != len(tok.claims) {
			t.Fatalf("package json reads %d claims, we read %d", len(claims), len(tok.claims))
		}
		for name, value := range tok.claims {
			if !bytes.Equal(bytes.TrimSpace(claims[name]), value) || len(value) == 0 {
				t.Fatalf("claim %q: package json reads %q, we read %q", name, claims[name], value)
			}
		}
	})
}
