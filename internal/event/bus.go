// Package event delivers typed events in process and drops them for slow listeners.
//
// It is for what people watch: a page, an alert, a test. What must not be lost
// is written by a direct call that can fail, never published here.
package event

import (
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
)

// Buffer is how many events one subscriber may lag behind before it misses
// some.
const Buffer = 256

// Bus hands every published event to every subscriber that has room for it.
// The zero Bus is ready to use; it must not be copied after its first use.
type Bus[T any] struct {
	dropped atomic.Uint64

	// subs is replaced as a whole under mu and read without it, so that
	// Publish takes no lock.
	subs atomic.Pointer[[]*subscriber[T]]
	mu   sync.Mutex
}

type subscriber[T any] struct {
	events chan T // never closed: a publisher may still hold an old list
}

// Publish offers v to all subscribers and never blocks. A subscriber whose
// buffer is full misses v. The events of one publisher arrive in their order.
// It costs one channel send a subscriber, nothing without any.
func (b *Bus[T]) Publish(v T) {
	subs := b.subs.Load()
	if subs == nil {
		return
	}
	for _, s := range *subs {
		select {
		case s.events <- v:
		default:
			b.dropped.Add(1)
		}
	}
}

// Subscribe listens from now on until ctx ends or the loop over the returned
// sequence is left, whichever comes first. The sequence is for one loop in one
// goroutine: a second loop over it gets nothing. Events that wait in the buffer
// when ctx ends are not delivered.
func (b *Bus[T]) Subscribe(ctx context.Context) iter.Seq[T] {
	s := &subscriber[T]{events: make(chan T, Buffer)}
	b.add(s)
	// A sequence that nobody ever ranges over must not stay subscribed.
	stop := context.AfterFunc(ctx, func() { b.remove(s) })
	var used atomic.Bool
	return func(yield func(T) bool) {
		if used.Swap(true) {
			return
		}
		defer func() {
			stop()
			b.remove(s)
		}()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
			case v := <-s.events:
				if !yield(v) {
					return
				}
			}
		}
	}
}

// Dropped returns how many deliveries were missed so far, over all subscribers
// there ever were.
func (b *Bus[T]) Dropped() uint64 { return b.dropped.Load() }

// Subscribers returns how many listen now.
func (b *Bus[T]) Subscribers() int {
	if subs := b.subs.Load(); subs != nil {
		return len(*subs)
	}
	return 0
}

func (b *Bus[T]) add(s *subscriber[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var subs []*subscriber[T]
	if old := b.subs.Load(); old != nil {
		subs = slices.Clone(*old)
	}
	subs = append(subs, s)
	b.subs.Store(&subs)
}

// remove forgets s; forgetting it twice is fine.
func (b *Bus[T]) remove(s *subscriber[T]) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.subs.Load()
	i := slices.Index(*old, s)
	if i < 0 {
		return
	}
	subs := slices.Delete(slices.Clone(*old), i, i+1)
	b.subs.Store(&subs)
}
