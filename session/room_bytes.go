package session

import "github.com/lyceum-mcp/lyceum/internal/fault"

// reserveBytes takes room for more committed state of e, a session in use, under
// all three caps. Where one is reached, idle sessions with state end: the owner's
// own least recent one; then that of the tenant's heaviest owner; then that of
// the heaviest tenant, all by bytes. Under the caps it costs two locks; at one,
// also a look at every owner of the tenant for each session that ends.
func (d *Directory) reserveBytes(e *entry, size int64) error {
	if size <= 0 {
		return nil
	}
	if err := d.reserveOwnerBytes(e, size); err != nil {
		return err
	}
	err := d.reserveTenantBytes(e.own.Tenant, size)
	if err != nil {
		s := e.shard
		s.mu.Lock()
		e.own.bytes -= size
		s.mu.Unlock()
	}
	return err
}

func (d *Directory) reserveOwnerBytes(e *entry, size int64) error {
	s, own := e.shard, e.own
	for {
		s.mu.Lock()
		over := own.bytes + size - d.cfg.MaxBytesPerOwner
		if over <= 0 {
			own.bytes += size
			s.mu.Unlock()
			return nil
		}
		victim, spare := own.leastRecentFullLocked()
		if spare < over { // to end any would not help
			s.mu.Unlock()
			return coded(fault.TooLarge, "owner_bytes_exceeded",
				"the state of all your sessions would exceed %d bytes: delete objects, or sessions with session_delete", d.cfg.MaxBytesPerOwner)
		}
		p := s.evictLocked(victim, ReasonOwnerCap)
		s.mu.Unlock()
		p.finish()
	}
}

func (d *Directory) reserveTenantBytes(name string, size int64) error {
	for {
		full, evicted := d.ledger.reserveBytes(name, size), false
		switch full {
		case roomLeft:
			return nil
		case tenantFull:
			if size > d.cfg.MaxBytesPerTenant || !d.evictBytes(ReasonTenantCap, name, heaviestFullLocked) {
				return coded(fault.TooLarge, "tenant_bytes_exceeded",
					"the state of your organisation's sessions would exceed %d bytes: delete objects, or sessions with session_delete", d.cfg.MaxBytesPerTenant)
			}
			evicted = true
		case totalFull:
			for _, heavy := range d.ledger.byBytes() {
				if evicted = d.evictBytes(ReasonGlobalCap, heavy, leastRecentFullLocked); evicted {
					break
				}
			}
		}
		if !evicted {
			d.refused.Add(1)
			return busy(fault.Overloaded, "store_full", "the server holds as much session state as it may: retry, or delete what is not needed")
		}
	}
}

// evictBytes ends the session that the best part of a tenant offers.
func (d *Directory) evictBytes(why Reason, tenant string, pick func(*part) (*entry, offer)) bool {
	return d.evict(why, func() []*part { return d.ledger.parts(tenant) }, pick)
}

// heaviestFullLocked offers the least recent idle session with state of the
// part's owner with the most bytes that has one.
func heaviestFullLocked(p *part) (best *entry, o offer) {
	for _, own := range p.owners.items {
		if own.idle == 0 || best != nil && own.bytes <= int64(o.weight) {
			continue
		}
		if e, _ := own.leastRecentFullLocked(); e != nil {
			best, o = e, offer{part: p, weight: int(own.bytes), recent: e.lastUsed}
		}
	}
	return best, o
}

// leastRecentFullLocked offers the part's least recent idle session with state.
func leastRecentFullLocked(p *part) (best *entry, o offer) {
	for _, own := range p.owners.items {
		if own.idle == 0 {
			continue
		}
		if e, _ := own.leastRecentFullLocked(); e != nil && (best == nil || e.lastUsed < o.recent) {
			best, o = e, offer{part: p, recent: e.lastUsed}
		}
	}
	return best, o
}

// leastRecentFullLocked returns the owner's least recent idle session with
// state, and how many bytes all such sessions have.
func (o *owner) leastRecentFullLocked() (best *entry, spare int64) {
	for _, e := range o.sessions {
		st := e.state.Load()
		if e.phase != live || e.pins() > 0 || st == nil {
			continue
		}
		n := st.size()
		if spare += n; n > 0 && (best == nil || e.lastUsed < best.lastUsed) {
			best = e
		}
	}
	return best, spare
}

func (st *state) size() int64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.bytes
}

// returnBytes gives back what reserveBytes took.
func (d *Directory) returnBytes(e *entry, size int64) {
	if size <= 0 {
		return
	}
	e.shard.mu.Lock()
	defer e.shard.mu.Unlock()
	d.returnBytesLocked(e, size)
}

func (d *Directory) returnBytesLocked(e *entry, size int64) {
	if size <= 0 {
		return
	}
	e.own.bytes -= size
	d.ledger.addBytes(e.own.Tenant, -size)
}
