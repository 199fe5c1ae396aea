package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A quota of the day holds over a kill, and neither another token nor another
// session of the same subject gives anything of it back.
func TestQuotaSurvivesKill(t *testing.T) {
	data := t.TempDir()
	file := filepath.Join(t.TempDir(), "quota.yaml")
	if err := os.WriteFile(file, []byte("limits:\n  owner_calls_day: 40\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	allowed := 0
	// spend calls until it is refused, or n times.
	spend := func(p *proc, sub string, n int) (refusal string) {
		t.Helper()
		for range n {
			out, err := lyceum("call", "describe", "--json", `{"operation":"mcts"}`, "--url", p.url+"/mcp", "--token", strings.TrimSpace(p.token("--sub", sub)))
			if err != nil {
				return out
			}
			allowed++
		}
		return ""
	}
	p := serveIn(t, data, "--config", file)
	if refusal := spend(p, "alice", 15); refusal != "" {
		t.Fatalf("within the quota: %s", refusal)
	}
	p.kill()
	p = serveIn(t, data, "--config", file)
	refusal := spend(p, "alice", 60)
	if !strings.Contains(refusal, "owner_calls_day") {
		t.Errorf("beyond the quota: %q", refusal)
	}
	// The kill may have cost the rest of the block that was leased; it never gives more.
	if allowed > 40 || allowed < 15 {
		t.Errorf("%d calls were allowed, want at most 40", allowed)
	}
	t.Logf("%d of 40 calls allowed over the kill", allowed)
	if refusal := spend(p, "bob", 1); refusal != "" {
		t.Errorf("somebody else: %s", refusal)
	}
	before := allowed
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
	p = serveIn(t, data, "--config", file)
	if refusal := spend(p, "alice", 1); refusal == "" || allowed != before {
		t.Error("an orderly restart gave something back")
	}
}
