package work

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is the queue's policy written down without heaps, links or counters:
// whatever can be counted is counted again each time, in O(n).
type model struct {
	policy  policy
	jobs    []*modelJob // queued and running, in order of arrival
	parties map[string]*party
	clocks  map[string]int64 // of a party's children, by path; "" is the root
	since   map[Lane]int64
	seq     int
	started int
}

// party is a lane, tenant, subject or session by its path "lane/tenant/…".
type party struct {
	start int64
	seq   int
	ready bool
}

type modelJob struct {
	path    [depths]string
	lane    Lane
	tenant  string
	cost    int64
	state   state
	helper  bool
	began   int // order of first turns
	charged int64
	paid    [depths]*party
}

func newModel(p policy) *model {
	return &model{policy: p, parties: map[string]*party{}, clocks: map[string]int64{}, since: map[Lane]int64{}}
}

func (m *model) add(j *job) *modelJob {
	mj := &modelJob{lane: j.lane, tenant: j.tenant, cost: j.cost, helper: j.helper}
	var at strings.Builder
	at.WriteString(j.lane.String())
	for d, name := range []string{"", j.tenant, j.subject, j.session} {
		if d > 0 {
			at.WriteString("/" + name)
		}
		mj.path[d] = at.String()
	}
	m.jobs = append(m.jobs, mj)
	return mj
}

// move puts j into another lane.
func (j *modelJob) move(to Lane) {
	for d, path := range j.path {
		j.path[d] = to.String() + strings.TrimPrefix(path, j.lane.String())
	}
	j.lane = to
}

func parent(path string) string {
	return path[:max(0, strings.LastIndexByte(path, '/'))]
}

func depth(path string) int { return strings.Count(path, "/") }

