package app_test

import (
	"fmt"
	"io"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// BenchmarkCallSampled is a no-op call through the whole chain while a share of
// the traces is kept in the process: inline, and with a turn and a job.
func BenchmarkCallSampled(b *testing.B) {
	for _, ratio := range []float64{0, 0.01, 1} {
		cfg := config.Default()
		cfg.Dev, cfg.Addr, cfg.Data, cfg.Store = true, "127.0.0.1:0", b.TempDir(), "memory"
		cfg.Log.Level, cfg.Telemetry.SampleRatio = "error", ratio
		cfg.Limits.PerAddress, cfg.Limits.PerToken = 1e9, 1e9
		a, err := app.New(b.Context(), cfg, app.Options{Log: io.Discard, Extra: []tools.Tool{noop("noop", work.Inline), noop("compute", work.Interactive)}})
		if err != nil {
			b.Fatal(err)
		}
		serveBench(b, a)
		token, err := a.Issuer().Token(devidp.TokenRequest{Sub: "alice"})
		if err != nil {
			b.Fatal(err)
		}
		head := map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Authorization": "Bearer " + token,
			"Mcp-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "clear_thought",
		}
		for _, op := range []string{"noop", "compute"} {
			b.Run(fmt.Sprintf("%s/%v", op, ratio), func(b *testing.B) {
				run(b, a.Handler(), `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"`+op+`","sessionId":"`+minted(b, a, head)+`","parameters":{"text":"hello"}},`+benchMeta+`}}`, head)
			})
		}
	}
}
