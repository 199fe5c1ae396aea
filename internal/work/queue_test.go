package work

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestOrder(t *testing.T) {
	// Each job takes a turn of 1 ms on the only slot, then it is done.
	tests := []struct {
		name string
		push string // jobs in order of arrival; "b:" batch, "a:" admin
		want string
	}{
		{"first come first served in a session", "t/u/s=1 t/u/s=2 t/u/s=3", "1 2 3"},
		{"tenants take turns", "t=1 t=2 t=3 x=4 x=5", "1 4 2 5 3"},
		{"subjects of a tenant take turns", "t/u=1 t/u=2 t/u=3 t/v=4", "1 4 2 3"},
		{"sessions of a subject take turns", "t/u/r=1 t/u/r=2 t/u/r=3 t/u/s=4", "1 4 2 3"},
		{"a share belongs to the tenant, not to its subjects", "t/u=1 t/v=2 t/w=3 x=4 x=5 x=6", "1 4 2 5 3 6"},
		{"a share belongs to the subject, not to its sessions", "t/u/r=1 t/u/s=2 t/u/q=3 t/v=4 t/v=5", "1 4 2 5 3"},
		{"interactive before batch", "b:t=1 b:x=2 t=3 t=4", "3 4 1 2"},
		{"admin before interactive", "t=1 a:t=2", "2 1"},
		{"an empty name is a name", "=1 =2 t=3", "1 3 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue(testPolicy())
			names := make(map[*job]string)
			for spec := range strings.FieldsSeq(tt.push) {
				path, name, _ := strings.Cut(spec, "=")
				lane := Interactive
				if rest, ok := strings.CutPrefix(path, "b:"); ok {
					path, lane = rest, Batch
				} else if rest, ok := strings.CutPrefix(path, "a:"); ok {
					path, lane = rest, Admin
				}
				j := newJob(path, lane)
				names[j] = name
				q.push(j, 0)
				check(t, q)
			}
			var got []string
			now := int64(0)
			for j := q.pop(now); j != nil; j = q.pop(now) {
				got = append(got, names[j])
				now += 1_000_000
				q.done(j, 1_000_000, now)
				check(t, q)
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
			empty(t, q)
		})
	}
}

// turns pops n turns of used ns on one slot. Jobs named in endless yield; all
// others are done after one turn. It returns the tenants in order.
func turns(t *testing.T, q *queue, now *int64, n int, used int64, endless ...*job) (order string) {
	t.Helper()
	for range n {
		j := q.pop(*now)
		if j == nil {
			t.Fatalf("after %q nothing may run", order)
		}
		order += j.tenant
		*now += used
		if slices.Contains(endless, j) {
			q.yield(j, used, *now, j.lane)
		} else {
			q.done(j, used, *now)
		}
		check(t, q)
	}
	return order
}

func TestChargedByUse(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	heavy, light := newJob("h", Interactive), newJob("l", Interactive)
	q.push(heavy, now)
	q.push(light, now)
	for range 8 {
		j := q.pop(now)
		used := int64(1_000)
		if j == heavy {
			used = 10_000
		}
		now += used
		q.yield(j, used, now, j.lane)
	}
	// The heavy job had one turn and the light one seven: three more for it.
	if got := turns(t, q, &now, 4, 1_000, heavy, light); got != "lllh" {
		t.Errorf("got %s, want the light job until it has caught up", got)
	}
}

func TestTenantWeight(t *testing.T) {
	p := testPolicy()
	p.tenants = map[string]int{"b": 3}
	q := newQueue(p)
	a, b := newJob("a", Interactive), newJob("b", Interactive)
	q.push(a, 0)
	q.push(b, 0)
	var now int64
	got := turns(t, q, &now, 400, 3_000, a, b)
	if n := strings.Count(got, "b"); n < 298 || n > 302 {
		t.Errorf("b had %d of 400 turns, want 300", n)
	}
}

func TestIdleBanksNoCredit(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	a, b := newJob("a", Interactive), newJob("b", Interactive)
	q.push(a, now)
	q.push(newJob("a", Interactive), now) // so that something always waits
	turns(t, q, &now, 1000, 1_000, a)
	q.push(b, now)
	if got := turns(t, q, &now, 20, 1_000, a, b); strings.Count(got, "b") > 11 || got[0] != 'b' {
		t.Errorf("got %s, want b at once and then turn about", got)
	}
}

