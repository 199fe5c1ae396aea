package work

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// sim runs a queue in virtual time: callers that send calls, and slots on which
// the calls compute and yield. It is a function of its inputs and its seed.
type sim struct {
	q       *queue
	slots   int
	quantum int64
	now     int64
	rng     *rand.Rand
	callers int
	idle    heap[*simCaller] // that send a call some time
	onSlots []*simCall
	byJob   map[*job]*simCall
	ended   []*simCall // in order of their end
	cpu     map[string]int64
	latest  [lanes]int64 // when a lane had its latest turn
	gap     [lanes]int64 // the longest time from one turn of a lane to the next
	parties map[string]*simParty
}

// simCaller sends one call at a time.
type simCaller struct {
	path  string
	lane  Lane
	work  func(*rand.Rand) time.Duration // of a call
	think func(*rand.Rand) time.Duration // from the end of a call to the next
	from  time.Duration                  // when it sends the first
	calls int                            // how many it sends; 0 is no end
	solid bool                           // its calls never yield
	as    string                         // the path that the queue is told, if another

	next int64 // when it sends the next call
	sent int
	nr   int
	pos  int // in sim.idle
}

func (c *simCaller) place() *int { return &c.pos }

func (c *simCaller) before(o *simCaller) bool {
	return c.next < o.next || c.next == o.next && c.nr < o.nr
}

type simCall struct {
	*job
	by        *simCaller
	left      int64 // to compute
	turn      int64 // when the turn began
	sent      int64
	first     int64 // when the first turn began; -1 before
	end       int64
	longest   int64 // wait for any one turn
	waitSince int64
}

func fixed(d time.Duration) func(*rand.Rand) time.Duration {
	return func(*rand.Rand) time.Duration { return d }
}

// around returns durations from half of d to one and a half.
func around(d time.Duration) func(*rand.Rand) time.Duration {
	return func(r *rand.Rand) time.Duration { return d/2 + time.Duration(r.Int64N(int64(d))) }
}

func newSim(p policy, slots int, seed uint64) *sim {
	return &sim{
		q: newQueue(p), slots: slots, quantum: p.quantum,
		rng: rand.New(rand.NewPCG(seed, 0)), cpu: make(map[string]int64), parties: make(map[string]*simParty), byJob: make(map[*job]*simCall),
	}
}

// add makes n callers like c start, a little apart.
func (s *sim) add(n int, c simCaller) {
	for range n {
		c.next = int64(c.from) + s.rng.Int64N(int64(time.Microsecond))
		if c.think == nil {
			c.think = fixed(0)
		}
		added := c
		s.callers++
		added.nr = s.callers
		s.idle.push(&added)
	}
}

// run goes on until the given time, or until no call is left.
func (s *sim) run(t *testing.T, until time.Duration) {
	t.Helper()
	for s.now < int64(until) {
		next := int64(until)
		if len(s.idle) > 0 {
			next = min(next, max(s.idle[0].next, s.now))
		}
		for _, c := range s.onSlots {
			next = min(next, s.turnEnd(c))
		}
		s.now = next

		still := s.onSlots[:0]
		for _, c := range s.onSlots {
			if !s.endTurn(c) {
				still = append(still, c)
			}
		}
		s.onSlots = still
		for len(s.idle) > 0 && s.idle[0].next <= s.now {
			call := s.send(s.idle.remove(0))
			s.byJob[call.job] = call
		}
		for s.q.running < s.slots {
			j := s.q.pop(s.now)
			if j == nil {
				break
			}
			c := s.byJob[j]
			s.serve(c)
			s.gap[j.lane] = max(s.gap[j.lane], s.now-s.latest[j.lane])
			s.latest[j.lane] = s.now
			j.cost = s.quantum
			s.onSlots = append(s.onSlots, c)
		}
		if s.q.running < s.slots && s.q.root.waiting > 0 && s.q.policy.maxRunning == 0 {
			t.Fatalf("at %v a slot is idle while %d wait", time.Duration(s.now), s.q.root.waiting)
		}
	}
	check(t, s.q)
}

