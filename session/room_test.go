package session

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// tick makes the clock of the bubble move, so that no two uses are at the same
// time.
func tick() { time.Sleep(time.Second) }

func wantOverloaded(t *testing.T, err error, code string) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Overloaded || f.Code != code || f.RetryAfter < time.Second || f.RetryAfter > 3*time.Second {
		t.Errorf("got %#v, want Overloaded %s with RetryAfter of 1 to 3 s", err, code)
	}
}

func TestOwnerCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxPerOwner: 3}, nil)
		others := mustIdle(t, d, bob, Params{})
		tick()
		withState := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, withState, add("a"))
		withState.Release()
		tick()
		empty := mustIdle(t, d, alice, Params{})
		tick()
		full := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, full, add("b"))
		full.Release()
		tick()

		a := mustOpen(t, d, alice, Params{}) // the empty one goes first although it is not the oldest
		if has(d, alice, empty) || !has(d, alice, withState.ID()) || !has(d, alice, full.ID()) {
			t.Error("the session without state was not the one to go")
		}
		b := mustOpen(t, d, alice, Params{}) // then the least recent
		if has(d, alice, withState.ID()) || !has(d, alice, full.ID()) {
			t.Error("the least recent session was not the one to go")
		}
		letGo := mustAcquire(t, d, alice, full.ID()).Stream // a call and a stream pin alike
		letGoNow := letGo()
		_, err := d.Open(t.Context(), alice, Params{})
		wantOverloaded(t, err, "owner_sessions_in_use")
		if !has(d, bob, others) {
			t.Error("somebody else's session went")
		}
		a.Release()
		tick()
		b.Release()
		mustOpen(t, d, alice, Params{}).Release()
		if has(d, alice, a.ID()) || !has(d, alice, b.ID()) {
			t.Error("least recent: want the order of completed calls")
		}
		letGoNow()
		if st := d.Stats(); st.Ended[ReasonOwnerCap] != 3 || st.Refused != 1 {
			t.Errorf("stats: %+v", st)
		}
		checkInvariants(t, d)
	})
}

func TestOwnerCapPrefersWhatHasExpiredAnyway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxPerOwner: 2}, nil)
		old := mustIdle(t, d, alice, Params{})
		tick()
		short := mustIdle(t, d, alice, Params{IdleTTL: time.Second})
		tick()
		mustOpen(t, d, alice, Params{}).Release()
		if !has(d, alice, old) || has(d, alice, short) {
			t.Error("a good session went instead of an expired one")
		}
		if st := d.Stats(); st.Ended[ReasonIdle] != 1 || st.Ended[ReasonOwnerCap] != 0 {
			t.Errorf("ended by %v, want idle", st.Ended)
		}
	})
}

func TestTenantCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxPerOwner: 3, MaxPerTenant: 5}, nil)
		foreign := mustIdle(t, d, carol, Params{})
		tick()
		bobs := mustIdle(t, d, bob, Params{})
		tick()
		var alices []ID
		for range 3 {
			alices = append(alices, mustIdle(t, d, alice, Params{}))
			tick()
		}
		dave := Owner{"acme", "i", "dave"}
		held := mustOpen(t, d, dave, Params{})
		// Full: bob's is the oldest, but alice is the heaviest.
		erin := mustOpen(t, d, Owner{"acme", "i", "erin"}, Params{})
		if has(d, alice, alices[0]) || !has(d, bob, bobs) {
			t.Error("not the heaviest owner's least recent session went")
		}
		pinned := []*Handle{mustAcquire(t, d, alice, alices[1]), mustAcquire(t, d, alice, alices[2])}
		frank := mustOpen(t, d, Owner{"acme", "i", "frank"}, Params{})
		if has(d, bob, bobs) {
			t.Error("the heaviest owner with an idle session was bob")
		}
		_, err := d.Open(t.Context(), bob, Params{})
		wantOverloaded(t, err, "tenant_sessions_in_use")
		if !has(d, carol, foreign) {
			t.Error("another tenant paid")
		}
		mustOpen(t, d, carol, Params{}).Release() // which has room still
		checkInvariants(t, d)
		for _, h := range append(pinned, held, erin, frank) {
			h.Release()
		}
		if st := d.Stats(); st.Ended[ReasonTenantCap] != 2 || st.Owners != 5 {
			t.Errorf("stats: %+v", st)
		}
	})
}

