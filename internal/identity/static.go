package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// StaticPrefix begins every static token, so that scanners of leaked secrets
	// find it and no other verifier is shown one.
	StaticPrefix = "lyc_"
	// StaticIssuer is the issuer of principals with a static token.
	StaticIssuer = "static"
	// MaxStatic bounds the static tokens of a server: a look-up compares with all
	// of them.
	MaxStatic = 1000
)

// StaticToken is a token of a closed network that no issuer serves. The server
// knows only its hash.
type StaticToken struct {
	Hash    string    // hex SHA-256 of the token
	Tenant  string    // as of every principal
	Subject string    //
	Name    string    // for people; "" means Subject
	Scopes  []string  // granted
	Expires time.Time // zero means never
}

// Static is a Verifier for static tokens. The look-up takes the same time
// wherever a token stands in the list, and whether it is in it.
type Static struct {
	hashes     [][sha256.Size]byte
	principals []*Principal
}

// NewStatic returns a verifier for the tokens, or everything that is wrong with
// them.
func NewStatic(tokens []StaticToken) (*Static, error) {
	s := &Static{}
	var errs []error
	if len(tokens) > MaxStatic {
		errs = append(errs, fmt.Errorf("%d static tokens: want at most %d", len(tokens), MaxStatic))
	}
	seen := make(map[[sha256.Size]byte]bool)
	for i, t := range tokens {
		hash, err := parseHash(t.Hash)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("static token %d: %w", i+1, err))
		case t.Tenant == "" || t.Subject == "":
			errs = append(errs, fmt.Errorf("static token %d: want a tenant and a subject", i+1))
		case seen[hash]:
			errs = append(errs, fmt.Errorf("static token %d: its hash occurs twice", i+1))
		}
		seen[hash] = true
		p := &Principal{
			Tenant: t.Tenant, Issuer: StaticIssuer, Subject: t.Subject, Name: t.Name, Scopes: sortedSet(t.Scopes),
			Expires: t.Expires, TokenKey: hex.EncodeToString(hash[:]), TokenID: hex.EncodeToString(hash[:8]),
		}
		if p.Name == "" {
			p.Name = p.Subject
		}
		s.hashes, s.principals = append(s.hashes, hash), append(s.principals, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return s, nil
}

func parseHash(text string) (hash [sha256.Size]byte, err error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(hash) {
		return hash, errors.New("hash: want the 64 hexadecimal digits of a SHA-256")
	}
	return [sha256.Size]byte(b), nil
}

// Verify implements Verifier.
func (s *Static) Verify(_ context.Context, token string) (*Principal, error) {
	if !strings.HasPrefix(token, StaticPrefix) {
		return nil, NotMine("not_a_static_token", nil)
	}
	hash := hashOf(token)
	at := -1
	for i := range s.hashes {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(hash[:], s.hashes[i][:]), i, at)
	}
	if at < 0 {
		return nil, Refuse("unknown_static_token", nil)
	}
	p := s.principals[at]
	if expired(p.Expires, time.Now()) {
		return nil, Refuse(ReasonExpired, fmt.Errorf("at %s", p.Expires.UTC().Format(time.RFC3339)))
	}
	return p, nil
}

func sortedSet(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

// NewStaticToken returns a new token of 260 random bits and the hash that goes
// into the configuration.
func NewStaticToken() (token, hash string) {
	token = StaticPrefix + strings.ToLower(rand.Text()+rand.Text())
	return token, StaticHash(token)
}

// StaticHash returns the hash of a static token.
func StaticHash(token string) string {
	hash := hashOf(token)
	return hex.EncodeToString(hash[:])
}
