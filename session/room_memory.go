package session

import (
	"maps"
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// minRoom is how many elements a container may have held without it being worth
// making a smaller one.
const minRoom = 64

// A map and a slice keep the room that they once needed. A server that has seen
// a flood would hold it for ever, so what holds sessions is made anew when it
// has shrunk to a quarter: then the copies cost amortised constant time a
// removal.

// slack follows how much a container once held. It is called after a removal
// with what is left, and reports whether it is time for a smaller one.
type slack struct{ most int }

func (s *slack) after(left int) bool {
	s.most = max(s.most, left+1)
	if s.most < minRoom || left > s.most/4 {
		return false
	}
	s.most = left
	return true
}

// slimMap returns m, or a copy of it that is no larger than it must be.
func slimMap[K comparable, V any](m map[K]V, s *slack) map[K]V {
	if !s.after(len(m)) {
		return m
	}
	slim := make(map[K]V, len(m))
	maps.Copy(slim, m)
	return slim
}

// slimLRU is slimMap for a cache of that size: its order stays.
func slimLRU[K comparable, V any](c *simplelru.LRU[K, V], s *slack, size int) *simplelru.LRU[K, V] {
	if !s.after(c.Len()) {
		return c
	}
	slim, err := simplelru.NewLRU[K, V](size, nil)
	if err != nil {
		panic(err) // only for a size below 1, which c had not
	}
	for _, k := range c.Keys() { // oldest first
		if v, ok := c.Peek(k); ok {
			slim.Add(k, v)
		}
	}
	return slim
}

// slimSlice returns s, or a copy with half the room if three quarters are empty.
func slimSlice[T any](s []T) []T {
	if cap(s) < minRoom || len(s) > cap(s)/4 {
		return s
	}
	return append(slices.Grow([]T(nil), cap(s)/2), s...)
}
