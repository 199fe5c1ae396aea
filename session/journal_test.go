package session

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func digest(s string) [32]byte { return sha256.Sum256([]byte(s)) }

// mustBegin begins a call that must be the first with its key.
func mustBegin(t *testing.T, j *Journal, o Owner, key, call string) (finish func([]byte)) {
	t.Helper()
	stored, finish, err := j.Begin(t.Context(), o, key, digest(call))
	if err != nil || finish == nil || stored != nil {
		t.Fatalf("begin %s: stored %q, error %v: want to be the first", key, stored, err)
	}
	return finish
}

func wantStored(t *testing.T, j *Journal, o Owner, key, call, want string) {
	t.Helper()
	stored, finish, err := j.Begin(t.Context(), o, key, digest(call))
	if err != nil || finish != nil || string(stored) != want || stored == nil {
		t.Errorf("begin %s again: stored %q, error %v: want %q", key, stored, err, want)
	}
}

// checkJournal compares the counters with a naive count.
func checkJournal(t *testing.T, j *Journal) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	count, settled, all := 0, 0, int64(0)
	for o, own := range j.owners {
		bytes := int64(0)
		for _, r := range own.records {
			count++
			bytes += r.size()
			if r.outcome != running {
				settled++
			}
		}
		if own.bytes != bytes || len(own.records) == 0 || len(own.records) > j.perOwner || bytes > journalOwnerBytes+MaxJournalResult {
			t.Errorf("owner %v: %d records, %d bytes, accounted %d", o, len(own.records), bytes, own.bytes)
		}
		all += bytes
	}
	if j.count != count || j.settled.Len() != settled || j.bytes != all {
		t.Errorf("%d records, %d settled, %d bytes; accounted %d, %d, %d", count, settled, all, j.count, j.settled.Len(), j.bytes)
	}
}

func TestJournalReplays(t *testing.T) {
	j := NewJournal(0, 0)
	finish := mustBegin(t, j, alice, "k", "call")
	finish([]byte("result"))
	finish([]byte("second finish"))
	finish(nil)
	wantStored(t, j, alice, "k", "call", "result")
	stored, _, _ := j.Begin(t.Context(), alice, "k", digest("call"))
	stored[0] = 'X'
	wantStored(t, j, alice, "k", "call", "result") // a copy was changed
	mustBegin(t, j, bob, "k", "another call")([]byte{})
	wantStored(t, j, bob, "k", "another call", "") // keys are the owner's own, empty results are results

	_, _, err := j.Begin(t.Context(), alice, "k", digest("another call"))
	if f := fault.From(err); f.Kind != fault.Conflict || f.Code != "idempotency_conflict" {
		t.Errorf("same key, other call: %v, want a conflict", err)
	}
	mustBegin(t, j, alice, "failed", "call")(nil)
	mustBegin(t, j, alice, "failed", "mended call")([]byte("ok")) // the key was free again
	for _, key := range []string{"", strings.Repeat("k", MaxJournalKey+1)} {
		if _, _, err := j.Begin(t.Context(), alice, key, digest("")); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a key of %d bytes: %v, want Invalid", len(key), err)
		}
	}
	checkJournal(t, j)
}

func TestJournalExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := NewJournal(1000, time.Minute)
		finish := mustBegin(t, j, alice, "slow", "call")
		time.Sleep(time.Hour) // a running call does not expire
		for i := range 2 * sweepBatch {
			mustBegin(t, j, bob, fmt.Sprint(i), "call")([]byte("old"))
		}
		finish([]byte("late")) // counts from here
		time.Sleep(time.Minute - 1)
		wantStored(t, j, alice, "slow", "call", "late")
		time.Sleep(time.Nanosecond)
		mustBegin(t, j, alice, "slow", "call")([]byte("new")) // although others must expire before it
		checkJournal(t, j)
		mustBegin(t, j, alice, "other", "call")([]byte("new"))
		if j.count != 2 {
			t.Errorf("%d records, want 2", j.count)
		}
		checkJournal(t, j)
	})
}

func TestJournalWaitsForTheRunningCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := NewJournal(0, 0)
		begun := time.Now()
		finish := mustBegin(t, j, alice, "k", "call")
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				wantStored(t, j, alice, "k", "call", "result")
				if time.Since(begun) != time.Minute {
					t.Errorf("answered after %v, want 1m", time.Since(begun))
				}
			})
		}
		if _, _, err := j.Begin(t.Context(), alice, "k", digest("other")); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another call while the first runs: %v, want a conflict at once", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := j.Begin(ctx, alice, "k", digest("call")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waiting longer than its context: %v", err)
		}
		if _, _, err := j.Begin(ctx, alice, "k2", digest("call")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("an ended context: %v", err)
		}
		time.Sleep(59 * time.Second)
		finish([]byte("result"))
		wg.Wait()
		checkJournal(t, j)
	})
}

// When the running call fails, exactly one of those that wait runs next.
func TestJournalRetriesAfterAFailure(t *testing.T) {
	j := NewJournal(0, 0)
	finish := mustBegin(t, j, alice, "k", "call")
	var runs, stored atomic.Int32
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			got, finish, err := j.Begin(t.Context(), alice, "k", digest("call"))
			switch {
			case err != nil:
				t.Errorf("begin: %v", err)
			case finish == nil:
				stored.Add(1)
				if string(got) != "third time lucky" {
					t.Errorf("stored %q", got)
				}
			case runs.Add(1) == 3:
				finish([]byte("third time lucky"))
			default:
				finish(nil)
			}
		})
	}
	finish(nil)
	wg.Wait()
	if runs.Load() != 3 || stored.Load() != 29 {
		t.Errorf("%d runs and %d stored answers, want 3 and 29", runs.Load(), stored.Load())
	}
	checkJournal(t, j)
}

func TestJournalIsBounded(t *testing.T) {
	j := NewJournal(4, time.Hour)
	var finish []func([]byte)
	for i := range 4 {
		finish = append(finish, mustBegin(t, j, alice, fmt.Sprint(i), "call"))
	}
	_, _, err := j.Begin(t.Context(), alice, "more", digest("call"))
	if f := fault.From(err); f.Kind != fault.RateLimited || f.RetryAfter < time.Second {
		t.Errorf("more running keys than allowed: %v, want RateLimited", err)
	}
	mustBegin(t, j, bob, "more", "call")(nil) // others are not concerned
	for i, f := range finish {
		f(fmt.Append(nil, "result ", i))
	}
	mustBegin(t, j, alice, "more", "call")([]byte("x")) // the one settled first goes
	wantStored(t, j, alice, "1", "call", "result 1")
	mustBegin(t, j, alice, "0", "call")([]byte("again"))
	checkJournal(t, j)

	// Results too large to keep are not executed again either.
	mustBegin(t, j, alice, "huge", "call")(make([]byte, MaxJournalResult+1))
	_, _, err = j.Begin(t.Context(), alice, "huge", digest("call"))
	if f := fault.From(err); f.Kind != fault.Conflict || f.Code != "idempotency_result_dropped" {
		t.Errorf("a result that was not kept: %v", err)
	}
	checkJournal(t, j)

	// Bytes: one owner has its share, all have theirs.
	j = NewJournal(1000, time.Hour)
	big := make([]byte, MaxJournalResult)
	for i := range 12 {
		mustBegin(t, j, alice, fmt.Sprint(i), "call")(big)
	}
	if got := j.owners[alice].bytes; got > journalOwnerBytes || got < journalOwnerBytes/2 {
		t.Errorf("alice's results have %d bytes, want at most %d and not much less", got, journalOwnerBytes)
	}
	checkJournal(t, j)
	for i := range 12 {
		for k := range 8 {
			mustBegin(t, j, Owner{Subject: fmt.Sprint(i)}, fmt.Sprint(k), "call")(big)
		}
	}
	if j.bytes > journalBytes || j.bytes < journalBytes/2 {
		t.Errorf("all results have %d bytes, want at most %d and not much less", j.bytes, journalBytes)
	}
	checkJournal(t, j)
}

func TestJournalIsBoundedInTotal(t *testing.T) {
	j := NewJournal(0, time.Hour)
	for i := range journalRecords {
		mustBegin(t, j, Owner{Subject: fmt.Sprint(i / 100)}, fmt.Sprint(i%100), "call")([]byte("x"))
	}
	held := mustBegin(t, j, alice, "one more", "call")
	if j.count != journalRecords {
		t.Errorf("%d records, want %d", j.count, journalRecords)
	}
	mustBegin(t, j, Owner{Subject: "0"}, "0", "call")(nil) // the oldest went
	held(nil)
	checkJournal(t, j)
}
