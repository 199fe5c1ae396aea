package session_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

var soakOps = flag.Int("ops", 5_000, "operations of TestFloodBesideQuietTenants")

const (
	soakWorkers  = 16 // of these, every fourth floods
	soakOwners   = 4  // of one worker
	soakQuietCap = 5  // sessions that a quiet owner has at once
)

// soakConfig has room for the quiet tenants, with what of theirs drains, beside
// more sessions of the flooder than any of them has: so it is always the
// heaviest, and must make all the room.
var soakConfig = session.Config{
	MaxPerOwner: 16, MaxPerTenant: 200, MaxTotal: 400, Shards: 8,
	ColdAfter: 20 * time.Millisecond, FlushEvery: 25 * time.Millisecond, SweepEvery: 10 * time.Millisecond, MaxResidentBytes: 64 << 10,
}

// countedStore counts how often a session came back from the disk.
type countedStore struct {
	*filestore.Store
	loads atomic.Int64
}

func (c *countedStore) Load(ctx context.Context, k session.Key) (session.Snapshot, error) {
	c.loads.Add(1)
	return c.Store.Load(ctx, k)
}

// soakSession is a session as the model has it. One worker uses it; the hook may
// run anywhere.
type soakSession struct {
	id              session.ID
	owner           session.Owner
	flood           bool
	began           time.Time // before it was opened
	idleTTL, maxTTL time.Duration
	value           int                            // what its slot must hold
	pins            atomic.Int64                   // calls and streams that surely hold it
	released        atomic.Int64                   // Unix nanoseconds, before the last call was done
	deleted         atomic.Bool                    // its owner asked for its end
	ended           atomic.Pointer[session.Reason] // what its hook was told
}

// overdue reports whether the session may have expired by now.
func (s *soakSession) overdue(now time.Time) bool {
	return !now.Before(s.began.Add(s.maxTTL)) || s.pins.Load() == 0 && now.UnixNano() >= s.released.Load()+int64(s.idleTTL)
}

// soak is the naive model of a directory: what was done, and what may happen.
type soak struct {
	t       *testing.T
	dir     *session.Directory
	slot    session.Slot[int]
	closing atomic.Bool
	opened  atomic.Uint64
	refused atomic.Uint64

	mu   sync.Mutex
	ends map[session.Reason]uint64 // owned by mu
}

// hook checks the end of s against the rules.
func (m *soak) hook(s *soakSession) func(session.Reason) {
	return func(why session.Reason) {
		now, ok := time.Now(), false
		switch why {
		case session.ReasonOwnerCap, session.ReasonTenantCap, session.ReasonGlobalCap:
			ok = s.flood && s.pins.Load() == 0
		case session.ReasonIdle:
			ok = s.pins.Load() == 0 && now.UnixNano() >= s.released.Load()+int64(s.idleTTL)
		case session.ReasonAge:
			ok = s.pins.Load() == 0 && !now.Before(s.began.Add(s.maxTTL))
		case session.ReasonDeleted:
			ok = s.deleted.Load() && s.pins.Load() == 0
		case session.ReasonShutdown:
			ok = m.closing.Load()
		}
		if !ok {
			m.t.Errorf("a session of %v ended by %s: flooder %v, in use %d times, last used %v ago with an idle TTL of %v, %v old of %v",
				s.owner, why, s.flood, s.pins.Load(), now.Sub(time.Unix(0, s.released.Load())), s.idleTTL, now.Sub(s.began), s.maxTTL)
		}
		if !s.ended.CompareAndSwap(nil, &why) {
			m.t.Errorf("a session of %v ended twice", s.owner)
		}
		m.mu.Lock()
		m.ends[why]++
		m.mu.Unlock()
	}
}

// soaker is one worker with the sessions of its owners.
type soaker struct {
	*soak
	rng      *rand.Rand
	flood    bool
	owners   []session.Owner
	sessions []*soakSession
	held     []func() // calls and streams in flight
}

func newSoaker(m *soak, i int) *soaker {
	w := &soaker{soak: m, rng: rand.New(rand.NewPCG(41, uint64(i))), flood: i%4 == 0}
	for o := range soakOwners {
		tenant := "flooder"
		if !w.flood {
			tenant = fmt.Sprint("quiet ", i%4)
		}
		w.owners = append(w.owners, session.Owner{Tenant: tenant, Issuer: "i", Subject: fmt.Sprint("worker ", i, " owner ", o)})
	}
	return w
}

// step is one operation.
func (w *soaker) step(ctx context.Context) {
	opens := 12
	if w.flood {
		opens = 55
	}
	switch n := w.rng.IntN(100); {
	case n < opens || len(w.sessions) == 0:
		w.open(ctx)
	case n < 85:
		w.use(ctx, w.sessions[w.rng.IntN(len(w.sessions))])
	case n < 93:
		w.letGo(2)
	default:
		w.remove(ctx, w.rng.IntN(len(w.sessions)))
	}
}

