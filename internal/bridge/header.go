package bridge

import (
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

const maxHeader = 8 << 10 // bytes of a header's value

// ParseHeader reads "Name: value". ${NAME} in the value is replaced by what env says
// of it, so that a secret need not stand in a configuration; a $ before anything
// else is itself. Errors never tell the value.
func ParseHeader(text string, env func(string) (string, bool)) (name, value string, err error) {
	name, value, ok := strings.Cut(text, ":")
	name = strings.TrimSpace(name)
	if !ok || !isToken(name) {
		return "", "", fmt.Errorf("header %q: want Name: value", name)
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	if ours(name) {
		return "", "", fmt.Errorf("header %s: it is the protocol's own and cannot be given", name)
	}
	if value, err = expand(strings.TrimSpace(value), env); err != nil {
		return "", "", fmt.Errorf("header %s: %w", name, err)
	}
	if value == "" || len(value) > maxHeader {
		return "", "", fmt.Errorf("header %s: want a value of 1 to %d bytes", name, maxHeader)
	}
	if strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) >= 0 {
		return "", "", fmt.Errorf("header %s: the value has a line break or another control character", name)
	}
	return name, value, nil
}

// ours reports whether a header says what only the bridge or HTTP itself can say.
func ours(name string) bool {
	return strings.HasPrefix(name, "Mcp-") || slices.Contains([]string{
		"Accept", "Accept-Encoding", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Expect", "Host", "Keep-Alive",
		"Last-Event-Id", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	}, name)
}

// expand replaces each ${NAME}.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("a ${ has no }")
		}
		value, ok := env(name)
		if !ok {
			return "", fmt.Errorf("the environment has no %q", name)
		}
		out.WriteString(value)
		text = after
	}
}

func (c *Config) addHeaders(h http.Header) { maps.Copy(h, c.Headers.Clone()) }
