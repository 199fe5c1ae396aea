package work

import (
	"strings"
)

// testPolicy has the default weights and room for a few jobs.
func testPolicy() policy {
	return policy{
		laneWeights: [lanes]int64{Interactive: DefaultWeightInteractive, Batch: DefaultWeightBatch, Admin: DefaultWeightAdmin},
		maxSubject:  1000, maxTenant: 1000, maxQueued: 1000,
		ageBatch: int64(DefaultAgeBatch), quantum: int64(DefaultQuantum),
	}
}

// newJob reads "tenant/subject/session", where later parts may be missing.
func newJob(path string, lane Lane) *job {
	parts := append(strings.Split(path, "/"), "", "")
	return &job{tenant: parts[0], subject: parts[1], session: parts[2], lane: lane, cost: 1000}
}

// check reports every broken invariant of q.
func check(t interface{ Errorf(string, ...any) }, q *queue) {
	accounts := make(map[string]counts)
	var lanesSeen [lanes]counts
	fresh := 0
	var visit func(n *node) (below, fresh int)
	visit = func(n *node) (int, int) {
		below, fresh := 0, 0
		seen := func(j *job, helper bool) {
			below++
			if j.home != n {
				t.Errorf("job %s has home %p, want %p", j.tenant, j.home, n)
			}
			c, l := accounts[j.tenant], &lanesSeen[j.lane]
			switch {
			case j.state == resuming:
				c.resuming++
				l.resuming++
			case j.state != waiting:
				t.Errorf("a queued job of %s has state %d", j.tenant, j.state)
			case helper:
				c.helpers++
				l.helpers++
			default:
				fresh++
				c.fresh++
				l.fresh++
			}
			accounts[j.tenant] = c
		}
		for j := n.jobs.head; j != nil; j = j.link[0].next {
			seen(j, j.helper)
		}
		for i, j := range n.resumed {
			seen(j, false)
			if j.pos != i || i > 0 && j.before(n.resumed[(i-1)/2]) {
				t.Errorf("resumed job %d of %s is out of place", i, j.tenant)
			}
		}
		for key, k := range n.kids {
			if k.key != key || k.parent != n {
				t.Errorf("node %q is filed under %q", k.key, key)
			}
			w, f := visit(k)
			below += w
			fresh += f
			want := onNone
			switch {
			case k.eligible():
				want = onReady
			case w == 0 && (k.turns == 0 || k.start > n.clock):
				want = onIdle
			}
			if k.where != want {
				t.Errorf("node %s %q is on shelf %d, want %d", n.key, key, k.where, want)
			}
			if under := turnsOf(q, k); k.turns != under {
				t.Errorf("node %s %q counts %d turns under way, has %d", n.key, key, k.turns, under)
			}
			if k.where == onIdle && k.start <= n.clock {
				t.Errorf("node %q is kept without a debt", key)
			}
		}
		for name, h := range map[string]heap[*node]{"ready": n.ready, "idle": n.idle} {
			for i, k := range h {
				if k.pos != i || k.parent != n || i > 0 && k.before(h[(i-1)/2]) {
					t.Errorf("%s heap of %q: member %d is out of place", name, n.key, i)
				}
			}
		}
		if below != n.waiting || fresh != n.fresh {
			t.Errorf("node %q counts %d waiting and %d fresh, has %d and %d", n.key, n.waiting, n.fresh, below, fresh)
		}
		if below == 0 && (len(n.kids) > 0 || len(n.ready) > 0 || len(n.idle) > 0 || n.clock != 0) {
			t.Errorf("node %q remembers children although nothing waits", n.key)
		}
		return below, fresh
	}
	_, want := visit(q.root)
	for j := q.arrivals.head; j != nil; j = j.link[1].next {
		fresh++
		if next := j.link[1].next; next != nil && next.since < j.since {
			t.Errorf("arrivals are out of order")
		}
	}
	if fresh != want {
		t.Errorf("%d arrivals, want %d", fresh, want)
	}
	onSlots := 0
	for j := q.slots.head; j != nil; j = j.link[inSlots].next {
		onSlots++
		if j.state != running {
			t.Errorf("a job of %s on a slot has state %d", j.tenant, j.state)
		}
	}
	if onSlots != q.running {
		t.Errorf("%d running, %d on slots", q.running, onSlots)
	}
	for i, a := range q.heaviest {
		if a.pos != i || a.fresh == 0 || i > 0 && a.before(q.heaviest[(i-1)/2]) {
			t.Errorf("heaviest: tenant %s is out of place", a.tenant)
		}
	}
	sum := 0
	for name, a := range q.accounts {
		sum += a.running
		c := accounts[name]
		c.running = a.running
		if a.counts != c || (a.counts == counts{}) != (a == q.warm) {
			t.Errorf("account %s has %+v, want %+v", name, a.counts, c)
		}
		if (a.pos >= 0) != (a.fresh > 0) || a.max != q.policy.maxRunning || a.weight != q.policy.weight(name) {
			t.Errorf("account %s: place %d, most %d, weight %d", name, a.pos, a.max, a.weight)
		}
		newest, n := (*job)(nil), 0
		for j := a.queued.head; j != nil; j = j.link[inAccount].next {
			if j.account != a || newest != nil && j.since < newest.since {
				t.Errorf("account %s: queued jobs are out of order", name)
			}
			newest, n = j, n+1
		}
		if n != a.fresh || newest != a.queued.tail {
			t.Errorf("account %s: %d queued, want %d", name, n, a.fresh)
		}
		delete(accounts, name)
	}
	for name := range accounts {
		t.Errorf("tenant %s waits without an account", name)
	}
	for l := Interactive; l < lanes; l++ {
		lanesSeen[l].running = q.counts[l].running
		if q.counts[l] != lanesSeen[l] {
			t.Errorf("lane %s counts %+v, want %+v", l, q.counts[l], lanesSeen[l])
		}
	}
	if sum != q.running {
		t.Errorf("%d running, accounts say %d", q.running, sum)
	}
}

// empty reports what is left in a queue that should hold nothing.
func empty(t interface{ Errorf(string, ...any) }, q *queue) {
	check(t, q)
	if q.root.waiting != 0 || q.running != 0 || len(q.accounts) > 1 || q.arrivals.head != nil {
		t.Errorf("left over: %d waiting, %d running, %d accounts", q.root.waiting, q.running, len(q.accounts))
	}
}

// turnsOf counts the turns under way that n was charged for.
func turnsOf(q *queue, n *node) (turns int) {
	for j := q.slots.head; j != nil; j = j.link[inSlots].next {
		if j.path[n.depth] == n && j.lives[n.depth] == n.life {
			turns++
		}
	}
	return turns
}
