package app_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

// patience is how long a hostile connection may last in a test: far more than the
// server should allow it.
const patience = 10 * time.Second

// dial opens a plain connection that ends with the test.
func (s *site) dial() net.Conn {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.app.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// exchange sends text on a connection of its own and returns all that comes back
// until the server closes it.
func (s *site) exchange(text string) string {
	s.t.Helper()
	c := s.dial()
	if _, err := io.WriteString(c, text); err != nil && !cut(err) {
		s.t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil && !cut(err) {
		s.t.Errorf("the server does not close: %v after %q", err, b)
	}
	return string(b)
}

// cut reports whether the other side has closed the connection.
func cut(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// drip writes text slowly, again and again, until the server has enough.
func drip(t *testing.T, c net.Conn, text string) (took time.Duration) {
	t.Helper()
	start := time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for i := range len(text) {
			<-tick.C
			if _, err := io.WriteString(c, text[i:i+1]); err != nil {
				if !cut(err) {
					t.Errorf("the server listens for more than %v: %v", time.Since(start), err)
				}
				return time.Since(start)
			}
		}
	}
}

func quick(c *config.Config) {
	c.HTTP.ReadHeaderTimeout, c.HTTP.ReadTimeout, c.HTTP.IdleTimeout, c.HTTP.WriteTimeout = 200*time.Millisecond, 200*time.Millisecond, time.Second, 200*time.Millisecond
}

// A client that sends its headers, or its body, a byte at a time is cut off, and so
// is one that says nothing.
func TestSlowClients(t *testing.T) {
	s := start(t, nil, quick)
	token := s.token(devidp.TokenRequest{Sub: "slow"})
	if took := drip(t, s.dial(), "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "+strings.Repeat("x", 1000)); took > patience/2 {
		t.Errorf("headers may take %v", took)
	}
	for _, auth := range []string{"", "Authorization: Bearer " + token + "\r\n"} {
		c := s.dial()
		if _, err := fmt.Fprintf(c, "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n%sContent-Type: application/json\r\nContent-Length: 10000\r\n\r\n", auth); err != nil {
			t.Fatal(err)
		}
		if took := drip(t, c, "     "); took > patience/2 {
			t.Errorf("a body may take %v (token %v)", took, auth != "")
		}
	}
	if got := s.exchange("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("a connection that waits for its next request: %q", got)
	}
	if got := s.exchange(""); got != "" {
		t.Errorf("a connection that says nothing is told %q", got)
	}
}

// A client that asks and never reads is cut off: each write has its time.
func TestSlowReader(t *testing.T) {
	s := start(t, nil, quick)
	c := s.dial()
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4096) // so that the server's writes block soon
	}
	var err error
	for err == nil {
		_, err = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the server writes to nobody for %v", patience)
	}
}

