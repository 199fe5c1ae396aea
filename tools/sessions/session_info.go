// Package sessions lets a caller look at its own session and take its content
// along.
package sessions

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// chains is the slot in which the sequence family keeps the thoughts; it is read
// here to count them.
var chains = session.NewSlot[thought.Chain](thought.SlotName)

// Info is the operation session_info.
var Info = tools.Define(tools.Spec{
	Name: "session_info", Family: "sessions", Title: "Session information",
	Summary: "Reports the live counts of the session: age, expiry, calls, version, size, objects of each kind, who may use it, and the owner's quota.",
	Scope:   policy.Reason, Lane: work.Inline, Effect: tools.ReadOnly,
	Method: "counters of the session directory",
	Examples: []tools.Example{
		{Title: "Look at the session", Arguments: `{"operation":"session_info"}`},
	},
}, info)

// InfoInput is empty: a session tells of itself only.
type InfoInput struct{}

// InfoOutput is what a session tells of itself. Times are UTC.
type InfoOutput struct {
	SessionID string            `json:"sessionId"`
	Ref       string            `json:"ref"` // how logs and operators' pages name it
	Name      string            `json:"name,omitempty"`
	Labels    map[string]string `json:"labels,omitempty"`
	Client    *Client           `json:"client,omitempty"`
	State     string            `json:"state"`
	IsActive  bool              `json:"isActive"`

	// What the caller may do, and who else may. Grants and the quota are the
	// owner's business; a grantee learns whose the session is, and no more.
	Access         string      `json:"access"` // owner, read or write
	SharedBy       string      `json:"sharedBy,omitempty"`
	GrantExpiresAt *time.Time  `json:"grantExpiresAt,omitempty"`
	Grants         []GrantView `json:"grants,omitempty"`
	Quota          *Quota      `json:"quota,omitempty"`

	CreatedAt        time.Time `json:"createdAt"`
	LastAccessedAt   time.Time `json:"lastAccessedAt"` // end of the last completed call
	ExpiresAt        time.Time `json:"expiresAt"`      // if no call follows this one
	AgeSeconds       float64   `json:"ageSeconds"`
	IdleSeconds      float64   `json:"idleSeconds"` // between the last completed call and this one
	ExpiresInSeconds float64   `json:"expiresInSeconds"`

	TotalOperations  uint64 `json:"totalOperations"` // completed calls; this one is not among them
	FailedOperations uint64 `json:"failedOperations"`
	InFlight         int    `json:"inFlight"` // calls, this one included
	Streams          int    `json:"streams"`
	Version          uint64 `json:"version"` // commits
	Bytes            int64  `json:"bytes"`   // of committed state, as the session's limit counts them

	ThoughtCount      int              `json:"thoughtCount"`
	RemainingThoughts int              `json:"remainingThoughts"`
	Stores            map[string]Store `json:"stores"`
}

// Quota is how much of what one owner may have this owner has.
type Quota struct {
	Sessions    int   `json:"sessions"`
	MaxSessions int   `json:"maxSessions"`
	Bytes       int64 `json:"bytes"` // of committed state, of all the owner's sessions
	MaxBytes    int64 `json:"maxBytes"`
}

// Client is the program that used the session last, as it described itself.
type Client struct {
	Name      string `json:"name,omitempty"`
	Version   string `json:"version,omitempty"`
	Revision  string `json:"revision,omitempty"`
	Transport string `json:"transport,omitempty"`
}

// Store is what a session holds of one kind.
type Store struct {
	Objects int      `json:"objects"`
	Bytes   int      `json:"bytes"`         // of their JSON
	IDs     []string `json:"ids,omitempty"` // of at most maxIDs objects
}

const maxIDs = 32

func info(_ context.Context, c *tools.Call, _ InfoInput) (InfoOutput, error) {
	h := c.Session
	h.Look() // to ask how long a session has left must not make it last
	now := time.Now()
	i := h.Info()
	chain, _, err := chains.Read(h)
	if err != nil {
		return InfoOutput{}, err
	}
	out := InfoOutput{
		SessionID: string(i.ID), Ref: i.Ref, Name: i.Name, Labels: i.Labels,
		State: string(i.State), IsActive: i.State == session.StateActive,
		CreatedAt: i.Created.UTC(), LastAccessedAt: i.LastUsed.UTC(), ExpiresAt: i.Expires.UTC(),
		AgeSeconds: now.Sub(i.Created).Seconds(), IdleSeconds: now.Sub(i.LastUsed).Seconds(), ExpiresInSeconds: i.Expires.Sub(now).Seconds(),
		TotalOperations: i.Calls, FailedOperations: i.Errors, InFlight: i.InFlight, Streams: i.Streams,
		Version: i.Version, Bytes: i.Bytes,
		ThoughtCount: chain.Len(), RemainingThoughts: thought.MaxThoughts - chain.Len(),
		Stores: stores(h),
	}
	if i.Client != (session.Client{}) {
		out.Client = &Client{i.Client.Name, i.Client.Version, i.Client.Revision, i.Client.Transport}
	}
	return out, out.relate(h, i)
}

// relate says how the caller is related to the session.
func (o *InfoOutput) relate(h *session.Handle, i session.Info) (err error) {
	if g, shared := h.Granted(); shared {
		if g == (session.Grant{}) {
			return h.MayWrite() // the grant is over since the call began: it says so
		}
		o.Access, o.SharedBy = string(g.Access), i.Owner.Subject
		o.GrantExpiresAt = new(g.Expires.UTC())
		return nil
	}
	q := h.Usage()
	o.Access, o.Quota = "owner", &Quota{q.Sessions, q.MaxSessions, q.Bytes, q.MaxBytes}
	o.Grants, err = viewGrants(h)
	return err
}

// stores sums up the slots by kind.
func stores(h *session.Handle) map[string]Store {
	out := map[string]Store{}
	slots := h.Export()
	for _, name := range slices.Sorted(maps.Keys(slots)) {
		kind, id, keyed := strings.Cut(name, "/")
		s := out[kind]
		s.Objects++
		s.Bytes += len(slots[name])
		if keyed && len(s.IDs) < maxIDs {
			s.IDs = append(s.IDs, id)
		}
		out[kind] = s
	}
	return out
}
