package middleware

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// proofs is a Proofs with a nonce.
type proofs struct{}

func (proofs) Algorithms() []string { return []string{"ES256", "EdDSA"} }
func (proofs) Nonce() string        { return "n1" }

func TestAuthenticateDPoP(t *testing.T) {
	bound := &identity.Principal{Tenant: "acme", Subject: "alice", KeyThumbprint: "thumb"}
	v := identity.VerifierFunc(func(ctx context.Context, token string) (*identity.Principal, error) {
		switch token {
		case "bound":
			return bound, nil
		case "nonce":
			return nil, identity.NeedNonce()
		case "bad":
			return nil, identity.RefuseProof("bad_proof", nil)
		}
		return verifier.Verify(ctx, token)
	})
	const both = `Bearer realm="lyceum"|DPoP realm="lyceum", algs="ES256 EdDSA"`
	for _, c := range []struct {
		name       string
		headers    []string
		status     int
		challenges string // prefixes, split by |
		reason     string
	}{
		{"bearer", []string{"Authorization", "Bearer good"}, 200, "", ""},
		{"bound", []string{"Authorization", "DPoP bound", "DPoP", "p"}, 200, "", ""},
		{"scheme in another case", []string{"Authorization", "dPOP bound", "Dpop", "p"}, 200, "", ""},
		{"no credential", nil, 401, both, "no_credential"},
		{"bad bearer token", []string{"Authorization", "Bearer x"}, 401, `Bearer realm="lyceum", error="invalid_token"|DPoP realm="lyceum", algs=`, "unauthenticated"},
		{"no proof", []string{"Authorization", "DPoP bound"}, 401, `DPoP realm="lyceum", error="invalid_dpop_proof"`, "no_proof"},
		{"two proofs", []string{"Authorization", "DPoP bound", "DPoP", "p", "DPoP", "p"}, 401, `DPoP realm="lyceum", error="invalid_dpop_proof"`, "several_proofs"},
		{"not bound", []string{"Authorization", "DPoP good", "DPoP", "p"}, 401, `DPoP realm="lyceum", error="invalid_token"`, "not_sender_constrained"},
		{"nonce", []string{"Authorization", "DPoP nonce", "DPoP", "p"}, 401, `DPoP realm="lyceum", error="use_dpop_nonce"`, "dpop_nonce_needed"},
		{"bad proof", []string{"Authorization", "DPoP bad", "DPoP", "p"}, 401, `DPoP realm="lyceum", error="invalid_dpop_proof"`, "bad_proof"},
		{"outage", []string{"Authorization", "DPoP down", "DPoP", "p"}, 503, "", "unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var heard []Refusal
			a := Auth{Verifier: v, Proofs: proofs{}, OnRefusal: func(_ context.Context, r Refusal) { heard = append(heard, r) }}
			w := serve(ok, request("POST", "/mcp", c.headers...), a.Middleware())
			got := w.Header().Values("WWW-Authenticate")
			want := strings.FieldsFunc(c.challenges, func(r rune) bool { return r == '|' })
			if w.Code != c.status || len(got) != len(want) {
				t.Fatalf("%d %q, want %d %q", w.Code, got, c.status, want)
			}
			for i := range want {
				if !strings.HasPrefix(got[i], want[i]) {
					t.Errorf("challenge %s, want %s", got[i], want[i])
				}
			}
			if (w.Header().Get("DPoP-Nonce") == "n1") != (len(c.headers) > 1 && strings.EqualFold(c.headers[1][:4], "dpop")) {
				t.Errorf("nonce %q", w.Header().Get("DPoP-Nonce"))
			}
			if c.status == 200 != (len(heard) == 0) || len(heard) > 1 || len(heard) == 1 && (heard[0].Reason != c.reason || heard[0].Status != c.status) {
				t.Errorf("heard %+v, want %q", heard, c.reason)
			}
		})
	}
}

// FuzzAuthorization checks that a token is taken from one well-formed header only,
// and that nothing of it comes back in the answer's headers.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"Bearer good", "bearer  good", "Bearer", "DPoP good", "Basic YTpi", "Bearer a b", "Bearer a,b", "Bearer \"a\"", "Bearer a==", "Bearer ====", "Bearer \x00", "Bearer\tgood", ""} {
		f.Add(s, "", true)
		f.Add(s, "access_token=x", false)
	}
	f.Fuzz(func(t *testing.T, value, query string, proofs bool) {
		r := httptest.NewRequest(http.MethodPost, "/mcp", http.NoBody)
		r.URL.RawQuery = query
		r.Header["Authorization"] = []string{value}
		r.Header["Dpop"] = []string{"proof"}
		cred, err := credentialOf(r, proofs)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Unauthenticated && k != fault.Invalid {
				t.Fatalf("%v", err)
			}
			return
		}
		scheme, token, _ := strings.Cut(value, " ")
		if !strings.EqualFold(scheme, cred.scheme()) || strings.TrimLeft(token, " ") != cred.token || !tokenSyntax(cred.token) || cred.dpop && !proofs {
			t.Fatalf("%q gives %+v", value, cred)
		}
		if r.URL.Query().Has("access_token") {
			t.Fatalf("taken although the query %q has one", query)
		}
	})
}
