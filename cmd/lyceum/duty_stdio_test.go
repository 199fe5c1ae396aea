package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// modernLine writes a request of 2026-07-28 without a clientInfo, which it need not have.
func modernLine(id, method, params string) string {
	const meta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	if rest, ok := strings.CutPrefix(params, `{"_meta":{`); ok {
		params = `{` + meta + `,` + rest
	} else if params == `{}` {
		params = `{` + meta + `}}`
	} else {
		params = `{` + meta + `},` + params[1:]
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":` + params + `}`
}

// answered sends a request and returns the answer, which must be the next line.
func (h *host) answered(id, line string) stdioMessage {
	h.t.Helper()
	h.send(line)
	m := h.next()
	if string(m.ID) != id || m.Method != "" {
		h.t.Fatalf("%s was followed by %s", line, h.out.Text())
	}
	return m
}

// Before any handshake everything is answered, also what nobody knows: a host that
// probes would wait for ever otherwise. What 2026-07-28 asks of each request, it asks
// of a line too.
func TestDutyStdioBeforeTheHandshake(t *testing.T) {
	h := startHost(t)
	code := func(id, line string) int {
		t.Helper()
		if m := h.answered(id, line); m.Error != nil {
			return m.Error.Code
		}
		return 0
	}
	for _, c := range []struct {
		id, line string
		code     int
	}{
		{`1`, `{"jsonrpc":"2.0","id":1,"method":"unheard/of"}`, -32600},
		{`"p"`, `{"jsonrpc":"2.0","id":"p","method":"ping"}`, -32600},
		{`2`, `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{}}`, -32600},
		{`3`, modernLine(`3`, "unheard/of", `{}`), -32601},
		{`4`, modernLine(`4`, "ping", `{}`), -32601},
		{`5`, modernLine(`5`, "initialize", `{}`), -32601},
		{`6`, modernLine(`6`, "server/discover", `{}`), 0},
		{`7`, strings.Replace(modernLine(`7`, "tools/list", `{}`), "2026-07-28", "2099-01-01", 1), -32022},
		{`8`, strings.Replace(modernLine(`8`, "tools/list", `{}`), "clientCapabilities", "elsewhere", 1), -32602},
		{`9`, modernLine(`9`, "tools/call", `{"name":"nope"}`), -32602},
		{`null`, modernLine(`null`, "tools/list", `{}`), -32600},
		{`null`, `{"jsonrpc":"2.0",`, -32700},
		{`123456789012345678901234567890`, modernLine(`123456789012345678901234567890`, "server/discover", `{}`), 0},
		{`"a\u0041\n"`, modernLine(`"a\u0041\n"`, "server/discover", `{}`), 0},
	} {
		if got := code(c.id, c.line); got != c.code {
			t.Errorf("%s: code %d, want %d: %s", c.line, got, c.code, h.out.Text())
		}
	}
	h.end()
}

// A line is a whole message, whatever is in it; notifications have no answer; the
// handshake of one era changes nothing for the other, and both go on side by side.
func TestDutyStdioLines(t *testing.T) {
	h := startHost(t)
	for _, note := range []string{"initialized", "cancelled", "unheard-of", "progress"} {
		h.send(`{"jsonrpc":"2.0","method":"notifications/` + note + `","params":{"requestId":77}}`)
		h.send(`{"jsonrpc":"2.0","method":"notifications/` + note + `","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"requestId":"x"}}`)
	}
	h.send("")
	hello := h.answered(`1`, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"host","version":"1"}}}`)
	if !strings.Contains(string(hello.Result), `"2025-03-26"`) {
		t.Errorf("%s", hello.Result)
	}
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	for i := range 5 {
		id := fmt.Sprint(10 + i)
		old := h.answered(id, `{"jsonrpc":"2.0","id":`+id+`,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"one\ntwo\r\nthree\u2028four"}}}`)
		if old.Error != nil || strings.Contains(string(old.Result), "resultType") || strings.Contains(string(old.Result), "structuredContent") {
			t.Errorf("the older era: %s", h.out.Text())
		}
		id = fmt.Sprint(20 + i)
		now := h.answered(id, modernLine(id, "tools/call", `{"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"one\ntwo"}}`))
		if now.Error != nil || !strings.Contains(string(now.Result), `"resultType":"complete"`) {
			t.Errorf("2026-07-28: %s", h.out.Text())
		}
	}
	// The one revision with batches has them here too.
	h.send(`[{"jsonrpc":"2.0","id":"a","method":"ping"},{"jsonrpc":"2.0","method":"notifications/x"},{"jsonrpc":"2.0","id":"b","method":"nope"}]`)
	if !h.out.Scan() {
		t.Fatalf("no answer to a batch\n%s", h.err)
	}
	var batch []stdioMessage
	if err := json.Unmarshal(h.out.Bytes(), &batch); err != nil || len(batch) != 2 || batch[1].Error == nil || batch[1].Error.Code != -32601 {
		t.Errorf("batch: %s (%v)", h.out.Text(), err)
	}
	h.end()
	if h.out.Scan() {
		t.Errorf("a line after the last answer: %s", h.out.Text())
	}
}

