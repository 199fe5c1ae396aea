package limit

import (
	"context"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Transaction is what a call is charged for, and to whom. For makes it: keys are
// put together in one place.
type Transaction struct {
	Tenant, Issuer, Subject string
	Token                   string        // a key made from the credential, never the credential
	Operation               string        // as registered, never as a client wrote it
	Cost                    int64         // in the operation's units; 0 is 1; the configuration's goes first
	CPU                     time.Duration // expected: what is more is charged when the call is settled
}

// Price is what an operation is expected to take.
type Price struct {
	Cost int64         // in units of cost; 0 is 1
	CPU  time.Duration // 0 is a millisecond; the call's ceiling makes quotas of CPU time exact
}

// For returns the transaction of a call. A session has no part in it: opening
// another one gives nothing back.
func For(p *identity.Principal, operation string, price Price) Transaction {
	return Transaction{
		Tenant: p.Tenant, Issuer: p.Issuer, Subject: p.Subject, Token: p.TokenKey,
		Operation: operation, Cost: price.Cost, CPU: price.CPU,
	}
}

// Enter charges a call of p, or says in words that may be sent to the caller why
// it is refused. The decision goes into the response's headers either way. Call it
// after policy, and settle or refund the reservation.
func (l *Limiter) Enter(ctx context.Context, p *identity.Principal, operation string, price Price) (*Reservation, Decision, *fault.Error) {
	r, d := l.Charge(ctx, For(p, operation, price))
	return r, d, d.Fault()
}

// Open charges the opening of a session. There is nothing to settle.
func (l *Limiter) Open(ctx context.Context, p *identity.Principal) (Decision, *fault.Error) {
	r, d, err := l.Enter(ctx, p, SessionsOpen, Price{})
	r.Settle(Usage{})
	return d, err
}
