package session

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Bounds of a Journal.
const (
	DefaultJournalPerOwner = 256
	DefaultJournalTTL      = time.Hour
	MaxJournalKey          = 256      // bytes of an idempotency key
	MaxJournalResult       = 1 << 20  // bytes of a result that is kept
	journalRecords         = 1 << 16  // of all owners
	journalBytes           = 64 << 20 // of all owners
	journalOwnerBytes      = 8 << 20  // of one owner
	recordCost             = 256      // bytes a record counts for besides its key and result
)

// Journal remembers what calls with an idempotency key returned, so that a
// client that sends a call again, because it lost the answer, gets that answer
// instead of a second execution. Keys are scoped to their owner. A journal
// starts no goroutine; its methods may be called from any.
//
// One made by NewStoredJournal keeps that in a store too (journal_store.go): what
// it says survives the process.
type Journal struct {
	perOwner int
	ttl      time.Duration
	store    Store // nil: in memory only

	mu sync.Mutex
	// Owned by mu.
	owners  map[Owner]*ownerJournal
	settled *simplelru.LRU[recordKey, *record] // oldest is the first to expire
	count   int                                // of all records, running ones included
	bytes   int64
	loading map[Owner]chan struct{} // owners of whom the store is read or swept: nobody claims
	dying   map[recordKey]*record   // dropped here, not yet in the store
	dropped []*record               // of these, what nobody has begun to delete

	ownerSlack, settledSlack slack
}

// ownerJournal is one owner's records. Owned by Journal.mu.
type ownerJournal struct {
	records map[string]*record
	bytes   int64
}

type recordKey struct {
	owner Owner
	key   string
}

// record is one key. All but done is owned by Journal.mu until done is closed;
// from then on outcome and result never change.
type record struct {
	recordKey
	digest  [32]byte
	attempt Attempt
	before  *record       // the cut-off one whose place it has
	ended   atomic.Bool   // finish was called
	done    chan struct{} // closed when outcome is known
	outcome outcome
	result  []byte
	expires time.Time
}

// Attempt is what the caller of BeginAt knows of the call that it wants to
// execute. It decides whether a call that a crash cut off may be executed again.
type Attempt struct {
	// Session is the session that the call writes to, and Version is where that is
	// now. Empty: it is not known.
	Session ID
	Version uint64
	// Pure says that the call changes nothing, so that it may always be executed
	// again.
	Pure bool
}

// proves reports whether a call cut off in a crash has committed nothing.
func (a Attempt) proves(before Attempt) bool {
	return a.Pure || a.Session != "" && a.Session == before.Session && a.Version == before.Version
}

type outcome uint8

const (
	running   outcome = iota
	kept              // result can be given again
	tooLong           // the call was done, its result was too large to keep
	forgotten         // the call failed: the key is free again
	cutOff            // the process ended while the call ran
)

