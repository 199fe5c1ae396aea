package sessions_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

var (
	alice  = session.Owner{Tenant: "acme", Issuer: "https://id.example", Subject: "alice"}
	notes  = session.NewSlot[map[string]string]("notes")
	trees  = session.NewSlot[map[string]any]("tree")
	chains = session.NewSlot[thought.Chain](thought.SlotName)
)

func open(t *testing.T) (*session.Directory, session.ID) {
	t.Helper()
	d := session.New(session.Config{}, nil)
	h, err := d.Open(t.Context(), alice, session.Params{Name: "plans", Labels: map[string]string{"team": "blue"}, Client: session.Client{Name: "ide", Version: "2"}})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	return d, h.ID()
}

// with runs fn in one call on the session.
func with(t *testing.T, d *session.Directory, id session.ID, fn func(*session.Handle)) {
	t.Helper()
	h, err := d.Acquire(t.Context(), alice, id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Release()
	fn(h)
}

// call invokes a tool and decodes its result.
func call[Out any](t *testing.T, d *session.Directory, id session.ID, tool tools.Tool, parameters string) (out Out, e *tools.Envelope, err error) {
	t.Helper()
	with(t, d, id, func(h *session.Handle) {
		c := &tools.Call{Session: h}
		var result json.RawMessage
		result, err = tool.Invoke(t.Context(), c, json.RawMessage(parameters))
		e = c.Envelope(tool.Spec(), result, err)
		if err == nil {
			if err := json.Unmarshal(result, &out); err != nil {
				t.Fatal(err)
			}
		}
	})
	return out, e, err
}

func set[T any](t *testing.T, h *session.Handle, slot session.Slot[T], v T) {
	t.Helper()
	if err := slot.Update(t.Context(), h, func(p *T) error { *p = v; return nil }); err != nil {
		t.Fatal(err)
	}
}

// fillSession writes a few objects of several kinds.
func fillSession(t *testing.T, h *session.Handle) {
	t.Helper()
	set(t, h, notes, map[string]string{"a": "x < y & z", "b": "ünï\u2028code 🎈"})
	for i := range 3 {
		set(t, h, trees.Key(fmt.Sprint("tree_", i)), map[string]any{"n": i, "f": 1.5e-9})
	}
	var c thought.Chain
	if _, err := c.Add(thought.Draft{Text: "one", At: time.Unix(1_700_000_000, 0)}); err != nil {
		t.Fatal(err)
	}
	set(t, h, chains, c)
}

func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, id := open(t)
		with(t, d, id, func(h *session.Handle) { fillSession(t, h) })
		with(t, d, id, func(h *session.Handle) { h.Fail() })
		time.Sleep(5 * time.Minute)
		out, e, err := call[sessions.InfoOutput](t, d, id, sessions.Info, `{}`)
		if err != nil {
			t.Fatal(err)
		}
		if out.SessionID != string(id) || out.Ref != id.Ref() || out.Name != "plans" || out.Labels["team"] != "blue" || out.Client.Name != "ide" {
			t.Errorf("names: %+v", out)
		}
		if out.AgeSeconds != 300 || out.IdleSeconds != 300 || out.ExpiresInSeconds != session.DefaultIdleTTL.Seconds() {
			t.Errorf("times: age %v, idle %v, expires in %v", out.AgeSeconds, out.IdleSeconds, out.ExpiresInSeconds)
		}
		if out.TotalOperations != 3 || out.FailedOperations != 1 || out.InFlight != 1 || !out.IsActive || out.Version != 5 || out.Bytes == 0 {
			t.Errorf("counts: %+v", out)
		}
		if out.ThoughtCount != 1 || out.RemainingThoughts != thought.MaxThoughts-1 {
			t.Errorf("thoughts: %d, %d left", out.ThoughtCount, out.RemainingThoughts)
		}
		if s := out.Stores["tree"]; len(out.Stores) != 3 || s.Objects != 3 || !slices.Equal(s.IDs, []string{"tree_0", "tree_1", "tree_2"}) || s.Bytes == 0 {
			t.Errorf("stores: %+v", out.Stores)
		}
		if e.Version == nil || *e.Version != 5 {
			t.Error("looking changed the session")
		}
	})
}

