package devidp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"time"
)

// Forge makes a token that no issuer would make, for tests of those who verify.
// The members of header and claims change those of a good token for user alice;
// a nil value takes a member away. How it is signed follows from alg: with
// nothing for none, with the PEM of the public key as the secret for HS256 (the
// confusion of RFC 8725 §2.1), and otherwise with the real key by its real
// algorithm, whatever the header says.
func (i *Issuer) Forge(header, claims map[string]any) (string, error) {
	issuer, resources := i.identity()
	if issuer == "" || len(resources) == 0 {
		issuer, resources = LocalIssuer, []string{LocalAudience}
	}
	k := i.keys.signing()
	now := time.Now().Unix()
	h, err := merge(map[string]any{"alg": k.Algorithm, "kid": k.KeyID, "typ": "at+jwt"}, header)
	if err != nil {
		return "", err
	}
	c, err := merge(map[string]any{
		"iss": issuer, "sub": "alice", "aud": resources[0], "client_id": DefaultClient, "jti": rand.Text(),
		"iat": now, "exp": now + 600, "scope": "reason code", TenantClaim: DefaultTenant,
	}, claims)
	if err != nil {
		return "", err
	}
	return i.ForgeRaw(h, c)
}

func merge(base, changes map[string]any) ([]byte, error) {
	maps.Copy(base, changes)
	maps.DeleteFunc(base, func(_ string, v any) bool { return v == nil })
	return json.Marshal(base)
}

// ForgeRaw is Forge for bytes that need not even be JSON.
func (i *Issuer) ForgeRaw(header, claims []byte) (string, error) {
	var h struct {
		Alg any `json:"alg"`
	}
	_ = json.Unmarshal(header, &h) // of a header that cannot be read, alg is unknown
	b64 := base64.RawURLEncoding.EncodeToString
	input := b64(header) + "." + b64(claims)
	signature, err := i.forgeSignature(h.Alg, []byte(input))
	return input + "." + b64(signature), err
}

func (i *Issuer) forgeSignature(alg any, input []byte) ([]byte, error) {
	k := i.keys.signing()
	digest := sha256.Sum256(input)
	switch alg {
	case "none":
		return nil, nil
	case "HS256":
		der, err := x509.MarshalPKIXPublicKey(k.Public().Key)
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		mac.Write(input)
		return mac.Sum(nil), nil
	}
	switch private := k.Key.(type) {
	case *rsa.PrivateKey:
		if k.Algorithm == "PS256" {
			return rsa.SignPSS(rand.Reader, private, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
		if err != nil {
			return nil, err
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...), nil
	case ed25519.PrivateKey:
		return ed25519.Sign(private, input), nil
	}
	return nil, fmt.Errorf("no way to sign with %T", k.Key)
}