// turnEnd returns when c ends its call or may have to give way. A call that
// nobody waited behind at the end of its quantum looks again every 50 µs.
func (s *sim) turnEnd(c *simCall) int64 {
	end := c.turn + c.left
	if c.by.solid {
		return end
	}
	look := c.turn + s.quantum
	if look <= s.now {
		look = s.now + int64(50*time.Microsecond)
	}
	return min(end, look)
}

// endTurn ends c's turn if it is over, and says whether it was.
func (s *sim) endTurn(c *simCall) bool {
	used := s.now - c.turn
	switch {
	case used >= c.left:
		s.q.done(c.job, used, s.now)
		c.left, c.end = 0, s.now
		if c.by.calls == 0 || c.by.sent < c.by.calls {
			c.by.next = s.now + int64(c.by.think(s.rng))
			s.idle.push(c.by)
		}
		delete(s.byJob, c.job)
		s.ended = append(s.ended, c)
	case used >= s.quantum && s.q.root.waiting > 0 && !c.by.solid:
		s.q.yield(c.job, used, s.now, c.job.lane)
		c.left -= used
		s.wait(c)
	default:
		return false
	}
	s.cpu[c.tenant] += used
	s.party(c).cpu += used
	return true
}

func (s *sim) send(by *simCaller) *simCall {
	by.sent++
	c := &simCall{job: newJob(cmp.Or(by.as, by.path), by.lane), by: by, sent: s.now, first: -1}
	s.wait(c)
	s.party(c).calls = append(s.party(c).calls, c)
	c.left = int64(by.work(s.rng))
	c.cost = s.quantum
	s.q.push(c.job, s.now)
	return c
}

// waits returns the longest wait for a first turn among the ended calls of a
// tenant, and their number.
func (s *sim) waits(tenant string) (longest time.Duration, n int) {
	for _, c := range s.ended {
		if c.tenant == tenant {
			longest, n = max(longest, time.Duration(c.first-c.sent)), n+1
		}
	}
	return longest, n
}

// jain is the index of Jain, Chiu and Hawe (1984): 1 if all are equal, 1/n if
// one has everything.
func jain(shares []float64) float64 {
	var sum, squares float64
	for _, x := range shares {
		sum += x
		squares += x * x
	}
	return sum * sum / (float64(len(shares)) * squares)
}

func simPolicy() policy {
	p := testPolicy()
	p.maxQueued, p.maxTenant, p.maxSubject = 1e6, 1e6, 1e6
	return p
}

func TestEqualTenantsShareEqually(t *testing.T) {
	s := newSim(simPolicy(), 4, 1)
	for i := range 8 {
		s.add(4+8*i, simCaller{
			path: fmt.Sprintf("t%d", i), lane: Interactive, solid: i%4 == 3,
			work: around(time.Millisecond << i / 2),
		})
	}
	s.run(t, 20*time.Second)
	var shares []float64
	for i := range 8 {
		shares = append(shares, float64(s.cpu[fmt.Sprintf("t%d", i)]))
	}
	if index := jain(shares); index < 0.99 {
		t.Errorf("Jain's index of CPU time is %.4f, want at least 0.99: %.3g", index, shares)
	}
}

func TestWeightsAreShares(t *testing.T) {
	p := simPolicy()
	p.tenants = map[string]int{"one": 1, "three": 3}
	s := newSim(p, 2, 2)
	s.add(30, simCaller{path: "one", lane: Interactive, work: around(3 * time.Millisecond)})
	s.add(10, simCaller{path: "three", lane: Interactive, work: around(20 * time.Millisecond)})
	s.run(t, 10*time.Second)
	share := float64(s.cpu["three"]) / float64(s.cpu["one"]+s.cpu["three"])
	if share < 0.72 || share > 0.78 {
		t.Errorf("weights 1:3 give a share of %.3f, want 0.75", share)
	}
}

