package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// binary is the built program: these tests talk to the real thing.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "lyceum")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "lyceum")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// TestScripts runs the command line as a person would type it.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
	})
}

// proc is a running lyceum.
type proc struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	data   string
	stdout *syncBuffer
	stderr *syncBuffer
	exited chan error
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts lyceum serve --dev on a free port and waits until it is ready.
func serve(t *testing.T, args ...string) *proc {
	t.Helper()
	return serveIn(t, t.TempDir(), args...)
}

// serveIn is serve with a data directory, which an earlier process may have
// left.
func serveIn(t *testing.T, data string, args ...string) *proc {
	t.Helper()
	return serveProgram(t, binary, data, args...)
}

// serveProgram is serveIn of another build.
func serveProgram(t *testing.T, program, data string, args ...string) *proc {
	t.Helper()
	p := &proc{t: t, data: data, stdout: &syncBuffer{}, stderr: &syncBuffer{}, exited: make(chan error, 1)}
	p.cmd = exec.Command(program, append([]string{"serve", "--dev", "--addr", "127.0.0.1:0", "--data", p.data}, args...)...)
	p.cmd.Stdout = p.stdout
	pipe, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan string, 1)
	go func() {
		r := bufio.NewReader(io.TeeReader(pipe, p.stderr))
		for {
			line, err := r.ReadString('\n')
			if url, ok := strings.CutPrefix(line, "lyceum: ready "); ok {
				ready <- strings.TrimSpace(url)
			}
			if err != nil {
				break
			}
		}
		p.exited <- p.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it may have exited by itself
		select {
		case <-p.exited:
		case <-time.After(10 * time.Second):
			t.Error("the process did not end")
		}
	})
	select {
	case p.url = <-ready:
	case err := <-p.exited:
		p.exited <- err
		t.Fatalf("the server did not start: %v\n%s", err, p.stderr)
	case <-time.After(30 * time.Second):
		t.Fatalf("the server is not ready\n%s", p.stderr)
	}
	return p
}

// token mints a token with the server's data directory.
func (p *proc) token(args ...string) string {
	p.t.Helper()
	out, err := exec.Command(binary, append([]string{"token", "--data", p.data}, args...)...).Output()
	if err != nil {
		p.t.Fatalf("token: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// kill ends the process as a power failure does, and waits for it.
func (p *proc) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	p.exited <- <-p.exited
}

// call runs an operation on the server and returns its result, or fails.
func (p *proc) call(token, operation, arguments string, flags ...string) string {
	p.t.Helper()
	args := append([]string{"call", operation, "--json", arguments, "--url", p.url + "/mcp", "--token", token}, flags...)
	var stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("call %s %s: %v\n%s%s", operation, arguments, err, out, stderr.String())
	}
	return string(out)
}

// stop sends SIGTERM and returns the exit status.
func (p *proc) stop() int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case err := <-p.exited:
		p.exited <- err
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(60 * time.Second):
		p.t.Fatal("the server did not stop")
		return -1
	}
}

func TestWelcome(t *testing.T) {
	p := serve(t)
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.stdout.String(), "mcpServers") && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond) // a pipe lies between us
	}
	out := p.stdout.String()
	_, token, _ := strings.Cut(out, "LYCEUM_TOKEN=")
	token, _, _ = strings.Cut(token, "\n")
	for _, want := range []string{p.url + "/mcp", p.url + "/admin/", `"mcpServers"`, "claude mcp add"} {
		if !strings.Contains(out, want) {
			t.Errorf("the welcome lacks %q:\n%s", want, out)
		}
	}
	got, err := exec.Command(binary, "call", "statistical_reasoning", "--json", `{"mode":"summary","data":[1,2,3,4]}`, "--url", p.url+"/mcp", "--token", token).CombinedOutput()
	if err != nil || !bytes.Contains(got, []byte(`"mean": 2.5`)) {
		t.Errorf("a call with the printed token: %v\n%s", err, got)
	}
	if out, err := exec.Command(binary, "health", "--url", p.url).CombinedOutput(); err != nil || string(out) != "ready\n" {
		t.Errorf("health: %v %s", err, out)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if err := exec.Command(binary, "health", "--url", p.url).Run(); err == nil {
		t.Error("health of a stopped server")
	}
}

// SIGTERM while many clients call: exit status 0, and every call that was taken
// has its answer.
func TestTerminateUnderLoad(t *testing.T) {
	p := serve(t, "--limits-per-token", "1000000000", "--limits-per-address", "1000000000", "--log-level", "info")
	token := p.token("--sub", "alice")
	var wg sync.WaitGroup
	var mu sync.Mutex
	answered, broken := 0, []string{}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	for range 8 {
		wg.Go(func() {
			for {
				var out, errOut bytes.Buffer
				var c callCmd
				c.Operation, c.URL, c.Token = "mcts", p.url+"/mcp", token
				c.JSON = `{"action":"run","domain":"nim","heaps":[3,4,5],"simulations":20000,"seed":1}`
				err := c.run(ctx, process{stdout: &out, stderr: &errOut}, nil)
				mu.Lock()
				switch {
				case err == nil:
					answered++
				case strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "status 503"):
				case strings.Contains(err.Error(), "reset") || strings.HasSuffix(err.Error(), "EOF") || strings.Contains(err.Error(), "closed idle connection"):
					// A connection that was idle or not yet accepted: no call was taken.
				default:
					broken = append(broken, err.Error())
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		mu.Lock()
		n := answered
		mu.Unlock()
		if n >= 20 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d calls answered; broken %v", n, broken)
		}
		time.Sleep(5 * time.Millisecond)
	}
	code := p.stop()
	wg.Wait()
	if code != 0 || len(broken) > 0 {
		t.Errorf("exit status %d, broken calls %v\n%s", code, broken, p.stderr)
	}
	if log := p.stderr.String(); !strings.Contains(log, `"msg":"drained"`) || !strings.Contains(log, `"jobs_cut":0`) {
		t.Errorf("no record of the drain:\n%s", log)
	}
}

// SIGHUP makes the server read its settings again: what can change does, what
// cannot is named, and a mistake changes nothing.
func TestReload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lyceum.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log:\n  level: info\n")
	p := serve(t, "--config", file)
	reload := func(want string) {
		t.Helper()
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.stderr.String(), want); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the log lacks %s:\n%s", want, p.stderr)
			}
		}
	}
	write("log:\n  level: info\nwork:\n  max_queued: 777\n  tenants: [{tenant: dev, weight: 3}]\nsessions:\n  max_total: 50000\n")
	reload(`"changed":["work.max_queued","work.tenants"],"need_restart":["sessions.max_total"]`)
	write("work:\n  max_queued: none\n")
	reload(`"msg":"the settings are as they were`)
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}
