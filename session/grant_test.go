package session

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

var (
	withBob = Grantee{Subject: "bob"}
	dave    = Owner{"acme", "https://other.example", "bob"} // bob of another issuer
)

func mustShare(t testing.TB, h *Handle, to Grantee, a Access, ttl time.Duration) Grant {
	t.Helper()
	g, err := h.Share(t.Context(), to, a, ttl)
	if err != nil {
		t.Fatalf("share with %v: %v", to, err)
	}
	return g
}

func mustUnshare(t testing.TB, h *Handle, to Grantee) {
	t.Helper()
	if revoked, err := h.Unshare(t.Context(), to); !revoked || err != nil {
		t.Fatalf("unshare %v: %v, %v", to, revoked, err)
	}
}

func misses(t testing.TB, d *Directory, o Owner, id ID) {
	t.Helper()
	if _, err := d.Acquire(t.Context(), o, id); err != errMiss {
		t.Errorf("acquire by %v: %v, want the miss of an unknown id", o, err)
	}
	if err := d.Delete(t.Context(), o, id); err != errMiss {
		t.Errorf("delete by %v: %v, want the miss of an unknown id", o, err)
	}
	if err := d.Persist(t.Context(), o, id); err != errMiss {
		t.Errorf("persist by %v: %v, want the miss of an unknown id", o, err)
	}
}

func code(err error) string { return fault.From(err).Code }

func TestShare(t *testing.T) {
	d := New(Config{}, nil)
	h := mustOpen(t, d, alice, Params{Name: "plan"})
	mustUpdate(t, chain, h, add("a"))
	for _, o := range []Owner{bob, dave, carol} {
		misses(t, d, o, h.ID())
	}
	g := mustShare(t, h, withBob, AccessRead, time.Hour)
	if g.Grantee != (Grantee{alice.Issuer, "bob"}) || g.Access != AccessRead || g.Expires.Sub(g.Granted) != time.Hour {
		t.Errorf("granted %+v", g)
	}
	for _, o := range []Owner{dave, carol, {"globex", bob.Issuer, bob.Subject}} {
		misses(t, d, o, h.ID())
	}
	if got := d.Granted(bob); len(got) != 1 || got[0].ID != h.ID() || got[0].Grant != g || got[0].Grants != 1 || len(d.List(bob)) != 0 || len(d.Granted(carol)) != 0 {
		t.Errorf("granted to bob: %+v", got)
	}

	b := mustAcquire(t, d, bob, h.ID())
	if v, ok, err := chain.Read(b); err != nil || !ok || len(v.Steps) != 1 || len(b.Export()) != 1 {
		t.Errorf("read by the grantee: %v, %v, %v", v, ok, err)
	}
	if got, shared := b.Granted(); !shared || got != g {
		t.Errorf("the grantee's grant: %+v, %v", got, shared)
	}
	if _, shared := h.Granted(); shared || h.MayWrite() != nil {
		t.Error("the owner is taken for a grantee")
	}
	refusals := func(want string) {
		t.Helper()
		_, share := b.Share(t.Context(), Grantee{Subject: "eve"}, AccessRead, 0)
		_, unshare := b.Unshare(t.Context(), withBob)
		_, grants := b.Grants()
		_, replace := b.Import(t.Context(), Snapshot{}, ImportOptions{Mode: ImportReplace})
		for what, err := range map[string]error{"share": share, "unshare": unshare, "grants": grants, "replace": replace} {
			if fault.KindOf(err) != fault.Forbidden || code(err) != want {
				t.Errorf("%s by the grantee: %v, want Forbidden, %s", what, err, want)
			}
		}
	}
	refusals("read_only_grant")
	ran := false
	update := chain.Update(t.Context(), b, func(*thoughts) error { ran = true; return nil })
	_, imported := b.Import(t.Context(), Snapshot{}, ImportOptions{DryRun: true})
	for what, err := range map[string]error{
		"update": update, "import": imported, "may write": b.MayWrite(), "delete a slot": chain.Delete(t.Context(), b), "commit": chain.Commit(t.Context(), b, 1, thoughts{}),
	} {
		if fault.KindOf(err) != fault.Forbidden || code(err) != "read_only_grant" {
			t.Errorf("%s by a reader: %v, want Forbidden, read_only_grant", what, err)
		}
	}
	if ran {
		t.Error("the update of a reader ran")
	}
	if err := d.Delete(t.Context(), bob, h.ID()); err != errNotOwner {
		t.Errorf("delete by the grantee: %v, want not_owner", err)
	}

	mustShare(t, h, withBob, AccessWrite, 0) // holds for the call that is in flight
	mustUpdate(t, chain, b, add("b"))
	refusals("not_owner")
	if q := d.Usage(bob); q.Bytes != 0 || q.Sessions != 0 {
		t.Errorf("the grantee is charged: %+v", q)
	}
	if q := h.Usage(); q.Sessions != 1 || q.Bytes != h.Info().Bytes {
		t.Errorf("the owner is charged: %+v", q)
	}
	b.SetClient(Client{Name: "theirs"})
	b.Release()
	if h.Info().Client.Name != "" {
		t.Error("the grantee's program is noted")
	}

	mustUnshare(t, h, withBob)
	misses(t, d, bob, h.ID())
	if revoked, err := h.Unshare(t.Context(), withBob); revoked || err != nil {
		t.Errorf("unshare again: %v, %v", revoked, err)
	}
	if h.Version() != 2 || h.Info().Grants != 0 || len(d.Granted(bob)) != 0 {
		t.Errorf("version %d, %+v", h.Version(), d.Granted(bob))
	}
	checkInvariants(t, d)
}

