package mcpserve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/tools"
)

// The tests whose names begin with TestDuty hold the server to a duty of the
// protocol each; docs/duties-base.md lists all of them.

// canAll declares everything that a client of 2026-07-28 can.
const canAll = `{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`

// said is what came back for one request.
type said struct {
	answer
	rev    string
	method string
	id     string // of the request, as written
	what   string // for people
}

// messages returns every message of a response.
func (s *said) messages() []json.RawMessage {
	if len(s.events) > 0 {
		return s.events
	}
	if len(s.body) == 0 {
		return nil
	}
	return []json.RawMessage{s.body}
}

// request sends a request of the peer's era; params is a JSON object.
func (p *peer) request(id, method, params string, change ...func(*http.Request)) *said {
	p.w.t.Helper()
	body, heads := p.message(id, method, params)
	return &said{answer: p.do("POST", body, append(heads, change...)...), rev: p.rev, method: method, id: id, what: method + " " + params}
}

// message writes a request of the peer's era, and the headers that go with it.
func (p *peer) message(id, method, params string) (string, []func(*http.Request)) {
	var heads []func(*http.Request)
	if p.rev == rev2026 {
		var named struct{ Name, URI, TaskID string }
		_ = json.Unmarshal([]byte(params), &named) // what is no string has no header
		heads = append(heads, header(headerMethod, method))
		for on, target := range map[string]string{
			"tools/call prompts/get": named.Name, "resources/read": named.URI, "tasks/get tasks/update tasks/cancel": named.TaskID,
		} {
			if slices.Contains(strings.Fields(on), method) {
				heads = append(heads, header(headerName, target))
			}
		}
		meta := `"_meta":{"` + metaVersion + `":"` + rev2026 + `","` + metaCapabilities + `":` + canAll
		if rest, ok := strings.CutPrefix(params, `{"_meta":{`); ok { // more of the request's own
			params = `{` + meta + `,` + rest
		} else {
			params = `{` + meta + `},` + params[1:]
		}
		params = strings.Replace(params, `},}`, `}}`, 1)
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`, heads
}

// walkEverything sends every method that the revision has, right and wrong, and
// returns all that came back.
func walkEverything(t *testing.T, w *world, rev string) []*said {
	t.Helper()
	p := &peer{w: w, who: "alice", rev: rev}
	var all []*said
	n := 0
	ask := func(method, params string, change ...func(*http.Request)) *said {
		n++
		s := p.request(fmt.Sprint(n), method, params, change...)
		s.rev = rev
		all = append(all, s)
		return s
	}
	if rev == rev2026 {
		ask("server/discover", `{}`)
	} else {
		p.rev = ""
		s := ask("initialize", `{"protocolVersion":"`+rev+`","capabilities":`+canElicit+`,"clientInfo":{"name":"p","version":"1"}}`)
		p.session = s.header.Get(headerSession)
	}
	for _, method := range []string{"tools/list", "resources/list", "resources/templates/list", "prompts/list"} {
		ask(method, `{}`)
		ask(method, `{"cursor":"nonsense"}`)
	}
	made := ask("tools/call", `{"name":"clear_thought","arguments":{"operation":"remember","parameters":{"text":"x"}}}`)
	env, _ := made.result(t)
	mine := "lyceum://sessions/" + env.SessionID
	for _, params := range []string{
		`{"name":"echo","arguments":{"text":"hi"}}`, `{"name":"nope","arguments":{}}`, `{"name":7}`, `{"name":"echo","arguments":[]}`,
		`{"name":"clear_thought","arguments":{"operation":"nope"}}`, `{"name":"clear_thought","arguments":{"operation":"run_code"}}`,
		`{"name":"clear_thought","arguments":{"operation":"explode"}}`, `{"name":"clear_thought","arguments":{"operation":"echo","sessionId":"rs_no"}}`,
		`{"_meta":{"progressToken":"t"},"name":"clear_thought","arguments":{"operation":"steps"}}`,
		`{"name":"session_list","arguments":{}}`, `{"name":"job_list","arguments":{}}`, `{"name":"job_result","arguments":{"jobId":"jb_no"}}`,
	} {
		ask("tools/call", params)
	}
	for _, uri := range []string{"lyceum://guide", mine, mine + "/export", "lyceum://sessions/rs_no", "x://y"} {
		ask("resources/read", `{"uri":"`+uri+`"}`)
	}
	ask("prompts/get", `{"name":"test","arguments":{"task":"x"}}`)
	ask("prompts/get", `{"name":"test"}`)
	ask("prompts/get", `{"name":"nope"}`)
	ask("completion/complete", `{"ref":{"type":"ref/prompt","name":"test"},"argument":{"name":"operation","value":""}}`)
	ask("completion/complete", `{"ref":{"type":"ref/nope"}}`)
	ask("nope", `{}`)
	ask("tasks/list", `{}`)
	if rev == rev2026 {
		walkModern(t, p, ask, mine)
	} else {
		for method, params := range map[string]string{
			"ping": `{}`, "logging/setLevel": `{"level":"debug"}`, "resources/subscribe": `{"uri":"` + mine + `"}`, "resources/unsubscribe": `{"uri":"` + mine + `"}`,
		} {
			ask(method, params)
		}
		ask("logging/setLevel", `{"level":"loud"}`)
		ask("resources/subscribe", `{"uri":"lyceum://sessions/rs_no"}`)
		for _, method := range []string{"server/discover", "subscriptions/listen", "tasks/get", "tasks/update", "tasks/cancel", "notifications/initialized"} {
			ask(method, `{}`)
		}
	}
	return all
}

// walkModern is what only 2026-07-28 has: rounds, tasks, a subscription, and the
// refusals of what is gone.
func walkModern(t *testing.T, p *peer, ask func(string, string, ...func(*http.Request)) *said, mine string) {
	t.Helper()
	if v := ask("tools/call", `{"name":"twice","arguments":{}}`).asks(t); v.ResultType != "input_required" {
		t.Errorf("a question: %+v", v)
	}
	task := ask("tools/call", `{"name":"both","arguments":{}}`).asks(t).TaskID
	until(t, "the questions of the task", func() bool {
		return ask("tasks/get", `{"taskId":"`+task+`"}`).asks(t).Status == taskInput
	})
	ask("tasks/update", `{"taskId":"`+task+`","inputResponses":{}}`)
	ask("tasks/cancel", `{"taskId":"`+task+`"}`)
	until(t, "the end of the task", func() bool {
		return ask("tasks/get", `{"taskId":"`+task+`"}`).asks(t).Status == taskCancelled
	})
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		ask(method, `{"taskId":"jb_no","inputResponses":{}}`)
	}
	for _, method := range removed {
		ask(method, `{"uri":"x://y","level":"debug"}`)
	}
	ask("tools/list", `{}`, header(headerMethod, "ping"))
	ask("tools/list", `{}`, header(headerVersion, rev202511))
	ask("tools/list", `{"_meta":{"`+metaLogLevel+`":"loud"}}`)
	ask("subscriptions/listen", `{"notifications":{"taskIds":7}}`)
	// A subscription that ends because all it watched has.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ask("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["`+mine+`"]}}`)
	}()
	until(t, "the subscription", func() bool { return p.w.server.subs.watched.Load() > 0 })
	id := strings.TrimPrefix(mine, "lyceum://sessions/")
	p.call("1", "session_delete", `{"sessionId":"`+id+`"}`, "")
	wait(t, "the end of the subscription", ended)
}

