package web

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"
)

// Bounds of what is remembered.
const (
	maxLogins   = 1000 // begun and not finished
	maxVisitors = 1000 // logged in
	maxNotes    = 1000 // why sessions were ended
	loginTTL    = 10 * time.Minute
	noteTTL     = 10 * time.Minute
)

// shelf remembers values by name until their time is over. When it is full, what
// was put there first makes room. It keeps a digest of each name and not the
// name, so that nothing in memory opens anything.
type shelf[V any] struct {
	limit int

	mu sync.Mutex
	// Owned by mu.
	items map[[sha256.Size]byte]*list.Element
	order *list.List // of item[V], oldest first
}

type item[V any] struct {
	key   [sha256.Size]byte
	value V
	until time.Time
}

func newShelf[V any](limit int) *shelf[V] {
	return &shelf[V]{limit: limit, items: make(map[[sha256.Size]byte]*list.Element), order: list.New()}
}

// newName returns a name that nobody guesses: 256 random bits.
func newName() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails
	return base64.RawURLEncoding.EncodeToString(b)
}

// put adds or replaces, and returns what had to go for it.
func (s *shelf[V]) put(name string, value V, until, now time.Time) (gone []V) {
	key := sha256.Sum256([]byte(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.items[key]; e != nil {
		gone = append(gone, s.removeLocked(e))
	}
	for e := s.order.Front(); e != nil && (s.order.Len() >= s.limit || !now.Before(e.Value.(item[V]).until)); e = s.order.Front() {
		gone = append(gone, s.removeLocked(e))
	}
	s.items[key] = s.order.PushBack(item[V]{key, value, until})
	return gone
}

// get returns the value of that name, unless its time is over.
func (s *shelf[V]) get(name string, now time.Time) (value V, ok bool) {
	key := sha256.Sum256([]byte(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[key]
	if e == nil || !now.Before(e.Value.(item[V]).until) {
		return value, false
	}
	return e.Value.(item[V]).value, true
}

// take removes what has that name, and returns it unless its time is over.
func (s *shelf[V]) take(name string, now time.Time) (value V, ok bool) {
	key := sha256.Sum256([]byte(name))
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.items[key]
	if e == nil {
		return value, false
	}
	until := e.Value.(item[V]).until
	return s.removeLocked(e), now.Before(until)
}

func (s *shelf[V]) removeLocked(e *list.Element) V {
	it := s.order.Remove(e).(item[V])
	delete(s.items, it.key)
	return it.value
}
