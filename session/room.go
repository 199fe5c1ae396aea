package session

import (
	"context"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// evictTries bounds how often an eviction starts over because its victim was
// used in the meantime.
const evictTries = 8

// reserve takes a place for one session of o under all three caps and makes
// room where one is reached. The place belongs to the caller, who inserts a
// session or gives it back.
func (d *Directory) reserve(ctx context.Context, o Owner) (*owner, error) {
	own, err := d.reserveOwner(o)
	if err != nil {
		return nil, err
	}
	for evicted := true; ; {
		full := d.ledger.reserve(o.Tenant)
		if full == roomLeft {
			return own, nil
		}
		switch err := ctx.Err(); { // others may take the places that this call makes
		case err != nil:
			own.part.shard.unreserve(own)
			return nil, err
		case !evicted:
			own.part.shard.unreserve(own)
			return nil, d.refuseFull(full)
		case full == tenantFull:
			evicted = d.evictFromTenant(o.Tenant)
		default:
			evicted = d.evictFromHeaviest(o.Tenant)
		}
	}
}

func (d *Directory) refuseFull(full room) error {
	if full == tenantFull {
		return d.refuse("tenant_sessions_in_use", "all %d sessions of your organisation are in use: retry, or end one with session_delete", d.cfg.MaxPerTenant)
	}
	return d.refuse("server_sessions_in_use", "all %d sessions of this server are in use: retry", d.cfg.MaxTotal)
}

func (d *Directory) refuse(code, format string, args ...any) error {
	d.refused.Add(1)
	return busy(fault.Overloaded, code, format, args...)
}

// giveBack returns a whole reservation.
func (d *Directory) giveBack(own *owner) {
	d.ledger.release(own.Tenant)
	own.part.shard.unreserve(own)
}

// reserveOwner takes a place under the owner's cap.
func (d *Directory) reserveOwner(o Owner) (*owner, error) {
	s := d.shardOf(o)
	var p parting
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil, errClosed
	}
	own := s.ownerLocked(o)
	var victim *entry
	if own.weight() >= d.cfg.MaxPerOwner {
		if victim = own.spareableLocked(d.now()); victim == nil {
			s.mu.Unlock()
			return nil, d.refuse("owner_sessions_in_use", "all your %d sessions are in use: retry, or end one with session_delete", d.cfg.MaxPerOwner)
		}
	}
	own.reserved++ // before the victim goes, for the last session takes the owner with it
	own.part.owners.fix(own.place)
	if victim != nil {
		p = s.evictLocked(victim, ReasonOwnerCap)
	}
	s.mu.Unlock()
	p.finish()
	return own, nil
}

// evictLocked ends an idle session for why, unless its time had passed anyway.
func (s *shard) evictLocked(e *entry, why Reason) parting {
	now := s.dir.now()
	if late, over := e.expiredLocked(now); over {
		why = late
	}
	return s.endLocked(e, why, now)
}

// offer is an idle session that could go, with what ranks it: the weight of its
// owner, where owners are compared, then how long it has not been used.
type offer struct {
	part   *part
	weight int
	recent moment
}

func (o offer) before(other offer) bool {
	if o.weight != other.weight {
		return o.weight > other.weight
	}
	return o.recent < other.recent
}

// evictFromTenant ends the least recent idle session of the tenant's heaviest
// owner that has one. It reports false if all sessions are in use.
func (d *Directory) evictFromTenant(name string) bool {
	return d.evict(ReasonTenantCap,
		func() []*part { return d.ledger.parts(name) },
		func(p *part) (*entry, offer) {
			e := p.heaviestIdleLocked()
			if e == nil {
				return nil, offer{}
			}
			return e, offer{part: p, weight: e.own.weight(), recent: e.lastUsed}
		})
}

// evictFromHeaviest ends the least recent idle session of the heaviest tenant
// that has one, for an opener of the given tenant. It reports false if all
// sessions are in use.
func (d *Directory) evictFromHeaviest(opener string) bool {
	return d.evict(ReasonGlobalCap,
		func() []*part { return d.ledger.heaviestParts(opener) },
		func(p *part) (*entry, offer) {
			e := p.leastRecentIdleLocked()
			if e == nil {
				return nil, offer{}
			}
			return e, offer{part: p, recent: e.recent}
		})
}

// evict asks each part for its offer, one shard's lock after the other, and
// ends what the part with the best offer then offers. It costs a lock and a
// constant per shard where the tenant has idle sessions.
func (d *Directory) evict(why Reason, parts func() []*part, pick func(*part) (*entry, offer)) bool {
	for range evictTries {
		var best offer
		for _, p := range parts() {
			if p.idle.Load() == 0 {
				continue
			}
			p.shard.mu.Lock()
			e, o := pick(p)
			p.shard.mu.Unlock()
			if e != nil && (best.part == nil || o.before(best)) {
				best = o
			}
		}
		if best.part == nil {
			return false
		}
		s := best.part.shard
		s.mu.Lock()
		e, _ := pick(best.part)
		var p parting
		if e != nil {
			p = s.evictLocked(e, why)
		}
		s.mu.Unlock()
		p.finish()
		if e != nil {
			return true
		}
	}
	return false
}