func TestShareRefusals(t *testing.T) {
	d := New(Config{MaxGrants: 2, MaxGrantTTL: time.Hour}, nil)
	h := mustOpen(t, d, alice, Params{MaxTTL: 30 * time.Minute})
	for _, c := range []struct {
		to     Grantee
		access Access
		ttl    time.Duration
		code   string
	}{
		{Grantee{}, AccessRead, 0, ""},
		{Grantee{Subject: strings.Repeat("x", MaxSubject+1)}, AccessRead, 0, ""},
		{Grantee{Subject: "b\xff"}, AccessRead, 0, ""},
		{Grantee{Issuer: strings.Repeat("x", MaxIssuer+1), Subject: "bob"}, AccessRead, 0, ""},
		{Grantee{Subject: "alice"}, AccessRead, 0, "share_with_self"},
		{Grantee{alice.Issuer, "alice"}, AccessWrite, 0, "share_with_self"},
		{withBob, "admin", 0, ""},
		{withBob, "", 0, ""},
		{withBob, AccessRead, -1, ""},
		{withBob, AccessRead, time.Hour + 1, ""},
	} {
		_, err := h.Share(t.Context(), c.to, c.access, c.ttl)
		if fault.KindOf(err) != fault.Invalid || code(err) != c.code {
			t.Errorf("%+v: %v, want Invalid %q", c, err, c.code)
		}
	}
	if g := mustShare(t, h, Grantee{"https://other.example", "alice"}, AccessRead, 0); !g.Expires.Equal(h.Info().Created.Add(30 * time.Minute)) {
		t.Errorf("a grant expires %v, after the session is over age", g.Expires)
	}
	mustShare(t, h, withBob, AccessRead, 0)
	if _, err := h.Share(t.Context(), Grantee{Subject: "eve"}, AccessRead, 0); fault.KindOf(err) != fault.TooLarge || code(err) != "too_many_grants" {
		t.Errorf("one grant too many: %v", err)
	}
	mustShare(t, h, withBob, AccessWrite, 0) // takes no place
	all, err := h.Grants()
	if err != nil || len(all) != 2 || all[1].Access != AccessWrite {
		t.Errorf("grants %+v, %v", all, err)
	}
	if err := d.Delete(t.Context(), alice, h.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Share(t.Context(), Grantee{Subject: "eve"}, AccessRead, 0); !errors.Is(err, errMiss) {
		t.Errorf("share of a session that drains: %v", err)
	}
	if revoked, err := h.Unshare(t.Context(), withBob); revoked || !errors.Is(err, errMiss) && err != nil {
		t.Errorf("unshare of a session that drains: %v, %v", revoked, err)
	}
	misses(t, d, bob, h.ID())
	h.Release()
	checkInvariants(t, d)
}

// A call that computes when its grant is revoked, expires or is cut to reading
// commits nothing, whichever way it writes.
func TestAGrantThatEndsStopsACommit(t *testing.T) {
	ends := map[string]func(t *testing.T, h *Handle) error{
		"revoked": func(t *testing.T, h *Handle) error { mustUnshare(t, h, withBob); return errMiss },
		"expired": func(*testing.T, *Handle) error { time.Sleep(time.Minute); return errMiss },
		"cut":     func(t *testing.T, h *Handle) error { mustShare(t, h, withBob, AccessRead, 0); return errReadOnlyGrant },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := New(Config{}, nil)
				h := mustOpen(t, d, alice, Params{})
				mustUpdate(t, chain, h, add("a"))
				mustShare(t, h, withBob, AccessWrite, time.Minute)
				b := mustAcquire(t, d, bob, h.ID())

				v, version, err := chain.ReadVersion(b)
				if err != nil {
					t.Fatal(err)
				}
				entered, leave := make(chan bool), make(chan bool)
				updated := make(chan error)
				go func() {
					updated <- chain.Update(t.Context(), b, func(v *thoughts) error {
						close(entered)
						<-leave
						return add("update")(v)
					})
				}()
				<-entered
				ended := make(chan error)
				go func() { ended <- end(t, h) }()
				synctest.Wait() // what is revoked is so at once; Unshare waits for whoever holds the turn
				if name == "revoked" {
					misses(t, d, bob, h.ID())
				}
				if name == "expired" {
					time.Sleep(time.Minute)
				}
				if name == "cut" { // that waits for its turn: the update was first
					close(leave)
					if err := <-updated; err != nil {
						t.Fatalf("the update before the cut: %v", err)
					}
					_, version, _ = chain.ReadVersion(b)
				}
				if name != "cut" {
					close(leave)
					if err := <-updated; err != errMiss {
						t.Errorf("update: %v, want a miss", err)
					}
				}
				want := <-ended
				before := h.Version()
				if err := chain.Commit(t.Context(), b, version, v); err != want {
					t.Errorf("commit: %v, want %v", err, want)
				}
				if err := chain.Retry(t.Context(), b, 3, func(_ context.Context, v thoughts) (thoughts, error) { return v, nil }); err != want {
					t.Errorf("retry: %v, want %v", err, want)
				}
				if err := chain.Delete(t.Context(), b); err != want {
					t.Errorf("delete of a slot: %v, want %v", err, want)
				}
				if _, _, err := chain.Read(b); (err == nil) != (name == "cut") {
					t.Errorf("read: %v", err)
				}
				if n := len(b.Export()); (n > 0) != (name == "cut") {
					t.Errorf("%d slots are exported", n)
				}
				if h.Version() != before {
					t.Error("a refused call has committed")
				}
				b.Release()
				h.Release()
				checkInvariants(t, d)
			})
		})
	}
}

