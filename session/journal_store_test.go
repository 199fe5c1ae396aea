package session_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/memstore"
)

var keyOwner = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"}

// faulty is a store whose object methods fail on demand.
type faulty struct {
	session.Store
	mu             sync.Mutex
	put, del, list error
}

func (f *faulty) PutObject(ctx context.Context, objects ...session.Object) error {
	f.mu.Lock()
	err := f.put
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Store.PutObject(ctx, objects...)
}

func (f *faulty) DeleteObject(ctx context.Context, keys ...session.ObjectKey) error {
	f.mu.Lock()
	err := f.del
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Store.DeleteObject(ctx, keys...)
}

func (f *faulty) Objects(ctx context.Context, kind string, o *session.Owner) iter.Seq2[session.Object, error] {
	f.mu.Lock()
	err := f.list
	f.mu.Unlock()
	if err != nil {
		return func(yield func(session.Object, error) bool) { yield(session.Object{}, err) }
	}
	return f.Store.Objects(ctx, kind, o)
}

func callDigest(call string) [32]byte { return sha256.Sum256([]byte(call)) }

func begin(t *testing.T, j *session.Journal, key string, at session.Attempt) func([]byte) error {
	t.Helper()
	stored, finish, err := j.BeginAt(t.Context(), keyOwner, key, callDigest("call"), at)
	if err != nil || finish == nil {
		t.Fatalf("begin %s: %q, %v", key, stored, err)
	}
	return finish
}

func wantCode(t *testing.T, j *session.Journal, key string, at session.Attempt, code string) {
	t.Helper()
	_, finish, err := j.BeginAt(t.Context(), keyOwner, key, callDigest("call"), at)
	if err == nil || finish != nil || fault.From(err).Code != code {
		t.Errorf("begin %s: %v, want %s", key, err, code)
	}
}

func wantResult(t *testing.T, j *session.Journal, key, want string) {
	t.Helper()
	stored, finish, err := j.BeginAt(t.Context(), keyOwner, key, callDigest("call"), session.Attempt{})
	if err != nil || finish != nil || string(stored) != want {
		t.Errorf("begin %s: %q, %v, want %q", key, stored, err, want)
	}
}

