package load

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// Under 2026-07-28 each request stands alone and says everything itself.
func TestRequestsOf2026(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, _ *http.Request, n int, m *received) {
		switch m.class() {
		case "wrong":
			respond(w, m, `{"isError":true}`)
		default:
			respond(w, m, `{"structuredContent":{"sessionId":"rs_`+strconv.Itoa(n)+`"}}`)
		}
	}}
	g := Group{Tokens: []string{"t1"}, Mix: []Share{{call("x"), 3}, {call("wrong"), 1}, {Call{"pinned", []byte(`{"class":"pinned","sessionId":"rs_mine"}`)}, 1}}}
	p := Plan{Groups: one(g), Duration: time.Minute, MaxCalls: 60, Tool: "think"}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		if r.Target.Revision != Era2026 || len(s.of("initialize")) != 0 || len(s.of("server/discover")) != 1 {
			t.Errorf("revision %s, %d initialize", r.Target.Revision, len(s.of("initialize")))
		}
		session := "" // that the connection should send
		for i, c := range s.of("tools/call") {
			for name, want := range map[string]string{
				"Mcp-Protocol-Version": Era2026, "Mcp-Method": "tools/call", "Mcp-Name": "think", "Authorization": "Bearer t1", "Content-Type": "application/json",
				"Accept": "application/json, text/event-stream", "Mcp-Session-Id": "",
			} {
				if got := c.header.Get(name); got != want {
					t.Fatalf("call %d has %s %q, want %q", i, name, got, want)
				}
			}
			meta := c.Params.Meta
			if string(meta["io.modelcontextprotocol/protocolVersion"]) != `"2026-07-28"` || string(meta["io.modelcontextprotocol/clientCapabilities"]) != "{}" || meta["progressToken"] != nil || c.Params.Name != "think" {
				t.Fatalf("call %d: name %q, meta %s", i, c.Params.Name, meta)
			}
			sent := strings.Trim(string(c.Params.Arguments["sessionId"]), `"`)
			switch {
			case c.class() == "pinned" && sent != "rs_mine":
				t.Fatalf("call %d: the session of the arguments became %q", i, sent)
			case c.class() != "pinned" && sent != session:
				t.Fatalf("call %d goes on with %q, want %q", i, sent, session)
			}
			if c.class() == "wrong" {
				session = "" // whatever was wrong, it may be the session
			} else if session == "" {
				session = "rs_" + strconv.Itoa(i)
			}
		}
	})
	s.requests, s.calls = nil, 0
	p.NewSessions, p.Progress = true, true
	bubble(t, s, p, func(t *testing.T, _ *Report) {
		for i, c := range s.of("tools/call") {
			if sent := string(c.Params.Arguments["sessionId"]); sent != "" && c.class() != "pinned" {
				t.Fatalf("call %d goes on with %s, want a new session each time", i, sent)
			}
			if string(c.Params.Meta["progressToken"]) != string(c.ID) {
				t.Fatalf("call %d has the progress token %s", i, c.Params.Meta["progressToken"])
			}
		}
	})
}

// Up to 2025-11-25 every connection initializes once, ends its session at the
// end, and opens another when the server has forgotten it.
func TestSessionsOf2025(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, r *http.Request, n int, m *received) {
		if n == 10 {
			status(404)(w, r, m)
		} else if pause(r.Context(), 10*time.Millisecond) {
			good(w, m)
		}
	}}
	p := Plan{Groups: one(Group{Connections: 3, Tokens: []string{"t1", "t2"}}), Era: Era2025, Duration: time.Second}
	bubble(t, s, p, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if r.Target.Revision != Era2025 || g.Sessions != 4 || g.Tokens != 2 || g.Outcomes["http_other"] != 1 {
			t.Errorf("revision %s, %d sessions, %d tokens, outcomes %v", r.Target.Revision, g.Sessions, g.Tokens, g.Outcomes)
		}
		if n := len(s.of("initialize")); n != 4 || len(s.of("notifications/initialized")) != 4 {
			t.Errorf("%d initialize, %d initialized", n, len(s.of("notifications/initialized")))
		}
		sessions, tokens := map[string]int{}, map[string]int{}
		for _, c := range s.of("tools/call") {
			sessions[c.header.Get("Mcp-Session-Id")]++
			tokens[c.header.Get("Authorization")]++
			if c.header.Get("Mcp-Protocol-Version") != Era2025 || c.header.Get("Mcp-Method") != "" || c.Params.Meta != nil {
				t.Fatalf("header %v, meta %v", c.header, c.Params.Meta)
			}
		}
		if len(sessions) != 4 || sessions[""] != 0 || tokens["Bearer t1"] < 150 || tokens["Bearer t2"] < 90 || len(tokens) != 2 {
			t.Errorf("calls by session %v, by token %v: the tokens are dealt in turn", sessions, tokens)
		}
		ended := 0
		for _, c := range s.of("") {
			if c.verb == http.MethodDelete && sessions[c.header.Get("Mcp-Session-Id")] > 0 {
				ended++
			}
		}
		if ended != 3 {
			t.Errorf("%d sessions were ended, want the 3 that were left", ended)
		}
	})
}

