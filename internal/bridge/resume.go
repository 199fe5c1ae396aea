package bridge

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// A stream that broke is taken up again after the pause that the server asked for,
// or firstPause, and after twice as long each time that brought nothing, up to
// mostPause and mostTries times in a row.
const mostTries = 6

// resume fetches the rest of a stream that ended before its answer, in the
// revisions that can: the server has given its events ids, and the call goes on
// without its connection.
func (b *bridge) resume(ctx, life context.Context, f *flight, c *cursor, e *envelope, session string) ending {
	const broke = "the stream broke before the answer was there"
	lost := ending{ran: true, why: broke + ": " + fate(e)}
	if e.modern() || c.last == "" {
		return lost
	}
	pause := c.pause()
	for tries := 0; tries < mostTries; tries++ {
		if !rest(ctx, pause) || f.abandoned.Load() {
			return lost
		}
		last := c.last
		answered, status := b.takeUp(ctx, life, c, e, session)
		switch {
		case answered:
			return ending{done: true}
		case status == http.StatusNotFound && session != "":
			return ending{ran: true, gone: true, from: session, why: broke + ", and with it the transport session: " + fate(e)}
		case status >= 400 && status < 500 && status != http.StatusTooManyRequests && status != http.StatusUnauthorized:
			return lost
		case c.last != last:
			tries, pause = -1, c.pause()
		default:
			pause = min(2*pause, max(mostPause, c.retry))
		}
	}
	return lost
}

// takeUp copies the rest of a stream, until its answer or its next break. status
// is 0 without an answer to the request for it.
func (b *bridge) takeUp(ctx, life context.Context, c *cursor, e *envelope, session string) (answered bool, status int) {
	resp, err := b.get(ctx, life, c, session, b.versionNow())
	if err != nil {
		return false, 0
	}
	defer resp.Body.Close()
	if !isStream(resp) {
		return false, resp.StatusCode
	}
	c.again()
	answered, _ = c.events(resp.Body, b.cfg.MaxLine*eventOverhead, b.deliver(e)) // a break shows in answered
	return answered, resp.StatusCode
}

// get asks for a stream of the older revisions: the standing one, or, from a
// cursor, the rest of another.
func (b *bridge) get(ctx, life context.Context, c *cursor, session, version string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.cfg.URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	b.cfg.addHeaders(req.Header)
	req.Header.Set("Accept", "text/event-stream")
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
	}
	if version != "" {
		req.Header.Set("Mcp-Protocol-Version", version)
	}
	if c.last != "" {
		req.Header.Set("Last-Event-ID", c.last)
	}
	return b.authorized(life, req, true)
}

func isStream(resp *http.Response) bool {
	return resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream")
}

// pause is how long to stay away from a stream that ended.
func (c *cursor) pause() time.Duration {
	if c.retry > 0 {
		return c.retry
	}
	return firstPause
}