func TestFlooderDoesNotDelayQuietTenant(t *testing.T) {
	tests := []struct {
		name  string
		flood simCaller
		want  time.Duration // two service times: what runs, and one more
	}{
		{"long calls that yield", simCaller{work: around(300 * time.Millisecond)}, 2 * time.Millisecond},
		{"calls that do not yield", simCaller{work: around(4 * time.Millisecond), solid: true}, 2 * 6 * time.Millisecond},
		{"minted sessions", simCaller{work: fixed(500 * time.Microsecond)}, 2 * time.Millisecond},
	}
	for _, tt := range tests {
		for _, slots := range []int{1, 2, 8} {
			t.Run(fmt.Sprintf("%s on %d slots", tt.name, slots), func(t *testing.T) {
				s := newSim(simPolicy(), slots, 3)
				tt.flood.lane = Interactive
				for i := range 200 {
					tt.flood.path = fmt.Sprintf("flood/u%d/s%d", i%5, i)
					s.add(1, tt.flood)
				}
				s.add(1, simCaller{
					path: "quiet", lane: Interactive, from: 100 * time.Millisecond,
					work: fixed(time.Millisecond), think: around(20 * time.Millisecond),
				})
				s.run(t, 3*time.Second)
				longest, n := s.waits("quiet")
				if n < 100 || longest > tt.want {
					t.Errorf("%d calls waited for %v at most, want at most %v", n, longest, tt.want)
				}
			})
		}
	}
}

func TestBatchProgressesUnderInteractiveFlood(t *testing.T) {
	p := simPolicy()
	p.laneWeights[Interactive], p.laneWeights[Batch] = MaxWeight, 1
	p.ageBatch = int64(50 * time.Millisecond)
	s := newSim(p, 2, 4)
	s.add(50, simCaller{path: "i", lane: Interactive, work: around(20 * time.Millisecond)})
	s.add(3, simCaller{path: "b", lane: Batch, work: fixed(5 * time.Millisecond)})
	s.run(t, 10*time.Second)
	// One turn of a quantum every 50 ms: 200 turns, which end 40 calls.
	if got, want := s.cpu["b"], int64(200*time.Millisecond); got < want*9/10 || got > want*11/10 {
		t.Errorf("batch computed for %v, want about %v", time.Duration(got), time.Duration(want))
	}
	if bound := p.ageBatch + p.quantum; s.gap[Batch] > bound {
		t.Errorf("batch went without a turn for %v, want at most %v", time.Duration(s.gap[Batch]), time.Duration(bound))
	}
}

func TestLaneWeightsAreShares(t *testing.T) {
	s := newSim(simPolicy(), 2, 5)
	s.add(20, simCaller{path: "i", lane: Interactive, work: around(5 * time.Millisecond)})
	s.add(20, simCaller{path: "b", lane: Batch, work: around(50 * time.Millisecond)})
	s.run(t, 10*time.Second)
	share := float64(s.cpu["b"]) / float64(s.cpu["b"]+s.cpu["i"])
	if want := 1.0 / 17; share < want*0.95 || share > want*1.05 {
		t.Errorf("batch has a share of %.4f, want %.4f", share, want)
	}
}

func TestBatchFloodDoesNotDelayInteractive(t *testing.T) {
	for _, slots := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("%d slots", slots), func(t *testing.T) {
			s := newSim(simPolicy(), slots, 6)
			for i := range 200 {
				s.add(1, simCaller{path: fmt.Sprintf("b%d", i%10), lane: Batch, work: around(time.Second)})
			}
			s.add(slots, simCaller{
				path: "quiet", lane: Interactive, work: fixed(3 * time.Millisecond), think: around(10 * time.Millisecond),
			})
			s.run(t, 10*time.Second)
			for _, c := range s.ended {
				if c.tenant == "quiet" && c.longest > s.quantum {
					t.Fatalf("an interactive call waited %v for a turn, want at most one quantum", time.Duration(c.longest))
				}
			}
			if _, n := s.waits("quiet"); n < 500*slots {
				t.Errorf("%d interactive calls ended, want at least %d", n, 500*slots)
			}
		})
	}
}

