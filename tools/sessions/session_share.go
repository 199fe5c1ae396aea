package sessions

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Share is the operation session_share.
var Share = tools.Define(tools.Spec{
	Name: "session_share", Family: "sessions", Title: "Share a session",
	Summary: "Grants another subject of your organisation read or write access to the session, until the grant expires or is taken back.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.Mutates,
	Method: "access list of the session",
	Examples: []tools.Example{
		{Title: "Let a colleague read", Arguments: `{"operation":"session_share","parameters":{"subject":"bob","access":"read","ttlSeconds":3600}}`},
	},
}, share)

// ShareInput says whom the session is granted to, and for what.
type ShareInput struct {
	Subject    string `json:"subject" required:"true" maxLen:"256" doc:"Subject of the token of whoever is to use the session: the sub claim."`
	Issuer     string `json:"issuer" maxLen:"512" doc:"Issuer of that token; omitted: your own token's."`
	Access     string `json:"access" required:"true" enum:"read|write" doc:"read: look at the session. write: also change what it holds; never delete, share or replace it."`
	TTLSeconds *int64 `json:"ttlSeconds" min:"1" doc:"End the grant after this many seconds; at most, and if omitted, the server's limit."`
}

// ShareOutput is the grant, and all of the session's. The grantee uses the session
// by its sessionId, with a token of its own.
type ShareOutput struct {
	SessionID string      `json:"sessionId"`
	Grant     GrantView   `json:"grant"`
	Grants    []GrantView `json:"grants"`
}

// GrantView is a grant as its owner sees it. Times are UTC.
type GrantView struct {
	Subject   string    `json:"subject"`
	Issuer    string    `json:"issuer"`
	Access    string    `json:"access"`
	GrantedAt time.Time `json:"grantedAt"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func viewGrant(g session.Grant) GrantView {
	return GrantView{g.Grantee.Subject, g.Grantee.Issuer, string(g.Access), g.Granted.UTC(), g.Expires.UTC()}
}

func viewGrants(h *session.Handle) ([]GrantView, error) {
	all, err := h.Grants()
	if err != nil {
		return nil, err
	}
	views := make([]GrantView, len(all))
	for i, g := range all {
		views[i] = viewGrant(g)
	}
	return views, nil
}

func share(ctx context.Context, c *tools.Call, in ShareInput) (ShareOutput, error) {
	c.Basis(tools.ClientSupplied)
	h := c.Session
	var ttl time.Duration
	if in.TTLSeconds != nil {
		ttl = time.Duration(min(*in.TTLSeconds, int64(10*365*24*3600))) * time.Second
	}
	g, err := h.Share(ctx, session.Grantee{Issuer: in.Issuer, Subject: in.Subject}, session.Access(in.Access), ttl)
	if err != nil {
		return ShareOutput{}, asArgument(err)
	}
	out := ShareOutput{SessionID: string(h.ID()), Grant: viewGrant(g)}
	if out.Grants, err = viewGrants(h); err != nil {
		return ShareOutput{}, err
	}
	c.Next("session_unshare", "takes this grant back", map[string]any{"subject": in.Subject, "issuer": out.Grant.Issuer})
	return out, nil
}

// asArgument makes a refused wish something that a model can mend.
func asArgument(err error) error {
	e := fault.From(err)
	if e.Kind != fault.Invalid {
		return err
	}
	return &tools.BadArguments{Code: e.Code, Issues: []tools.Issue{{Path: "parameters", Expected: e.Public}}}
}
