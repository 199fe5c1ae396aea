package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// families of tools that look after what the caller has: allow-lists, which are
// about what is computed, do not take them away.
const (
	familySession = "session"
	familyJob     = "job"
)

// operationOf is what the policy is asked about.
func operationOf(s *tools.Spec, a policy.Arguments) policy.Operation {
	return policy.Operation{
		Name: s.Name, Family: s.Family, Scope: s.Scope, Arguments: a,
		Upkeep: s.Name == tools.Describe || s.Family == familySession || s.Family == familyJob,
	}
}

// errUnreadable is why the policy cannot see arguments that the tool will not
// understand either.
var errUnreadable = errors.New("the arguments cannot be read")

// sentArguments are those of a call that has not been decoded.
type sentArguments struct {
	d   *direct
	raw json.RawMessage
}

// Parameters implements policy.Arguments.
func (a *sentArguments) Parameters() (json.RawMessage, error) {
	if a.d.tool != nil {
		return understood(a.d.tool, a.raw)
	}
	r, err := a.d.facade.Decode(a.raw)
	if err != nil {
		return nil, errUnreadable
	}
	return understood(r.Tool, r.Parameters)
}

// understood returns the parameters as the tool will understand them: what is
// judged must be what runs.
func understood(t tools.Tool, parameters json.RawMessage) (json.RawMessage, error) {
	p, err := tools.Normal(t, parameters)
	if _, bad := errors.AsType[*tools.BadArguments](err); bad {
		return nil, errUnreadable
	}
	return p, err
}

// decide asks the policy. Arguments that a guard cannot read because the tool
// will refuse them let the call pass: it will be told what is wrong with them, and
// nothing of it will run.
func (s *Server) decide(ctx context.Context, p *identity.Principal, op policy.Operation) error {
	err := s.Policy.Decide(ctx, p, op)
	if errors.Is(err, errUnreadable) {
		return nil
	}
	return err
}

// allowed asks the policy about a call before anything of it is done.
func (c *toolCall) allowed(ctx context.Context, d *direct) error {
	ctx, asking := c.s.obs.begin(ctx, &c.trail, phasePolicy)
	err := c.s.decide(ctx, c.in.principal, operationOf(c.spec, &sentArguments{d, c.m.arguments}))
	asking.end(err)
	return err
}

// inBatch answers a call that the policy forbids with a result where the response
// is one of several and has no status of its own. A missing scope is left to the
// challenge.
func (c *toolCall) inBatch(w http.ResponseWriter, err error) bool {
	if _, batch := w.(*buffered); !batch || fault.KindOf(err) != fault.Forbidden {
		return false
	}
	if _, stepUp := errors.AsType[*policy.MissingScope](err); stepUp {
		return false
	}
	c.task = &task{s: c.s, spec: c.spec}
	c.fail(err)
	c.in.client.Fail(err)
	c.x.finish(http.StatusOK, c.body)
	return true
}

// Parameters implements policy.Arguments.
func (t *task) Parameters() (json.RawMessage, error) { return understood(t.tool, t.parameters) }

// permit asks the policy about the task as it is about to run, and takes its
// ceilings: both can have changed since the call was let in, and a job can have
// outlived the process that did so.
func (t *task) permit(ctx context.Context) error {
	if err := t.s.decide(ctx, t.principal, operationOf(t.spec, t)); err != nil {
		return err
	}
	most := t.s.Policy.Ceilings(t.principal.Tenant)
	lower(&t.call.Limits.Time, most.Time)
	lower(&t.call.Limits.Steps, most.Steps)
	lower(&t.call.Limits.Nodes, most.Nodes)
	t.maxOutput = t.s.cfg.MaxOutputBytes
	lower(&t.maxOutput, most.OutputBytes)
	return nil
}

// lower lowers a limit to a ceiling; 0 is none, of either.
func lower[T ~int | ~int64](limit *T, ceiling T) {
	if ceiling > 0 && (*limit <= 0 || *limit > ceiling) {
		*limit = ceiling
	}
}

// room is nil if the owner may have n reasoning sessions.
func (s *Server) room(p *identity.Principal, n int) error {
	if most := s.Policy.Ceilings(p.Tenant).Sessions; most > 0 && n > most {
		return &fault.Error{
			Kind: fault.RateLimited, Code: "sessions_ceiling",
			Public: fmt.Sprintf("your organisation allows each of its users %d sessions: end one with session_delete, or use it", most),
		}
	}
	return nil
}

// openWithin opens a reasoning session if the policy leaves room for it. Of
// several that are opened at once, none stays that is one too many.
func (s *Server) openWithin(ctx context.Context, in *incoming, params session.Params) (*session.Handle, error) {
	if err := s.room(in.principal, s.Sessions.Usage(in.owner).Sessions+1); err != nil {
		return nil, err
	}
	h, err := s.Sessions.Open(ctx, in.owner, params)
	if err != nil {
		return nil, err
	}
	if err := s.room(in.principal, s.Sessions.Usage(in.owner).Sessions); err != nil {
		id := h.ID()
		h.Release()
		_ = s.Sessions.Delete(ctx, in.owner, id) // it may have ended: fine
		return nil, err
	}
	return h, nil
}
