package identity_test

import (
	"context"
	"errors"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// says returns a verifier that always answers the same and counts its calls.
func says(calls *int, p *identity.Principal, err error) identity.Verifier {
	return identity.VerifierFunc(func(context.Context, string) (*identity.Principal, error) {
		*calls++
		return p, err
	})
}

func TestChain(t *testing.T) {
	alice := &identity.Principal{Subject: "alice"}
	notMine := identity.NotMine("malformed_token", nil)
	unknown := identity.NotMine("unknown_token", nil)
	revoked := identity.Refuse("revoked", errors.New("by an operator"))
	outage := fault.Newf(fault.Unavailable, "the keys cannot be had")
	other := fault.Newf(fault.Unauthenticated, "no")

	tests := map[string]struct {
		answers []error // nil accepts
		calls   int
		want    error
	}{
		"first accepts":                        {[]error{nil, revoked}, 1, nil},
		"second kind":                          {[]error{notMine, nil}, 2, nil},
		"a refusal is the last word":           {[]error{revoked, nil}, 1, revoked},
		"an outage is the last word":           {[]error{outage, nil}, 1, outage},
		"a foreign refusal is one too":         {[]error{other, nil}, 1, other},
		"nobody's token gets the first answer": {[]error{notMine, unknown}, 2, notMine},
		"later refusal beats not mine":         {[]error{notMine, revoked}, 2, revoked},
		"cancelled":                            {[]error{context.Canceled, nil}, 1, context.Canceled},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			calls := 0
			var chain identity.Chain
			for _, err := range tc.answers {
				p := alice
				if err != nil {
					p = nil
				}
				chain = append(chain, says(&calls, p, err))
			}
			p, err := chain.Verify(t.Context(), "token")
			if !errors.Is(err, tc.want) || (err == nil) != (p == alice) {
				t.Errorf("Verify = %v, %v; want error %v", p, err, tc.want)
			}
			if calls != tc.calls {
				t.Errorf("%d verifiers were asked, want %d", calls, tc.calls)
			}
		})
	}

	_, err := identity.Chain{}.Verify(t.Context(), "token")
	if fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("empty chain: %v, want Unauthenticated", err)
	}
}

func TestRefusalTellsTheCallerNothing(t *testing.T) {
	detail := errors.New("aud is https://other.example")
	for _, err := range []error{identity.Refuse("wrong_audience", detail), identity.NotMine("unknown_issuer", detail)} {
		f := fault.From(err)
		if f.Kind != fault.Unauthenticated || f.Public != "the access token is not valid" || f.MachineCode() != "invalid_token" {
			t.Errorf("%v: kind %v, code %q, public %q", err, f.Kind, f.MachineCode(), f.Public)
		}
		if !errors.Is(err, detail) {
			t.Errorf("%v hides its detail from the log", err)
		}
	}
	expired := identity.Refuse(identity.ReasonExpired, nil)
	if f := fault.From(expired); f.Public != "the access token has expired" || f.MachineCode() != "invalid_token" {
		t.Errorf("expired: code %q, public %q", f.MachineCode(), f.Public)
	}
	if got := identity.Reason(expired); got != "token_expired" {
		t.Errorf("Reason = %q", got)
	}
	if got := identity.Reason(errors.New("x")); got != "" {
		t.Errorf("Reason of a foreign error = %q, want none", got)
	}
}
