package audit

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

// Kind says what a record is about.
type Kind string

// Kinds that callers append.
const (
	Call         Kind = "call"          // an operation was asked for
	AuthFailure  Kind = "auth_failure"  // a credential was missing or bad
	Denied       Kind = "denied"        // a good credential that may not do this
	Limited      Kind = "limited"       // over a limit, or no room
	Session      Kind = "session"       // Action: opened, ended, evicted, granted, revoked
	Admin        Kind = "admin"         // an operator's action, with the reason given
	ConfigReload Kind = "config_reload" // settings changed while running
	Start        Kind = "start"         // the server started
	Stop         Kind = "stop"          // the server stopped
	Drain        Kind = "drain"         // the server takes no new work
	Job          Kind = "job"           // Action: started, finished, canceled, lost
)

// Kinds that the log writes itself; Append refuses them.
const (
	Chain      Kind = "chain"      // signed: a file begins, after the record before it
	Broken     Kind = "broken"     // signed: a file begins after one that was found damaged
	Checkpoint Kind = "checkpoint" // signed: everything before it
	Gap        Kind = "gap"        // records are missing: lost, refused, or not known to be on disk
	Recovered  Kind = "recovered"  // half a line was cut off when the log was opened
	Retention  Kind = "retention"  // old files are about to be deleted
)

func (k Kind) reserved() bool {
	switch k {
	case Chain, Broken, Checkpoint, Gap, Recovered, Retention:
		return true
	}
	return false
}

// Decisions of a Record.
const (
	Allow = "allow"
	Deny  = "deny"
)

// OK is the Outcome of what went well; other outcomes are codes of results and
// kinds of failure.
const OK = "ok"

// Record is one thing that happened. Empty fields are not written. A text that
// is too long is cut and ends with its length; see the bounds below.
type Record struct {
	Time   time.Time // zero is now
	Kind   Kind
	Action string // what exactly, where the kind leaves it open

	Tenant, Issuer, Subject string // who
	ClientID                string // of the program that acted for the subject
	Address                 string // of the client; not written with Config.NoAddresses

	Operation string
	Session   string // appended: the handle itself; in everything that comes out of a log: its hash
	Decision  string // Allow, Deny
	Code      string // why it was denied or how it failed, for machines
	Outcome   string // OK, or a fault kind

	Duration time.Duration // wall time; written in microseconds
	CPU      time.Duration // computing time charged; written in microseconds

	TraceID, RequestID string

	// Arguments are the caller's, as JSON. Config.Arguments says what becomes of
	// them. They are read before Append returns and not kept.
	Arguments json.RawMessage
	// Digest is of the arguments, if it is known already; see ArgumentsDigest.
	Digest string

	Reason string // in words, for people
}

// Bounds of a record's texts, in bytes before escaping.
const (
	maxKind      = 32
	maxName      = 256  // tenant, client, operation, code, action
	maxSubject   = 512  // subject, issuer
	maxHandle    = 128  // addresses, trace and request ids
	maxReason    = 2048 // reason
	maxArguments = 64 << 10
	maxLine      = 1 << 20 // a whole line; no record can come near it
)

// Entry is a record as it stands in a log.
type Entry struct {
	Record

	Seq            uint64
	ArgumentsBytes int // size of the canonical arguments

	// Of records that the log wrote itself.
	File         int    // Chain, Broken: number of the file that begins
	After        uint64 // Chain, Broken: seq of the record before; Retention: last seq that is deleted
	AfterHash    string // Retention: hash of that record
	Every        int    // Chain, Broken: most records between two signatures
	Key          string // signed records: id of the key
	Lost         uint64 // Gap: records that were never written; Recovered: bytes that were cut
	Refused      uint64 // Gap: records whose calls were refused
	Prev, Hash   string
	Signed       bool
	Line         []byte // the line itself, without its end
	FileName     string // where it stands
	LineNumber   int
	OffsetInFile int64
}

// Sink takes records: a Log, or Memory.
type Sink interface {
	// Append adds a record. An error means that the record is not in the log and
	// that the caller's work must not be done: its kind is fault.Unavailable, or
	// that of ctx when the caller went away while it waited.
	Append(ctx context.Context, r Record) error
	// Flush returns when everything appended before is as durable as it gets.
	Flush(ctx context.Context) error
	// Query yields matching records, oldest first.
	Query(ctx context.Context, f Filter) iter.Seq2[Entry, error]
	// Stats returns counters, for metrics.
	Stats() Stats
	// Health is nil, or says why records are refused or lost.
	Health() error
	// Close writes what is left. Records are refused afterwards.
	Close() error
}