// Several subscriptions share the channel, each with its own tag; none keeps the next
// line from being read, one can be ended without the other, and the end of the input
// ends them and the process.
func TestDutyStdioSubscriptions(t *testing.T) {
	h := startHost(t)
	think := func(id, more string) stdioMessage {
		return h.answered(id, modernLine(id, "tools/call", `{"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"x"`+more+`}}`))
	}
	var made struct {
		Structured struct {
			SessionID string `json:"sessionId"`
		} `json:"structuredContent"`
	}
	if err := json.Unmarshal(think(`1`, "").Result, &made); err != nil || made.Structured.SessionID == "" {
		t.Fatalf("%s", h.out.Text())
	}
	uri := "lyceum://sessions/" + made.Structured.SessionID
	const tag = "io.modelcontextprotocol/subscriptionId"
	tagOf := func(m stdioMessage) string {
		var p struct {
			Params struct {
				Meta map[string]json.RawMessage `json:"_meta"`
			} `json:"params"`
		}
		if err := json.Unmarshal(h.out.Bytes(), &p); err != nil || m.Method == "" {
			t.Fatalf("no notification: %s", h.out.Text())
		}
		return string(p.Params.Meta[tag])
	}
	for _, id := range []string{`"a"`, `8`} {
		h.send(modernLine(id, "subscriptions/listen", `{"notifications":{"resourceSubscriptions":["`+uri+`"]}}`))
		if m := h.next(); m.Method != "notifications/subscriptions/acknowledged" || tagOf(m) != id {
			t.Errorf("ack of %s: %s", id, h.out.Text())
		}
	}
	next := func(n int, id string) (tags []string) { // of the notifications, and the answer among them
		for range n {
			if m := h.next(); m.Method == "notifications/resources/updated" {
				tags = append(tags, tagOf(m))
			} else if string(m.ID) != id || m.Error != nil {
				t.Errorf("%s", h.out.Text())
			}
		}
		slices.Sort(tags)
		return tags
	}
	h.send(modernLine(`2`, "tools/call", `{"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"y","sessionId":"`+made.Structured.SessionID+`"}}`))
	if got := next(3, `2`); !slices.Equal(got, []string{`"a"`, `8`}) {
		t.Errorf("updates tagged %v", got)
	}
	h.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a"}}`)
	h.answered(`3`, modernLine(`3`, "server/discover", `{}`))
	h.send(modernLine(`4`, "tools/call", `{"name":"clear_thought","arguments":{"operation":"sequential_thinking","prompt":"z","sessionId":"`+made.Structured.SessionID+`"}}`))
	if got := next(2, `4`); !slices.Equal(got, []string{`8`}) {
		t.Errorf("updates tagged %v, after one was ended", got)
	}
	begin := time.Now()
	h.end()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
}

// A cancel stops the call, in both eras, and there is no answer to it; others go on.
func TestDutyStdioCancel(t *testing.T) {
	h := startHost(t)
	h.answered(`1`, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"host","version":"1"}}}`)
	h.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	const long = `"name":"clear_thought","arguments":{"operation":"mcts","parameters":{"action":"run","domain":"tictactoe","simulations":100000,"seed":1}}}`
	for id, line := range map[string]string{
		`5`:   `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"_meta":{"progressToken":"t"},` + long + `}`,
		`"m"`: modernLine(`"m"`, "tools/call", `{"_meta":{"progressToken":"t"},`+long),
	} {
		h.send(line)
		if m := h.next(); m.Method != "notifications/progress" {
			t.Fatalf("%s", h.out.Text())
		}
		h.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"enough"}}`)
		h.send(modernLine(`"after"`, "server/discover", `{}`))
		for m := h.next(); string(m.ID) != `"after"`; m = h.next() {
			if m.Method != "notifications/progress" {
				t.Fatalf("a canceled call was answered: %s", h.out.Text())
			}
		}
	}
	begin := time.Now()
	h.end()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("the calls were not stopped: it took %v to end", took)
	}
	for h.out.Scan() {
		if !strings.Contains(h.out.Text(), "notifications/progress") {
			t.Errorf("after the end: %s", h.out.Text())
		}
	}
}
