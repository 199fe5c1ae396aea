package session_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// The tests of this file show that defects of Lyceum's ancestor cannot come
// back. docs/defects.md lists all of them, with those that are tested elsewhere.

var (
	ann  = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "ann"}
	ben  = session.Owner{Tenant: "globex", Issuer: "https://id.example", Subject: "ben"}
	note = session.NewSlot[[]string]("note")
	tag  = session.NewSlot[string]("tag")
)

// disk is a directory over a file, with what an earlier one has left there.
type disk struct {
	*session.Directory
	t    *testing.T
	file *filestore.Store
	path string
}

func openDisk(t *testing.T, path string, cfg session.Config) *disk {
	t.Helper()
	file, err := filestore.Open(t.Context(), filestore.Config{Dir: path})
	if err != nil {
		t.Fatal(err)
	}
	dir, _, err := session.Restore(t.Context(), cfg, file, nil, nil)
	if err != nil {
		t.Fatal(errors.Join(err, file.Close()))
	}
	d := &disk{dir, t, file, path}
	t.Cleanup(d.close)
	return d
}

func (d *disk) close() {
	d.Close()
	if err := d.file.Close(); err != nil {
		d.t.Error(err)
	}
}

func (d *disk) again(cfg session.Config) *disk {
	d.t.Helper()
	d.close()
	return openDisk(d.t, d.path, cfg)
}

// begin opens a session with one note in it and lets go of it.
func (d *disk) begin(o session.Owner, p session.Params, text string) session.ID {
	d.t.Helper()
	h, err := d.Open(d.t.Context(), o, p)
	if err != nil {
		d.t.Fatal(err)
	}
	defer h.Release()
	if err := note.Update(d.t.Context(), h, func(all *[]string) error { *all = append(*all, text); return nil }); err != nil {
		d.t.Fatal(err)
	}
	return h.ID()
}

