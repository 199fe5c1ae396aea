package session

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"pgregory.net/rapid"
)

// model is a directory as one would write it without a thought for speed: a
// list of sessions, and rules.
type model struct {
	d        *Directory
	cfg      Config
	sessions []*modelSession // all there ever were
	handles  []*modelHandle  // not released yet
	streams  []*modelStream  // not closed yet
	ended    []endNote       // what the hooks reported and the model has not explained yet
	events   []string        // what must have been told since the last check
	reasons  map[Reason]uint64
	misses   uint64
	refused  uint64

	mu   sync.Mutex
	told []string // what the bus told; owned by mu
}

type modelSession struct {
	id                ID
	owner             Owner
	created, lastUsed time.Time
	idleTTL, maxTTL   time.Duration
	inFlight, streams int
	calls, errors     uint64
	version           uint64
	slots             map[string]string
	state             State // "", while live
	why               Reason
	ctx               context.Context // nil if nobody asked for it
	canceled          bool
	byStream          bool // a stream was the last to let go of it
	hooks             int
}

type modelHandle struct {
	*Handle
	s      *modelSession
	failed bool
}

type modelStream struct {
	s     *modelSession
	close func()
}

type endNote struct {
	s   *modelSession
	why Reason
}

func (s *modelSession) live() bool { return s.state == "" }
func (s *modelSession) idle() bool { return s.live() && s.inFlight+s.streams == 0 }

func (s *modelSession) overdue(now time.Time) Reason {
	switch {
	case !now.Before(s.created.Add(s.maxTTL)):
		return ReasonAge
	case s.idle() && !now.Before(s.lastUsed.Add(s.idleTTL)):
		return ReasonIdle
	}
	return ""
}

func (s *modelSession) bytes() (n int64) {
	for name, text := range s.slots {
		data, _ := json.Marshal(map[string]any{"schema": 1, "data": text})
		n += int64(slotCost + len(name) + len(data))
	}
	return n
}

// leave is the rule of every way to end a live session.
func (m *model) leave(t *rapid.T, s *modelSession, why Reason) {
	s.why = why
	if s.inFlight+s.streams > 0 {
		s.state = StateDraining
		s.canceled = why != ReasonAge || s.inFlight == 0
		m.events = append(m.events, fmt.Sprint("changed ", s.id))
		return
	}
	m.end(t, s)
}

// end is the rule of an end, which the teardown hook must have reported.
func (m *model) end(t *rapid.T, s *modelSession) {
	s.state, s.canceled = StateEnded, true
	m.reasons[s.why]++
	m.events = append(m.events, fmt.Sprint("ended ", s.id))
	i := slices.Index(m.ended, endNote{s, s.why})
	if i < 0 {
		t.Fatalf("session %s did not end by %s; ended are %v", s.id, s.why, m.ended)
	}
	m.ended = slices.Delete(m.ended, i, i+1)
}

// let is the rule of what happens when a call or a stream is done with s.
func (m *model) let(t *rapid.T, s *modelSession) {
	if s.state == StateDraining {
		s.canceled = s.canceled || s.inFlight == 0
		if s.inFlight+s.streams == 0 {
			m.end(t, s)
		}
	}
}

func (m *model) count(keep func(*modelSession) bool) (n int) {
	for _, s := range m.sessions {
		if s.state != StateEnded && keep(s) {
			n++
		}
	}
	return n
}

func ofOwner(o Owner) func(*modelSession) bool {
	return func(s *modelSession) bool { return s.owner == o }
}

func ofTenant(name string) func(*modelSession) bool {
	return func(s *modelSession) bool { return s.owner.Tenant == name }
}

func anyone(*modelSession) bool { return true }

// makeRoom explains the next eviction that was reported: its victim must be one
// that the rule of the cap allows. It returns false if there must be none.
func (m *model) makeRoom(t *rapid.T, why Reason, opener Owner, among func(*modelSession) bool) bool {
	now := time.Now()
	// weigh is how many sessions a group has, with the one to come.
	weigh := func(group func(*modelSession) bool) int {
		n := m.count(group)
		if group(&modelSession{owner: opener}) {
			n++
		}
		return n
	}
	// rank orders candidates: who has the lowest rank may go.
	rank := func(s *modelSession) int {
		switch why {
		case ReasonOwnerCap:
			if s.overdue(now) != "" {
				return 0
			}
			if len(s.slots) == 0 {
				return 1
			}
			return 2
		case ReasonTenantCap:
			return -weigh(ofOwner(s.owner))
		default:
			return -weigh(ofTenant(s.owner.Tenant))
		}
	}
	var candidates []*modelSession
	for _, s := range m.sessions {
		if s.idle() && among(s) {
			candidates = append(candidates, s)
		}
	}
	if len(candidates) == 0 {
		return false
	}
	if len(m.ended) == 0 {
		t.Fatalf("nothing was evicted at the %s although %d sessions could go", why, len(candidates))
	}
	got := m.ended[0]
	if !slices.Contains(candidates, got.s) {
		t.Fatalf("evicted %v at the %s: no candidate", got, why)
	}
	for _, s := range candidates {
		if rank(s) < rank(got.s) {
			t.Fatalf("evicted %s at the %s with rank %d, there was one with %d", got.s.id, why, rank(got.s), rank(s))
		}
		// A session that a stream let go of may count as more recent than its
		// last call; among owners only the same owner's are compared.
		sameGroup := why != ReasonTenantCap || s.owner == got.s.owner
		if sameGroup && rank(s) == rank(got.s) && s.owner.Tenant == got.s.owner.Tenant && s.lastUsed.Before(got.s.lastUsed) && !s.byStream {
			t.Fatalf("evicted %s at the %s, used %v: there was one used %v", got.s.id, why, got.s.lastUsed, s.lastUsed)
		}
	}
	got.s.why = cmp.Or(got.s.overdue(now), why)
	m.end(t, got.s)
	return true
}

