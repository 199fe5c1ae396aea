package session_test

import (
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/session/memstore"
)

// What a backup holds and the running directory lacks comes back; what is there,
// is over, or does not fit stays as it is.
func TestReadmit(t *testing.T) {
	type note struct {
		Text string `json:"text"`
	}
	notes := session.NewSlot[note]("note")
	alice := session.Owner{Tenant: "acme", Issuer: "i", Subject: "alice"}
	bob := session.Owner{Tenant: "acme", Issuer: "i", Subject: "bob"}
	ctx := t.Context()
	open := func(store session.Store, cfg session.Config) *session.Directory {
		t.Helper()
		d, _, err := session.Restore(ctx, cfg, store, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(d.Close)
		return d
	}
	fill := func(d *session.Directory, o session.Owner, text string) session.ID {
		t.Helper()
		h, err := d.Open(ctx, o, session.Params{Name: text, Durable: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Release()
		if err := notes.Update(ctx, h, func(n *note) error { n.Text = text; return nil }); err != nil {
			t.Fatal(err)
		}
		return h.ID()
	}
	read := func(d *session.Directory, o session.Owner, id session.ID) (string, error) {
		h, err := d.Acquire(ctx, o, id)
		if err != nil {
			return "", err
		}
		defer h.Release()
		n, _, err := notes.Read(h)
		return n.Text, err
	}

	backup := memstore.New()
	defer backup.Close()
	before := open(backup, session.Config{})
	kept, lost, his := fill(before, alice, "kept"), fill(before, alice, "lost"), fill(before, bob, "his")
	snapshot := func(o session.Owner, id session.ID) session.Snapshot {
		t.Helper()
		s, err := backup.Load(ctx, session.Key{Owner: o, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	store := memstore.New()
	defer store.Close()
	d := open(store, session.Config{MaxPerOwner: 2})
	bring := func(what string, want bool, s session.Snapshot) {
		t.Helper()
		if got, err := d.Readmit(ctx, s); err != nil || got != want {
			t.Errorf("%s: %t %v, want %t", what, got, err, want)
		}
	}
	bring("a session that is missing", true, snapshot(alice, kept))
	bring("one that is there", false, snapshot(alice, kept))
	bring("another one", true, snapshot(alice, lost))
	bring("another owner's", true, snapshot(bob, his))
	for id, text := range map[session.ID]string{kept: "kept", lost: "lost"} {
		if got, err := read(d, alice, id); err != nil || got != text {
			t.Errorf("%s: read %q %v", text, got, err)
		}
	}
	if _, err := read(d, bob, kept); fault.KindOf(err) != fault.NotFound {
		t.Errorf("somebody else's session: %v", err)
	}
	if usage := d.Usage(alice); usage.Sessions != 2 || usage.Bytes == 0 {
		t.Errorf("usage %+v", usage)
	}
	third := snapshot(alice, lost)
	third.ID = "rs_" + third.ID[len(third.ID)-26:]
	third.ID = third.ID[:len(third.ID)-1] + "a"
	bring("a third over the cap of two", false, third)
	if err := d.Delete(ctx, alice, lost); err != nil {
		t.Fatal(err)
	}
	over := snapshot(alice, lost)
	over.Expires, over.AgeAt = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	over.Created, over.LastUsed = over.AgeAt.Add(-time.Hour), over.AgeAt.Add(-time.Hour)
	bring("one whose time has passed", false, over)
	bring("one that was ended since", true, snapshot(alice, lost))

	// The next process finds it too, and it can be written.
	h, err := d.Acquire(ctx, alice, lost)
	if err != nil {
		t.Fatal(err)
	}
	if err := notes.Update(ctx, h, func(n *note) error { n.Text += " and found"; return nil }); err != nil {
		t.Fatal(err)
	}
	h.Release()
	d.Close()
	if got, err := read(open(store, session.Config{}), alice, lost); err != nil || got != "lost and found" {
		t.Errorf("in the next process: %q %v", got, err)
	}
	memory := session.New(session.Config{}, nil)
	defer memory.Close()
	if _, err := memory.Readmit(ctx, snapshot(alice, kept)); fault.KindOf(err) != fault.NotFound {
		t.Errorf("without a store: %v", err)
	}
}