func TestGoingAwayShedsNoDebt(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	a := newJob("a", Interactive)
	for range 200 {
		q.push(newJob("b", Interactive), now)
	}
	q.push(a, now)
	turns(t, q, &now, 1, 1_000) // b
	if got := turns(t, q, &now, 1, 100_000); got != "a" {
		t.Fatalf("got %s, want a", got)
	}
	a = newJob("a", Interactive)
	q.push(a, now)
	if got := turns(t, q, &now, 101, 1_000); strings.IndexByte(got, 'a') < 98 {
		t.Errorf("a is back after %d turns of b, want about 99", strings.IndexByte(got, 'a'))
	}
}

func TestResumedFirst(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	jobs := make([]*job, 6)
	for i := range jobs {
		jobs[i] = newJob(fmt.Sprintf("t/u/%d", i), Interactive)
		q.push(jobs[i], now)
	}
	other := newJob("x", Interactive)
	q.push(other, now)
	for want, j := range jobs {
		for turn := range 10 {
			for range 2 { // one for the other tenant
				got := q.pop(now)
				now += 1_000
				switch {
				case got == other, got == j && turn < 9:
					q.yield(got, 1_000, now, got.lane)
				case got == j:
					q.done(got, 1_000, now)
				default:
					t.Fatalf("job %d, turn %d: job %d runs", want, turn, slices.Index(jobs, got))
				}
			}
		}
	}
	q.remove(other, now)
	empty(t, q)
}

func TestOldestResumedFirst(t *testing.T) {
	q := newQueue(testPolicy())
	first, second := newJob("t/u/1", Interactive), newJob("t/u/2", Interactive)
	q.push(first, 0)
	q.push(second, 0)
	q.pop(0)
	q.pop(0)
	q.yield(second, 10, 10, second.lane)
	q.yield(first, 10, 10, first.lane)
	if got := q.pop(10); got != first {
		t.Error("the job that started later is resumed first")
	}
}

func TestMaxRunningPerTenant(t *testing.T) {
	p := testPolicy()
	p.maxRunning = 2
	q := newQueue(p)
	inter := []*job{newJob("t", Interactive), newJob("t", Interactive), newJob("t", Interactive)}
	batch, other := newJob("t", Batch), newJob("x", Batch)
	for _, j := range append(inter, batch, other) {
		q.push(j, 0)
	}
	for _, want := range []*job{inter[0], inter[1], other, nil} {
		if got := q.pop(0); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
		check(t, q)
	}
	if q.start(newJob("t", Admin), 0) {
		t.Error("a third job of the tenant started at once")
	}
	q.done(inter[0], 5, 5)
	check(t, q)
	if got := q.pop(5); got != inter[2] {
		t.Errorf("got %v, want the third interactive job", got)
	}
	q.yield(inter[2], 5, 10, inter[2].lane)
	check(t, q)
	for _, j := range []*job{inter[2], batch} {
		q.remove(j, 10)
	}
	q.done(inter[1], 5, 10)
	q.done(other, 5, 10)
	empty(t, q)
}

func TestStandingAsideBanksNoCredit(t *testing.T) {
	p := testPolicy()
	p.maxRunning = 1
	q := newQueue(p)
	var now int64
	a, b := newJob("a", Interactive), newJob("b", Interactive)
	q.push(a, now)
	q.pop(now) // a runs on another slot, the rest of its tenant may not
	again := newJob("a", Interactive)
	q.push(again, now)
	q.push(b, now)
	turns(t, q, &now, 1000, 1_000, b)
	q.done(a, 1_000, now)
	if got := turns(t, q, &now, 20, 1_000, again, b); strings.Count(got, "a") > 11 {
		t.Errorf("got %s, want turn about", got)
	}
}

func TestBounds(t *testing.T) {
	p := testPolicy()
	p.maxSubject, p.maxTenant, p.maxQueued = 2, 3, 5
	q := newQueue(p)
	steps := []struct {
		path string
		lane Lane
		want refusal
	}{
		{"t/u", Interactive, admitted},
		{"t/u", Interactive, admitted},
		{"t/u", Interactive, subjectQueueFull},
		{"t/v", Interactive, admitted},
		{"t/w", Interactive, tenantQueueFull},
		{"t/u", Batch, admitted}, // a lane for itself
		{"x/u", Interactive, admitted},
		{"y/u", Interactive, queueFull},
	}
	for i, s := range steps {
		j := newJob(s.path, s.lane)
		if got := q.full(j); got != s.want {
			t.Errorf("step %d: refusal %d, want %d", i, got, s.want)
		} else if got == admitted {
			q.push(j, 0)
		}
	}
	// Jobs that have had a turn, and helpers, take no place.
	j := q.pop(0)
	q.yield(j, 1, 1, j.lane)
	helper := newJob("x/u", Interactive)
	helper.helper = true
	q.push(helper, 1)
	check(t, q)
	if got := q.full(newJob("y/u", Interactive)); got != admitted {
		t.Errorf("refusal %d, want admitted", got)
	}
}

