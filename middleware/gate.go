package middleware

import (
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// GateConfig bounds what is inside a Gate.
type GateConfig struct {
	Places    int // requests served at once, streams not counted; at least 1
	PerTenant int // of them for one tenant, the reserve not counted; 0 is half
	Reserve   int // of Places, kept for requests that are never queued; at most half
	Streams   int // event streams open at once, of which one tenant may have half; 0 is no bound

	// Bodies bounds the bytes of request bodies that are in flight, of which one
	// tenant may have half; 0 is no bound. A body counts from before it is read
	// until its request is answered: what was read is in memory for that long.
	Bodies int64
	// MaxBody is the largest body that is let through, which is what a body of
	// unknown length counts for while it is read. Bodies is at least this.
	MaxBody int64

	Shed *Shed // nil never sheds
}

// Gate bounds the requests, streams and bodies that are inside, in all and for
// each tenant. It never waits: who finds no room is told so at once, and when to
// come back. One short critical section takes everything that a request needs or
// nothing of it, so that no two requests get the same last place, and one that
// is refused takes up nothing. It costs O(1) and keeps nothing of a tenant that
// has nothing inside.
//
// A tenant is held to its share, and besides to as much as is still free: with a
// dynamic threshold (Choudhury and Hahne 1998) every tenant that floods the gate
// leaves half of what it found free, rounded down, and nobody who has a place can
// take the last one. A share that is the whole is no share: the threshold is then
// off too.
type Gate struct {
	maxBody int64
	shed    *Shed

	mu      sync.Mutex
	closed  bool
	pools   [pools]pool
	tenants map[string]tally // those with something inside
	busy    int64            // tenants with an ordinary place
	refused [refusals]uint64
}

// The things that a gate has a bounded number of.
const (
	ordinaryPlaces = iota
	reservedPlaces
	streams
	bodyBytes
	pools
)

// tally is what one tenant has of each pool.
type tally [pools]int64

// pool is one bounded thing.
type pool struct {
	cap   int64 // 0 is no bound
	share int64 // of one tenant; cap is no bound of its own
	in    int64 // taken
}

// fits says whether a tenant that has held may have n more and leave kept free.
func (p *pool) fits(held, n, kept int64, byTenant bool) verdict {
	free := p.cap - kept - p.in
	shared := byTenant && p.share < p.cap && held > 0
	switch {
	case p.cap == 0:
		return fits
	case shared && held+n > p.share:
		return overShare
	case n > free:
		return full
	case shared && held+n > free:
		return overShare
	}
	return fits
}

type verdict uint8

const (
	fits verdict = iota
	overShare
	full
)

// NewGate returns a gate that bounds the requests inside and nothing else.
func NewGate(places int) *Gate { return OpenGate(GateConfig{Places: places, PerTenant: places}) }

// OpenGate returns a gate with these bounds.
func OpenGate(c GateConfig) *Gate {
	places := int64(max(c.Places, 1))
	reserve := min(int64(max(c.Reserve, 0)), places/2)
	ordinary := places - reserve
	share := int64(c.PerTenant)
	if share <= 0 {
		share = ordinary / 2
	}
	half := func(n int64) int64 { return max(n/2, 1) }
	g := &Gate{maxBody: c.MaxBody, shed: c.Shed, tenants: make(map[string]tally)}
	g.pools = [pools]pool{
		ordinaryPlaces: {cap: ordinary, share: min(max(share, 1), ordinary)},
		reservedPlaces: {cap: reserve, share: max(reserve/4, 1)},
		streams:        {cap: int64(max(c.Streams, 0)), share: half(int64(c.Streams))},
	}
	if c.Bodies > 0 {
		bodies := max(c.Bodies, c.MaxBody)
		g.pools[bodyBytes] = pool{cap: bodies, share: max(half(bodies), c.MaxBody)}
	}
	return g
}

// Visit is what a gate is told of a request.
type Visit struct {
	Tenant string
	Class  Class
	Body   int64 // bytes; -1 is unknown
}

// Place is what one request holds of a gate.
type Place struct {
	gate   *Gate // nil when it holds nothing
	tenant string
	pool   uint8
	bytes  int64
}

// Enter takes a place with room for the body of v, or fails with Overloaded
// when the server is full and with RateLimited when the tenant has its share.
func (g *Gate) Enter(v Visit) (*Place, error) {
	p := new(Place)
	if err := g.enter(p, v); err != nil {
		return nil, err
	}
	return p, nil
}

func (g *Gate) enter(p *Place, v Visit) error {
	var wait time.Duration
	var shedding bool
	if v.Class == Ordinary && g.shed != nil {
		wait, shedding = g.shed.active()
	}
	g.mu.Lock()
	why := g.enterLocked(p, v, shedding)
	g.refused[why]++
	g.mu.Unlock()
	switch why {
	case admitted:
		return nil
	case shed:
		f := *refusalFaults[shed]
		f.RetryAfter = min(wait, maxRetryAfter)
		return &f
	}
	return refusalFaults[why]
}

// enterLocked takes all that v needs and notes it in p, or nothing.
func (g *Gate) enterLocked(p *Place, v Visit, shedding bool) refusal {
	if g.closed {
		return draining
	}
	t := g.tenants[v.Tenant]
	which, why := g.roomLocked(t, v.Class)
	if why != admitted {
		return why
	}
	if mine := t[ordinaryPlaces]; shedding && mine > 0 && mine*g.busy >= g.pools[ordinaryPlaces].in {
		return shed
	}
	n := v.Body
	if n < 0 {
		n = g.maxBody
	}
	b := &g.pools[bodyBytes]
	if n > 0 {
		var kept int64
		if v.Class == Ordinary {
			kept = min(b.cap/16, b.cap-g.maxBody)
		}
		switch b.fits(t[bodyBytes], n, kept, v.Class != Operator) {
		case full:
			return bodiesFull
		case overShare:
			return tenantBodiesFull
		}
	}
	if which == ordinaryPlaces && t[ordinaryPlaces] == 0 {
		g.busy++
	}
	t[which]++
	t[bodyBytes] += n
	g.pools[which].in++
	b.in += n
	g.tenants[v.Tenant] = t
	*p = Place{gate: g, tenant: v.Tenant, pool: uint8(which), bytes: n}
	return admitted
}

// roomLocked returns the pool that has a place for a request of the class. What
// is never queued takes from the reserve when there is no ordinary place.
func (g *Gate) roomLocked(t tally, c Class) (int, refusal) {
	if c == Stream {
		switch g.pools[streams].fits(t[streams], 1, 0, true) {
		case full:
			return 0, streamsFull
		case overShare:
			return 0, tenantStreamsFull
		}
		return streams, admitted
	}
	v := g.pools[ordinaryPlaces].fits(t[ordinaryPlaces], 1, 0, true)
	if v == fits {
		return ordinaryPlaces, admitted
	}
	if r := &g.pools[reservedPlaces]; c != Ordinary && r.cap > 0 {
		var kept int64
		if c != Operator {
			kept = r.cap / 4 // operators get in when clients have the rest
		}
		if v = r.fits(t[reservedPlaces], 1, kept, c != Operator); v == fits {
			return reservedPlaces, admitted
		}
	}
	if v == overShare {
		return 0, tenantFull
	}
	return 0, placesFull
}

// Leave gives everything back. Only the first call does anything.
func (p *Place) Leave() {
	g := p.gate
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backLocked(p.tenant, int(p.pool), 1)
	g.backLocked(p.tenant, bodyBytes, p.bytes)
	p.gate = nil
}

// shrink gives back what a body of which n bytes came did not need.
func (p *Place) shrink(n int64) {
	g := p.gate
	if g == nil || n >= p.bytes {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.backLocked(p.tenant, bodyBytes, p.bytes-n)
	p.bytes = n
}

func (g *Gate) backLocked(tenant string, which int, n int64) {
	g.pools[which].in -= n
	t := g.tenants[tenant]
	t[which] -= n
	if which == ordinaryPlaces && t[which] == 0 {
		g.busy--
	}
	if t == (tally{}) {
		delete(g.tenants, tenant)
	} else {
		g.tenants[tenant] = t
	}
}

// Close refuses all that come from now on. Those inside stay.
func (g *Gate) Close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

// InFlight returns the number of requests inside, streams not counted.
func (g *Gate) InFlight() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return int(g.pools[ordinaryPlaces].in + g.pools[reservedPlaces].in)
}

// GateStats is a picture of a gate at one moment.
type GateStats struct {
	Ordinary, Reserved int   // requests inside, by where their place is from
	Streams            int   // open event streams
	Bodies             int64 // bytes of bodies
	Tenants            int   // with anything inside
	Admitted           uint64
	Refused            map[string]uint64 // since the start, by code
}

// Stats returns a picture of the gate.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := GateStats{
		Ordinary: int(g.pools[ordinaryPlaces].in), Reserved: int(g.pools[reservedPlaces].in), Streams: int(g.pools[streams].in),
		Bodies: g.pools[bodyBytes].in, Tenants: len(g.tenants), Admitted: g.refused[admitted], Refused: make(map[string]uint64, refusals),
	}
	for why := admitted + 1; why < refusals; why++ {
		s.Refused[refusalFaults[why].Code] = g.refused[why]
	}
	return s
}

