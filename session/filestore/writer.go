package filestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

const (
	maxBatch      = 512      // requests in one commit
	maxBatchBytes = 16 << 20 // begin no further request in one commit after these
)

// request is one caller's write. The writer answers it once.
type request struct {
	// plan reads what the request depends on, as earlier requests of the batch
	// left it, and returns the writes. It is called again if the batch has to be
	// tried again. An error of plan refuses this request and no other.
	plan func(*txn) (write func() error, err error)
	// alone is called instead between two commits.
	alone func() error
	size  int
	grows bool       // it stores size more bytes, for which there must be room
	done  chan error // of one place, so that the writer never waits
}

var errClosed = fault.Newf(fault.Unavailable, "the session store is closed")

// submit hands a request to the writer and waits for the answer. When ctx ends
// first the request may still be done.
func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.done = make(chan error, 1)
	select {
	case <-s.quit:
		return errClosed
	default:
	}
	select {
	case s.requests <- r:
	case <-s.quit:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write is the writer. Nothing waits in the channel, so that what it has taken
// is all there is to answer when quit is closed.
func (s *Store) write() {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
			s.tidy()
		case r := <-s.requests:
			batch, next := s.gather(r)
			s.commit(batch)
			if next != nil {
				next.done <- guard(next.alone)
			}
		}
	}
}

// gather takes what is waiting already, up to a request that must be alone.
func (s *Store) gather(r *request) (batch []*request, next *request) {
	size := 0
	for {
		if r.alone != nil {
			return batch, r
		}
		batch = append(batch, r)
		size += r.size
		if len(batch) == maxBatch || size >= maxBatchBytes {
			return batch, nil
		}
		select {
		case r = <-s.requests:
		default:
			return batch, nil
		}
	}
}

// commit writes a batch and answers its requests. If the batch fails as a whole
// each request gets a commit of its own, so that one that is too large for the
// space that is left fails alone.
func (s *Store) commit(batch []*request) {
	if len(batch) == 0 {
		return
	}
	answers := make([]error, len(batch))
	err := s.try(batch, answers)
	if err != nil && len(batch) > 1 && s.broken == nil {
		for i := range batch {
			if err := s.try(batch[i:i+1], answers[i:i+1]); err != nil {
				answers[i] = s.writeError(err)
			}
			batch[i].done <- answers[i]
		}
		return
	}
	for i, r := range batch {
		if err != nil {
			answers[i] = s.writeError(err)
		}
		r.done <- answers[i]
	}
}

// try is one transaction. answers gets the refusals of single requests; an
// error means that nothing of the batch is stored, unless broken is set.
func (s *Store) try(batch []*request, answers []error) error {
	if s.broken != nil {
		return s.broken
	}
	var id int
	t := &txn{v: s.vault}
	err := guard(func() error {
		tx, err := s.db.Load().Begin(true)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // of a committed one it does nothing
		t.Tx, id = tx, tx.ID()
		writes := 0
		for i, r := range batch {
			if r.grows && !s.room(t, r.size) {
				answers[i] = s.writeError(errFull)
				continue
			}
			write, err := r.plan(t)
			answers[i] = err
			if err != nil || write == nil {
				continue
			}
			if r.grows {
				t.added += r.size
			}
			if err := write(); err != nil {
				return err
			}
			writes++
		}
		if writes == 0 {
			return nil
		}
		return tx.Commit()
	})
	if err != nil {
		if id > 0 && s.committed() >= id {
			// The last step of a commit failed: the file shows it, the disk may not
			// have it. Only the disk knows, after it is read again.
			s.broken = fmt.Errorf("a commit may be incomplete, open the store again: %w", err)
			return s.broken
		}
		return err
	}
	s.sessions.Add(int64(t.sessions))
	s.objects.Add(int64(t.objects))
	return nil
}

var errFull = errors.New("MaxBytes are used up")

// room reports whether size more bytes keep within the limit.
func (s *Store) room(t *txn, size int) bool {
	if s.maxBytes <= 0 {
		return true
	}
	used := t.Size() - freePages(s.db.Load())*s.pageSize
	return used+int64(t.added)+int64(size) <= s.maxBytes
}

// committed returns the number of the last commit that readers see.
func (s *Store) committed() (id int) {
	_ = guard(func() error {
		return s.db.Load().View(func(tx *bolt.Tx) error { id = tx.ID(); return nil })
	})
	return id
}

// writeError classifies why a commit failed.
func (s *Store) writeError(err error) error {
	if isFull(err) {
		return fault.Wrap(fault.Unavailable, fmt.Errorf("write %s: %w; make room on its disk, the store then goes on by itself", s.path, err), "the session store has no space left")
	}
	return fault.Wrap(fault.Unavailable, fmt.Errorf("write %s: %w", s.path, err), "the session store cannot be written")
}

// isFull reports whether err says that there is no room on the disk. bbolt keeps
// only the text of some errors.
func isFull(err error) bool {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, errFull} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) {
			return true
		}
	}
	return false
}