func (w *soaker) open(ctx context.Context) {
	o := w.owners[w.rng.IntN(len(w.owners))]
	if !w.flood { // a quiet owner stays under its cap
		n := 0
		for i, s := range slices.Backward(w.sessions) {
			if s.owner != o {
				continue
			}
			if n++; n >= soakQuietCap {
				w.remove(ctx, i)
			}
		}
	}
	s := &soakSession{owner: o, flood: w.flood, began: time.Now(), idleTTL: 10 * time.Minute, maxTTL: time.Hour}
	switch w.rng.IntN(6) {
	case 0:
		s.idleTTL = time.Duration(20+w.rng.IntN(300)) * time.Millisecond
	case 1:
		s.maxTTL = time.Duration(50+w.rng.IntN(500)) * time.Millisecond
		s.idleTTL = s.maxTTL
	}
	s.released.Store(s.began.UnixNano())
	h, err := w.dir.Open(ctx, o, session.Params{IdleTTL: s.idleTTL, MaxTTL: s.maxTTL, Durable: w.rng.IntN(4) == 0})
	if err != nil {
		if w.refused.Add(1); !w.flood || fault.KindOf(err) != fault.Overloaded {
			w.t.Errorf("open for %v: %v", o, err)
		}
		return
	}
	w.opened.Add(1)
	s.id = h.ID()
	s.pins.Add(1)
	h.OnEnd(w.hook(s))
	w.sessions = append(w.sessions, s)
	w.write(ctx, s, h)
	w.release(s, h)
}

// use acquires s to read it, to write to it, or to hold it for a while.
func (w *soaker) use(ctx context.Context, s *soakSession) {
	h, err := w.dir.Acquire(ctx, s.owner, s.id)
	if err != nil {
		w.miss(s, err)
		return
	}
	s.pins.Add(1)
	switch n := w.rng.IntN(10); {
	case n < 4:
		w.write(ctx, s, h)
	case n < 6:
		if v, _, err := w.slot.Read(h); err != nil || v != s.value {
			w.t.Errorf("a session of %v holds %d, %v, want %d", s.owner, v, err, s.value)
		}
	case n < 8:
		w.held = append(w.held, func() { w.release(s, h) })
		w.letGo(4)
		return
	default:
		s.pins.Add(1)
		end := h.Stream()
		w.held = append(w.held, func() { s.pins.Add(-1); end() })
		w.letGo(4)
	}
	w.release(s, h)
}

// write adds one to the slot. A call may run on beyond the session's age.
func (w *soaker) write(ctx context.Context, s *soakSession, h *session.Handle) {
	err := w.slot.Update(ctx, h, func(v *int) error {
		if *v != s.value {
			return fmt.Errorf("it holds %d, want %d", *v, s.value)
		}
		*v++
		return nil
	})
	switch {
	case err == nil:
		s.value++
	case !s.overdue(time.Now()):
		w.t.Errorf("update of a session of %v in use: %v", s.owner, err)
	}
}

func (w *soaker) release(s *soakSession, h *session.Handle) {
	s.released.Store(time.Now().UnixNano())
	s.pins.Add(-1)
	h.Release()
}

// letGo ends what is held, the oldest first, until n are left.
func (w *soaker) letGo(n int) {
	for len(w.held) > n {
		w.held[0]()
		w.held = slices.Delete(w.held, 0, 1)
	}
}

func (w *soaker) remove(ctx context.Context, i int) {
	s := w.sessions[i]
	s.deleted.Store(true)
	if err := w.dir.Delete(ctx, s.owner, s.id); err != nil {
		s.deleted.Store(false)
		w.miss(s, err)
		return
	}
	w.sessions = slices.Delete(w.sessions, i, i+1)
}

