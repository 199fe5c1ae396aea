package session

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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
