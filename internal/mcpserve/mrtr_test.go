package mcpserve

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

func askingSpec(name string) tools.Spec {
	return tools.Spec{
		Name: name, Family: "test", Title: name, Summary: "Asks.", Scope: policy.Reason, Lane: work.Interactive, Effect: tools.ReadOnly,
		Stateless: true, Asks: true, Method: "test", Examples: []tools.Example{{Title: "x", Arguments: "{}"}},
	}
}

func nameForm(key string) tools.Question {
	return tools.Form(key, "Who?", json.RawMessage(`{"type":"object","properties":{"name":{"type":"string","maxLength":20}},"required":["name"]}`))
}

// askingWorld is a server with tools that ask: twice one after the other; as a task,
// two things at once; and with a session of its own.
func askingWorld(t testing.TB, change ...func(*Config, *session.Config)) *world {
	w := newWorld(t, change...)
	type none struct{}
	type said struct {
		Text string `json:"text"`
		Seed uint64 `json:"seed"`
	}
	name := func(a tools.Answers, key string) string {
		action, content := a.Form(key)
		return action + " " + string(content)
	}
	twice := tools.Define(askingSpec("twice"), func(ctx context.Context, c *tools.Call, _ none) (said, error) {
		seed := c.Seed()
		one, err := c.Ask(ctx, nameForm("one"))
		if err != nil {
			return said{}, err
		}
		two, err := c.Ask(ctx, nameForm("two"))
		if err != nil {
			return said{}, err
		}
		return said{name(one, "one") + "; " + name(two, "two"), seed}, nil
	})
	stateful := askingSpec("stateful")
	stateful.Stateless = false
	in := tools.Define(stateful, func(ctx context.Context, c *tools.Call, _ none) (said, error) {
		_, err := c.Ask(ctx, nameForm("one"))
		return said{}, err
	})
	both := tools.DefineNative(askingSpec("both"), json.RawMessage(`{"type":"object"}`), func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*mcp.CallToolResult, error) {
		if err := c.NeedBackground(ctx); err != nil {
			return nil, err
		}
		a, err := c.Ask(ctx, nameForm("one"), nameForm("two"))
		if err != nil {
			return nil, err
		}
		return mcp.NewToolResultText(name(a, "one") + "; " + name(a, "two")), nil
	})
	header := tools.DefineNative(askingSpec("header"), json.RawMessage(headerSchema), func(context.Context, *tools.Call, json.RawMessage) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("ok"), nil
	})
	for _, tool := range []tools.Tool{twice, in, both, header} {
		d := &direct{tool: tool}
		var err error
		if d.headers, err = paramHeaders(tool.InputSchema()); err != nil {
			t.Fatal(err)
		}
		s := tool.Spec()
		w.server.offer(s.Name, s.Summary, s.Title, tool.InputSchema(), nil, annotations(s.Effect), d)
	}
	return w
}

// rpc sends a modern request with the given capabilities; params are its members
// but for _meta.
func (p *peer) rpc(method, name, params, capabilities string, change ...func(*http.Request)) answer {
	p.w.t.Helper()
	if params != "" {
		params += ","
	}
	body := `{"jsonrpc":"2.0","id":9,"method":"` + method + `","params":{` + params + `"_meta":{"` + metaVersion + `":"2026-07-28","` + metaCapabilities + `":` + capabilities + `}}}`
	return p.do("POST", body, append([]func(*http.Request){func(r *http.Request) {
		r.Header.Set(headerMethod, method)
		if name != "" {
			r.Header.Set(headerName, name)
		}
	}}, change...)...)
}

const canElicit = `{"elicitation":{}}`

type asksView struct {
	ResultType    string `json:"resultType"`
	RequestState  string `json:"requestState"`
	InputRequests map[string]struct {
		Method string `json:"method"`
	} `json:"inputRequests"`
	TaskID string `json:"taskId"`
	Status string `json:"status"`
	Result struct {
		IsError bool `json:"isError"`
		Content []struct {
			Text string `json:"text"`
		} `json:"content"`
	} `json:"result"`
	Error struct {
		Code int `json:"code"`
	} `json:"error"`
}

func (a answer) asks(t testing.TB) (v asksView) {
	t.Helper()
	body := a.body
	if len(a.events) > 0 {
		body = a.events[len(a.events)-1]
	}
	r := struct{ Result *asksView }{&v}
	if err := json.Unmarshal(body, &r); err != nil || r.Result == nil {
		t.Fatalf("%d %s (%v)", a.status, a.body, err)
	}
	return v
}