// Each change of grants is told once to the hook, under no lock, and to the bus.
func TestGrantsAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus event.Bus[Event]
		var mu sync.Mutex // the sweeper tells too
		var told []string
		var d *Directory
		d = New(Config{OnGrant: func(e GrantEvent) {
			if e.Owner != alice || e.ID == "" || e.At.IsZero() {
				t.Errorf("told %+v", e)
			}
			if _, err := d.Acquire(t.Context(), carol, "rs_x"); err != errMiss { // it may use the directory
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(e.Kind, " ", e.Grant.Grantee.Subject, " ", e.Grant.Access, " ", e.Operator))
		}}, &bus)
		ctx, cancel := context.WithCancel(t.Context())
		events := bus.Subscribe(ctx)
		var running sync.WaitGroup
		var onBus []string
		running.Go(func() {
			for e := range events {
				if e.Grant != nil {
					onBus = append(onBus, fmt.Sprint(e.Kind, " ", e.Grant.Grantee.Subject, " ", e.Info.Grants))
				}
			}
		})
		running.Go(func() { _ = d.Run(ctx) })
		h := mustOpen(t, d, alice, Params{})
		mustShare(t, h, withBob, AccessRead, time.Minute)
		mustShare(t, h, withBob, AccessRead, time.Minute) // changes nothing: in a bubble it is the same moment
		mustShare(t, h, withBob, AccessWrite, time.Minute)
		mustShare(t, h, Grantee{Subject: "eve"}, AccessRead, 10*time.Second)
		mustUnshare(t, h, withBob)
		time.Sleep(12 * time.Second)
		mustShare(t, h, Grantee{Subject: "eve"}, AccessRead, 10*time.Second)
		if n, err := d.RevokeAll(t.Context(), func(o Owner) bool { return o.Subject == "eve" }); n != 1 || err != nil {
			t.Errorf("revoked %d, %v", n, err)
		}
		mustShare(t, h, withBob, AccessRead, time.Minute)
		if err := d.Delete(t.Context(), alice, h.ID()); err != nil {
			t.Fatal(err)
		}
		h.Release()
		synctest.Wait()
		cancel()
		running.Wait()
		if want := []string{
			"granted bob read false", "granted bob write false", "granted eve read false", "revoked bob write false",
			"grant_expired eve read false", "granted eve read false", "revoked eve read true", "granted bob read false",
		}; !slices.Equal(told, want) {
			t.Errorf("told\n%q, want\n%q", told, want)
		}
		if want := []string{
			"granted bob 1", "granted bob 1", "granted eve 2", "revoked bob 1", "grant_expired eve 0", "granted eve 1", "revoked eve 0", "granted bob 1",
		}; !slices.Equal(onBus, want) {
			t.Errorf("on the bus\n%q, want\n%q", onBus, want)
		}
	})
}

// A use by a grantee is a use.
func TestAGranteesUseSlidesTheIdleTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := New(Config{IdleTTL: 10 * time.Minute}, nil)
		h := mustOpen(t, d, alice, Params{})
		mustShare(t, h, withBob, AccessRead, time.Hour)
		h.Release()
		for range 5 {
			time.Sleep(9 * time.Minute)
			mustAcquire(t, d, bob, h.ID()).Release()
		}
		time.Sleep(10 * time.Minute)
		misses(t, d, bob, h.ID()) // whoever asks first, the session ends
		if st := d.Stats(); st.Ended[ReasonIdle] != 1 || st.Sessions != 0 {
			t.Errorf("stats %+v", st)
		}
		checkInvariants(t, d)
	})
}
