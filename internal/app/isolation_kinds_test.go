package app_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/reason/thought"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// legacyPost is a message of an older revision, in a transport session.
func legacyPost(transport, body string, head ...string) request {
	return request{method: "POST", path: "/mcp", body: body, head: append([]string{"Mcp-Session-Id", transport, "Mcp-Protocol-Version", "2025-11-25"}, head...)}
}

// modernly is a message of 2026-07-28.
func modernly(method, name, params string) request {
	q := request{
		method: "POST", path: "/mcp", body: fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s,%s}}`, method, params, modernMeta),
		head: []string{"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", method},
	}
	if name != "" {
		q.head = append(q.head, "Mcp-Name", name)
	}
	return q
}

func tool(name, arguments string) request {
	return modernly("tools/call", name, fmt.Sprintf(`"name":%q,"arguments":%s`, name, arguments))
}

// on is an operation in a session.
func on(sessionID, operation, parameters string) request {
	return tool("clear_thought", fmt.Sprintf(`{"operation":%q,"sessionId":%q,"parameters":%s}`, operation, sessionID, parameters))
}

// must sends what has to work and returns the result of the tool.
func (c *caller) must(q request) string {
	c.w.Helper()
	a := c.send(q)
	var r struct {
		Result struct {
			IsError    bool            `json:"isError"`
			Structured json.RawMessage `json:"structuredContent"`
		} `json:"result"`
	}
	if err := json.Unmarshal([]byte(a.body), &r); err != nil || a.status != 200 || r.Result.IsError {
		c.w.Fatalf("%s: %d %s", q.body, a.status, a.body)
	}
	return string(r.Result.Structured)
}

// member returns the first text of that name in JSON.
func member(text, name string) string {
	_, rest, _ := strings.Cut(text, `"`+name+`":"`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}

func (c *caller) create(arguments string) string {
	result := c.must(tool("session_create", "{"+arguments+"}"))
	_, result, _ = strings.Cut(result, `"result":`)
	return member(result, "sessionId")
}

// think opens a session with something in it.
func (c *caller) think() string {
	id := c.create("")
	c.must(on(id, "sequential_thinking", `{"thought":"mine","nextThoughtNeeded":true}`))
	return id
}

