package session

import (
	"bytes"
	"context"
	"sync"
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
type Journal struct {
	perOwner int
	ttl      time.Duration

	mu sync.Mutex
	// Owned by mu.
	owners  map[Owner]*ownerJournal
	settled *simplelru.LRU[recordKey, *record] // oldest is the first to expire
	count   int                                // of all records, running ones included
	bytes   int64
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
	done    chan struct{} // closed when outcome is known
	outcome outcome
	result  []byte
	expires time.Time
}

type outcome uint8

const (
	running   outcome = iota
	kept              // result can be given again
	tooLong           // the call was done, its result was too large to keep
	forgotten         // the call failed: the key is free again
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
	return &Journal{perOwner: perOwner, ttl: ttl, owners: make(map[Owner]*ownerJournal), settled: settled}
}

// Begin asks whether the call of o with this key may be executed. digest is of
// all that makes the call what it is.
//
// The first caller gets finish and must call it, with the result or, after a
// failure, with nil, which frees the key; only the first call of finish counts,
// so "defer finish(nil)" is a safe net. Everyone else with the same digest
// waits for that, or for the end of ctx, and gets a copy of the result in
// stored. Another digest is a Conflict, code "idempotency_conflict".
func (j *Journal) Begin(ctx context.Context, o Owner, key string, digest [32]byte) (stored []byte, finish func(result []byte), err error) {
	if key == "" || len(key) > MaxJournalKey {
		return nil, nil, fault.Newf(fault.Invalid, "the idempotency key has %d bytes: want 1 to %d", len(key), MaxJournalKey)
	}
	for {
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		r, first, err := j.claim(recordKey{o, key}, digest)
		if err != nil {
			return nil, nil, err
		}
		if first {
			return nil, func(result []byte) { j.settle(r, result) }, nil
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
		}
	}
}

// claim returns the record of a key. first says that the caller made it.
func (j *Journal) claim(k recordKey, digest [32]byte) (r *record, first bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	j.expireLocked(now)
	own := j.owners[k.owner]
	if own != nil {
		r = own.records[k.key]
		if r != nil && r.outcome != running && !now.Before(r.expires) {
			j.dropLocked(r) // not among the first that expireLocked came to
			own, r = j.owners[k.owner], nil
		}
		if r != nil {
			if r.digest != digest {
				return nil, false, coded(fault.Conflict, "idempotency_conflict",
					"the idempotency key %.64q was used for another call: choose a new key, or send the same call again", k.key)
			}
			return r, false, nil
		}
	}
	if err := j.makeRoomLocked(own); err != nil {
		return nil, false, err
	}
	// Making room may have removed the owner's last record, and the owner.
	if own = j.owners[k.owner]; own == nil {
		own = &ownerJournal{records: make(map[string]*record)}
		j.owners[k.owner] = own
	}
	r = &record{recordKey: k, digest: digest, done: make(chan struct{})}
	own.records[k.key] = r
	j.count++
	j.chargeLocked(own, r.size())
	return r, true, nil
}

// settle ends a running record: with a result it is kept until it expires, or
// until room is needed; with nil it is forgotten.
func (j *Journal) settle(r *record, result []byte) {
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
		j.dropLocked(r)
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
	r.expires = time.Now().Add(j.ttl)
	j.settled.Add(r.recordKey, r)
	for own.bytes > journalOwnerBytes && j.dropOldestLocked(own) {
	}
	for j.bytes > journalBytes {
		_, oldest, ok := j.settled.GetOldest()
		if !ok {
			break
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

func (j *Journal) dropLocked(r *record) {
	own := j.owners[r.owner]
	delete(own.records, r.key)
	j.settled.Remove(r.recordKey)
	j.count--
	j.chargeLocked(own, -r.size())
	if len(own.records) == 0 {
		delete(j.owners, r.owner)
	}
}

func (j *Journal) chargeLocked(own *ownerJournal, size int64) {
	own.bytes += size
	j.bytes += size
}

func (r *record) size() int64 { return int64(recordCost + len(r.key) + len(r.result)) }
