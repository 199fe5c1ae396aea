package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

func TestOpenAcquireRelease(t *testing.T) {
	d := New(Config{}, nil)
	labels := map[string]string{"project": "apollo"}
	h := mustOpen(t, d, alice, Params{Name: "plan", IdleTTL: time.Minute, MaxTTL: time.Hour, Labels: labels, Client: Client{"ide", "1.0", "2025-11-25", "http"}})
	labels["project"] = "changed by the caller afterwards"
	id := h.ID()
	if body, ok := strings.CutPrefix(string(id), "rs_"); !ok || len(body) < 26 || body != strings.ToLower(body) {
		t.Errorf("id %q: want rs_ and at least 26 lower-case base-32 characters", id)
	}
	if h.Owner() != alice {
		t.Errorf("owner %v, want %v", h.Owner(), alice)
	}
	info := h.Info()
	if info.State != StateActive || info.InFlight != 1 || info.Calls != 0 || info.Name != "plan" || info.Labels["project"] != "apollo" {
		t.Errorf("info of a new session: %+v", info)
	}
	if info.Client != (Client{"ide", "1.0", "2025-11-25", "http"}) || info.Ref != id.Ref() || info.Version != 0 {
		t.Errorf("info of a new session: %+v", info)
	}
	h.Release()
	h.Release()
	a, b := mustAcquire(t, d, alice, id), mustAcquire(t, d, alice, id)
	a.Fail()
	a.Release()
	b.SetClient(Client{Name: "shell", Transport: "stdio"})
	info = b.Info()
	if info.InFlight != 1 || info.Calls != 2 || info.Errors != 1 || info.Client.Name != "shell" {
		t.Errorf("after two of three calls: %+v", info)
	}
	b.Release()
	if info := b.Info(); info.State != StateIdle || info.Calls != 3 || info.Errors != 1 {
		t.Errorf("idle again: %+v", info)
	}
	checkInvariants(t, d)
	st := d.Stats()
	if st.Sessions != 1 || st.Idle != 1 || st.Owners != 1 || st.Tenants != 1 || st.Opened != 1 {
		t.Errorf("stats: %+v", st)
	}
}

