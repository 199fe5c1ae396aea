package work

import (
	"cmp"
	"maps"
	"slices"
)

// A queue decides who gets the next free slot. It is pure: it reads no clock,
// takes no lock and starts nothing. Times are nanoseconds on any clock that
// does not run backwards. Push, pop and remove are O(log n) in the number of
// waiting siblings at each of four depths.
//
// The waiters form a tree of lanes, tenants, subjects and sessions. At each
// depth the child with the least virtual start gets the turn: start-time fair
// queueing (Goyal, Vin and Cheng 1996), in a hierarchy as in Bennett and Zhang
// 1996. A turn moves the child's virtual start by its cost over its weight: by
// the expected cost when the turn begins, corrected by what was really used
// when it ends. A child that comes back from idling starts at its parent's
// clock or at its own mark, whichever is later: it banks no credit, and it
// cannot shed a debt by going away. Debts are kept only while somebody waits
// whom they could matter to, so an idle queue holds nothing.
//
// A job that gave up its turn is resumed before any fresh job of its subject,
// the first started first: calls of one subject finish one after another,
// while other subjects and tenants still get their turns.
type queue struct {
	policy policy

	root     *node
	served   [lanes]int64 // when a lane began to wait or had its latest turn
	counts   [lanes]counts
	accounts map[string]*account // tenants with a job, by name, and warm
	warm     *account            // without a job; kept for a tenant that calls again and again
	spare    *account            // deleted
	spares   []*node             // dropped nodes
	arrivals jobList             // fresh jobs of all lanes, the oldest first
	heaviest heap[*account]      // tenants with fresh jobs, the most for its weight first
	slots    jobList             // running jobs
	seq      uint64              // order of becoming ready
	starts   uint64              // order of first turns
	running  int
}

// policy is the part of Config that the queue needs.
type policy struct {
	laneWeights [lanes]int64
	tenants     map[string]int // weights that differ from DefaultTenantWeight
	maxRunning  int            // jobs of one tenant on slots; 0 is no bound
	maxSubject  int            // fresh jobs of one subject in one lane
	maxTenant   int            // fresh jobs of one tenant in one lane
	maxQueued   int            // fresh jobs in all
	ageBatch    int64
	quantum     int64 // longest turn while others wait
}

// weight returns the weight of a tenant.
func (p *policy) weight(tenant string) int64 {
	return int64(cmp.Or(p.tenants[tenant], DefaultTenantWeight))
}

type counts struct{ running, fresh, helpers, resuming int }

// state is where a job is.
type state uint8

const (
	outside  state = iota
	waiting        // for its first turn
	running        // on a slot
	resuming       // for its next turn
)

// A job is one call's place in the queue.
type job struct {
	tenant, subject, session string
	lane                     Lane
	cost                     int64 // expected CPU time of the next turn
	helper                   bool  // works for a running call, see Fan; no bound counts it

	// Owned by the queue.
	state   state
	account *account
	home    *node          // the session or subject that holds a waiting job
	since   int64          // when it began to wait
	started uint64         // order of its first turn
	pos     int            // in home.resumed
	link    [links]link    // in the lists that hold it
	charged int64          // what its turn was charged when it began,
	path    [depths]*node  // to whom,
	lives   [depths]uint64 // and in which of their lives

	owner *Ticket // the queue never looks at it
}

func (j *job) place() *int        { return &j.pos }
func (j *job) before(o *job) bool { return j.started < o.started }

// key returns the name of j's node at a depth.
func (j *job) key(depth int) string {
	return [depths]string{j.lane.String(), j.tenant, j.subject, j.session}[depth]
}

func newQueue(p policy) *queue {
	return &queue{
		policy:   p,
		root:     &node{depth: -1},
		accounts: make(map[string]*account),
		arrivals: jobList{which: inArrivals},
		slots:    jobList{which: inSlots},
	}
}

