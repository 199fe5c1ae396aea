package oidc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/identity/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://id.example/realms/acme"
	jwksURL   = "https://id.example/keys"
	audience  = "https://mcp.example/mcp"
)

type fields = map[string]any

// signer is a private key and what the headers of its tokens say.
type signer struct {
	kid, alg string
	key      crypto.Signer
}

func (s signer) jwk() jose.JSONWebKey {
	return jose.JSONWebKey{Key: s.key.Public(), KeyID: s.kid, Algorithm: s.alg, Use: "sig"}
}

func rsaKey(bits int) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(rsa.GenerateKey(rand.Reader, bits)) })
}

func ecKey(curve elliptic.Curve) func() crypto.Signer {
	return sync.OnceValue(func() crypto.Signer { return must(ecdsa.GenerateKey(curve, rand.Reader)) })
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Keys are made once for all tests.
var (
	keyRSA, keyRSA1024      = rsaKey(2048), rsaKey(1024)
	keyEC, keyEC2, keyEC384 = ecKey(elliptic.P256()), ecKey(elliptic.P256()), ecKey(elliptic.P384())
	keyEd                   = sync.OnceValue(func() crypto.Signer { return ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) })
	signRS, signPS          = named("rs", "RS256", keyRSA), named("ps", "PS256", keyRSA)
	signES, signEd          = named("es", "ES256", keyEC), named("ed", "EdDSA", keyEd)
	signES384, signStranger = named("es384", "ES384", keyEC384), named("es", "ES256", keyEC2)
	signRotated, signRS1024 = named("es-2", "ES256", keyEC2), named("small", "RS256", keyRSA1024)
	allSigners              = []func() signer{signRS, signPS, signES, signEd}
)

func named(kid, alg string, key func() crypto.Signer) func() signer {
	return func() signer { return signer{kid, alg, key()} }
}

// signature signs input as JWS does (RFC 7518 §3), and with a secret as HS256.
func signature(alg string, key any, input []byte) []byte {
	digest := sha256.Sum256(input)
	switch k := key.(type) {
	case nil:
		return nil
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write(input)
		return mac.Sum(nil)
	case *rsa.PrivateKey:
		if alg == "PS256" {
			return must(rsa.SignPSS(rand.Reader, k, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}))
		}
		return must(rsa.SignPKCS1v15(nil, k, crypto.SHA256, digest[:]))
	case *ecdsa.PrivateKey:
		sum := digest[:]
		if alg == "ES384" {
			h := crypto.SHA384.New()
			h.Write(input)
			sum = h.Sum(nil)
		}
		r, s, err := ecdsa.Sign(rand.Reader, k, sum)
		if err != nil {
			panic(err)
		}
		size := (k.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	case ed25519.PrivateKey:
		return ed25519.Sign(k, input)
	}
	panic("unknown key")
}

var b64 = base64.RawURLEncoding.EncodeToString

// compact builds a token of exactly these bytes, signed with key as alg says.
func compact(alg string, key any, header, claims string) string {
	input := b64([]byte(header)) + "." + b64([]byte(claims))
	return input + "." + b64(signature(alg, key, []byte(input)))
}

// merge lays changes over base; a nil value takes a member away.
func merge(base, changes fields) string {
	all := maps.Clone(base)
	for k, v := range changes {
		if all[k] = v; v == nil {
			delete(all, k)
		}
	}
	return string(must(json.Marshal(all)))
}

// token signs a good token with changes to its header and claims.
func (s signer) token(header, claims fields) string {
	return compact(s.alg, s.key, s.header(header), goodClaims(claims))
}

func (s signer) header(changes fields) string {
	return merge(fields{"alg": s.alg, "kid": s.kid, "typ": "at+jwt"}, changes)
}

func goodClaims(changes fields) string {
	now := time.Now().Unix()
	return merge(fields{
		"iss": issuerURL, "sub": "alice", "aud": audience, "client_id": "ide", "jti": "1",
		"iat": now, "exp": now + 600, "scope": "reason code", "tenant": "acme",
	}, changes)
}

// network is an issuer in memory: an http.RoundTripper that counts.
type network struct {
	mu sync.Mutex

	// owned by mu
	pages  map[string]page // by URL
	asked  map[string]int
	broken error // every request fails with it
	hold   chan struct{}
}

type page struct {
	status int // 0 means 200
	header http.Header
	body   string
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	url := r.URL.String()
	n.asked[url]++
	p, ok := n.pages[url]
	broken, hold := n.broken, n.hold
	n.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	switch {
	case broken != nil:
		return nil, broken
	case !ok:
		p.status = http.StatusNotFound
	case p.status == 0:
		p.status = http.StatusOK
	}
	if p.header == nil {
		p.header = make(http.Header)
	}
	return &http.Response{StatusCode: p.status, Header: p.header, Body: io.NopCloser(bytes.NewBufferString(p.body)), Request: r}, nil
}

func (n *network) set(url string, p page) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pages[url] = p
}

func (n *network) breakWith(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.broken = err
}

func (n *network) count(url string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[url]
}

func jwks(signers ...func() signer) string {
	var set jose.JSONWebKeySet
	for _, s := range signers {
		set.Keys = append(set.Keys, s().jwk())
	}
	return string(must(json.Marshal(set)))
}

func newNetwork(signers ...func() signer) *network {
	return &network{asked: make(map[string]int), pages: map[string]page{jwksURL: {body: jwks(signers...)}}}
}

// newVerifier returns a verifier for issuerURL over n, closed with the test.
func newVerifier(t *testing.T, n *network, change func(*oidc.Config)) *oidc.Verifier {
	t.Helper()
	config := oidc.Config{Issuer: issuerURL, Audiences: []string{audience}, JWKSURL: jwksURL}
	if change != nil {
		change(&config)
	}
	v, err := oidc.New(config, &http.Client{Transport: n})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// reason verifies and returns the reason of the refusal, "" if accepted, or the
// text of an error that is not a refusal.
func reason(ctx context.Context, v identity.Verifier, token string) string {
	p, err := v.Verify(ctx, token)
	switch {
	case err == nil && p == nil:
		return "neither principal nor error"
	case err == nil:
		return ""
	}
	if r := identity.Reason(err); r != "" {
		return r
	}
	return err.Error()
}
