package middleware

import "net/http"

// Class says what a request may cost, as far as that shows before its body is
// read.
type Class uint8

const (
	Ordinary Class = iota // may compute, and wait for its turn
	Control               // is answered at once: it asks what there is, or calls something off
	Operator              // is answered at once, to somebody who runs the server
	Stream                // stands for long and costs next to nothing
)

// As returns a classifier that says c of every request.
func As(c Class) func(*http.Request) Class {
	return func(*http.Request) Class { return c }
}

// routed is the revision from which on headers name the method of a message, and
// the MCP endpoint refuses a message of another method before it does anything.
const routed = "2026-07-28"

// methodClasses has the methods that are not ordinary.
var methodClasses = map[string]Class{
	"initialize":               Control,
	"server/discover":          Control,
	"ping":                     Control,
	"tools/list":               Control,
	"prompts/list":             Control,
	"resources/list":           Control,
	"resources/templates/list": Control,
	"tasks/get":                Control,
	"tasks/cancel":             Control,
	"notifications/cancelled":  Control,
	"subscriptions/listen":     Stream,
}

// MCPClass classifies a request to the MCP endpoint. A method in a header is
// believed only where the endpoint holds it against the body: under older
// revisions, and in process, a message is ordinary whatever its headers say.
func MCPClass(r *http.Request) Class {
	switch r.Method {
	case http.MethodPost:
	case http.MethodGet:
		return Stream
	default: // ends a session, or is refused
		return Control
	}
	version, method := r.Header["Mcp-Protocol-Version"], r.Header["Mcp-Method"]
	if len(version) != 1 || version[0] != routed || len(method) != 1 || r.RemoteAddr == StdioAddr {
		return Ordinary
	}
	return methodClasses[method[0]]
}
