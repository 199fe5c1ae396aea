package sessions

import (
	"context"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Unshare is the operation session_unshare.
var Unshare = tools.Define(tools.Spec{
	Name: "session_unshare", Family: "sessions", Title: "Stop sharing a session",
	Summary: "Takes back a grant of session_share at once: calls of the grantee that are computing commit nothing.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.Mutates, Removes: true,
	Method: "access list of the session",
	Examples: []tools.Example{
		{Title: "Take a grant back", Arguments: `{"operation":"session_unshare","parameters":{"subject":"bob"}}`},
	},
}, unshare)

// UnshareInput says whose grant is taken back.
type UnshareInput struct {
	Subject string `json:"subject" required:"true" maxLen:"256" doc:"The subject that session_share named."`
	Issuer  string `json:"issuer" maxLen:"512" doc:"The issuer that session_share named; omitted: your own token's."`
}

// UnshareOutput says whether there was such a grant, and which are left.
type UnshareOutput struct {
	SessionID string      `json:"sessionId"`
	Revoked   bool        `json:"revoked"`
	Grants    []GrantView `json:"grants"`
}

func unshare(ctx context.Context, c *tools.Call, in UnshareInput) (UnshareOutput, error) {
	c.Basis(tools.ClientSupplied)
	h := c.Session
	revoked, err := h.Unshare(ctx, session.Grantee{Issuer: in.Issuer, Subject: in.Subject})
	if err != nil {
		return UnshareOutput{}, err
	}
	out := UnshareOutput{SessionID: string(h.ID()), Revoked: revoked}
	out.Grants, err = viewGrants(h)
	return out, err
}
