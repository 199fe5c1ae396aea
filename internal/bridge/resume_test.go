package bridge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// cutter passes connections on to a server and cuts each one that has brought so
// many bytes back.
type cutter struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu   sync.Mutex
	to   string // the server; "" refuses
	cuts []int  // for the next connections, in order; then there are no cuts
	open map[net.Conn]bool
}

func newCutter(t *testing.T, to string, cuts ...int) *cutter {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: l, to: strings.TrimPrefix(to, "http://"), cuts: cuts, open: map[net.Conn]bool{}}
	c.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.wg.Go(func() { c.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.cutAll()
		c.wg.Wait()
	})
	return c
}

func (c *cutter) url() string { return "http://" + c.listener.Addr().String() }

// cutAll cuts every connection.
func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

func (c *cutter) pass(conn net.Conn) {
	c.mu.Lock()
	to, most := c.to, -1
	if len(c.cuts) > 0 {
		most, c.cuts = c.cuts[0], c.cuts[1:]
	}
	c.open[conn] = true
	c.mu.Unlock()
	defer func() {
		_ = conn.Close()
		c.mu.Lock()
		delete(c.open, conn)
		c.mu.Unlock()
	}()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	c.wg.Go(func() { _, _ = io.Copy(server, conn); _ = server.Close() })
	var from io.Reader = server
	if most >= 0 {
		from = io.LimitReader(server, int64(most))
	}
	_, _ = io.Copy(conn, from)
	if most >= 0 {
		_ = conn.(*net.TCPConn).SetLinger(0) // a reset, as a broken link gives
	}
}

// keeper is a server of 2025-11-25 that keeps the events of its calls, and gives
// them all, or behind the one that is named.
type keeper struct {
	*httptest.Server
	events int  // before the answer
	mute   bool // no ids

	mu    sync.Mutex
	calls int      // tools/call that were begun
	gets  []string // Last-Event-ID of each GET
}

func newKeeper(t *testing.T, events int) *keeper {
	t.Helper()
	k := &keeper{events: events}
	k.Server = httptest.NewServer(http.HandlerFunc(k.serve))
	t.Cleanup(k.Close)
	return k
}

// seen returns how many calls were begun and what the GETs named.
func (k *keeper) seen() (calls int, gets []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.calls, k.gets
}

func (k *keeper) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		last := r.Header.Get("Last-Event-ID")
		if last == "" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		k.mu.Lock()
		k.gets = append(k.gets, last)
		k.mu.Unlock()
		n, err := strconv.Atoi(last)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		k.stream(w, r, n+1)
		return
	}
	var m struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	if r.Method != http.MethodPost || json.NewDecoder(r.Body).Decode(&m) != nil {
		return
	}
	switch {
	case m.Method == "initialize":
		w.Header().Set("Mcp-Session-Id", "s1")
		answer(w, `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"protocolVersion":"2025-11-25"}}`)
	case len(m.ID) == 0:
		w.WriteHeader(http.StatusAccepted)
	default:
		k.mu.Lock()
		k.calls++
		k.mu.Unlock()
		k.stream(w, r, 0)
	}
}

// stream writes the events from the n-th on: the first has no data.
func (k *keeper) stream(w http.ResponseWriter, _ *http.Request, n int) {
	w.Header().Set("Content-Type", "text/event-stream")
	for ; n <= k.events+1; n++ {
		if !k.mute {
			fmt.Fprintf(w, "id: %d\n", n)
		}
		switch {
		case n == 0:
			fmt.Fprint(w, "retry: 1\ndata: \n\n")
		case n <= k.events:
			fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progress\":%d}}\n\n", n)
		default:
			fmt.Fprint(w, "data: {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}\n\n")
		}
		w.(http.Flusher).Flush()
	}
}

