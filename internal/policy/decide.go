package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Codes of the faults of Decide, besides insufficient_scope.
const (
	CodeDenied      = "operation_denied" // a list or a guard forbids it
	CodeGuardFailed = "guard_failed"     // a guard could not be evaluated, which forbids it too
)

// Operation is what somebody wants to do.
type Operation struct {
	Name, Family string
	Scope        Scope
	// Upkeep operations explain, or look after what the caller has: an allow-list,
	// which is about what is computed, does not take them away. A deny-list can.
	Upkeep bool
	// Arguments are asked for when a guard looks at them; nil has none.
	Arguments Arguments
}

// Arguments are those of one call.
type Arguments interface {
	// Parameters returns the parameters of the operation as JSON, as they were
	// sent, or why they cannot be read.
	Parameters() (json.RawMessage, error)
}

// Policy applies rules, which can be replaced while it is in use. The nil Policy
// asks for scopes only. It is safe for concurrent use.
type Policy struct {
	log   *slog.Logger
	rules atomic.Pointer[Rules]
}

// New returns a policy that applies r; what goes wrong in a guard is written to
// log.
func New(r *Rules, log *slog.Logger) *Policy {
	p := &Policy{log: log}
	p.rules.Store(r)
	return p
}

// Replace applies r from now on.
func (p *Policy) Replace(r *Rules) { p.rules.Store(r) }

// Decide returns nil if who may do op now, and otherwise a Forbidden fault: with
// a *MissingScope as its cause if more scopes would help, else with one of the
// codes above and a text that names the rule. Without guards it takes tens of
// nanoseconds and allocates nothing; a guard takes about a microsecond.
func (p *Policy) Decide(ctx context.Context, who *identity.Principal, op Operation) error {
	if p == nil {
		return Require(who, op.Scope)
	}
	r := p.rules.Load()
	if who != nil {
		if t := r.tenants[who.Tenant]; t != nil {
			if rule := t.rule(&op); rule != "" {
				return denied(fmt.Sprintf("the policy for tenant %s does not allow %s here: %s", who.Tenant, op.Name, rule))
			}
		}
	}
	if !Allows(who, op.Scope) {
		return Require(who, op.Scope)
	}
	if len(r.guards) == 0 {
		return nil
	}
	return p.ask(ctx, r.guards, who, op)
}

// ask asks the guards in their order; the first that does not let the call pass
// has the last word.
func (p *Policy) ask(ctx context.Context, guards []*guard, who *identity.Principal, op Operation) error {
	f := &facts{who: who, op: op, now: time.Now()}
	for _, g := range guards {
		deny, err := g.deny(ctx, f)
		switch {
		case err != nil && ctx.Err() != nil:
			return fault.From(context.Cause(ctx)) // the call is over: nobody was judged
		case err != nil:
			return p.failed(ctx, g, f, err)
		case deny && g.message != "":
			return denied(fmt.Sprintf("%s (guard %s)", g.message, g.name))
		case deny:
			return denied(fmt.Sprintf("the policy does not allow this call of %s: guard %s", op.Name, g.name))
		}
	}
	return nil
}

// failed refuses a call because g could not be asked. Neither the log nor the
// caller is told a value that the caller sent.
func (p *Policy) failed(ctx context.Context, g *guard, f *facts, err error) error {
	cause := f.unread // a call that will not be understood is not the guard's fault
	if cause == nil {
		cause = errors.New(reason(err))
		p.log.WarnContext(ctx, "a guard failed, which refuses the call", "guard", g.name, "operation", f.op.Name, "tenant", f.who.Tenant, "reason", cause.Error())
	}
	return &fault.Error{
		Kind: fault.Forbidden, Code: CodeGuardFailed, Err: cause,
		Public: fmt.Sprintf("the policy could not be asked about this call: guard %s failed", g.name),
	}
}

func denied(text string) error {
	return &fault.Error{Kind: fault.Forbidden, Code: CodeDenied, Public: text}
}

// Ceilings returns what bounds the calls of a tenant besides the server's own
// limits.
func (p *Policy) Ceilings(tenant string) Ceilings {
	if p == nil {
		return Ceilings{}
	}
	if t := p.rules.Load().tenants[tenant]; t != nil {
		return t.ceilings
	}
	return Ceilings{}
}
