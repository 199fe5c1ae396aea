package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

func noSharing(t *testing.T, s session.Store) {
	r := sample(alice, "rs_1")
	data := []byte(`{"n":1}`)
	change := session.Change{Record: r, Create: true, Put: []session.Cell{{Name: "a", Version: 1, Data: data}}}
	change.Record.Labels = map[string]string{"k": "v"}
	change.Record.Extra = json.RawMessage(`[1]`)
	o := object("job", alice, "1", "abc")
	save(t, s, change)
	put(t, s, o)
	spoil := func(b []byte) {
		for i := range b {
			b[i] = '#'
		}
	}
	spoil(data)
	spoil(change.Record.Extra)
	spoil(o.Data)
	change.Record.Labels["k"] = "changed"
	change.Put[0].Name = "changed"
	for range 2 {
		got, err := s.Load(t.Context(), r.Key)
		if err != nil || got.Labels["k"] != "v" || string(got.Extra) != `[1]` || len(got.Cells) != 1 ||
			got.Cells[0].Name != "a" || string(got.Cells[0].Data) != `{"n":1}` {
			t.Fatalf("what is stored follows what was passed in or returned: %+v, %v", got, err)
		}
		spoil(got.Extra)
		spoil(got.Cells[0].Data)
		got.Labels["k"] = "changed"
		for r, err := range s.Records(t.Context(), nil) {
			if err != nil {
				t.Fatal(err)
			}
			spoil(r.Extra)
			r.Labels["k"] = "changed"
		}
		stored, err := s.LoadObject(t.Context(), o.ObjectKey)
		if err != nil || !bytes.Equal(stored.Data, []byte("abc")) {
			t.Fatalf("a stored object follows what was passed in or returned: %q, %v", stored.Data, err)
		}
		spoil(stored.Data)
		for o := range s.Objects(t.Context(), "job", nil) {
			spoil(o.Data)
		}
	}
}

// operations calls every method once with ctx.
func operations(ctx context.Context, s session.Store) map[string]error {
	r := sample(alice, "rs_new")
	o := object("job", alice, "new", "x")
	all := map[string]error{
		"save":          s.Save(ctx, session.Change{Record: r, Create: true}),
		"touch":         s.Touch(ctx, session.Use{Key: sample(alice, "rs_1").Key, LastUsed: epoch.Add(time.Hour), Calls: 99}),
		"delete":        s.Delete(ctx, sample(alice, "rs_1").Key),
		"put object":    s.PutObject(ctx, o),
		"delete object": s.DeleteObject(ctx, object("job", alice, "1", "").ObjectKey),
	}
	_, all["load"] = s.Load(ctx, sample(alice, "rs_1").Key)
	_, all["load object"] = s.LoadObject(ctx, object("job", alice, "1", "").ObjectKey)
	_, _, all["expired"] = s.Expired(ctx, epoch, 1)
	_, all["usage"] = s.Usage(ctx)
	n := 0
	for _, err := range s.Records(ctx, nil) {
		all["records"] = err
		n++
	}
	for _, err := range s.Objects(ctx, "job", nil) {
		all["objects"] = err
		n++
	}
	if n != 2 {
		all["lists"] = nil // an error ends a list, and there is one
	}
	return all
}

func endedContext(t *testing.T, s session.Store) {
	r := sample(alice, "rs_1")
	save(t, s, session.Change{Record: r, Create: true})
	put(t, s, object("job", alice, "1", "x"), object("job", alice, "2", "x"))
	for name, err := range operations(canceled(t), s) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s with a canceled context: %v", name, err)
		}
	}
	checkSnapshot(t, s, r.Key, session.Snapshot{Record: r})
	if u, err := s.Usage(t.Context()); err != nil || u.Sessions != 1 || u.Objects != 2 {
		t.Errorf("usage after refused calls: %+v, %v", u, err)
	}
	// In the middle of a list the rest may come or not, but an end is an error.
	var changes []session.Change
	for i := range 600 {
		changes = append(changes, session.Change{Record: sample(bob, fmt.Sprint("rs_", i)), Create: true})
	}
	save(t, s, changes...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	var last error
	for _, err := range s.Records(ctx, nil) {
		cancel()
		n++
		last = err
	}
	if n < 601 && !errors.Is(last, context.Canceled) {
		t.Errorf("a list ended after %d of 601 with %v", n, last)
	}
}

func closed(t *testing.T, s session.Store) {
	save(t, s, session.Change{Record: sample(alice, "rs_1"), Create: true})
	if err := s.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	for name, err := range operations(t.Context(), s) {
		if err == nil || errors.Is(err, session.ErrNoRecord) {
			t.Errorf("%s after close: %v, want an error that says so", name, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
}
