package identity_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func newDenyList(t *testing.T, configured []identity.Denial, store identity.DenyStore) *identity.DenyList {
	t.Helper()
	l, err := identity.NewDenyList(t.Context(), configured, store)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDenies(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	p := &identity.Principal{Issuer: "i", Subject: "alice", TokenID: "t1", SessionID: "s1", IssuedAt: at}
	unnamed := &identity.Principal{Issuer: "i", Subject: "alice", TokenID: "t1", IssuedAt: at}
	undated := &identity.Principal{Issuer: "i", Subject: "alice"}
	for _, tt := range []struct {
		name                     string
		d                        identity.Denial
		named, unnamedP, undated bool
	}{
		{"the token", identity.Denial{Issuer: "i", TokenID: "t1"}, true, true, false},
		{"another token", identity.Denial{Issuer: "i", TokenID: "t2"}, false, false, false},
		{"the token of another issuer", identity.Denial{Issuer: "j", TokenID: "t1"}, false, false, false},
		{"the login", identity.Denial{Issuer: "i", SessionID: "s1"}, true, false, false},
		{"the subject", identity.Denial{Issuer: "i", Subject: "alice"}, true, true, true},
		{"another subject", identity.Denial{Issuer: "i", Subject: "Alice"}, false, false, false},
		{"the subject until then", identity.Denial{Issuer: "i", Subject: "alice", IssuedBefore: at}, true, true, true},
		{"the subject until a second before", identity.Denial{Issuer: "i", Subject: "alice", IssuedBefore: at.Add(-time.Second)}, false, false, true},
		{"the subject without login", identity.Denial{Issuer: "i", Subject: "alice", IssuedBefore: at, NoSession: true}, false, true, true},
		{"the issuer until then", identity.Denial{Issuer: "i", IssuedBefore: at}, true, true, true},
		{"the issuer until before", identity.Denial{Issuer: "i", IssuedBefore: at.Add(-time.Second)}, false, false, true},
	} {
		configured := newDenyList(t, []identity.Denial{tt.d}, nil)
		added := newDenyList(t, nil, nil)
		tt.d.Expires = time.Now().Add(time.Hour)
		if _, err := added.Add(t.Context(), tt.d); err != nil {
			t.Fatal(err)
		}
		for which, l := range map[string]*identity.DenyList{"configured": configured, "added": added} {
			if a, b, c := l.Denies(p), l.Denies(unnamed), l.Denies(undated); a != tt.named || b != tt.unnamedP || c != tt.undated {
				t.Errorf("%s, %s: %v %v %v, want %v %v %v", tt.name, which, a, b, c, tt.named, tt.unnamedP, tt.undated)
			}
		}
	}
}

func TestDenialsThatMakeNoSense(t *testing.T) {
	soon := time.Now().Add(time.Hour)
	for name, d := range map[string]identity.Denial{
		"nothing":               {Expires: soon},
		"no issuer":             {Subject: "a", Expires: soon},
		"a whole issuer":        {Issuer: "i", Expires: soon},
		"two things":            {Issuer: "i", Subject: "a", TokenID: "b", Expires: soon},
		"token until":           {Issuer: "i", TokenID: "b", IssuedBefore: soon, Expires: soon},
		"no session, no date":   {Issuer: "i", Subject: "a", NoSession: true, Expires: soon},
		"control character":     {Issuer: "i", Subject: "a\n", Expires: soon},
		"huge":                  {Issuer: "i", Subject: strings.Repeat("a", 513), Expires: soon},
		"without end":           {Issuer: "i", Subject: "a"},
		"over already":          {Issuer: "i", Subject: "a", Expires: time.Now().Add(-time.Second)},
		"longer than it should": {Issuer: "i", Subject: "a", Expires: time.Now().Add(400 * 24 * time.Hour)},
	} {
		l := newDenyList(t, nil, nil)
		if _, err := l.Add(t.Context(), d); fault.KindOf(err) != fault.Invalid || len(l.List()) != 0 {
			t.Errorf("%s: %v, list %v", name, err, l.List())
		}
	}
	if _, err := identity.NewDenyList(t.Context(), []identity.Denial{{Issuer: "i"}}, nil); err == nil {
		t.Error("a configured denial without object is taken")
	}
}

func TestDenialsEndAndMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newDenyList(t, []identity.Denial{{Issuer: "i", Subject: "root"}}, nil)
		p := &identity.Principal{Issuer: "i", Subject: "alice", IssuedAt: time.Now()}
		first := time.Now()
		a, err := l.Add(t.Context(), identity.Denial{Issuer: "i", Subject: "alice", IssuedBefore: first, Expires: first.Add(2 * time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Add(t.Context(), identity.Denial{Issuer: "i", Subject: "alice", IssuedBefore: first.Add(-time.Hour), Expires: first.Add(time.Hour)})
		if err != nil || b.ID != a.ID || !b.IssuedBefore.Equal(first) || !b.Expires.Equal(a.Expires) {
			t.Errorf("merged %+v, %v; want what reaches farther", b, err)
		}
		if !l.Denies(p) || len(l.List()) != 2 {
			t.Errorf("denied %v, list %v", l.Denies(p), l.List())
		}
		time.Sleep(2 * time.Hour)
		if l.Denies(p) || len(l.List()) != 1 {
			t.Errorf("after its end: denied %v, list %v", l.Denies(p), l.List())
		}
		fixed := l.List()[0]
		if err := l.Remove(t.Context(), fixed.ID); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a configured one was removed: %v", err)
		}
		if err := l.Remove(t.Context(), "deny_0"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("an unknown one was removed: %v", err)
		}
	})
}