func TestRefIsShortStableAndNotTheID(t *testing.T) {
	a, b := ID("rs_aaaaaaaaaaaaaaaaaaaaaaaaaa"), ID("rs_aaaaaaaaaaaaaaaaaaaaaaaaab")
	// printf rs_aaaaaaaaaaaaaaaaaaaaaaaaaa | sha256sum | cut -c1-16
	if got, want := a.Ref(), "dadcabcaa2e452c7"; got != want {
		t.Errorf("ref %q, want %q", got, want)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("opened", "session", a)
	if strings.Contains(log.String(), string(a)) || !strings.Contains(log.String(), a.Ref()) {
		t.Errorf("logged %q: want the reference, not the id", log.String())
	}
	if a.Ref() == b.Ref() {
		t.Error("two ids have one ref")
	}
}

// The four ways for a session not to be there give the same bytes, on every
// verb, so that nobody can probe for other people's ids.
func TestMissesAreEqual(t *testing.T) {
	d := New(Config{}, nil)
	foreign := mustIdle(t, d, bob, Params{})
	deleted := mustIdle(t, d, alice, Params{})
	if err := d.Delete(t.Context(), alice, deleted); err != nil {
		t.Fatal(err)
	}
	expired := mustIdle(t, d, alice, Params{IdleTTL: time.Nanosecond})
	const want = "Session not found or expired. Create a new one with session_create."
	tenantTwin := Owner{"globex", bob.Issuer, bob.Subject}
	issuerTwin := Owner{bob.Tenant, "https://other.example", bob.Subject}
	for _, c := range []struct {
		name string
		o    Owner
		id   ID
	}{
		{"unknown", alice, newID("rs_")},
		{"expired", alice, expired},
		{"deleted", alice, deleted},
		{"foreign", alice, foreign},
		{"foreign, same subject in another tenant", tenantTwin, foreign},
		{"foreign, same subject of another issuer", issuerTwin, foreign},
		{"empty id", alice, ""},
		{"no owner", Owner{}, foreign},
		{"a reference", bob, ID(foreign.Ref())},
	} {
		_, acquire := d.Acquire(t.Context(), c.o, c.id)
		remove := d.Delete(t.Context(), c.o, c.id)
		for verb, err := range map[string]error{"acquire": acquire, "delete": remove} {
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || err != errMiss || f.Kind != fault.NotFound || f.MachineCode() != "session_unavailable" || f.Public != want || err.Error() != want || f.Err != nil {
				t.Errorf("%s of %s: %#v, want the one miss", verb, c.name, err)
			}
		}
	}
	mustAcquire(t, d, bob, foreign).Release() // nothing of this harmed it
	checkInvariants(t, d)
}

func TestOpenRefusesWishesAboveTheCeiling(t *testing.T) {
	d := New(Config{IdleTTL: time.Hour, MaxTTL: 2 * time.Hour}, nil)
	many := map[string]string{}
	for i := range MaxLabels + 1 {
		many[fmt.Sprint(i)] = ""
	}
	for _, c := range []struct {
		name string
		p    Params
		says string
	}{
		{"idle TTL", Params{IdleTTL: time.Hour + 1}, "1h0m0s"},
		{"absolute TTL", Params{MaxTTL: 3 * time.Hour}, "2h0m0s"},
		{"negative TTL", Params{IdleTTL: -1}, "at most 1h0m0s"},
		{"long name", Params{Name: strings.Repeat("x", MaxName+1)}, "at most 128"},
		{"bad name", Params{Name: "\xff"}, "UTF-8"},
		{"many labels", Params{Labels: many}, "at most 16"},
		{"empty label", Params{Labels: map[string]string{"": "x"}}, "1 to 64"},
		{"long label", Params{Labels: map[string]string{"k": strings.Repeat("x", MaxLabelText+1)}}, "at most 256"},
	} {
		_, err := d.Open(t.Context(), alice, c.p)
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want Invalid that names %q", c.name, err, c.says)
		}
	}
	if _, err := d.Open(t.Context(), Owner{Tenant: "acme"}, Params{}); err == nil {
		t.Error("opened a session for nobody")
	}
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Open(canceled, alice, Params{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open with an ended context: %v", err)
	}
	checkInvariants(t, d)
	if n := d.Stats().Sessions; n != 0 {
		t.Errorf("%d sessions after refusals, want 0", n)
	}
	h := mustOpen(t, d, alice, Params{Client: Client{Name: strings.Repeat("é", 100)}})
	if got := h.Info().Client.Name; got != strings.Repeat("é", 64) {
		t.Errorf("client name cut to %d bytes %q, want 64 whole characters", len(got), got)
	}
	h.Release()
}

func TestListIsOwnNewestFirstAndNoUse(t *testing.T) {
	d := New(Config{}, nil)
	var want []ID
	for range 5 {
		want = append(want, mustIdle(t, d, alice, Params{}))
		mustIdle(t, d, bob, Params{})
	}
	mustAcquire(t, d, alice, want[0]).Release() // use does not reorder
	slices.Reverse(want)
	var got []ID
	for _, i := range d.List(alice) {
		got = append(got, i.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("list: %v, want %v", got, want)
	}
	if l := d.List(Owner{"acme", "", "alice"}); len(l) != 0 {
		t.Errorf("somebody else's list: %v", l)
	}
	busy := mustAcquire(t, d, alice, want[0])
	if err := d.Delete(t.Context(), alice, want[0]); err != nil {
		t.Fatal(err)
	}
	if has(d, alice, want[0]) {
		t.Error("a draining session is listed for its owner")
	}
	states := map[State]int{}
	for i := range d.All() {
		states[i.State]++
		d.List(alice) // no lock is held here: this must not deadlock
	}
	if want := map[State]int{StateIdle: 9, StateDraining: 1}; !maps.Equal(states, want) {
		t.Errorf("states of all: %v, want %v", states, want)
	}
	busy.Release()
	for range d.All() {
		break
	}
	checkInvariants(t, d)
}

func TestEndRef(t *testing.T) {
	d := New(Config{}, nil)
	idle := mustIdle(t, d, alice, Params{})
	busy := mustOpen(t, d, bob, Params{})
	for _, id := range []ID{idle, busy.ID()} {
		if err := d.EndRef(t.Context(), id.Ref(), ReasonOperator); err != nil {
			t.Errorf("end %s: %v", id.Ref(), err)
		}
	}
	var why *Ended
	if err := context.Cause(busy.Context()); !errors.As(err, &why) || why.Reason != ReasonOperator {
		t.Errorf("cause of the context: %v, want that an operator ended it", err)
	}
	if err := d.EndRef(t.Context(), busy.ID().Ref(), ReasonOperator); err != nil {
		t.Errorf("end a draining session: %v", err)
	}
	busy.Release()
	for _, ref := range []string{idle.Ref(), busy.ID().Ref(), "", string(idle)} {
		if err := d.EndRef(t.Context(), ref, ReasonOperator); fault.KindOf(err) != fault.NotFound {
			t.Errorf("end what is not there: %v, want NotFound", err)
		}
	}
	if got := d.Stats().Ended[ReasonOperator]; got != 2 {
		t.Errorf("%d ended by an operator, want 2", got)
	}
	checkInvariants(t, d)
}

func TestEvents(t *testing.T) {
	var bus event.Bus[Event]
	d := New(Config{MaxPerOwner: 1}, &bus)
	mustIdle(t, d, bob, Params{}) // nobody listens yet
	seq := bus.Subscribe(t.Context())
	first := mustIdle(t, d, alice, Params{Name: "one"})
	h := mustOpen(t, d, alice, Params{Name: "two"}) // evicts the first
	h.SetClient(Client{Name: "ide"})
	h.SetClient(Client{Name: "ide"}) // no change, no event
	if err := d.Delete(t.Context(), alice, h.ID()); err != nil {
		t.Fatal(err)
	}
	h.Release()
	type line struct {
		kind  EventKind
		name  string
		state State
		why   Reason
	}
	want := []line{
		{EventOpened, "one", StateOpening, ""},
		{EventEnded, "one", StateEnded, ReasonOwnerCap},
		{EventOpened, "two", StateOpening, ""},
		{EventChanged, "two", StateActive, ""},
		{EventChanged, "two", StateDraining, ReasonDeleted},
		{EventEnded, "two", StateEnded, ReasonDeleted},
	}
	var got []line
	for e := range seq {
		if e.At.IsZero() || e.Info.Owner != alice || e.Info.Ref == "" {
			t.Errorf("event without a time, owner or reference: %+v", e)
		}
		got = append(got, line{e.Kind, e.Info.Name, e.Info.State, e.Reason})
		if len(got) == len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("events:\n%v\nwant\n%v", got, want)
	}
	if has(d, alice, first) {
		t.Error("the evicted session is still there")
	}
}

func TestIDsAreNotReused(t *testing.T) {
	d := New(Config{MaxPerOwner: 2}, nil)
	seen := map[ID]bool{}
	for range 2000 {
		id := mustIdle(t, d, alice, Params{})
		if seen[id] {
			t.Fatalf("id %s twice", id)
		}
		seen[id] = true
	}
	a, b := NewObjectID("tree"), NewObjectID("tree_")
	if a == b || !strings.HasPrefix(a, "tree_") || !strings.HasPrefix(b, "tree_") || len(a) != len("tree_")+26 || len(b) != len(a) {
		t.Errorf("object ids %q and %q", a, b)
	}
}

func TestConfigValidate(t *testing.T) {
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("zero config: %v", err)
	}
	for _, c := range []Config{
		{MaxTotal: 4}, {MaxPerTenant: 4}, {MaxPerOwner: 1 << 20}, {MaxTTL: time.Minute}, {IdleTTL: 100 * time.Hour},
	} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v: one field alone must be enough", c, err)
		}
	}
	bad := Config{
		Prefix: "RS", IdleTTL: time.Hour, MaxTTL: time.Minute, MaxPerOwner: 10, MaxPerTenant: 5, MaxTotal: 3,
		MaxBytes: -1, Shards: -1, SweepEvery: -1,
	}
	err := bad.Validate()
	for _, field := range []string{"prefix", "max_ttl", "max_per_tenant", "max_total", "max_bytes", "shards", "sweep_every"} {
		if err == nil || !strings.Contains(err.Error(), "sessions: "+field+" is ") {
			t.Errorf("%v: want it to name %s", err, field)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("New took an invalid config")
		}
	}()
	New(bad, nil)
}
