package mcpserve

import (
	"context"
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/session"
)

// Budgets bounds what tenants, owners and tokens may use. A *limit.Limiter is one.
type Budgets interface {
	// Enter charges a call, or says why it is refused. The reservation is settled
	// or refunded, once.
	Enter(ctx context.Context, p *identity.Principal, operation string, price limit.Price) (*limit.Reservation, limit.Decision, *fault.Error)
	// Open charges the opening of a session.
	Open(ctx context.Context, p *identity.Principal) (limit.Decision, *fault.Error)
}

// charge takes a call from the budgets of its caller, before anything is sent: a
// refusal is an HTTP answer. What is left goes into the headers either way.
func (c *toolCall) charge(ctx context.Context, w http.ResponseWriter) *fault.Error {
	if c.s.Budgets == nil || c.spec == nil { // a call that names no operation fails for nothing
		return nil
	}
	ctx, charging := c.s.obs.begin(ctx, &c.trail, phaseBudget)
	r, d, refused := c.s.Budgets.Enter(ctx, c.in.principal, c.spec.Name, limit.Price{})
	charging.end(refusal(refused))
	c.reservation = r
	announce(w, &d)
	return refused
}

// refusal returns e as an error, which it is not while it is nil.
func refusal(e *fault.Error) error {
	if e == nil {
		return nil
	}
	return e
}

func announce(w http.ResponseWriter, d *limit.Decision) {
	policy, remaining := d.Headers()
	if policy == "" {
		return
	}
	w.Header().Set("RateLimit-Policy", policy)
	w.Header().Set("RateLimit", remaining)
}

// discharge settles a call that is over, as far as its request goes. One that
// goes on as a job is settled when that ends; one that never began to run is not
// paid for, unless that was its own fault.
func (c *toolCall) discharge() {
	t := c.task
	switch {
	case t == nil || c.reservation == nil:
		c.reservation.Refund()
	case t.kept.Load() || t.begun.Load():
		// settled when it ends
	case c.err != nil && fault.KindOf(c.err) != fault.Invalid && fault.KindOf(c.err) != fault.NotFound:
		c.reservation.Refund()
	default:
		c.reservation.Settle(limit.Usage{})
	}
}

// paid settles the task with the CPU time that it took.
func (t *task) paid(took time.Duration) {
	t.used.Add(int64(took))
	t.reservation.Settle(limit.Usage{CPU: took})
}

// cpu returns the CPU time of the attempts that are over.
func (t *task) cpu() time.Duration { return time.Duration(t.used.Load()) }

// mayOpen charges the opening of a session of either kind.
func (s *Server) mayOpen(ctx context.Context, p *identity.Principal) error {
	if s.Budgets == nil {
		return nil
	}
	if _, refused := s.Budgets.Open(ctx, p); refused != nil {
		return refused
	}
	return nil
}

// openSession opens a reasoning session, as far as the caller's budget goes.
func (s *Server) openSession(ctx context.Context, in *incoming, params session.Params) (*session.Handle, error) {
	if err := s.mayOpen(ctx, in.principal); err != nil {
		return nil, err
	}
	return s.openWithin(ctx, in, params)
}