func TestRounds(t *testing.T) {
	w := askingWorld(t)
	alice := w.modern("alice")
	call := func(p *peer, arguments, more string) answer {
		return p.rpc("tools/call", "twice", `"name":"twice","arguments":`+arguments+more, canElicit)
	}
	first := call(alice, `{}`, "").asks(t)
	if first.ResultType != "input_required" || first.InputRequests["one"].Method != tools.AskForm || len(first.InputRequests) != 1 || first.RequestState == "" {
		t.Fatalf("%+v", first)
	}
	const one = `,"inputResponses":{"one":{"action":"accept","content":{"name":"Ann"}},"stray":7},"requestState":`
	second := call(alice, `{}`, one+fmt.Sprintf("%q", first.RequestState)).asks(t)
	if second.ResultType != "input_required" || second.InputRequests["two"].Method == "" || len(second.InputRequests) != 1 || second.RequestState == first.RequestState {
		t.Fatalf("%+v", second)
	}
	two := `,"inputResponses":{"two":{"action":"decline"}},"requestState":` + fmt.Sprintf("%q", second.RequestState)
	env, bad := call(alice, `{}`, two).result(t)
	var r struct {
		Text string
		Seed uint64
	}
	if json.Unmarshal(env.Result, &r) != nil || bad || r.Text != `accept {"name":"Ann"}; decline ` || env.Seed == nil || *env.Seed != r.Seed {
		t.Errorf("%s %v", env.Result, env.Seed)
	}
	// The seed is one and the same in every attempt.
	again, _ := call(alice, `{}`, two).result(t)
	if *again.Seed != *env.Seed {
		t.Errorf("seeds %d and %d", *env.Seed, *again.Seed)
	}

	for what, a := range map[string]answer{
		"another's":        call(w.modern("bob"), `{}`, two),
		"another tenant's": call(w.modern("alice@u"), `{}`, two),
		"other arguments":  call(alice, `{"x":1}`, two),
		"damaged":          call(alice, `{}`, strings.TrimSuffix(two, `"`)+`-TAMPERED"`),
		"no string":        call(alice, `{}`, `,"requestState":7`),
		"another tool":     alice.rpc("tools/call", "stateful", `"name":"stateful","arguments":{}`+two, canElicit),
		"answers null":     call(alice, `{}`, `,"inputResponses":null`),
		"a bad answer":     call(alice, `{}`, `,"inputResponses":{"one":12}`),
		"a wrong type":     call(alice, `{}`, `,"inputResponses":{"one":{"action":"accept","content":{"name":5}}}`),
	} {
		if code := a.code(t); a.status != 200 || code != codeInvalidParams {
			t.Errorf("%s: %d %s", what, a.status, a.body)
		}
	}
	// Wrong keys are no error: it asks again.
	if v := call(alice, `{}`, `,"inputResponses":{"other":{}}`).asks(t); len(v.InputRequests) != 1 {
		t.Errorf("%+v", v)
	}
}

// A call that opens a session goes on in it, and does not open another one.
func TestRoundsStayInTheirSession(t *testing.T) {
	w := askingWorld(t)
	alice := w.modern("alice")
	first := alice.rpc("tools/call", "stateful", `"name":"stateful","arguments":{}`, canElicit).asks(t)
	env, bad := alice.rpc("tools/call", "stateful", `"name":"stateful","arguments":{},"inputResponses":{"one":{"action":"cancel"}},"requestState":`+
		fmt.Sprintf("%q", first.RequestState), canElicit).result(t)
	list := w.server.Sessions.List(session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"})
	if bad || len(list) != 1 || string(list[0].ID) != env.SessionID {
		t.Errorf("%+v, sessions %v", env, list)
	}
}

func TestUndeclaredCapability(t *testing.T) {
	w := askingWorld(t)
	for _, caps := range []string{`{}`, `{"sampling":{}}`, `{"elicitation":null}`, `{"elicitation":{"url":{}}}`} {
		a := w.modern("alice").rpc("tools/call", "twice", `"name":"twice","arguments":{}`, caps)
		if a.status != 400 || a.code(t) != codeCapability || !strings.Contains(string(a.body), `"requiredCapabilities":{"elicitation":{}}`) {
			t.Errorf("%s: %d %s", caps, a.status, a.body)
		}
	}
	env, bad := w.legacy("alice", rev202511).call("1", "twice", `{}`, "").result(t)
	if !bad || env.Error.Code != "missing_client_capability" {
		t.Errorf("%+v", env)
	}
}

func TestStateExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cursors, err := newSealer()
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{cursors: cursors}
		o := session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}
		m := &message{method: "tools/call", name: "twice", arguments: json.RawMessage(`{}`)}
		text, err := s.stateOf(o, m, roundState{Session: "rs_x"})
		if err != nil {
			t.Fatal(err)
		}
		m.requestState = json.RawMessage(`"` + text + `"`)
		if r, bad := s.roundOf(o, m); bad != nil || r.kept.Session != "rs_x" {
			t.Fatalf("%+v %v", r, bad)
		}
		time.Sleep(stateLife)
		if _, bad := s.roundOf(o, m); bad != errBadState {
			t.Errorf("after its time: %v", bad)
		}
	})
}

