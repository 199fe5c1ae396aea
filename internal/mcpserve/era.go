package mcpserve

import (
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
)

// The revisions we speak.
const (
	rev2024   = "2024-11-05"
	rev202503 = "2025-03-26"
	rev202506 = "2025-06-18"
	rev202511 = "2025-11-25"
	rev2026   = "2026-07-28"
)

// supported lists the revisions, newest first.
var supported = []string{rev2026, rev202511, rev202506, rev202503, rev2024}

func legacyRevision(v string) bool {
	return v == rev202511 || v == rev202506 || v == rev202503 || v == rev2024
}

const (
	headerVersion = "Mcp-Protocol-Version"
	headerMethod  = "Mcp-Method"
	headerName    = "Mcp-Name"
	headerSession = "Mcp-Session-Id"
)

// modern tells the era of a message. A request of 2026-07-28 or of a revision
// we do not know says so in _meta or in the header; everything else is of the
// initialize era. Versions are compared with the ones we know, never by order.
func modern(h http.Header, m *message) bool {
	if m.meta.hasVersion {
		return true
	}
	v := h.Get(headerVersion)
	return v != "" && !legacyRevision(v)
}

// checkModern holds a message of the modern era against its headers. In process
// (stdio) there are none to check.
func checkModern(h http.Header, m *message, headers bool) *rpcError {
	if !m.notification() && (!m.meta.present || !m.meta.hasVersion) {
		return &rpcError{status: 400, code: codeInvalidParams, message: "params._meta must have " + metaVersion}
	}
	if headers { // a header that differs is the first thing to tell, whatever it says
		v, e := single(h, headerVersion)
		switch {
		case e != nil:
			return e
		case v == "":
			return mismatch("MCP-Protocol-Version: missing required header")
		case m.meta.hasVersion && v != m.meta.version:
			return mismatch("MCP-Protocol-Version: the header differs from _meta")
		}
	}
	if m.notification() { // the other header rules of notifications are undefined
		if v := notedVersion(h, m); !slices.Contains(supported, v) {
			return unsupported(v)
		}
		return nil
	}
	if e := checkMeta(m); e != nil || !headers {
		return e
	}
	return checkRouting(h, m)
}

// notedVersion is the revision that a notification names, in _meta or else in its
// header.
func notedVersion(h http.Header, m *message) string {
	if m.meta.hasVersion {
		return m.meta.version
	}
	return strings.Trim(h.Get(headerVersion), " \t")
}

func unsupported(version string) *rpcError {
	return &rpcError{
		status: 400, code: codeVersion, message: "unsupported protocol version",
		data: map[string]any{"supported": supported, "requested": version},
	}
}

// checkRouting holds Mcp-Method and Mcp-Name against the body.
func checkRouting(h http.Header, m *message) *rpcError {
	method, e := single(h, headerMethod)
	switch {
	case e != nil:
		return e
	case method == "":
		return mismatch("Mcp-Method: missing required header")
	case method != m.method:
		return mismatch("Mcp-Method: the header differs from the method of the body")
	}
	want, named := headerTarget(m)
	if !named {
		return nil
	}
	name, e := single(h, headerName)
	switch {
	case e != nil:
		return e
	case name == "":
		return mismatch("Mcp-Name: missing required header")
	}
	if name, e = decodeHeader(name); e != nil {
		return e
	}
	if name != want {
		return mismatch("Mcp-Name: the header differs from the body")
	}
	return nil
}

// checkMeta looks at what every request of the modern era must say.
func checkMeta(m *message) *rpcError {
	switch {
	case !slices.Contains(supported, m.meta.version):
		return unsupported(m.meta.version)
	case legacyRevision(m.meta.version):
		return invalidRequest("a request of revision %s belongs to a session that initialize has opened", m.meta.version)
	case len(m.meta.capabilities) == 0 || m.meta.capabilities[0] != '{':
		return &rpcError{status: 400, code: codeInvalidParams, message: "params._meta must have " + metaCapabilities + ", an object"}
	}
	return nil
}

// headerTarget returns what Mcp-Name must say, for methods that have a target.
func headerTarget(m *message) (string, bool) {
	switch m.method {
	case "tools/call", "prompts/get":
		return m.name, true
	case "resources/read":
		return m.uri, true
	case "tasks/get", "tasks/update", "tasks/cancel":
		return m.taskID, true
	}
	return "", false
}

// single returns a header's one value, without surrounding white space. A value
// that is not plain ASCII belongs in base64: what stands between may read the bytes
// in another way than we do.
func single(h http.Header, name string) (string, *rpcError) {
	values := h[name]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		v := strings.Trim(values[0], " \t")
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r > '~' }) {
			return "", mismatch(name + ": characters other than plain ASCII")
		}
		return v, nil
	}
	return "", mismatch(name + ": sent more than once")
}

const (
	base64Prefix = "=?base64?"
	base64Suffix = "?="
)

// decodeHeader undoes the base64 form that carries values which are not plain
// ASCII. A value without both markers is literal.
func decodeHeader(v string) (string, *rpcError) {
	if len(v) < len(base64Prefix)+len(base64Suffix) || !strings.HasPrefix(v, base64Prefix) || !strings.HasSuffix(v, base64Suffix) {
		return v, nil
	}
	inner := v[len(base64Prefix) : len(v)-len(base64Suffix)]
	b, err := base64.StdEncoding.Strict().DecodeString(inner)
	if err != nil {
		return "", mismatch("Mcp-Name: not valid base64")
	}
	return string(b), nil
}

func mismatch(text string) *rpcError {
	return &rpcError{status: 400, code: codeHeader, message: "header mismatch: " + text}
}

// removed are methods of the older revisions that 2026-07-28 does not have.
var removed = []string{"initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result"}