// reform makes p the policy. Waiters keep their places, and marks of virtual time
// theirs; a turn under way is settled at the new weight, which is at most a
// quantum off. It costs O(n log n) in the number of active tenants.
func (q *queue) reform(p policy, now int64) {
	q.policy = p
	for _, lane := range q.root.kids {
		lane.weight = p.laneWeights[lane.lane]
		for name, tenant := range lane.kids {
			tenant.weight = p.weight(name)
		}
	}
	for name, a := range q.accounts {
		a.max, a.weight = p.maxRunning, p.weight(name)
	}
	for i := len(q.heaviest)/2 - 1; i >= 0; i-- {
		q.heaviest.down(i)
	}
	for _, name := range slices.Sorted(maps.Keys(q.accounts)) {
		q.reshelve(q.accounts[name], now)
	}
}

// full returns the bound that keeps j from waiting, or admitted.
func (q *queue) full(j *job) refusal {
	tenant := q.root.kid(j.lane.String()).kid(j.tenant)
	if subject := tenant.kid(j.subject); subject != nil && subject.fresh >= q.policy.maxSubject {
		return subjectQueueFull
	}
	if tenant != nil && tenant.fresh >= q.policy.maxTenant {
		return tenantQueueFull
	}
	if q.root.fresh >= q.policy.maxQueued {
		return queueFull
	}
	return admitted
}

// start puts j on a slot at once if its tenant may run more. The caller knows
// that a slot is free, and hence that no eligible job waits. Nobody is charged:
// if somebody waits when the turn ends, all of it is charged then.
func (q *queue) start(j *job, now int64) bool {
	j.account = q.open(j.tenant)
	if j.account.full() {
		q.close(j.account)
		return false
	}
	q.run(j)
	q.crowd(j.account, now)
	return true
}

// push makes j wait for its first turn.
func (q *queue) push(j *job, now int64) {
	j.account = q.open(j.tenant)
	j.state, j.since = waiting, now
	q.hook(j, q.find(j, atSession), now)
}

// pop puts the next job on a slot, or returns nil if none may run.
func (q *queue) pop(now int64) *job {
	lane, aged := q.nextLane(now)
	if lane == nil {
		return nil
	}
	subject := lane.ready[0].ready[0]
	var j *job
	if len(subject.resumed) > 0 {
		j = subject.resumed[0]
	} else {
		j = subject.ready[0].jobs.head
	}
	session := q.find(j, atSession)
	q.unhook(j)
	q.charge(j, session, aged)
	q.served[j.lane] = now
	q.run(j)
	q.shelveUp(session, now)
	q.crowd(j.account, now)
	return j
}

// remove takes a waiting or resuming job out. It is charged nothing.
func (q *queue) remove(j *job, now int64) {
	n := j.home
	q.unhook(j)
	j.state = outside
	q.shelveUp(n, now)
	q.close(j.account)
}

// yield takes j, which ran for used, off its slot and makes it wait for its
// next turn in lane.
func (q *queue) yield(j *job, used, now int64, lane Lane) {
	q.settle(j, used, now)
	q.stop(j)
	a := j.account
	q.back(j, now, lane)
	q.crowd(a, now)
}

// back makes j, which has had a turn and is done, wait for another one in lane.
func (q *queue) back(j *job, now int64, lane Lane) {
	j.account, j.lane = q.open(j.tenant), lane
	j.state, j.since = resuming, now
	q.hook(j, q.find(j, atSubject), now)
}

// done takes j, which ran for used, off its slot for good.
func (q *queue) done(j *job, used, now int64) {
	q.settle(j, used, now)
	q.stop(j)
	j.state = outside
	q.crowd(j.account, now)
	q.close(j.account)
}

