package main

import (
	"os/exec"
	"strings"
	"testing"
)

// refused runs an operation that must fail and returns what the command printed.
func (p *proc) refused(token, operation, arguments string, flags ...string) string {
	p.t.Helper()
	args := append([]string{"call", operation, "--json", arguments, "--url", p.url + "/mcp", "--token", token}, flags...)
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err == nil {
		p.t.Errorf("%s %s worked: %s", operation, arguments, out)
	}
	return string(out)
}

// A session is shared with another person of the tenant, over a power failure,
// until it is taken back, and with nobody of another tenant; a purge of the
// grantee takes it back too.
func TestSharedSessionSurvivesKill(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice, bob := p.token("--sub", "alice"), p.token("--sub", "bob")
	stranger, admin := p.token("--sub", "bob", "--tenant", "globex"), p.token("--sub", "olga", "--scope", "admin.write")
	id := text(t, p.call(alice, "sequential_thinking", `{"thought":"Ask Bob.","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}`), "sessionId")
	think := `{"thought":"I am here.","thoughtNumber":2,"totalThoughts":2,"nextThoughtNeeded":false}`
	never := strings.Repeat("a", len(id)-3)
	missed := func(token string) {
		t.Helper()
		for _, call := range [][2]string{{"session_info", `{}`}, {"sequential_thinking", think}} {
			got, want := p.refused(token, call[0], call[1], "--session", id), p.refused(token, call[0], call[1], "--session", "rs_"+never)
			if got != want || !strings.Contains(got, "session_unavailable") {
				t.Errorf("%s: %s, for an unknown id %s", call[0], got, want)
			}
		}
	}
	missed(bob)

	addr := strings.TrimPrefix(p.url, "http://")
	restart := func() {
		t.Helper()
		p.kill()
		p = serveIn(t, data, "--addr", addr)
	}
	p.call(alice, "session_share", `{"subject":"bob","access":"read"}`, "--session", id)
	restart()
	missed(stranger)
	if out := p.call(bob, "session_info", `{}`, "--session", id); text(t, out, "result", "access") != "read" || text(t, out, "result", "sharedBy") != "alice" {
		t.Errorf("bob's session_info: %s", out)
	}
	if out := p.call(bob, "session_list", `{}`); !strings.Contains(out, id) {
		t.Errorf("bob's session_list: %s", out)
	}
	if out := p.refused(bob, "sequential_thinking", think, "--session", id); !strings.Contains(out, "read_only_grant") {
		t.Errorf("a thought of a reader: %s", out)
	}
	p.call(alice, "session_share", `{"subject":"bob","access":"write"}`, "--session", id)
	p.call(bob, "sequential_thinking", think, "--session", id)
	restart()
	if out := p.call(alice, "session_info", `{}`, "--session", id); field(t, out, "result", "thoughtCount") != 2.0 {
		t.Errorf("alice's session_info: %s", out)
	}
	p.call(alice, "session_unshare", `{"subject":"bob"}`, "--session", id)
	restart()
	missed(bob)

	p.call(alice, "session_share", `{"subject":"bob","access":"write"}`, "--session", id)
	if out, err := lyceum("sessions", "purge", "--tenant", "dev", "--subject", "bob", "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("purge: %v %s", err, out)
	}
	missed(bob)
	restart()
	missed(bob)
	if out := p.call(alice, "session_info", `{}`, "--session", id); strings.Contains(out, `"grants"`) {
		t.Errorf("after the purge of bob: %s", out)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
}