// Headers and bodies have bounds, however their length is told, and nothing is
// decompressed.
func TestBounds(t *testing.T) {
	s := start(t, nil)
	token := s.token(devidp.TokenRequest{Sub: "large"})
	head := "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/json\r\n"
	big := strings.Repeat(" ", 2<<20)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, ping); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		text   string
		status int
	}{
		"one large header":          {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + strings.Repeat("x", 80<<10) + "\r\n\r\n", 431},
		"a flood of headers":        {"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + strings.Repeat("X: y\r\n", 20<<10) + "\r\n", 431},
		"a large request line":      {"GET /" + strings.Repeat("x", 80<<10) + " HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 431},
		"declared too large":        {head + "Content-Length: 2097152\r\n\r\n", 413},
		"declared as huge":          {head + "Content-Length: 9223372036854775807\r\n\r\n", 413},
		"undeclared, too large":     {head + "Transfer-Encoding: chunked\r\n\r\n200000\r\n" + big + "\r\n0\r\n\r\n", 413},
		"gzip":                      {head + fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", zipped.Len(), zipped.String()), 415},
		"gzip among others":         {head + "Content-Encoding: identity, GZIP\r\nContent-Length: 2\r\n\r\n{}", 415},
		"another content type":      {strings.Replace(head, "application/json", "text/plain", 1) + "Content-Length: 2\r\n\r\n{}", 415},
		"a form, as browsers send":  {strings.Replace(head, "application/json", "application/x-www-form-urlencoded", 1) + "Content-Length: 3\r\n\r\na=b", 415},
		"a negative length":         {head + "Content-Length: -1\r\n\r\n", 400},
		"a chunk that is no number": {head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
	} {
		if got := s.exchange(tt.text); !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", tt.status)) {
			t.Errorf("%s: %.200q, want %d", name, got, tt.status)
		}
	}
}

// Requests that two servers could read in two ways are refused, or read in the one
// way that cannot hide a second request in the first.
func TestSmuggling(t *testing.T) {
	s := start(t, nil)
	const hidden = "GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
	post := func(headers, body string) string {
		return "POST /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + "\r\n" + body
	}
	for name, text := range map[string]string{
		"two lengths":                 post("Content-Length: 0\r\nContent-Length: 46\r\n", hidden),
		"two lengths in one":          post("Content-Length: 0, 46\r\n", hidden),
		"a signed length":             post("Content-Length: +0\r\n", hidden),
		"a hexadecimal length":        post("Content-Length: 0x0\r\n", hidden),
		"a space before the colon":    post("Content-Length : 0\r\n", hidden),
		"an encoding nobody knows":    post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"+hidden),
		"two encodings":               post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"+hidden),
		"two encodings in two":        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"+hidden),
		"an encoding in HTTP/1.0":     "POST /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"no host":                     "GET /healthz HTTP/1.1\r\n\r\n" + hidden,
		"two hosts":                   "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n" + hidden,
		"a host that is none":         "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1/x\r\n\r\n" + hidden,
		"a header without a name":     "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n: x\r\n\r\n" + hidden,
		"a NUL in a header":           "GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: a\x00b\r\n\r\n" + hidden,
		"HTTP/2 without an agreement": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + hidden,
		"another protocol":            "GET /healthz HTTP/3.0\r\nHost: 127.0.0.1\r\n\r\n" + hidden,
	} {
		got := s.exchange(text)
		if n := strings.Count(got, "HTTP/1.1 "); n > 1 || strings.Contains(got, "ready") || strings.HasPrefix(got, "HTTP/1.1 200") {
			t.Errorf("%s: %d answers: %q", name, n, got)
		}
	}
	// RFC 9112 §6.3: the encoding counts and the length does not, so the connection
	// goes on after the last chunk. What a server in front took for the body by its
	// length is then a request of its own here, which is why it must be whole: never
	// the beginning of the next client's.
	got := s.exchange(post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+strings.Replace(hidden, "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1)))
	if answers := strings.Count(got, "HTTP/1.1 "); answers > 2 || !strings.HasPrefix(got, "HTTP/1.1 4") {
		t.Errorf("length and encoding: %q", got)
	}
}

// Unusual methods and targets lead nowhere.
func TestOddRequests(t *testing.T) {
	s := start(t, nil)
	for line, status := range map[string]int{
		"TRACE / HTTP/1.1":                             405,
		"TRACE /mcp HTTP/1.1":                          401,
		"CONNECT evil.example:443 HTTP/1.1":            403,
		"PROPFIND /healthz HTTP/1.1":                   405,
		"get /healthz HTTP/1.1":                        405,
		"GET http://evil.example/healthz HTTP/1.1":     200, // health is for probes by any name
		"GET http://evil.example/mcp HTTP/1.1":         403,
		"GET http://user:pw@evil.example/mcp HTTP/1.1": 403,
		"GET //evil.example/mcp HTTP/1.1":              404,
		"GET /admin/../mcp HTTP/1.1":                   307, // to /mcp, which asks for a token
		"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1":       404,
		"GET /static/..%2f..%2fetc/passwd HTTP/1.1":    404,
		"OPTIONS * HTTP/1.1":                           404,
		"POST /mcp/ HTTP/1.1":                          404,
		"GET /MCP HTTP/1.1":                            404,
	} {
		got := s.exchange(line + "\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
		if !strings.HasPrefix(got, fmt.Sprintf("HTTP/1.1 %d ", status)) {
			t.Errorf("%s: %.120q, want %d", line, got, status)
		}
	}
}

// Every answer tells browsers to do nothing with it, and pages keep their policy.
func TestBrowserSide(t *testing.T) {
	s := start(t, nil)
	u := &user{site: s}
	for path, policy := range map[string]string{"/healthz": "default-src 'none'", "/mcp": "default-src 'none'", "/nothing": "default-src 'none'", "/admin/": "default-src 'none'", "/api/v1/status": "default-src 'none'"} {
		resp, _ := u.do("GET", path, "")
		h := resp.Header
		if !strings.Contains(h.Get("Content-Security-Policy"), policy) || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(h.Get("Content-Security-Policy"), "unsafe") {
			t.Errorf("%s: policy %q", path, h.Get("Content-Security-Policy"))
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("X-Frame-Options") != "DENY" || h.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v", path, h)
		}
	}
	for _, tt := range []struct{ method, path, origin, site string }{
		{"POST", "/admin/login", "https://evil.example", "cross-site"},
		{"POST", "/admin/logout", "null", "cross-site"},
		{"POST", "/mcp", "https://evil.example", ""},
		{"DELETE", "/api/v1/sessions/0123456789abcdef", "http://127.0.0.1.evil.example", ""},
		{"GET", "/metrics", "https://evil.example", ""},
	} {
		resp, _ := u.do(tt.method, tt.path, "", "Origin", tt.origin, "Sec-Fetch-Site", tt.site)
		if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s %s from %s: %d %v", tt.method, tt.path, tt.origin, resp.StatusCode, resp.Header)
		}
	}
}

// The address in the log, which limits and the audit log use too, is what trusted
// proxies say, and nobody else can choose it.
func TestAddressOfClients(t *testing.T) {
	lie := []string{"X-Forwarded-For", "203.0.113.7", "Forwarded", "for=203.0.113.7", "X-Real-Ip", "203.0.113.7", "True-Client-Ip", "203.0.113.7"}
	open := start(t, nil)
	(&user{site: open}).do("POST", "/mcp", ping, lie...)
	if log := open.log.String(); strings.Contains(log, "203.0.113.7") || !strings.Contains(log, `"remote":"127.0.0.1"`) {
		t.Errorf("a stranger chooses its address: %s", log)
	}
	behind := start(t, nil, func(c *config.Config) {
		c.HTTP.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Limits.PerAddress, c.Limits.Window = 3, time.Minute
	})
	u := &user{site: behind}
	for i := range 5 {
		resp, _ := u.do("POST", "/mcp", ping, "X-Forwarded-For", fmt.Sprintf("192.0.2.%d, 203.0.113.7", i))
		if want := map[bool]int{true: 401, false: 429}[i < 3]; resp.StatusCode != want {
			t.Errorf("request %d: %d, want %d: the left of the list is the client's word", i, resp.StatusCode, want)
		}
	}
	if log := behind.log.String(); !strings.Contains(log, `"remote":"203.0.113.7"`) || strings.Contains(log, "192.0.2.") {
		t.Errorf("behind a proxy: %s", log)
	}
}

// An HTTP/2 connection has bounds of its own: streams at once, headers, and
// streams that are reset as soon as they are opened.
func TestHTTP2Bounds(t *testing.T) {
	a := newAuthority(t)
	s, _ := startTLS(t, a, a.files("server"))
	h := openH2(t, s, a)
	if n, ok := h.settings[http2.SettingMaxConcurrentStreams]; !ok || n > 128 {
		t.Errorf("%d streams at once", n)
	}
	if n, ok := h.settings[http2.SettingMaxHeaderListSize]; !ok || n > 80<<10 {
		t.Errorf("headers of %d bytes", n)
	}
	// More streams than may be open at once: each is answered, or refused.
	const streams = 200
	for i := range uint32(streams) {
		h.request(2*i+1, false, "POST", "/mcp")
	}
	over := map[uint32]bool{}
	h.until(func(f http2.Frame) bool {
		switch f.(type) {
		case *http2.HeadersFrame, *http2.RSTStreamFrame:
			over[f.Header().StreamID] = true
		}
		return len(over) == streams
	})
	if len(over) != streams {
		t.Errorf("%d of %d streams were answered or refused", len(over), streams)
	}
	flood := openH2(t, s, a)
	go func() {
		for i := range uint32(10_000) {
			if !flood.request(2*i+1, true, "GET", "/mcp") || flood.framer.WriteRSTStream(2*i+1, http2.ErrCodeCancel) != nil {
				return // the server has enough
			}
		}
		_ = flood.framer.WriteGoAway(0, http2.ErrCodeNo, nil)
		_ = flood.conn.Close()
	}()
	for range 20 { // others are served meanwhile
		served(t, a.client(), s.app.URL()+"/healthz")
	}
	_ = flood.conn.Close() // if the server has not ended it: that is its choice
	flood.until(func(http2.Frame) bool { return false })
}

// h2 is a client that speaks frames.
type h2 struct {
	t        *testing.T
	conn     net.Conn
	framer   *http2.Framer
	settings map[http2.SettingID]uint32
	buf      bytes.Buffer
	enc      *hpack.Encoder
}

func openH2(t *testing.T, s *site, a *authority) *h2 {
	t.Helper()
	c := a.dialH2(s.app.Addr())
	h := &h2{t: t, conn: c, framer: http2.NewFramer(c, bufio.NewReader(c)), settings: map[http2.SettingID]uint32{}}
	h.enc = hpack.NewEncoder(&h.buf)
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	if err := h.framer.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	f, err := h.framer.ReadFrame()
	first, ok := f.(*http2.SettingsFrame)
	if err != nil || !ok {
		t.Fatalf("%v, %v", f, err)
	}
	_ = first.ForeachSetting(func(s http2.Setting) error { h.settings[s.ID] = s.Val; return nil })
	return h
}

// request opens a stream and reports whether it could.
func (h *h2) request(stream uint32, end bool, method, path string) bool {
	h.buf.Reset()
	for _, f := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "127.0.0.1"}, {":path", path}, {"content-type", "application/json"}} {
		_ = h.enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	return h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.buf.Bytes(), EndHeaders: true, EndStream: end}) == nil
}

// until reads frames until one is what was waited for, or the connection ends.
func (h *h2) until(enough func(http2.Frame) bool) {
	h.t.Helper()
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				h.t.Error("nothing happens")
			}
			return
		}
		if enough(f) {
			return
		}
	}
}

