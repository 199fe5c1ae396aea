package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

var record = flag.Bool("record", false, "write docs/conversation-mcts.md anew from what the server answers")

// page is the conversation as people read it.
const page = "../../docs/conversation-mcts.md"

// TestConversation holds the conversation of docs/conversation-mcts.md with the
// built program and checks that the page is what comes of it. With -args -record it
// writes the page.
func TestConversation(t *testing.T) {
	p := serve(t)
	c := &conversation{t: t, url: p.url + "/mcp", token: p.token("--sub", "planner"), ids: map[string]string{}}
	got := c.hold()
	if *record {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(page)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what the server answers (%v): run go test ./cmd/lyceum -run TestConversation -args -record, and read the diff; the first line that differs:\n%s",
			page, err, firstDifference(string(want), got))
	}
}

func firstDifference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%d: page   %s\n%d: server %s", i+1, a[i], i+1, b[i])
		}
	}
	return fmt.Sprintf("%d lines and %d", len(a), len(b))
}

// conversation is what a client and the server say to each other.
type conversation struct {
	t     *testing.T
	url   string
	token string
	ids   map[string]string // what stands on the page for ids that are random
	text  strings.Builder
	turn  int
}

// say writes a paragraph of the page.
func (c *conversation) say(format string, args ...any) {
	fmt.Fprintf(&c.text, format+"\n\n", args...)
}

// send sends a request and returns the result.
func (c *conversation) send(method, name string, params map[string]any) map[string]any {
	c.t.Helper()
	c.turn++
	full := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}}
	maps.Copy(full, params)
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.turn, "method": method, "params": full})
	if err != nil {
		c.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for k, v := range map[string]string{
		"Authorization": "Bearer " + c.token, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
		"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method, "Mcp-Name": name,
	} {
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	var answer struct{ Result map[string]any }
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Result == nil || answer.Result["isError"] == true {
		c.t.Fatalf("%s %s: %v\n%s\n%s", method, name, err, body, raw)
	}
	return answer.Result
}

// mcts calls the operation and returns its result.
func (c *conversation) mcts(parameters map[string]any) (arguments, envelope map[string]any) {
	c.t.Helper()
	arguments = map[string]any{"operation": "mcts", "parameters": parameters}
	for id, what := range c.ids {
		if what == "rs_…" {
			arguments["sessionId"] = id
		}
	}
	result := c.send("tools/call", "clear_thought", map[string]any{"name": "clear_thought", "arguments": arguments})
	envelope, ok := result["structuredContent"].(map[string]any)
	if !ok {
		c.t.Fatalf("no structured content: %v", result)
	}
	return arguments, envelope
}

// show writes a call and what came of it; parts of the answer that are named are
// left out, and the page says so by an ellipsis.
func (c *conversation) show(arguments, envelope map[string]any, leaveOut ...string) {
	c.t.Helper()
	answer := map[string]any{"result": envelope["result"]}
	for _, key := range []string{"basis", "method", "source", "warnings", "resource"} {
		if v, ok := envelope[key]; ok {
			answer[key] = v
		}
	}
	c.block("→ `clear_thought`", "json", c.pretty(arguments))
	c.block("←", "json", c.pretty(shortened(answer, leaveOut)))
}

// block writes a caption and a block of code.
func (c *conversation) block(caption, language, body string) {
	c.say("%s\n\n```%s\n%s\n```", caption, language, body)
}

// shortened returns a copy of v without the parts at these paths, as "a.b", where
// "*" is every part.
func shortened(v any, paths []string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, part := range v {
			out[k] = part
			var below []string
			for _, p := range paths {
				switch head, rest, deeper := strings.Cut(p, "."); {
				case head != k && head != "*":
				case deeper:
					below = append(below, rest)
				default:
					out[k] = "…"
				}
			}
			if out[k] != "…" {
				out[k] = shortened(part, below)
			}
		}
		return out
	case []any:
		out := []any{}
		var below []string
		for _, p := range paths {
			if head, rest, ok := strings.Cut(p, "."); ok && head == "*" {
				below = append(below, rest)
			}
		}
		for _, part := range v {
			out = append(out, shortened(part, below))
		}
		return out
	}
	return v
}

// pretty writes a value as JSON, what is short on one line, without ids and times
// that are others each time.
func (c *conversation) pretty(v any) string {
	text := layout(v, "")
	for id, what := range c.ids {
		text = strings.ReplaceAll(text, id, what)
	}
	return text
}

