package devidp

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// TokenRequest describes an access token to be made without asking anybody.
type TokenRequest struct {
	Sub      string
	Tenant   string        // "" means DefaultTenant
	Name     string        // for people; may be empty
	Scope    string        // separated by spaces; "" means the default scopes
	TTL      time.Duration // whole seconds up to 30 days; 0 means the issuer's
	ClientID string        // "" means DefaultClient
	Audience string        // "" means the issuer's default

	Thumbprint string // of the key that the token is bound to (RFC 9449 §6.1); "" makes a bearer token
	SessionID  string // of the login; "" leaves it out
}

// Token makes an access token (RFC 9068) with the issuer's URL and its first
// resource, or with LocalIssuer and LocalAudience as long as either is unknown.
func (i *Issuer) Token(t TokenRequest) (string, error) {
	issuer, resources := i.identity()
	if issuer == "" || len(resources) == 0 {
		issuer, resources = LocalIssuer, []string{LocalAudience}
	}
	return i.mintFor(t, issuer, resources[:1])
}

// MintFromDir makes an access token that every server accepts whose development
// issuer has its keys in dir, whatever port it listens on, now or later. If dir
// has no keys, they are made.
func MintFromDir(dir string, t TokenRequest) (string, error) {
	if dir == "" {
		return "", fmt.Errorf("development token: want the data directory of the server")
	}
	i, err := New(Config{KeyDir: dir})
	if err != nil {
		return "", err
	}
	return i.Token(t)
}

func (i *Issuer) mintFor(t TokenRequest, issuer string, audience []string) (string, error) {
	ttl := orDefault(t.TTL, i.config.TTL)
	if ttl < time.Second || ttl > maxTTL {
		return "", fmt.Errorf("development token: lifetime %s: want 1s to %s", ttl, maxTTL)
	}
	if t.Sub == "" {
		return "", fmt.Errorf("development token: want a subject")
	}
	scopes := strings.Fields(t.Scope)
	if len(scopes) == 0 {
		scopes = i.config.DefaultScopes
	}
	for _, s := range scopes {
		if !slices.Contains(i.config.Scopes, s) {
			return "", fmt.Errorf("development token: scope %q: want some of %q", s, i.config.Scopes)
		}
	}
	if t.Audience != "" {
		audience = []string{t.Audience}
	}
	return i.accessToken(access{
		issuer: issuer, audience: audience,
		user:   User{Sub: t.Sub, Tenant: orDefault(t.Tenant, DefaultTenant), Name: t.Name},
		client: orDefault(t.ClientID, DefaultClient), scopes: scopes, ttl: ttl, thumbprint: t.Thumbprint, session: t.SessionID,
	})
}

// access is what an access token says.
type access struct {
	issuer   string
	audience []string
	user     User
	client   string
	scopes   []string
	ttl      time.Duration

	thumbprint, session string // "" for none
}

func (i *Issuer) accessToken(a access) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": a.issuer, "sub": a.user.Sub, "aud": oneOrMany(a.audience), "client_id": a.client, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(a.ttl).Unix(), "scope": strings.Join(a.scopes, " "), TenantClaim: a.user.Tenant,
	}
	if a.user.Name != "" {
		claims["name"] = a.user.Name
	}
	if a.thumbprint != "" {
		claims["cnf"] = map[string]string{"jkt": a.thumbprint}
	}
	if a.session != "" {
		claims["sid"] = a.session
	}
	return i.sign("at+jwt", claims)
}

// LogoutToken makes a logout token (OpenID Connect Back-Channel Logout 1.0 §2.4)
// for a subject or one of its logins; one of the two may be "". Its audience is
// that of Token.
func (i *Issuer) LogoutToken(sub, sid string) (string, error) {
	issuer, resources := i.identity()
	if issuer == "" || len(resources) == 0 {
		issuer, resources = LocalIssuer, []string{LocalAudience}
	}
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": resources[0], "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": struct{}{}},
	}
	if sub != "" {
		claims["sub"] = sub
	}
	if sid != "" {
		claims["sid"] = sid
	}
	return i.sign("logout+jwt", claims)
}

// idToken makes an OpenID Connect ID token for the client that accessToken goes to.
func (i *Issuer) idToken(a access, nonce, accessToken string, authTime time.Time) (string, error) {
	now := time.Now()
	claims := map[string]any{
		"iss": a.issuer, "sub": a.user.Sub, "aud": a.client, "iat": now.Unix(), "exp": now.Add(a.ttl).Unix(),
		"auth_time": authTime.Unix(), "name": a.user.Name, "preferred_username": a.user.Sub, TenantClaim: a.user.Tenant,
		"at_hash": i.atHash(accessToken),
	}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return i.sign("JWT", claims)
}

// atHash returns the left half of the token's hash, by the hash of the signature
// algorithm (OpenID Connect Core §3.1.3.6); Ed25519 hashes with SHA-512.
func (i *Issuer) atHash(accessToken string) string {
	short := sha256.Sum256([]byte(accessToken))
	sum := short[:]
	if i.keys.signing().Algorithm == "EdDSA" {
		long := sha512.Sum512([]byte(accessToken))
		sum = long[:]
	}
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}

func (i *Issuer) sign(typ string, claims map[string]any) (string, error) {
	k := i.keys.signing()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(k.Algorithm), Key: k},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)),
	)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return jws.CompactSerialize()
}

// oneOrMany is how aud is written (RFC 7519 §4.1.3).
func oneOrMany(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}

// tokenKey is how a token is known where it must not be kept.
func tokenKey(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
