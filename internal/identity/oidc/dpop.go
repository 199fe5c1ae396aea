package oidc

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

const (
	// DefaultProofAge is how old a proof may be.
	DefaultProofAge = time.Minute
	// DefaultProofs is how many proofs of one window are remembered: 10 MB at most
	// for each of two windows.
	DefaultProofs = 1 << 18

	proofLeeway   = 5 * time.Second // how far ahead a client's clock may be
	nonceInterval = time.Minute     // a nonce is good for one to two of them
	nonceBytes    = 18
	maxProofBytes = 8 << 10
	maxProofID    = 256 // bytes of jti
)

// ProofAlgorithms are the signatures that proofs may have. RSA is left out: a
// client makes a key of its own for this, and verifying is dearer.
var ProofAlgorithms = []string{"ES256", "ES384", "EdDSA"}

// ProofConfig describes a ProofChecker.
type ProofConfig struct {
	// Bases are the URLs, without path, that this server is reached by. A proof must
	// be for one of them: the Host header does not count.
	Bases  []string
	Age    time.Duration // how old a proof may be, ≤ 5 min; 0 means DefaultProofAge
	Proofs int           // remembered at once, ≥ 4; 0 means DefaultProofs
	Nonces bool          // demand a nonce of this server in every proof (RFC 9449 §9)
}

// ProofChecker is an identity.ProofVerifier for DPoP (RFC 9449 §4.3). It remembers
// the proofs of this process. Where several processes serve one URL, a proof can
// be shown once to each of them within its age; nonces prevent that, and then a
// client's requests should reach the same process, whose nonces they carry.
type ProofChecker struct {
	bases  []string // normalised
	age    time.Duration
	nonces bool
	secret [32]byte // of nonces
	seen   *replays
}

// NewProofChecker returns a checker.
func NewProofChecker(config ProofConfig) (*ProofChecker, error) {
	c := &ProofChecker{age: orDefault(config.Age, DefaultProofAge), nonces: config.Nonces}
	size := orDefault(config.Proofs, DefaultProofs)
	if c.age < 0 || c.age > 5*time.Minute || size < minReplays {
		return nil, fmt.Errorf("DPoP proofs: age %s and %d remembered: want 0 to 5m and at least %d", c.age, size, minReplays)
	}
	for _, base := range config.Bases {
		u, err := normalURL(strings.TrimRight(base, "/"))
		if err != nil {
			return nil, fmt.Errorf("DPoP proofs: %w", err)
		}
		c.bases = append(c.bases, strings.TrimSuffix(u, "/"))
	}
	if len(c.bases) == 0 {
		return nil, errors.New("DPoP proofs: want the URL of this server")
	}
	c.seen = newReplays(size, c.age+proofLeeway)
	_, _ = rand.Read(c.secret[:]) // never fails
	return c, nil
}

// VerifyProof implements identity.ProofVerifier.
func (c *ProofChecker) VerifyProof(_ context.Context, p identity.Proof, thumbprint, tokenKey string) error {
	return c.verify(p, thumbprint, tokenKey, time.Now())
}

func (c *ProofChecker) verify(p identity.Proof, thumbprint, tokenKey string, now time.Time) error {
	claims, print, err := parseProof(p.JWT)
	if err != nil {
		return identity.RefuseProof("bad_proof", err)
	}
	if subtle.ConstantTimeCompare([]byte(print), []byte(thumbprint)) != 1 {
		return identity.RefuseProof("proof_of_another_key", nil)
	}
	if err := c.checkRequest(claims, p); err != nil {
		return identity.RefuseProof("proof_for_another_request", err)
	}
	if err := checkTokenHash(claims, tokenKey); err != nil {
		return identity.RefuseProof("proof_for_another_token", err)
	}
	if err := c.checkNonce(claims, now); err != nil {
		return err
	}
	iat, ok, err := seconds(claims, "iat")
	if err != nil || !ok || iat.After(now.Add(proofLeeway)) || iat.Before(now.Add(-c.age)) {
		return identity.RefuseProof("proof_out_of_time", err)
	}
	id, err := claims.text("jti")
	if err != nil || len(id) > maxProofID {
		return identity.RefuseProof("bad_proof", errors.Join(errors.New("jti: want 1 to 256 bytes"), err))
	}
	return c.seen.take(thumbprint, id, now)
}

