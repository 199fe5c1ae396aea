package work

// maxSiblings bounds the work of one outlook: if there are more at one depth,
// the others are taken to be like these.
const maxSiblings = 256

// outlook is what a waiting job can expect.
type outlook struct {
	ahead  int // waiting jobs expected to get a turn first
	own    int // those of them that belong to the same subject
	queued int // all waiting jobs
	rivals int // tenants of the lane that wait, its own included
}

// outlook estimates where the waiting job j stands, as if nobody else came: at
// each depth every sibling gets a turn for each turn of ours, in proportion to
// its weight, and those that are before us now get what brings them level. It
// costs O(waiting jobs of the session + maxSiblings).
func (q *queue) outlook(j *job) outlook {
	session := j.home
	subject := session.parent
	tenant := subject.parent
	lane := tenant.parent

	ahead := 0
	for prev := j.link[session.jobs.which].prev; prev != nil; prev = prev.link[session.jobs.which].prev {
		ahead++
	}
	ahead = q.among(session, ahead) + len(subject.resumed)
	o := outlook{own: ahead, queued: q.root.waiting, rivals: max(1, len(lane.ready))}
	ahead = q.among(tenant, q.among(subject, ahead))
	o.ahead = ahead
	for _, other := range q.root.ready {
		if other == lane {
			continue
		}
		before := int64(ahead)
		if urgency[other.lane] < urgency[j.lane] {
			before++
		}
		o.ahead += int(min(before*other.weight/lane.weight, int64(other.waiting)))
	}
	return o
}

// among returns how many of the waiting jobs below n's parent come before a job
// of n that has ahead others of n before it.
func (q *queue) among(n *node, ahead int) int {
	siblings := n.parent.ready
	seen := siblings[:min(len(siblings), maxSiblings)]
	others := 0
	for _, s := range seen {
		if s == n {
			continue
		}
		turns := int64(ahead) * s.weight / n.weight
		if s.before(n) {
			turns += 1 + (n.start-s.start)*s.weight/q.policy.quantum
		}
		others += int(min(turns, int64(s.waiting)))
	}
	if len(seen) > 0 {
		others = others * len(siblings) / len(seen)
	}
	return ahead + others
}
