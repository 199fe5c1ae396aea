package oidc

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	maxKeys    = 100  // of one set
	minRSABits = 2048 // RFC 7518 §3.3
	maxRSABits = 8192 // verifying takes time cubic in the size
)

// supported are the algorithms a configuration may name. None of them is
// symmetric: a public key must never serve as an HMAC secret (RFC 8725 §2.1).
var supported = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

// key is a public key and the algorithms it may verify.
type key struct {
	id     string
	public any
	algs   []string
}

// keySet is an issuer's usable keys.
type keySet []key

// parseKeys reads a JWKS (RFC 7517 §5). A key that cannot be used is left out
// and does not spoil the others; a set without any is an error.
func parseKeys(doc []byte) (keySet, error) {
	var jwks struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(doc, &jwks); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(jwks.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: %d keys, at most %d are read", len(jwks.Keys), maxKeys)
	}
	var set keySet
	var why []error
	for i, raw := range jwks.Keys {
		k, err := parseKey(raw)
		if err != nil {
			why = append(why, fmt.Errorf("key %d: %w", i, err))
			continue
		}
		set = append(set, k)
	}
	if len(set) == 0 {
		return nil, fmt.Errorf("key set: no usable key among %d: %w", len(jwks.Keys), errors.Join(why...))
	}
	return set, nil
}

func parseKey(raw json.RawMessage) (key, error) {
	var more struct {
		Ops []string `json:"key_ops"` // unknown to go-jose
	}
	if err := json.Unmarshal(raw, &more); err != nil {
		return key{}, err
	}
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(raw); err != nil {
		return key{}, err
	}
	return usable(jwk, more.Ops)
}

// usable returns the key behind a JWK if it may verify signatures. Algorithms
// follow from the type of the key, and from its alg where it has one.
func usable(jwk jose.JSONWebKey, ops []string) (key, error) {
	if jwk.Use != "" && jwk.Use != "sig" {
		return key{}, fmt.Errorf("use is %q", jwk.Use)
	}
	if ops != nil && !slices.Contains(ops, "verify") {
		return key{}, fmt.Errorf("key_ops are %q", ops)
	}
	algs, err := algorithms(jwk.Key)
	if err != nil {
		return key{}, err
	}
	if jwk.Algorithm != "" {
		if !slices.Contains(algs, jwk.Algorithm) {
			return key{}, fmt.Errorf("alg %q does not fit the key", jwk.Algorithm)
		}
		algs = []string{jwk.Algorithm}
	}
	return key{id: jwk.KeyID, public: jwk.Key, algs: algs}, nil
}

func algorithms(public any) ([]string, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return nil, fmt.Errorf("RSA of %d bits: want %d to %d", bits, minRSABits, maxRSABits)
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, nil
	case *ecdsa.PublicKey:
		switch bits := k.Curve.Params().BitSize; bits {
		case 256:
			return []string{"ES256"}, nil
		case 384:
			return []string{"ES384"}, nil
		case 521:
			return []string{"ES512"}, nil
		}
		return nil, errors.New("unknown curve")
	case ed25519.PublicKey:
		return []string{"EdDSA"}, nil
	}
	return nil, fmt.Errorf("%T is not a public key that verifies signatures", public) // private and symmetric ones too
}

// find returns the keys that may verify a token with these headers. known is
// false if no key has the kid, so that a fresh set might help; an error says
// that none would. A token without kid needs a set with one key that fits.
func (s keySet) find(kid, alg string) (found []key, known bool, err error) {
	for _, k := range s {
		if kid != "" && k.id != kid {
			continue
		}
		known = true
		if slices.Contains(k.algs, alg) {
			found = append(found, k)
		}
	}
	switch {
	case kid == "" && len(found) != 1:
		return nil, true, identity.Refuse("no_key_id", fmt.Errorf("%d keys fit", len(found)))
	case known && len(found) == 0:
		return nil, true, identity.Refuse("wrong_algorithm_for_key", fmt.Errorf("alg %q", alg))
	}
	return found, known, nil
}

func unknownKey(kid string) error {
	return identity.Refuse("unknown_key", fmt.Errorf("kid %s", quote(kid)))
}
