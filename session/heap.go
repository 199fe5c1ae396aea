package session

import "container/heap"

// weighty is what heaviest ranks.
type weighty interface {
	comparable
	weight() int
	setPlace(int) // told where it stands after each move
}

// heaviest is a max-heap by weight that can also find the heaviest element
// with a property without sorting. It has no lock.
type heaviest[T weighty] struct{ items []T }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *heaviest[T]) Len() int           { return len(h.items) }
func (h *heaviest[T]) Less(i, j int) bool { return h.items[i].weight() > h.items[j].weight() }
func (h *heaviest[T]) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].setPlace(i)
	h.items[j].setPlace(j)
}

func (h *heaviest[T]) Push(x any) {
	v := x.(T)
	v.setPlace(len(h.items))
	h.items = append(h.items, v)
}

func (h *heaviest[T]) Pop() any {
	n := len(h.items) - 1
	v := h.items[n]
	var zero T
	h.items[n] = zero
	h.items = slimSlice(h.items[:n])
	return v
}

func (h *heaviest[T]) push(v T)     { heap.Push(h, v) }
func (h *heaviest[T]) remove(i int) { heap.Remove(h, i) }
func (h *heaviest[T]) fix(i int)    { heap.Fix(h, i) }

// find returns the heaviest element for which ok holds. It visits only elements
// that are heavier than the answer, and their children.
func (h *heaviest[T]) find(ok func(T) bool) (best T, found bool) {
	var visit func(i int)
	visit = func(i int) {
		if i >= len(h.items) {
			return
		}
		v := h.items[i]
		if found && v.weight() <= best.weight() {
			return // and so is everything below it
		}
		if ok(v) {
			best, found = v, true
			return
		}
		visit(2*i + 1)
		visit(2*i + 2)
	}
	visit(0)
	return best, found
}

// deadlines is a min-heap of sessions by due, the earliest moment at which the
// sweeper must look at them. due is a lower bound: a call that slides the idle
// TTL leaves it alone, and the sweeper puts the session back with a later one.
type deadlines struct{ items []*entry }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (h *deadlines) Len() int           { return len(h.items) }
func (h *deadlines) Less(i, j int) bool { return h.items[i].due < h.items[j].due }
func (h *deadlines) Swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.items[i].place, h.items[j].place = int32(i), int32(j)
}

func (h *deadlines) Push(x any) {
	e := x.(*entry)
	e.place = int32(len(h.items))
	h.items = append(h.items, e)
}

func (h *deadlines) Pop() any {
	n := len(h.items) - 1
	e := h.items[n]
	h.items[n] = nil
	h.items = slimSlice(h.items[:n])
	e.place = noPlace
	return e
}

const noPlace = -1

func (h *deadlines) push(e *entry) { heap.Push(h, e) }

func (h *deadlines) first() *entry {
	if len(h.items) == 0 {
		return nil
	}
	return h.items[0]
}

func (h *deadlines) remove(e *entry) {
	if e.place != noPlace {
		heap.Remove(h, int(e.place))
	}
}

// set moves e to the moment due.
func (h *deadlines) set(e *entry, due moment) {
	e.due = due
	heap.Fix(h, int(e.place))
}
