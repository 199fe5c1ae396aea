package mcpserve

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// walk lists all pages and calls between after each.
func (p *peer) walk(between func(page int)) (uris []string) {
	p.w.t.Helper()
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		params := `{}`
		if cursor != "" {
			params = `{"cursor":"` + cursor + `"}`
		}
		var out resourceList
		p.ask("resources/list", params).into(p.w.t, &out)
		if len(out.Resources) > resourcePage || page > 50 {
			p.w.t.Fatalf("page %d has %d entries", page, len(out.Resources))
		}
		for _, r := range out.Resources {
			uris = append(uris, r.URI)
		}
		cursor = out.NextCursor
		between(page)
	}
	return uris
}

func TestListPages(t *testing.T) {
	w := demoWorld(t, demoTools())
	for _, p := range w.peers("alice") {
		me := session.Owner{Tenant: "t", Issuer: "i", Subject: p.who + p.rev}
		p.who = me.Subject
		if p.rev != rev2026 {
			p = w.legacy(p.who, rev202511)
		}
		open := func() session.ID {
			h, err := w.server.Sessions.Open(t.Context(), me, session.Params{})
			if err != nil {
				t.Fatal(err)
			}
			h.Release()
			return h.ID()
		}
		var ids []session.ID
		for range 230 {
			ids = append(ids, open())
		}
		quiet := p.walk(func(int) {})
		if want := len(w.server.fixed.entries) + 2*len(ids); len(quiet) != want {
			t.Fatalf("%d entries, want %d", len(quiet), want)
		}
		again := p.walk(func(int) {})
		if !slices.Equal(quiet, again) {
			t.Error("the order is not the same twice")
		}
		// Sessions come and go between the pages: every other one stays.
		uris := p.walk(func(page int) {
			for i := page * 40; i < page*40+40 && i < len(ids); i += 2 {
				if err := w.server.Sessions.Delete(t.Context(), me, ids[i]); err != nil {
					t.Fatal(err)
				}
				open()
			}
		})
		count := map[string]int{}
		for _, u := range uris {
			count[u]++
		}
		for i := 1; i < len(ids); i += 2 {
			if n := count[sessionURI(ids[i])]; n != 1 {
				t.Fatalf("session %d, which was there all the time, is listed %d times", i, n)
			}
		}
		for u, n := range count {
			if n != 1 {
				t.Errorf("%s is listed %d times", u, n)
			}
		}
	}
}

func TestCursorsAreBound(t *testing.T) {
	w := demoWorld(t, demoTools())
	for range 60 {
		h, err := w.server.Sessions.Open(t.Context(), session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}, session.Params{})
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
	alice := w.modern("alice")
	var page resourceList
	alice.ask("resources/list", `{}`).into(t, &page)
	good := page.NextCursor
	if good == "" {
		t.Fatal("one page")
	}
	flipped := []byte(good)
	flipped[len(flipped)/2] ^= 1
	want := ""
	for _, c := range []struct {
		name   string
		peer   *peer
		method string
		cursor string
	}{
		{"unknown", alice, "resources/list", `"abc"`},
		{"foreign", w.modern("mallory"), "resources/list", `"` + good + `"`},
		{"forged", alice, "resources/list", `"` + string(flipped) + `"`},
		{"cut", alice, "resources/list", `"` + good[:len(good)-4] + `"`},
		{"long", alice, "resources/list", `"` + strings.Repeat("A", 600) + `"`},
		{"no string", alice, "resources/list", `7`},
		{"empty", alice, "resources/list", `""`},
		{"of another method", alice, "prompts/list", `"` + good + `"`},
		{"of another method", alice, "resources/templates/list", `"` + good + `"`},
	} {
		a := c.peer.ask(c.method, `{"cursor":`+c.cursor+`}`)
		if got := fmt.Sprintf("%d %s", a.status, a.body); want == "" {
			want = got
		} else if got != want || a.code(t) != codeInvalidParams {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
	if a := alice.ask("resources/list", `{"cursor":"`+good+`"}`); a.code(t) != 0 {
		t.Errorf("the owner's own: %s", a.body)
	}
	if a := alice.ask("resources/list", `{"cursor":null}`); a.code(t) != 0 {
		t.Errorf("null is none: %s", a.body)
	}
}

// Lists and reads are answered while every turn on the CPU is taken.
func TestListsDoNotQueue(t *testing.T) {
	w := newWorld(t)
	p := w.modern("alice")
	for range 8 {
		p.hold(t.Context())
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, m := range []string{"resources/list", "resources/templates/list", "prompts/list"} {
			if a := p.ask(m, `{}`); a.status != 200 || a.code(t) != 0 {
				t.Errorf("%s: %s", m, a.body)
			}
		}
		if p.read("lyceum://operations") == "" {
			t.Error("nothing")
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("a list waits in the queue")
	}
	for range 8 {
		w.gates.leave <- struct{}{}
	}
}