// refusal says why a request did not get in.
type refusal uint8

const (
	admitted refusal = iota
	draining
	placesFull
	tenantFull
	streamsFull
	tenantStreamsFull
	bodiesFull
	tenantBodiesFull
	shed
	refusals
)

// maxRetryAfter is the longest that a caller is told to stay away.
const maxRetryAfter = time.Minute

// refusalFaults holds what the caller is told. Nobody changes them: a refusal
// at full load allocates nothing. Package reply spreads the waiting time.
var refusalFaults = [refusals]*fault.Error{
	draining:          {Kind: fault.Overloaded, Code: "draining", RetryAfter: 2 * time.Second, Public: "the server is shutting down"},
	placesFull:        {Kind: fault.Overloaded, Code: "too_many_in_flight", RetryAfter: time.Second, Public: "too many requests are in flight"},
	tenantFull:        {Kind: fault.RateLimited, Code: "tenant_in_flight", RetryAfter: time.Second, Public: "too many requests of your tenant are in flight: let some finish before you send more"},
	streamsFull:       {Kind: fault.Overloaded, Code: "too_many_streams", RetryAfter: 5 * time.Second, Public: "too many event streams are open"},
	tenantStreamsFull: {Kind: fault.RateLimited, Code: "tenant_streams", RetryAfter: 5 * time.Second, Public: "too many event streams of your tenant are open: close some before you open more"},
	bodiesFull:        {Kind: fault.Overloaded, Code: "bodies_in_flight", RetryAfter: time.Second, Public: "the bodies of the requests in flight are too large together"},
	tenantBodiesFull:  {Kind: fault.RateLimited, Code: "tenant_bodies_in_flight", RetryAfter: time.Second, Public: "the bodies of your tenant's requests in flight are too large together: let some finish before you send more"},
	shed:              {Kind: fault.Overloaded, Code: "shedding", Public: "the server is busy and calls wait for too long: try again later"},
}