const (
	openLine = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}` + "\n"
	callLine = `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"x"}}` + "\n"
)

// converse runs the bridge over whole input against a URL.
func converse(t *testing.T, url, input string, change ...func(*Config)) (lines []string, log string) {
	t.Helper()
	var out, said bytes.Buffer
	tr := &http.Transport{DisableKeepAlives: true} // so that each request has a cut of its own
	cfg := Config{URL: url, Transport: tr, Log: &said, Patience: 2 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	if err := Run(t.Context(), strings.NewReader(input), &out, cfg); err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	for line := range strings.Lines(out.String()) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines, said.String()
}

// Wherever the connection of a call is cut, the host gets every event once and in
// order, and the call is made once.
func TestResumeAtEveryCut(t *testing.T) {
	whole := newKeeper(t, 4)
	const head = 150 // bytes of the answer's head, about: the cuts before are for TestLostRequests
	resumed := 0
	for cut := head + 20; cut < 700; cut += 3 {
		k := newKeeper(t, 4)
		c := newCutter(t, k.URL, 1<<20, cut, cut/2, 60)
		lines, log := converse(t, c.url(), openLine+callLine)
		if len(lines) != 6 {
			t.Fatalf("cut at %d: %d lines: %q\n%s", cut, len(lines), lines, log)
		}
		for i, line := range lines[1:5] {
			if !strings.Contains(line, fmt.Sprintf(`"progress":%d}`, i+1)) {
				t.Fatalf("cut at %d: line %d is %s", cut, i, line)
			}
		}
		calls, gets := k.seen()
		if lines[5] != `{"jsonrpc":"2.0","id":2,"result":{}}` || calls != 1 {
			t.Fatalf("cut at %d: %s, %d calls", cut, lines[5], calls)
		}
		resumed += len(gets)
	}
	if resumed < 100 {
		t.Errorf("the rest was asked for %d times in all: nothing was cut", resumed)
	}
	lines, _ := converse(t, whole.URL, openLine+callLine)
	if _, gets := whole.seen(); len(lines) != 6 || len(gets) != 0 {
		t.Errorf("without a cut: %q, asked for the rest behind %q", lines, gets)
	}
}

// What cannot be fetched is said, and not asked for forever.
func TestResumeHasBounds(t *testing.T) {
	afterEvents := func(id string) (*httptest.Server, *int) {
		gets := new(int)
		var mu sync.Mutex
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			switch {
			case r.Method == http.MethodGet && id == "refused":
				w.WriteHeader(http.StatusBadRequest)
				fallthrough
			case r.Method == http.MethodGet:
				mu.Lock()
				*gets++
				mu.Unlock()
				if id != "refused" {
					w.Header().Set("Content-Type", "text/event-stream") // and nothing
				}
			case bytes.Contains(body, []byte(`"initialize"`)):
				w.Header().Set("Mcp-Session-Id", "s1")
				answer(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25"}}`)
			default:
				w.Header().Set("Content-Type", "text/event-stream")
				if id != "" {
					fmt.Fprintf(w, "id: %s\nretry: 1\ndata:\n\n", id)
				}
			}
		}))
		t.Cleanup(srv.Close)
		return srv, gets
	}
	for _, tt := range []struct {
		id   string
		gets int
	}{{"", 0}, {"refused", 1}, {"empty", mostTries}} {
		t.Run(tt.id, func(t *testing.T) {
			srv, gets := afterEvents(tt.id)
			lines, _ := converse(t, srv.URL, openLine+callLine)
			if len(lines) != 2 || !strings.Contains(lines[1], `"id":2,"error"`) || !strings.Contains(lines[1], "the stream broke before the answer was there: the call may have been carried out") {
				t.Errorf("%q", lines)
			}
			if *gets != tt.gets {
				t.Errorf("%d requests for the rest, want %d", *gets, tt.gets)
			}
		})
	}
}

// In 2026-07-28 a lost connection is the end of the call, and nothing is resumed,
// whatever the events say.
func TestLostCallOf2026(t *testing.T) {
	k := newKeeper(t, 4)
	c := newCutter(t, k.URL, 330)
	lines, _ := converse(t, c.url(), `{"jsonrpc":"2.0","id":2,"method":"tools/call",`+modernParams+`}`+"\n")
	last := lines[len(lines)-1]
	calls, gets := k.seen()
	if !strings.Contains(last, `"id":2,"error"`) || !strings.Contains(last, "in 2026-07-28 that cancels the call") || len(gets) != 0 || calls != 1 {
		t.Errorf("%q, %d calls, %q", lines, calls, gets)
	}
}
