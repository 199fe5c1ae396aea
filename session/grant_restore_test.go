package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// A grant outlives the process, with a session that has state and with one that
// has none, hot or cold; what was revoked or has expired does not come back.
func TestGrantsAcrossARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		var told []string
		cfg := Config{IdleTTL: 20 * time.Hour, OnGrant: func(e GrantEvent) {
			told = append(told, fmt.Sprint(e.Kind, " ", e.Grant.Grantee.Subject))
		}}
		d, _ := mustRestore(t, cfg, f)
		full, empty := mustOpen(t, d, alice, Params{}), mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, full, add("a"))
		g := mustShare(t, full, withBob, AccessWrite, 10*time.Hour)
		mustShare(t, full, Grantee{Subject: "eve"}, AccessRead, time.Hour)
		mustShare(t, full, Grantee{Subject: "mallory"}, AccessRead, 10*time.Hour)
		mustShare(t, empty, withBob, AccessRead, 10*time.Hour) // stores the session
		mustUnshare(t, full, Grantee{Subject: "mallory"})
		mustUpdate(t, chain, full, add("b")) // a commit keeps the grants
		if full.Version() != 2 {
			t.Errorf("version %d, want 2: a grant is no commit", full.Version())
		}
		full.Release()
		empty.Release()
		mustFlush(t, d)
		freezeAll(d)
		b := mustAcquire(t, d, bob, full.ID()) // thaws
		mustUpdate(t, chain, b, add("c"))
		b.Release()

		checkRestoredGrants(t, cfg, f.fork(), full.ID(), empty.ID(), g) // after a crash
		d.Close()
		told = nil
		time.Sleep(2 * time.Hour)
		after := checkRestoredGrants(t, cfg, f, full.ID(), empty.ID(), g)
		misses(t, after, Owner{"acme", alice.Issuer, "eve"}, full.ID())
		for _, s := range after.shards {
			s.sweepStep()
		}
		if want := []string{"grant_expired eve"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
		mustFlush(t, after)
		after.Close()
		told = nil
		last, _ := mustRestore(t, cfg, f)
		for _, s := range last.shards {
			s.sweepStep()
		}
		if len(told) != 0 {
			t.Errorf("told again: %q", told)
		}
		time.Sleep(9 * time.Hour)
		misses(t, last, bob, full.ID())
		checkInvariants(t, last)
	})
}

func checkRestoredGrants(t *testing.T, cfg Config, f *fakeStore, full, empty ID, g Grant) *Directory {
	t.Helper()
	d, r := mustRestore(t, cfg, f)
	if r.Sessions != 2 {
		t.Fatalf("restored %+v", r)
	}
	checkInvariants(t, d)
	for _, who := range []string{"mallory", "carol"} {
		misses(t, d, Owner{"acme", alice.Issuer, who}, full)
	}
	misses(t, d, carol, full)
	if got := d.Granted(bob); len(got) != 2 {
		t.Errorf("granted to bob: %+v", got)
	}
	b := mustAcquire(t, d, bob, full)
	defer b.Release()
	if got, _ := b.Granted(); got.Access != AccessWrite || !got.Expires.Equal(g.Expires) || !got.Granted.Equal(g.Granted) {
		t.Errorf("grant %+v, want %+v", got, g)
	}
	if v, _, err := chain.Read(b); err != nil || len(v.Steps) != 3 {
		t.Errorf("read %+v, %v", v, err)
	}
	e := mustAcquire(t, d, bob, empty)
	defer e.Release()
	if err := e.MayWrite(); err != errReadOnlyGrant {
		t.Errorf("access of the other: %v", err)
	}
	return d
}

