package mcpserve

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/tools"
)

const (
	canTask = `{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`
	noTasks = `{"elicitation":{}}`
)

func (p *peer) task(method, id, more, capabilities string) answer {
	return p.rpc(method, id, fmt.Sprintf(`"taskId":%q`, id)+more, capabilities)
}

func TestTaskAsks(t *testing.T) {
	w := askingWorld(t)
	alice := w.modern("alice")
	a := alice.rpc("tools/call", "both", `"name":"both","arguments":{}`, canTask)
	v := a.asks(t)
	if v.ResultType != "task" || v.TaskID == "" || v.Status != taskWorking || strings.Contains(string(a.body), "requestState") {
		t.Fatalf("%s", a.body)
	}
	get := func() asksView { return alice.task("tasks/get", v.TaskID, "", canTask).asks(t) }
	until(t, "the questions of the task", func() bool { return get().Status == taskInput })
	open := get().InputRequests
	if len(open) != 2 {
		t.Fatalf("%+v", open)
	}
	var keys []string
	for k := range open {
		keys = append(keys, k)
	}
	// Nobody else's task, whatever is asked of it, and the same bytes as of none.
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		theirs := w.modern("bob").task(method, v.TaskID, `,"inputResponses":{}`, canTask)
		none := w.modern("bob").task(method, "jb_none", `,"inputResponses":{}`, canTask)
		if theirs.code(t) != codeInvalidParams || theirs.status != 200 || string(theirs.body) != string(none.body) {
			t.Errorf("%s: %s, of none %s", method, theirs.body, none.body)
		}
		undeclared := alice.task(method, v.TaskID, `,"inputResponses":{}`, noTasks)
		if undeclared.status != 400 || undeclared.code(t) != codeCapability || !strings.Contains(string(undeclared.body), `"extensions":{"io.modelcontextprotocol/tasks":{}}`) {
			t.Errorf("%s: %s", method, undeclared.body)
		}
		wrong := alice.rpc(method, "jb_other", fmt.Sprintf(`"taskId":%q`, v.TaskID), canTask)
		if wrong.status != 400 || wrong.code(t) != codeHeader {
			t.Errorf("%s under another Mcp-Name: %s", method, wrong.body)
		}
	}
	answer := func(key, value string) answer {
		return alice.task("tasks/update", v.TaskID, fmt.Sprintf(`,"inputResponses":{%q:%s,"stray":{}}`, key, value), canTask)
	}
	if bad := answer(keys[0], `{"action":"perhaps"}`); bad.code(t) != codeInvalidParams {
		t.Errorf("%s", bad.body)
	}
	if ack := answer(keys[0], `{"action":"accept","content":{"name":"Ann"}}`); ack.asks(t).ResultType != "complete" || strings.Contains(string(ack.body), "taskId") {
		t.Errorf("%s", ack.body)
	}
	if now := get(); now.Status != taskInput || len(now.InputRequests) != 1 || now.InputRequests[keys[1]].Method == "" {
		t.Errorf("%+v", now)
	}
	answer(keys[1], `{"action":"decline"}`)
	until(t, "the end of the task", func() bool { return get().Status == taskCompleted })
	if text := get().Result.Content[0].Text; !strings.Contains(text, `{"name":"Ann"}`) || !strings.Contains(text, "decline") {
		t.Errorf("%q", text)
	}
	if n := len(w.server.parked.byID); n != 0 {
		t.Errorf("%d sets of questions are left", n)
	}
	if ack := alice.task("tasks/cancel", v.TaskID, "", canTask).asks(t); ack.ResultType != "complete" {
		t.Errorf("%+v", ack)
	}
}

