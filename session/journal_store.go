package session

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// resultKind is the kind of a journal's objects. The id of one is the SHA-256 of
// its key in hex; its data are a line of JSON and, after it, the result as it is.
const resultKind = "result"

// journalWrite bounds one write to the store. It does not end with the request:
// what is known of a call must be stored even if its client has gone.
const journalWrite = 10 * time.Second

// NewStoredJournal is NewJournal over a store, which it does not close. It reads
// the records of an owner when the owner is first seen. Only one journal may use
// a store at a time: it takes a call that is not its own for one cut off.
func NewStoredJournal(store Store, perOwner int, ttl time.Duration) *Journal {
	j := NewJournal(perOwner, ttl)
	j.store = store
	return j
}

// storedRecord is the first line of an object.
type storedRecord struct {
	Key     string `json:"key"`
	Digest  string `json:"digest"`
	State   string `json:"state"` // running, kept or too_long
	Session ID     `json:"session,omitempty"`
	Version uint64 `json:"version,omitempty"` // of the session when the call began
}

var storedStates = map[outcome]string{running: "running", kept: "kept", tooLong: "too_long"}

func (k recordKey) objectKey() ObjectKey {
	sum := sha256.Sum256([]byte(k.key))
	return ObjectKey{Kind: resultKind, Owner: k.owner, ID: hex.EncodeToString(sum[:])}
}

// object is a record as it is stored, with an outcome that it may not have yet.
func (r *record) object(is outcome, result []byte, expires time.Time) (Object, error) {
	head, err := json.Marshal(storedRecord{
		Key: r.key, Digest: hex.EncodeToString(r.digest[:]), State: storedStates[is], Session: r.attempt.Session, Version: r.attempt.Version,
	})
	return Object{ObjectKey: r.objectKey(), Expires: expires.UTC(), Data: slices.Concat(head, []byte{'\n'}, result)}, err
}

// restore makes the record of an object. One that was running was cut off.
func restore(o *Object) (*record, error) {
	head, result, _ := bytes.Cut(o.Data, []byte{'\n'})
	var s storedRecord
	if err := json.Unmarshal(head, &s); err != nil {
		return nil, fmt.Errorf("kept result %.16s: %w", o.ID, err)
	}
	r := &record{recordKey: recordKey{o.Owner, s.Key}, attempt: Attempt{Session: s.Session, Version: s.Version}, done: make(chan struct{}), expires: o.Expires}
	digest, err := hex.DecodeString(s.Digest)
	if err != nil || len(digest) != len(r.digest) || r.objectKey() != o.ObjectKey {
		return nil, fmt.Errorf("kept result %.16s: it is damaged", o.ID)
	}
	r.digest = [32]byte(digest)
	switch s.State {
	case storedStates[running]:
		r.outcome = cutOff
	case storedStates[kept]:
		r.outcome, r.result = kept, bytes.Clone(result)
	case storedStates[tooLong]:
		r.outcome = tooLong
	default:
		return nil, fmt.Errorf("kept result %.16s: unknown state %.16q", o.ID, s.State)
	}
	close(r.done)
	return r, nil
}

// claim returns the record of a key. first says that the caller made it, and that
// it is stored.
func (j *Journal) claim(ctx context.Context, k recordKey, digest [32]byte, at Attempt) (r *record, first bool, err error) {
	if err := j.lockLoaded(ctx, k.owner); err != nil {
		return nil, false, err
	}
	r, first, err = j.claimLocked(k, digest, at)
	dropped := j.takeDroppedLocked()
	j.mu.Unlock()
	if j.store == nil {
		return r, first, err
	}
	if e := j.bury(ctx, dropped); err == nil && e != nil {
		err = noJournal(e)
	}
	if err == nil && first {
		err = j.storeRunning(ctx, r)
	}
	if err != nil {
		if first {
			j.unclaim(r)
		}
		return nil, false, err
	}
	return r, first, nil
}

// lockLoaded locks j.mu when the owner's records are in memory. After an error it
// is not locked.
func (j *Journal) lockLoaded(ctx context.Context, o Owner) error {
	for {
		j.mu.Lock()
		if j.store == nil {
			return nil
		}
		busy := j.loading[o]
		if busy == nil {
			break
		}
		j.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if j.owners[o] != nil {
		return nil
	}
	open := j.closeOwnerLocked(o)
	j.mu.Unlock()
	records, err := j.load(ctx, o)
	j.mu.Lock()
	open()
	if err != nil {
		j.mu.Unlock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return noJournal(err)
	}
	for _, r := range records {
		if j.dying[r.recordKey] == nil {
			j.addLocked(r)
		}
	}
	for own := j.owners[o]; own != nil && (len(own.records) > j.perOwner || own.bytes > journalOwnerBytes) && j.dropOldestLocked(own); {
	}
	j.fitLocked()
	return nil
}

// closeOwnerLocked keeps every claim of an owner waiting until open is called,
// with j.mu locked.
func (j *Journal) closeOwnerLocked(o Owner) (open func()) {
	wait := make(chan struct{})
	j.loading[o] = wait
	return func() {
		delete(j.loading, o)
		close(wait)
	}
}

// load reads an owner's records, those that expire first at the front, and
// deletes what has expired.
func (j *Journal) load(ctx context.Context, o Owner) ([]*record, error) {
	now := time.Now()
	var records []*record
	var expired []ObjectKey
	for object, err := range j.store.Objects(ctx, resultKind, &o) {
		if err != nil {
			return nil, err
		}
		if !now.Before(object.Expires) {
			expired = append(expired, object.ObjectKey)
			continue
		}
		r, err := restore(&object)
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *record) int { return a.expires.Compare(b.expires) })
	if len(expired) == 0 {
		return records, nil
	}
	return records, j.store.DeleteObject(ctx, expired...)
}

