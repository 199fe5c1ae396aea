package mcpserve

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/tools"
)

// backgroundWorld has tools that become tasks at once: one asks three times with
// the same key, the others end as their names say.
func backgroundWorld(t testing.TB) *world {
	w := newWorld(t)
	define := func(name string, fn func(ctx context.Context, c *tools.Call) (echoOut, error)) {
		spec := askingSpec(name)
		tool := tools.Define(spec, func(ctx context.Context, c *tools.Call, _ struct{}) (echoOut, error) {
			if err := c.NeedBackground(ctx); err != nil {
				return echoOut{}, err
			}
			return fn(ctx, c)
		})
		w.server.offer(name, spec.Summary, spec.Title, tool.InputSchema(), nil, annotations(spec.Effect), &direct{tool: tool})
	}
	define("asks", func(ctx context.Context, c *tools.Call) (echoOut, error) {
		for _, key := range []string{"who", "what", "why"} {
			if _, err := c.Ask(ctx, nameForm(key)); err != nil {
				return echoOut{}, err
			}
		}
		return echoOut{"told"}, nil
	})
	define("refuses", func(context.Context, *tools.Call) (echoOut, error) {
		return echoOut{}, &fault.Error{Kind: fault.Invalid, Code: "no_solution", Public: "there is no solution"}
	})
	define("breaks", func(context.Context, *tools.Call) (echoOut, error) { panic("secret detail") })
	define("works", func(context.Context, *tools.Call) (echoOut, error) { return echoOut{"done"}, nil })
	return w
}

// begin calls a tool that becomes a task and returns it as the answer tells it.
func (p *peer) begin(tool string) (asksView, answer) {
	p.w.t.Helper()
	a := p.rpc("tools/call", tool, `"name":"`+tool+`","arguments":{}`, canTask)
	return a.asks(p.w.t), a
}