func TestInfoOfAnEmptySession(t *testing.T) {
	d, id := open(t)
	out, _, err := call[sessions.InfoOutput](t, d, id, sessions.Info, ``)
	if err != nil || out.Version != 0 || out.Stores == nil || len(out.Stores) != 0 || out.ThoughtCount != 0 {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestExportIsComplete(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) { fillSession(t, h) })
	out, e, err := call[sessions.ExportOutput](t, d, id, sessions.Export, `{}`)
	if err != nil {
		t.Fatal(err)
	}
	if out.Schema != "lyceum.session/1" || !out.Page.Complete || out.Page.NextCursor != "" || len(out.Fragments) != 0 || len(e.Warnings) != 0 {
		t.Errorf("got %+v, warnings %v", out, e.Warnings)
	}
	if h := out.Session; h.Name != "plans" || h.SlotCount != 5 || h.Version != 5 || h.Created.IsZero() || h.Bytes != out.Page.Bytes {
		t.Errorf("header: %+v", h)
	}
	if raw, _ := json.Marshal(out); bytes.Contains(raw, []byte(id)) {
		t.Error("the export names the handle")
	}
	with(t, d, id, func(h *session.Handle) { same(t, h.Export(), out.Slots) })
	again, _, err := call[sessions.ExportOutput](t, d, id, sessions.Export, `{}`)
	if err != nil || again.Digest != out.Digest {
		t.Errorf("two exports of one state have the digests %s and %s (%v)", out.Digest, again.Digest, err)
	}
	with(t, d, id, func(h *session.Handle) { set(t, h, notes, map[string]string{"a": "other"}) })
	if again, _, _ = call[sessions.ExportOutput](t, d, id, sessions.Export, `{}`); again.Digest == out.Digest {
		t.Error("the digest did not change with the state")
	}
}

// same compares slots as JSON values.
func same(t *testing.T, want, got map[string]json.RawMessage) {
	t.Helper()
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("slots %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for name := range want {
		var a, b bytes.Buffer
		if err := errors.Join(json.Compact(&a, want[name]), json.Compact(&b, got[name])); err != nil {
			t.Fatal(err)
		}
		if a.String() != b.String() {
			t.Errorf("slot %s is %.200s, want %.200s", name, b.String(), a.String())
		}
	}
}

// collect follows the cursors to the end and puts the state together.
func collect(t *testing.T, d *session.Directory, id session.ID, maxBytes int) (slots map[string]json.RawMessage, pages int, digest string) {
	t.Helper()
	slots = map[string]json.RawMessage{}
	parts := map[string]string{}
	cursor := ""
	for {
		out, e, err := call[sessions.ExportOutput](t, d, id, sessions.Export, fmt.Sprintf(`{"maxBytes":%d,"cursor":%q}`, maxBytes, cursor))
		if err != nil {
			t.Fatal(err)
		}
		if pages++; pages > 10_000 {
			t.Fatal("the pages have no end")
		}
		if out.Page.Bytes > maxBytes || out.Page.Bytes == 0 {
			t.Fatalf("page %d has %d bytes of at most %d", pages, out.Page.Bytes, maxBytes)
		}
		if digest != "" && out.Digest != digest {
			t.Fatalf("page %d has another digest", pages)
		}
		digest = out.Digest
		maps.Copy(slots, out.Slots)
		for _, f := range out.Fragments {
			if len(parts[f.Slot]) != f.Offset {
				t.Fatalf("a fragment of %s begins at %d, want %d", f.Slot, f.Offset, len(parts[f.Slot]))
			}
			if parts[f.Slot] += f.Text; len(parts[f.Slot]) == f.Total {
				slots[f.Slot] = json.RawMessage(parts[f.Slot])
			}
		}
		if cursor = out.Page.NextCursor; cursor == "" {
			return slots, pages, digest
		}
		if len(e.Warnings) != 1 || e.Warnings[0].Code != "paged" || len(e.Next) != 1 || e.Next[0].Parameters["cursor"] != cursor || out.Page.Complete {
			t.Fatalf("page %d does not say that it is a part: %+v, %+v", pages, e.Warnings, e.Next)
		}
	}
}

