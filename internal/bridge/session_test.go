package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// restarting is a server of the older revisions that can forget its sessions.
type restarting struct {
	*httptest.Server
	version string

	mu       sync.Mutex
	sessions int      // that were opened
	session  string   // the one that is known
	opened   []string // what each session was opened with
	heard    []string // "method session" of everything else, in order
	streams  int      // that stand
	push     chan string
}

func newRestarting(t *testing.T) *restarting {
	t.Helper()
	r := &restarting{version: "2025-06-18", push: make(chan string)}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (s *restarting) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session = ""
}

func (s *restarting) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	_ = json.Unmarshal(body, &m)
	s.mu.Lock()
	defer s.mu.Unlock()
	named := r.Header.Get("Mcp-Session-Id")
	switch {
	case m.Method == "initialize":
		s.sessions++
		s.session = fmt.Sprintf("s%d", s.sessions)
		s.opened = append(s.opened, string(body))
		w.Header().Set("Mcp-Session-Id", s.session)
		answer(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"protocolVersion":"`+s.version+`"}}`)
	case named != s.session || r.Header.Get("Mcp-Protocol-Version") != "2025-06-18":
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"jsonrpc":"2.0","id":null,"error":{"code":404,"message":"no such session"}}`)
	case r.Method == http.MethodGet:
		s.streams++
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		select {
		case text := <-s.push:
			fmt.Fprintf(w, "data: %s\n\n", text)
		case <-r.Context().Done():
		}
		s.mu.Lock()
	case r.Method == http.MethodDelete:
	default:
		s.heard = append(s.heard, m.Method+" "+named)
		if len(m.ID) == 0 {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		answer(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{}}`)
	}
}

// talk is a host in a conversation.
type talk struct {
	t     *testing.T
	host  *io.PipeWriter
	lines *json.Decoder
	log   *bytes.Buffer
	end   func()
}

func newTalk(t *testing.T, url string) *talk {
	t.Helper()
	in, host := io.Pipe()
	out, far := io.Pipe()
	k := &talk{t: t, host: host, lines: json.NewDecoder(out), log: &bytes.Buffer{}}
	done := make(chan error, 1)
	tr := &http.Transport{}
	go func() {
		done <- Run(t.Context(), in, far, Config{URL: url, Transport: tr, Log: k.log, Patience: 2 * time.Second})
		_ = far.Close()
	}()
	k.end = sync.OnceFunc(func() {
		_ = host.Close()
		go func() { _, _ = io.Copy(io.Discard, out) }()
		if err := <-done; err != nil {
			t.Error(err)
		}
		tr.CloseIdleConnections()
	})
	t.Cleanup(k.end)
	return k
}

func (k *talk) say(line string) {
	k.t.Helper()
	if _, err := io.WriteString(k.host, line+"\n"); err != nil {
		k.t.Fatal(err)
	}
}

// hear returns the next line as it stands.
func (k *talk) hear() string {
	k.t.Helper()
	var m json.RawMessage
	if err := k.lines.Decode(&m); err != nil {
		k.t.Fatal(err)
	}
	return string(m)
}

// A server that has forgotten its transport sessions is talked to again as the host
// began, with what it had subscribed to; the host notices nothing.
func TestServerForgetsTheSession(t *testing.T) {
	s := newRestarting(t)
	k := newTalk(t, s.URL)
	const open = `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-06-18","clientInfo":{"name":"mine"}}}`
	k.say(open)
	k.hear()
	k.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	k.say(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"a"}}`)
	k.hear()
	k.say(`{"jsonrpc":"2.0","id":2,"method":"resources/subscribe","params":{"uri":"b"}}`)
	k.hear()
	k.say(`{"jsonrpc":"2.0","id":3,"method":"resources/unsubscribe","params":{"uri":"a"}}`)
	k.hear()
	s.forget()
	// Several calls at once find out: one new session comes of it.
	const calls = 8
	for i := range calls {
		k.say(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"x"}}`, 10+i))
	}
	for range calls {
		if line := k.hear(); !strings.Contains(line, `"result":{}`) {
			t.Errorf("a call: %s", line)
		}
	}
	// Its standing stream is there too.
	s.push <- `{"jsonrpc":"2.0","method":"notifications/resources/updated"}`
	if line := k.hear(); !strings.Contains(line, "updated") {
		t.Errorf("an update: %s", line)
	}
	k.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions != 2 || s.opened[0] != open || s.opened[1] != open {
		t.Errorf("%d sessions, opened with %q", s.sessions, s.opened)
	}
	all := strings.Join(s.heard, "\n")
	if !strings.Contains(all, "notifications/initialized s2\nresources/subscribe s2\ntools/call s2") || strings.Count(all, "tools/call s2") != calls || strings.Count(all, "subscribe s2") != 1 {
		t.Errorf("the server heard\n%s", all)
	}
	if log := k.log.String(); strings.Count(log, "a new one goes on in its place") != 1 {
		t.Errorf("the log:\n%s", log)
	}
}

// A session that ends while the host rests is opened again for the sake of updates.
func TestSessionIsRenewedForUpdates(t *testing.T) {
	s := newRestarting(t)
	k := newTalk(t, s.URL)
	k.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	k.hear()
	k.say(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	s.push <- `{"jsonrpc":"2.0","method":"first"}` // and the stream ends
	k.hear()
	s.forget()
	s.push <- `{"jsonrpc":"2.0","method":"second"}`
	if line := k.hear(); !strings.Contains(line, "second") {
		t.Errorf("%s", line)
	}
	k.end()
	if s.sessions != 2 {
		t.Errorf("%d sessions", s.sessions)
	}
}

// A host was told what the server can do in one version: a server that now speaks
// another one is not talked to in its place.
func TestServerComesBackAsAnother(t *testing.T) {
	s := newRestarting(t)
	k := newTalk(t, s.URL)
	k.say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	k.hear()
	s.forget()
	s.mu.Lock()
	s.version = "2025-03-26"
	s.mu.Unlock()
	k.say(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}`)
	if line := k.hear(); !strings.Contains(line, `"id":2,"error"`) || !strings.Contains(line, `the server now speaks \"2025-03-26\"`) {
		t.Errorf("%s", line)
	}
	// A notification for a session that is over is for nobody.
	k.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`)
	k.end()
	if len(s.heard) != 0 {
		t.Errorf("the server heard %q", s.heard)
	}
}