// NewJournal returns an empty journal that keeps up to perOwner keys of an
// owner, each for ttl after its call was done. Zero means the default.
func NewJournal(perOwner int, ttl time.Duration) *Journal {
	if perOwner <= 0 {
		perOwner = DefaultJournalPerOwner
	}
	if ttl <= 0 {
		ttl = DefaultJournalTTL
	}
	settled, err := simplelru.NewLRU[recordKey, *record](journalRecords, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Journal{
		perOwner: perOwner, ttl: ttl, owners: make(map[Owner]*ownerJournal), settled: settled,
		loading: make(map[Owner]chan struct{}), dying: make(map[recordKey]*record),
	}
}

// Begin is BeginAt for a caller who knows nothing of the session and does not ask
// whether the result could be stored.
func (j *Journal) Begin(ctx context.Context, o Owner, key string, digest [32]byte) (stored []byte, finish func(result []byte), err error) {
	stored, settle, err := j.BeginAt(ctx, o, key, digest, Attempt{})
	if settle == nil {
		return stored, nil, err
	}
	return nil, func(result []byte) { _ = settle(result) }, nil // the result counts in this process
}

// BeginAt asks whether the call of o with this key may be executed. digest is of
// all that makes the call what it is.
//
// The first caller gets finish and must call it, with the result or, after a
// failure, with nil, which frees the key; only the first call of finish counts,
// so "defer finish(nil)" is a safe net. Everyone else with the same digest
// waits for that, or for the end of ctx, and gets a copy of the result in
// stored. Another digest is a Conflict, code "idempotency_conflict".
//
// With a store, that the call runs is durable before BeginAt returns, and its
// result before finish does; when the store fails, BeginAt is Unavailable and
// the call must not be executed. finish returns the store's error: the result is
// then known to this process only. A call that ran when the process before this
// one ended may have been committed: it is a Conflict, code "outcome_unknown",
// unless the attempt shows that it was not.
func (j *Journal) BeginAt(ctx context.Context, o Owner, key string, digest [32]byte, at Attempt) (stored []byte, finish func(result []byte) error, err error) {
	if key == "" || len(key) > MaxJournalKey {
		return nil, nil, fault.Newf(fault.Invalid, "the idempotency key has %d bytes: want 1 to %d", len(key), MaxJournalKey)
	}
	for {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		r, first, err := j.claim(ctx, recordKey{o, key}, digest, at)
		if err != nil {
			return nil, nil, err
		}
		if first {
			return nil, func(result []byte) error { return j.finish(ctx, r, result) }, nil
		}
		select {
		case <-r.done:
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
		switch r.outcome {
		case kept:
			return append([]byte{}, r.result...), nil, nil
		case tooLong:
			return nil, nil, coded(fault.Conflict, "idempotency_result_dropped",
				"this call was executed before; its result was larger than the %d bytes that are kept", MaxJournalResult)
		case cutOff:
			return nil, nil, coded(fault.Conflict, "outcome_unknown",
				"the server ended while this call ran, and whether it took effect is not known: look at the session, then send the call with a new key if it is still needed")
		}
	}
}

// claimLocked returns the record of a key. first says that the caller made it.
func (j *Journal) claimLocked(k recordKey, digest [32]byte, at Attempt) (r *record, first bool, err error) {
	now := time.Now()
	j.expireLocked(now)
	if r := j.dying[k]; r != nil {
		return r, false, nil // its outcome will be forgotten
	}
	own := j.owners[k.owner]
	var before *record
	if own != nil {
		r = own.records[k.key]
		if r != nil && r.outcome != running && !now.Before(r.expires) {
			j.dropLocked(r) // not among the first that expireLocked came to
			if gone := j.dying[k]; gone != nil {
				return gone, false, nil
			}
			own, r = j.owners[k.owner], nil
		}
		if r != nil && r.digest != digest {
			return nil, false, coded(fault.Conflict, "idempotency_conflict",
				"the idempotency key %.64q was used for another call: choose a new key, or send the same call again", k.key)
		}
		if r != nil && (r.outcome != cutOff || !at.proves(r.attempt)) {
			return r, false, nil
		}
		if before = r; before != nil { // nothing came of it: what is stored of it is replaced
			j.removeLocked(before)
			own = j.owners[k.owner]
		}
	}
	if err := j.makeRoomLocked(own); err != nil {
		return nil, false, err
	}
	r = &record{recordKey: k, digest: digest, attempt: at, before: before, done: make(chan struct{})}
	j.addLocked(r)
	return r, true, nil
}

func (j *Journal) addLocked(r *record) {
	own := j.owners[r.owner]
	if own == nil {
		own = &ownerJournal{records: make(map[string]*record)}
		j.owners[r.owner] = own
	}
	own.records[r.key] = r
	j.count++
	j.chargeLocked(own, r.size())
	if r.outcome != running {
		j.settled.Add(r.recordKey, r)
	}
}

// settle ends a running record: with a result it is kept until it expires, or
// until room is needed; with nil it is forgotten.
func (j *Journal) settle(r *record, result []byte, expires time.Time) {
	if len(result) <= MaxJournalResult {
		result = bytes.Clone(result)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.outcome != running {
		return
	}
	defer close(r.done)
	if result == nil {
		j.removeLocked(r)
		r.outcome = forgotten
		return
	}
	own := j.owners[r.owner]
	if len(result) > MaxJournalResult {
		r.outcome = tooLong
	} else {
		r.outcome, r.result = kept, result
		j.chargeLocked(own, int64(len(result)))
	}
	r.expires = expires
	j.settled.Add(r.recordKey, r)
	for own.bytes > journalOwnerBytes && j.dropOldestLocked(own) {
	}
	j.fitLocked()
}

// fitLocked drops the oldest results of anybody while there are too many bytes.
func (j *Journal) fitLocked() {
	for j.bytes > journalBytes {
		_, oldest, ok := j.settled.GetOldest()
		if !ok {
			return
		}
		j.dropLocked(oldest)
	}
}

// makeRoomLocked drops settled records until a new one fits in; it fails if
// all that could go are running.
func (j *Journal) makeRoomLocked(own *ownerJournal) error {
	if own != nil && len(own.records) >= j.perOwner && !j.dropOldestLocked(own) {
		return busy(fault.RateLimited, "idempotency_keys_in_use",
			"all %d idempotency keys that you may have are of running calls: retry when one is done", j.perOwner)
	}
	if j.count >= journalRecords {
		_, oldest, ok := j.settled.GetOldest()
		if !ok {
			return busy(fault.Overloaded, "idempotency_keys_in_use", "too many calls with an idempotency key are running: retry")
		}
		j.dropLocked(oldest)
	}
	return nil
}

// expireLocked drops records whose time has passed, a bounded number at once.
func (j *Journal) expireLocked(now time.Time) {
	for range sweepBatch {
		_, oldest, ok := j.settled.GetOldest()
		if !ok || now.Before(oldest.expires) {
			return
		}
		j.dropLocked(oldest)
	}
}

// dropOldestLocked drops the owner's record that was settled first, and reports
// whether there was one. It costs a look at each of them.
func (j *Journal) dropOldestLocked(own *ownerJournal) bool {
	var oldest *record
	for _, r := range own.records {
		if r.outcome != running && (oldest == nil || r.expires.Before(oldest.expires)) {
			oldest = r
		}
	}
	if oldest != nil {
		j.dropLocked(oldest)
	}
	return oldest != nil
}

// dropLocked removes a settled record. Until the store has removed it too, a
// claim of its key finds it dying and waits.
func (j *Journal) dropLocked(r *record) {
	j.removeLocked(r)
	if j.store == nil {
		return
	}
	gone := &record{recordKey: r.recordKey, done: make(chan struct{}), outcome: forgotten}
	j.dying[r.recordKey] = gone
	j.dropped = append(j.dropped, gone)
}

func (j *Journal) removeLocked(r *record) {
	own := j.owners[r.owner]
	delete(own.records, r.key)
	j.settled.Remove(r.recordKey)
	j.count--
	j.chargeLocked(own, -r.size())
	if len(own.records) == 0 {
		delete(j.owners, r.owner)
	}
	j.owners = slimMap(j.owners, &j.ownerSlack)
	j.settled = slimLRU(j.settled, &j.settledSlack, journalRecords)
}

func (j *Journal) chargeLocked(own *ownerJournal, size int64) {
	own.bytes += size
	j.bytes += size
}

func (r *record) size() int64 { return int64(recordCost + len(r.key) + len(r.result)) }