// miss checks that a session that is not found may be gone, and forgets it.
func (w *soaker) miss(s *soakSession, err error) {
	var gone bool
	for range 5000 { // whoever ended it may not have run its hook yet
		if gone = s.ended.Load() != nil || s.overdue(time.Now()); gone || !s.flood {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if fault.KindOf(err) != fault.NotFound || !gone {
		w.t.Errorf("a session of %v is not found: %v", s.owner, err)
	}
	w.sessions = slices.DeleteFunc(w.sessions, func(other *soakSession) bool { return other == s })
}

// TestFloodBesideQuietTenants lets one tenant open sessions in a flood beside
// quiet ones, with calls and streams in flight, ends of every kind, and state
// that goes to the disk and comes back. Only sessions of the flooder that nobody
// uses make room; at the end everything is as the model says, here and after a
// restart.
func TestFloodBesideQuietTenants(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	cfg := filestore.Config{Dir: t.TempDir()}
	file, err := filestore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	store := &countedStore{Store: file}
	dir, _, err := session.Restore(t.Context(), soakConfig, store, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	m := &soak{t: t, dir: dir, slot: session.NewSlot[int]("soak"), ends: map[session.Reason]uint64{}}
	ctx, stop := context.WithCancel(context.Background())
	var sweeper, work sync.WaitGroup
	sweeper.Go(func() {
		if err := dir.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	workers := make([]*soaker, soakWorkers)
	for i := range workers {
		workers[i] = newSoaker(m, i)
	}
	for _, w := range workers { // the quiet ones are there before the flood
		if !w.flood {
			work.Go(func() {
				for range soakOwners * soakQuietCap {
					w.open(context.Background())
				}
			})
		}
	}
	work.Wait()
	begin := time.Now()
	for _, w := range workers {
		work.Go(func() {
			for range *soakOps / soakWorkers {
				if w.step(context.Background()); t.Failed() {
					break
				}
			}
			w.letGo(0)
		})
	}
	work.Wait()
	stop()
	sweeper.Wait()
	t.Logf("%d operations in %v: %d opened, %d refused, ends %v, %d came back from the disk", *soakOps, time.Since(begin).Round(time.Millisecond),
		m.opened.Load(), m.refused.Load(), m.ends, store.loads.Load())
	live := m.compare(workers)
	if m.ends[session.ReasonGlobalCap]+m.ends[session.ReasonTenantCap] == 0 || m.ends[session.ReasonIdle] == 0 || m.ends[session.ReasonAge] == 0 || m.ends[session.ReasonDeleted] == 0 || store.loads.Load() == 0 {
		t.Errorf("ends %v, %d loads: want some of each", m.ends, store.loads.Load())
	}
	m.closing.Store(true)
	dir.Close()
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	m.restart(cfg, live)
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
}

// compare holds the directory, and the store after a flush, against the model,
// and returns the sessions that have not ended.
func (m *soak) compare(workers []*soaker) (live []*soakSession) {
	t := m.t
	t.Helper()
	for _, w := range workers {
		for _, s := range w.sessions {
			if s.ended.Load() == nil {
				live = append(live, s)
			}
		}
	}
	ended := uint64(0)
	st := m.dir.Stats()
	for why, n := range st.Ended {
		if ended += n; n != m.ends[why] {
			t.Errorf("%d sessions ended by %s, the model says %d", n, why, m.ends[why])
		}
	}
	if st.Sessions != len(live) || st.Idle != len(live) || st.InFlight != 0 || st.Streams != 0 || st.Draining != 0 ||
		st.Opened != m.opened.Load() || st.Refused != m.refused.Load() || st.Opened-ended != uint64(len(live)) || st.StoreErrors != 0 {
		t.Errorf("the model has %d sessions, opened %d, refused %d: %+v", len(live), m.opened.Load(), m.refused.Load(), st)
	}
	owners, tenants := map[session.Owner]bool{}, map[string]bool{}
	for _, s := range live {
		owners[s.owner], tenants[s.owner.Tenant] = true, true
	}
	if st.Owners != len(owners) || st.Tenants != len(tenants) {
		t.Errorf("%d owners of %d tenants, the model says %d of %d", st.Owners, st.Tenants, len(owners), len(tenants))
	}
	if err := m.dir.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	kept := 0
	for info := range m.dir.All() {
		if info.Version > 0 {
			kept++
		}
	}
	if kept != len(live) {
		t.Errorf("%d sessions have state, want all %d", kept, len(live))
	}
	return live
}

// restart opens the file again: what had not ended is there, with its value.
func (m *soak) restart(cfg filestore.Config, live []*soakSession) {
	t := m.t
	t.Helper()
	file, err := filestore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}()
	if u, err := file.Usage(t.Context()); err != nil || u.Sessions != len(live) {
		t.Errorf("the file has %+v, %v, want %d sessions", u, err, len(live))
	}
	if r, err := file.Check(t.Context()); err != nil || !r.Clean() {
		t.Errorf("the file: %+v, %v", r, err)
	}
	dir, _, err := session.Restore(t.Context(), soakConfig, file, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	for _, s := range live {
		h, err := dir.Acquire(t.Context(), s.owner, s.id)
		if err != nil {
			if !s.overdue(time.Now()) {
				t.Errorf("a session of %v after the restart: %v", s.owner, err)
			}
			continue
		}
		if v, _, err := m.slot.Read(h); err != nil || v != s.value {
			t.Errorf("a session of %v after the restart holds %d, %v, want %d", s.owner, v, err, s.value)
		}
		h.Release()
	}
}
