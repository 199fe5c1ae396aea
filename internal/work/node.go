package work

// The depths of the tree that the queue keeps of its waiters.
const (
	atLane = iota
	atTenant
	atSubject
	atSession
	depths
)

// A node is a party that shares turns with its siblings: a lane, a tenant in a
// lane, a subject of a tenant or a session of a subject. It lives while
// something waits below it, as long as its debt matters to its siblings, and
// while a turn that it was charged for lasts: to forget it sooner would make the
// party pay for that turn once more when it ends.
type node struct {
	key     string
	parent  *node
	depth   int
	weight  int64
	life    uint64   // grows when its debts are forgotten; a struct has many lives
	lane    Lane     // atLane
	account *account // atTenant: the tenant's counts over all lanes
	turns   int      // under way, and charged to this life

	// A node's place among its siblings.
	start int64 // virtual start of its next turn on the parent's clock
	seq   uint64
	where shelf
	pos   int // in the parent's heap

	// What it holds for its children.
	clock int64 // virtual start of the latest turn of a child
	kids  map[string]*node
	ready heap[*node] // kids with a waiter that may run
	idle  heap[*node] // kids without a waiter whose mark is ahead of the clock: a debt
	wide  bool        // it has had so many that it is not worth keeping their room

	waiting int        // jobs below
	fresh   int        // jobs below that wait for their first turn, helpers excepted
	jobs    jobList    // atSession: fresh jobs, first come first served
	resumed heap[*job] // atSubject: jobs that gave their turn up, the first started first
}

const (
	maxSpares = 256 // nodes kept for later lives
	wide      = 64  // children of a node that is kept
)

// shelf says which of its parent's heaps holds a node.
type shelf uint8

const (
	onNone shelf = iota // a turn is under way and nobody waits, or the tenant may not run more
	onReady
	onIdle
)

func (n *node) place() *int { return &n.pos }

// before orders siblings by virtual start, then by arrival.
func (n *node) before(o *node) bool {
	if n.start != o.start {
		return n.start < o.start
	}
	return n.seq < o.seq
}

// kid returns the child called key, or nil; a nil node has none.
func (n *node) kid(key string) *node {
	if n == nil {
		return nil
	}
	return n.kids[key]
}

// eligible reports whether a job below n may have the next free slot.
func (n *node) eligible() bool {
	switch n.depth {
	case atSession:
		return n.jobs.head != nil
	case atSubject:
		return len(n.resumed) > 0 || len(n.ready) > 0
	case atTenant:
		return len(n.ready) > 0 && !n.account.full()
	default:
		return len(n.ready) > 0
	}
}

// charge moves n's next turn by what used CPU time costs at its weight.
func (n *node) charge(used int64) { n.start += used / n.weight }

// take removes n from the heap that holds it.
func (n *node) take() {
	switch n.where {
	case onReady:
		n.parent.ready.remove(n.pos)
	case onIdle:
		n.parent.idle.remove(n.pos)
	}
	n.where = onNone
}

// drop forgets n, which nobody waits below.
func (q *queue) drop(n *node) {
	n.take()
	delete(n.parent.kids, n.key)
	q.recycle(n)
}

// forget drops all children of n. It is called when nothing waits below n:
// their debts mattered only to each other.
func (q *queue) forget(n *node) {
	for _, k := range n.kids {
		q.recycle(k)
	}
	clear(n.idle)
	n.idle, n.clock = n.idle[:0], 0
	if n.wide {
		n.kids, n.idle, n.ready, n.wide = nil, nil, nil, false
	} else {
		clear(n.kids)
	}
}

// recycle ends a life of n, which has no children, and keeps the memory for
// another one.
func (q *queue) recycle(n *node) {
	n.life++
	n.turns = 0
	n.parent, n.account, n.key = nil, nil, ""
	if len(q.spares) < maxSpares && !n.wide {
		q.spares = append(q.spares, n)
	}
}

// prune drops the idle children that the clock has caught up with.
func (q *queue) prune(n *node) {
	for len(n.idle) > 0 && n.idle[0].start <= n.clock {
		q.leave(n.idle[0])
	}
}

// leave drops n, below which nobody waits, unless a turn of it is under way: then
// it is kept off the shelves.
func (q *queue) leave(n *node) {
	if n.turns > 0 {
		n.take()
		return
	}
	q.drop(n)
}

// child returns parent's child on j's path, a new one without debt if need be.
func (q *queue) child(parent *node, j *job) *node {
	key := j.key(parent.depth + 1)
	n := parent.kids[key]
	if n == nil {
		n = q.adopt(parent, key)
	}
	switch n.depth {
	case atLane:
		n.lane, n.weight = j.lane, q.policy.laneWeights[j.lane]
	case atTenant:
		n.account = j.account
		n.weight = j.account.weight
	}
	return n
}

// adopt returns a new child of parent.
func (q *queue) adopt(parent *node, key string) *node {
	var n *node
	if last := len(q.spares) - 1; last >= 0 {
		n = q.spares[last]
		q.spares[last], q.spares = nil, q.spares[:last]
	} else {
		n = new(node)
	}
	n.key, n.parent, n.depth = key, parent, parent.depth+1
	n.start, n.weight, n.where = parent.clock, 1, onNone
	if parent.kids == nil {
		parent.kids = make(map[string]*node)
	}
	parent.kids[key] = n
	parent.wide = parent.wide || len(parent.kids) > wide
	return n
}

// find returns the node at depth on j's path.
func (q *queue) find(j *job, depth int) *node {
	n := q.root
	for n.depth < depth {
		n = q.child(n, j)
	}
	return n
}

// shelve puts n where it now belongs: with the siblings that take turns, with
// those that only have a debt, or nowhere.
func (q *queue) shelve(n *node, now int64) {
	switch {
	case n.eligible() && n.where == onReady:
		n.parent.ready.fix(n.pos)
	case n.eligible():
		n.take()
		n.start = max(n.start, n.parent.clock)
		q.seq++
		n.seq = q.seq
		n.where = onReady
		n.parent.ready.push(n)
		if n.depth == atLane {
			q.served[n.lane] = now
		}
	case n.waiting > 0: // a tenant that runs all it may
		n.take()
	case n.parent.waiting > 0 && n.start > n.parent.clock:
		n.take()
		n.where = onIdle
		n.parent.idle.push(n)
	default:
		q.leave(n)
	}
}

// shelveUp shelves n and the nodes above it, and forgets what no longer
// matters. Below n everything is in its place.
func (q *queue) shelveUp(n *node, now int64) {
	for n != q.root {
		parent := n.parent // n may be dropped
		if n.waiting == 0 {
			q.forget(n)
		}
		q.shelve(n, now)
		q.prune(parent)
		n = parent
	}
	if q.root.waiting == 0 {
		q.forget(q.root)
	}
}

// crowd is called when a tenant has begun or ended a turn. It shelves it anew if
// it has come to run all it may, or less.
func (q *queue) crowd(a *account, now int64) {
	if a.max > 0 && a.running >= a.max-1 {
		q.reshelve(a, now)
	}
}

// reshelve shelves a tenant in all lanes.
func (q *queue) reshelve(a *account, now int64) {
	for l := Interactive; l < lanes; l++ {
		lane := q.root.kid(l.String())
		if n := lane.kid(a.tenant); n != nil {
			q.shelve(n, now)
			q.shelve(lane, now)
		}
	}
}
