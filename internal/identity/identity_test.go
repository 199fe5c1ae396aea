package identity_test

import (
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func TestPrincipalInContext(t *testing.T) {
	if p := identity.FromContext(t.Context()); p != nil {
		t.Errorf("before authentication: %+v", p)
	}
	alice := &identity.Principal{Subject: "alice", Scopes: []string{"code", "reason"}}
	if p := identity.FromContext(identity.NewContext(t.Context(), alice)); p != alice {
		t.Errorf("FromContext = %+v", p)
	}
	for scope, want := range map[string]bool{"code": true, "reason": true, "": false, "reason ": false, "admin.read": false} {
		if alice.HasScope(scope) != want {
			t.Errorf("HasScope(%q) = %v, want %v", scope, !want, want)
		}
	}
}
