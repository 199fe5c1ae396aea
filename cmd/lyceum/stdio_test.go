package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// host is a program that speaks MCP over a child's stdin and stdout.
type host struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err *syncBuffer
}

func startHost(t *testing.T, args ...string) *host {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"stdio"}, args...)...)
	cmd.Dir = t.TempDir()
	return startClient(t, cmd)
}

func (h *host) send(line string) {
	h.t.Helper()
	if _, err := io.WriteString(h.in, line+"\n"); err != nil {
		h.t.Fatal(err)
	}
}

type stdioMessage struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

// next reads one line, which must be a JSON-RPC message and nothing else.
func (h *host) next() stdioMessage {
	h.t.Helper()
	if !h.out.Scan() {
		h.t.Fatalf("no more lines: %v\n%s", h.out.Err(), h.err)
	}
	var m stdioMessage
	var probe map[string]json.RawMessage
	if json.Unmarshal(h.out.Bytes(), &m) != nil || json.Unmarshal(h.out.Bytes(), &probe) != nil || string(probe["jsonrpc"]) != `"2.0"` {
		h.t.Fatalf("stdout carries something else than MCP: %q", h.out.Text())
	}
	return m
}

func (h *host) end() {
	h.t.Helper()
	h.in.Close()
	done := make(chan error, 1)
	go func() { done <- h.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			h.t.Errorf("exit: %v\n%s", err, h.err)
		}
	case <-time.After(20 * time.Second):
		h.t.Fatal("it did not exit after the end of input")
	}
}

const stdioMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"host","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}%s}`

func stdioConversation(t *testing.T, h *host) {
	meta := strings.Replace(stdioMeta, "%s", "", 1)
	// 2026-07-28 needs no handshake, and can be spoken beside the other era.
	h.send(`{"jsonrpc":"2.0","id":"d","method":"server/discover","params":{` + meta + `}}`)
	if m := h.next(); string(m.ID) != `"d"` || !strings.Contains(string(m.Result), "supportedVersions") {
		t.Errorf("discover: %s", h.out.Text())
	}
	h.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"host","version":"1"}}}`)
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	if m := h.next(); string(m.ID) != "1" || !strings.Contains(string(m.Result), `"2025-06-18"`) {
		t.Errorf("initialize: %s", h.out.Text())
	}
	h.send(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"sequentialthinking","arguments":{"thought":"first","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}}}`)
	if m := h.next(); m.Error != nil || !strings.Contains(string(m.Result), `thoughtHistoryLength`) {
		t.Errorf("the well-known tool: %s", h.out.Text())
	}
	h.send(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"sequential_thinking","parameters":{"action":"read"}}}}`)
	if m := h.next(); !strings.Contains(string(m.Result), `first`) {
		t.Errorf("the chain is not shared: %s", h.out.Text())
	}
	h.send(`{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"nim","heaps":[3,4,5],"simulations":3000,"seed":1}},"_meta":{"progressToken":"p"}}}`)
	progress := 0
	for m := h.next(); ; m = h.next() {
		if m.Method == "notifications/progress" {
			progress++
			continue
		}
		if string(m.ID) != "4" || m.Error != nil {
			t.Errorf("mcts: %s", h.out.Text())
		}
		break
	}
	if progress == 0 {
		t.Error("no progress came")
	}
	h.send(`this is no JSON`)
	if m := h.next(); m.Error == nil || m.Error.Code != -32700 {
		t.Errorf("garbage: %s", h.out.Text())
	}
	h.send(`{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"nope","arguments":{}}}`)
	if m := h.next(); m.Error == nil || m.Error.Code != -32602 {
		t.Errorf("unknown tool: %s", h.out.Text())
	}
}

func TestStdioInProcess(t *testing.T) {
	h := startHost(t)
	stdioConversation(t, h)
	// The end of the input does not cut a call that is in flight.
	h.send(`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"tictactoe","simulations":30000,"seed":1}}}}`)
	h.in.Close()
	if m := h.next(); string(m.ID) != "9" || m.Error != nil {
		t.Errorf("the call in flight: %s", h.out.Text())
	}
	h.end()
}

// The same conversation through the bridge to a server elsewhere.
func TestStdioBridge(t *testing.T) {
	p := serve(t)
	h := startHost(t, "--url", p.url+"/mcp", "--token", p.token("--sub", "alice"))
	stdioConversation(t, h)
	h.end()
	h = startHost(t, "--url", p.url+"/mcp", "--token", "bad")
	h.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`)
	if m := h.next(); string(m.ID) != "1" || m.Error == nil || m.Error.Code != 401 {
		t.Errorf("a bad token: %s", h.out.Text())
	}
	h.end()
}

// Closing the input cancels a standing stream at once.
func TestStdioEndsStandingStreams(t *testing.T) {
	h := startHost(t)
	h.send(`{"jsonrpc":"2.0","id":"sub","method":"subscriptions/listen","params":{"notifications":{},` + strings.Replace(stdioMeta, "%s", "", 1) + `}}`)
	if m := h.next(); m.Method != "notifications/subscriptions/acknowledged" {
		t.Errorf("ack: %s", h.out.Text())
	}
	begin := time.Now()
	h.end()
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %s to exit", d)
	}
}

// Headers for a gateway come from the environment; what cannot be meant is refused
// before anything is sent, and no message tells the secret.
func TestStdioBridgeHeaders(t *testing.T) {
	keys := make(chan string, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		keys <- r.Header.Get("X-Api-Key")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{}}`)
	}))
	defer srv.Close()
	t.Setenv("GATEWAY_KEY", "s3cret")
	h := startHost(t, "--url", srv.URL, "--token", "x", "--header", "X-Api-Key: key ${GATEWAY_KEY}")
	h.send(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	h.next()
	h.end()
	if got := <-keys; got != "key s3cret" {
		t.Errorf("the gateway got %q", got)
	}
	for want, args := range map[string][]string{
		"the environment has no":            {"--header", "X: ${GATEWAY_NONE}"},
		"the protocol's own":                {"--header", "Mcp-Session-Id: ${GATEWAY_KEY}"},
		"a line break":                      {"--header", "X: ${GATEWAY_KEY}\nY: z"},
		"is what --token gives":             {"--header", "Authorization: ${GATEWAY_KEY}"},
		"want an https URL with a path":     {"--token=", "--client-metadata-url", "http://example.com/c.json"},
		"want the client's id and its secr": {"--token=", "--client-credentials"},
	} {
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"stdio", "--url", srv.URL, "--token", "x"}, args...)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "s3cret") {
			t.Errorf("%q: %v %s", args, err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), binary, "stdio", "--header", "X: y").CombinedOutput(); err == nil || !strings.Contains(string(out), "want the --url") {
		t.Errorf("without a URL: %v %s", err, out)
	}
}