// A policy changes with a reload, for calls and for what they may use, and one that
// does not compile changes nothing.
func TestPolicyReload(t *testing.T) {
	cfg := config.Default()
	cfg.Dev, cfg.Addr, cfg.Data = true, "127.0.0.1:0", t.TempDir()
	s := startWith(t, cfg, app.Options{})
	u := s.user("alice")
	call := func() int {
		_, resp := u.call("1", `{"operation":"decision_framework","parameters":{"options":[{"name":"a","attributes":{"x":1}},{"name":"b","attributes":{"x":0}}],"criteria":[{"name":"x","weight":1}]}}`)
		return resp.StatusCode
	}
	if got := call(); got != 200 {
		t.Fatal(got)
	}
	tenant := ""
	for info := range strings.SplitSeq(s.log.String(), "\n") {
		var rec struct {
			Tenant string `json:"tenant"`
		}
		if json.Unmarshal([]byte(info), &rec) == nil && rec.Tenant != "" {
			tenant = rec.Tenant
		}
	}
	changed := *cfg
	changed.Policy.Tenants = []config.TenantPolicy{{Tenant: tenant, Deny: []string{"decide"}}}
	if restart, err := s.app.Reload(t.Context(), &changed); err != nil || slices.Contains(restart, "policy.tenants") {
		t.Fatalf("%v, %v", restart, err)
	}
	if got := call(); got != 403 {
		t.Errorf("denied: %d", got)
	}
	broken := *cfg
	broken.Policy.Guards = []config.Guard{{Name: "g", When: "nobody"}}
	if _, err := s.app.Reload(t.Context(), &broken); err == nil {
		t.Error("a broken guard was taken over")
	}
	if got := call(); got != 403 {
		t.Errorf("after a broken policy: %d", got)
	}
	if _, err := s.app.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if got := call(); got != 200 {
		t.Errorf("allowed again: %d", got)
	}
}

// Every tool that the server offers can be named in a policy.
func TestPolicyNamesEverything(t *testing.T) {
	s := start(t, nil, func(c *config.Config) { c.Tools.Surface = "both" })
	u := s.user("alice")
	u.initialize()
	_, body := u.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var r struct {
		Result struct {
			Tools []struct {
				Name string `json:"name"`
			} `json:"tools"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &r); err != nil || len(r.Result.Tools) < 8 {
		t.Fatalf("%s: %v", body, err)
	}
	for _, tool := range r.Result.Tools {
		if tool.Name == "clear_thought" || strings.HasPrefix(tool.Name, "lyceum_") {
			continue // a way to call operations, not one of them
		}
		if !slices.Contains(config.PolicyNames(), tool.Name) {
			t.Errorf("%s cannot be named in a policy", tool.Name)
		}
	}
}
