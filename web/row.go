package web

import (
	"strings"

	"github.com/lyceum-mcp/lyceum/session"
)

// row is one session as the page shows it; also the script's view of it. Times
// are milliseconds since 1970. Rows are compared with == to see what changed.
type row struct {
	Ref       string `json:"ref"`
	Kind      string `json:"kind"` // kindReasoning or kindTransport
	Tenant    string `json:"tenant"`
	Issuer    string `json:"issuer"`
	Subject   string `json:"subject"`
	Name      string `json:"name"` // may be empty, as may be all about the client
	Client    string `json:"client"`
	Version   string `json:"client_version"`
	Revision  string `json:"revision"`
	Transport string `json:"transport"`
	State     string `json:"state"`
	Created   int64  `json:"created"`
	Used      int64  `json:"used"`
	InFlight  int    `json:"in_flight"`
	Streams   int    `json:"streams"`
	Calls     uint64 `json:"calls"`
	Errors    uint64 `json:"errors"`
	Bytes     int64  `json:"bytes"`

	began int64 // as Created in nanoseconds, for the order
}

const (
	kindReasoning = "reasoning"
	kindTransport = "transport"
)

// rowOf leaves out the id. What clients say about themselves is shown as they
// said it, but cannot reorder the text around it.
func rowOf(i session.Info) row {
	kind := kindTransport
	if strings.HasPrefix(string(i.ID), session.DefaultPrefix) {
		kind = kindReasoning
	}
	return row{
		Ref: i.Ref, Kind: kind, Tenant: plain(i.Owner.Tenant), Issuer: plain(i.Owner.Issuer), Subject: plain(i.Owner.Subject), Name: plain(i.Name),
		Client: plain(i.Client.Name), Version: plain(i.Client.Version), Revision: plain(i.Client.Revision), Transport: plain(i.Client.Transport),
		State: string(i.State), Created: i.Created.UnixMilli(), Used: i.LastUsed.UnixMilli(),
		InFlight: i.InFlight, Streams: i.Streams, Calls: i.Calls, Errors: i.Errors, Bytes: i.Bytes, began: i.Created.UnixNano(),
	}
}

// plain replaces what would not be seen as itself: control characters and those
// that change the direction of text, with which one name can look like another.
func plain(s string) string {
	hidden := func(r rune) bool {
		return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff
	}
	if !strings.ContainsFunc(s, hidden) {
		return strings.ToValidUTF8(s, "\ufffd")
	}
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return '\ufffd'
		}
		return r
	}, s)
}

// status is the head of the page.
type status struct {
	Version  string `json:"version"`
	Since    int64  `json:"since"`
	Ready    bool   `json:"ready"`
	InFlight int    `json:"in_flight"`
	Running  int    `json:"running"`
	Tickets  int    `json:"tickets"`
	Queued   int    `json:"queued"`
	Lanes    string `json:"lanes"` // what waits where, in words
	Counts   counts `json:"counts"`
}

// counts are over all sessions, whatever the filter.
type counts struct {
	Total     int `json:"total"`
	Reasoning int `json:"reasoning"`
	Transport int `json:"transport"`
	Active    int `json:"active"`
	Idle      int `json:"idle"`
	Draining  int `json:"draining"`
}

func (c *counts) add(r *row) {
	c.Total++
	switch r.Kind {
	case kindReasoning:
		c.Reasoning++
	case kindTransport:
		c.Transport++
	}
	switch session.State(r.State) {
	case session.StateActive:
		c.Active++
	case session.StateIdle:
		c.Idle++
	case session.StateDraining:
		c.Draining++
	}
}

// why says in words why a session ended.
func why(r session.Reason) string {
	switch r {
	case session.ReasonDeleted:
		return "deleted by its owner"
	case session.ReasonIdle:
		return "not used for too long"
	case session.ReasonAge:
		return "reached its age limit"
	case session.ReasonOwnerCap:
		return "made room for a newer session of its owner"
	case session.ReasonTenantCap:
		return "made room for a newer session of its tenant"
	case session.ReasonGlobalCap:
		return "made room for a newer session"
	case session.ReasonOperator:
		return "ended by an operator"
	case session.ReasonShutdown:
		return "the server stopped"
	}
	return "ended"
}

// note is why an operator ended a session.
type note struct {
	by     string
	reason string
}

func (n note) String() string {
	text := "ended by " + n.by
	if n.reason != "" {
		text += ": " + n.reason
	}
	return text
}