// storeRunning makes durable that a call runs.
func (j *Journal) storeRunning(ctx context.Context, r *record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalWrite)
	defer cancel()
	object, err := r.object(running, nil, time.Now().Add(j.ttl))
	if err == nil {
		err = j.store.PutObject(ctx, object)
	}
	if err != nil {
		return noJournal(err)
	}
	return nil
}

// unclaim takes back a record that could not be stored.
func (j *Journal) unclaim(r *record) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.removeLocked(r)
	if r.before != nil {
		j.addLocked(r.before)
	}
	r.outcome = forgotten
	close(r.done)
}

// finish ends a running record, in the store first.
func (j *Journal) finish(ctx context.Context, r *record, result []byte) error {
	if r.ended.Swap(true) {
		return nil
	}
	expires := time.Now().Add(j.ttl)
	if j.store == nil {
		j.settle(r, result, expires)
		return nil
	}
	write, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalWrite)
	defer cancel()
	err := j.storeOutcome(write, r, result, expires)
	j.settle(r, result, expires)
	j.mu.Lock()
	dropped := j.takeDroppedLocked()
	j.mu.Unlock()
	if err = errors.Join(err, j.bury(ctx, dropped)); err != nil {
		return noJournal(err)
	}
	return nil
}

func (j *Journal) storeOutcome(ctx context.Context, r *record, result []byte, expires time.Time) error {
	is := kept
	switch {
	case result == nil:
		return j.store.DeleteObject(ctx, r.objectKey())
	case len(result) > MaxJournalResult:
		is, result = tooLong, nil
	}
	object, err := r.object(is, result, expires)
	if err != nil {
		return err
	}
	return j.store.PutObject(ctx, object)
}

func (j *Journal) takeDroppedLocked() []*record {
	dropped := j.dropped
	j.dropped = nil
	return dropped
}

// bury deletes dropped records from the store and lets their keys be claimed.
func (j *Journal) bury(ctx context.Context, dropped []*record) error {
	if len(dropped) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), journalWrite)
	defer cancel()
	keys := make([]ObjectKey, len(dropped))
	for i, r := range dropped {
		keys[i] = r.objectKey()
	}
	err := j.store.DeleteObject(ctx, keys...)
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range dropped {
		delete(j.dying, r.recordKey)
		close(r.done)
	}
	return err
}

// Sweep deletes up to limit expired records from memory and store, and returns
// how many of the store's it deleted. Those of owners who are in memory go when
// they next use a key.
func (j *Journal) Sweep(ctx context.Context, limit int) (deleted int, err error) {
	j.mu.Lock()
	j.expireLocked(time.Now())
	dropped := j.takeDroppedLocked()
	j.mu.Unlock()
	if j.store == nil {
		return 0, nil
	}
	if err := j.bury(ctx, dropped); err != nil {
		return 0, err
	}
	_, keys, err := j.store.Expired(ctx, time.Now(), limit)
	if err != nil {
		return len(dropped), err
	}
	byOwner := make(map[Owner][]ObjectKey)
	for _, k := range keys {
		if k.Kind == resultKind {
			byOwner[k.Owner] = append(byOwner[k.Owner], k)
		}
	}
	deleted = len(dropped)
	for o, keys := range byOwner {
		n, err := j.sweepOwner(ctx, o, keys)
		if deleted += n; err != nil {
			return deleted, err
		}
	}
	return deleted, nil
}

// sweepOwner deletes an owner's objects if they are still expired. While it does,
// the owner claims nothing.
func (j *Journal) sweepOwner(ctx context.Context, o Owner, keys []ObjectKey) (deleted int, err error) {
	j.mu.Lock()
	if j.owners[o] != nil || j.loading[o] != nil {
		j.mu.Unlock()
		return 0, nil
	}
	open := j.closeOwnerLocked(o)
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		open()
		j.mu.Unlock()
	}()
	var expired []ObjectKey
	for _, k := range keys {
		object, err := j.store.LoadObject(ctx, k)
		if err == nil && !time.Now().Before(object.Expires) {
			expired = append(expired, k)
		} else if err != nil && !errors.Is(err, ErrNoRecord) {
			return 0, err
		}
	}
	return len(expired), j.store.DeleteObject(ctx, expired...)
}

// noJournal says that a call with a key cannot be executed, or its result not be
// kept, because the store fails.
func noJournal(err error) error {
	e := busy(fault.Unavailable, "idempotency_unavailable", "what is known of calls with an idempotency key cannot be stored or read at the moment: retry")
	e.Err = err
	return e
}