func (m *model) Open(t *rapid.T) { m.open(t) }

// OpenIdle and OpenUsed are the usual first call, without and with state: most
// sessions are idle, so that caps have something to evict.
func (m *model) OpenIdle(t *rapid.T) {
	if h := m.open(t); h != nil {
		m.release(t, h)
	}
}

func (m *model) OpenUsed(t *rapid.T) {
	if h := m.open(t); h != nil {
		m.update(t, h)
		time.Sleep(time.Second)
		m.release(t, h)
	}
}

func (m *model) open(t *rapid.T) *modelHandle {
	o := rapid.SampledFrom(modelOwners).Draw(t, "owner")
	p := Params{
		IdleTTL: rapid.SampledFrom([]time.Duration{30 * time.Second, 5 * time.Minute}).Draw(t, "idle"),
		MaxTTL:  rapid.SampledFrom([]time.Duration{time.Minute, 20 * time.Minute}).Draw(t, "max"),
	}
	now := time.Now()
	h, err := m.d.Open(context.Background(), o, p)
	code := ""
	if m.count(ofOwner(o)) >= m.cfg.MaxPerOwner && !m.makeRoom(t, ReasonOwnerCap, o, ofOwner(o)) {
		code = "owner_sessions_in_use"
	}
	if code == "" && m.count(ofTenant(o.Tenant)) >= m.cfg.MaxPerTenant && !m.makeRoom(t, ReasonTenantCap, o, ofTenant(o.Tenant)) {
		code = "tenant_sessions_in_use"
	}
	if code == "" && m.count(anyone) >= m.cfg.MaxTotal && !m.makeRoom(t, ReasonGlobalCap, o, anyone) {
		code = "server_sessions_in_use"
	}
	if code != "" {
		m.refused++
		if f, ok := errors.AsType[*fault.Error](err); !ok || f.Code != code {
			t.Fatalf("open: %v, want %s", err, code)
		}
		return nil
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	s := &modelSession{id: h.ID(), owner: o, created: now, lastUsed: now, idleTTL: p.IdleTTL, maxTTL: p.MaxTTL, inFlight: 1, slots: map[string]string{}}
	m.sessions = append(m.sessions, s)
	mh := &modelHandle{Handle: h, s: s}
	m.handles = append(m.handles, mh)
	m.events = append(m.events, fmt.Sprint("opened ", s.id))
	h.OnEnd(func(why Reason) {
		s.hooks++
		m.ended = append(m.ended, endNote{s, why})
	})
	if rapid.Bool().Draw(t, "context") {
		s.ctx = h.Context()
	}
	return mh
}

// find is the rule of a lookup.
func (m *model) find(t *rapid.T, o Owner, s *modelSession) bool {
	if s.owner != o || !s.live() {
		m.misses++
		return false
	}
	if why := s.overdue(time.Now()); why != "" {
		m.leave(t, s, why)
		m.misses++
		return false
	}
	return true
}

func (m *model) Acquire(t *rapid.T) {
	s, o := m.someSession(t), m.someOwner(t)
	h, err := m.d.Acquire(context.Background(), o, s.id)
	if !m.find(t, o, s) {
		if err != errMiss {
			t.Fatalf("acquire: %v, want a miss", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("acquire: %v", err)
	}
	s.inFlight++
	m.handles = append(m.handles, &modelHandle{Handle: h, s: s})
}

func (m *model) Delete(t *rapid.T) {
	s, o := m.someSession(t), m.someOwner(t)
	err := m.d.Delete(context.Background(), o, s.id)
	if !m.find(t, o, s) {
		if err != errMiss {
			t.Fatalf("delete: %v, want a miss", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("delete: %v", err)
	}
	m.leave(t, s, ReasonDeleted)
}

func (m *model) EndRef(t *rapid.T) {
	s := m.someSession(t)
	err := m.d.EndRef(context.Background(), s.id.Ref(), ReasonOperator)
	if want := s.state == StateEnded; (err != nil) != want {
		t.Fatalf("end %s in state %q: %v", s.id, s.state, err)
	}
	switch {
	case s.live():
		m.leave(t, s, ReasonOperator)
	case s.state == StateDraining:
		s.canceled = true
	}
}

func (m *model) Release(t *rapid.T) { m.release(t, m.someHandle(t)) }

func (m *model) release(t *rapid.T, h *modelHandle) {
	h.Handle.Release()
	h.Handle.Release()
	m.handles = slices.DeleteFunc(m.handles, func(x *modelHandle) bool { return x == h })
	s := h.s
	s.inFlight--
	s.calls++
	if h.failed {
		s.errors++
	}
	s.lastUsed, s.byStream = time.Now(), false
	m.let(t, s)
}

func (m *model) Fail(t *rapid.T) {
	h := m.someHandle(t)
	h.Handle.Fail()
	h.failed = true
}

func (m *model) Stream(t *rapid.T) {
	h := m.someHandle(t)
	h.s.streams++
	m.streams = append(m.streams, &modelStream{h.s, h.Handle.Stream()})
}

func (m *model) CloseStream(t *rapid.T) {
	if len(m.streams) == 0 {
		t.Skip("no stream")
	}
	x := rapid.SampledFrom(m.streams).Draw(t, "stream")
	x.close()
	x.close()
	m.streams = slices.DeleteFunc(m.streams, func(y *modelStream) bool { return x == y })
	x.s.streams--
	x.s.byStream = x.s.byStream || x.s.inFlight+x.s.streams == 0
	m.let(t, x.s)
}

var modelSlots = NewSlot[string]("text")

func (m *model) Update(t *rapid.T) { m.update(t, m.someHandle(t)) }

func (m *model) update(t *rapid.T, h *modelHandle) {
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	text := rapid.StringMatching(`[a-z]{0,200}`).Draw(t, "text")
	fails := rapid.Bool().Draw(t, "fails")
	failure := errors.New("fails")
	err := modelSlots.Key(key).Update(context.Background(), h.Handle, func(v *string) error {
		if *v != h.s.slots["text/"+key] {
			t.Errorf("update sees %q, want %q", *v, h.s.slots["text/"+key])
		}
		*v = text
		if fails {
			return failure
		}
		return nil
	})
	if fails {
		if err != failure {
			t.Fatalf("update: %v, want what fn returned", err)
		}
		return
	}
	after := modelSession{slots: maps.Clone(h.s.slots)}
	after.slots["text/"+key] = text
	if after.bytes() > m.cfg.MaxBytes && after.bytes() > h.s.bytes() {
		if fault.KindOf(err) != fault.TooLarge {
			t.Fatalf("update to %d bytes: %v, want TooLarge", after.bytes(), err)
		}
		return
	}
	if err != nil {
		t.Fatalf("update: %v", err)
	}
	h.s.slots = after.slots
	h.s.version++
}

func (m *model) Remove(t *rapid.T) {
	h := m.someHandle(t)
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	if err := modelSlots.Key(key).Delete(context.Background(), h.Handle); err != nil {
		t.Fatalf("delete slot: %v", err)
	}
	if _, ok := h.s.slots["text/"+key]; ok {
		delete(h.s.slots, "text/"+key)
		h.s.version++
	}
}

func (m *model) Sleep(t *rapid.T) {
	time.Sleep(time.Duration(rapid.IntRange(1, 20).Draw(t, "seconds")) * time.Second)
}

func (m *model) Sweep(t *rapid.T) {
	for _, s := range m.d.shards {
		for s.sweepStep() {
		}
	}
	for _, s := range m.sessions {
		if !s.live() {
			continue
		}
		if why := s.overdue(time.Now()); why != "" {
			m.leave(t, s, why)
		}
	}
}

// Check compares everything that can be seen from outside with the model, and
// everything inside with itself.
func (m *model) Check(t *rapid.T) {
	synctest.Wait()
	if len(m.ended) > 0 {
		t.Fatalf("ended without a reason: %v", m.ended)
	}
	m.mu.Lock()
	told := m.told
	m.told = nil
	m.mu.Unlock()
	slices.Sort(told)
	slices.Sort(m.events)
	if !slices.Equal(told, m.events) {
		t.Fatalf("events %v, want %v", told, m.events)
	}
	m.events = nil
	all := map[ID]Info{}
	for i := range m.d.All() {
		all[i.ID] = i
	}
	lists := map[Owner][]ID{}
	for _, s := range slices.Backward(m.sessions) {
		m.checkSession(t, s, all)
		if s.live() && s.overdue(time.Now()) == "" {
			lists[s.owner] = append(lists[s.owner], s.id)
		}
	}
	if len(all) != m.count(anyone) {
		t.Errorf("%d sessions, want %d", len(all), m.count(anyone))
	}
	for _, o := range modelOwners {
		var got []ID
		for _, i := range m.d.List(o) {
			got = append(got, i.ID)
		}
		if !slices.Equal(got, lists[o]) {
			t.Errorf("list of %v: %v, want %v", o, got, lists[o])
		}
	}
	st := m.d.Stats()
	for why, n := range st.Ended {
		if n != m.reasons[why] {
			t.Errorf("%d ended by %s, want %d", n, why, m.reasons[why])
		}
	}
	if st.Misses != m.misses || st.Refused != m.refused || st.Opened != uint64(len(m.sessions)) {
		t.Errorf("stats %+v, want %d misses, %d refused, %d opened", st, m.misses, m.refused, len(m.sessions))
	}
	checkInvariants(t, m.d)
}

func (m *model) checkSession(t *rapid.T, s *modelSession, all map[ID]Info) {
	if s.ctx != nil && (s.ctx.Err() != nil) != s.canceled {
		t.Errorf("context of %s in state %q: %v, want canceled %v", s.id, s.state, s.ctx.Err(), s.canceled)
	}
	got, there := all[s.id]
	if s.state == StateEnded {
		if there || s.hooks != 1 {
			t.Errorf("%s has ended: its hook ran %d times, listed %v", s.id, s.hooks, there)
		}
		return
	}
	state := s.state
	if state == "" {
		state = StateActive
		if s.idle() {
			state = StateIdle
		}
	}
	want := Info{
		ID: s.id, Ref: s.id.Ref(), Owner: s.owner, State: state, InFlight: s.inFlight, Streams: s.streams,
		Calls: s.calls, Errors: s.errors, Version: s.version, Bytes: s.bytes(), Created: got.Created, LastUsed: got.LastUsed, Expires: got.Expires,
	}
	if len(s.slots) > 0 {
		want.Slots = []string{"text"}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || s.hooks != 0 {
		t.Errorf("session\n%+v, want\n%+v, %d hooks ran", got, want, s.hooks)
	}
	if !got.Created.Equal(s.created) || !got.LastUsed.Equal(s.lastUsed) {
		t.Errorf("session %s: created %v, used %v: want %v, %v", s.id, got.Created, got.LastUsed, s.created, s.lastUsed)
	}
}

var modelOwners = []Owner{{"a", "i", "1"}, {"a", "i", "2"}, {"a", "j", "1"}, {"b", "i", "1"}, {"c", "i", "1"}}

func (m *model) someOwner(t *rapid.T) Owner { return rapid.SampledFrom(modelOwners).Draw(t, "owner") }

// someSession returns one of the younger sessions: of these some live.
func (m *model) someSession(t *rapid.T) *modelSession {
	if len(m.sessions) == 0 {
		t.Skip("no session")
	}
	return rapid.SampledFrom(m.sessions[max(0, len(m.sessions)-2*m.cfg.MaxTotal):]).Draw(t, "session")
}

func (m *model) someHandle(t *rapid.T) *modelHandle {
	if len(m.handles) == 0 {
		t.Skip("no handle")
	}
	return rapid.SampledFrom(m.handles).Draw(t, "handle")
}

// noDeadline hides that a *testing.T has a deadline, which a bubble refuses to
// tell.
type noDeadline struct{ rapid.TB }

func TestModel(t *testing.T) {
	seen := map[Reason]uint64{}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(noDeadline{t}, func(t *rapid.T) {
			cfg := Config{MaxPerOwner: 3, MaxPerTenant: 5, MaxTotal: 7, MaxBytes: 700, Shards: rapid.SampledFrom([]int{1, 3}).Draw(t, "shards")}
			var bus event.Bus[Event]
			ctx, cancel := context.WithCancel(context.Background())
			m := &model{d: New(cfg, &bus), cfg: cfg, reasons: map[Reason]uint64{}}
			events := bus.Subscribe(ctx)
			var listener sync.WaitGroup
			listener.Go(func() {
				for e := range events {
					m.mu.Lock()
					m.told = append(m.told, fmt.Sprint(e.Kind, " ", e.Info.ID))
					m.mu.Unlock()
				}
			})
			defer listener.Wait()
			defer cancel()
			for range 4 {
				t.Repeat(rapid.StateMachineActions(m))
			}
			for why, n := range m.reasons {
				seen[why] += n
			}
		})
	})
	for _, why := range Reasons() {
		if seen[why] == 0 && why != ReasonShutdown {
			t.Errorf("no session ended by %s: the actions do not reach that rule", why)
		}
	}
	t.Logf("ends: %v", seen)
}