func TestDenyListIsBounded(t *testing.T) {
	l := newDenyList(t, nil, nil)
	d := identity.Denial{Issuer: "i", Expires: time.Now().Add(time.Hour)}
	for i := range identity.MaxDenials {
		d.TokenID = fmt.Sprint(i)
		if _, err := l.Add(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	d.TokenID = "one more"
	if _, err := l.Add(t.Context(), d); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("one more: %v", err)
	}
	d.TokenID = "7"
	if _, err := l.Add(t.Context(), d); err != nil {
		t.Errorf("one that is there: %v", err)
	}
}

func TestDenyFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	file := filepath.Join(dir, "denied.jsonl")
	add := func(l *identity.DenyList, sub string) identity.Denial {
		t.Helper()
		d, err := l.Add(t.Context(), identity.Denial{Issuer: "i", Subject: sub, Reason: "a \"reason\"\u2028", Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	l := newDenyList(t, nil, identity.NewDenyFile(dir))
	alice, bob := add(l, "alice"), add(l, "bob")
	if err := l.Remove(t.Context(), bob.ID); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}

	// A crash in the middle of a line.
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"id":"deny_x","issu`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l = newDenyList(t, nil, identity.NewDenyFile(dir))
	if all := l.List(); len(all) != 1 || all[0].ID != alice.ID || all[0].Subject != "alice" {
		t.Errorf("read again: %+v", all)
	}
	add(l, "carol")
	for i := range 600 { // changes are not kept for ever
		d := add(l, fmt.Sprint("x", i%2))
		if err := l.Remove(t.Context(), d.ID); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() > 1<<20 {
		t.Errorf("the file grows: %v %v", info, err)
	}
	if n := len(newDenyList(t, nil, identity.NewDenyFile(dir)).List()); n != 2 {
		t.Errorf("%d are read again, want 2", n)
	}

	if err := os.WriteFile(file, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.NewDenyList(t.Context(), nil, identity.NewDenyFile(dir)); err == nil {
		t.Error("a damaged file is taken for an empty one")
	}
}

// brokenStore cannot keep anything.
type brokenStore struct{}

func (brokenStore) Load(context.Context) ([]identity.Denial, error) { return nil, nil }
func (brokenStore) Append(context.Context, identity.Denial, bool) error {
	return errors.New("no space")
}

func (brokenStore) Replace(context.Context, []identity.Denial) error { return errors.New("no space") }

func TestDenialIsInForceThoughItCannotBeKept(t *testing.T) {
	l := newDenyList(t, nil, brokenStore{})
	_, err := l.Add(t.Context(), identity.Denial{Issuer: "i", Subject: "alice", Expires: time.Now().Add(time.Hour)})
	if fault.KindOf(err) != fault.Unavailable || !l.Denies(&identity.Principal{Issuer: "i", Subject: "alice"}) {
		t.Errorf("%v", err)
	}
}

func TestDenyListParallel(t *testing.T) {
	l := newDenyList(t, nil, nil)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 200 {
				sub := fmt.Sprint(w, i)
				d, err := l.Add(t.Context(), identity.Denial{Issuer: "i", Subject: sub, Expires: time.Now().Add(time.Hour)})
				if err != nil || !l.Denies(&identity.Principal{Issuer: "i", Subject: sub}) {
					t.Errorf("%s: %v", sub, err)
				}
				if i%2 == 0 {
					if err := l.Remove(t.Context(), d.ID); err != nil {
						t.Error(err)
					}
				}
				_ = l.List()
			}
		})
	}
	wg.Wait()
	if n := len(l.List()); n != 400 {
		t.Errorf("%d are left, want 400", n)
	}
}
