package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// think adds a thought to a session, a new one if session is empty, and returns
// the session's id. What it returns without an error was acknowledged.
func (p *proc) think(token, session, thought string) (id, printed string, err error) {
	p.t.Helper()
	args := []string{
		"call", "sequential_thinking", "--url", p.url + "/mcp", "--token", token,
		"--json", fmt.Sprintf(`{"thought":%q,"thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}`, thought),
	}
	if session != "" {
		args = append(args, "--session", session)
	}
	out, err := lyceum(args...)
	if err != nil {
		return "", out, err
	}
	return text(p.t, out, "sessionId"), out, nil
}

// mustThink is think in a new session of a server that works.
func (p *proc) mustThink(token, thought string) (id string) {
	p.t.Helper()
	id, out, err := p.think(token, "", thought)
	if err != nil {
		p.t.Fatalf("think: %v %s\n%s", err, out, p.stderr)
	}
	return id
}

// wantThoughts checks that each session holds its thought.
func (p *proc) wantThoughts(token string, acked map[string]string) {
	p.t.Helper()
	for id, thought := range acked {
		if out, err := lyceum("call", "session_export", "--json", "{}", "--session", id, "--url", p.url+"/mcp", "--token", token); err != nil || !strings.Contains(out, thought) {
			p.t.Errorf("%.40q was acknowledged and is not there: %v %.300s", thought, err, out)
		}
	}
}

func wantIn(t *testing.T, what, out string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(out, w) {
			t.Errorf("%s does not say %q: %s", what, w, out)
		}
	}
}

// wantLog waits until the server's log says all of that: a pipe lies between us.
func (p *proc) wantLog(want ...string) {
	p.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		log := p.stderr.String()
		missing := slices.DeleteFunc(slices.Clone(want), func(w string) bool { return strings.Contains(log, w) })
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			p.t.Errorf("the log does not say %q:\n%s", missing, log)
			return
		}
	}
}

// startFails starts a server that must not start, and returns what it says.
func startFails(t *testing.T, data string) string {
	t.Helper()
	out, err := lyceum("serve", "--dev", "--addr", "127.0.0.1:0", "--data", data)
	if err == nil {
		t.Fatalf("a server started: %s", out)
	}
	return out
}

// A second server on a directory says whose it is and what to do, and takes
// nothing from the first; when that is gone, it serves what was acknowledged.
func TestSurvivesASecondProcess(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice := p.token("--sub", "alice")
	acked := map[string]string{p.mustThink(alice, "before the second"): "before the second"}
	wantIn(t, "the second process", startFails(t, data), data, fmt.Sprintf("pid %d", p.cmd.Process.Pid), "stop that one, or choose another directory")
	acked[p.mustThink(alice, "after the second")] = "after the second"
	p.wantThoughts(alice, acked)
	addr := strings.TrimPrefix(p.url, "http://")
	p.kill()
	p = serveIn(t, data, "--addr", addr)
	p.wantThoughts(alice, acked)
}

// A damaged record takes its own session with it and no other; the check names
// it, and a backup brings it back.
func TestSurvivesADamagedRecord(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice, admin := p.token("--sub", "alice"), p.token("--sub", "olga", "--scope", "admin.write")
	const victim = "the thought that will be hit"
	hit := p.mustThink(alice, victim)
	others := map[string]string{}
	for i := range 5 {
		thought := fmt.Sprint("neighbour number ", i)
		others[p.mustThink(alice, thought)] = thought
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if out, err := lyceum("backup", backup, "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	addr := strings.TrimPrefix(p.url, "http://")
	p.kill()
	file := filepath.Join(data, "lyceum.db")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.ReplaceAll(raw, []byte(victim), []byte("THE"+victim[3:]))
	if bytes.Equal(raw, damaged) {
		t.Fatal("the thought is not in the file")
	}
	if err := os.WriteFile(file, damaged, 0o600); err != nil {
		t.Fatal(err)
	}

	out, err := lyceum("store", "check", "--data", data)
	if err == nil {
		t.Error("the check of a damaged store succeeds")
	}
	wantIn(t, "the check", out, `"Damaged": 1`, `"cells"`)
	p = serveIn(t, data, "--addr", addr)
	if _, out, err := p.think(alice, hit, "on"); err == nil {
		t.Errorf("a call on the damaged session succeeds: %s", out)
	} else {
		wantIn(t, "the call", out, "is damaged", "can restore a backup", "session_delete")
	}
	p.wantLog("damaged")
	p.wantThoughts(alice, others)
	others[p.mustThink(alice, "since the damage")] = "since the damage"
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}

	if out, err := lyceum("restore", backup, "--data", data, "--force"); err != nil {
		t.Fatalf("restore: %v %s", err, out)
	}
	for id, thought := range others {
		if thought == "since the damage" {
			delete(others, id) // the backup is older
		}
	}
	others[hit] = victim
	p = serveIn(t, data, "--addr", addr)
	p.wantThoughts(alice, others)
}

// A server does not start on a file without a sound header, leaves it as it is,
// and says what to do; after that it serves.
func TestSurvivesADamagedHeader(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice, admin := p.token("--sub", "alice"), p.token("--sub", "olga", "--scope", "admin.write")
	acked := map[string]string{p.mustThink(alice, "kept in the backup"): "kept in the backup"}
	backup := filepath.Join(t.TempDir(), "backup")
	if out, err := lyceum("backup", backup, "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	addr := strings.TrimPrefix(p.url, "http://")
	p.kill()
	file := filepath.Join(data, "lyceum.db")
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clear(raw[:2*os.Getpagesize()]) // both headers
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	wantIn(t, "the start", startFails(t, data), file, "damaged", "restore a backup")
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, raw) {
		t.Errorf("the damaged file was changed: %v", err)
	}
	if out, err := lyceum("restore", backup, "--data", data, "--force"); err != nil {
		t.Fatalf("restore: %v %s", err, out)
	}
	p = serveIn(t, data, "--addr", addr)
	p.wantThoughts(alice, acked)
}
