package mcpserve

import (
	"bytes"
	"encoding/base64"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

func TestParseURI(t *testing.T) {
	for text, want := range map[string]resourceURI{
		"lyceum://guide":                                         {kind: uriGuide},
		"lyceum://operations":                                    {kind: uriOperations},
		"lyceum://operations/mcts":                               {kind: uriOperation, name: "mcts"},
		"lyceum://operations/mcts/schema":                        {kind: uriSchema, name: "mcts"},
		"lyceum://operations/mcts/examples":                      {kind: uriExamples, name: "mcts"},
		"lyceum://sessions/rs_a":                                 {kind: uriSession, session: "rs_a"},
		"lyceum://sessions/rs%5Fa":                               {kind: uriSession, session: "rs_a"},
		"lyceum://sessions/rs_a/slots/mcts%2Ft_1":                {kind: uriSlot, session: "rs_a", part: "mcts/t_1"},
		"lyceum://sessions/rs_a/slots/mcts/t_1":                  {kind: uriSlot, session: "rs_a", part: "mcts/t_1"},
		"lyceum://sessions/rs_a/slots/mcts%2Ft_1/svg":            {kind: uriView, session: "rs_a", part: "mcts/t_1", view: "svg"},
		"lyceum://sessions/rs_a/slots/mcts/t_1/json-graph":       {kind: uriView, session: "rs_a", part: "mcts/t_1", view: "json-graph"},
		"lyceum://sessions/rs_a/slots/mcts/t_1/json-graph/7.100": {kind: uriViewPage, session: "rs_a", part: "mcts/t_1", view: "7.100"},
		"lyceum://sessions/rs_a/slots/svg":                       {kind: uriSlot, session: "rs_a", part: "svg"},
		"lyceum://sessions/rs_a/slots/svg/svg":                   {kind: uriView, session: "rs_a", part: "svg", view: "svg"},
		"lyceum://sessions/rs_a/slots/svg%2Fsvg":                 {kind: uriSlot, session: "rs_a", part: "svg/svg"},
		"lyceum://sessions/rs_a/slots/a/sv%67":                   {kind: uriSlot, session: "rs_a", part: "a/svg"},
		"lyceum://sessions/rs_a/slots/a/svg/7.100":               {kind: uriSlot, session: "rs_a", part: "a/svg/7.100"},
		"lyceum://sessions/rs_a/slots/a/json-graph/07.1":         {kind: uriSlot, session: "rs_a", part: "a/json-graph/07.1"},
		"lyceum://sessions/rs_a/slots/a/json-graph/svg":          {kind: uriView, session: "rs_a", part: "a/json-graph", view: "svg"},
		"lyceum://sessions/rs_a/export":                          {kind: uriExport, session: "rs_a"},
		"lyceum://sessions/rs_a/export/1.2.3.s:x":                {kind: uriExportPage, session: "rs_a", part: "1.2.3.s:x"},
	} {
		if got, ok := parseURI(text); !ok || got != want {
			t.Errorf("%s: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{
		"", "lyceum:", "lyceum://", "LYCEUM://guide", "lyceum://Guide", "lyceum://guide/", "lyceum://guide#x", "lyceum://guide?x", "http://guide",
		"lyceum://operations/", "lyceum://operations//schema", "lyceum://operations/x/y", "lyceum://operations/x/schema/", "lyceum://operations/%zz",
		"lyceum://sessions", "lyceum://sessions/", "lyceum://sessions//export", "lyceum://sessions/x/", "lyceum://sessions/x/slots", "lyceum://sessions/x/slots/", "lyceum://sessions/x/slots//svg", "lyceum://sessions/x/slots//json-graph/1.0",
		"lyceum://sessions/x/export/", "lyceum://sessions/x/other", "lyceum://sessions/x%00", "lyceum://sessions/%ff",
	} {
		if got, ok := parseURI(text); ok {
			t.Errorf("%q is %+v", text, got)
		}
	}
}

// Whatever is taken has one way of being written, which leads to the same.
func FuzzParseURI(f *testing.F) {
	for _, s := range []string{
		"lyceum://guide", "lyceum://operations/a/schema", "lyceum://sessions/rs_a/slots/b%2Fc", "lyceum://sessions/a/export/1.2.3.x", "lyceum://sessions/a/slots/b/svg", "lyceum://sessions/a/slots/b%2Fsvg", "lyceum://sessions/a/slots/b/json-graph/1.2",
		"lyceum://sessions/a/slots/b/json-graph/%31.2", "lyceum://sessions/%7Bslot%7D/slots/{sessionId}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, ok := parseURI(text)
		if !ok {
			return
		}
		again, ok := parseURI(u.String())
		if len(u.String()) > maxURI { // it grew by its escapes
			return
		}
		if !ok || again != u {
			t.Errorf("%q is %+v, and as %q %+v", text, u, u.String(), again)
		}
	})
}

func TestCursor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := newSealer()
		if err != nil {
			t.Fatal(err)
		}
		other, err := newSealer()
		if err != nil {
			t.Fatal(err)
		}
		o := session.Owner{Tenant: "ab", Issuer: "c", Subject: "d"}
		c := s.seal(o, "m", []byte("here"))
		if place, ok := s.open(o, "m", c); !ok || string(place) != "here" {
			t.Errorf("%q, %v", place, ok)
		}
		if s.seal(o, "m", []byte("here")) == c {
			t.Error("two cursors of one place are equal")
		}
		for name, open := range map[string]func() ([]byte, bool){
			"another owner":            func() ([]byte, bool) { return s.open(session.Owner{Tenant: "a", Issuer: "bc", Subject: "d"}, "m", c) },
			"another method":           func() ([]byte, bool) { return s.open(o, "n", c) },
			"another process":          func() ([]byte, bool) { return other.open(o, "m", c) },
			"owner and method shifted": func() ([]byte, bool) { return s.open(session.Owner{Tenant: "ab", Issuer: "c"}, "dm", c) },
			"a character more":         func() ([]byte, bool) { return s.open(o, "m", c+"A") },
			"the same bits, otherwise": func() ([]byte, bool) { return s.open(o, "m", c+"=") },
			"nothing":                  func() ([]byte, bool) { return s.open(o, "m", "") },
		} {
			if place, ok := open(); ok {
				t.Errorf("%s: %q", name, place)
			}
		}
		time.Sleep(cursorLife + time.Second)
		if place, ok := s.open(o, "m", c); ok {
			t.Errorf("too old: %q", place)
		}
	})
}

// Nothing but what was sealed opens.
func FuzzCursor(f *testing.F) {
	s, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	o := session.Owner{Tenant: "t", Issuer: "i", Subject: "s"}
	good := s.seal(o, "m", []byte("place"))
	f.Add([]byte(good), "s", "m")
	f.Add([]byte(good[:10]), "s", "m")
	f.Add([]byte(base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{1}, 40))), "x", "")
	f.Fuzz(func(t *testing.T, text []byte, subject, method string) {
		place, ok := s.open(session.Owner{Tenant: "t", Issuer: "i", Subject: subject}, method, string(text))
		if ok && (string(text) != good || subject != "s" || method != "m" || string(place) != "place") {
			t.Errorf("%q of %q in %q opens: %q", text, subject, method, place)
		}
	})
}