func TestGlobalCap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxPerOwner: 4, MaxPerTenant: 5, MaxTotal: 6}, nil)
		small := mustIdle(t, d, carol, Params{})
		tick()
		var heavy []ID
		for i := range 5 {
			heavy = append(heavy, mustIdle(t, d, Owner{"acme", "i", fmt.Sprint(i % 2)}, Params{}))
			tick()
		}
		dave := Owner{"initech", "i", "dave"}
		a := mustOpen(t, d, dave, Params{})
		if has(d, Owner{"acme", "i", "0"}, heavy[0]) || !has(d, carol, small) {
			t.Error("not the least recent session of the heaviest tenant went")
		}
		var pinned []*Handle
		for i := 1; i < 5; i++ {
			pinned = append(pinned, mustAcquire(t, d, Owner{"acme", "i", fmt.Sprint(i % 2)}, heavy[i]))
		}
		b := mustOpen(t, d, dave, Params{}) // acme has nothing idle: then carol's
		if has(d, carol, small) {
			t.Error("the heaviest tenant with an idle session was globex")
		}
		_, err := d.Open(t.Context(), carol, Params{})
		wantOverloaded(t, err, "server_sessions_in_use")
		checkInvariants(t, d)
		for _, h := range append(pinned, a, b) {
			h.Release()
		}
		if st := d.Stats(); st.Ended[ReasonGlobalCap] != 2 || st.Refused != 1 {
			t.Errorf("stats: %+v", st)
		}
	})
}

// Among tenants of one weight, the one that wants more makes the room.
func TestGlobalCapAmongEquals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxTotal: 6}, nil)
		var theirs []ID
		for range 3 {
			theirs = append(theirs, mustIdle(t, d, carol, Params{}))
			tick()
		}
		for range 9 {
			mustIdle(t, d, alice, Params{})
			tick()
		}
		for _, id := range theirs {
			if !has(d, carol, id) {
				t.Error("a tenant took a place from one that is no heavier")
			}
		}
		if n := len(d.List(alice)); n != 3 {
			t.Errorf("alice has %d sessions, want 3", n)
		}
	})
}

// Sessions in use step aside when room is sought, and come back after their
// use.
func TestParkedSessionsComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{MaxTotal: 5, Shards: 1}, nil)
		mustOpen(t, d, carol, Params{}) // so that acme never reaches its own cap
		openers := 0
		open := func() (Owner, ID) {
			openers++
			o := Owner{"acme", "i", fmt.Sprint(openers)}
			defer tick()
			return o, mustIdle(t, d, o, Params{})
		}
		stream, call := mustOpen(t, d, alice, Params{}), mustOpen(t, d, alice, Params{})
		letGo := stream.Stream()
		stream.Release()
		tick()
		first, firstID := open()
		second, secondID := open()
		third, thirdID := open() // ends the first, and parks what is in use
		if has(d, first, firstID) || !stream.e.parked || !call.e.parked {
			t.Errorf("parked %v and %v: want both, and the oldest idle session gone", stream.e.parked, call.e.parked)
		}
		checkInvariants(t, d)
		mustAcquire(t, d, alice, stream.ID()).Release() // parked ones are found
		tick()
		call.Release()
		tick()
		letGo()
		if stream.e.parked || call.e.parked {
			t.Error("parked and idle")
		}
		checkInvariants(t, d)
		open()
		open()
		if has(d, second, secondID) || has(d, third, thirdID) || !has(d, alice, call.ID()) || !has(d, alice, stream.ID()) {
			t.Error("want that the two least recent went")
		}
		open()
		if has(d, alice, stream.ID()) || !has(d, alice, call.ID()) {
			t.Error("the session whose last call is oldest is the one to go, whenever its stream closed")
		}

		// What is parked can be deleted.
		letGo = mustAcquire(t, d, alice, call.ID()).Stream()
		open()
		if err := d.Delete(t.Context(), alice, call.ID()); err != nil || call.e.parked {
			t.Errorf("delete a parked session: %v", err)
		}
		letGo()
		checkInvariants(t, d)
	})
}

