package bridge

import (
	"encoding/json"
	"slices"
)

// envelope is what the bridge needs to know of a message of the host.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		TaskID    string          `json:"taskId"`
		RequestID json.RawMessage `json:"requestId"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// modern tells the era of a message as the server would.
func (e *envelope) modern() bool { return e.Params.Meta.Version != "" }

// asks reports whether somebody waits for an answer.
func (e *envelope) asks() bool { return len(e.ID) > 0 && string(e.ID) != "null" && e.Method != "" }

// target is what the Mcp-Name header repeats.
func (e *envelope) target() string {
	switch e.Method {
	case "tools/call", "prompts/get":
		return e.Params.Name
	case "resources/read":
		return e.Params.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		return e.Params.TaskID
	}
	return ""
}

// repeatable reports whether a message may be sent again after it may have been
// received: it only reads, doing it twice is doing it once, or its sender says with
// an idempotencyKey that the server is to tell.
func (e *envelope) repeatable() bool {
	if e.Method == "tools/call" {
		var arguments struct {
			Key string `json:"idempotencyKey"`
		}
		return json.Unmarshal(e.Params.Arguments, &arguments) == nil && arguments.Key != ""
	}
	return slices.Contains([]string{
		"initialize", "notifications/initialized", "ping", "server/discover",
		"tools/list", "prompts/list", "prompts/get", "completion/complete",
		"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
		"tasks/list", "tasks/get", "tasks/result", "logging/setLevel",
	}, e.Method)
}

// message is what the bridge needs to know of what the server says.
type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Error  json.RawMessage `json:"error"`
	Result present         `json:"result"`
}

// present tells that something is there. Results are not looked into, as a rule, and
// may be large.
type present bool

// UnmarshalJSON implements json.Unmarshaler.
func (p *present) UnmarshalJSON([]byte) error { *p = true; return nil }

// result reads the result of a message into what is wanted of it.
func result(text []byte, into any) error {
	return json.Unmarshal(text, &struct {
		Result any `json:"result"`
	}{into})
}

func parse(text []byte) (m message, known bool) {
	known = json.Unmarshal(text, &m) == nil
	return m, known
}

// answers tells a response to a request from everything else that may come on
// its stream.
func (m *message) answers() bool {
	return m.Method == "" && len(m.ID) > 0 && string(m.ID) != "null"
}