func layout(v any, indent string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // it was JSON
	flat := strings.ReplaceAll(strings.ReplaceAll(strings.TrimSpace(b.String()), `":`, `": `), `,"`, `, "`)
	if len(indent)+len(flat) <= 120 {
		return flat
	}
	var parts []string
	begin, end := "[", "]"
	switch v := v.(type) {
	case map[string]any:
		begin, end = "{", "}"
		keys := []string{}
		for k := range v {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b string) int { return cmp.Or(place(a)-place(b), strings.Compare(a, b)) })
		for _, k := range keys {
			parts = append(parts, fmt.Sprintf("%s  %q: %s", indent, k, layout(v[k], indent+"  ")))
		}
	case []any:
		for _, part := range v {
			parts = append(parts, indent+"  "+layout(part, indent+"  "))
		}
	default:
		return flat
	}
	return begin + "\n" + strings.Join(parts, ",\n") + "\n" + indent + end
}

// order is that of the members of objects on the page; others follow by name.
var order = []string{"operation", "sessionId", "parameters", "action", "treeId", "result", "basis", "method", "source"}

func place(key string) int {
	if i := slices.Index(order, key); i >= 0 {
		return i
	}
	return len(order)
}

// tickets is how many the agent asks for.
const tickets = 36

// hold has the conversation and returns the page.
func (c *conversation) hold() string {
	c.t.Helper()
	best, cost, plans := optimal()
	c.introduce()
	tree := c.begin()
	c.say("## The agent works")
	c.say("It asks for a ticket, one at a time: the server picks the node that UCT wants to know about. The first one is for a move that keeps to the rules, so the agent says how good a plan that begins so is, and which moves could come next.")
	rows := c.work(tree)
	c.say("From here on every turn is like those above. The agent asked for %d tickets in all; these are the others:", tickets)
	c.say("| ticket | plan so far | told |\n| --- | --- | --- |\n%s", strings.Join(rows, "\n"))
	plan := c.conclude(tree)
	if len(plan) != len(services)-1 {
		c.t.Fatalf("the search ends with %v, which is no whole plan", plan)
	}
	if !slices.ContainsFunc(best, func(b []string) bool { return slices.Equal(b[:len(plan)], plan) }) {
		c.t.Errorf("the search ends with %v, the best plans are %v", plan, best)
	}
	c.say("The last move, %s, is no choice. The other first moves have wide intervals, because the search soon left them alone: this is a recommendation, not a proof. It is right, though: %d of the 120 orders keep to the rules, and trying all of them finds none below %d, the cost of %s. Judging by the hasty rule alone ends with %s at %d.",
		rest(plan)[0], plans, cost, strings.Join(best[0], ", "), strings.Join(hasty(nil), ", "), total(hasty(nil)))
	c.draw(tree)
	return strings.TrimRight(c.text.String(), "\n") + "\n"
}

func (c *conversation) introduce() {
	c.say("# A conversation: planning a move with `mcts`")
	c.say("An agent plans with a search tree that it grows itself: it proposes the next steps and says how good they are; Lyceum decides where to look next, keeps the numbers and says how far they can be trusted. " +
		"What follows was said between a program and a running server. The test `TestConversation` in `cmd/lyceum` holds the conversation again and fails when this page is not what the server answers; " +
		"`go test ./cmd/lyceum -run TestConversation -args -record` writes the page. Ids and times, which are others each time, are written `rs_…`, `tree_…` and `…`; what was left out of an answer is `…` too.")
	c.say("## The task")
	c.say("Five services move from the old machine room to the new one, one a night. The database needs the directory where it is, so it moves after it, and the web application moves after the database. "+
		"Every night in which two services that talk to each other are in different rooms costs as much as they send over a rented line:\n\n| between | and | cost a night |\n| --- | --- | --- |\n%s\nIn which order should they move?", c.costs())
	c.say("The agent here is a small program. It proposes every service that is left, also those that break a rule: it finds that out when it is asked what the step is worth. It judges the beginning of a plan by completing it in a hurry, "+
		"with the cheapest next night each time. The value is 1 for a move that costs nothing and 0 for %d, which no plan exceeds. A model would propose and judge in its own way; what it sends would look the same.", worst())
}

func (c *conversation) costs() string {
	var b strings.Builder
	for _, k := range talk {
		fmt.Fprintf(&b, "| %s | %s | %d |\n", k.a, k.b, k.cost)
	}
	return b.String()
}