// queued returns the jobs that wait below path, in order of arrival.
func (m *model) queued(path string) (jobs []*modelJob) {
	for _, j := range m.jobs {
		if j.state != running && (path == "" || slices.Contains(j.path[:], path) && !(j.state == resuming && depth(path) == atSession)) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (m *model) fresh(path string) (n int) {
	for _, j := range m.queued(path) {
		if j.state == waiting && !j.helper {
			n++
		}
	}
	return n
}

func (m *model) mayRun(tenant string) bool {
	n := 0
	for _, j := range m.jobs {
		if j.state == running && j.tenant == tenant {
			n++
		}
	}
	return m.policy.maxRunning == 0 || n < m.policy.maxRunning
}

// eligible reports whether path may have the next turn among its siblings. A
// tenant that runs all it may stands aside as a whole.
func (m *model) eligible(path string) bool {
	if path != "" && depth(path) >= atSubject {
		return len(m.queued(path)) > 0
	}
	return slices.ContainsFunc(m.queued(path), func(j *modelJob) bool { return m.mayRun(j.tenant) })
}

func (m *model) weight(path string) int64 {
	switch parts := strings.Split(path, "/"); len(parts) {
	case 1:
		for l := Interactive; l < lanes; l++ {
			if l.String() == path {
				return m.policy.laneWeights[l]
			}
		}
	case 2:
		return int64(cmp.Or(m.policy.tenants[parts[1]], 1))
	}
	return 1
}

func (m *model) party(path string) *party {
	p := m.parties[path]
	if p == nil {
		p = &party{start: m.clocks[parent(path)]}
		m.parties[path] = p
	}
	return p
}

// tidy brings all parties to what the waiting jobs imply.
func (m *model) tidy(now int64) {
	for _, j := range m.jobs {
		for d, path := range j.path {
			if j.state == waiting || j.state == resuming && d < atSession {
				m.party(path)
			}
		}
	}
	for _, path := range slices.Sorted(func(yield func(string) bool) {
		for path := range m.parties {
			yield(path)
		}
	}) {
		p, up := m.parties[path], parent(path)
		ready := m.eligible(path)
		if ready && !p.ready {
			p.start = max(p.start, m.clocks[up])
			m.seq++
			p.seq = m.seq
			if depth(path) == 0 {
				for l := Interactive; l < lanes; l++ {
					if l.String() == path {
						m.since[l] = now
					}
				}
			}
		}
		p.ready = ready
		nobody := len(m.queued(path)) == 0
		lone := len(m.queued(up)) == 0
		if nobody && (lone || p.start <= m.clocks[up] && !m.owes(p)) {
			delete(m.parties, path)
		}
		if nobody {
			delete(m.clocks, path)
		}
	}
	if len(m.queued("")) == 0 {
		clear(m.clocks)
	}
}

// owes reports whether a turn is under way that p was charged for.
func (m *model) owes(p *party) bool {
	return slices.ContainsFunc(m.jobs, func(j *modelJob) bool { return slices.Contains(j.paid[:], p) })
}

// best returns the ready child of path with the least start.
func (m *model) best(path string) (name string) {
	var least *party
	for other, p := range m.parties {
		if p.ready && depth(other) > 0 && parent(other) == path &&
			(least == nil || p.start < least.start || p.start == least.start && p.seq < least.seq) {
			name, least = other, p
		}
	}
	return name
}

func (m *model) pop(now int64) *modelJob {
	lane, aged := Inline, false
	var least int64
	for _, l := range []Lane{Admin, Interactive, Batch} {
		p := m.parties[l.String()]
		if p == nil || !p.ready {
			continue
		}
		end := p.start + m.policy.quantum/m.policy.laneWeights[l]
		if lane == Inline || end < least {
			lane, least = l, end
		}
		if l == Batch && lane != Batch && now-m.since[Batch] >= m.policy.ageBatch {
			lane, aged = Batch, true
		}
	}
	if lane == Inline {
		return nil
	}
	subject := m.best(m.best(lane.String()))
	var next *modelJob
	for _, j := range m.queued(subject) {
		if j.state == resuming && (next == nil || j.began < next.began) {
			next = j
		}
	}
	if next == nil {
		next = m.queued(m.best(subject))[0]
	}
	for d := depths - 1; d >= 0; d-- {
		path := next.path[d]
		p := m.party(path)
		before := p.start
		p.start += next.cost / m.weight(path)
		next.paid[d] = p
		switch {
		case d == atSession:
			m.clocks[parent(path)] = max(m.clocks[parent(path)], p.start)
		case d > atLane || !aged:
			m.clocks[parent(path)] = max(m.clocks[parent(path)], before)
		}
	}
	next.charged = next.cost
	m.since[lane] = now
	m.start(next)
	m.tidy(now)
	return next
}

// excess returns whom a newcomer of tenant pushes out of a full queue.
func (m *model) excess(tenant string) (newest *modelJob) {
	load := func(tenant string, more int) float64 {
		n := more
		for _, j := range m.queued("") {
			if j.tenant == tenant && j.state == waiting && !j.helper {
				n++
			}
		}
		return float64(n) / float64(cmp.Or(m.policy.tenants[tenant], 1))
	}
	most := "a"
	for _, other := range []string{"b", "c"} {
		if load(other, 0) > load(most, 0) {
			most = other
		}
	}
	if load(tenant, 1) >= load(most, 0) {
		return nil
	}
	for _, j := range m.queued("") {
		if j.tenant == most && j.state == waiting && !j.helper {
			newest = j
		}
	}
	return newest
}

func (m *model) start(j *modelJob) {
	if j.state != resuming {
		m.started++
		j.began = m.started
	}
	j.state = running
}

func (m *model) settle(j *modelJob, used, now int64) {
	up := ""
	for d, path := range j.path {
		if len(m.queued(up)) == 0 {
			break
		}
		p := m.party(path)
		due := used
		if p == j.paid[d] {
			due -= j.charged
		}
		p.start += due / m.weight(path)
		up = path
	}
	j.paid, j.charged = [depths]*party{}, 0
	m.tidy(now)
}

func (m *model) drop(j *modelJob) {
	m.jobs = slices.DeleteFunc(m.jobs, func(o *modelJob) bool { return o == j })
}

// arrive moves j to the end of the order of arrival.
func (m *model) arrive(j *modelJob, s state) {
	m.drop(j)
	j.state = s
	m.jobs = append(m.jobs, j)
}

// queueAgainstModel does random things to a queue and to the model, and
// compares every decision.
func queueAgainstModel(t *rapid.T) {
	p := testPolicy()
	p.quantum = 1000
	p.ageBatch = rapid.SampledFrom([]int64{100, 2000, 1 << 40}).Draw(t, "age")
	p.maxRunning = rapid.IntRange(0, 3).Draw(t, "maxRunning")
	p.tenants = map[string]int{"b": 3}
	p.maxSubject, p.maxTenant, p.maxQueued = 4, 8, 16
	if rapid.Bool().Draw(t, "steep") {
		p.laneWeights[Interactive] = 1000
	}
	q, m := newQueue(p), newModel(p)
	twin := make(map[*job]*modelJob)
	var queued, on, away []*job
	var now int64
	name := func(letters string, label string) string {
		return string(rapid.SampledFrom([]byte(letters)).Draw(t, label))
	}
	create := func() *job {
		return &job{
			tenant: name("abc", "tenant"), subject: name("uv", "subject"), session: name("rst", "session"),
			lane:   Lane(rapid.IntRange(1, 3).Draw(t, "lane")),
			cost:   rapid.Int64Range(1, 1000).Draw(t, "cost"),
			helper: rapid.IntRange(0, 9).Draw(t, "helper") == 0,
		}
	}
	takeOne := func(from *[]*job) *job {
		if len(*from) == 0 {
			t.Skip("none")
		}
		i := rapid.IntRange(0, len(*from)-1).Draw(t, "which")
		j := (*from)[i]
		*from = slices.Delete(*from, i, i+1)
		return j
	}
	used := func() int64 {
		u := rapid.Int64Range(0, 3000).Draw(t, "used")
		now += u
		return u
	}
	pop := func(t *rapid.T) {
		got, want := q.pop(now), m.pop(now)
		if twin[got] != want {
			t.Fatalf("got %s, want %s", describe(twin[got]), describe(want))
		}
		if got != nil {
			queued = slices.DeleteFunc(queued, func(j *job) bool { return j == got })
			on = append(on, got)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"": func(t *rapid.T) { check(t, q) },
		"push": func(t *rapid.T) {
			j := create()
			mj := m.add(j)
			full := [...]bool{
				subjectQueueFull: m.fresh(mj.path[atSubject]) >= p.maxSubject,
				tenantQueueFull:  m.fresh(mj.path[atTenant]) >= p.maxTenant,
				queueFull:        m.fresh("") >= p.maxQueued,
			}
			mj.state = outside
			r := q.full(j)
			if i := slices.Index(full[:], true); max(i, 0) != int(r) {
				t.Fatalf("refusal %d, want %d", r, max(i, 0))
			}
			if r != admitted {
				m.drop(mj)
				return
			}
			q.push(j, now)
			m.arrive(mj, waiting)
			m.tidy(now)
			twin[j] = mj
			queued = append(queued, j)
		},
		"push out": func(t *rapid.T) {
			j := create()
			got, want := q.excess(j), m.excess(j.tenant)
			if twin[got] != want {
				t.Fatalf("got %s, want %s", describe(twin[got]), describe(want))
			}
			if got == nil {
				t.Skip("nobody has more")
			}
			q.remove(got, now)
			m.drop(want)
			m.tidy(now)
			queued = slices.DeleteFunc(queued, func(o *job) bool { return o == got })
			mj := m.add(j)
			q.push(j, now)
			m.arrive(mj, waiting)
			m.tidy(now)
			twin[j] = mj
			queued = append(queued, j)
		},
		"reform": func(t *rapid.T) {
			p.maxRunning = rapid.IntRange(0, 3).Draw(t, "maxRunning")
			p.tenants = map[string]int{name("abc", "heavy"): rapid.IntRange(1, 5).Draw(t, "weight")}
			p.laneWeights[Batch] = rapid.Int64Range(1, 20).Draw(t, "batch")
			p.maxQueued = rapid.IntRange(1, 16).Draw(t, "maxQueued")
			p.ageBatch = rapid.SampledFrom([]int64{100, 2000, 1 << 40}).Draw(t, "age")
			q.reform(p, now)
			m.policy = p
			m.tidy(now)
		},
		"pop":       pop,
		"pop again": pop,
		"start": func(t *rapid.T) {
			if m.eligible("") {
				t.Skip("somebody waits")
			}
			j := create()
			mj := m.add(j)
			mj.state = outside
			ok := m.mayRun(j.tenant)
			if q.start(j, now) != ok {
				t.Fatalf("start is %t, want %t", !ok, ok)
			}
			if !ok {
				m.drop(mj)
				return
			}
			m.start(mj)
			m.tidy(now)
			twin[j] = mj
			on = append(on, j)
		},
		"yield": func(t *rapid.T) {
			j := takeOne(&on)
			u := used()
			j.cost = p.quantum
			twin[j].cost = p.quantum
			to := rapid.SampledFrom([]Lane{j.lane, j.lane, Interactive, Batch, Admin}).Draw(t, "to")
			q.yield(j, u, now, to)
			m.settle(twin[j], u, now)
			twin[j].move(to)
			m.arrive(twin[j], resuming)
			m.tidy(now)
			queued = append(queued, j)
		},
		"done": func(t *rapid.T) {
			j := takeOne(&on)
			u := used()
			q.done(j, u, now)
			m.settle(twin[j], u, now)
			m.drop(twin[j])
			m.tidy(now)
		},
		"rest": func(t *rapid.T) {
			j := takeOne(&on)
			u := used()
			q.done(j, u, now)
			m.settle(twin[j], u, now)
			m.drop(twin[j])
			m.tidy(now)
			away = append(away, j)
		},
		"back": func(t *rapid.T) {
			j := takeOne(&away)
			j.cost = p.quantum
			twin[j].cost = p.quantum
			to := rapid.SampledFrom([]Lane{j.lane, j.lane, Interactive, Batch, Admin}).Draw(t, "to")
			q.back(j, now, to)
			twin[j].move(to)
			m.arrive(twin[j], resuming)
			m.tidy(now)
			queued = append(queued, j)
		},
		"remove": func(t *rapid.T) {
			j := takeOne(&queued)
			q.remove(j, now)
			m.drop(twin[j])
			m.tidy(now)
		},
	})
	for len(queued)+len(on) > 0 {
		pop(t)
		for _, j := range on {
			q.done(j, 500, now)
			m.settle(twin[j], 500, now)
			m.drop(twin[j])
			m.tidy(now)
		}
		on = nil
	}
	empty(t, q)
}

func describe(j *modelJob) string {
	if j == nil {
		return "nobody"
	}
	return fmt.Sprintf("%s (state %d)", j.path[atSession], j.state)
}

func TestQueueAgainstModel(t *testing.T) {
	for range 10 { // rapid makes 100 runs of 30 steps at a time
		rapid.Check(t, queueAgainstModel)
	}
}

func FuzzQueueAgainstModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(queueAgainstModel)) }