func TestCallsOfOneSubjectEndOneAfterAnother(t *testing.T) {
	const slots, calls, work = 2, 32, 300 * time.Millisecond
	for _, rival := range []bool{false, true} {
		t.Run(fmt.Sprintf("rival %t", rival), func(t *testing.T) {
			s := newSim(simPolicy(), slots, 7)
			for i := range calls {
				s.add(1, simCaller{path: fmt.Sprintf("t/u/s%d", i), lane: Interactive, work: fixed(work), calls: 1})
			}
			rate := time.Duration(slots)
			if rival { // it takes half
				s.add(20, simCaller{path: "x", lane: Interactive, work: around(10 * time.Millisecond)})
				rate = slots / 2
			}
			s.run(t, 15*time.Second)
			n := 0
			for _, c := range s.ended {
				if c.tenant != "t" {
					continue
				}
				n++
				want := (time.Duration(n)*work + (slots-1)*work) / rate
				if late := time.Duration(c.end) - want; late > work/10 {
					t.Errorf("call %d ends at %v, want %v", n, time.Duration(c.end), want)
				}
			}
			if n != calls {
				t.Errorf("%d calls ended, want %d", n, calls)
			}
		})
	}
}

func TestSubjectsShareWithinTenant(t *testing.T) {
	s := newSim(simPolicy(), 2, 8)
	for i := range 40 {
		s.add(1, simCaller{path: fmt.Sprintf("t/busy/s%d", i), lane: Interactive, work: around(500 * time.Millisecond)})
	}
	s.add(1, simCaller{path: "t/quiet", lane: Interactive, work: fixed(time.Millisecond), think: around(10 * time.Millisecond)})
	s.add(9, simCaller{path: "x", lane: Interactive, work: around(10 * time.Millisecond)})
	s.run(t, 5*time.Second)
	for _, c := range s.ended {
		if c.subject == "quiet" && c.longest > 4*s.quantum {
			t.Fatalf("a call of the quiet subject waited %v", time.Duration(c.longest))
		}
	}
	share := float64(s.cpu["t"]) / float64(s.cpu["t"]+s.cpu["x"])
	if share < 0.48 || share > 0.52 {
		t.Errorf("tenant t has a share of %.3f, want 0.5", share)
	}
}

func TestSessionsShareWithinSubject(t *testing.T) {
	s := newSim(simPolicy(), 1, 9)
	s.add(50, simCaller{path: "t/u/busy", lane: Interactive, work: around(10 * time.Millisecond)})
	s.add(1, simCaller{path: "t/u/quiet", lane: Interactive, work: fixed(time.Millisecond), think: around(50 * time.Millisecond)})
	s.run(t, 5*time.Second)
	// It waits for the call that runs, and at most one more.
	n := 0
	for _, c := range s.ended {
		if c.session == "quiet" {
			n++
			if w := time.Duration(c.first - c.sent); w > 30*time.Millisecond {
				t.Errorf("a call of the quiet session waited %v", w)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d calls of the quiet session ended, want at least 50", n)
	}
}

func TestOneLongCallAgainstManyShort(t *testing.T) {
	// The heavy tenant has only one call at a time, and leaves the queue in
	// between; its calls do not yield.
	s := newSim(simPolicy(), 1, 10)
	s.add(1, simCaller{path: "heavy", lane: Interactive, work: fixed(100 * time.Millisecond), solid: true})
	s.add(4, simCaller{path: "light", lane: Interactive, work: fixed(time.Millisecond)})
	s.run(t, 20*time.Second)
	share := float64(s.cpu["light"]) / float64(s.cpu["light"]+s.cpu["heavy"])
	if share < 0.47 || share > 0.53 {
		t.Errorf("the light tenant has a share of %.3f, want 0.5", share)
	}
}

func TestSimDrains(t *testing.T) {
	s := newSim(simPolicy(), 3, 11)
	for i := range 300 {
		s.add(1, simCaller{
			path: fmt.Sprintf("t%d/u%d/s%d", i%7, i%11, i), lane: Lane(1 + i%3), calls: 2,
			work: around(10 * time.Millisecond), think: around(5 * time.Millisecond),
		})
	}
	s.run(t, time.Minute)
	if len(s.ended) != 600 {
		t.Errorf("%d calls ended, want 600", len(s.ended))
	}
	empty(t, s.q)
}