func TestServerThatLetsNobodyIn(t *testing.T) {
	for name, tt := range map[string]struct {
		code int
		era  string
		want fault.Kind
	}{
		"401":        {401, Era2026, fault.Unauthenticated},
		"403":        {403, Era2026, fault.Forbidden},
		"429":        {429, Era2026, fault.Unavailable},
		"503":        {503, Era2025, fault.Unavailable},
		"legacy 401": {401, Era2025, fault.Unauthenticated},
		"legacy 400": {400, Era2025, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { status(tt.code)(w, r, nil) }))
			defer srv.Close()
			r, err := Run(t.Context(), Plan{URL: srv.URL, Era: tt.era, Groups: one(Group{Connections: 100, Tokens: []string{"secret"}})})
			if r != nil || fault.KindOf(err) != tt.want || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	// A server that does not know server/discover is a server all the same.
	s := &server{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Mcp-Method") == "server/discover" {
			status(404)(w, r, nil)
			return
		}
		s.ServeHTTP(w, r)
	}))
	defer srv.Close()
	if r, err := Run(t.Context(), Plan{URL: srv.URL, Groups: one(Group{}), MaxCalls: 5}); err != nil || r.Phases[0].Total.Outcomes["ok"] != 5 {
		t.Errorf("%v", err)
	}
	// Nobody there.
	gone := httptest.NewServer(nil)
	gone.Close()
	if _, err := Run(t.Context(), Plan{URL: gone.URL, Groups: one(Group{})}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody listens: %v", err)
	}
	// A listener that never answers: the timeout holds for opening too.
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		began := time.Now()
		var silent net.Conn
		accepted := make(chan struct{})
		go func() { silent, _ = w.Accept(); close(accepted) }()
		_, err := Run(t.Context(), Plan{URL: "http://127.0.0.1/", Groups: one(Group{}), Timeout: 3 * time.Second, dial: w.dial})
		<-accepted
		_ = silent.Close()
		if fault.KindOf(err) != fault.Unavailable || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// A closed loop does not hammer a server that has gone.
func TestServerThatGoesAway(t *testing.T) {
	s := &server{serve: func(w http.ResponseWriter, _ *http.Request, n int, m *received) {
		if n >= 10 {
			panic(http.ErrAbortHandler)
		}
		good(w, m)
	}}
	bubble(t, s, Plan{Groups: one(Group{}), Duration: 10 * time.Second}, func(t *testing.T, r *Report) {
		g := r.Phases[0].Groups[0]
		if n := g.Outcomes["transport_error"]; n != 200 || g.Outcomes["ok"] != 10 {
			t.Errorf("outcomes %v, want a call each 50 ms", g.Outcomes)
		}
	})
}

// The same over real sockets: load goes to the server that was named and to no
// other, and nothing is left behind.
func TestOverTCP(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	s := &server{start: time.Now(), serve: func(w http.ResponseWriter, _ *http.Request, _ int, m *received) {
		if m.class() == "away" {
			w.Header().Set("Location", other.URL)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		good(w, m)
	}}
	srv := httptest.NewServer(s)
	defer srv.Close()
	for _, era := range []string{Era2025, Era2026} {
		s.requests = nil
		p := Plan{
			URL: srv.URL + "/mcp", Era: era, Warmup: 50 * time.Millisecond, Duration: 250 * time.Millisecond, Progress: true,
			Groups: []Group{
				{Name: "closed", Connections: 4, Mix: []Share{{call("x"), 9}, {call("away"), 1}}},
				{Name: "open", Connections: 16, Rate: 200, Mix: []Share{{call("x"), 1}}},
			},
		}
		r, err := Run(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		closed, open := r.Phases[0].Groups[0], r.Phases[0].Groups[1]
		if closed.Outcomes["ok"] == 0 || closed.Outcomes["ok"]+closed.Outcomes["http_other"] != closed.Due {
			t.Errorf("%s: closed loop %v", era, closed.Outcomes)
		}
		if open.Outcomes["ok"]+open.Outcomes["unsent"] != open.Due || open.Due < 48 || open.Due > 52 {
			t.Errorf("%s: open loop %v of about 50", era, open.Outcomes)
		}
		if n := uint64(len(s.of("tools/call"))); n != closed.Due+closed.Warmup+open.Due+open.Warmup-open.Outcomes["unsent"] {
			t.Errorf("%s: the server saw %d calls", era, n)
		}
		if total := r.Phases[0].Total; total.Due != closed.Due+open.Due || total.Latency.Count != closed.Latency.Count+open.Latency.Count {
			t.Errorf("%s: the total is %+v", era, total)
		}
	}
	if elsewhere > 0 {
		t.Errorf("%d requests went to another server", elsewhere)
	}
}

func TestHeaderValue(t *testing.T) {
	for in, want := range map[string]string{"clear_thought": "clear_thought", "=?base64?x?=": "=?base64?PT9iYXNlNjQ/eD89?="} {
		if got := headerValue(in); got != want {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

func BenchmarkCall(b *testing.B) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, id, _ := bytes.Cut(body, []byte(`"id":`))
		id, _, _ = bytes.Cut(id, []byte(","))
		good(w, &received{ID: id})
	}))
	defer srv.Close()
	p := Plan{URL: srv.URL, Groups: one(Group{})}.withDefaults()
	e := newEndpoint(&p, 1)
	defer e.transport.CloseIdleConnections()
	k := &conn{endpoint: e}
	c := prepare(Call{"x", json.RawMessage(`{"class":"x"}`)}, "clear_thought")
	b.ReportAllocs()
	for b.Loop() {
		if a := k.call(b.Context(), &c); a.outcome != ok {
			b.Fatal(a)
		}
	}
}
