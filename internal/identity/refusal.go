package identity

import (
	"errors"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Reasons that more than one verifier gives. Others are named beside the check
// that gives them; all are lower_snake, stable, and fit for logs and metrics.
const (
	ReasonExpired   = "token_expired"
	ReasonMalformed = "malformed_token"
)

// Refusal is the private cause inside the Unauthenticated fault of a verifier.
// It tells the operator what the caller is not told.
type Refusal struct {
	Reason  string // stable code, such as "wrong_audience"
	NotMine bool   // the token is of a kind this verifier does not judge
	Err     error  // detail for the log; may be nil
}

// Error returns the reason and the detail: for logs, never for a caller.
func (r *Refusal) Error() string {
	if r.Err == nil {
		return r.Reason
	}
	return r.Reason + ": " + r.Err.Error()
}

// Unwrap returns the detail.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse returns the Unauthenticated fault for a token that was judged and is
// not good. Its public text says no more than that, except for an expired one:
// clients act on it, and it tells an attacker nothing.
func Refuse(reason string, detail error) error {
	public := "the access token is not valid"
	if reason == ReasonExpired {
		public = "the access token has expired"
	}
	return refusal(&Refusal{Reason: reason, Err: detail}, public)
}

// NotMine returns the Unauthenticated fault for a token that the verifier does
// not judge, so that a Chain may ask the next one.
func NotMine(reason string, detail error) error {
	return refusal(&Refusal{Reason: reason, NotMine: true, Err: detail}, "the access token is not valid")
}

// Codes of proof failures, as RFC 9449 §7.1 and §9 name them.
const (
	CodeInvalidProof = "invalid_dpop_proof"
	CodeUseNonce     = "use_dpop_nonce"
)

// RefuseProof returns the Unauthenticated fault for a good token whose proof of
// possession is not good.
func RefuseProof(reason string, detail error) error {
	return &fault.Error{
		Kind: fault.Unauthenticated, Code: CodeInvalidProof, Public: "the DPoP proof is not valid",
		Err: &Refusal{Reason: reason, Err: detail},
	}
}

// NeedNonce returns the Unauthenticated fault for a proof without the server's
// current nonce.
func NeedNonce() error {
	return &fault.Error{
		Kind: fault.Unauthenticated, Code: CodeUseNonce, Public: "the DPoP proof must carry the nonce of the DPoP-Nonce header",
		Err: &Refusal{Reason: "dpop_nonce_needed"},
	}
}

func refusal(r *Refusal, public string) error {
	return &fault.Error{Kind: fault.Unauthenticated, Code: "invalid_token", Public: public, Err: r}
}

// Reason returns the reason code of a refusal in err's chain, or "" if there is
// none.
func Reason(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason
	}
	return ""
}
