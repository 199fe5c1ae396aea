package middleware

import (
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// RequestID stands first: everything after it, refusals included, can be found
// by the id that it sends back in X-Request-Id. A caller's own id is not taken
// over: it could be another caller's. remote returns the client's address.
func RequestID(remote func(*http.Request) string) Middleware {
	prefix := strings.ToLower(rand.Text()[:10]) + "-"
	var n atomic.Uint64
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id := prefix + strconv.FormatUint(n.Add(1), 10)
			w.Header()["X-Request-Id"] = []string{id}
			c := &client.Context{RequestID: id, Transport: client.HTTP, Started: time.Now(), Remote: remote(r)}
			if r.RemoteAddr == StdioAddr {
				c.Transport = client.Stdio
			}
			if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 { // verified, or there was no handshake
				c.Certificate = clip(r.TLS.PeerCertificates[0].Subject.String(), maxSubject)
			}
			ctx := client.NewContext(telemetry.WithRequestID(r.Context(), id), c)
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// maxSubject bounds what is kept of the subject of a certificate, in bytes.
const maxSubject = 256

func clip(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// StdioAddr is the RemoteAddr of requests that the stdio host makes in process.
// A network connection cannot have it: it is not an address.
const StdioAddr = "stdio"
