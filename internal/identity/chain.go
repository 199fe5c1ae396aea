package identity

import (
	"context"
	"errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Chain is a Verifier that asks others in order, for a server that takes
// several kinds of token. Only a NotMine refusal passes the token on: whoever
// recognises a token has the last word on it, so that no token is shown to two
// judges and a revoked one is not saved by the next. An outage does not pass it
// on either, for the same reason. If nobody recognises the token, the answer is
// the first refusal.
type Chain []Verifier

// Verify implements Verifier.
func (c Chain) Verify(ctx context.Context, token string) (*Principal, error) {
	var first error
	for _, v := range c {
		p, err := v.Verify(ctx, token)
		if err == nil {
			return p, nil
		}
		if r, ok := errors.AsType[*Refusal](err); !ok || !r.NotMine || fault.KindOf(err) != fault.Unauthenticated {
			return nil, err
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = NotMine("no_verifier", nil)
	}
	return nil, first
}
