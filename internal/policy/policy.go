// Package policy decides whether a principal may do an action.
//
// Three things decide, in this order, and each can only forbid: the operator's
// lists for the tenant, the scopes of the token, and the operator's guards. What a
// principal may do is the same wherever it is asked: at the door, and again when
// a job that was let in comes to its turn.
package policy

import (
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Scope is a permission that a token grants.
type Scope string

// The scopes. A scope that implies another one satisfies it.
const (
	Reason     Scope = "reason"      // every computing operation and the caller's own sessions
	Code       Scope = "code"        // running code the caller sent
	AdminRead  Scope = "admin.read"  // looking at everybody's sessions and queues
	AdminWrite Scope = "admin.write" // ending them; implies AdminRead
)

// All lists the scopes from the least to the most.
func All() []Scope { return []Scope{Reason, Code, AdminRead, AdminWrite} }

// implied maps a scope to those that satisfy it besides itself.
var implied = map[Scope][]Scope{AdminRead: {AdminWrite}}

// Allows reports whether p was granted s or a scope that implies it.
func Allows(p *identity.Principal, s Scope) bool {
	if p == nil {
		return false
	}
	if p.HasScope(string(s)) {
		return true
	}
	return slices.ContainsFunc(implied[s], func(t Scope) bool { return p.HasScope(string(t)) })
}

// MissingScope is the cause inside a Forbidden fault: the challenge names all
// the scopes the action needs, not only the missing ones, so that one step-up
// is enough.
type MissingScope struct{ Need []Scope }

// Error names the scopes.
func (m *MissingScope) Error() string { return "needs scope " + Join(m.Need) }

// Require returns nil when p may act with all of need, and otherwise a
// Forbidden fault whose cause is a *MissingScope.
func Require(p *identity.Principal, need ...Scope) error {
	for _, s := range need {
		if !Allows(p, s) {
			return &fault.Error{
				Kind: fault.Forbidden, Code: "insufficient_scope",
				Public: "this needs the scope " + Join(need), Err: &MissingScope{Need: need},
			}
		}
	}
	return nil
}

// Join writes scopes as an OAuth scope string.
func Join(scopes []Scope) string {
	parts := make([]string, len(scopes))
	for i, s := range scopes {
		parts[i] = string(s)
	}
	return strings.Join(parts, " ")
}
