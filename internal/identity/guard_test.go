package identity_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// prover accepts the proof that says "good".
type prover struct{}

func (prover) VerifyProof(_ context.Context, p identity.Proof, thumbprint, tokenKey string) error {
	if p.JWT != "good" || thumbprint != "thumb" || tokenKey != "key" {
		return identity.RefuseProof("bad_proof", nil)
	}
	return nil
}

func TestGuard(t *testing.T) {
	bound := &identity.Principal{Issuer: "i", Subject: "alice", KeyThumbprint: "thumb", TokenKey: "key"}
	free := &identity.Principal{Issuer: "i", Subject: "bob"}
	with := func(proof string) context.Context {
		return identity.WithProof(t.Context(), identity.Proof{JWT: proof, Method: "POST", Path: "/mcp"})
	}
	calls := 0
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		p      *identity.Principal
		proofs identity.ProofVerifier
		reason string
	}{
		{"bearer", t.Context(), free, prover{}, ""},
		{"bound, good proof", with("good"), bound, prover{}, ""},
		{"bound, bad proof", with("bad"), bound, prover{}, "bad_proof"},
		{"bound, no proof", t.Context(), bound, prover{}, "sender_constrained"},
		{"bound, nobody checks proofs", with("good"), bound, nil, "sender_constrained"},
	} {
		p, err := identity.NewGuard(says(&calls, tt.p, nil), nil, tt.proofs).Verify(tt.ctx, "token")
		if identity.Reason(err) != tt.reason || (err == nil) != (p == tt.p) {
			t.Errorf("%s: %v, %v; want reason %q", tt.name, p, err, tt.reason)
		}
	}

	denied := newDenyList(t, nil, nil)
	cached, err := identity.NewCached(says(&calls, free, nil), identity.CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	g := identity.NewGuard(cached, denied, nil)
	if _, err := g.Verify(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if _, err := denied.Add(t.Context(), identity.Denial{Issuer: "i", Subject: "bob", Expires: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Verify(t.Context(), "token"); identity.Reason(err) != "token_denied" || fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a denied token out of the cache: %v", err)
	}
	outage := fault.Newf(fault.Unavailable, "down")
	if _, err := identity.NewGuard(says(&calls, nil, outage), denied, nil).Verify(t.Context(), "token"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("an outage became %v", err)
	}
}

func TestRecheckBoundsTheCache(t *testing.T) {
	calls := 0
	cached, err := identity.NewCached(says(&calls, &identity.Principal{Recheck: time.Now().Add(-time.Second)}, nil), identity.CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := cached.Verify(t.Context(), "token"); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 2 {
		t.Errorf("%d verifications, want 2", calls)
	}
}

func TestStatic(t *testing.T) {
	token, hash := identity.NewStaticToken()
	old, oldHash := identity.NewStaticToken()
	if other, _ := identity.NewStaticToken(); other == token || len(token) != len(identity.StaticPrefix)+52 || !strings.HasPrefix(token, identity.StaticPrefix) {
		t.Errorf("token %q", token)
	}
	s, err := identity.NewStatic([]identity.StaticToken{
		{Hash: strings.ToUpper(hash), Tenant: "acme", Subject: "robot", Scopes: []string{"reason", "code", "reason"}},
		{Hash: oldHash, Tenant: "acme", Subject: "old", Expires: time.Now().Add(-time.Minute)},
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Verify(t.Context(), token)
	if err != nil || p.Tenant != "acme" || p.Issuer != identity.StaticIssuer || p.Subject != "robot" || p.Name != "robot" ||
		strings.Join(p.Scopes, " ") != "code reason" || p.TokenKey != hash || p.TokenKey != identity.TokenKey(t.Context(), token) {
		t.Errorf("%+v %v", p, err)
	}
	for token, reason := range map[string]string{
		old: "token_expired", token + "a": "unknown_static_token", token[:len(token)-1]: "unknown_static_token", hash: "not_a_static_token",
		identity.StaticPrefix: "unknown_static_token", "": "not_a_static_token", "x" + token: "not_a_static_token",
	} {
		if _, err := s.Verify(t.Context(), token); identity.Reason(err) != reason {
			t.Errorf("%q: %v, want %s", token, err, reason)
		}
	}
	for name, tokens := range map[string][]identity.StaticToken{
		"short hash": {{Hash: hash[2:], Tenant: "a", Subject: "b"}},
		"no hash":    {{Tenant: "a", Subject: "b"}},
		"no tenant":  {{Hash: hash, Subject: "b"}},
		"no subject": {{Hash: hash, Tenant: "a"}},
		"twice":      {{Hash: hash, Tenant: "a", Subject: "b"}, {Hash: hash, Tenant: "a", Subject: "c"}},
		"too many":   make([]identity.StaticToken, identity.MaxStatic+1),
	} {
		if _, err := identity.NewStatic(tokens); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestGuardedHitIsCheap(t *testing.T) {
	g := guardedHit(t)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { _, _ = g.Verify(ctx, "token") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func guardedHit(tb testing.TB) *identity.Guard {
	calls := 0
	cached, err := identity.NewCached(says(&calls, &identity.Principal{Issuer: "i", Subject: "alice"}, nil), identity.CacheConfig{})
	if err != nil {
		tb.Fatal(err)
	}
	denied, err := identity.NewDenyList(tb.Context(), nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	g := identity.NewGuard(cached, denied, nil)
	if _, err := g.Verify(tb.Context(), "token"); err != nil {
		tb.Fatal(err)
	}
	return g
}

func BenchmarkGuardedHit(b *testing.B) {
	g, token := guardedHit(b), strings.Repeat("t", 800)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := g.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDenied(b *testing.B) {
	soon := time.Now().Add(time.Hour)
	l, err := identity.NewDenyList(b.Context(), nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, d := range []identity.Denial{
		{Issuer: "i", TokenID: "x"}, {Issuer: "i", SessionID: "x"}, {Issuer: "i", Subject: "x"}, {Issuer: "i", Subject: "x", IssuedBefore: soon}, {Issuer: "j", IssuedBefore: soon},
	} {
		d.Expires = soon
		if _, err := l.Add(b.Context(), d); err != nil {
			b.Fatal(err)
		}
	}
	p := &identity.Principal{Issuer: "i", Subject: "alice", TokenID: "t", SessionID: "s", IssuedAt: time.Now()}
	b.ReportAllocs()
	for b.Loop() {
		if l.Denies(p) {
			b.Fatal("denied")
		}
	}
}
