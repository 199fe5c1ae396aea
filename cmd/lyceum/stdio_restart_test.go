package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// relay is an address that stays while the server behind it comes and goes, and
// that can cut what it carries.
type relay struct {
	l  net.Listener
	wg sync.WaitGroup

	mu   sync.Mutex
	to   string
	open map[net.Conn]bool
}

func newRelay(t *testing.T) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, open: map[net.Conn]bool{}}
	r.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r.wg.Go(func() { r.carry(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) url() string { return "http://" + r.l.Addr().String() }

func (r *relay) aim(p *proc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = strings.TrimPrefix(p.url, "http://")
}

func (r *relay) carry(conn net.Conn) {
	r.mu.Lock()
	to := r.to
	r.open[conn] = true
	r.mu.Unlock()
	defer func() {
		_ = conn.Close()
		r.mu.Lock()
		delete(r.open, conn)
		r.mu.Unlock()
	}()
	server, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer server.Close()
	r.wg.Go(func() { _, _ = io.Copy(server, conn); _ = server.Close() })
	_, _ = io.Copy(conn, server)
}

// cut breaks every connection.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for conn := range r.open {
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// The server is killed and comes back; the host of the older revisions goes on as if
// nothing had been.
func TestStdioBridgeServerRestart(t *testing.T) {
	r, data := newRelay(t), t.TempDir()
	p := serveIn(t, data)
	r.aim(p)
	h := startHost(t, "--url", r.url()+"/mcp", "--token", p.token("--sub", "alice"))
	h.send(loginInit)
	h.next()
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	h.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"session_info"}}}`)
	h.next()
	p.kill()
	r.cut()
	h.send(`{"jsonrpc":"2.0","id":3,"method":"tools/list"}`) // while there is no server
	p = serveIn(t, data)
	r.aim(p)
	if m := h.next(); string(m.ID) != "3" || !strings.Contains(string(m.Result), "clear_thought") {
		t.Errorf("a list across the restart: %.300s\n%s", h.out.Text(), h.err)
	}
	h.send(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"statistical_reasoning","parameters":{"mode":"summary","data":[1,2,3,4]}}}}`)
	if m := h.next(); string(m.ID) != "4" || !strings.Contains(string(m.Result), `\"mean\":2.5`) {
		t.Errorf("a call after it: %.300s\n%s", h.out.Text(), h.err)
	}
	h.end()
}

// The connection of a long call is cut again and again; the host gets every
// notification once, in order, and the answer.
func TestStdioBridgeResumes(t *testing.T) {
	r := newRelay(t)
	p := serve(t)
	r.aim(p)
	h := startHost(t, "--url", r.url()+"/mcp", "--token", p.token("--sub", "alice"))
	h.send(strings.Replace(loginInit, "2025-06-18", "2025-11-25", 1))
	h.next()
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	h.send(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"tictactoe","simulations":60000,"seed":1,"maxMillis":10000}},"_meta":{"progressToken":"p"}}}`)
	last, cuts := -1.0, 0
	for {
		m := h.next()
		if m.Method == "notifications/progress" {
			var n struct {
				Params struct{ Progress float64 }
			}
			if err := json.Unmarshal(h.out.Bytes(), &n); err != nil || n.Params.Progress <= last {
				t.Errorf("progress %v after %v: %v", n.Params.Progress, last, err)
			}
			if last = n.Params.Progress; cuts < 3 {
				cuts++
				r.cut()
			}
			continue
		}
		if string(m.ID) != "4" || m.Error != nil || strings.Contains(string(m.Result), `"isError":true`) {
			t.Errorf("the answer: %.500s\n%s", h.out.Text(), h.err)
		}
		break
	}
	if cuts == 0 {
		t.Error("nothing was cut: there was no progress")
	}
	h.end()
}

// The end of the input does not cut what is in flight; a signal does, and is no
// failure.
func TestStdioBridgeEnds(t *testing.T) {
	p := serve(t)
	args := []string{"--url", p.url + "/mcp", "--token", p.token("--sub", "alice")}
	const call = `{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"tictactoe","simulations":30000,"seed":1}},%s}}`
	for _, meta := range []string{`"_meta":{}`, strings.Replace(stdioMeta, "%s", "", 1)} {
		h := startHost(t, args...)
		if !strings.Contains(meta, "2026") {
			h.send(loginInit)
			h.next()
		}
		h.send(fmt.Sprintf(call, meta))
		h.in.Close()
		if m := h.next(); string(m.ID) != "9" || m.Error != nil {
			t.Errorf("the call in flight: %.300s\n%s", h.out.Text(), h.err)
		}
		h.end()
	}
	h := startHost(t, args...)
	h.send(loginInit)
	h.next()
	if err := h.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.end()
}

// Another login is by the same client; when the server has forgotten it, by a new
// one.
func TestStdioLoginAgain(t *testing.T) {
	r, data := newRelay(t), t.TempDir()
	p := serveIn(t, data, "--public-url", r.url())
	r.aim(p)
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	logInAgain := func() (client string) {
		t.Helper()
		kept, err := filepath.Glob(filepath.Join(dir, "lyceum", "login", "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range kept {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}
		h := startHost(t, "--url", r.url()+"/mcp")
		h.send(loginInit)
		page := h.loginPages(1)[0]
		logIn(t, page, "alice")
		if m := h.next(); m.Error != nil {
			t.Fatalf("after the login: %s\n%s", h.out.Text(), h.err)
		}
		h.end()
		_, client, _ = strings.Cut(page, "client_id=")
		client, _, _ = strings.Cut(client, "&")
		return client
	}
	first := logInAgain()
	if second := logInAgain(); second != first {
		t.Errorf("the clients are %q and %q: want one", first, second)
	}
	p.kill()
	p = serveIn(t, data, "--public-url", r.url())
	r.aim(p)
	if third := logInAgain(); third == first {
		t.Errorf("the server has forgotten the client %q, and it is used again", third)
	}
}
