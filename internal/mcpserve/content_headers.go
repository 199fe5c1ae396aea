package mcpserve

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
)

// headerParam is the prefix of headers that repeat an argument.
const headerParam = "Mcp-Param-"

// paramHeader is an argument that its schema wants repeated in a header, so that
// what stands between can see it. It is never trusted: it must equal the argument.
type paramHeader struct {
	header string   // in its canonical form
	path   []string // of the argument
	kind   string   // string, integer or boolean
}

// paramHeaders finds what a schema wants in headers. Clients drop a tool whose
// marks break the rules without a word, so that is an error.
func paramHeaders(schema json.RawMessage) ([]paramHeader, error) {
	var out []paramHeader
	if err := collectHeaders(schema, nil, &out); err != nil {
		return nil, err
	}
	if n := strings.Count(string(schema), `"x-mcp-header"`); n != len(out) {
		return nil, fmt.Errorf("x-mcp-header: %d of %d marks are not on properties of properties", n-len(out), n)
	}
	seen := map[string]bool{}
	for _, h := range out {
		if seen[h.header] {
			return nil, fmt.Errorf("x-mcp-header: %s is used twice", h.header)
		}
		seen[h.header] = true
	}
	return out, nil
}

func collectHeaders(schema json.RawMessage, path []string, out *[]paramHeader) error {
	for key, sub := range jsonscan.Members(memberOf(schema, "properties")) {
		at := append(slices.Clip(path), string(key))
		if mark := memberOf(sub, "x-mcp-header"); mark != nil {
			name, kind := jsonscan.String(mark), jsonscan.String(memberOf(sub, "type"))
			if !token(name) || kind != "string" && kind != "integer" && kind != "boolean" {
				return fmt.Errorf("x-mcp-header of %s: want a header token on a string, an integer or a boolean", strings.Join(at, "."))
			}
			*out = append(*out, paramHeader{http.CanonicalHeaderKey(headerParam + name), at, kind})
		}
		if err := collectHeaders(sub, at, out); err != nil {
			return err
		}
	}
	return nil
}

// token reports whether s can be a part of a header's name (RFC 9110, 5.6.2).
func token(s string) bool {
	const others = "!#$%&'*+-.^_`|~"
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(others, r))
	}) < 0
}

// checkParams holds the Mcp-Param headers of a call against its arguments. Headers
// that nothing asked for are ignored.
func (s *Server) checkParams(h http.Header, m *message) *rpcError {
	d := s.direct[m.name]
	if d == nil {
		return nil
	}
	for _, p := range d.headers {
		sent, bad := single(h, p.header)
		if bad != nil {
			return bad
		}
		_, there := h[p.header]
		value := m.arguments
		for _, key := range p.path {
			value = memberOf(value, key)
		}
		switch {
		case value == nil && !there:
		case value == nil:
			return mismatch(p.header + ": the arguments have no such value")
		case !there:
			return mismatch(p.header + ": missing required header")
		case !p.equals(sent, value):
			return mismatch(p.header + ": the header differs from the arguments")
		}
	}
	return nil
}

// equals reports whether a header says what an argument does. Integers are
// compared as numbers, everything else as it is written.
func (p *paramHeader) equals(sent string, value json.RawMessage) bool {
	text, bad := decodeHeader(sent)
	if bad != nil {
		return false
	}
	if isString(value) {
		return text == jsonscan.String(value)
	}
	if p.kind == "integer" {
		const most = 64 // digits; more is no integer that anybody means
		a, aOK := new(big.Rat), len(text) <= most && !strings.ContainsAny(text, "eE/")
		b, bOK := new(big.Rat), len(value) <= most && !strings.ContainsAny(string(value), "eE/")
		if aOK && bOK {
			_, aOK = a.SetString(text)
			_, bOK = b.SetString(string(value))
			return aOK && bOK && a.Cmp(b) == 0
		}
	}
	return text == string(value)
}
