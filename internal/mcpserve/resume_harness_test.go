package mcpserve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

type talkIn struct {
	Who  string `json:"who"`
	N    int    `json:"n" default:"4"`
	Ask  bool   `json:"ask"`
	Gate bool   `json:"gate"`
}

// talk says who it is N times, after a question if it is to ask one, and when the
// gate lets it.
func talk(gate <-chan struct{}) tools.Tool {
	return tools.Define(tools.Spec{
		Name: "talk", Family: "test", Title: "talk", Summary: "Talks.", Scope: policy.Reason, Lane: work.Interactive, Effect: tools.ReadOnly,
		Stateless: true, Asks: true, Method: "test", Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"talk"}`}},
	}, func(ctx context.Context, c *tools.Call, in talkIn) (echoOut, error) {
		say := func(from, to int) {
			for i := from; i < to; i++ {
				c.Progress(float64(i+1), float64(in.N), in.Who)
			}
		}
		say(0, in.N/2)
		said := in.Who
		if in.Ask {
			answers, err := c.Ask(ctx, nameForm("name"))
			if err != nil {
				return echoOut{}, err
			}
			_, content := answers.Form("name")
			said += string(content)
		}
		if in.Gate {
			if err := c.Ticket.Aside(ctx, func() { // others want to talk meanwhile
				select {
				case <-gate:
				case <-ctx.Done():
				}
			}); err != nil {
				return echoOut{}, err
			}
		}
		say(in.N/2, in.N)
		return echoOut{said}, nil
	})
}

// talkWorld is a server with talk, and the gate of its calls.
func talkWorld(t testing.TB, change ...func(*Config, *session.Config)) (*world, chan struct{}) {
	t.Helper()
	gate := make(chan struct{})
	w := demoWorld(t, append(demoTools(), talk(gate)), append([]func(*Config, *session.Config){func(c *Config, _ *session.Config) {
		c.ResumeWindow, c.MaxStreamsPerUser = time.Minute, 1000
	}}, change...)...)
	return w, gate
}

// speaker opens a session whose client can be asked.
func (w *world) speaker(who, rev string) *peer {
	w.t.Helper()
	p := &peer{w: w, who: who}
	a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+rev+`","capabilities":`+canElicit+`,"clientInfo":{"name":"p","version":"1"}}}`)
	if p.session = a.header.Get(headerSession); a.status != 200 || p.session == "" {
		w.t.Fatalf("initialize: %d %s", a.status, a.body)
	}
	if rev == rev202506 || rev == rev202511 {
		p.rev = rev
	}
	return p
}

func talkBody(id, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"talk","parameters":%s},"_meta":{"progressToken":%s}}}`, id, arguments, id)
}

// told is one event as it was read.
type told struct {
	id, retry, data string
}

// link is one connection with one response on it, which a test can cut as a network
// does.
type link struct {
	t      testing.TB
	conn   net.Conn
	resp   *http.Response
	lines  *bufio.Reader
	status int
}

// dial sends a request on a connection of its own. last is its Last-Event-ID; "" sends
// none.
func (p *peer) dial(method, body, last string) *link {
	p.w.t.Helper()
	conn, err := net.Dial("tcp", p.w.http.Listener.Addr().String())
	if err != nil {
		p.w.t.Fatal(err)
	}
	p.w.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.w.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(p.w.t.Context(), method, "http://"+conn.RemoteAddr().String()+"/mcp", strings.NewReader(body))
	if err != nil {
		p.w.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + p.who, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		headerSession: p.session, headerVersion: p.rev, headerLastEvent: last,
	} {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	if err := req.Write(conn); err != nil {
		p.w.t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, req)
	if err != nil {
		p.w.t.Fatal(err)
	}
	return &link{t: p.w.t, conn: conn, resp: resp, lines: bufio.NewReader(resp.Body), status: resp.StatusCode}
}

// next reads an event; false at the end of the response or of the connection.
func (w *link) next() (e told, more bool) {
	has := false
	for {
		line, err := w.lines.ReadString('\n')
		if err != nil {
			return told{}, false
		}
		line = strings.TrimRight(line, "\n")
		switch key, value, _ := strings.Cut(line, ":"); {
		case line == "" && has:
			return e, true
		case line == "" || key == "":
		default:
			has = true
			value = strings.TrimPrefix(value, " ")
			switch key {
			case "id":
				e.id = value
			case "retry":
				e.retry = value
			case "data":
				e.data = value
			}
		}
	}
}

// cut resets the connection: what was on its way is lost.
func (w *link) cut() {
	_ = w.conn.(*net.TCPConn).SetLinger(0)
	_ = w.conn.Close()
}

// listener reads the stream of a call on one connection after the other.
type listener struct {
	p        *peer
	last     string   // the last id it has seen
	messages []string // in the order in which they came
	asked    map[string]bool
}

// read reads at most most events of w, none if that is 0, and answers the questions
// among them, each once. It reports whether the answer has come.
func (l *listener) read(w *link, most int) (over bool) {
	l.p.w.t.Helper()
	for range most {
		e, more := w.next()
		if !more {
			return false
		}
		if e.id != "" {
			l.last = e.id
		}
		if e.data == "" {
			continue
		}
		l.messages = append(l.messages, e.data)
		var m struct {
			ID     json.RawMessage
			Method string
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := json.Unmarshal([]byte(e.data), &m); err != nil {
			l.p.w.t.Errorf("event %q: %v", e.data, err)
		}
		switch {
		case m.Method == tools.AskForm && !l.asked[string(m.ID)]:
			l.asked[string(m.ID)] = true
			a := l.p.do("POST", `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"action":"accept","content":{"name":"Ann"}}}`)
			if a.status != http.StatusAccepted {
				l.p.w.t.Errorf("the answer to %s: %d %s", m.ID, a.status, a.body)
			}
		case m.Method == "" && m.ID != nil:
			return true
		}
	}
	return false
}

func (p *peer) listener() *listener { return &listener{p: p, asked: map[string]bool{}} }

// whole checks that the messages of a call of talk are all there, each once and in
// order.
func (l *listener) whole(id, who string, n int, asks bool) {
	t := l.p.w.t
	t.Helper()
	var want []string
	for i := range n {
		if asks && i == n/2 {
			want = append(want, `"method":"`+tools.AskForm+`"`)
		}
		want = append(want, fmt.Sprintf(`{"progressToken":%s,"progress":%d,"total":%d,"message":%q}`, id, i+1, n, who))
	}
	want = append(want, `"id":`+id+`,"result":`)
	got := l.messages
	for len(got) > 0 && strings.Contains(got[0], "waiting for a turn") && strings.Contains(got[0], `"progressToken":`+id+`,`) {
		got = got[1:]
	}
	if len(got) != len(want) {
		t.Errorf("call %s: %d messages, want %d:\n%s", id, len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("call %s: message %d is %s, want %s", id, i, got[i], want[i])
		}
	}
}
