package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Headers in which proxies name the client.
const (
	ForwardedAuto = "auto"            // either of the two; neither if both are there and differ
	Forwarded     = "forwarded"       // RFC 7239
	ForwardedFor  = "x-forwarded-for" // its ancestor
)

// maxHops bounds the proxies that a request may have come through.
const maxHops = 32

// Addresses tells the addresses of clients that come through proxies.
type Addresses struct {
	Trusted []netip.Prefix // our proxies; nobody else's word counts
	Header  string         // one of those above; empty is ForwardedAuto
}

// Of returns the address of the client: the other end of the connection, or, if
// that is a trusted proxy, the nearest one before it that is not. The list is read
// from the right, because each proxy adds to its end what it saw, and whatever
// stands left of the first stranger is that stranger's word. A list that cannot be
// read ends where it cannot.
func (a Addresses) Of(r *http.Request) string {
	peer, ok := addressOf(r.RemoteAddr)
	if !ok {
		return r.RemoteAddr // no network: the stdio host
	}
	if len(a.Trusted) == 0 || !a.trusts(peer) {
		return peer.String()
	}
	var found []netip.Addr
	if lines := r.Header["Forwarded"]; len(lines) > 0 && a.Header != ForwardedFor {
		found = append(found, a.nearest(peer, forwardedFor(lines)))
	}
	if lines := r.Header["X-Forwarded-For"]; len(lines) > 0 && a.Header != Forwarded {
		found = append(found, a.nearest(peer, strings.Split(strings.Join(lines, ","), ",")))
	}
	// A proxy that writes one of the headers passes the other on as the client
	// sent it: where they differ, nobody knows which is a lie.
	if len(found) == 0 || found[0] != found[len(found)-1] {
		return peer.String()
	}
	return found[0].String()
}

func (a Addresses) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(a.Trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// nearest walks hops from the right to the first that is not trusted. If there is
// none it is the last one that could be read.
func (a Addresses) nearest(peer netip.Addr, hops []string) netip.Addr {
	at := peer
	for i, hop := range slices.Backward(hops) {
		addr, ok := addressOf(strings.TrimSpace(hop))
		if !ok || len(hops)-i > maxHops {
			break
		}
		if at = addr; !a.trusts(addr) {
			break
		}
	}
	return at
}

// addressOf reads an address with or without a port, as headers and connections
// write it. IPv4 in IPv6 is IPv4, and zones, which mean nothing to others, are cut.
func addressOf(text string) (netip.Addr, bool) {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().WithZone(""), err == nil
}

// forwardedFor returns the "for" of each element of a Forwarded header, "" for an
// element without one. If the header does not follow RFC 7239 §4 it returns nil:
// what follows an open quote could be anybody's.
func forwardedFor(lines []string) []string {
	rest := strings.Join(lines, ",")
	var hops []string
	for {
		var hop string
		var ok bool
		if hop, rest, ok = forwardedElement(rest); !ok {
			return nil
		}
		hops = append(hops, hop)
		if rest == "" {
			return hops
		}
		rest = rest[1:] // the comma
	}
}

// forwardedElement reads one element up to its comma or the end.
func forwardedElement(s string) (hop, rest string, ok bool) {
	for {
		s = strings.TrimLeft(s, " \t")
		if s == "" || s[0] == ',' {
			return hop, s, true
		}
		if s[0] == ';' {
			s = s[1:]
			continue
		}
		name, after, found := strings.Cut(s, "=")
		if !found || !isToken(name) {
			return "", "", false
		}
		var value string
		if value, s, ok = forwardedValue(after); !ok {
			return "", "", false
		}
		if strings.EqualFold(name, "for") {
			if hop != "" { // RFC 7239 §4: once
				return "", "", false
			}
			hop = value
		}
		s = strings.TrimLeft(s, " \t")
		if s != "" && s[0] != ',' && s[0] != ';' {
			return "", "", false
		}
	}
}

// forwardedValue reads a token, with the characters of an address, or a quoted
// string.
func forwardedValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexAny(s, ",; \t")
		if end < 0 {
			end = len(s)
		}
		return s[:end], s[end:], end > 0 && !strings.Contains(s[:end], `"`)
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}