func objects(t *testing.T, s session.Store) (n int) {
	t.Helper()
	for _, err := range s.Objects(t.Context(), "result", nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestStoredJournalSurvivesARestart(t *testing.T) {
	store := memstore.New()
	j := session.NewStoredJournal(store, 0, 0)
	for key, result := range map[string][]byte{"k": []byte("result\nof two lines"), "empty": {}, "failed": nil, "long": make([]byte, session.MaxJournalResult+1)} {
		if err := begin(t, j, key, session.Attempt{})(result); err != nil {
			t.Fatal(err)
		}
	}
	_, finish, err := j.Begin(t.Context(), keyOwner, "old", callDigest("call"))
	if err != nil {
		t.Fatal(err)
	}
	finish([]byte("by Begin"))
	if n := objects(t, store); n != 4 {
		t.Errorf("%d objects, want 4", n)
	}
	j = session.NewStoredJournal(store, 0, 0)
	wantResult(t, j, "k", "result\nof two lines")
	wantResult(t, j, "empty", "")
	wantResult(t, j, "old", "by Begin")
	wantCode(t, j, "long", session.Attempt{}, "idempotency_result_dropped")
	begin(t, j, "failed", session.Attempt{})
	if _, _, err := j.Begin(t.Context(), keyOwner, "k", callDigest("another")); fault.From(err).Code != "idempotency_conflict" {
		t.Errorf("another call: %v", err)
	}
	stranger := keyOwner
	stranger.Tenant = "evil"
	if stored, finish, err := j.Begin(t.Context(), stranger, "k", callDigest("call")); stored != nil || finish == nil || err != nil {
		t.Errorf("another owner: %q, %v", stored, err)
	}
}

// TestCallCutOff ends the process while a call runs.
func TestCallCutOff(t *testing.T) {
	at := session.Attempt{Session: "rs_a", Version: 4}
	for _, tc := range []struct {
		name          string
		before, after session.Attempt
		safe          bool
	}{
		{"the session is where it was", at, at, true},
		{"the session has changed", at, session.Attempt{Session: "rs_a", Version: 5}, false},
		{"another session", at, session.Attempt{Session: "rs_b", Version: 4}, false},
		{"no session known before", session.Attempt{}, at, false},
		{"no session known now", at, session.Attempt{}, false},
		{"no session at all", session.Attempt{}, session.Attempt{}, false},
		{"nothing is changed by the call", session.Attempt{}, session.Attempt{Pure: true}, true},
	} {
		store := memstore.New()
		begin(t, session.NewStoredJournal(store, 0, 0), "k", tc.before)
		j := session.NewStoredJournal(store, 0, 0)
		if !tc.safe {
			wantCode(t, j, "k", tc.after, "outcome_unknown")
			wantCode(t, session.NewStoredJournal(store, 0, 0), "k", tc.after, "outcome_unknown")
			continue
		}
		wantCode(t, j, "k", session.Attempt{}, "outcome_unknown")
		finish := begin(t, j, "k", tc.after)
		if err := finish([]byte(tc.name)); err != nil {
			t.Error(err)
		}
		wantResult(t, session.NewStoredJournal(store, 0, 0), "k", tc.name)
	}
}

func TestStoredJournalWhenTheStoreFails(t *testing.T) {
	broken := errors.New("disk full")
	f := &faulty{Store: memstore.New()}
	j := session.NewStoredJournal(f, 0, 0)
	f.list = broken
	wantCode(t, j, "k", session.Attempt{}, "idempotency_unavailable")
	f.list, f.put = nil, broken
	_, _, err := j.BeginAt(t.Context(), keyOwner, "k", callDigest("call"), session.Attempt{})
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, broken) || fault.From(err).RetryAfter == 0 {
		t.Errorf("got %v", err)
	}
	f.put = nil
	finish := begin(t, j, "k", session.Attempt{Session: "rs_a", Version: 1})
	f.put = broken
	if err := finish([]byte("done")); !errors.Is(err, broken) {
		t.Errorf("finish: %v", err)
	}
	if err := finish(nil); err != nil {
		t.Errorf("finish again: %v", err)
	}
	wantResult(t, j, "k", "done") // this process knows it
	f.put = nil
	j = session.NewStoredJournal(f, 0, 0)
	changed := session.Attempt{Session: "rs_a", Version: 2}
	wantCode(t, j, "k", changed, "outcome_unknown") // the next one does not
	begin(t, j, "other", session.Attempt{})         // keeps the owner in memory
	f.put = broken
	wantCode(t, j, "k", session.Attempt{Pure: true}, "idempotency_unavailable")
	f.put = nil
	wantCode(t, j, "k", changed, "outcome_unknown") // and has not forgotten that
}

func TestStoredJournalIsBounded(t *testing.T) {
	store := memstore.New()
	j := session.NewStoredJournal(store, 3, time.Hour)
	for i := range 10 {
		if err := begin(t, j, fmt.Sprint(i), session.Attempt{})([]byte("r")); err != nil {
			t.Fatal(err)
		}
	}
	if n := objects(t, store); n != 3 {
		t.Errorf("%d objects, want 3", n)
	}
	j = session.NewStoredJournal(store, 3, time.Hour)
	wantResult(t, j, "9", "r")
	begin(t, j, "0", session.Attempt{})
	if n := objects(t, store); n != 3 {
		t.Errorf("%d objects after a restart, want 3", n)
	}
	f := &faulty{Store: store, del: errors.New("stuck")}
	j = session.NewStoredJournal(f, 2, time.Hour) // one is too many for it
	wantCode(t, j, "new", session.Attempt{}, "idempotency_unavailable")
	f.del = nil
	begin(t, j, "new", session.Attempt{})

	// Large results go for the sake of the bytes.
	store = memstore.New()
	j = session.NewStoredJournal(store, 0, time.Hour)
	for i := range 12 {
		if err := begin(t, j, fmt.Sprint(i), session.Attempt{})([]byte(strings.Repeat("x", session.MaxJournalResult))); err != nil {
			t.Fatal(err)
		}
	}
	if n := objects(t, store); n != 7 {
		t.Errorf("%d objects of 1 MiB, want 7 in 8 MiB", n)
	}
}

func TestStoredJournalExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New()
		j := session.NewStoredJournal(store, 0, time.Minute)
		for _, key := range []string{"a", "b"} {
			if err := begin(t, j, key, session.Attempt{})([]byte(key)); err != nil {
				t.Fatal(err)
			}
		}
		begin(t, j, "cut off", session.Attempt{})
		time.Sleep(59 * time.Second)
		j = session.NewStoredJournal(store, 0, time.Minute)
		wantResult(t, j, "a", "a")
		time.Sleep(time.Second)
		if err := begin(t, j, "a", session.Attempt{})([]byte("again")); err != nil {
			t.Fatal(err)
		}
		wantResult(t, j, "a", "again")
		time.Sleep(time.Minute + time.Second)
		j = session.NewStoredJournal(store, 0, time.Minute)
		if err := store.PutObject(t.Context(), session.Object{ObjectKey: session.ObjectKey{Kind: "job", Owner: keyOwner, ID: "j"}, Expires: time.Now().Add(-time.Hour)}); err != nil {
			t.Fatal(err)
		}
		if n, err := j.Sweep(t.Context(), 100); err != nil || n == 0 || objects(t, store) != 0 {
			t.Errorf("swept %d, %v: %d are left", n, err, objects(t, store))
		}
		if _, err := store.LoadObject(t.Context(), session.ObjectKey{Kind: "job", Owner: keyOwner, ID: "j"}); err != nil {
			t.Errorf("an object of another kind: %v", err)
		}
		begin(t, j, "cut off", session.Attempt{})
	})
}

// TestStoredJournalExecutesOnce has many callers of few keys, with failures and
// evictions between.
func TestStoredJournalExecutesOnce(t *testing.T) {
	store := memstore.New()
	j := session.NewStoredJournal(store, 64, time.Hour)
	var mu sync.Mutex
	done := map[string]int{}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprint((i*7 + worker) % 24)
				stored, finish, err := j.BeginAt(t.Context(), keyOwner, key, callDigest("call"), session.Attempt{})
				switch {
				case err != nil:
					t.Errorf("%s: %v", key, err)
				case finish != nil && i%5 == 0:
					if err := finish(nil); err != nil {
						t.Error(err)
					}
				case finish != nil:
					mu.Lock()
					done[key]++
					mu.Unlock()
					if err := finish([]byte("r" + key)); err != nil {
						t.Error(err)
					}
				case string(stored) != "r"+key:
					t.Errorf("%s gives %q", key, stored)
				}
				if i%20 == worker {
					if _, err := j.Sweep(t.Context(), 10); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	for key, n := range done {
		if n != 1 {
			t.Errorf("%s was executed %d times", key, n)
		}
	}
	if n := objects(t, store); n != len(done) {
		t.Errorf("%d objects, want %d", n, len(done))
	}
}
