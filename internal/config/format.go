package config

import (
	"encoding/hex"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// format is a check of a text, with the words for what passes and the word that
// stands for it in a list of flags.
type format struct {
	ok      func(string) bool
	allowed string
	word    string
}

// maxText bounds every text, in bytes.
const maxText = 4096

// formats maps the format tag to its check.
var formats = map[string]format{
	"":                  {func(string) bool { return true }, "a text", "TEXT"},
	"path":              {func(s string) bool { return s != "" && !strings.ContainsRune(s, 0) }, "a path", "DIR"},
	"file_or_empty":     {func(s string) bool { return !strings.ContainsRune(s, 0) }, "a path, or nothing", "FILE"},
	"word":              {isWord, "a text without spaces or control characters", "TEXT"},
	"hostport":          {isHostPort, "HOST:PORT, such as 127.0.0.1:8383", "HOST:PORT"},
	"hostport_or_empty": {func(s string) bool { return s == "" || isHostPort(s) }, "HOST:PORT, such as 127.0.0.1:9090, or nothing", "HOST:PORT"},
	"url":               {isURL, "an http or https URL without user, query and fragment, such as https://lyceum.example.com", "URL"},
	"secure_url":        {isSecureURL, "an https URL without user, query and fragment; http only to a loopback host", "URL"},
	"origin":            {isOrigin, "SCHEME://HOST or SCHEME://HOST:PORT, such as https://ide.example.com", "ORIGIN"},
	"sha256":            {isSHA256, "64 hexadecimal digits", "HASH"},
	"moment":            {isMoment, "a time such as 2027-01-31T12:00:00Z, or nothing", "TIME"},
	"host":              {isHost, "HOST or HOST:PORT, without wildcards", "HOST"},
}

func isSHA256(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 64
}

// isMoment accepts nothing as well.
func isMoment(s string) bool {
	_, err := time.Parse(time.RFC3339, s)
	return s == "" || err == nil
}

func isWord(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
}

// isHostPort accepts an empty host (every address of the machine) and port 0.
func isHostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	return err == nil && isPort(port) && (host == "" || isHostName(host))
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && s == strconv.FormatUint(n, 10)
}

// isHostName accepts an address or a name made of letters, digits, dots,
// dashes and underscores.
func isHostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
	}
	return s != "" && len(s) <= 253 && !strings.HasPrefix(s, ".") && strings.TrimFunc(s, ok) == "" && !strings.Contains(s, "..")
}

// isHost accepts a host with or without a port; an IPv6 address with a port has
// brackets.
func isHost(s string) bool {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return isHostName(s)
	}
	return isHostName(host) && isPort(port)
}

// web parses an absolute http or https URL that carries nothing but a place.
func web(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.User != nil ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#") {
		return nil, false
	}
	return u, isHostName(u.Hostname()) && (u.Port() == "" || isPort(u.Port()))
}

// isURL accepts nothing as well: an optional URL.
func isURL(s string) bool {
	_, ok := web(s)
	return ok || s == ""
}

func isSecureURL(s string) bool {
	u, ok := web(s)
	return s == "" || ok && (u.Scheme == "https" || isLoopback(u.Hostname()))
}

func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Scheme+"://"+u.Host != s {
		return false
	}
	return isHostName(u.Hostname()) && (u.Port() == "" || isPort(u.Port()))
}

// isLoopback reports whether host, without port, is on this machine only.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// loopbackAddr reports whether a listener on HOST:PORT is on this machine only.
func loopbackAddr(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	return err == nil && isLoopback(host)
}
