package work

// account counts what a tenant has in the queue and on slots, over all lanes.
type account struct {
	tenant string
	counts
	max    int     // most running, 0 is no bound
	weight int64   // of the tenant
	queued jobList // its fresh jobs, the oldest first
	pos    int     // in queue.heaviest; -1 is outside
}

func (a *account) place() *int { return &a.pos }

// before orders accounts by fresh jobs for their weight, the most first, then
// by name.
func (a *account) before(b *account) bool {
	if x, y := int64(a.fresh)*b.weight, int64(b.fresh)*a.weight; x != y {
		return x > y
	}
	return a.tenant < b.tenant
}

func (a *account) full() bool { return a.max > 0 && a.running >= a.max }

// excess returns the waiting job that makes room for j in a full queue: the
// newest of the tenant that has the most waiting for its weight. It returns nil
// if that would leave j's tenant with no fewer than the other had; so tenants
// come to hold the queue in proportion to their weights, and a flooder cannot
// fill it against others.
func (q *queue) excess(j *job) *job {
	if len(q.heaviest) == 0 {
		return nil
	}
	most := q.heaviest[0]
	own, weight := 1, q.policy.weight(j.tenant)
	if a := q.accounts[j.tenant]; a != nil {
		own += a.fresh
	}
	if int64(own)*most.weight >= int64(most.fresh)*weight {
		return nil
	}
	return most.queued.tail
}

// weigh puts a where its fresh jobs rank it.
func (q *queue) weigh(a *account) {
	switch {
	case a.fresh == 0 && a.pos >= 0:
		q.heaviest.remove(a.pos)
	case a.fresh > 0 && a.pos < 0:
		q.heaviest.push(a)
	case a.pos >= 0:
		q.heaviest.fix(a.pos)
	}
}

// open returns the account of a tenant.
func (q *queue) open(tenant string) *account {
	a := q.accounts[tenant]
	switch {
	case a == nil:
		if a = q.spare; a == nil {
			a = new(account)
		}
		q.spare = nil
		*a = account{
			tenant: tenant, max: q.policy.maxRunning, weight: q.policy.weight(tenant),
			queued: jobList{which: inAccount}, pos: -1,
		}
		q.accounts[tenant] = a
	case a == q.warm:
		q.warm = nil
	}
	return a
}

// close lets go of an account that has no jobs left.
func (q *queue) close(a *account) {
	if a.counts != (counts{}) {
		return
	}
	if cold := q.warm; cold != nil {
		delete(q.accounts, cold.tenant)
		q.spare = cold
	}
	q.warm = a
}
