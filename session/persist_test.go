package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	f, ok := errors.AsType[*fault.Error](err)
	if !ok || f.Kind != fault.Unavailable || f.Code != "session_store_unavailable" || f.RetryAfter < time.Second || f.RetryAfter > 3*time.Second {
		t.Errorf("%s: %v, want Unavailable session_store_unavailable with RetryAfter of 1 to 3 s", what, err)
	}
}

// A crash loses the directory without a word. What was acknowledged is in the
// store, of every session, at the right version.
func TestEveryAcknowledgedCommitSurvivesACrash(t *testing.T) {
	f := newFakeStore()
	cfg := Config{MaxPerOwner: 1000}
	d, _ := mustRestore(t, cfg, f)
	owners := []Owner{alice, bob, carol}
	type truth struct {
		o     Owner
		id    ID
		steps []string
	}
	all := make([]truth, 24)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			x := &all[i]
			x.o = owners[i%len(owners)]
			h := mustOpen(t, d, x.o, Params{Name: fmt.Sprint("s", i), Labels: map[string]string{"n": fmt.Sprint(i)}})
			x.id = h.ID()
			for n := range 1 + rng.IntN(20) {
				step := fmt.Sprint(i, ".", n)
				if err := chain.Update(t.Context(), h, add(step)); err != nil {
					t.Errorf("update: %v", err)
				}
				x.steps = append(x.steps, step)
			}
			h.Release()
		})
	}
	wg.Wait()
	after, r := mustRestore(t, cfg, f.fork())
	if r != (Restored{Sessions: len(all)}) {
		t.Errorf("restored %+v, want %d", r, len(all))
	}
	checkInvariants(t, after)
	if st := after.Stats(); st.Cold != len(all) || st.ResidentBytes != 0 || st.Bytes != d.Stats().Bytes {
		t.Errorf("stats %+v", st)
	}
	for i := range all {
		x := &all[i]
		info := slices.Collect(func(yield func(Info) bool) {
			for _, in := range after.List(x.o) {
				if in.ID == x.id && !yield(in) {
					return
				}
			}
		})
		if len(info) != 1 || info[0].Version != uint64(len(x.steps)) || !slices.Equal(info[0].Slots, []string{"chain"}) || info[0].Bytes == 0 || info[0].Name != fmt.Sprint("s", i) || info[0].Labels["n"] != fmt.Sprint(i) {
			t.Fatalf("session %d before it is loaded: %+v", i, info)
		}
		h := mustAcquire(t, after, x.o, x.id)
		if got := mustRead(t, chain, h); !slices.Equal(got.Steps, x.steps) || h.Version() != uint64(len(x.steps)) {
			t.Errorf("session %d: %v at %d, want %v", i, got.Steps, h.Version(), x.steps)
		}
		h.Release()
	}
	checkInvariants(t, after)
}

func TestAFailedSaveChangesNothing(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	before, export := h.Info(), fmt.Sprint(h.Export())
	f.set(f.fail, "save", fault.Wrap(fault.Unavailable, errDisk, "the store has no space left"))
	for what, err := range map[string]error{
		"update": chain.Update(t.Context(), h, add("b")),
		"other":  chain.Key("x").Update(t.Context(), h, add("b")),
		"commit": chain.Commit(t.Context(), h, 1, thoughts{Steps: []string{"c"}}),
		"delete": chain.Delete(t.Context(), h),
	} {
		wantUnavailable(t, what, err)
		if !errors.Is(err, errDisk) || !strings.Contains(fault.From(err).Public, "nothing was changed (the store has no space left)") {
			t.Errorf("%s: %#v", what, err)
		}
	}
	got := h.Info()
	got.Expires = before.Expires // it moves on with the call in flight
	if fmt.Sprint(got) != fmt.Sprint(before) || fmt.Sprint(h.Export()) != export {
		t.Errorf("after failures %+v, want %+v", got, before)
	}
	checkInvariants(t, d)
	if st := d.Stats(); st.StoreErrors != 4 {
		t.Errorf("%d errors of the store, want 4", st.StoreErrors)
	}
	f.set(f.fail, "save", nil)
	mustUpdate(t, chain, h, add("d"))
	if got := mustRead(t, chain, h); !slices.Equal(got.Steps, []string{"a", "d"}) || f.get(alice, h.ID()).Version != 2 {
		t.Errorf("after the store came back: %v", got)
	}
	h.Release()
	checkInvariants(t, d)
}

