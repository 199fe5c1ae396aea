package mcpserve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
)

// Keys of _meta that the transport reads.
const (
	metaVersion      = "io.modelcontextprotocol/protocolVersion"
	metaClientInfo   = "io.modelcontextprotocol/clientInfo"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaLogLevel     = "io.modelcontextprotocol/logLevel"
	metaServerInfo   = "io.modelcontextprotocol/serverInfo"
	metaSubscription = "io.modelcontextprotocol/subscriptionId"
)

// message is one JSON-RPC message, decoded once. Raw fields are slices of the
// body.
type message struct {
	raw      []byte
	id       json.RawMessage // as the client wrote it; nil for a notification
	method   string
	response bool // has result or error: an answer to a request of ours
	params   json.RawMessage

	name      string          // params.name
	uri       string          // params.uri
	taskID    string          // params.taskId
	requestID json.RawMessage // params.requestId
	reason    string          // params.reason
	level     string          // params.level
	arguments json.RawMessage // params.arguments

	inputResponses json.RawMessage // params.inputResponses; nil only if absent
	requestState   json.RawMessage // params.requestState
	round          *round          // what the two say; set before a modern request is served

	result  json.RawMessage // of a response
	failure json.RawMessage // error of a response

	meta meta
}

// meta is what _meta says.
type meta struct {
	present       bool
	version       string
	hasVersion    bool
	clientInfo    json.RawMessage
	capabilities  json.RawMessage
	logLevel      string
	progressToken json.RawMessage
	traceparent   string
	tracestate    string
}

// rpcError is a failure of the protocol: what is wrong with a message itself.
type rpcError struct {
	status  int // HTTP status where the era gives it one
	code    int
	message string
	data    any
}

func (e *rpcError) Error() string { return fmt.Sprintf("%d: %s", e.code, e.message) }

// Codes of JSON-RPC and MCP that the transport itself sends.
const (
	codeParse          = -32700
	codeInvalidRequest = -32600
	codeNoMethod       = -32601
	codeInvalidParams  = -32602
	codeInternal       = -32603
	codeHeader         = -32020
	codeCapability     = -32021
	codeVersion        = -32022
)

func invalidRequest(format string, args ...any) *rpcError {
	return &rpcError{status: 400, code: codeInvalidRequest, message: fmt.Sprintf(format, args...)}
}

// isBatch reports whether a body is an array.
func isBatch(body []byte) bool {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	return len(trimmed) > 0 && trimmed[0] == '['
}

// parse checks a body and decodes the one message in it.
func parse(body []byte) (*message, *rpcError) {
	if err := jsonscan.Check(body); err != nil {
		return nil, &rpcError{status: 400, code: codeParse, message: "the body is not valid JSON: " + err.Error()}
	}
	return decode(body)
}

var (
	topKeys    = []string{"jsonrpc", "id", "method", "params", "result", "error"}
	paramsKeys = []string{"name", "arguments", "uri", "cursor", "taskId", "requestId", "reason", "level", "inputResponses", "requestState", "_meta", "protocolVersion", "capabilities", "clientInfo"}
	metaKeys   = []string{metaVersion, metaClientInfo, metaCapabilities, metaLogLevel, "progressToken", "traceparent", "tracestate", "baggage"}
)

// misspelt refuses a key that equals one of known but for its case: decoders
// that fold case would read what this one does not.
func misspelt(key []byte, known []string, where string) *rpcError {
	for _, k := range known {
		if k != string(key) && strings.EqualFold(k, string(key)) {
			return invalidRequest("the key %.64q in %s must be written %q", key, where, k)
		}
	}
	return nil
}

// decode reads a message out of text that jsonscan has accepted.
func decode(body []byte) (*message, *rpcError) {
	m := &message{raw: body}
	var version string
	var bad *rpcError
	object := jsonscan.IsObject(body)
	for key, value := range jsonscan.Members(body) {
		switch string(key) {
		case "jsonrpc":
			version = jsonscan.String(value)
		case "id":
			m.id = value
		case "method":
			m.method = jsonscan.String(value)
		case "params":
			m.params = value
		case "result":
			m.response, m.result = true, value
		case "error":
			m.response, m.failure = true, value
		default:
			if bad == nil {
				bad = misspelt(key, topKeys, "the message")
			}
		}
	}
	switch {
	case !object:
		return nil, invalidRequest("a message must be a JSON object")
	case m.id != nil && !validID(m.id):
		return nil, invalidRequest("id must be a string or an integer")
	case bad != nil:
		return m, bad
	case version != "2.0":
		return m, invalidRequest(`jsonrpc must be "2.0"`)
	case m.response && m.method == "":
		return m, nil
	case m.response:
		return m, invalidRequest("a message has a method or a result, not both")
	case m.method == "" || len(m.method) > 128:
		return m, invalidRequest("method must be a string of 1 to 128 characters")
	}
	return m, m.decodeParams()
}

func (m *message) decodeParams() *rpcError {
	if m.params == nil {
		return nil
	}
	var bad *rpcError
	object := jsonscan.IsObject(m.params)
	for key, value := range jsonscan.Members(m.params) {
		switch string(key) {
		case "name":
			m.name = jsonscan.String(value)
		case "uri":
			m.uri = jsonscan.String(value)
		case "taskId":
			m.taskID = jsonscan.String(value)
		case "requestId":
			m.requestID = value
		case "reason":
			m.reason = jsonscan.String(value)
		case "level":
			m.level = jsonscan.String(value)
		case "arguments":
			m.arguments = value
		case "inputResponses":
			m.inputResponses = value
		case "requestState":
			m.requestState = value
		case "_meta":
			if e := m.decodeMeta(value); e != nil && bad == nil {
				bad = e
			}
		default:
			if bad == nil {
				bad = misspelt(key, paramsKeys, "params")
			}
		}
	}
	if !object && string(m.params) != "null" && m.params[0] != '[' {
		return invalidRequest("params must be an object")
	}
	return bad
}

func (m *message) decodeMeta(value []byte) *rpcError {
	var bad *rpcError
	object := jsonscan.IsObject(value)
	for key, v := range jsonscan.Members(value) {
		switch string(key) {
		case metaVersion:
			m.meta.version, m.meta.hasVersion = jsonscan.String(v), true
		case metaClientInfo:
			m.meta.clientInfo = v
		case metaCapabilities:
			m.meta.capabilities = v
		case metaLogLevel:
			m.meta.logLevel = jsonscan.String(v)
		case "progressToken":
			if validID(v) {
				m.meta.progressToken = v
			}
		case "traceparent":
			m.meta.traceparent = jsonscan.String(v)
		case "tracestate":
			m.meta.tracestate = jsonscan.String(v)
		default:
			if bad == nil {
				bad = misspelt(key, metaKeys, "_meta")
			}
		}
	}
	m.meta.present = object
	if !object && string(value) != "null" {
		return &rpcError{status: 400, code: codeInvalidParams, message: "_meta must be an object"}
	}
	return bad
}

// validID tells whether a raw id is a string or an integer.
func validID(raw []byte) bool {
	if len(raw) == 0 || len(raw) > 256 {
		return false
	}
	if raw[0] == '"' {
		return true
	}
	return raw[0] != 't' && raw[0] != 'f' && raw[0] != 'n' && raw[0] != '{' && raw[0] != '[' && !slices.ContainsFunc(raw, func(c byte) bool {
		return c == '.' || c == 'e' || c == 'E'
	})
}

// notification reports whether nobody expects an answer.
func (m *message) notification() bool { return m.id == nil && !m.response }