// parseProof verifies a proof's form and signature with the key in it, and
// returns its claims and the key's thumbprint (RFC 7638).
func parseProof(raw string) (object, string, error) {
	if len(raw) > maxProofBytes || strings.Count(raw, ".") != 2 {
		return nil, "", fmt.Errorf("%d bytes: want three parts, at most %d bytes", len(raw), maxProofBytes)
	}
	parts := strings.Split(raw, ".")
	header, err := segment(parts[0])
	if err != nil {
		return nil, "", fmt.Errorf("header: %w", err)
	}
	claims, err := segment(parts[1])
	if err != nil {
		return nil, "", fmt.Errorf("claims: %w", err)
	}
	if _, err := decode(parts[2]); err != nil {
		return nil, "", fmt.Errorf("signature: %w", err)
	}
	typ, err := header.text("typ")
	if err != nil || !strings.EqualFold(typ, "dpop+jwt") {
		return nil, "", fmt.Errorf("typ %.*q: want dpop+jwt", maxDetail, typ)
	}
	alg, err := header.text("alg")
	if err != nil || !slices.Contains(ProofAlgorithms, alg) {
		return nil, "", fmt.Errorf("alg %.*q: want one of %q", maxDetail, alg, ProofAlgorithms)
	}
	for _, name := range [...]string{"jku", "x5u", "x5c", "crit", "b64", "zip", "enc"} {
		if header.has(name) {
			return nil, "", fmt.Errorf("unsupported header %s", name)
		}
	}
	public, print, err := proofKeyOf(header["jwk"], alg)
	if err != nil {
		return nil, "", fmt.Errorf("jwk: %w", err)
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(alg)})
	if err != nil {
		return nil, "", err
	}
	if _, err := jws.Verify(public); err != nil {
		return nil, "", errors.New("the signature does not fit the key")
	}
	return claims, print, nil
}

// proofKeyOf returns the public key in a proof's header and its thumbprint.
func proofKeyOf(raw json.RawMessage, alg string) (public any, print string, err error) {
	o, err := parseObject(raw)
	if err != nil {
		return nil, "", err
	}
	for _, private := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
		if o.has(private) {
			return nil, "", fmt.Errorf("it has the private member %s", private)
		}
	}
	k, err := parseKey(raw)
	if err != nil {
		return nil, "", err
	}
	if !slices.Contains(k.algs, alg) {
		return nil, "", fmt.Errorf("a key for %q", k.algs)
	}
	sum, err := (&jose.JSONWebKey{Key: k.public}).Thumbprint(crypto.SHA256)
	return k.public, base64.RawURLEncoding.EncodeToString(sum), err
}

func (c *ProofChecker) checkRequest(claims object, p identity.Proof) error {
	htm, err := claims.text("htm")
	if err != nil || htm != p.Method {
		return fmt.Errorf("htm %.*q, want %q", maxDetail, htm, p.Method)
	}
	htu, err := claims.text("htu")
	if err != nil {
		return err
	}
	got, err := normalURL(htu)
	if err != nil {
		return err
	}
	for _, base := range c.bases {
		if want, err := normalURL(base + p.Path); err == nil && got == want {
			return nil
		}
	}
	return fmt.Errorf("htu %s", quote(htu))
}

// checkTokenHash compares ath with the token's hash, which tokenKey is in hex.
func checkTokenHash(claims object, tokenKey string) error {
	ath, err := claims.text("ath")
	if err != nil {
		return err
	}
	sum, err := hex.DecodeString(tokenKey)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(ath), []byte(base64.RawURLEncoding.EncodeToString(sum))) != 1 {
		return errors.New("ath is another token's")
	}
	return nil
}

func (c *ProofChecker) checkNonce(claims object, now time.Time) error {
	if !c.nonces {
		return nil
	}
	nonce, err := claims.optionalText("nonce")
	if err != nil {
		return identity.RefuseProof("bad_proof", err)
	}
	for _, at := range [...]time.Time{now, now.Add(-nonceInterval)} {
		if subtle.ConstantTimeCompare([]byte(nonce), []byte(c.nonceAt(at))) == 1 {
			return nil
		}
	}
	return identity.NeedNonce()
}

// Nonce returns the nonce that proofs should carry now, or "" if they need none.
func (c *ProofChecker) Nonce() string {
	if !c.nonces {
		return ""
	}
	return c.nonceAt(time.Now())
}

// Algorithms returns ProofAlgorithms.
func (c *ProofChecker) Algorithms() []string { return ProofAlgorithms }

// nonceAt returns the nonce of a moment: it follows from the secret and the time,
// so none is remembered.
func (c *ProofChecker) nonceAt(t time.Time) string {
	mac := hmac.New(sha256.New, c.secret[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(t.Unix())/uint64(nonceInterval/time.Second)))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:nonceBytes])
}

// normalURL returns an http URL without query and fragment in the normal form of
// RFC 3986 §6.2.2 and §6.2.3, as RFC 9449 §4.3 asks: scheme and host in lower
// case, no default port, no empty path, escapes in upper case and only where they
// are needed. Dots in the path are not resolved: no client of ours sends them.
func normalURL(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil {
		return "", errors.New("not a URL")
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	if scheme != "http" && scheme != "https" || host == "" || u.User != nil || u.Opaque != "" {
		return "", fmt.Errorf("%s: want an absolute http or https URL without user", quote(s))
	}
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	case "https":
		host = strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + strings.TrimSuffix(host, ":") + orDefault(normalPath(u.EscapedPath()), "/"), nil
}

// normalPath writes escapes in one way.
func normalPath(path string) string {
	if !strings.Contains(path, "%") {
		return path
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' || i+2 >= len(path) {
			b.WriteByte(path[i])
			continue
		}
		c, err := hex.DecodeString(path[i+1 : i+3])
		switch {
		case err != nil:
			b.WriteByte('%')
			continue
		case unreserved(c[0]):
			b.WriteByte(c[0])
		default:
			b.WriteString(strings.ToUpper(path[i : i+3]))
		}
		i += 2
	}
	return b.String()
}

// unreserved are the characters of RFC 3986 §2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}