func (c *caller) initialize() string {
	a := c.send(request{method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`})
	return a.header.Get("Mcp-Session-Id")
}

func (c *caller) job(parameters string) string {
	return member(c.must(on(c.session, "hold", parameters)), "jobId")
}

// until waits for what takes a while by itself.
func (w *walk) until(what string, done func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("waited too long until %s", what)
		}
	}
}

func (w *walk) ended(id string) bool {
	return w.admin.send(request{method: "GET", path: "/api/v1/sessions/" + ref(id)}).status == 404
}

// registry returns every kind of id with its verbs, and ids that are gone.
func (w *walk) registry() []*idKind {
	w.Helper()
	return append([]*idKind{w.transports(), w.sessions(), w.jobs(), w.refs(), w.cursors(), w.keys(), w.questions(), w.events()}, w.objects()...)
}

func (w *walk) transports() *idKind {
	message := func(name, body string, head ...string) verb {
		return verb{name, func(_ *caller, id string) request { return legacyPost(id, body, head...) }}
	}
	stream := func(name string, head ...string) verb {
		return verb{name, func(_ *caller, id string) request {
			q := legacyPost(id, "", head...)
			q.method, q.stream = "GET", true
			return q
		}}
	}
	k := &idKind{name: "transport session", live: w.alice.initialize, mine: w.alice, verbs: []verb{
		message("POST ping", `{"jsonrpc":"2.0","id":1,"method":"ping"}`),
		message("POST tools/call", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"session_list","arguments":{}}}`),
		message("POST a notification", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`),
		message("POST with Last-Event-ID", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Last-Event-ID", "1"),
		stream("GET"), stream("GET with Last-Event-ID", "Last-Event-ID", "1"),
		{"DELETE", func(_ *caller, id string) request {
			q := legacyPost(id, "")
			q.method = "DELETE"
			return q
		}},
	}}
	deleted, expired := w.alice.initialize(), w.alice.initialize()
	w.alice.send(k.verbs[len(k.verbs)-1].ask(w.alice, deleted))
	w.until("a transport session expires", func() bool { return w.ended(expired) })
	k.gone = map[string]string{"deleted": deleted, "expired": expired}
	return k
}

func (w *walk) sessions() *idKind {
	operation := func(name, parameters string) verb {
		return verb{name, func(_ *caller, id string) request { return on(id, name, parameters) }}
	}
	uri := func(name, rest string) verb {
		return verb{name, func(_ *caller, id string) request {
			uri := "lyceum://sessions/" + id + rest
			return modernly("resources/read", uri, fmt.Sprintf(`"uri":%q`, uri))
		}}
	}
	legacy := func(name, body string) verb { // body has a place for the id
		return verb{name, func(c *caller, id string) request { return legacyPost(c.initialize(), fmt.Sprintf(body, id)) }}
	}
	k := &idKind{name: "reasoning session", live: w.alice.think, mine: w.alice, verbs: []verb{
		operation("still", `{"text":"x"}`), operation("sequential_thinking", `{"thought":"x","nextThoughtNeeded":true}`),
		operation("hold", `{"text":"short"}`), operation("session_info", `{}`), operation("session_export", `{}`),
		operation("session_import", `{"document":{}}`), operation("session_share", `{"subject":"eve","access":"read"}`),
		operation("session_unshare", `{"subject":"bob"}`),
		{"with an expected version", func(_ *caller, id string) request {
			return tool("clear_thought", fmt.Sprintf(`{"operation":"still","sessionId":%q,"expectedVersion":7}`, id))
		}},
		{"with an idempotency key", func(_ *caller, id string) request {
			return tool("clear_thought", fmt.Sprintf(`{"operation":"still","sessionId":%q,"idempotencyKey":%q}`, id, "k"+id))
		}},
		{"session_delete", func(_ *caller, id string) request { return tool("session_delete", fmt.Sprintf(`{"sessionId":%q}`, id)) }},
		{"session_list", func(_ *caller, id string) request { return tool("session_list", fmt.Sprintf(`{"before":%q}`, id)) }},
		uri("resources/read", ""), uri("resources/read of the export", "/export"), uri("resources/read of a slot", "/slots/"+thought.SlotName),
		legacy("an older call", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"still","sessionId":%q}}}`),
		legacy("resources/subscribe", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"lyceum://sessions/%s"}}`),
		legacy("resources/unsubscribe", `{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe","params":{"uri":"lyceum://sessions/%s"}}`),
		{"subscriptions/listen", func(_ *caller, id string) request {
			q := modernly("subscriptions/listen", "", fmt.Sprintf(`"notifications":{"resourceSubscriptions":["lyceum://sessions/%s"]}`, id))
			q.stream = true
			return q
		}},
	}}
	deleted, expired := w.alice.create(""), w.alice.create(`"idleTtlSeconds":1`)
	w.alice.must(tool("session_delete", fmt.Sprintf(`{"sessionId":%q}`, deleted)))
	revoked, lapsed := w.alice.create(""), w.alice.create("")
	for id, more := range map[string]string{revoked: "", lapsed: `,"ttlSeconds":1`} {
		w.alice.must(on(id, "session_share", `{"subject":"bob","access":"write"`+more+`}`))
	}
	w.alice.must(on(revoked, "session_unshare", `{"subject":"bob"}`))
	w.until("a session and a grant expire", func() bool {
		return w.ended(expired) && !strings.Contains(w.strangers[0].must(tool("session_list", "{}")), lapsed)
	})
	k.gone = map[string]string{"deleted": deleted, "expired": expired}
	for _, id := range []string{revoked, lapsed} { // they are alice's still: only strangers miss them
		for _, v := range k.verbs {
			w.try(w.strangers[0], k, v, "granted no more", id)
		}
	}
	return k
}

func (w *walk) jobs() *idKind {
	about := func(name, more string) verb {
		return verb{name, func(_ *caller, id string) request { return tool(name, fmt.Sprintf(`{"jobId":%q%s}`, id, more)) }}
	}
	k := &idKind{name: "job", live: func() string { return w.alice.job(`{}`) }, mine: w.alice, verbs: []verb{
		about("job_result", ""), about("job_result", `,"waitSeconds":0.05`), about("job_cancel", ""),
		{"job_list", func(_ *caller, id string) request { return tool("job_list", fmt.Sprintf(`{"before":%q}`, id)) }},
	}}
	expired := k.live()
	w.alice.must(tool("job_cancel", fmt.Sprintf(`{"jobId":%q}`, expired)))
	// Somebody whose everything is deleted, jobs among it.
	carol := w.as("carol", "carol", "acme")
	carol.session = carol.create("")
	deleted := carol.job(`{}`)
	if a := w.admin.send(request{method: "POST", path: "/api/v1/purge", body: `{"tenant":"acme","subject":"carol"}`}); a.status != 200 {
		w.Fatalf("purge: %d %s", a.status, a.body)
	}
	w.until("a job expires", func() bool { return !strings.Contains(w.alice.must(tool("job_list", `{"limit":500}`)), expired) })
	k.gone = map[string]string{"deleted": deleted, "expired": expired}
	return k
}

func (w *walk) refs() *idKind {
	ask := func(method string) verb {
		return verb{method, func(_ *caller, id string) request { return request{method: method, path: "/api/v1/sessions/" + id} }}
	}
	k := &idKind{name: "operator's reference", mine: w.admin, verbs: []verb{ask("GET"), ask("DELETE")}}
	k.live = func() string { return ref(w.alice.create("")) }
	deleted := k.live()
	w.admin.send(k.verbs[1].ask(w.admin, deleted))
	k.gone = map[string]string{"deleted": deleted}
	return k
}

