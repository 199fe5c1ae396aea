package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/load"
)

// field returns a part of a printed result.
func field(t *testing.T, text string, path ...string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok || m[key] == nil {
			t.Fatalf("no %s in %s", strings.Join(path, "."), text)
		}
		v = m[key]
	}
	return v
}

func text(t *testing.T, printed string, path ...string) string {
	t.Helper()
	s, ok := field(t, printed, path...).(string)
	if !ok {
		t.Fatalf("%s is no text in %s", strings.Join(path, "."), printed)
	}
	return s
}

// lyceum runs a command to its end.
func lyceum(args ...string) (string, error) {
	out, err := exec.Command(binary, args...).CombinedOutput()
	return string(out), err
}

// What was answered is there after a power failure, moves with a backup, and is
// gone after a purge.
func TestSurvivesKill(t *testing.T) {
	data := t.TempDir()
	p := serveIn(t, data)
	alice, admin := p.token("--sub", "alice"), p.token("--sub", "olga", "--scope", "admin.write")
	named := text(t, p.call(alice, "session_create", `{"name":"plan"}`), "result", "sessionId")
	thought := p.call(alice, "sequential_thinking", `{"thought":"Keep this.","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}`)
	id := text(t, thought, "sessionId")
	export := func(p *proc) any {
		return field(t, p.call(alice, "session_export", `{}`, "--session", id), "result", "slots")
	}
	before, err := json.Marshal(export(p))
	if err != nil {
		t.Fatal(err)
	}

	if out, err := lyceum("serve", "--dev", "--addr", "127.0.0.1:0", "--data", data); err == nil || !strings.Contains(out, "in use by another") {
		t.Errorf("a second process on the same directory: %v %s", err, out)
	}
	p.kill()
	p = serveIn(t, data)
	compare := func(what string, p *proc) {
		t.Helper()
		after, err := json.Marshal(export(p))
		if err != nil {
			t.Fatal(err)
		}
		if string(before) != string(after) {
			t.Errorf("%s:\n%s\nwant\n%s", what, after, before)
		}
		if list := p.call(alice, "session_list", `{}`); !strings.Contains(list, named) || !strings.Contains(list, id) {
			t.Errorf("%s: session_list lacks one: %s", what, list)
		}
	}
	compare("after a kill", p)

	file := filepath.Join(t.TempDir(), "backup")
	if out, err := lyceum("backup", file, "--url", p.url, "--token", admin); err != nil {
		t.Fatalf("backup: %v %s", err, out)
	}
	if out, err := lyceum("backup", file+"2", "--url", p.url, "--token", alice); err == nil || !strings.Contains(out, "403") {
		t.Errorf("backup by a user: %v %s", err, out)
	}
	if out, err := lyceum("restore", file, "--data", data, "--force"); err == nil {
		t.Errorf("restored into the directory of a running server: %s", out)
	}
	other := t.TempDir()
	// The keys of the identity provider are not in the store.
	for _, name := range mustGlob(t, filepath.Join(data, "*")) {
		if base := filepath.Base(name); !strings.HasPrefix(base, "lyceum.") {
			if err := os.CopyFS(filepath.Join(other, base), os.DirFS(name)); err != nil {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(other, base), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if out, err := lyceum("restore", file, "--data", other); err != nil {
		t.Fatalf("restore: %v %s", err, out)
	}
	addr := strings.TrimPrefix(p.url, "http://")
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d\n%s", code, p.stderr)
	}
	p = serveIn(t, other, "--addr", addr)
	compare("after a restore", p)

	if out, err := lyceum("sessions", "purge", "--tenant", "dev", "--subject", "alice", "--url", p.url, "--token", admin); err != nil || !strings.Contains(out, `"sessions":2`) {
		t.Errorf("purge: %v %s", err, out)
	}
	p.kill()
	p = serveIn(t, other, "--addr", addr)
	if list := p.call(alice, "session_list", `{}`); !strings.Contains(list, `"total": 0`) {
		t.Errorf("after a purge and a kill: %s", list)
	}
	p.stop()
	if out, err := lyceum("store", "check", "--data", other); err != nil || !strings.Contains(out, `"Damaged": 0`) {
		t.Errorf("check: %v %s", err, out)
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A long run goes on from its checkpoint after a power failure, to the result
// of a run that nothing disturbed.
func TestJobSurvivesKill(t *testing.T) {
	const run = `{"action":"run","domain":"bandit","arms":[0.4,0.5,0.45,0.55],"pulls":3,"simulations":20000000,"trees":64,"seed":7}`
	limits := []string{
		"--tools-max-steps", "1000000000000", "--tools-max-millis", "300000", "--work-call-timeout", "10m",
		"--jobs-checkpoint-every", "100ms", "--jobs-inline-limit", "50ms",
	}
	result := func(p *proc, token, id string) string {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); ; {
			out := p.call(token, "job_result", `{"jobId":"`+id+`","waitSeconds":20}`)
			switch state := text(t, out, "result", "state"); {
			case state == "completed":
				b, err := json.Marshal(field(t, out, "result", "result", "result"))
				if err != nil {
					t.Fatal(err)
				}
				return string(b)
			case state == "failed" || state == "canceled" || time.Now().After(deadline):
				t.Fatalf("job: %s\n%s", out, p.stderr)
			}
		}
	}
	data := t.TempDir()
	p := serveIn(t, data, limits...)
	alice := p.token("--sub", "alice")
	undisturbed := result(p, alice, text(t, p.call(alice, "mcts", run), "result", "jobId"))

	id := text(t, p.call(alice, "mcts", run), "result", "jobId")
	addr := strings.TrimPrefix(p.url, "http://")
	for kills := range 2 {
		// It has come further than at the last kill, and so has a checkpoint.
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
			view, _ := field(t, p.call(alice, "job_result", `{"jobId":"`+id+`"}`), "result").(map[string]any)
			progress, _ := view["progress"].(map[string]any)
			if done, _ := progress["done"].(float64); done > float64(2_000_000*(kills+1)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("the job does not come further: %v\n%s", view, p.stderr)
			}
		}
		p.kill()
		p = serveIn(t, data, append(limits, "--addr", addr)...)
	}
	if got := result(p, alice, id); got != undisturbed {
		t.Errorf("after two kills:\n%s\nwant\n%s", got, undisturbed)
	}
	if out := p.call(alice, "job_result", `{"jobId":"`+id+`"}`); field(t, out, "result", "attempts").(float64) < 2 {
		t.Errorf("the job was not interrupted: %s", out)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// Clients that come back when they are asked to lose no call while the server is
// stopped and started again under load, in both eras.
func TestRollingRestart(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	flags := []string{"--addr", addr, "--limits-per-token", "1000000000", "--limits-per-address", "1000000000"}
	data := t.TempDir()
	p, outer := serveIn(t, data, flags...), t
	url, tokens := p.url+"/mcp", []string{p.token("--sub", "alice"), p.token("--sub", "bob")}
	for _, era := range []string{load.Era2025, load.Era2026} {
		t.Run(era, func(t *testing.T) {
			done := make(chan *load.Report, 1)
			go func() {
				defer close(done)
				calls := load.Classes()
				report, err := load.Run(context.Background(), load.Plan{
					URL: url, Era: era, Duration: 8 * time.Second, Retry: true,
					Groups: []load.Group{{
						Name: "all", Connections: 8, Rate: 100, Tokens: tokens,
						Mix: []load.Share{{Call: calls[0], Weight: 4}, {Call: calls[2], Weight: 1}, {Call: load.Call{
							Name:      "think",
							Arguments: json.RawMessage(`{"operation":"sequential_thinking","parameters":{"thought":"on","nextThoughtNeeded":true}}`),
						}, Weight: 1}},
					}},
				})
				if err != nil {
					t.Error(err)
					return
				}
				done <- report
			}()
			for range 2 {
				time.Sleep(2 * time.Second)
				if code := p.stop(); code != 0 {
					t.Errorf("exit status %d\n%s", code, p.stderr)
				}
				p = serveIn(outer, data, flags...)
			}
			report := <-done
			if report == nil {
				t.FailNow()
			}
			total := report.Phases[0].Total
			p99 := "not known"
			if total.Latency.P99 != nil {
				p99 = fmt.Sprint(*total.Latency.P99)
			}
			t.Logf("%d calls, %v, came back %d times, p99 %v ms", total.Due, total.Outcomes, total.Retries, p99)
			// Unsent are those for which no connection was free before the end: on a busy
			// machine a few, and no call of the server's.
			if good := total.Outcomes["ok"]; good+total.Outcomes["unsent"] != total.Due || good < 500 {
				t.Errorf("%d of %d calls were good: %v %v", total.Outcomes["ok"], total.Due, total.Outcomes, total.Texts)
			}
		})
	}
}
