package audit

import (
	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Refused says what kind of record is due for a request that err refused: Denied,
// Limited or AuthFailure. Other failures are not refusals, and false.
func Refused(err error) (Kind, bool) {
	if err == nil {
		return "", false
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return AuthFailure, true
	case fault.Forbidden:
		return Denied, true
	case fault.RateLimited, fault.Overloaded:
		return Limited, true
	}
	return "", false
}

// By fills in who asked, and when. c may be nil: nobody did.
func (r *Record) By(c *client.Context) {
	if c == nil {
		return
	}
	r.Time, r.Address, r.RequestID = c.Started, c.Remote, c.RequestID
	if p := c.Principal; p != nil {
		r.Tenant, r.Issuer, r.Subject, r.ClientID = p.Tenant, p.Issuer, p.Subject, p.ClientID
	}
}

// Went fills in how it went: Allow and OK, or why not. What was refused becomes a
// record of that kind, with the reason in words, unless it is about an operator's
// action.
func (r *Record) Went(err error) {
	r.Decision, r.Outcome = Allow, OK
	if err == nil {
		return
	}
	e := fault.From(err)
	r.Outcome, r.Code = e.Kind.String(), e.MachineCode()
	kind, refused := Refused(err)
	if !refused {
		return
	}
	r.Decision = Deny
	if r.Kind != Admin {
		r.Kind, r.Reason = kind, e.Public
	}
}