func (w *walk) cursors() *idKind {
	list := func(cursor string) request { return modernly("resources/list", "", fmt.Sprintf(`"cursor":%q`, cursor)) }
	for range 60 {
		w.alice.create("")
	}
	return &idKind{
		name: "cursor", verbs: []verb{{"resources/list", func(_ *caller, id string) request { return list(id) }}},
		live: func() string { return member(w.alice.send(modernly("resources/list", "", `"_":0`)).body, "nextCursor") },
	}
}

func (w *walk) keys() *idKind {
	ask := func(c *caller, id string) request {
		return tool("clear_thought", fmt.Sprintf(`{"operation":"still","sessionId":%q,"idempotencyKey":%q}`, c.session, id))
	}
	return &idKind{name: "idempotency key", verbs: []verb{{"tools/call", ask}}, live: func() string {
		key := never("key_aaaaaaaaaaaaaaaaaaaaaaaaaa")
		w.alice.must(ask(w.alice, key))
		return key
	}}
}

// objects returns the kinds of objects in sessions: whatever the examples of an
// operation get an id for. Its verbs are the operation's actions.
func (w *walk) objects() []*idKind {
	var kinds []*idKind
	for _, t := range catalog.All() {
		spec, seen := t.Spec(), []string{"rs", "jb", "ts"}
		for _, e := range spec.Examples {
			make1 := func() string { return w.alice.must(tool("clear_thought", e.Arguments)) }
			for _, found := range objectID.FindAllStringSubmatch(make1(), -1) {
				key, prefix := found[1], found[3]
				if slices.Contains(seen, prefix) {
					continue
				}
				seen = append(seen, prefix)
				kinds = append(kinds, w.object(spec.Name, key, prefix, t.InputSchema(), func() string { return member(make1(), key) }))
			}
		}
	}
	return kinds
}

func (w *walk) object(operation, key, prefix string, schema json.RawMessage, live func() string) *idKind {
	var s struct {
		Properties struct {
			Action struct {
				Enum []string `json:"enum"`
			} `json:"action"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		w.Fatal(err)
	}
	if len(s.Properties.Action.Enum) == 0 {
		s.Properties.Action.Enum = []string{""}
	}
	k := &idKind{name: prefix + " of " + operation, live: live, mine: w.alice, gone: map[string]string{"of another session": live()}}
	for _, action := range s.Properties.Action.Enum {
		parameters := map[string]string{key: ""}
		if action != "" {
			parameters["action"] = action
		}
		v := verb{action, func(c *caller, id string) request {
			parameters[key] = id
			text, _ := json.Marshal(parameters) // strings always encode
			return on(c.session, operation, string(text))
		}}
		// What makes an object of its own has no use for an id.
		if a := w.alice.send(v.ask(w.alice, never(k.gone["of another session"]))); strings.Contains(a.body, `"isError":true`) {
			k.verbs = append(k.verbs, v)
		}
	}
	return k
}

// questions are requests of the server to a client, which answers them by their ids.
func (w *walk) questions() *idKind {
	w.Helper()
	answered := func(c *caller, id string) request { // from a transport session of the caller's own
		return legacyPost(c.initialize(), fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"accept","content":{"name":"mallory"}}}`, id))
	}
	k := &idKind{name: "question", live: func() string { id, _, _ := w.asked(); return id }, verbs: []verb{{"answer", answered}}}
	id, transport, done := w.asked()
	w.alice.send(legacyPost(transport, fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"action":"accept","content":{"name":"alice"}}}`, id)))
	if said := <-done; !strings.Contains(said, "alice") {
		w.Errorf("the owner's answer did not arrive: %s", said)
	}
	k.gone = map[string]string{"answered": id}
	return k
}

// asked makes a call of the owner's that asks something, and returns the id of the
// question, the transport session that it was asked in, and what the call comes to.
func (w *walk) asked() (id, transport string, done <-chan string) {
	w.Helper()
	a := w.alice.send(request{method: "POST", path: "/mcp", body: `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"t","version":"1"}}}`})
	transport = a.header.Get("Mcp-Session-Id")
	q := legacyPost(transport, `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"clear_thought","arguments":{"operation":"asks"}}}`)
	r, err := http.NewRequestWithContext(w.Context(), q.method, w.url+q.path, strings.NewReader(q.body))
	if err != nil {
		w.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+w.alice.token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	for i := 0; i+1 < len(q.head); i += 2 {
		r.Header.Set(q.head[i], q.head[i+1])
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	lines := bufio.NewReader(resp.Body)
	for id == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			w.Fatalf("the call asked nothing: %v %s", err, line)
		}
		if member(line, "method") == "elicitation/create" {
			id = member(line, "id")
		}
	}
	out := make(chan string, 1)
	go func() { // ends with the call, at the latest with the test
		defer resp.Body.Close()
		rest, _ := io.ReadAll(lines)
		out <- string(rest)
	}()
	return id, transport, out
}
