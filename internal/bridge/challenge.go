package bridge

import (
	"net/http"
	"strings"
)

// challenge is one challenge of a WWW-Authenticate header (RFC 9110 §11.6.1).
type challenge struct {
	scheme string
	params map[string]string // names in lower case
}

// scopes are those that a challenge names (RFC 6750 §3).
func (c challenge) scopes() []string { return strings.Fields(c.params["scope"]) }

// bearer returns the first challenge for a bearer token.
func bearer(h http.Header) (challenge, bool) {
	for _, v := range h.Values("WWW-Authenticate") {
		for _, c := range readChallenges(v) {
			if strings.EqualFold(c.scheme, "Bearer") {
				return c, true
			}
		}
	}
	return challenge{}, false
}

// readChallenges reads one header, which may hold several challenges. What is no
// list of challenges ends it: the rest cannot be told apart.
func readChallenges(s string) []challenge {
	var all []challenge
	for {
		s = strings.TrimLeft(s, " \t,")
		end := strings.IndexAny(s, " \t,=\"")
		if end < 0 {
			end = len(s)
		}
		name, rest := s[:end], strings.TrimLeft(s[end:], " \t")
		if name == "" {
			return all
		}
		value, isParam := strings.CutPrefix(rest, "=")
		if !isParam {
			all = append(all, challenge{scheme: name, params: map[string]string{}})
			s = rest
			continue
		}
		if len(all) == 0 {
			return nil
		}
		value, s = readValue(strings.TrimLeft(value, " \t"))
		params := all[len(all)-1].params
		if key := strings.ToLower(name); params[key] == "" {
			params[key] = value
		}
	}
}

// readValue reads a token or a quoted string from the start of s.
func readValue(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		if end := strings.IndexAny(s, " \t,"); end >= 0 {
			return s[:end], s[end:]
		}
		return s, ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:]
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}