// An older client is asked on the stream of its call; the answer counts only if it
// comes from the session that was asked.
func TestAskOnTheStream(t *testing.T) {
	w := askingWorld(t, impatient) // a question keeps the request: it does not become a job
	open := func(who string) *peer {
		p := &peer{w: w, who: who}
		a := p.do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":`+canElicit+`,"clientInfo":{"name":"p","version":"1"}}}`)
		p.session, p.rev = a.header.Get(headerSession), rev202511
		return p
	}
	alice, other, bob := open("alice"), open("alice"), open("bob")
	req, err := http.NewRequestWithContext(t.Context(), "POST", w.http.URL+"/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"twice","arguments":{}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range map[string]string{"Authorization": "Bearer alice", "Content-Type": "application/json", "Accept": "text/event-stream", headerSession: alice.session, headerVersion: rev202511} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	next := func() (m struct {
		ID     json.RawMessage
		Method string
		Result struct{ Content []struct{ Text string } }
	},
	) {
		for {
			text, err := lines.ReadString('\n')
			if data, ok := strings.CutPrefix(text, "data: "); ok && len(data) > 2 {
				if err := json.Unmarshal([]byte(data), &m); err != nil {
					t.Fatal(err)
				}
				return m
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, name := range []string{"Ann", "Ben"} {
		m := next()
		if m.Method != tools.AskForm {
			t.Fatalf("%+v", m)
		}
		reply := func(p *peer, name string) int {
			return p.do("POST", `{"jsonrpc":"2.0","id":`+string(m.ID)+`,"result":{"action":"accept","content":{"name":"`+name+`"}}}`).status
		}
		// Neither another session of hers nor anybody else's answers in her place.
		if a, b := reply(other, "Eve"), reply(bob, "Eve"); a != 202 || b != 202 {
			t.Errorf("%d %d", a, b)
		}
		if s := reply(alice, name); s != 202 {
			t.Errorf("answer: %d", s)
		}
	}
	last := next()
	if len(last.Result.Content) != 1 || !strings.Contains(last.Result.Content[0].Text, `accept {\"name\":\"Ann\"}; accept {\"name\":\"Ben\"}`) {
		t.Errorf("%+v", last)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Error(err)
	}
}

// What comes back from a client decides nothing unless we have made it.
func FuzzRequestState(f *testing.F) {
	cursors, err := newSealer()
	if err != nil {
		f.Fatal(err)
	}
	s := &Server{cursors: cursors}
	o := session.Owner{Tenant: "t", Issuer: "i", Subject: "alice"}
	m := &message{method: "tools/call", name: "x", arguments: json.RawMessage(`{"a":1}`)}
	made, err := s.stateOf(o, m, roundState{Session: "rs_1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made, "alice", "x", `{"a":1}`)
	f.Add(made+"-TAMPERED", "alice", "x", `{"a":1}`)
	f.Add("", "bob", "y", `{}`)
	f.Fuzz(func(t *testing.T, state, subject, name, arguments string) {
		raw, err := json.Marshal(state)
		if err != nil {
			t.Fatal(err)
		}
		who := session.Owner{Tenant: "t", Issuer: "i", Subject: subject}
		got, bad := s.roundOf(who, &message{method: "tools/call", name: name, arguments: json.RawMessage(arguments), requestState: raw})
		same := state == made && who == o && name == m.name && arguments == string(m.arguments)
		if (bad == nil) != same {
			t.Errorf("state %q of %q for %q %q: %+v %v", state, subject, name, arguments, got, bad)
		}
	})
}
