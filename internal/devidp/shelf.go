package devidp

import (
	"container/list"
	"time"
)

// shelf remembers values by key until their time is over. When it is full, the
// one that was put there first makes room. It has no lock of its own.
type shelf[V any] struct {
	limit int
	items map[string]*list.Element
	order *list.List // of item[V], oldest first
}

type item[V any] struct {
	key   string
	value V
	until time.Time
}

func newShelf[V any](limit int) *shelf[V] {
	return &shelf[V]{limit: limit, items: make(map[string]*list.Element), order: list.New()}
}

// put adds or replaces.
func (s *shelf[V]) put(key string, value V, until, now time.Time) {
	s.remove(key)
	for e := s.order.Front(); e != nil && (s.order.Len() >= s.limit || !now.Before(e.Value.(item[V]).until)); e = s.order.Front() {
		s.remove(e.Value.(item[V]).key)
	}
	s.items[key] = s.order.PushBack(item[V]{key, value, until})
}

func (s *shelf[V]) get(key string, now time.Time) (value V, ok bool) {
	e, ok := s.items[key]
	if !ok {
		return value, false
	}
	it := e.Value.(item[V])
	if !now.Before(it.until) {
		s.remove(key)
		return value, false
	}
	return it.value, true
}

func (s *shelf[V]) remove(key string) {
	if e, ok := s.items[key]; ok {
		s.order.Remove(e)
		delete(s.items, key)
	}
}

func (s *shelf[V]) len() int { return s.order.Len() }
