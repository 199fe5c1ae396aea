// Package egress makes HTTP clients for requests that this server sends to places
// whose addresses somebody else has a say in: issuers, and what their documents
// refer to.
//
// A client dials public addresses only, unless it was told otherwise. The address
// is checked when it is dialed, after the name was resolved, so a name that
// resolves to something else the second time gains nothing. No proxy is used, no
// cookie kept and no redirect to another host followed; time and size are bounded.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// Defaults of Config.
const (
	DefaultTimeout  = 10 * time.Second
	DefaultMaxBytes = 1 << 20
)

const (
	maxRedirects = 3
	maxHeader    = 64 << 10
	maxPerHost   = 64
	idleTime     = 30 * time.Second
)

// Config says where a client may go. Its zero value is good for the public
// network.
type Config struct {
	// Configured are URLs that an operator wrote down. A loopback or private address
	// that is the host of one of them, or localhost, may be dialed for that host;
	// a name among them still has to resolve to a public address.
	Configured []string
	// Networks are the addresses that may be dialed besides, such as those of an
	// issuer on an internal network.
	Networks []netip.Prefix

	Roots *x509.CertPool // that sign the certificates of sites; nil means the system's

	Timeout  time.Duration // of a request with its body; 0 means DefaultTimeout
	MaxBytes int64         // of a body, which fails to read beyond; 0 means DefaultMaxBytes
}

// ErrForbidden is the cause of every refusal to dial an address.
var ErrForbidden = errors.New("address is not public and not configured")

// New returns a client. Close its idle connections when it is no longer needed.
func New(c Config) *http.Client {
	p := &policy{networks: c.Networks, hosts: make(map[string]bool)}
	for _, s := range c.Configured {
		if u, err := url.Parse(s); err == nil && u.Hostname() != "" {
			p.hosts[strings.ToLower(u.Hostname())] = true
		}
	}
	timeout, limit := c.Timeout, c.MaxBytes
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	if limit == 0 {
		limit = DefaultMaxBytes
	}
	transport := &http.Transport{
		DialContext: p.dial, ForceAttemptHTTP2: true, MaxConnsPerHost: maxPerHost, MaxIdleConnsPerHost: 4, IdleConnTimeout: idleTime,
		TLSClientConfig:     &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: timeout, ResponseHeaderTimeout: timeout, MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: &bounded{transport, limit}, Timeout: timeout, CheckRedirect: sameHost}
}

// sameHost follows a few redirects within a scheme, host and port.
func sameHost(r *http.Request, via []*http.Request) error {
	switch first := via[0].URL; {
	case len(via) > maxRedirects:
		return errors.New("too many redirects")
	case r.URL.Scheme != first.Scheme || r.URL.Host != first.Host:
		return fmt.Errorf("redirect to another host, %s", r.URL.Host)
	}
	return nil
}

// policy says which addresses may be dialed for which host.
type policy struct {
	hosts    map[string]bool // configured, in lower case
	networks []netip.Prefix
}

func (p *policy) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout: DefaultTimeout,
		// Called with the address of each attempt, after the name was resolved.
		ControlContext: func(_ context.Context, _, dialed string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(dialed)
			if err != nil {
				return fmt.Errorf("%s: %w", dialed, ErrForbidden)
			}
			return p.check(host, ap.Addr())
		},
	}
	return d.DialContext(ctx, network, addr)
}

// check refuses an address that host must not lead to.
func (p *policy) check(host string, ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	host = strings.ToLower(host)
	if public(ip) {
		return nil
	}
	for _, n := range p.networks {
		if n.Contains(ip) {
			return nil
		}
	}
	if p.hosts[host] {
		if literal, err := netip.ParseAddr(host); err == nil && literal.Unmap().WithZone("") == ip {
			return nil
		}
		if host == "localhost" && ip.IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("%s for host %.255q: %w", ip, host, ErrForbidden)
}

// special are the networks of the IANA special-purpose registries that the
// methods of netip.Addr do not know: shared and benchmark space, documentation,
// translation and relay prefixes behind which any IPv4 address may hide.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(all ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(all))
	for i, s := range all {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// public reports whether an address is one of the public network.
func public(ip netip.Addr) bool {
	if !ip.IsGlobalUnicast() || ip.IsPrivate() {
		return false
	}
	for _, n := range special {
		if n.Contains(ip) {
			return false
		}
	}
	return !ip.Is6() || netip.MustParsePrefix("2000::/3").Contains(ip)
}

// bounded bounds the bodies of answers.
type bounded struct {
	*http.Transport
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = &body{ReadCloser: resp.Body, left: b.limit}
	return resp, nil
}

// body is a body that fails when it is longer than it may be.
type body struct {
	io.ReadCloser
	left int64
}

// ErrTooLong is what reading a body beyond MaxBytes fails with.
var ErrTooLong = errors.New("the answer is too long")

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLong
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return n + int(b.left), ErrTooLong
	}
	return n, err
}
