package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
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

func TestTTLsAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		cfg := Config{IdleTTL: 10 * time.Minute, MaxTTL: time.Hour}
		d, _ := mustRestore(t, cfg, f)
		held := mustOpen(t, d, alice, Params{Durable: true})
		idle := mustIdle(t, d, alice, Params{Durable: true})
		short := mustIdle(t, d, alice, Params{IdleTTL: time.Minute})
		mustFlush(t, d)
		time.Sleep(5 * time.Minute)
		for _, s := range d.shards { // held is in use beyond the time that its record says
			for s.sweepStep() {
			}
		}
		d.Close()
		time.Sleep(6 * time.Minute)

		d, r := mustRestore(t, cfg, f)
		if r != (Restored{Sessions: 1, Expired: 1}) || !has(d, alice, held.ID()) || has(d, alice, idle) || has(d, alice, short) {
			t.Errorf("restored %+v: %v", r, d.List(alice))
		}
		if f.get(alice, idle) == nil {
			t.Error("the record of what expired meanwhile was erased at once")
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		time.Sleep(59 * time.Minute)
		if f.get(alice, idle) == nil {
			t.Error("erased before the hour was over")
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := len(f.sessions); n != 0 {
			t.Errorf("%d records an hour after the start, want none", n)
		}
		stop()
		running.Wait()
		if st := d.Stats(); st.Ended[ReasonIdle] != 1 || st.Sessions != 0 {
			t.Errorf("stats %+v", st)
		}
	})
}

// The record of a session in use is kept alive, although no call completes.
func TestASessionInUseSurvivesACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		cfg := Config{IdleTTL: 10 * time.Minute, MaxTTL: time.Hour}
		d, _ := mustRestore(t, cfg, f)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = d.Run(ctx) })
		long := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, long, add("a"))
		release := long.Stream()
		for range 55 {
			time.Sleep(time.Minute)
			if _, r := mustRestore(t, cfg, f.fork()); r.Sessions != 1 {
				t.Errorf("restored %+v at %v, want the session that is in use", r, time.Now())
			}
		}
		release()
		long.Release()
		stop()
		running.Wait()
	})
}

func TestTheUnwrittenUseIsAllowedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		cfg := Config{IdleTTL: 10 * time.Minute, FlushEvery: 5 * time.Second}
		d, _ := mustRestore(t, cfg, f)
		h := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, h, add("a"))
		h.Release()
		mustFlush(t, d)
		time.Sleep(4 * time.Second)
		mustAcquire(t, d, alice, h.ID()).Release() // and the crash comes before the flush
		used := time.Now()
		time.Sleep(10*time.Minute - time.Second)
		d, _ = mustRestore(t, cfg, f)
		info := d.List(alice)
		if len(info) != 1 || info[0].Expires.Before(used.Add(10*time.Minute)) {
			t.Errorf("%+v: want a session that lives until %v at least", info, used.Add(10*time.Minute))
		}
		time.Sleep(10 * time.Second)
		if has(d, alice, h.ID()) {
			t.Error("it never expires")
		}
	})
}

func TestAClockBehindTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{}, f)
		h := mustOpen(t, d, alice, Params{MaxTTL: 2 * time.Hour})
		mustUpdate(t, chain, h, add("a"))
		h.Release()
		d.Close()
		ahead := 3 * time.Hour
		s := f.sessions[Key{alice, h.ID()}]
		for _, at := range []*time.Time{&s.Created, &s.AgeAt, &s.LastUsed, &s.Expires} {
			*at = at.Add(ahead)
		}
		var log strings.Builder
		d, r, err := Restore(t.Context(), Config{}, f, nil, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil || r.Sessions != 1 || !strings.Contains(log.String(), "clock is behind") {
			t.Fatalf("%+v, %v, log %q", r, err, log.String())
		}
		i := d.List(alice)[0]
		now := time.Now()
		if i.LastUsed.After(now) || i.Created.After(now) || !i.Expires.Equal(now.Add(DefaultIdleTTL)) || d.List(alice)[0].Version != 1 {
			t.Errorf("%+v at %v", i, now)
		}
		if got := h.e.ageAt; d.shardOf(alice).owners[alice].sessions[0].ageAt > got {
			t.Error("the absolute TTL grew")
		}
		checkInvariants(t, d)
	})
}

func TestRestoreKeepsTheCaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{}, f)
		var ids []ID
		for range 6 {
			ids = append(ids, mustIdle(t, d, alice, Params{Durable: true}))
			tick()
		}
		mustAcquire(t, d, alice, ids[0]).Release() // now the most recent
		d.Close()
		d, r := mustRestore(t, Config{MaxPerOwner: 3}, f)
		var got []ID
		for _, i := range d.List(alice) {
			got = append(got, i.ID)
		}
		if want := []ID{ids[5], ids[4], ids[0]}; r != (Restored{Sessions: 3, Evicted: 3}) || !slices.Equal(got, want) {
			t.Errorf("%+v, %v, want %v", r, got, want)
		}
		checkInvariants(t, d)
		if _, r := mustRestore(t, Config{}, f); r.Sessions != 6 {
			t.Errorf("a start with small caps has lost sessions: %+v", r)
		}
	})
}

func TestRestoreFails(t *testing.T) {
	f := newFakeStore()
	f.set(f.fail, "records", errDisk)
	if _, _, err := Restore(t.Context(), Config{}, f, nil, nil); !errors.Is(err, errDisk) {
		t.Errorf("restore: %v, want the store's error", err)
	}
	if _, _, err := Restore(t.Context(), Config{Shards: -1}, newFakeStore(), nil, nil); err == nil {
		t.Error("a bad configuration was taken")
	}
}

func TestCloseKeepsTheSessions(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	var mu sync.Mutex
	ran := map[ID]int{}
	note := func(h *Handle) {
		h.OnEnd(func(Reason) {
			mu.Lock()
			defer mu.Unlock()
			ran[h.ID()]++
		})
	}
	busy, idle, fresh := mustOpen(t, d, alice, Params{}), mustOpen(t, d, bob, Params{}), mustOpen(t, d, carol, Params{})
	for _, h := range []*Handle{busy, idle, fresh} {
		note(h)
	}
	mustUpdate(t, chain, busy, add("a"))
	mustUpdate(t, chain, idle, add("a"))
	idle.Release()
	d.Close()
	d.Close()
	busy.Release()
	if len(ran) != 3 || ran[busy.ID()] != 1 || ran[idle.ID()] != 1 || ran[fresh.ID()] != 1 {
		t.Errorf("hooks ran %v times, want once each", ran)
	}
	if f.count("delete") != 0 || d.Stats().Unflushed != 0 {
		t.Errorf("%d deletions, %d unflushed", f.count("delete"), d.Stats().Unflushed)
	}
	if err := chain.Update(t.Context(), busy, add("b")); err == nil {
		t.Error("a commit after Close")
	}
	d, r := mustRestore(t, Config{}, f)
	if r.Sessions != 3 || d.List(bob)[0].Calls != 1 || len(d.List(carol)) != 1 {
		t.Errorf("restored %+v", r)
	}
	checkInvariants(t, d)
}
