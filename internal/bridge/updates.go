package bridge

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// The standing stream is opened again after firstPause, and after twice as long
// each time it fails, up to mostPause. One that lasted for steady did not fail.
const (
	firstPause = 500 * time.Millisecond
	mostPause  = 30 * time.Second
	steady     = 10 * time.Second
)

// listen keeps the standing stream of the older revisions open, on which the
// server tells what belongs to no call, such as updates of resources. It ends with
// ctx, with its transport session, or when hangUp is called. A session that
// follows replaces it. The owner is read.
func (b *bridge) listen(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	session, version, before := b.session, b.version, b.hangUp
	b.hangUp = cancel
	b.mu.Unlock()
	if before != nil {
		before()
	}
	if session == "" {
		cancel()
		return
	}
	b.wg.Go(func() {
		defer cancel()
		pause := firstPause
		for {
			began := time.Now()
			if !b.follow(ctx, session, version) {
				return
			}
			if time.Since(began) >= steady {
				pause = firstPause
			}
			t := time.NewTimer(pause)
			select {
			case <-ctx.Done():
				t.Stop()
				return
			case <-t.C:
			}
			pause = min(2*pause, mostPause)
		}
	})
}

// follow copies one stream until it ends, and reports whether another one may be
// worth a try. A server that has no such stream says so with 405, and one whose
// session is over with 404.
func (b *bridge) follow(ctx context.Context, session, version string) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.cfg.URL, http.NoBody)
	if err != nil {
		return false
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", session)
	if version != "" {
		req.Header.Set("Mcp-Protocol-Version", version)
	}
	resp, err := b.authorized(ctx, req, true)
	if err != nil {
		return ctx.Err() == nil
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusOK && strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream"):
		_, _ = b.events(resp.Body) // however it ends, it is opened again
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
	default:
		return false
	}
	return ctx.Err() == nil
}
