package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"pgregory.net/rapid"
)

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
		MaxTTL:  rapid.SampledFrom([]time.Duration{40 * time.Second, 20 * time.Minute}).Draw(t, "max"),
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
	s := &modelSession{id: h.ID(), owner: o, created: now, lastUsed: now, idleTTL: p.IdleTTL, maxTTL: p.MaxTTL, inFlight: 1, slots: map[string]string{}, grants: map[Owner]modelGrant{}}
	m.sessions = append(m.sessions, s)
	mh := &modelHandle{Handle: h, s: s, who: o}
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
	_, known := s.grants[o] // also one that has expired since the last sweep
	if s.owner != o && !known || !s.live() {
		m.misses++
		return false
	}
	if why := s.overdue(time.Now()); why != "" {
		m.leave(t, s, why)
		m.misses++
		return false
	}
	if _, granted := s.grant(o); s.owner != o && !granted {
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
	m.handles = append(m.handles, &modelHandle{Handle: h, s: s, who: o})
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
	if s.owner != o {
		if err != errNotOwner {
			t.Fatalf("delete by a grantee: %v", err)
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
	refused := m.refusal(h, AccessWrite)
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
	if refused != nil {
		if err != refused {
			t.Fatalf("update by %v: %v, want %v", h.who, err, refused)
		}
		return
	}
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
	if h.who != h.s.owner {
		m.reached["committed"]++
	}
	h.s.slots = after.slots
	h.s.version++
}

func (m *model) Remove(t *rapid.T) {
	h := m.someHandle(t)
	key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
	refused := m.refusal(h, AccessWrite)
	if err := modelSlots.Key(key).Delete(context.Background(), h.Handle); err != refused {
		t.Fatalf("delete slot: %v, want %v", err, refused)
	}
	if refused != nil {
		return
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
			continue
		}
		m.prune(s)
	}
}

// Cool writes behind and takes what is idle out of memory.
func (m *model) Cool(t *rapid.T) {
	if m.store == nil {
		t.Skip("no store")
	}
	if err := m.d.Flush(context.Background()); err != nil {
		t.Fatalf("flush: %v", err)
	}
	for _, s := range m.sessions {
		s.unstored = false
	}
	freezeAll(m.d)
}

// UpdateUnstored is an update while the store fails.
func (m *model) UpdateUnstored(t *rapid.T) {
	h := m.someHandle(t)
	if m.store == nil || !h.s.live() || m.refusal(h, AccessWrite) != nil {
		t.Skip("no store, or nothing to store")
	}
	m.store.set(m.store.fail, "save", errDisk)
	defer m.store.set(m.store.fail, "save", nil)
	err := modelSlots.Key("a").Update(context.Background(), h.Handle, func(v *string) error { *v = ""; return nil })
	if !errors.Is(err, errDisk) {
		t.Fatalf("update: %v, want what the store says", err)
	}
}