// A long call becomes a task for who knows them, a job for everybody else, and
// either is found by both names.
func TestLongCallBecomesATask(t *testing.T) {
	w := newWorld(t, impatient)
	alice := w.modern("alice")
	const hold = `"name":"clear_thought","arguments":{"operation":"hold"}`
	v := alice.rpc("tools/call", "clear_thought", hold, canTask).asks(t)
	<-w.gates.entered
	if v.ResultType != "task" || v.Status != taskWorking {
		t.Fatalf("%+v", v)
	}
	if j := alice.jobs(); len(j.Jobs) != 1 || string(j.Jobs[0].JobID) != v.TaskID {
		t.Errorf("%+v", j)
	}
	if ack := alice.task("tasks/cancel", v.TaskID, "", canTask).asks(t); ack.ResultType != "complete" || ack.TaskID != "" {
		t.Errorf("%+v", ack)
	}
	<-w.gates.ended
	until(t, "the end", func() bool { return alice.task("tasks/get", v.TaskID, "", canTask).asks(t).Status == taskCancelled })

	env, _ := alice.rpc("tools/call", "clear_thought", hold, noTasks).result(t)
	<-w.gates.entered
	if !strings.Contains(string(env.Result), `"status":"running"`) {
		t.Errorf("%s", env.Result)
	}
	w.gates.leave <- struct{}{}
	<-w.gates.ended
	for _, method := range []string{"tasks/list", "tasks/result"} {
		if a := alice.rpc(method, "", "", canTask); a.status != 404 || a.code(t) != codeNoMethod {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	if a := w.legacy("alice", rev202511).do("POST", `{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"`+v.TaskID+`"}}`); a.code(t) != codeNoMethod {
		t.Errorf("before 2026-07-28: %s", a.body)
	}
	// Without the extension a call that needs a task is refused before it begins.
	w = askingWorld(t)
	if a := w.modern("alice").rpc("tools/call", "both", `"name":"both","arguments":{}`, noTasks); a.status != 400 || a.code(t) != codeCapability {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTaskNotifications(t *testing.T) {
	w := newWorld(t, impatient)
	alice := w.modern("alice")
	v := alice.rpc("tools/call", "clear_thought", `"name":"clear_thought","arguments":{"operation":"hold"}`, canTask).asks(t)
	<-w.gates.entered
	filter := fmt.Sprintf(`"notifications":{"taskIds":[%q,"jb_none"]}`, v.TaskID)
	if a := alice.rpc("subscriptions/listen", "", filter, noTasks); a.status != 400 || a.code(t) != codeCapability {
		t.Errorf("%d %s", a.status, a.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.http.URL+"/mcp", strings.NewReader(
		`{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{`+filter+`,"_meta":{"`+metaVersion+`":"2026-07-28","`+metaCapabilities+`":`+canTask+`}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for k, x := range map[string]string{"Authorization": "Bearer alice", "Content-Type": "application/json", headerVersion: rev2026, headerMethod: "subscriptions/listen"} {
		req.Header.Set(k, x)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	var told []string
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "" {
			continue
		}
		var m struct {
			Method string
			Params struct {
				Meta          map[string]string `json:"_meta"`
				Notifications struct{ TaskIDs []string }
				TaskID        string
				Status        string
			}
		}
		if err := json.Unmarshal([]byte(data), &m); err != nil || m.Params.Meta[metaSubscription] != "s" {
			t.Fatalf("%s (%v)", data, err)
		}
		if len(told) == 0 && (m.Method != "notifications/subscriptions/acknowledged" || fmt.Sprint(m.Params.Notifications.TaskIDs) != "["+v.TaskID+"]") {
			t.Fatalf("%s", data)
		}
		told = append(told, m.Params.Status)
		if m.Params.Status == taskWorking {
			w.gates.leave <- struct{}{}
			<-w.gates.ended
		}
		if m.Params.Status == taskCompleted {
			break
		}
	}
	if fmt.Sprint(told) != "[ working completed]" {
		t.Errorf("told %q", told)
	}
}

// A task that waits for an answer does not hold the process up, and says in the
// end why there is none.
func TestTaskThatAsksEndsWithTheProcess(t *testing.T) {
	w := askingWorld(t)
	alice := w.modern("alice")
	v := alice.rpc("tools/call", "both", `"name":"both","arguments":{}`, canTask).asks(t)
	get := func() asksView { return alice.task("tasks/get", v.TaskID, "", canTask).asks(t) }
	until(t, "the questions of the task", func() bool { return get().Status == taskInput })
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if r := w.server.Drain(ctx); r.Cut > 0 || time.Since(began) > 10*time.Second {
		t.Errorf("%+v", r)
	}
	a := alice.task("tasks/get", v.TaskID, "", canTask)
	if got := a.asks(t); got.Status != taskFailed || got.InputRequests != nil || !strings.Contains(string(a.body), "interrupted") {
		t.Errorf("%s", a.body)
	}
}

// No id but the owner's own leads to a task, and none breaks the answer.
func FuzzTaskID(f *testing.F) {
	w := askingWorld(f)
	made := w.modern("alice").rpc("tools/call", "both", `"name":"both","arguments":{}`, canTask).asks(f).TaskID
	f.Add(made, uint8(0))
	f.Add("", uint8(1))
	f.Add("jb_\x00\"", uint8(2))
	f.Fuzz(func(t *testing.T, id string, which uint8) {
		method := []string{"tasks/get", "tasks/update", "tasks/cancel"}[which%3]
		s := w.server
		q := &query{modern: true, in: &incoming{owner: owner(principalOf("bob")), principal: principalOf("bob"), client: clientOf()}, m: &message{method: method, taskID: id, inputResponses: json.RawMessage(`{"one.1.1":{"action":"cancel"}}`)}}
		if body, err := s.taskQuery(t.Context(), q); err == nil {
			t.Errorf("%s of %q by somebody else: %s", method, id, body)
		}
		q.in.owner = owner(principalOf("alice"))
		body, err := s.taskQuery(t.Context(), q)
		if (err == nil) != (id == made) || err == nil && !json.Valid(body) {
			t.Errorf("%s of %q: %s %v", method, id, body, err)
		}
	})
}

// A call that cannot be kept as a task says so, and does not wait for ever.
func TestBackgroundDeclined(t *testing.T) {
	l := (&Server{}).newLine(nil, nil)
	l.tasks, l.task = true, &task{call: tools.Call{Durable: (*job.Run)(nil)}}
	full := fault.Newf(fault.RateLimited, "too many jobs are kept")
	l.decline(full)
	l.decline(full)
	for range 2 {
		if err := l.Background(t.Context()); !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
	}
	l.becomesTask()
	if err := l.Background(t.Context()); err != nil {
		t.Errorf("a task: %v", err)
	}
}
