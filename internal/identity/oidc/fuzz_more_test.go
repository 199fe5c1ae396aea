package oidc

import (
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// FuzzKeys checks that no document makes a key that may not verify.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[` + keyA2 + `,` + keyA3 + `,` + keyA4 + `]}`))
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AAAA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","alg":"HS256"}]}`))
	f.Add([]byte(`{"keys":[null,1,{}]}`))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		set, err := parseKeys(doc)
		if (err == nil) != (len(set) > 0) || len(set) > maxKeys {
			t.Fatalf("%d keys, %v", len(set), err)
		}
		for _, k := range set {
			if algs, err := algorithms(k.public); err != nil || len(k.algs) == 0 || len(k.algs) > len(algs) {
				t.Fatalf("key %q with %v", k.id, k.algs)
			}
			for _, alg := range k.algs {
				if strings.HasPrefix(alg, "HS") || alg == "none" {
					t.Fatalf("key %q may verify %s", k.id, alg)
				}
			}
		}
	})
}

// FuzzAnswer checks that an introspection answer is an outage, a refusal or a
// whole principal, never anything between.
func FuzzAnswer(f *testing.F) {
	i, err := NewIntrospector(IntrospectionConfig{
		Rules: Config{Issuer: "https://id.example", Audiences: []string{"us"}, DPoP: DPoPAccepted}, Endpoint: "https://id.example/i", ClientID: "c", ClientSecret: "s",
	}, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(`{"active":true,"sub":"a","aud":"us","exp":99999999999,"scope":"reason","cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}`))
	f.Add([]byte(`{"active":false}`))
	f.Add([]byte(`{"active":"true"}`))
	f.Add([]byte(`{"active":true,"active":false}`))
	f.Add([]byte(`{"active":true,"sub":"a","aud":["us"],"iat":1e9,"token_type":"DPoP"}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		answer, err := parseAnswer(doc)
		if err != nil {
			return
		}
		now := time.Unix(1_800_000_000, 0)
		p, err := i.judge(answer, now)
		if err != nil {
			if p != nil || fault.KindOf(err) != fault.Unauthenticated {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		if string(answer["active"]) != "true" || p.Subject == "" || p.Tenant == "" || p.Issuer != "https://id.example" || !p.Recheck.After(now) {
			t.Fatalf("%s gives %+v", doc, p)
		}
		if answer.has("cnf") != (p.KeyThumbprint != "") {
			t.Fatalf("%s: the binding is lost", doc)
		}
	})
}

// FuzzProof checks that nothing but a signed proof for the request is accepted.
func FuzzProof(f *testing.F) {
	c, err := NewProofChecker(ProofConfig{Bases: []string{"https://server.example.com"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rfc9449Proof, "POST", "/token")
	f.Add(rfc9449Proof[:100], "GET", "/")
	f.Add("..", "", "")
	f.Add(rfc7515A3, "POST", "/%")
	f.Fuzz(func(t *testing.T, raw, method, path string) {
		claims, print, err := parseProof(raw)
		if err == nil {
			if len(print) != 43 || len(claims) == 0 {
				t.Fatalf("accepted with thumbprint %q", print)
			}
			if c.checkRequest(claims, identity.Proof{Method: method, Path: path}) == nil && method == "" {
				t.Fatal("accepted for no method")
			}
		}
		if err := c.verify(identity.Proof{JWT: raw, Method: method, Path: path}, rfc9449Thumb, "00", time.Unix(1562265296, 0)); err == nil {
			t.Fatal("a proof without the token's hash was accepted")
		}
	})
}