// nextLane returns the lane that gets the next turn, or nil if no job may run:
// the one whose turn would end first in virtual time, the more urgent of
// equals. By the end and not by the start, because a lane of little weight has
// to wait for its share before it gets it, not after. A batch lane that went
// without a turn for ageBatch comes first (aged).
func (q *queue) nextLane(now int64) (lane *node, aged bool) {
	var least int64
	var batch *node
	for _, n := range q.root.ready {
		end := n.start + q.policy.quantum/n.weight
		if lane == nil || end < least || end == least && urgency[n.lane] < urgency[lane.lane] {
			lane, least = n, end
		}
		if n.lane == Batch {
			batch = n
		}
	}
	if batch != nil && batch != lane && now-q.served[Batch] >= q.policy.ageBatch {
		return batch, true
	}
	return lane, false
}

// charge makes j's path pay for the turn that begins and moves the clocks.
func (q *queue) charge(j *job, session *node, aged bool) {
	j.charged = j.cost
	for n := session; n != q.root; n = n.parent {
		j.path[n.depth], j.lives[n.depth] = n, n.life
		clock := n.start
		n.turns++
		n.charge(j.charged)
		switch {
		case n.depth == atSession:
			// Clients can mint sessions without end, and each would begin at
			// the clock, before those that have had a turn. So this clock goes
			// to the end of the turn (self-clocked fair queueing, Golestani
			// 1994) and newcomers line up behind the sessions that wait.
			clock = n.start
		case n.depth == atLane && aged:
			continue // a turn out of order says nothing about the others
		}
		n.parent.clock = max(n.parent.clock, clock)
	}
}

// settle corrects the charge of j's turn to what it used, at each depth where
// somebody waits whom that matters to.
func (q *queue) settle(j *job, used, now int64) {
	parent := q.root
	for depth := 0; depth < depths && parent.waiting > 0; depth++ {
		n, due := j.path[depth], used-j.charged
		if n == nil || n.life != j.lives[depth] {
			n, due = q.child(parent, j), used // the charge has been forgotten
		} else {
			n.turns--
		}
		n.charge(due)
		q.shelve(n, now)
		parent = n
	}
	if j.path[0] != nil {
		j.path, j.charged = [depths]*node{}, 0
	}
}

// run counts j as running, stop as not running.
func (q *queue) run(j *job) {
	if j.state != resuming {
		q.starts++
		j.started = q.starts
	}
	j.state = running
	q.running++
	q.slots.pushBack(j)
	q.count(j, 1)
}

func (q *queue) stop(j *job) {
	q.count(j, -1)
	q.slots.remove(j)
	q.running--
}

// hook puts a waiting or resuming job into its lists, unhook takes it out.
func (q *queue) hook(j *job, home *node, now int64) {
	j.home = home
	if j.state == waiting {
		home.jobs.pushBack(j)
	} else {
		home.resumed.push(j)
	}
	fresh := 0
	if j.state == waiting && !j.helper {
		fresh = 1
		q.arrivals.pushBack(j)
		j.account.queued.pushBack(j)
	}
	for n := home; n != nil; n = n.parent {
		n.waiting++
		n.fresh += fresh
	}
	q.count(j, 1)
	q.weigh(j.account)
	q.shelveUp(home, now)
}

func (q *queue) unhook(j *job) {
	if j.state == waiting {
		j.home.jobs.remove(j)
	} else {
		j.home.resumed.remove(j.pos)
	}
	fresh := 0
	if j.state == waiting && !j.helper {
		fresh = 1
		q.arrivals.remove(j)
		j.account.queued.remove(j)
	}
	for n := j.home; n != nil; n = n.parent {
		n.waiting--
		n.fresh -= fresh
	}
	q.count(j, -1)
	q.weigh(j.account)
	j.home = nil
}

// count adds delta to the counts of j's state.
func (q *queue) count(j *job, delta int) {
	for _, c := range [...]*counts{&q.counts[j.lane], &j.account.counts} {
		switch {
		case j.state == running:
			c.running += delta
		case j.state == resuming:
			c.resuming += delta
		case j.helper:
			c.helpers += delta
		default:
			c.fresh += delta
		}
	}
}
