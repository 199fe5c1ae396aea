package load

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// endpoint is the server as the connections of one group see it.
type endpoint struct {
	url       string
	era       string
	progress  bool
	keep      bool // send the sessionId of the last answer
	retry     bool
	timeout   time.Duration
	transport *http.Transport
	meta      string // members of _meta besides the progress token
}

// newEndpoint returns the endpoint with room for exactly the given number of
// TCP connections. It speaks HTTP/1.1, so that a connection is a connection;
// follows no redirect and uses no proxy, so that the load goes where it was
// sent.
func newEndpoint(p *Plan, connections int) *endpoint {
	e := &endpoint{url: p.URL, era: p.Era, progress: p.Progress, keep: !p.NewSessions, retry: p.Retry, timeout: p.Timeout}
	if p.Era == Era2026 {
		e.meta = fmt.Sprintf(`"io.modelcontextprotocol/protocolVersion":%q,"io.modelcontextprotocol/clientInfo":{"name":"lyceum-bench","version":%q},"io.modelcontextprotocol/clientCapabilities":{}`,
			p.Era, build.Version())
	}
	dial := p.dial
	if dial == nil {
		d := &net.Dialer{}
		if !p.AllowRemote {
			d.Control = onlyLoopback
		}
		dial = d.DialContext
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	e.transport = &http.Transport{
		DialContext: dial, Protocols: protocols, DisableCompression: true,
		MaxConnsPerHost: connections, MaxIdleConnsPerHost: connections, MaxIdleConns: connections,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return e
}

// onlyLoopback refuses to connect to an address that is not this machine's,
// whatever name it came from.
func onlyLoopback(_, address string, _ syscall.RawConn) error {
	if a, err := netip.ParseAddrPort(address); err != nil || !a.Addr().Unmap().IsLoopback() {
		return fault.Newf(fault.Forbidden, "%s is not a loopback address", address)
	}
	return nil
}

// prepared is a call as far as it is the same every time.
type prepared struct {
	name      string // of the class
	tool      string
	header    string // tool, as a header value
	arguments []byte
	pinned    bool // the arguments say themselves which session
	keyed     bool // the call takes an idempotency key
}

func prepare(c Call, tool string) prepared {
	var members map[string]json.RawMessage
	_ = json.Unmarshal(c.Arguments, &members) // validate has looked
	_, pinned := members["sessionId"]
	_, named := members["idempotencyKey"]
	var compact bytes.Buffer
	_ = json.Compact(&compact, c.Arguments)
	return prepared{
		name: c.Name, tool: tool, header: headerValue(tool), arguments: compact.Bytes(), pinned: pinned || len(members) == 0,
		keyed: tool == DefaultTool && !named && len(members) > 0,
	}
}

// headerValue writes a name so that it survives a header, as 2026-07-28 says.
func headerValue(v string) string {
	if strings.HasPrefix(v, "=?base64?") {
		return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(v)) + "?="
	}
	return v
}