// everyEra runs what a walk of each revision has brought.
func everyEra(t *testing.T, check func(t *testing.T, s *said)) {
	t.Helper()
	for _, rev := range supported {
		t.Run(rev, func(t *testing.T) {
			all := walkEverything(t, askingWorld(t), rev)
			for _, s := range all {
				check(t, s)
			}
		})
	}
}

// wire is a message as far as the walk looks at it.
type wire struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Method  string          `json:"method"`
	Result  json.RawMessage `json:"result"`
	Error   *struct {
		Code    json.Number `json:"code"`
		Message string      `json:"message"`
	} `json:"error"`
}

// Every answer to every method, in every revision: the shape of the message, the
// type of its result, and the code of its error.
func TestDutyEveryAnswer(t *testing.T) {
	everyEra(t, func(t *testing.T, s *said) {
		messages := s.messages()
		if len(messages) == 0 {
			t.Errorf("%s: no message: %d", s.what, s.status)
		}
		for i, raw := range messages {
			var m wire
			if err := json.Unmarshal(raw, &m); err != nil || m.JSONRPC != "2.0" {
				t.Fatalf("%s: %s (%v)", s.what, raw, err)
			}
			last := i == len(messages)-1
			switch {
			case m.Method != "" && (len(m.ID) > 0 || last):
				t.Errorf("%s: a request of the server, or a stream without an answer: %s", s.what, raw)
			case m.Method != "":
			case !last || string(m.ID) != s.id:
				t.Errorf("%s: message %d of %d answers %s, want %s at the end: %s", s.what, i, len(messages), m.ID, s.id, raw)
			case (m.Error == nil) == (m.Result == nil):
				t.Errorf("%s: neither a result nor an error: %s", s.what, raw)
			case m.Error != nil:
				checkCode(t, s, &m)
			default:
				checkResult(t, s, m.Result)
			}
			for _, key := range metaKeysOf(raw) {
				if key != metaServerInfo && key != metaSubscription {
					t.Errorf("%s: the key %q in _meta is not one of ours: %s", s.what, key, raw)
				}
			}
		}
		if got := s.header.Get(headerSession); (got != "") != (s.method == "initialize" && s.rev != rev2026) {
			t.Errorf("%s: session header %q", s.what, got)
		}
	})
}

