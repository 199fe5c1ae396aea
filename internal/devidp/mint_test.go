package devidp_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is not a token", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(b, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestTokenBeforeTheServer is what the token command is for: a token made before
// the server runs is good on whatever port it comes up, and is the same person as
// one who logged in there.
func TestTokenBeforeTheServer(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	token, err := devidp.MintFromDir(dir, devidp.TokenRequest{Sub: "alice", Tenant: "acme", Scope: "reason admin.read", Name: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	var owners []string
	for range 2 { // two runs on two ports
		i := newIssuer(t, func(c *devidp.Config) { c.KeyDir, c.Issuer = dir, "" })
		server := serve(t, i)
		p := whoever(t, i, token)
		if p.Tenant != "acme" || p.Subject != "alice" || p.Name != "Alice" || p.ClientID != devidp.DefaultClient || strings.Join(p.Scopes, " ") != "admin.read reason" {
			t.Errorf("principal %+v", p)
		}
		own, err := i.Token(devidp.TokenRequest{Sub: "alice", Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		if iss := claimsOf(t, own)["iss"]; iss != server.URL+devidp.Prefix {
			t.Errorf("a token of the running server has iss %v", iss)
		}
		q := whoever(t, i, own)
		owners = append(owners, p.Issuer+p.Tenant+p.Subject, q.Issuer+q.Tenant+q.Subject)
	}
	for _, o := range owners {
		if o != owners[0] {
			t.Errorf("one person is several owners: %q", owners)
		}
	}

	// Another server does not take it.
	stranger := newIssuer(t, nil)
	if _, err := oidc.NewLocal(stranger, devidp.TenantClaim).Verify(t.Context(), token); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a server with other keys: %v", err)
	}
	// Nor does this one take a token whose iss and aud are not of one name.
	i := newIssuer(t, func(c *devidp.Config) { c.KeyDir = dir })
	for _, claims := range []map[string]any{
		{"iss": devidp.LocalIssuer, "aud": resource},
		{"iss": issuerURL, "aud": devidp.LocalAudience},
		{"iss": "http://127.0.0.1:9999/dev/idp", "aud": resource},
	} {
		bad, err := i.Forge(nil, claims)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := oidc.NewLocal(i, devidp.TenantClaim).Verify(t.Context(), bad); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("%v: %v", claims, err)
		}
	}
}

func TestTokenRequest(t *testing.T) {
	i := newIssuer(t, nil)
	token, err := i.Token(devidp.TokenRequest{Sub: "bob", ClientID: "cli", Audience: "http://127.0.0.1:8383/other", TTL: 90 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	c := claimsOf(t, token)
	if c["aud"] != "http://127.0.0.1:8383/other" || c["client_id"] != "cli" || c["tenant"] != devidp.DefaultTenant || c["scope"] != "reason code" {
		t.Errorf("claims %v", c)
	}
	if life := c["exp"].(float64) - c["iat"].(float64); life != 90 {
		t.Errorf("lifetime %v s, want 90", life)
	}
	for name, r := range map[string]devidp.TokenRequest{
		"nobody":        {},
		"negative":      {Sub: "a", TTL: -time.Second},
		"too short":     {Sub: "a", TTL: time.Millisecond},
		"too long":      {Sub: "a", TTL: 31 * 24 * time.Hour},
		"unknown scope": {Sub: "a", Scope: "reason root"},
	} {
		if token, err := i.Token(r); err == nil {
			t.Errorf("%s: made %s", name, token)
		}
	}
	if _, err := devidp.MintFromDir("", devidp.TokenRequest{Sub: "a"}); err == nil {
		t.Error("MintFromDir made keys without a directory")
	}
}

func TestKeysAreMadeOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	kids := make([]string, 16)
	for n := range kids {
		wg.Go(func() {
			i, err := devidp.New(devidp.Config{KeyDir: dir, Algorithm: "ES256"})
			if err != nil {
				t.Error(err)
				return
			}
			kids[n] = i.PublicKeys().Keys[0].KeyID
		})
	}
	wg.Wait()
	for _, kid := range kids {
		if kid == "" || kid != kids[0] {
			t.Errorf("several keys: %q", kids)
			break
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "devidp-keys.json" {
		t.Errorf("the directory has %v (%v)", entries, err)
	}
	info, err := os.Stat(filepath.Join(dir, "devidp-keys.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
}

func TestKeyFileIsRefused(t *testing.T) {
	good := t.TempDir()
	i, err := devidp.New(devidp.Config{KeyDir: good, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	private, err := os.ReadFile(filepath.Join(good, "devidp-keys.json"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := json.Marshal(i.PublicKeys())
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		doc  string
		mode os.FileMode
	}{
		"readable by others":  {string(private), 0o644},
		"public keys":         {string(public), 0o600},
		"not JSON":            {"{", 0o600},
		"empty":               {"", 0o600},
		"no keys":             {`{"keys":[]}`, 0o600},
		"a symmetric key":     {`{"keys":[{"kty":"oct","kid":"x","alg":"HS256","k":"AAAA"}]}`, 0o600},
		"another alg":         {strings.Replace(string(private), "ES256", "RS256", 1), 0o600},
		"larger than is read": {string(private) + strings.Repeat(" ", 64<<10), 0o600},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "devidp-keys.json")
		if err := os.WriteFile(file, []byte(tc.doc), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, tc.mode); err != nil {
			t.Fatal(err)
		}
		_, err := devidp.New(devidp.Config{KeyDir: dir, Algorithm: "ES256"})
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: error %v; want one that names the file", name, err)
		}
	}
}

func TestRotate(t *testing.T) {
	dir := t.TempDir()
	i := newIssuer(t, func(c *devidp.Config) { c.KeyDir = dir })
	old, err := i.Token(devidp.TokenRequest{Sub: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	oldest := i.PublicKeys().Keys[0].KeyID
	if err := i.Rotate(); err != nil {
		t.Fatal(err)
	}
	whoever(t, i, old)
	fresh, err := i.Token(devidp.TokenRequest{Sub: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	restarted := newIssuer(t, func(c *devidp.Config) { c.KeyDir = dir })
	whoever(t, restarted, old)
	whoever(t, restarted, fresh)
	for range 3 {
		if err := i.Rotate(); err != nil {
			t.Fatal(err)
		}
	}
	keys := i.PublicKeys().Keys
	if len(keys) != 4 {
		t.Errorf("%d keys are kept, want 4", len(keys))
	}
	for _, k := range keys {
		if k.KeyID == oldest || !k.IsPublic() {
			t.Errorf("key %s is still published, public %v", k.KeyID, k.IsPublic())
		}
	}
	if doc := body(t, get(i, devidp.Prefix+"/jwks")); strings.Contains(doc, `"d":`) || strings.Count(doc, `"kid":`) != 4 {
		t.Errorf("published keys: %s", doc)
	}
	if r := get(i, devidp.Prefix+"/jwks"); r.Header.Get("Cache-Control") != "public, max-age=300" || r.StatusCode != http.StatusOK {
		t.Errorf("keys: %s, %q", r.Status, r.Header.Get("Cache-Control"))
	}
}

// TestForge checks that a forged token is good where nothing is changed, and fails
// for the reason that the change suggests.
func TestForge(t *testing.T) {
	type m = map[string]any
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			i := newIssuer(t, func(c *devidp.Config) { c.Algorithm = alg })
			v := oidc.NewLocal(i, devidp.TenantClaim)
			for name, tc := range map[string]struct {
				header, claims m
				want           string
			}{
				"unchanged":      {nil, nil, ""},
				"other subject":  {nil, m{"sub": "mallory"}, ""},
				"none":           {m{"alg": "none"}, nil, "malformed_token"},
				"HS256":          {m{"alg": "HS256"}, nil, "bad_algorithm"},
				"RS512":          {m{"alg": "RS512"}, nil, "bad_algorithm"},
				"kid":            {m{"kid": "x"}, nil, "unknown_key"},
				"no kid":         {m{"kid": nil}, nil, ""},
				"typ":            {m{"typ": "JWT"}, nil, "bad_type"},
				"crit":           {m{"crit": []string{"x"}}, nil, "unsupported_header"},
				"audience":       {nil, m{"aud": "x"}, "wrong_audience"},
				"expired":        {nil, m{"exp": 1}, "token_expired"},
				"no expiry":      {nil, m{"exp": nil}, "bad_expiry"},
				"another issuer": {nil, m{"iss": "https://evil.example"}, "unknown_issuer"},
			} {
				token, err := i.Forge(tc.header, tc.claims)
				if err != nil {
					t.Fatal(err)
				}
				_, err = v.Verify(t.Context(), token)
				if got := identity.Reason(err); got != tc.want || (err == nil) != (tc.want == "") {
					t.Errorf("%s: reason %q (%v), want %q", name, got, err, tc.want)
				}
			}
			raw, err := i.ForgeRaw([]byte(`{"alg":"`+alg+`","alg":"none"}`), []byte(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), raw); identity.Reason(err) != "malformed_token" {
				t.Errorf("duplicate alg: %v", err)
			}
		})
	}
	i := newIssuer(t, func(c *devidp.Config) { c.Issuer = "" })
	token, err := i.Forge(nil, nil)
	if err != nil || claimsOf(t, token)["iss"] != devidp.LocalIssuer {
		t.Errorf("before the URL is known: %v, %v", claimsOf(t, token), err)
	}
	if _, err := i.Forge(nil, m{"x": func() {}}); err == nil {
		t.Error("Forge wrote a function as JSON")
	}
}
