package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A backup is brought back into a server that goes on meanwhile: what it lacks
// comes back, what it has stays, and so does what it has got since.
func TestRestoresWhileItRuns(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice, bob, admin := p.token("--sub", "alice"), p.token("--sub", "bob"), p.token("--sub", "olga", "--scope", "admin.write")
	think := func(token, text, session string) string {
		t.Helper()
		args := `{"thought":"` + text + `","nextThoughtNeeded":true}`
		if session == "" {
			return field(t, p.call(token, "sequential_thinking", args), "sessionId").(string)
		}
		return field(t, p.call(token, "sequential_thinking", args, "--session", session), "sessionId").(string)
	}
	lost, kept := think(alice, "Purged by mistake.", ""), think(bob, "Never gone.", "")

	folder := filepath.Join(data, "restore")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := lyceum("backup", filepath.Join(folder, "monday"), "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	think(bob, "Since then.", kept)
	if out, err := lyceum("sessions", "purge", "--tenant", "dev", "--subject", "alice", "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("purge: %v %s", err, out)
	}
	show := func(token, session string) (string, error) {
		return lyceum("call", "session_export", "--session", session, "--url", p.url+"/mcp", "--token", strings.TrimSpace(token))
	}
	if out, err := show(alice, lost); err == nil || !strings.Contains(out, "session_unavailable") {
		t.Fatalf("after the purge: %v %s", err, out)
	}

	restore := func(name, token string) (string, error) {
		return lyceum("restore", "--live", "--url", p.url, "--token", strings.TrimSpace(token), "--", name)
	}
	out, err := restore("monday", admin)
	if err != nil || !strings.Contains(out, `"sessions":1`) || !strings.Contains(out, `"left":1`) {
		t.Errorf("restore: %v %s", err, out)
	}
	if out, err := show(alice, lost); err != nil || !strings.Contains(out, "Purged by mistake.") {
		t.Errorf("what was lost: %v %s", err, out)
	}
	if out, err := show(bob, kept); err != nil || !strings.Contains(out, "Since then.") {
		t.Errorf("what was never gone: %v %s", err, out)
	}
	if out, err := show(bob, lost); err == nil || !strings.Contains(out, "session_unavailable") {
		t.Errorf("somebody else's: %v %s", err, out)
	}
	think(alice, "And on.", lost)
	if left, err := filepath.Glob(filepath.Join(data, "restore-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}

	whole, err := os.ReadFile(filepath.Join(folder, "monday"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "torn"), whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"torn": "no whole backup", "tuesday": "no file", "../lyceum.db": "without a path", ".": "without a path", "..": "without a path",
	} {
		if out, err := restore(name, admin); err == nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v %s, want %s", name, err, out, want)
		}
	}
	if out, err := restore("monday", alice); err == nil || !strings.Contains(out, "403") {
		t.Errorf("by a user: %v %s", err, out)
	}
	p.kill()
	p = serveIn(t, data)
	if out, err := show(p.token("--sub", "alice"), lost); err != nil || !strings.Contains(out, "And on.") {
		t.Errorf("in the next process: %v %s", err, out)
	}
}