// Creating a task tells its plain fields and nothing else, and tasks/get knows it at
// once; its end is final.
func TestDutyTaskFields(t *testing.T) {
	w := backgroundWorld(t)
	alice := w.modern("alice")
	v, a := alice.begin("works")
	var r struct {
		Result map[string]json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil {
		t.Fatal(err)
	}
	allowed := []string{"_meta", "createdAt", "lastUpdatedAt", "pollIntervalMs", "resultType", "status", "statusMessage", "taskId", "ttlMs"}
	for member := range r.Result {
		if !slices.Contains(allowed, member) {
			t.Errorf("a new task has %s: %s", member, a.body)
		}
	}
	var fields struct {
		Created, Updated time.Time
		TTL, Poll        int64
	}
	for member, into := range map[string]any{"createdAt": &fields.Created, "lastUpdatedAt": &fields.Updated, "ttlMs": &fields.TTL, "pollIntervalMs": &fields.Poll} {
		if err := json.Unmarshal(r.Result[member], into); err != nil {
			t.Errorf("%s is %s: %v", member, r.Result[member], err)
		}
	}
	if fields.Created.IsZero() || fields.Updated.Before(fields.Created) || fields.TTL <= 0 || fields.Poll < minPoll.Milliseconds() || fields.Poll > maxPoll.Milliseconds() || v.ResultType != "task" || len(v.TaskID) < 26 {
		t.Errorf("%+v of %s", fields, a.body)
	}
	var last string
	until(t, "the end of the task", func() bool {
		got := alice.task("tasks/get", v.TaskID, "", canTask)
		view := got.asks(t)
		if view.ResultType != "complete" || view.TaskID != v.TaskID {
			t.Fatalf("%s", got.body)
		}
		last = string(got.body)
		return view.Status == taskCompleted
	})
	if strings.Contains(last, `"pollIntervalMs"`) || !strings.Contains(last, `\"text\":\"done\"`) || !strings.Contains(last, `"structuredContent"`) {
		t.Errorf("%s", last)
	}
	for _, method := range []string{"tasks/cancel", "tasks/update", "tasks/get"} {
		ack := alice.task(method, v.TaskID, `,"inputResponses":{}`, canTask)
		if ack.asks(t).ResultType != "complete" || method != "tasks/get" && strings.Contains(string(ack.body), `"status"`) {
			t.Errorf("%s of a task that has ended: %s", method, ack.body)
		}
	}
	if again := string(alice.task("tasks/get", v.TaskID, "", canTask).body); again != last {
		t.Errorf("the end is not final:\n%s\n%s", last, again)
	}
}

// A tool that fails has completed, with isError; failed is a failure of the server,
// and tells nothing of its inside.
func TestDutyTaskFailures(t *testing.T) {
	w := backgroundWorld(t)
	alice := w.modern("alice")
	end := func(tool string) (asksView, string) {
		v, _ := alice.begin(tool)
		var a answer
		until(t, "the end of "+tool, func() bool {
			a = alice.task("tasks/get", v.TaskID, "", canTask)
			return a.asks(t).Status != taskWorking
		})
		return a.asks(t), string(a.body)
	}
	if v, body := end("refuses"); v.Status != taskCompleted || !v.Result.IsError || !strings.Contains(body, "no_solution") || strings.Contains(body, `"error":{"code":-`) {
		t.Errorf("%s", body)
	}
	if v, body := end("breaks"); v.Status != taskFailed || v.Error.Code != codeInternal || !strings.Contains(body, `"statusMessage"`) || strings.Contains(body, "secret") || strings.Contains(body, `"content"`) {
		t.Errorf("%s", body)
	}
}

// Keys of questions are used once in the life of a task, and an answer to one that
// has been asked before is ignored.
func TestDutyTaskKeysAreUsedOnce(t *testing.T) {
	w := backgroundWorld(t)
	alice := w.modern("alice")
	v, _ := alice.begin("asks")
	seen := map[string]bool{}
	for round := range 3 {
		var key string
		until(t, fmt.Sprintf("question %d", round), func() bool {
			open := alice.task("tasks/get", v.TaskID, "", canTask).asks(t)
			keys := slices.Collect(maps.Keys(open.InputRequests))
			if len(keys) != 1 || open.Status != taskInput {
				return false
			}
			key = keys[0]
			return !seen[key]
		})
		for old := range seen { // too late
			alice.task("tasks/update", v.TaskID, fmt.Sprintf(`,"inputResponses":{%q:{"action":"decline"}}`, old), canTask)
		}
		if open := alice.task("tasks/get", v.TaskID, "", canTask).asks(t); len(open.InputRequests) != 1 {
			t.Errorf("an old key has answered a new question: %+v", open)
		}
		seen[key] = true
		alice.task("tasks/update", v.TaskID, fmt.Sprintf(`,"inputResponses":{%q:{"action":"accept","content":{"name":"Ann"}}}`, key), canTask)
	}
	until(t, "the end of the task", func() bool { return alice.task("tasks/get", v.TaskID, "", canTask).asks(t).Status == taskCompleted })
	if len(seen) != 3 {
		t.Errorf("keys %v", seen)
	}
}

// The parameter "task" of the experimental tasks of 2025-11-25 is ignored in every
// revision, and no revision is told of those.
func TestDutyOldTaskParameterIsIgnored(t *testing.T) {
	w := newWorld(t)
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		meta := ""
		var heads []func(*http.Request)
		if revision == rev2026 {
			meta, heads = ","+strings.Replace(modernMeta, "%s", "", 1), []func(*http.Request){header(headerMethod, "tools/call"), header(headerName, "echo")}
		}
		for _, task := range []string{`{"ttl":60000}`, `{}`, `null`, `7`} {
			a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hi"},"task":`+task+meta+`}}`, heads...)
			if env, bad := a.result(t); bad || string(env.Result) != `{"text":"hi"}` || strings.Contains(string(a.body), "taskId") {
				t.Errorf("%s, task %s: %s", revision, task, a.body)
			}
		}
		for _, method := range []string{"tasks/result", "tasks/list"} {
			if a := p.ask(method, `{"taskId":"jb_x"}`); a.code(t) != codeNoMethod {
				t.Errorf("%s, %s: %s", revision, method, a.body)
			}
		}
	}
	for _, revision := range legacyRevisions {
		a := (&peer{w: w, who: "alice"}).do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+revision+`","capabilities":{"tasks":{}},"clientInfo":{"name":"p","version":"1"}}}`)
		if strings.Contains(string(a.body), `"tasks":`) {
			t.Errorf("%s: %s", revision, a.body)
		}
	}
}

// Every request about a task is authenticated and authorised by itself: a token
// without the scope is told which it needs, and learns nothing of the task.
func TestDutyTaskRequestsNeedTheScope(t *testing.T) {
	w := backgroundWorld(t)
	v, _ := w.modern("alice").begin("works")
	for _, id := range []string{v.TaskID, "jb_none"} {
		for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
			a := w.modern("alice").rpc(method, id, fmt.Sprintf(`"taskId":%q,"inputResponses":{}`, id), canTask, header("X-Scopes", "none"))
			if a.status != http.StatusForbidden || a.header.Get("WWW-Authenticate") == "" || strings.Contains(string(a.body), v.TaskID) {
				t.Errorf("%s of %s: %d %s", method, id, a.status, a.body)
			}
		}
	}
}

