package mcpserve

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/session"
)

// stall sends a request on a connection with small buffers on both sides, and never
// reads a byte of what comes back.
func (p *peer) stall(method, body string, heads ...func(*http.Request)) net.Conn {
	p.w.t.Helper()
	conn, err := net.Dial("tcp", p.w.http.Listener.Addr().String())
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.w.t.Cleanup(func() { conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		p.w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.w.t.Context(), method, p.w.http.URL+"/mcp", strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + p.who, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		headerSession: p.session, headerVersion: p.rev,
	} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	for _, f := range heads {
		f(req)
	}
	if err := req.Write(conn); err != nil {
		p.w.t.Fatal(err)
	}
	return conn
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Clients that stop reading, fifty of them on every kind of answer, cost a bounded
// buffer each, are cut when a write takes too long, and delay nobody meanwhile.
func TestReadersThatStop(t *testing.T) {
	const writeTimeout = 3 * time.Second
	const readers = 13 // of each kind
	w := newWorld(t, func(c *Config, _ *session.Config) {
		c.WriteTimeout, c.MaxStreamsPerUser, c.MaxOutputBytes = writeTimeout, 1000, 2<<20
	})
	small := httptest.NewUnstartedServer(guarded(t, as(w.server)))
	small.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			_ = c.(*net.TCPConn).SetWriteBuffer(4 << 10) // small, whatever the system makes of it
		}
	}
	small.Start()
	defer small.Close()
	w.http.Close()
	w.http = small
	quiet := w.modern("quiet")
	quiet.call("1", "clear_thought", `{"operation":"echo","parameters":{"text":"x"}}`, "") // whatever is made once
	before, goroutines := heapInUse(), runtime.NumGoroutine()

	began := time.Now()
	var conns []net.Conn
	var owners []*peer
	var sessions []string
	for i := range readers {
		old, now := w.legacy(fmt.Sprintf("old%d", i), rev202511), w.modern(fmt.Sprintf("new%d", i))
		env, _ := old.call("1", "clear_thought", `{"operation":"remember","parameters":{"text":"x"}}`, "").result(t)
		uri := "lyceum://sessions/" + env.SessionID
		if a := old.do("POST", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+uri+`"}}`); a.code(t) != 0 {
			t.Fatalf("%s", a.body)
		}
		owners, sessions = append(owners, old), append(sessions, env.SessionID)
		listening, heads := (&peer{w: w, who: old.who, rev: rev2026}).message(`"sub"`, "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["`+uri+`"]}}`)
		talking, talkHeads := now.message(`1`, "tools/call", `{"_meta":{"progressToken":1},"name":"clear_thought","arguments":{"operation":"steps","parameters":{"n":20000}}}`)
		conns = append(conns,
			old.stall("GET", ""),
			(&peer{w: w, who: old.who, rev: rev2026}).stall("POST", listening, heads...),
			now.stall("POST", talking, talkHeads...),
			old.stall("POST", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"alone","parameters":{"n":900000}}}}`),
		)
	}
	until(t, "the streams", func() bool { return w.server.Streams() == 2*readers })
	for i, p := range owners { // what the two standing streams are told of
		for range 200 {
			p.call("1", "clear_thought", `{"operation":"remember","sessionId":"`+sessions[i]+`","parameters":{"text":"x"}}`, "")
		}
		if time.Since(began) > writeTimeout/2 {
			break
		}
	}

	var worst time.Duration
	n := 0
	for hung := time.Now(); time.Since(hung) < writeTimeout/3; n++ {
		at := time.Now()
		if _, bad := quiet.call("1", "clear_thought", `{"operation":"steps"}`, `1`).result(t); bad {
			t.Fatal("the quiet client's call failed")
		}
		worst = max(worst, time.Since(at))
	}
	if worst > writeTimeout/3 {
		t.Errorf("a call beside them took %v", worst)
	}
	grown := int64(heapInUse()) - int64(before)
	// A large answer has its text twice; of a stream, what its feed may hold.
	if most := int64(readers) * (2<<20 + 3*2*maxFeedBytes); grown > most {
		t.Errorf("%d readers cost %d KiB, want at most %d", len(conns), grown>>10, most>>10)
	}
	t.Logf("%d calls beside %d readers that hang: the slowest took %v; heap +%d KiB", n, len(conns), worst, grown>>10)

	// Who has more to say than the buffers hold notices; the rest would at its next word.
	until(t, "the end of standing streams that were told much", func() bool { return w.server.Streams() <= 2*readers-2 })
	deadline := time.Now().Add(3 * writeTimeout)
	for _, c := range conns[2:4] {
		_ = c.SetReadDeadline(deadline)
		if read, err := io.Copy(io.Discard, c); read > 4<<20 {
			t.Errorf("a reader that came back after the deadline got %d bytes (%v)", read, err)
		}
	}
	for _, c := range conns {
		_ = c.Close()
	}
	until(t, "their end", func() bool { return w.server.Streams() == 0 && runtime.NumGoroutine() <= goroutines+8 })
}
