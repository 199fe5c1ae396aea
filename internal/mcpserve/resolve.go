package mcpserve

import (
	"context"
	"encoding/json"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/session"
)

// storedCall is what a later process needs to run a call again, besides what the
// job says itself: its owner, seed and session. Nothing in it depends on the
// revision or the connection that the call came by.
type storedCall struct {
	Name      string          `json:"name"` // what the client called
	Arguments json.RawMessage `json:"arguments,omitempty"`
	ClientID  string          `json:"clientId,omitempty"`
	Person    string          `json:"person,omitempty"`
	Scopes    []string        `json:"scopes"`
	Client    session.Client  `json:"client"`
	storedAsk
	*storedLine
}

// input is the task as it is stored, made when it is. The session that it is to
// go on with is stored before.
func (t *task) input() (json.RawMessage, error) {
	if t.sessionID != "" {
		if err := t.s.Sessions.Persist(context.Background(), t.owner, t.sessionID); err != nil {
			return nil, err
		}
	}
	p := t.principal
	b, _ := json.Marshal(storedCall{ // the arguments were checked to be JSON
		Name: t.name, Arguments: t.arguments, ClientID: p.ClientID, Person: p.Name, Scopes: p.Scopes, Client: t.client, storedAsk: t.storedAsk(), storedLine: t.line.stored(),
	})
	return b, nil
}

// Resolve returns how to go on with a job that an earlier process left, for
// job.Runner.Recover. It returns false if there is no such operation any more.
func (s *Server) Resolve(rec job.Record) (job.RunFunc, bool) {
	var in storedCall
	if json.Unmarshal(rec.Input, &in) != nil || s.direct[in.Name] == nil {
		return nil, false
	}
	o := rec.Owner
	t := &task{
		s: s, name: in.Name, arguments: in.Arguments, owner: o, client: in.Client, sessionID: rec.SessionID, asked: in.storedAsk,
		principal: &identity.Principal{
			Tenant: o.Tenant, Issuer: o.Issuer, Subject: o.Subject, ClientID: in.ClientID, Name: in.Person, Scopes: in.Scopes,
		},
	}
	t.kept.Store(true)
	s.restoreLine(t, in.storedLine)
	if t.decode() != nil || t.spec.Name != rec.Operation {
		return nil, false
	}
	t.prepare()
	if t.call.SeedHint == nil {
		t.call.SeedHint = &rec.Seed
	}
	s.kept.add(rec.ID, t)
	return t.run, true
}

// prepare fills in what a call needs to know besides its arguments.
func (t *task) prepare() {
	t.call.Principal = t.principal
	t.call.Limits = t.s.cfg.Limits
}
