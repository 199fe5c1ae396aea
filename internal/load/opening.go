package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// initialize opens a session of the older era.
func (k *conn) initialize(ctx context.Context) answer {
	k.session, k.handle, k.lost = "", "", true
	k.id++
	body := fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"lyceum-bench","version":%q}}}`,
		k.id, k.era, build.Version())
	a, m := k.send(ctx, "initialize", "", body)
	if a.outcome != ok {
		return a
	}
	if k.revision = m.Result.Version; k.revision == "" {
		return failed(badAnswer, "initialize did not say which revision it is")
	}
	resp, err := k.request(ctx, http.MethodPost, "notifications/initialized", "", []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	if err != nil {
		return k.broken(ctx, err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // it has none to speak of
	if o := outcomeOf(resp.StatusCode); o != ok {
		after := resp.Header.Get("Retry-After")
		return answer{outcome: o, status: resp.StatusCode, retryAfter: validRetryAfter(after), after: afterOf(after), text: strconv.Itoa(resp.StatusCode)}
	}
	k.opened++
	k.lost = false
	return a
}

// open makes the connection before the load begins: a session in the initialize
// era, a server/discover otherwise, which a server need not know. It fails when
// the server cannot be reached or does not let the client in.
func (k *conn) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, k.timeout, errTimeout)
	defer cancel()
	var a answer
	if k.era == Era2026 {
		k.id++
		a, _ = k.send(ctx, "server/discover", "", fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%d,"method":"server/discover","params":{"_meta":{%s}}}`, k.id, k.meta))
		k.revision = k.era
		if a.status != 0 && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden && !a.outcome.refused() {
			return nil
		}
	} else {
		a = k.initialize(ctx)
	}
	switch {
	case a.outcome == ok:
		return nil
	case a.outcome == cut:
		return context.Cause(ctx)
	case a.status == http.StatusUnauthorized:
		return fault.Newf(fault.Unauthenticated, "the server does not take the token: %s", a.text)
	case a.status == http.StatusForbidden:
		return fault.Newf(fault.Forbidden, "the server does not let the token in: %s", a.text)
	}
	return fault.Newf(fault.Unavailable, "the server does not answer as it should: %s %s", outcomeNames[a.outcome], a.text)
}

// close ends the session, so that the server need not wait for it to expire.
func (k *conn) close(ctx context.Context) {
	if k.session == "" {
		return
	}
	if resp, err := k.request(ctx, http.MethodDelete, "", "", nil); err == nil {
		_ = resp.Body.Close()
	}
}
