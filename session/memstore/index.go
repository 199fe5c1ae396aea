package memstore

import (
	"container/heap"
	"time"
)

// index is a heap of what expires, the first to expire on top. Whoever holds
// the store's lock owns it.
type index[T any] []*item[T]

// item is one place in an index.
type item[T any] struct {
	value T
	at    time.Time
	pos   int
}

// set moves v to another time and returns its place: a new one if it was nil,
// nil if t is zero, which is never. It costs the logarithm of the size.
func (x *index[T]) set(it *item[T], v T, t time.Time) *item[T] {
	switch {
	case t.IsZero():
		if it != nil {
			heap.Remove(x, it.pos)
		}
		return nil
	case it == nil:
		it = &item[T]{value: v, at: t}
		heap.Push(x, it)
	default:
		it.at = t
		heap.Fix(x, it.pos)
	}
	return it
}

// before returns up to limit values whose time lies before t, in order. It
// walks down from the top, the earliest branch first, so that it costs
// n·log n of the n that it returns, not of all.
func (x index[T]) before(t time.Time, limit int) []T {
	var out []T
	var edge index[int] // places in x whose parents are taken
	add := func(pos int) {
		if pos < len(x) && x[pos].at.Before(t) {
			heap.Push(&edge, &item[int]{value: pos, at: x[pos].at})
		}
	}
	add(0)
	for len(edge) > 0 && len(out) < limit {
		pos := heap.Pop(&edge).(*item[int]).value
		out = append(out, x[pos].value)
		add(2*pos + 1)
		add(2*pos + 2)
	}
	return out
}

// Len, Less, Swap, Push and Pop are for package heap.
func (x index[T]) Len() int           { return len(x) }
func (x index[T]) Less(i, j int) bool { return x[i].at.Before(x[j].at) }
func (x index[T]) Swap(i, j int) {
	x[i], x[j] = x[j], x[i]
	x[i].pos, x[j].pos = i, j
}

func (x *index[T]) Push(v any) {
	it := v.(*item[T])
	it.pos = len(*x)
	*x = append(*x, it)
}

func (x *index[T]) Pop() any {
	old := *x
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*x = old[:len(old)-1]
	return it
}