// checkCode holds the code of an error against those that the revision has.
func checkCode(t *testing.T, s *said, m *wire) {
	t.Helper()
	code, err := m.Error.Code.Int64()
	if err != nil || m.Error.Message == "" {
		t.Errorf("%s: %+v", s.what, m.Error)
	}
	allowed := []int64{codeParse, codeInvalidRequest, codeNoMethod, codeInvalidParams, codeInternal}
	if s.rev == rev2026 {
		allowed = append(allowed, codeHeader, codeCapability, codeVersion)
	} else if strings.HasPrefix(s.method, "resources/") {
		allowed = append(allowed, codeNoResource)
	}
	ours := code >= 400 && code < 600 // the HTTP status, far from the reserved range
	if !ours && !slices.Contains(allowed, code) {
		t.Errorf("%s: code %d", s.what, code)
	}
	if ours && int64(s.status) != code {
		t.Errorf("%s: status %d, code %d", s.what, s.status, code)
	}
}

// checkResult looks at what the eras do not share.
func checkResult(t *testing.T, s *said, result json.RawMessage) {
	t.Helper()
	kind := memberOf(result, "resultType")
	if s.rev != rev2026 {
		for _, key := range []string{"resultType", "ttlMs", "cacheScope"} {
			if memberOf(result, key) != nil {
				t.Errorf("%s: an older revision got %s: %s", s.what, key, result)
			}
		}
		return
	}
	allowed := []string{`"complete"`}
	switch s.method {
	case "tools/call":
		allowed = append(allowed, `"input_required"`, `"task"`)
	case "prompts/get", "resources/read":
		allowed = append(allowed, `"input_required"`)
	}
	if !slices.Contains(allowed, string(kind)) {
		t.Errorf("%s: resultType %s: %s", s.what, kind, result)
	}
	if s.method == "subscriptions/listen" {
		return // its end names the subscription, and nothing else
	}
	info := memberOf(memberOf(result, "_meta"), metaServerInfo)
	if string(memberOf(info, "name")) != `"lyceum"` || string(memberOf(info, "version")) != `"test"` {
		t.Errorf("%s: no serverInfo: %s", s.what, result)
	}
}

// metaKeysOf returns the keys of _meta anywhere in a message, but in schemas.
func metaKeysOf(raw json.RawMessage) (keys []string) {
	var visit func(v any)
	visit = func(v any) {
		switch x := v.(type) {
		case []any:
			for _, item := range x {
				visit(item)
			}
		case map[string]any:
			for k, item := range x {
				if meta, ok := item.(map[string]any); ok && k == "_meta" {
					for key := range meta {
						keys = append(keys, key)
					}
				}
				if k != "inputSchema" && k != "outputSchema" {
					visit(item)
				}
			}
		}
	}
	var v any
	if json.Unmarshal(raw, &v) == nil {
		visit(v)
	}
	return keys
}

// The walk must be of everything: a method that the server serves and the walk
// does not know would be looked at by nobody.
func TestDutyWalkIsOfEveryMethod(t *testing.T) {
	seen := map[string]bool{}
	for _, rev := range []string{rev202511, rev2026} {
		for _, s := range walkEverything(t, askingWorld(t), rev) {
			if len(s.messages()) > 0 && !strings.Contains(string(s.body), fmt.Sprint(`"code":`, codeNoMethod)) {
				seen[s.method] = true
			}
		}
	}
	for _, m := range methods {
		if !seen[m] {
			t.Errorf("%s is in the metrics and not in the walk", m)
		}
	}
	for m := range seen {
		if !slices.Contains(methods, m) {
			t.Errorf("%s is served and not in the metrics", m)
		}
	}
	if tools.TasksExtension != "io.modelcontextprotocol/tasks" {
		t.Errorf("extension %s", tools.TasksExtension)
	}
}