// begin starts the tree and returns its id.
func (c *conversation) begin() string {
	c.t.Helper()
	c.say("## The tree begins")
	var first []any
	for _, s := range services {
		first = append(first, step(nil, s))
	}
	asked, e := c.mcts(map[string]any{"action": "start", "root": "In which order do the five services move?", "candidates": first, "explorationConstant": 0.3})
	tree, _ := e["result"].(map[string]any)["treeId"].(string)
	session, _ := e["sessionId"].(string)
	if tree == "" || session == "" {
		c.t.Fatalf("no tree: %v", e)
	}
	c.ids[tree], c.ids[session] = "tree_…", "rs_…"
	c.show(asked, e)
	c.say("The values of plans lie close together, so the agent explores less than the default √2.")
	return tree
}

// work asks and tells, shows the first turns and the first that is a dead end, and
// returns the others as rows of a table.
func (c *conversation) work(tree string) (rows []string) {
	c.t.Helper()
	shown, dead := 0, false
	for range tickets {
		asked, e := c.mcts(map[string]any{"action": "ask", "treeId": tree})
		list, _ := e["result"].(map[string]any)["tickets"].([]any)
		if len(list) != 1 {
			c.t.Fatalf("no ticket: %v", e)
		}
		ticket, _ := list[0].(map[string]any)
		path, _ := ticket["path"].([]any)
		plan := planOf(path)
		tell := judge(plan)
		bad := !legal(plan)
		show := shown < 1 || bad && !dead
		if show {
			if bad {
				dead = true
				c.say("## A branch that leads nowhere")
				c.say("The next ticket is for a step that the agent proposed without thinking: %s before %s. It says so with the lowest value and `terminal`, and the search does not hand out a ticket below it again.", plan[len(plan)-1], after[plan[len(plan)-1]])
			}
			shown++
			c.show(asked, e, "result.tickets.*.expires")
		}
		parameters := map[string]any{"action": "tell", "treeId": tree, "ticket": ticket["ticket"]}
		maps.Copy(parameters, tell)
		asked, e = c.mcts(parameters)
		if show {
			c.show(asked, e)
			continue
		}
		said := fmt.Sprintf("value %v", tell["value"])
		switch {
		case bad:
			said += ", a dead end"
		case tell["terminal"] == true:
			said += ", complete"
		default:
			said += fmt.Sprintf(", %d next steps", len(rest(plan)))
		}
		rows = append(rows, fmt.Sprintf("| %v | %s | %s |", ticket["ticket"], strings.Join(plan, ", "), said))
	}
	return rows
}

// conclude asks what the tree says, and returns its plan.
func (c *conversation) conclude(tree string) []string {
	c.t.Helper()
	c.say("## What the tree says")
	c.say("Each step of the path has its mean and a confidence interval: Hoeffding's, which needs nothing but the range of the values. It is nominal: a search does not sample independently, and where it comes back to an end that it knows, it counts the value once more (`revisits`).")
	asked, e := c.mcts(map[string]any{"action": "best", "treeId": tree})
	c.show(asked, e)
	answer, _ := e["result"].(map[string]any)["answer"].(map[string]any)
	path, _ := answer["path"].([]any)
	return planOf(path)
}

// draw exports the tree, and reads it as a resource.
func (c *conversation) draw(tree string) {
	c.t.Helper()
	c.say("## The tree as a picture")
	c.say("The action `export` draws it. N is how often a node was visited, Q the mean of what was told there and below; dead ends are red, complete plans green. With a `limit` the most visited part is drawn, and the drawing says what it leaves out.")
	asked, e := c.mcts(map[string]any{"action": "export", "treeId": tree, "format": "mermaid", "limit": 24})
	export, _ := e["result"].(map[string]any)["export"].(map[string]any)
	content, _ := export["content"].(string)
	if !strings.HasPrefix(content, "flowchart TD\n") {
		c.t.Errorf("no drawing: %v", e)
	}
	c.show(asked, e, "result.export.content")
	c.block("The `content`:", "mermaid", strings.TrimRight(content, "\n"))
	c.say("The same tree is a resource, which a host can show while the agent works, and subscribe to:")
	var session string
	for id, what := range c.ids {
		if what == "rs_…" {
			session = id
		}
	}
	uri := "lyceum://sessions/" + session + "/slots/mcts%2F" + tree + "/svg"
	read := c.send("resources/read", uri, map[string]any{"uri": uri})
	list, _ := read["contents"].([]any)
	if len(list) != 1 {
		c.t.Fatalf("no resource: %v", read)
	}
	svg, _ := list[0].(map[string]any)["text"].(string)
	if !strings.HasPrefix(svg, "<svg ") || !strings.Contains(svg, "night 1: directory") {
		c.t.Errorf("no drawing: %.200s", svg)
	}
	c.block("→ `resources/read`", "json", c.pretty(map[string]any{"uri": uri}))
	c.block("←", "json", c.pretty(shortened(map[string]any{"contents": list}, []string{"contents.*.text"})))
}
