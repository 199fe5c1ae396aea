package session

import (
	"slices"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// reporter is what checkInvariants tells: a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
}

// checkInvariants compares every index and counter of d with what a naive count
// over its sessions gives. Nothing else may use d meanwhile.
func checkInvariants(t reporter, d *Directory) {
	t.Helper()
	eq := func(what string, got, want any) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	now := d.now()
	var total tally
	granted := 0
	var bytes, resident int64
	tenantBytes := map[string]int64{}
	perTenant := map[string]int{}
	parts := map[string]int{}
	for i, s := range d.shards {
		var sum tally
		findable := 0
		perPart, found := map[string]*tally{}, map[*part]int{}
		for o, own := range s.owners {
			eq("owner's key", o, own.Owner)
			eq("owner's shard", d.shardOf(o), s)
			if own.part != s.tenants[o.Tenant] || own.part.owners.items[own.place] != own {
				t.Errorf("shard %d: owner %v is misplaced", i, o)
			}
			if own.weight() < 1 || own.weight() > d.cfg.MaxPerOwner {
				t.Errorf("owner %v has %d sessions: want 1 to %d", o, own.weight(), d.cfg.MaxPerOwner)
			}
			pt := perPart[o.Tenant]
			if pt == nil {
				pt = new(tally)
				perPart[o.Tenant] = pt
			}
			perTenant[o.Tenant] += own.weight()
			idle, ownBytes := 0, int64(0)
			for _, e := range own.sessions {
				eq("session's owner", e.own, own)
				sum.sessions++
				sum.inFlight += int(e.inFlight)
				sum.streams += int(e.streams)
				pt.sessions++
				switch st := e.state.Load(); {
				case st == nil:
				case st.cold.Load():
					sum.cold++
					if st.cells != nil || e.pins() > 0 || !e.stored {
						t.Errorf("a cold session has cells %v, is used %v, stored %v", st.cells != nil, e.pins() > 0, e.stored)
					}
					bytes += st.bytes
					ownBytes += st.bytes
				default:
					size := int64(0)
					var kinds []kind
					for name, c := range st.cells {
						size += slotSize(name, c.data)
						kinds = countKind(kinds, name, +1)
						if c.version == 0 || c.version > st.version {
							t.Errorf("slot %s at version %d of %d", name, c.version, st.version)
						}
					}
					eq("bytes of a session", st.bytes, size)
					if !slices.Equal(kinds, st.kinds) {
						t.Errorf("kinds of slots %v, want %v", st.kinds, kinds)
					}
					bytes += size
					resident += size
					ownBytes += size
					if size > d.cfg.MaxBytes {
						t.Errorf("a session has %d bytes, more than %d", size, d.cfg.MaxBytes)
					}
				}
				granted += checkGrants(t, d, e)
				switch e.phase {
				case live:
					findable++
					found[own.part]++
					if e.pins() == 0 {
						idle++
					}
					if e.parked && e.pins() == 0 {
						t.Errorf("an idle session is parked")
					}
					eq("a live session is found", own.part.getLocked(e.key()), e)
					eq("place among the deadlines", s.deadlines.items[e.place], e)
					if due := e.dueLocked(now); e.due > max(due, now) {
						t.Errorf("the sweeper comes at %d, after %d", e.due, due)
					}
				case draining:
					sum.draining++
					if e.pins() == 0 {
						t.Errorf("a draining session without a user has not ended")
					}
					eq("a draining session is found", own.part.getLocked(e.key()), (*entry)(nil))
				case ended:
					t.Errorf("an ended session is still there")
				}
			}
			eq("idle sessions of an owner", own.idle, idle)
			eq("bytes of an owner", own.bytes, ownBytes)
			if ownBytes > d.cfg.MaxBytesPerOwner {
				t.Errorf("owner %v has %d bytes, more than %d", o, ownBytes, d.cfg.MaxBytesPerOwner)
			}
			tenantBytes[o.Tenant] += ownBytes
			sum.idle += idle
			pt.idle += idle
		}
		eq("tally of a shard", s.tally, sum)
		eq("deadlines", len(s.deadlines.items), findable)
		eq("tenants of a shard", len(s.tenants), len(perPart))
		for name, p := range s.tenants {
			parts[name]++
			eq("idle sessions of a part", p.idle.Load(), int64(perPart[name].idle))
			eq("catalogue and parked", p.catalogue.Len()+len(p.parked), found[p])
			if !slices.IsSortedFunc(p.catalogue.Values(), func(a, b *entry) int { return int(a.recent - b.recent) }) {
				t.Errorf("the catalogue of %s is not in order of use", name)
			}
			checkRanking(t, &p.owners)
		}
		total.sessions += sum.sessions
		total.inFlight += sum.inFlight
		total.streams += sum.streams
		total.idle += sum.idle
		total.draining += sum.draining
		total.cold += sum.cold
	}
	for _, s := range d.shards {
		for o, ids := range s.guests.granted {
			eq("grantee's shard", d.shardOf(o), s)
			if granted -= len(ids); len(ids) == 0 {
				t.Errorf("grantee %v has no session", o)
			}
		}
	}
	eq("grants that lead to no live session", -granted, 0)
	eq("bytes of all", d.bytes.Load(), bytes)
	eq("resident bytes", d.resident.Load(), resident)
	eq("bytes in the ledger", d.ledger.bytes, bytes)
	all := 0
	for name, n := range perTenant {
		tn := d.ledger.tenants[name]
		if tn == nil {
			t.Errorf("the ledger does not know tenant %s", name)
			continue
		}
		eq("sessions of a tenant", tn.count, n)
		eq("bytes of a tenant", tn.bytes, tenantBytes[name])
		eq("parts of a tenant", len(tn.parts), parts[name])
		if n > d.cfg.MaxPerTenant {
			t.Errorf("tenant %s has %d sessions, more than %d", name, n, d.cfg.MaxPerTenant)
		}
		all += n
	}
	eq("tenants", len(d.ledger.tenants), len(perTenant))
	eq("sessions in the ledger", d.ledger.total, all)
	if all > d.cfg.MaxTotal {
		t.Errorf("%d sessions, more than %d", all, d.cfg.MaxTotal)
	}
	checkRanking(t, &d.ledger.ranking)
	st := d.Stats()
	eq("stats", tally{st.Sessions, st.Idle, st.Draining, st.InFlight, st.Streams, st.Cold}, total)
	ends := uint64(0)
	for _, n := range st.Ended {
		ends += n
	}
	eq("opened less ended", st.Opened-ends, uint64(total.sessions)-st.Restored)
	n := 0
	for range d.All() {
		n++
	}
	eq("sessions of All", n, total.sessions)
}