// However many open at once, not one more gets in than the cap says, and none
// fewer.
func TestCapIsExact(t *testing.T) {
	const openers = 256
	for _, c := range []struct {
		name  string
		cfg   Config
		owner func(i int) Owner
		want  int
	}{
		{"owner", Config{MaxPerOwner: 37}, func(int) Owner { return alice }, 37},
		{"tenant", Config{MaxPerOwner: 4, MaxPerTenant: 91}, func(i int) Owner { return Owner{"acme", "i", fmt.Sprint(i % 100)} }, 91},
		{"all", Config{MaxPerOwner: 4, MaxPerTenant: 50, MaxTotal: 120}, func(i int) Owner {
			return Owner{fmt.Sprint("tenant ", i%8), "i", fmt.Sprint(i % 100)}
		}, 120},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := New(c.cfg, nil)
			var got atomic.Int64
			handles := make([]*Handle, openers)
			start := make(chan struct{})
			var wg sync.WaitGroup
			for i := range openers {
				wg.Go(func() {
					<-start
					h, err := d.Open(t.Context(), c.owner(i), Params{})
					switch {
					case err == nil:
						got.Add(1)
						handles[i] = h
					case fault.KindOf(err) != fault.Overloaded:
						t.Errorf("open: %v", err)
					}
				})
			}
			close(start)
			wg.Wait()
			if got.Load() != int64(c.want) {
				t.Errorf("%d of %d got in, want exactly %d", got.Load(), openers, c.want)
			}
			checkInvariants(t, d)
			for _, h := range handles {
				if h != nil {
					h.Release()
				}
			}
			checkInvariants(t, d)

			// Now all are idle: whoever comes gets in, one for one.
			for i := range openers {
				mustOpen(t, d, c.owner(i), Params{}).Release()
			}
			// Many at once may find all places taken by each other, never more.
			for i := range openers {
				wg.Go(func() {
					h, err := d.Open(t.Context(), c.owner(i), Params{})
					if err == nil {
						h.Release()
					} else if fault.KindOf(err) != fault.Overloaded {
						t.Errorf("open: %v", err)
					}
				})
			}
			wg.Wait()
			checkInvariants(t, d)
		})
	}
}

// Everything at once at all three caps: the invariants hold afterwards, and
// nobody's handle ever loses its session to an eviction.
func TestChurn(t *testing.T) {
	d := New(Config{MaxPerOwner: 3, MaxPerTenant: 8, MaxTotal: 20, Shards: 4}, nil)
	slot := NewSlot[int]("n")
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(7, uint64(g)))
			o := Owner{fmt.Sprint("tenant ", g%4), "i", fmt.Sprint(g % 8)}
			var mine []ID
			for range 400 {
				if len(mine) == 0 || rng.IntN(3) == 0 {
					h, err := d.Open(t.Context(), o, Params{})
					if err != nil {
						if fault.KindOf(err) != fault.Overloaded {
							t.Errorf("open: %v", err)
						}
						continue
					}
					mine = append(mine, h.ID())
					h.Release()
				}
				id := mine[rng.IntN(len(mine))]
				if rng.IntN(10) == 0 {
					d.Delete(t.Context(), o, id)
				}
				h, err := d.Acquire(t.Context(), o, id)
				if err != nil {
					continue
				}
				letGo := h.Stream()
				if err := slot.Update(t.Context(), h, func(n *int) error { *n++; return nil }); err != nil {
					t.Errorf("update of a session in use: %v", err)
				}
				h.Release()
				letGo()
			}
		})
	}
	wg.Wait()
	checkInvariants(t, d)
	d.Close()
	checkInvariants(t, d)
	if st := d.Stats(); st.Sessions != 0 || st.Bytes != 0 || st.Tenants != 0 || st.Owners != 0 {
		t.Errorf("after Close: %+v", st)
	}
}