// Who does not declare the extension in the request never gets a task, even if it
// has declared it before.
func TestDutyTasksAreDeclaredEachTime(t *testing.T) {
	w := newWorld(t, impatient)
	alice := w.modern("alice")
	for _, capabilities := range []string{canTask, noTasks, `{"extensions":{}}`, `{"tasks":{}}`, `{"extensions":{"io.modelcontextprotocol/Tasks":{}}}`, `{"extensions":{"io.modelcontextprotocol/tasks":null}}`, canTask} {
		a := alice.rpc("tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"hold"}`, capabilities)
		<-w.gates.entered
		if task := a.asks(t).ResultType == "task"; task != (capabilities == canTask) {
			t.Errorf("%s: %s", capabilities, a.body)
		}
		w.gates.leave <- struct{}{}
		<-w.gates.ended
	}
}

// askingPrompt asks for a name before it says anything.
var askingPrompt = Prompt{
	Name: "greeting", Description: "Greets.", Get: func(ctx context.Context, ask tools.Line, _ map[string]string) ([]mcp.PromptMessage, error) {
		a, err := ask.Ask(ctx, []tools.Question{nameForm("who")})
		if err != nil {
			return nil, err
		}
		_, content := a.Form("who")
		return []mcp.PromptMessage{{Role: "user", Content: mcp.TextContent{Type: "text", Text: "Hello " + string(content)}}}, nil
	},
}

// Questions come with a prompt as with a call, one round after the other, and with
// nothing that did not ask for them.
func TestDutyQuestionsOfAPrompt(t *testing.T) {
	w := newWorld(t)
	w.server.More = More{Prompts: []Prompt{askingPrompt}}
	alice := w.modern("alice")
	get := func(p *peer, more string) answer {
		return p.rpc("prompts/get", "greeting", `"name":"greeting"`+more, canElicit)
	}
	first := get(alice, "").asks(t)
	if first.ResultType != "input_required" || len(first.InputRequests) != 1 || first.RequestState == "" {
		t.Fatalf("%+v", first)
	}
	answers := `,"inputResponses":{"who":{"action":"accept","content":{"name":"Ann"}}},"requestState":` + fmt.Sprintf("%q", first.RequestState)
	if a := get(alice, answers); a.asks(t).ResultType != "complete" || !strings.Contains(string(a.body), `Hello {\"name\":\"Ann\"}`) {
		t.Errorf("%s", a.body)
	}
	if a := get(w.modern("bob"), answers); a.code(t) != codeInvalidParams {
		t.Errorf("somebody else's state: %s", a.body)
	}
	if a := alice.rpc("prompts/get", "greeting", `"name":"greeting"`, `{}`); a.status != http.StatusBadRequest || a.code(t) != codeCapability {
		t.Errorf("undeclared: %d %s", a.status, a.body)
	}
}

// What a client keeps for us is sealed: it tells nothing, and anything but what was
// sealed for the same owner, method, target and arguments gives one answer, with the
// same bytes.
func TestDutyStateIsSealed(t *testing.T) {
	w := askingWorld(t)
	alice := w.modern("alice")
	call := func(p *peer, tool, arguments, state string) answer {
		return p.rpc("tools/call", tool, fmt.Sprintf(`"name":%q,"arguments":%s,"requestState":%s`, tool, arguments, state), canElicit)
	}
	first := alice.rpc("tools/call", "stateful", `"name":"stateful","arguments":{}`, canElicit).asks(t)
	good := fmt.Sprintf("%q", first.RequestState)
	flipped := []byte(first.RequestState)
	flipped[len(flipped)/2] ^= 1
	for _, told := range []string{"alice", "rs_", "session", "{", "stateful"} {
		if strings.Contains(first.RequestState, told) {
			t.Errorf("the state tells %q: %s", told, first.RequestState)
		}
	}
	want := ""
	for _, c := range []struct {
		what string
		a    answer
	}{
		{"somebody else's", call(w.modern("bob"), "stateful", `{}`, good)},
		{"of another tenant", call(w.modern("alice@other"), "stateful", `{}`, good)},
		{"of another tool", call(alice, "twice", `{}`, good)},
		{"of other arguments", call(alice, "stateful", `{"x":1}`, good)},
		{"damaged", call(alice, "stateful", `{}`, fmt.Sprintf("%q", flipped))},
		{"cut", call(alice, "stateful", `{}`, fmt.Sprintf("%q", first.RequestState[:20]))},
		{"empty", call(alice, "stateful", `{}`, `""`)},
		{"a number", call(alice, "stateful", `{}`, `7`)},
		{"nothing", call(alice, "stateful", `{}`, `null`)},
	} {
		got := fmt.Sprintf("%d %s", c.a.status, c.a.body)
		if want == "" {
			want = got
		}
		if got != want || c.a.code(t) != codeInvalidParams {
			t.Errorf("%s: %s, want %s", c.what, got, want)
		}
	}
	if v := call(alice, "stateful", `{}`, good).asks(t); v.ResultType != "input_required" {
		t.Errorf("one's own: %+v", v)
	}
}