// A write without an answer may have happened. The next write finds out.
func TestAWriteWithoutAnAnswer(t *testing.T) {
	for _, first := range []bool{true, false} {
		t.Run(fmt.Sprint("first=", first), func(t *testing.T) {
			f := newFakeStore()
			d, _ := mustRestore(t, Config{}, f)
			h := mustOpen(t, d, alice, Params{})
			want := []string{"b", "c"}
			if !first {
				mustUpdate(t, chain, h, add("a"))
				want = []string{"a", "b", "c"}
			}
			f.set(f.silent, "save", context.DeadlineExceeded)
			err := chain.Update(t.Context(), h, add("b"))
			wantUnavailable(t, "update", err)
			if strings.Contains(fault.From(err).Public, "nothing was changed") {
				t.Errorf("claims what it does not know: %v", err)
			}
			f.set(f.silent, "save", nil)
			mustFlush(t, d)
			mustUpdate(t, chain, h, add("c"))
			if got := mustRead(t, chain, h); !slices.Equal(got.Steps, want) || h.Version() != uint64(len(want)) {
				t.Errorf("%v at %d, want %v", got.Steps, h.Version(), want)
			}
			h.Release()
			checkInvariants(t, d)
		})
	}
}

// What may have been stored is deleted with the session.
func TestDeleteAfterAWriteWithoutAnAnswer(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	f.set(f.silent, "save", context.DeadlineExceeded)
	wantUnavailable(t, "update", chain.Update(t.Context(), h, add("a")))
	if f.get(alice, h.ID()) == nil {
		t.Fatal("the store did not do it")
	}
	h.Release()
	if err := d.Delete(t.Context(), alice, h.ID()); err != nil || f.get(alice, h.ID()) != nil {
		t.Errorf("delete: %v, stored %v", err, f.get(alice, h.ID()) != nil)
	}
	_, err := d.Open(t.Context(), alice, Params{Durable: true})
	wantUnavailable(t, "open", err)
	f.set(f.silent, "save", nil)
	if mustFlush(t, d); len(f.sessions) != 0 {
		t.Errorf("%d records of sessions that nobody knows", len(f.sessions))
	}
	checkInvariants(t, d)
}

// A flush that is called off leaves nothing half done.
func TestFlushIsCalledOff(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{MaxPerOwner: 2000}, f)
	for range 1500 {
		mustIdle(t, d, alice, Params{})
	}
	ctx, stop := context.WithCancel(t.Context())
	f.hook("save", func(...Key) { stop() })
	if err := d.Flush(ctx); !errors.Is(err, context.Canceled) || len(f.sessions) == 0 || len(f.sessions) == 1500 {
		t.Errorf("flush: %v, %d sessions", err, len(f.sessions))
	}
	mustFlush(t, d)
	if len(f.sessions) != 1500 || d.Stats().Unflushed != 0 || len(d.keep.creating) != 0 {
		t.Errorf("%d sessions, %+v, %d claims", len(f.sessions), d.Stats(), len(d.keep.creating))
	}
	checkInvariants(t, d)
}