// Records of a version without grants have none, and one of a later version whose
// kinds of access are not known grants nothing by them.
func TestGrantsOfOtherVersions(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	if got := string(f.get(alice, h.ID()).Extra); got != `{"slots":[{"name":"chain","n":1}]}` {
		t.Errorf("a session that is not shared is stored with %s", got)
	}
	for _, extra := range []string{
		``, `{}`, `{"slots":[{"name":"chain","n":1}]}`, `{"grants":null}`, `not JSON`,
		`{"grants":[{"issuer":"https://issuer.example","subject":"bob","access":"own","granted":"2026-01-01T00:00:00Z","expires":"2999-01-01T00:00:00Z"}]}`,
	} {
		other := f.fork()
		for k, s := range other.sessions {
			s.Extra = json.RawMessage(extra)
			other.sessions[k] = s
		}
		after, r := mustRestore(t, Config{}, other)
		if r.Sessions != 1 || len(after.Granted(bob)) != 0 {
			t.Errorf("%s: restored %+v, granted %+v", extra, r, after.Granted(bob))
		}
		checkInvariants(t, after)
	}
}

// A revocation holds at once also when the store fails, and the directory goes on
// until it is stored.
func TestRevocationWhileTheStoreFails(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	mustShare(t, h, withBob, AccessWrite, 0)
	f.set(f.fail, "save", errDisk)
	if _, err := h.Share(t.Context(), Grantee{Subject: "eve"}, AccessRead, 0); !errors.Is(err, errDisk) || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("share: %v", err)
	}
	for range 2 { // asked again, it says the same
		revoked, err := h.Unshare(t.Context(), withBob)
		if fault.KindOf(err) != fault.Unavailable {
			t.Errorf("unshare: %v, %v", revoked, err)
		}
		misses(t, d, bob, h.ID())
	}
	if err := d.Flush(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("flush: %v", err)
	}
	f.set(f.fail, "save", nil)
	mustFlush(t, d)
	after, _ := mustRestore(t, Config{}, f.fork())
	misses(t, after, bob, h.ID())

	mustShare(t, h, withBob, AccessWrite, 0)
	f.set(f.fail, "save", errDisk)
	if _, err := h.Unshare(t.Context(), withBob); err == nil {
		t.Error("no error")
	}
	f.set(f.fail, "save", nil)
	h.Release()
	d.Close()
	after, _ = mustRestore(t, Config{}, f)
	misses(t, after, bob, h.ID())
	checkInvariants(t, after)
}

// A share of which the outcome is not known is not granted here, nor for long in
// the store.
func TestShareWithoutAnAnswer(t *testing.T) {
	f := newFakeStore()
	d, _ := mustRestore(t, Config{}, f)
	h := mustOpen(t, d, alice, Params{})
	mustUpdate(t, chain, h, add("a"))
	f.set(f.silent, "save", context.DeadlineExceeded)
	if _, err := h.Share(t.Context(), withBob, AccessWrite, 0); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("share: %v", err)
	}
	f.set(f.silent, "save", nil)
	misses(t, d, bob, h.ID())
	mustFlush(t, d)
	after, _ := mustRestore(t, Config{}, f.fork())
	misses(t, after, bob, h.ID())
}

// A session whose turn is taken for long does not hold up the others' write-behind.
func TestFlushDoesNotWaitForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		d, _ := mustRestore(t, Config{}, f)
		h := mustOpen(t, d, alice, Params{})
		mustUpdate(t, chain, h, add("a"))
		mustShare(t, h, withBob, AccessRead, time.Minute)
		time.Sleep(time.Minute)
		for _, s := range d.shards {
			s.sweepStep()
		}
		leave := make(chan bool)
		var busy sync.WaitGroup
		busy.Go(func() {
			if err := chain.Update(t.Context(), h, func(*thoughts) error { <-leave; return errDisk }); err != errDisk {
				t.Error(err)
			}
		})
		synctest.Wait()
		other := mustOpen(t, d, bob, Params{})
		mustUpdate(t, chain, other, add("a"))
		other.Release()
		before := time.Now()
		if err := d.Flush(t.Context()); fault.KindOf(err) != fault.Unavailable || time.Since(before) > time.Second {
			t.Errorf("flush: %v after %v", err, time.Since(before))
		}
		if f.count("touch") == 0 {
			t.Error("the use of the other session is not stored")
		}
		close(leave)
		busy.Wait()
		mustFlush(t, d)
		if got := string(f.get(alice, h.ID()).Extra); got != `{"slots":[{"name":"chain","n":1}]}` {
			t.Errorf("stored %s", got)
		}
		h.Release()
	})
}
