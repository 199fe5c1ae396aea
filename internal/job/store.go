package job

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/lyceum-mcp/lyceum/session"
)

// Store keeps records. Its contract is the suite jobtest.Run. Methods may be
// called from any goroutine; those for one key are called one after the other.
type Store interface {
	// Put creates or replaces the record with r's owner and id. It is durable
	// when Put returns nil, and nothing of r is kept that the caller can change.
	// After an error the record is the old or the new one.
	Put(ctx context.Context, r Record) error
	// Delete removes a record. A record that is not there is no error.
	Delete(ctx context.Context, owner session.Owner, id ID) error
	// All yields every record, byte for byte what was put, in any order. What is
	// put or deleted meanwhile may or may not show. The first error ends it. The
	// body of the loop must not use the store.
	All(ctx context.Context) iter.Seq2[Record, error]
}

type key struct {
	owner session.Owner
	id    ID
}

// MemoryStore is a Store that lives as long as the process. It is what a server
// without a data directory uses.
type MemoryStore struct {
	mu      sync.Mutex
	records map[key]Record // owned by mu; a record in it is never changed
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore { return &MemoryStore{records: make(map[key]Record)} }

// Put implements Store.
func (s *MemoryStore) Put(ctx context.Context, r Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r = r.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key{r.Owner, r.ID}] = r
	return nil
}

// Delete implements Store.
func (s *MemoryStore) Delete(ctx context.Context, owner session.Owner, id ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.records, key{owner, id})
	return nil
}

// All implements Store. It yields what is there when the loop begins, ordered
// by id.
func (s *MemoryStore) All(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for _, r := range s.list() {
			if err := ctx.Err(); err != nil {
				yield(Record{}, err)
				return
			}
			if !yield(r.Clone(), nil) {
				return
			}
		}
	}
}

func (s *MemoryStore) list() []Record {
	s.mu.Lock()
	all := make([]Record, 0, len(s.records))
	for _, r := range s.records {
		all = append(all, r)
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Record) int {
		return cmp.Or(strings.Compare(string(a.ID), string(b.ID)), compareOwners(a.Owner, b.Owner))
	})
	return all
}

func compareOwners(a, b session.Owner) int {
	return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Issuer, b.Issuer), strings.Compare(a.Subject, b.Subject))
}
