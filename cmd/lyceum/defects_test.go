package main

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The tests of this file show on the built program that defects of Lyceum's
// ancestor cannot come back. docs/defects.md lists all of them.

func TestD27StdioEndsWithItsInput(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "stdio", "--data", t.TempDir())
	cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}` + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("stdio after the end of its input: %v\n%s", err, out)
	}
}

func TestD31PollingSessionInfoKeepsNoSessionAlive(t *testing.T) {
	p := serve(t, "--sessions-idle-ttl", "2s")
	alice := p.token("--sub", "alice")
	id := p.mustThink(alice, "left alone")
	begin := time.Now()
	for {
		out, err := lyceum("call", "session_info", "--json", "{}", "--session", id, "--url", p.url+"/mcp", "--token", alice)
		if err != nil {
			if !strings.Contains(out, "Session not found or expired") {
				t.Errorf("the end of the session: %v %s", err, out)
			}
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatalf("after %v of polling the session is still there: %s", time.Since(begin), out)
		}
	}
	if lived := time.Since(begin); lived < time.Second {
		t.Errorf("it lived for %v only", lived)
	}
}

func TestD35AnOperationSpendsNoThoughtsOfTheSession(t *testing.T) {
	p := serve(t)
	alice := p.token("--sub", "alice")
	id := p.mustThink(alice, "the only thought")
	slots := func() map[string]string {
		t.Helper()
		all, ok := field(t, p.call(alice, "session_export", `{}`, "--session", id), "result", "slots").(map[string]any)
		if !ok {
			t.Fatal("the export has no slots")
		}
		texts := map[string]string{}
		for name, v := range all {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			texts[name] = string(b)
		}
		return texts
	}
	before := slots()
	p.call(alice, "statistical_reasoning", `{"mode":"summary","data":[1,2,3,4]}`, "--session", id)
	p.call(alice, "mcts", `{"action":"run","domain":"nim","heaps":[1,2],"simulations":100,"seed":1}`, "--session", id)
	for i := range 3 {
		p.call(alice, "decision_framework", `{"options":[{"name":"a","attributes":{"x":1}},{"name":"b","attributes":{"x":2}}],"criteria":[{"name":"x","weight":1}]}`, "--session", id)
		after := slots()
		for name, want := range before {
			if after[name] != want {
				t.Errorf("after decision %d the slot %s is\n%s\nwant\n%s", i, name, after[name], want)
			}
		}
	}
}
