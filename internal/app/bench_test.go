package app_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

type noopIn struct {
	Text string `json:"text"`
}

func noop(name string, lane work.Lane) tools.Tool {
	return tools.Define(tools.Spec{
		Name: name, Family: "test", Title: "No-op", Summary: "Gives its text back.", Scope: policy.Reason, Lane: lane, Method: "none",
		Examples: []tools.Example{{Title: "x", Arguments: `{"operation":"` + name + `"}`}},
	}, func(_ context.Context, _ *tools.Call, in noopIn) (noopIn, error) { return in, nil })
}

const benchMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`

// post sends one request to h without a socket.
func post(b *testing.B, h http.Handler, body []byte, head map[string]string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "http://127.0.0.1/mcp", io.NopCloser(bytes.NewReader(body)))
	r.ContentLength = int64(len(body))
	for k, v := range head {
		r.Header[k] = []string{v}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func run(b *testing.B, h http.Handler, body string, head map[string]string) {
	b.Helper()
	raw := []byte(body)
	if w := post(b, h, raw, head); w.Code != 200 || !strings.Contains(w.Body.String(), "hello") {
		b.Fatalf("%d %s", w.Code, w.Body)
	}
	b.ReportAllocs()
	for b.Loop() {
		post(b, h, raw, head)
	}
}

// BenchmarkCall is a no-op call through the whole chain, beside mcp-go's own
// HTTP handler with nothing in front of it.
func BenchmarkCall(b *testing.B) {
	bare := mcpserver.NewMCPServer("bare", "1", mcpserver.WithToolCapabilities(true))
	bare.AddTool(mcp.NewTool("noop", mcp.WithString("text")), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(r.GetString("text", "")), nil
	})
	bareHTTP := mcpserver.NewStreamableHTTPServer(bare, mcpserver.WithStateLess(false))

	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", b.TempDir()
	cfg.Log.Level = "error"
	cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, 1e9
	a, err := app.New(b.Context(), cfg, app.Options{Log: io.Discard, Extra: []tools.Tool{noop("noop", work.Inline), noop("compute", work.Interactive)}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() { stop(); <-done })
	token, err := a.Issuer().Token(devidp.TokenRequest{Sub: "alice"})
	if err != nil {
		b.Fatal(err)
	}

	initialize := `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`
	legacy := func(h http.Handler, head map[string]string) map[string]string {
		w := post(b, h, []byte(initialize), head)
		out := map[string]string{"Mcp-Session-Id": w.Header().Get("Mcp-Session-Id"), "Mcp-Protocol-Version": "2025-11-25"}
		maps.Copy(out, head)
		return out
	}
	modern := func(tool string, head map[string]string) map[string]string {
		out := map[string]string{"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": tool}
		maps.Copy(out, head)
		return out
	}
	plain := map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
	auth := map[string]string{"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + token}
	env := post(b, a.Handler(), []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"noop","parameters":{"text":"hello"}},`+benchMeta+`}}`), modern("clear_thought", auth))
	_, handle, _ := strings.Cut(env.Body.String(), `"sessionId":"`)
	handle, _, _ = strings.Cut(handle, `"`)

	bareCall := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"noop","arguments":{"text":"hello"}`
	ours := func(op, session string) string {
		return `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"` + op + `"` + session + `,"parameters":{"text":"hello"}}`
	}
	named := `,"sessionId":"` + handle + `"`
	b.Run("2025-11-25/bare", func(b *testing.B) { run(b, bareHTTP, bareCall+"}}", legacy(bareHTTP, plain)) })
	b.Run("2025-11-25/lyceum", func(b *testing.B) { run(b, a.Handler(), ours("noop", "")+"}}", legacy(a.Handler(), auth)) })
	b.Run("2025-11-25/lyceum-ticket", func(b *testing.B) { run(b, a.Handler(), ours("compute", "")+"}}", legacy(a.Handler(), auth)) })
	b.Run("2026-07-28/bare", func(b *testing.B) { run(b, bareHTTP, bareCall+","+benchMeta+"}}", modern("noop", plain)) })
	b.Run("2026-07-28/lyceum", func(b *testing.B) {
		run(b, a.Handler(), ours("noop", named)+","+benchMeta+"}}", modern("clear_thought", auth))
	})
	b.Run("2026-07-28/lyceum-ticket", func(b *testing.B) {
		run(b, a.Handler(), ours("compute", named)+","+benchMeta+"}}", modern("clear_thought", auth))
	})
	b.Run("2026-07-28/lyceum-minting", func(b *testing.B) {
		run(b, a.Handler(), ours("noop", "")+","+benchMeta+"}}", modern("clear_thought", auth))
	})
}
