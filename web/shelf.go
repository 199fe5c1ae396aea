package web

import (
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"
)

// shelf keeps values under unguessable keys until they expire. It is bounded:
// when it is full, what expires first makes room.
type shelf[T any] struct {
	most int

	mu    sync.Mutex
	items map[string]item[T]
}

type item[T any] struct {
	value   T
	expires time.Time
}

func newShelf[T any](most int) *shelf[T] { return &shelf[T]{most: most, items: map[string]item[T]{}} }

// put keeps v until expires and returns its key, 256 random bits.
func (s *shelf[T]) put(v T, expires time.Time) string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
	key := base64.RawURLEncoding.EncodeToString(b[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.items) >= s.most {
		s.makeRoomLocked()
	}
	s.items[key] = item[T]{v, expires}
	return key
}

func (s *shelf[T]) makeRoomLocked() {
	now := time.Now()
	oldest := ""
	for k, it := range s.items {
		if !it.expires.After(now) {
			delete(s.items, k)
		} else if oldest == "" || it.expires.Before(s.items[oldest].expires) {
			oldest = k
		}
	}
	if len(s.items) >= s.most {
		delete(s.items, oldest)
	}
}

// get returns the value under key, unless it has expired.
func (s *shelf[T]) get(key string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it, ok := s.items[key]
	if ok && !it.expires.After(time.Now()) {
		delete(s.items, key)
		ok = false
	}
	if !ok {
		var none T
		return none, false
	}
	return it.value, true
}

// take is get, once.
func (s *shelf[T]) take(key string) (T, bool) {
	v, ok := s.get(key)
	s.drop(key)
	return v, ok
}

func (s *shelf[T]) drop(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.items, key)
}