// notes returns what a session holds.
func (d *disk) notes(o session.Owner, id session.ID) []string {
	d.t.Helper()
	h, err := d.Acquire(d.t.Context(), o, id)
	if err != nil {
		d.t.Fatal(err)
	}
	defer h.Release()
	all, _, err := note.Read(h)
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

func TestD26ACallCostsTheSameBesideManySessions(t *testing.T) {
	allocs := func(beside int) float64 {
		d := session.New(session.Config{MaxPerOwner: beside + 1}, nil)
		h, err := d.Open(t.Context(), ann, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
		for range beside {
			other, err := d.Open(t.Context(), ann, session.Params{})
			if err != nil {
				t.Fatal(err)
			}
			other.Release()
		}
		return testing.AllocsPerRun(200, func() {
			got, err := d.Acquire(t.Context(), ann, h.ID())
			if err != nil {
				t.Fatal(err)
			}
			got.Release()
		})
	}
	if few, many := allocs(10), allocs(10_000); many > few {
		t.Errorf("a call allocates %v times beside 10 sessions and %v times beside 10,000", few, many)
	}
}

func TestD27ASessionHasNoTimerAndNoGoroutine(t *testing.T) {
	d := session.New(session.Config{MaxPerOwner: 1500, IdleTTL: time.Hour}, nil)
	before := runtime.NumGoroutine()
	for range 1500 {
		h, err := d.Open(t.Context(), ann, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
	if after := runtime.NumGoroutine(); after > before {
		t.Errorf("%d goroutines with 1,500 idle sessions, %d without", after, before)
	}
}

func TestD30AnExpiredSessionEndsAsAWholeAndIsNotRevivedEmpty(t *testing.T) {
	d := openDisk(t, t.TempDir(), session.Config{})
	h, err := d.Open(t.Context(), ann, session.Params{IdleTTL: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan session.Reason, 1)
	h.OnEnd(func(why session.Reason) { ended <- why })
	for i := range 5 {
		if err := tag.Key(fmt.Sprint(i)).Update(t.Context(), h, func(s *string) error { *s = "x"; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	h.Release()
	for deadline := time.Now().Add(10 * time.Second); len(ended) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("it does not expire")
		}
		if len(d.List(ann)) == 0 { // looking at the list keeps nothing alive
			break
		}
		runtime.Gosched()
	}
	for range 2 {
		if h, err := d.Acquire(t.Context(), ann, h.ID()); fault.KindOf(err) != fault.NotFound {
			t.Errorf("after its end: %v, %v", h, err)
		}
	}
	if why := <-ended; why != session.ReasonIdle {
		t.Errorf("it ended by %s", why)
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := d.Stats(); st.Sessions != 0 || st.Bytes != 0 {
		t.Errorf("what is left: %+v", st)
	}
	if r, err := d.file.Check(t.Context()); err != nil || !r.Clean() || r.Sessions != 0 || r.Cells != 0 {
		t.Errorf("what is left in the file: %+v, %v", r, err)
	}
}

func TestD34EverySlotCountsAgainstTheRoomOfItsSession(t *testing.T) {
	d := session.New(session.Config{MaxBytes: 10_000}, nil)
	h, err := d.Open(t.Context(), ann, session.Params{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	n := 0
	for ; n < 100 && err == nil; n++ {
		err = tag.Key(fmt.Sprint(n)).Update(t.Context(), h, func(s *string) error { *s = strings.Repeat("x", 1000); return nil })
	}
	if fault.KindOf(err) != fault.TooLarge || n < 2 || n > 10 {
		t.Errorf("slot %d of 1,000 bytes in 10,000: %v", n, err)
	}
	if err := note.Update(t.Context(), h, func(all *[]string) error { *all = []string{strings.Repeat("x", 2000)}; return nil }); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("a slot of another kind: %v", err)
	}
	if got := d.Stats().Bytes; got > 10_000 {
		t.Errorf("%d bytes are held", got)
	}
}

func TestD36OwnersNeverOverwriteEachOther(t *testing.T) {
	d := openDisk(t, t.TempDir(), session.Config{})
	a, b := d.begin(ann, session.Params{Name: "plan"}, "of ann"), d.begin(ben, session.Params{Name: "plan"}, "of ben")
	d = d.again(session.Config{})
	if got := d.notes(ann, a); !slices.Equal(got, []string{"of ann"}) {
		t.Errorf("ann has %q", got)
	}
	if got := d.notes(ben, b); !slices.Equal(got, []string{"of ben"}) {
		t.Errorf("ben has %q", got)
	}
	if _, err := d.Acquire(t.Context(), ben, a); fault.KindOf(err) != fault.NotFound {
		t.Errorf("ben acquires ann's session: %v", err)
	}
}

func TestD37ANewSessionIsEmptyWhateverTheFileHolds(t *testing.T) {
	d := openDisk(t, t.TempDir(), session.Config{})
	d.begin(ann, session.Params{}, "of ann")
	d.begin(ben, session.Params{}, "of ben")
	d = d.again(session.Config{})
	for _, o := range []session.Owner{ann, {Tenant: "new", Issuer: ann.Issuer, Subject: "eve"}} {
		h, err := d.Open(t.Context(), o, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		if got := h.Export(); len(got) != 0 {
			t.Errorf("the first export of %v holds %v", o, slices.Collect(maps.Keys(got)))
		}
		h.Release()
	}
}

func TestD38TheEndOfOneSessionLeavesTheOthersInTheFile(t *testing.T) {
	d := openDisk(t, t.TempDir(), session.Config{})
	gone := d.begin(ann, session.Params{}, "gone")
	short := d.begin(ann, session.Params{IdleTTL: time.Millisecond}, "expires")
	stay, other := d.begin(ann, session.Params{}, "stays"), d.begin(ben, session.Params{}, "stays too")
	if err := d.Delete(t.Context(), ann, gone); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if len(d.List(ann)) == 1 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not expire")
		}
	}
	if _, err := d.Acquire(t.Context(), ann, short); fault.KindOf(err) != fault.NotFound {
		t.Errorf("the expired one: %v", err)
	}
	if err := d.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, err := d.file.Usage(t.Context()); err != nil || u.Sessions != 2 {
		t.Errorf("the file has %+v, %v, want two sessions", u, err)
	}
	d = d.again(session.Config{})
	if got := append(d.notes(ann, stay), d.notes(ben, other)...); !slices.Equal(got, []string{"stays", "stays too"}) {
		t.Errorf("left are %q", got)
	}
}

func TestD40ARestoredSessionHasTheRoomThatItHad(t *testing.T) {
	cfg := session.Config{MaxBytes: 4000}
	d := openDisk(t, t.TempDir(), cfg)
	id := d.begin(ann, session.Params{}, strings.Repeat("x", 1000))
	for range 5 { // each restart would take its share if restored state counted twice
		bytes := d.Stats().Bytes
		d = d.again(cfg)
		if got := d.Stats().Bytes; got != bytes {
			t.Fatalf("%d bytes after the restart, %d before", got, bytes)
		}
	}
	h, err := d.Acquire(t.Context(), ann, id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	grow := func(n int) error {
		return note.Update(t.Context(), h, func(all *[]string) error { *all = append(*all, strings.Repeat("y", n)); return nil })
	}
	if err := grow(2000); err != nil {
		t.Errorf("within the room: %v", err)
	}
	if err := grow(2000); fault.KindOf(err) != fault.TooLarge {
		t.Errorf("beyond the room: %v", err)
	}
}

func TestD41NothingThatAClientNamesBecomesAPath(t *testing.T) {
	d := openDisk(t, t.TempDir(), session.Config{})
	evil := session.Owner{Tenant: "../../tenant", Issuer: "/etc", Subject: "../../../subject\x00"}
	id := d.begin(evil, session.Params{Name: "../../name", Labels: map[string]string{"../k": "../v"}}, "../../note")
	if _, err := d.Acquire(t.Context(), evil, "../../../etc/passwd"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("acquire by a path: %v", err)
	}
	if err := d.file.PutObject(t.Context(), session.Object{ObjectKey: session.ObjectKey{Kind: "job", Owner: evil, ID: "../../job"}, Data: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	d = d.again(session.Config{})
	if got := d.notes(evil, id); !slices.Equal(got, []string{"../../note"}) {
		t.Errorf("it holds %q", got)
	}
	entries, err := os.ReadDir(d.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasPrefix(e.Name(), "lyceum.") {
			t.Errorf("there is %s", e.Name())
		}
	}
}

func TestD42SessionsOpenedAtTheSameMomentHaveTheirOwnIDs(t *testing.T) {
	d := session.New(session.Config{MaxPerOwner: 2000}, nil)
	var mu sync.Mutex
	ids := map[session.ID]bool{}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				h, err := d.Open(t.Context(), ann, session.Params{})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				ids[h.ID()] = true
				mu.Unlock()
				h.Release()
			}
		})
	}
	wg.Wait()
	if len(ids) != 1000 {
		t.Errorf("1,000 sessions have %d ids", len(ids))
	}
}
