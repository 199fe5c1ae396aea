package session

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"pgregory.net/rapid"
)

// model is a directory as one would write it without a thought for speed: a
// list of sessions, and rules.
type model struct {
	d        *Directory
	store    *fakeStore // nil without one
	cfg      Config
	sessions []*modelSession // all there ever were
	handles  []*modelHandle  // not released yet
	streams  []*modelStream  // not closed yet
	ended    []endNote       // what the hooks reported and the model has not explained yet
	events   []string        // what must have been told since the last check
	granted  []string        // what the hook of grants was told since the last check
	reasons  map[Reason]uint64
	reached  map[string]uint64 // what was done by or to a grantee
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
	grants            map[Owner]modelGrant // by grantee
	unstored          bool                 // the store may have other grants
	byStream          bool                 // a stream was the last to let go of it
	hooks             int
}

type modelHandle struct {
	*Handle
	who    Owner // the session's owner or a grantee
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
	m.checkGrants(t)
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
	if m.store != nil {
		m.checkStore(t)
	}
}

// checkStore looks at what would be left if the process crashed now.
func (m *model) checkStore(t *rapid.T) {
	after, _, err := Restore(context.Background(), Config{}, m.store.fork(), nil, nil)
	if err != nil {
		t.Fatalf("restore: %v", err)
	}
	checkInvariants(t, after)
	m.checkStoredGrants(t, after)
	for _, s := range m.sessions {
		got := m.store.get(s.owner, s.id)
		if !s.live() && (s.why == ReasonDeleted || s.why == ReasonOperator) {
			if got != nil {
				t.Errorf("session %s was ended by %s and is still stored", s.id, s.why)
			}
			continue
		}
		if !s.live() || s.version == 0 {
			continue // it may be there
		}
		if got == nil || got.Version != s.version || got.Bytes != s.bytes() || len(got.Cells) != len(s.slots) {
			t.Fatalf("session %s at version %d is stored as %+v", s.id, s.version, got)
		}
		for _, c := range got.Cells {
			if want := fmt.Sprintf(`{"schema":1,"data":%q}`, s.slots[c.Name]); string(c.Data) != want {
				t.Errorf("slot %s of %s is stored as %s, want %s", c.Name, s.id, c.Data, want)
			}
		}
		if got.LastUsed.After(s.lastUsed) {
			t.Errorf("session %s was used at %v, stored %v", s.id, s.lastUsed, got.LastUsed)
		}
	}
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
	for _, g := range s.grants {
		if time.Now().Before(g.expires) {
			want.Grants++
		}
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
	seen, reached := map[Reason]uint64{}, map[string]uint64{}
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(noDeadline{t}, func(t *rapid.T) {
			cfg := Config{MaxPerOwner: 3, MaxPerTenant: 5, MaxTotal: 7, MaxBytes: 700, MaxGrants: 2, Shards: rapid.SampledFrom([]int{1, 3}).Draw(t, "shards")}
			var bus event.Bus[Event]
			ctx, cancel := context.WithCancel(context.Background())
			m := &model{reasons: map[Reason]uint64{}, reached: reached}
			cfg.OnGrant = func(e GrantEvent) {
				m.granted = append(m.granted, fmt.Sprint(e.Kind, " ", e.ID, " ", e.Grant.Grantee.Subject))
			}
			m.cfg = cfg
			if rapid.Bool().Draw(t, "stored") {
				m.store = newFakeStore()
				var err error
				if m.d, _, err = Restore(ctx, cfg, m.store, &bus, nil); err != nil {
					t.Fatalf("restore: %v", err)
				}
			} else {
				m.d = New(cfg, &bus)
			}
			events := bus.Subscribe(ctx)
			var listener sync.WaitGroup
			listener.Go(func() {
				for e := range events {
					m.mu.Lock()
					about := fmt.Sprint(e.Kind, " ", e.Info.ID)
					if e.Grant != nil {
						about += " " + e.Grant.Grantee.Subject
					}
					m.told = append(m.told, about)
					m.mu.Unlock()
				}
			})
			defer listener.Wait()
			defer cancel()
			for range 3 {
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
	for _, what := range []string{"granted", "revoked", "expired", "used", "committed", "read_only_grant", "over in flight"} {
		if reached[what] == 0 {
			t.Errorf("no grant was %s: the actions do not reach that rule", what)
		}
	}
	t.Logf("ends: %v, grants: %v", seen, reached)
}
