package app_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/middleware"
)

// fort is a server that takes every kind of token, seen from outside.
type fort struct {
	*site
	remote  *devidp.Issuer // a pinned issuer on the network
	static  string         // a static token
	expired string         // another one, whose time is over
	key     *ecdsa.PrivateKey

	mu       sync.Mutex
	refusals []middleware.Refusal // owned by mu
	asked    map[string]int       // owned by mu: introspected tokens
}

func newFort(t *testing.T, change ...func(*config.Config)) *fort {
	t.Helper()
	f := &fort{asked: map[string]int{}}
	var err error
	if f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if f.remote, err = devidp.New(devidp.Config{Algorithm: "ES256"}); err != nil {
		t.Fatal(err)
	}
	idp := httptest.NewServer(f.remote)
	t.Cleanup(idp.Close)
	if err := f.remote.SetIssuer(idp.URL+devidp.Prefix, "urn:lyceum:test"); err != nil {
		t.Fatal(err)
	}
	asked := httptest.NewServer(http.HandlerFunc(f.introspect))
	t.Cleanup(asked.Close)
	var hash, expiredHash string
	f.static, hash = identity.NewStaticToken()
	f.expired, expiredHash = identity.NewStaticToken()

	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", t.TempDir()
	cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, 1e9
	cfg.Auth.Issuers = []config.Issuer{{
		Issuer: idp.URL + devidp.Prefix, Audience: "urn:lyceum:test", Typ: "at+jwt", DPoP: "accepted", TenantClaim: "tenant", Tenants: []string{"dev"},
		Leeway: time.Second,
	}}
	cfg.Auth.Introspection = []config.Introspection{{
		Issuer: "https://opaque.example", Endpoint: asked.URL, ClientID: "lyceum", ClientSecret: config.NewSecret("hush"), Audience: "urn:lyceum:test",
		Tenant: "acme", CacheTTL: time.Minute,
	}}
	cfg.Auth.Tokens = []config.StaticToken{
		{Hash: hash, Tenant: "acme", Subject: "robot", Scopes: []string{"reason"}},
		{Hash: expiredHash, Tenant: "acme", Subject: "old", Scopes: []string{"reason"}, Expires: "2020-01-01T00:00:00Z"},
	}
	for _, c := range change {
		c(cfg)
	}
	f.site = startWith(t, cfg, app.Options{OnRefusal: func(_ context.Context, r middleware.Refusal) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.refusals = append(f.refusals, r)
	}})
	return f
}

// introspect is an endpoint that knows the tokens that begin with good.
func (f *fort) introspect(w http.ResponseWriter, r *http.Request) {
	token := r.PostFormValue("token")
	f.mu.Lock()
	f.asked[token]++
	f.mu.Unlock()
	if id, secret, _ := r.BasicAuth(); id != "lyceum" || secret != "hush" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	answer := map[string]any{"active": strings.HasPrefix(token, "good"), "sub": "olga", "aud": "urn:lyceum:test", "scope": "reason", "exp": time.Now().Add(time.Hour).Unix()}
	switch token {
	case "good-but-not-for-us":
		answer["aud"] = "urn:other"
	case "good-but-no-audience":
		delete(answer, "aud")
	case "good-but-refresh":
		answer["token_type"] = "refresh_token"
	case "good-but-over":
		answer["exp"] = 1
	case "good-but-of-another":
		answer["iss"] = "https://evil.example"
	case "good-but-bound":
		answer["cnf"] = map[string]string{"jkt": "x"}
	case "down":
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// last returns the refusals since the last call.
func (f *fort) last() []middleware.Refusal {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.refusals
	f.refusals = nil
	return r
}

func (f *fort) forge(header, claims map[string]any) string {
	f.t.Helper()
	tok, err := f.remote.Forge(header, claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return tok
}

// thumbprint is that of f's key (RFC 7638 §3).
func (f *fort) thumbprint() string {
	jwk := f.jwk()
	sum := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, jwk["x"], jwk["y"]))
	return b64url(sum[:])
}

func (f *fort) jwk() map[string]any {
	point, err := f.key.PublicKey.Bytes()
	if err != nil {
		f.t.Fatal(err)
	}
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64url(point[1:33]), "y": b64url(point[33:])}
}

func b64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// proof makes a DPoP proof for a token, with changes.
func (f *fort) proof(token string, header, claims map[string]any) string {
	f.t.Helper()
	ath := sha256.Sum256([]byte(token))
	h := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": f.jwk()}
	c := map[string]any{"htm": "POST", "htu": f.app.URL() + "/mcp", "iat": time.Now().Unix(), "jti": rand.Text(), "ath": b64url(ath[:])}
	for _, m := range []struct{ base, changes map[string]any }{{h, header}, {c, claims}} {
		for k, v := range m.changes {
			if m.base[k] = v; v == nil {
				delete(m.base, k)
			}
		}
	}
	hb, err1 := json.Marshal(h)
	cb, err2 := json.Marshal(c)
	if err1 != nil || err2 != nil {
		f.t.Fatal(err1, err2)
	}
	input := b64url(hb) + "." + b64url(cb)
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.key, digest[:])
	if err != nil {
		f.t.Fatal(err)
	}
	return input + "." + b64url(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

// raw sends a request of exactly these header lines on a connection of its own.
func (f *fort) raw(target string, lines ...string) (*http.Response, string) {
	f.t.Helper()
	addr := f.app.Addr()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	head := append([]string{
		"POST " + target + " HTTP/1.1", "Host: " + addr, "Connection: close", "Content-Type: application/json",
		"Accept: application/json, text/event-stream", "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: server/discover",
		fmt.Sprintf("Content-Length: %d", len(ping)),
	}, lines...)
	if _, err := io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n"+ping); err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(body)
}