// A store that is full takes no new session, but the uses of those that it has.
func TestUsesAreWrittenToAFullStore(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{MaxPerOwner: 2000}, f)
	old := mustIdle(t, d, carol, Params{Durable: true})
	for range 1200 {
		mustIdle(t, d, alice, Params{})
		mustIdle(t, d, bob, Params{})
	}
	mustFlush(t, d)
	for i := range 1200 {
		mustIdle(t, d, []Owner{alice, bob}[i%2], Params{})
	}
	saves := f.count("save")
	mustAcquire(t, d, carol, old).Release()
	f.set(f.fail, "save", errDisk)
	err := d.Flush(t.Context())
	wantUnavailable(t, "flush", err)
	if got := f.get(carol, old); got.Calls != 2 || f.count("save") != saves+1 {
		t.Errorf("%d calls noted, %d attempts to store what is new: want 2 and 1", got.Calls, f.count("save")-saves)
	}
	f.set(f.fail, "save", nil)
	if mustFlush(t, d); d.Stats().Unflushed != 0 {
		t.Errorf("%d unflushed", d.Stats().Unflushed)
	}
	checkInvariants(t, d)
}

func TestDurableOpen(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{Durable: true})
	if f.get(alice, h.ID()) == nil {
		t.Error("a durable session is not stored")
	}
	if plain := mustOpen(t, d, alice, Params{}); f.get(alice, plain.ID()) != nil {
		t.Error("a session is stored before its first commit")
	}
	f.set(f.fail, "save", errDisk)
	_, err := d.Open(t.Context(), bob, Params{Durable: true})
	wantUnavailable(t, "open", err)
	if n := len(d.List(bob)); n != 0 {
		t.Errorf("%d sessions after an opening that failed", n)
	}
	f.set(f.fail, "save", nil)
	mustUpdate(t, chain, h, add("a"))
	if s := f.get(alice, h.ID()); s.Version != 1 {
		t.Errorf("stored version %d, want 1", s.Version)
	}
	checkInvariants(t, d)
}

func TestWriteBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{}, f)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		brief := mustOpen(t, d, bob, Params{})
		brief.Release()
		if err := d.Delete(t.Context(), bob, brief.ID()); err != nil {
			t.Error(err)
		}
		ids := make([]ID, 40)
		for i := range ids {
			ids[i] = mustIdle(t, d, alice, Params{})
		}
		if f.count("save")+f.count("touch") != 0 || d.Stats().Unflushed < len(ids) {
			t.Errorf("written before its time; unflushed %d", d.Stats().Unflushed)
		}
		time.Sleep(DefaultFlushEvery + time.Millisecond)
		synctest.Wait()
		if f.count("save") != 1 || len(f.sessions) != len(ids) || d.Stats().Unflushed != 0 {
			t.Errorf("%d saves of %d sessions, %d unflushed: want one batch of %d", f.count("save"), len(f.sessions), d.Stats().Unflushed, len(ids))
		}
		time.Sleep(time.Minute)
		h := mustAcquire(t, d, alice, ids[7])
		h.Fail()
		h.Release()
		used := time.Now()
		f.set(f.fail, "touch", errDisk)
		time.Sleep(3 * DefaultFlushEvery)
		if got := f.get(alice, ids[7]); got.Calls != 1 || d.Stats().Unflushed != 1 || d.Stats().StoreErrors == 0 {
			t.Errorf("touched while the store fails: %+v, %+v", got, d.Stats())
		}
		f.set(f.fail, "touch", nil)
		time.Sleep(DefaultFlushEvery + time.Millisecond)
		synctest.Wait()
		if got := f.get(alice, ids[7]); got.Calls != 2 || got.Errors != 1 || !got.LastUsed.Equal(used) || !got.Expires.Equal(used.Add(DefaultIdleTTL)) {
			t.Errorf("a use is stored as %+v, want it at %v", got.Record, used)
		}
		// The ends by TTL are deleted in batches.
		time.Sleep(DefaultIdleTTL + 3*time.Second)
		synctest.Wait()
		if len(f.sessions) != 0 || f.count("delete") > 4 || d.Stats().Unflushed != 0 {
			t.Errorf("%d records left after %d deletions", len(f.sessions), f.count("delete"))
		}
		stop()
		running.Wait()
		checkInvariants(t, d)
	})
}
