package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Owner is who a session belongs to, taken from a verified credential. All
// three parts are in every lookup: a subject of one issuer is nobody to
// another issuer, and a tenant never sees the sessions of another tenant.
type Owner struct {
	Tenant  string
	Issuer  string
	Subject string
}

// ID names a session: the directory's prefix and 130 random bits, such as
// "rs_k4q…". It is useless without its owner, and never reused.
type ID string

// Ref returns a short stable stand-in for id, made from its SHA-256, for logs,
// pages and metrics. It cannot be turned back into the id.
func (id ID) Ref() string {
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:refBytes])
}

// LogValue makes structured logs show the reference instead of the id.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Ref()) }

// refBytes is the length of a reference before hex. 64 bits are enough to tell
// a million live sessions apart (a collision has odds of 1 in 37 million).
const refBytes = 8

func newID(prefix string) ID { return ID(prefix + strings.ToLower(rand.Text())) }

// NewObjectID returns a new random id for an object inside a session, such as
// a tree or a notebook: the prefix, an underscore and 130 random bits.
func NewObjectID(prefix string) string {
	return strings.TrimSuffix(prefix, "_") + "_" + strings.ToLower(rand.Text())
}

// Client is the program that used a session last, as it described itself.
type Client struct {
	Name      string
	Version   string
	Revision  string // MCP revision, such as "2025-11-25"
	Transport string // "http" or "stdio"
}

// Params are the wishes of whoever opens a session. A zero TTL means the
// directory's ceiling; a request may only ask for less.
type Params struct {
	Name    string        // for people; at most MaxName bytes
	IdleTTL time.Duration // from the last completed call
	MaxTTL  time.Duration // from the opening
	Labels  map[string]string
	Client  Client
	Durable bool // with a store: Open stores the session before it returns
}

// Reason says why a session ended.
type Reason string

// The reasons.
const (
	ReasonDeleted   Reason = "deleted"    // its owner deleted it
	ReasonIdle      Reason = "idle"       // no call completed for its idle TTL
	ReasonAge       Reason = "age"        // its absolute TTL passed
	ReasonOwnerCap  Reason = "owner_cap"  // room for a newer session of its owner
	ReasonTenantCap Reason = "tenant_cap" // room for a newer session of its tenant
	ReasonGlobalCap Reason = "global_cap" // room for a newer session of anybody
	ReasonOperator  Reason = "operator"   // an operator ended it
	ReasonShutdown  Reason = "shutdown"   // the server stopped
)

var reasons = [...]Reason{
	ReasonDeleted, ReasonIdle, ReasonAge, ReasonOwnerCap, ReasonTenantCap, ReasonGlobalCap, ReasonOperator, ReasonShutdown,
}

// Reasons returns every reason, for tables and metrics that list them.
func Reasons() []Reason { return slices.Clone(reasons[:]) }

// index is the place of why in Reasons. A reason from elsewhere counts as an
// operator's.
func (why Reason) index() int {
	if i := slices.Index(reasons[:], why); i >= 0 {
		return i
	}
	return slices.Index(reasons[:], ReasonOperator)
}

// State is where a session is in its life. The order is
// opening → active ⇄ idle → draining → ended.
type State string

// The states.
const (
	StateOpening  State = "opening"  // its place is reserved, nobody can see it yet
	StateActive   State = "active"   // a call is in flight or a stream is open
	StateIdle     State = "idle"     // nothing holds it; it may be evicted
	StateDraining State = "draining" // no new call; it ends when the last holder lets go
	StateEnded    State = "ended"
)

// Ended is the cause of a session's canceled context, and the error of every
// use of a handle whose session is gone.
type Ended struct{ Reason Reason }

// Error says that and why the session ended.
func (e *Ended) Error() string { return "session ended: " + string(e.Reason) }

// Unwrap classifies the end for a caller: the session is not there, or, at a
// shutdown, the server is not.
func (e *Ended) Unwrap() error {
	if e.Reason == ReasonShutdown {
		return errClosed
	}
	return errMiss
}

// EventKind says what happened to a session.
type EventKind string

// The kinds of events.
const (
	EventOpened  EventKind = "opened"
	EventChanged EventKind = "changed" // it began to drain, or another client uses it
	EventEnded   EventKind = "ended"

	EventGranted      EventKind = "granted" // it was shared, or a grant was replaced
	EventRevoked      EventKind = "revoked"
	EventGrantExpired EventKind = "grant_expired"
)

// Event tells that a session began, changed, was shared or ended.
type Event struct {
	Kind   EventKind
	Info   Info
	Reason Reason // of an end, and of a change to draining; else empty
	Grant  *Grant // that was made, revoked or has expired; else nil
	At     time.Time
}

// Info is a snapshot of a session for pages, lists and events. Taking one is
// not a use: it slides no TTL. It holds the ID, which only the owner may see;
// show Ref to everyone else.
type Info struct {
	ID       ID
	Ref      string
	Owner    Owner
	Name     string
	Labels   map[string]string
	Client   Client
	State    State
	Created  time.Time
	LastUsed time.Time // the last completed call, at first the opening
	Expires  time.Time // if nothing more is done with it than what is in flight
	InFlight int       // calls
	Streams  int
	Calls    uint64 // completed
	Errors   uint64 // of these, failed
	Version  uint64 // commits so far
	Bytes    int64  // of committed state
	Slots    []string
	Grants   int // to others, which hold now
}
