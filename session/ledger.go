package session

import (
	"cmp"
	"slices"
	"sync"
)

// ledger counts sessions per tenant and over all, reservations and draining
// ones included, so that the caps hold exactly however many open at once. It is
// touched when a session begins or ends, never by a call.
type ledger struct {
	maxTenant, maxTotal           int
	maxTenantBytes, maxTotalBytes int64

	mu sync.Mutex
	// Owned by mu. Lock order: a shard's mu may be held while taking this one,
	// never the other way round.
	total   int
	bytes   int64 // committed state and reservations of it
	tenants map[string]*tenant
	ranking heaviest[*tenant] // by count
	slack   slack             // of tenants
}

// tenant is one tenant over all shards. Its fields are owned by ledger.mu.
type tenant struct {
	name  string
	count int     // sessions and reservations
	bytes int64   // committed state and reservations of it
	parts []*part // one a shard where it has any
	place int     // in ledger.ranking
}

func (t *tenant) weight() int    { return t.count }
func (t *tenant) setPlace(i int) { t.place = i }

// room is the answer to a reservation.
type room int

const (
	roomLeft room = iota
	tenantFull
	totalFull
)

// reason says why a session goes that finds no room, "" if there is some.
func (r room) reason() Reason {
	switch r {
	case tenantFull:
		return ReasonTenantCap
	case totalFull:
		return ReasonGlobalCap
	}
	return ""
}

func newLedger(cfg *Config) *ledger {
	return &ledger{
		maxTenant: cfg.MaxPerTenant, maxTotal: cfg.MaxTotal,
		maxTenantBytes: cfg.MaxBytesPerTenant, maxTotalBytes: cfg.MaxBytesTotal,
		tenants: make(map[string]*tenant),
	}
}

// reserve takes one place for a session of the tenant, or says which cap is
// reached.
func (l *ledger) reserve(name string) room {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenantLocked(name)
	switch {
	case t.count >= l.maxTenant:
		return tenantFull
	case l.total >= l.maxTotal:
		l.dropIfEmptyLocked(t)
		return totalFull
	}
	l.total++
	l.countLocked(t, +1)
	return roomLeft
}

// reserveBytes takes room for more state of the tenant, or says which cap is
// reached.
func (l *ledger) reserveBytes(name string, size int64) room {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenantLocked(name)
	switch {
	case t.bytes+size > l.maxTenantBytes:
		l.dropIfEmptyLocked(t)
		return tenantFull
	case l.bytes+size > l.maxTotalBytes:
		l.dropIfEmptyLocked(t)
		return totalFull
	}
	l.bytes += size
	t.bytes += size
	return roomLeft
}

// addBytes counts state of the tenant, whatever the caps say; a negative size
// gives room back.
func (l *ledger) addBytes(name string, size int64) {
	if size == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenantLocked(name)
	l.bytes += size
	t.bytes += size
	l.dropIfEmptyLocked(t)
}

// byBytes returns the names of the tenants with state, the heaviest first. It
// costs a sort of all tenants.
func (l *ledger) byBytes() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*tenant, 0, len(l.tenants))
	for _, t := range l.tenants {
		if t.bytes > 0 {
			all = append(all, t)
		}
	}
	slices.SortFunc(all, func(a, b *tenant) int {
		return cmp.Or(cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.name, b.name))
	})
	names := make([]string, len(all))
	for i, t := range all {
		names[i] = t.name
	}
	return names
}

// release gives a place back.
func (l *ledger) release(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	l.countLocked(l.tenants[name], -1)
}

// join registers a shard's part of a tenant, leave forgets it.
func (l *ledger) join(p *part) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenantLocked(p.tenant)
	t.parts = append(t.parts, p)
}

func (l *ledger) leave(p *part) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tenants[p.tenant]
	i := slices.Index(t.parts, p)
	t.parts = slices.Delete(t.parts, i, i+1)
	l.dropIfEmptyLocked(t)
}

// parts returns the parts of one tenant.
func (l *ledger) parts(name string) []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	if t := l.tenants[name]; t != nil {
		return slices.Clone(t.parts)
	}
	return nil
}

// heaviestParts returns the parts of the heaviest tenant that has an idle
// session, or nil if no tenant has one. The opener's tenant is weighed with the
// session to come, so that among equals it makes the room itself. Usually the
// first tenant looked at is the answer; it costs one step per heavier tenant
// all of whose sessions are in use.
func (l *ledger) heaviestParts(opener string) []*part {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.tenantLocked(opener)
	l.countLocked(own, +1)
	defer l.countLocked(own, -1)
	t, ok := l.ranking.find(func(t *tenant) bool {
		return slices.ContainsFunc(t.parts, func(p *part) bool { return p.idle.Load() > 0 })
	})
	if !ok {
		return nil
	}
	return slices.Clone(t.parts)
}

// tenantCount returns how many tenants have a session or open one.
func (l *ledger) tenantCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tenants)
}

func (l *ledger) tenantLocked(name string) *tenant {
	t := l.tenants[name]
	if t == nil {
		t = &tenant{name: name}
		l.tenants[name] = t
		l.ranking.push(t)
	}
	return t
}

// countLocked changes a tenant's count and forgets a tenant without anything.
func (l *ledger) countLocked(t *tenant, by int) {
	t.count += by
	l.ranking.fix(t.place)
	l.dropIfEmptyLocked(t)
}

func (l *ledger) dropIfEmptyLocked(t *tenant) {
	if t.count == 0 && len(t.parts) == 0 && t.bytes == 0 {
		l.ranking.remove(t.place)
		delete(l.tenants, t.name)
		l.tenants = slimMap(l.tenants, &l.slack)
	}
}
