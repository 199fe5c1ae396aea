package session

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"time"
)

// Store keeps sessions, and other records of their owners, beyond the memory of
// one process. Its suite is storetest; every back end passes it.
//
// Methods may be called from any goroutine. What a method has written is
// durable when it returns nil. When it returns an error, nothing of it is
// stored, unless the error is that of the context: then all of it is or nothing.
// What is passed in is not kept, and what is returned belongs to the caller.
//
// Iterators hold no lock and no transaction while their loop's body runs. What
// is written meanwhile may or may not show. The first error ends them.
//
// A Store knows nothing of lifetimes: a record whose time is over is there until
// it is deleted. Expired finds it.
type Store interface {
	// Load returns a session with all its slots, or ErrNoRecord.
	Load(ctx context.Context, k Key) (Snapshot, error)
	// Save applies changes in order, all of them or none. It fails with a
	// *StaleError if a session is not at the version that its change was made
	// from.
	Save(ctx context.Context, changes ...Change) error
	// Touch notes uses of sessions. Those that are not stored are left out. The
	// last use never goes back in time.
	Touch(ctx context.Context, uses ...Use) error
	// Delete removes sessions with all their slots, all or none. One that is not
	// there is no error.
	Delete(ctx context.Context, keys ...Key) error
	// Records yields the sessions of o, or of everybody if o is nil, without
	// their slots.
	Records(ctx context.Context, o *Owner) iter.Seq2[Record, error]

	// PutObject creates or replaces objects, all or none.
	PutObject(ctx context.Context, objects ...Object) error
	// LoadObject returns an object, or ErrNoRecord.
	LoadObject(ctx context.Context, k ObjectKey) (Object, error)
	// DeleteObject removes objects, all or none. One that is not there is no error.
	DeleteObject(ctx context.Context, keys ...ObjectKey) error
	// Objects yields the objects of one kind of o, or of everybody if o is nil.
	Objects(ctx context.Context, kind string, o *Owner) iter.Seq2[Object, error]

	// Expired returns up to limit sessions and up to limit objects whose Expires
	// lies before t, those that expired first at the front. It costs what it
	// returns, however much is stored.
	Expired(ctx context.Context, t time.Time, limit int) ([]Key, []ObjectKey, error)
	// Usage counts what is stored.
	Usage(ctx context.Context) (Usage, error)
	// Close ends the use of the store. What was acknowledged stays.
	Close() error
}

// CodeDamaged is the code of a *fault.Error by which a store says that a record
// is damaged, so that reading it again is of no use.
const CodeDamaged = "session_damaged"

// ErrNoRecord says that a store has no record of that key.
var ErrNoRecord = errors.New("no such record")

// StaleError says that a stored session is at another version than the change
// was made from.
type StaleError struct {
	Key    Key
	Stored uint64 // 0: it is not stored
	Want   uint64
}

// Error says which versions differ.
func (e *StaleError) Error() string {
	return "stored session " + e.Key.ID.Ref() + " is at another version"
}

// Key names a session in a store. No two owners share one.
type Key struct {
	Owner Owner
	ID    ID
}

// Record is a session as it is stored, without its slots. Times are UTC.
type Record struct {
	Key
	Name    string
	Labels  map[string]string
	Client  Client
	Created time.Time
	IdleTTL time.Duration
	AgeAt   time.Time // the absolute TTL's end

	LastUsed time.Time // the last completed call, as far as it was noted
	Expires  time.Time // when it is over if it is not used again; the expiry index
	Calls    uint64
	Errors   uint64

	Version uint64 // commits so far
	Bytes   int64  // of committed state

	// Extra is what the Directory keeps of a session besides, as JSON: a store
	// only carries it.
	Extra json.RawMessage
}

// Cell is one slot of a stored session.
type Cell struct {
	Name    string
	Version uint64          // of the session when Data was committed
	Data    json.RawMessage // the envelope, kept byte for byte
}

// Snapshot is a whole stored session; its cells are sorted by name.
type Snapshot struct {
	Record
	Cells []Cell
}

// Change is one atomic write of a session.
type Change struct {
	// Record is the session after the change. It replaces what is stored.
	Record Record
	// From is the version that the stored session must have. 0 with Create set
	// is a session that must not be stored yet.
	From   uint64
	Create bool
	// Put are the slots that are created or replaced, Drop the names of those
	// that are removed; with Clear, all others are removed first.
	Put   []Cell
	Drop  []string
	Clear bool
}

// Use is what a completed call changes about a session that it did not write.
type Use struct {
	Key      Key
	LastUsed time.Time
	Expires  time.Time
	Calls    uint64
	Errors   uint64
	Client   Client
}

// ObjectKey names an object in a store: a job, a kept result.
type ObjectKey struct {
	Kind  string // at most 16 lower-case letters
	Owner Owner
	ID    string
}

// Object is a record that belongs to an owner and not to one session. Data is
// kept byte for byte.
type Object struct {
	ObjectKey
	Expires time.Time // the expiry index; zero is never
	Data    []byte
}

// Usage is how much a store holds.
type Usage struct {
	Sessions int
	Objects  int
	Bytes    int64 // on disk or in memory, with what is free inside
	Free     int64 // of these, bytes that compaction could give back; 0 if not known
}