func TestBatchAges(t *testing.T) {
	p := testPolicy()
	p.laneWeights[Interactive] = MaxWeight
	p.ageBatch, p.quantum = 100, 10
	q := newQueue(p)
	i, b := newJob("i", Interactive), newJob("b", Batch)
	q.push(i, 0)
	q.push(b, 0)
	var now int64
	got := turns(t, q, &now, 100, 10, i, b)
	want := strings.Repeat("i", 10) + "b"
	for n, turn := range strings.SplitAfter(strings.TrimRight(got, "i"), "b") {
		if turn != want && turn != "" {
			t.Errorf("round %d is %s, want %s", n, turn, want)
		}
	}
}

func TestAgedTurnDoesNotMoveTheClock(t *testing.T) {
	p := testPolicy()
	p.laneWeights = [lanes]int64{Interactive: 1, Batch: 1, Admin: 1}
	p.ageBatch, p.quantum = 50_000, 1_000
	q := newQueue(p)
	var now int64
	admin, batch, inter := newJob("a", Admin), newJob("b", Batch), newJob("i", Interactive)
	q.push(batch, now)
	q.push(admin, now)
	turns(t, q, &now, 1, 1_000, admin, batch)
	if got := turns(t, q, &now, 1, 1_000_000, admin, batch); got != "b" { // a long turn
		t.Fatalf("got %s, want b", got)
	}
	if got := turns(t, q, &now, 51, 1_000, admin, batch); got != strings.Repeat("a", 50)+"b" {
		t.Fatalf("got %s, want b as soon as it has aged", got)
	}
	q.push(inter, now)
	if got := turns(t, q, &now, 20, 1_000, admin, batch, inter); strings.Count(got, "i") < 9 {
		t.Errorf("got %s, want i turn about with a", got)
	}
}

func TestMintedSessionsDoNotStarveOlder(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	minted := 0
	mint := func() {
		minted++
		q.push(newJob(fmt.Sprintf("t/u/m%d", minted), Interactive), now)
	}
	old := newJob("t/u/old", Interactive)
	q.push(old, now)
	q.push(newJob("t/u/old", Interactive), now)
	mint()
	for n := range 10 {
		j := q.pop(now)
		now += 1_000
		q.done(j, 1_000, now)
		mint()
		if j.session == "old" && n > 0 {
			return
		}
	}
	t.Error("the second call of the old session waits behind ten sessions that came after it")
}

func TestNothingRemembered(t *testing.T) {
	q := newQueue(testPolicy())
	var now int64
	for round := range 50 {
		for i := range 100 {
			q.push(newJob(fmt.Sprintf("t%d/u%d/s%d", i%20, i%7, round*100+i), Lane(1+i%3)), now)
		}
		for j := q.pop(now); j != nil; j = q.pop(now) {
			now += 1000
			q.done(j, 1000, now)
		}
		empty(t, q)
	}
	for i := range 2 * maxSpares {
		q.push(newJob(fmt.Sprintf("t%d", i), Batch), now)
	}
	for q.arrivals.head != nil {
		q.remove(q.arrivals.head, now)
	}
	empty(t, q)
	if lane := q.find(newJob("t", Batch), atLane); lane.kids != nil || lane.ready != nil {
		t.Error("a lane keeps the room of its many tenants")
	}
	if n := len(q.spares); n > maxSpares {
		t.Errorf("%d spare nodes, want at most %d", n, maxSpares)
	}
}

// A turn that the clock overtakes while it lasts is charged once: it must not
// cost the party its next turn, which was the case when its mark was forgotten.
func TestTurnIsChargedOnce(t *testing.T) {
	q := newQueue(testPolicy())
	cost := q.policy.quantum
	job := func(path string) *job {
		j := newJob(path, Interactive)
		j.cost = cost
		return j
	}
	quiet, other := job("quiet"), job("flood")
	if !q.start(other, 0) { // on the second slot
		t.Fatal("no slot")
	}
	for range 8 {
		q.push(job("flood"), 0)
	}
	q.push(quiet, 0)
	for q.pop(0) != quiet { // the flooder came first
	}
	// The flooder's turns end meanwhile, one after the other, and others of it begin.
	q.yield(other, cost, cost/2, other.lane)
	q.pop(cost / 2)
	check(t, q)
	q.yield(quiet, cost, cost, quiet.lane)
	check(t, q)
	if next := q.pop(cost); next != quiet {
		t.Errorf("the turn after goes to %s: it has had as much as quiet, and more is under way", next.tenant)
	}
}
