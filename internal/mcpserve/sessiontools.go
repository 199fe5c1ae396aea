package mcpserve

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

type createInput struct {
	Name           string            `json:"name" doc:"A name for people." maxLen:"128"`
	IdleTTLSeconds *int64            `json:"idleTtlSeconds" doc:"End the session after this many seconds without a call; at most the server's limit." min:"1"`
	MaxTTLSeconds  *int64            `json:"maxTtlSeconds" doc:"End the session this many seconds from now at the latest; at most the server's limit." min:"1"`
	Labels         map[string]string `json:"labels" doc:"Up to 16 labels." maxItems:"16"`
}

type sessionView struct {
	SessionID string            `json:"sessionId"`
	Name      string            `json:"name,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	State     session.State     `json:"state"`
	Created   time.Time         `json:"created"`
	LastUsed  time.Time         `json:"lastUsed"`
	ExpiresAt time.Time         `json:"expiresAt"`
	Version   uint64            `json:"version"`
	Calls     uint64            `json:"calls"`
	Bytes     int64             `json:"bytes"`
	Grants    int               `json:"grants,omitempty"` // to others, of one's own session

	// Of a session that somebody else has shared with the caller.
	Access   session.Access `json:"access,omitempty"`
	SharedBy string         `json:"sharedBy,omitempty"`
	Expires  *time.Time     `json:"expires,omitempty"` // of the grant
}

func view(i session.Info) sessionView {
	return sessionView{
		SessionID: string(i.ID), Name: i.Name, Labels: i.Labels, State: i.State, Created: i.Created.UTC(),
		LastUsed: i.LastUsed.UTC(), ExpiresAt: i.Expires.UTC(), Version: i.Version, Calls: i.Calls, Bytes: i.Bytes,
		Grants: i.Grants,
	}
}

// viewShared is view for the grantee. With whom else the session is shared is its
// owner's business.
func viewShared(s session.Shared) sessionView {
	v := view(s.Info)
	v.Grants = 0
	v.Access, v.SharedBy, v.Expires = s.Grant.Access, s.Owner.Subject, new(s.Grant.Expires.UTC())
	return v
}

type listInput struct {
	Limit  int    `json:"limit" doc:"At most this many." default:"50" min:"1" max:"500"`
	Before string `json:"before" doc:"Continue after this sessionId of an earlier list." maxLen:"128"`
}

type listOutput struct {
	Sessions []sessionView `json:"sessions"`
	Total    int           `json:"total"`
	More     string        `json:"more,omitempty"` // pass as "before" for the next page
}

type deleteInput struct {
	SessionID string `json:"sessionId" doc:"The session to end." required:"true" maxLen:"128"`
}

type deleteOutput struct {
	Deleted bool `json:"deleted"`
}

func seconds(n *int64) time.Duration {
	if n == nil {
		return 0
	}
	return time.Duration(min(*n, int64(10*365*24*3600))) * time.Second
}

// sessionTools are the tools with which a caller manages its own sessions.
func (s *Server) sessionTools() []tools.Tool {
	base := tools.Spec{Family: "session", Scope: policy.Reason, Lane: work.Inline, Stateless: true, Plain: true, Method: "directory"}
	spec := func(name, title, summary, example string, e tools.Effect) tools.Spec {
		sp := base
		sp.Name, sp.Title, sp.Summary, sp.Effect = name, title, summary, e
		sp.Examples = []tools.Example{{Title: title, Arguments: example}}
		return sp
	}
	create := tools.Define(spec("session_create", "Create a session",
		"Opens a reasoning session and returns its handle. It ends when idle too long or at expiresAt, with all it holds.", `{"name":"plan"}`, tools.Mutates),
		func(ctx context.Context, _ *tools.Call, in createInput) (sessionView, error) {
			h, err := s.openSession(ctx, ctx.Value(callCtx{}).(*toolCall).in, session.Params{
				Name: in.Name, IdleTTL: seconds(in.IdleTTLSeconds), MaxTTL: seconds(in.MaxTTLSeconds), Labels: in.Labels, Client: callerClient(ctx), Durable: true,
			})
			if err != nil {
				return sessionView{}, asArgument(err)
			}
			defer h.Release()
			return view(h.Info()), nil
		})
	list := tools.Define(spec("session_list", "List sessions",
		"Lists your live reasoning sessions, newest first, then those that others share with you.", `{}`, tools.ReadOnly),
		func(ctx context.Context, _ *tools.Call, in listInput) (listOutput, error) {
			return page(s.sessionsOf(callerOwner(ctx)), in)
		})
	del := tools.Define(spec("session_delete", "Delete a session",
		"Ends one of your reasoning sessions and deletes what it holds.", `{"sessionId":"rs_…"}`, tools.Deletes),
		func(ctx context.Context, _ *tools.Call, in deleteInput) (deleteOutput, error) {
			err := s.Sessions.Delete(ctx, callerOwner(ctx), session.ID(in.SessionID))
			return deleteOutput{Deleted: err == nil}, err
		})
	return []tools.Tool{create, list, del}
}

// sessionsOf returns what o could use now, its own sessions first.
func (s *Server) sessionsOf(o session.Owner) []sessionView {
	all := []sessionView{}
	for _, info := range s.Sessions.List(o) {
		all = append(all, view(info))
	}
	for _, shared := range s.Sessions.Granted(o) {
		all = append(all, viewShared(shared))
	}
	return all
}

// page cuts a listing. An id that is not in it any more starts from the top:
// there is nothing to leak and nothing to lose.
func page(all []sessionView, in listInput) (listOutput, error) {
	out := listOutput{Sessions: []sessionView{}, Total: len(all)}
	start := 0
	for i, v := range all {
		if in.Before != "" && v.SessionID == in.Before {
			start = i + 1
		}
	}
	for _, v := range all[start:] {
		if len(out.Sessions) == in.Limit {
			out.More = out.Sessions[in.Limit-1].SessionID
			break
		}
		out.Sessions = append(out.Sessions, v)
	}
	return out, nil
}

// asArgument makes a refused wish, such as a TTL over the ceiling, something
// that a model can mend.
func asArgument(err error) error {
	if e := fault.From(err); e.Kind == fault.Invalid {
		return tools.Badf("parameters", "%s", e.Public)
	}
	return err
}

// callerOwner and callerClient read the call that the context carries.
func callerOwner(ctx context.Context) session.Owner {
	return ctx.Value(callCtx{}).(*toolCall).in.owner
}

func callerClient(ctx context.Context) session.Client {
	return sessionClient(ctx.Value(callCtx{}).(*toolCall).in.client)
}