func TestExportInPages(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) {
		fillSession(t, h)
		set(t, h, notes, map[string]string{"long": strings.Repeat("Größe 🎈 \"x\" ", 1000)})
		for i := range 20 {
			set(t, h, trees.Key(fmt.Sprintf("big_%02d", i)), map[string]any{"text": strings.Repeat("t", 100*i)})
		}
	})
	whole, pages, digest := collect(t, d, id, 1<<20)
	if pages != 1 {
		t.Errorf("%d pages where one is enough", pages)
	}
	for _, maxBytes := range []int{1024, 1500, 4096, 20_000} {
		parts, pages, got := collect(t, d, id, maxBytes)
		if pages < 2 || got != digest {
			t.Errorf("%d bytes: %d pages, digest %s, want %s", maxBytes, pages, got, digest)
		}
		same(t, whole, parts)
	}
}

func TestExportOfAnEmptySession(t *testing.T) {
	d, id := open(t)
	out, _, err := call[sessions.ExportOutput](t, d, id, sessions.Export, `{}`)
	// SHA-256 of "{}".
	const empty = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	if err != nil || !out.Page.Complete || out.Slots == nil || out.Digest != empty {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestExportWhileTheSessionChanges(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) {
		set(t, h, notes, map[string]string{"long": strings.Repeat("x", 5000)})
	})
	out, _, err := call[sessions.ExportOutput](t, d, id, sessions.Export, `{"maxBytes":1024}`)
	if err != nil {
		t.Fatal(err)
	}
	with(t, d, id, func(h *session.Handle) { set(t, h, trees.Key("tree_1"), map[string]any{}) })
	_, e, err := call[sessions.ExportOutput](t, d, id, sessions.Export, fmt.Sprintf(`{"maxBytes":1024,"cursor":%q}`, out.Page.NextCursor))
	if fault.KindOf(err) != fault.Conflict || e.Error.Code != "version_conflict" || !strings.Contains(e.Error.Message, "without cursor") {
		t.Errorf("got %v", err)
	}
}

func TestBadCursors(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) { set(t, h, notes, map[string]string{"a": "b"}) })
	for _, cursor := range []string{"x", "1.2", "1.9.0.d", "1.0.99999.d", "1.-1.0.d", "1.1.5.d", "1.0.0", "1.99999999999999999999.0.d"} {
		_, _, err := call[sessions.ExportOutput](t, d, id, sessions.Export, fmt.Sprintf(`{"cursor":%q}`, cursor))
		if _, ok := errors.AsType[*tools.BadArguments](err); !ok {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
	}
}

// TestForeignSession: what is exported is the caller's own session, because the
// handle is; another owner gets no handle of it.
func TestForeignSession(t *testing.T) {
	d, id := open(t)
	mallory := alice
	mallory.Tenant = "evil"
	if _, err := d.Acquire(context.Background(), mallory, id); fault.KindOf(err) != fault.NotFound {
		t.Errorf("got %v", err)
	}
}

func TestExamples(t *testing.T) {
	r, err := tools.NewRegistry(sessions.Info, sessions.Export, sessions.NewImport())
	if err != nil {
		t.Fatal(err)
	}
	f := tools.NewFacade(r)
	d, id := open(t)
	for _, tool := range r.All() {
		for _, e := range tool.Spec().Examples {
			q, err := f.Decode(json.RawMessage(e.Arguments))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := call[json.RawMessage](t, d, id, q.Tool, string(q.Parameters)); err != nil {
				t.Errorf("%s: %v", e.Title, err)
			}
		}
	}
}