// checkGrants checks the grants of one session and returns how many of them its
// grantees can find.
func checkGrants(t reporter, d *Directory, e *entry) int {
	t.Helper()
	seen := map[Owner]bool{}
	for _, g := range e.grantsLocked() {
		if g.to.Tenant != e.own.Tenant || g.to == e.own.Owner || seen[g.to] || g.expires > e.ageAt {
			t.Errorf("session of %v, over age at %d: bad grant %+v", e.own.Owner, e.ageAt, g)
		}
		seen[g.to] = true
		if found := d.guestsOf(g.to).find(g.to, e.id); (found == e) != (e.phase == live) {
			t.Errorf("session in phase %d is found by its grantee: %v", e.phase, found == e)
		}
	}
	if len(seen) > d.cfg.MaxGrants {
		t.Errorf("%d grants, more than %d", len(seen), d.cfg.MaxGrants)
	}
	if e.phase != live {
		return 0
	}
	return len(seen)
}

func checkRanking[T weighty](t reporter, h *heaviest[T]) {
	t.Helper()
	for i, v := range h.items {
		if up := (i - 1) / 2; i > 0 && h.items[up].weight() < v.weight() {
			t.Errorf("ranking: %d above %d", h.items[up].weight(), v.weight())
		}
	}
}

// mustOpen opens a session and fails the test if it cannot.
func mustOpen(t testing.TB, d *Directory, o Owner, p Params) *Handle {
	t.Helper()
	h, err := d.Open(t.Context(), o, p)
	if err != nil {
		t.Fatalf("open for %v: %v", o, err)
	}
	return h
}

// mustIdle opens a session, lets go of it and returns its id.
func mustIdle(t testing.TB, d *Directory, o Owner, p Params) ID {
	t.Helper()
	h := mustOpen(t, d, o, p)
	h.Release()
	return h.ID()
}

func mustAcquire(t testing.TB, d *Directory, o Owner, id ID) *Handle {
	t.Helper()
	h, err := d.Acquire(t.Context(), o, id)
	if err != nil {
		t.Fatalf("acquire %s of %v: %v", id, o, err)
	}
	return h
}

// has reports whether o could acquire id, without using it.
func has(d *Directory, o Owner, id ID) bool {
	return slices.ContainsFunc(d.List(o), func(i Info) bool { return i.ID == id })
}

var (
	alice = Owner{"acme", "https://issuer.example", "alice"}
	bob   = Owner{"acme", "https://issuer.example", "bob"}
	carol = Owner{"globex", "https://issuer.example", "carol"}
)
