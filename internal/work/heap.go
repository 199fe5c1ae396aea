package work

// heap is a binary min-heap whose members know their place, so that any of
// them can be moved or removed in O(log n).
type heap[T member[T]] []T

// member is what a heap of T needs of T.
type member[T any] interface {
	before(T) bool
	place() *int // where the member keeps its position; -1 is outside
}

var (
	_ member[*node]    = (*node)(nil)
	_ member[*job]     = (*job)(nil)
	_ member[*account] = (*account)(nil)
)

func (h *heap[T]) push(x T) {
	*x.place() = len(*h)
	*h = append(*h, x)
	h.up(len(*h) - 1)
}

// remove takes out the member at position i.
func (h *heap[T]) remove(i int) T {
	old := *h
	last := len(old) - 1
	gone := old[i]
	if i != last {
		h.swap(i, last)
	}
	var zero T
	old[last] = zero
	*h = old[:last]
	if i != last {
		h.fix(i)
	}
	*gone.place() = -1
	return gone
}

// fix restores the order after the member at position i has changed.
func (h heap[T]) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h heap[T]) swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	*h[i].place(), *h[j].place() = i, j
}

func (h heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h[i].before(h[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h heap[T]) down(i int) (moved bool) {
	for {
		least := 2*i + 1
		if least >= len(h) {
			return moved
		}
		if right := least + 1; right < len(h) && h[right].before(h[least]) {
			least = right
		}
		if !h[least].before(h[i]) {
			return moved
		}
		h.swap(i, least)
		i, moved = least, true
	}
}
