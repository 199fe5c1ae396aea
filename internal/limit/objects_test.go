package limit

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/filestore"
	"github.com/lyceum-mcp/lyceum/session/memstore"
)

// sessionObjects is how a session store keeps quotas: as objects of a kind of
// their own.
type sessionObjects struct{ session.Store }

func sessionKey(k ObjectKey) session.ObjectKey {
	return session.ObjectKey{Kind: "quota", Owner: session.Owner{Tenant: k.Tenant, Issuer: k.Issuer, Subject: k.Subject}, ID: k.ID}
}

func (s sessionObjects) LoadObject(ctx context.Context, k ObjectKey) ([]byte, bool, error) {
	o, err := s.Store.LoadObject(ctx, sessionKey(k))
	if errors.Is(err, session.ErrNoRecord) {
		return nil, false, nil
	}
	return o.Data, err == nil, err
}

func (s sessionObjects) PutObject(ctx context.Context, objects ...Object) error {
	all := make([]session.Object, len(objects))
	for i, o := range objects {
		all[i] = session.Object{ObjectKey: sessionKey(o.ObjectKey), Expires: o.Expires, Data: o.Data}
	}
	return s.Store.PutObject(ctx, all...)
}

// TestSources runs one suite over every source.
func TestSources(t *testing.T) {
	dir := t.TempDir()
	open := func(t *testing.T) *filestore.Store {
		t.Helper()
		s, err := filestore.Open(t.Context(), filestore.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	file := open(t)
	memory := memstore.New()
	defer memory.Close()
	for name, source := range map[string]Source{
		"memory": NewMemory(), "objects in memory": NewObjectSource(sessionObjects{memory}), "objects in a file": NewObjectSource(sessionObjects{file}),
	} {
		t.Run(name, func(t *testing.T) { testSource(t, source) })
	}

	// A whole limiter over the file, and another process after it.
	c := daily(10, 4)
	l := limiter(t, c, NewObjectSource(sessionObjects{file}))
	for range 6 {
		take(t, l, call("a", "k", "op"))
	}
	if err := errors.Join(l.Close(t.Context()), file.Close()); err != nil {
		t.Fatal(err)
	}
	file = open(t)
	l = limiter(t, c, NewObjectSource(sessionObjects{file}))
	allowed := 0
	for take(t, l, call("a", "k", "op")) == "" {
		allowed++
	}
	if allowed != 4 {
		t.Errorf("the next process allowed %d, want the rest of 10, 4", allowed)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

func testSource(t *testing.T, s Source) {
	day := dayOf(time.Now())
	keys := []Key{
		{"q", "t", "", "", day},
		{"q", "t", "i", "s", day},
		{"q", "t", "i", "s", day + 1},
		{"q", "t", "i", "s2", day},
		{"q", "t2", "i", "s", day},
		{"q2", "t", "i", "s", day},
	}
	get := func(k Key) int64 {
		t.Helper()
		used, err := s.Load(t.Context(), k)
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	var all []Record
	for i, k := range keys {
		if got := get(k); got != 0 {
			t.Errorf("%+v has %d before anything was saved", k, got)
		}
		all = append(all, Record{Key: k, Used: int64(i + 1), Expires: k.Start().Add(72 * time.Hour)})
	}
	if err := s.Save(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	for i, k := range keys {
		if got := get(k); got != int64(i+1) {
			t.Errorf("%+v has %d, want %d", k, got, i+1)
		}
	}
	all[1].Used = 77
	if err := s.Save(t.Context(), all[1:2]); err != nil || get(keys[1]) != 77 || get(keys[0]) != 1 {
		t.Errorf("replaced: %v, %d, %d", err, get(keys[1]), get(keys[0]))
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Save(over, all); err == nil {
		t.Error("saved after the end of the context")
	}
}

func TestMemoryForgets(t *testing.T) {
	m := NewMemory()
	old := Record{Key: Key{Quota: "q", Day: 1}, Used: 5, Expires: time.Now().Add(-time.Hour)}
	if err := m.Save(t.Context(), []Record{old}); err != nil {
		t.Fatal(err)
	}
	if len(m.records) != 0 {
		t.Errorf("what is over was kept: %v", m.records)
	}
}

// TestDamagedRecord: what cannot be read is no quota that nobody used.
func TestDamagedRecord(t *testing.T) {
	store := memstore.New()
	defer store.Close()
	objects := sessionObjects{store}
	k := Key{Quota: "day", Tenant: "acme", Issuer: "i", Subject: "a", Day: dayOf(time.Now())}
	for _, data := range []string{"", "{", `{"v":2,"used":1}`, `{"used":1}`, `{"v":1,"used":-1}`, `{"v":1,"used":"x"}`} {
		if err := objects.PutObject(t.Context(), Object{ObjectKey: objectKey(k), Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		if _, err := NewObjectSource(objects).Load(t.Context(), k); err == nil || !strings.Contains(err.Error(), "quota day.") {
			t.Errorf("%s: %v", data, err)
		}
	}
	l := limiter(t, Config{Quotas: []Quota{{Name: "day", Per: PerOwner, Amount: 5}}}, NewObjectSource(objects))
	if _, d := l.Charge(t.Context(), call("a", "k", "op")); d.Allowed || d.Fault().Code != "quota_unavailable" {
		t.Errorf("%+v", d)
	}
}
