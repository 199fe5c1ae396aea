package bridge

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// The standing stream is opened again after firstPause, and after twice as long
// each time it fails, up to mostPause. One that lasted for steady did not fail.
const (
	firstPause = 500 * time.Millisecond
	mostPause  = 30 * time.Second
	steady     = 10 * time.Second
	standWait  = time.Second
)

// listen keeps the standing stream of the older revisions open, on which the
// server tells what belongs to no call, such as updates of resources. It ends with
// ctx, with its transport session, or when hangUp is called. A session that
// follows replaces it. listen returns when the server has answered, or after
// standWait: what the server asks the host in the next call may come on this stream,
// and many servers lose it if the stream is not there yet.
func (b *bridge) listen(ctx context.Context) {
	stream, cancel := context.WithCancel(ctx)
	b.mu.Lock()
	session, version, before := b.session, b.version, b.hangUp
	b.hangUp = cancel
	over := b.landing || session == ""
	b.mu.Unlock()
	if before != nil {
		before()
	}
	if over {
		cancel()
		return
	}
	answered := make(chan struct{})
	stands := sync.OnceFunc(func() { close(answered) })
	b.wg.Go(func() {
		defer cancel()
		defer stands()
		c, pause := &cursor{}, firstPause
		stood := false // the server took the session for good once
		for {
			began := time.Now()
			status := b.follow(stream, c, session, version, stands)
			switch {
			case stream.Err() != nil:
				return
			case status == http.StatusOK:
				stood = true
			case status == http.StatusNotFound && stood:
				if err := b.renew(stream, ctx, session); err != nil && stream.Err() == nil {
					b.say("no updates any more: the transport session is over and could not be opened again: %v", err)
				}
				return
			case status == http.StatusBadRequest && c.last != "":
				c = &cursor{} // the server has forgotten that event
			case !again(status):
				return
			}
			if time.Since(began) >= steady {
				pause = firstPause
			}
			if !rest(stream, max(pause, c.retry)) {
				return
			}
			pause = min(2*pause, mostPause)
		}
	})
	t := time.NewTimer(standWait)
	defer t.Stop()
	select {
	case <-answered:
	case <-t.C:
	case <-stream.Done():
	}
}

// again reports whether another stream may be worth a try. A server that has no
// such stream says so with 405, and one whose session is over with 404.
func again(status int) bool {
	return status == 0 || status == http.StatusUnauthorized || status == http.StatusTooManyRequests || status >= 500
}

// follow copies one stream until it ends, and returns the status that the server
// answered with, 0 if there was none. It calls stands once the server has answered.
func (b *bridge) follow(ctx context.Context, c *cursor, session, version string, stands func()) int {
	resp, err := b.get(ctx, ctx, c, session, version)
	stands()
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if !isStream(resp) {
		if resp.StatusCode == http.StatusOK {
			return http.StatusMethodNotAllowed // 200 with something else is as good as none
		}
		return resp.StatusCode
	}
	if c.last != "" {
		c.again()
	}
	_, _ = c.events(resp.Body, b.cfg.MaxLine*eventOverhead, b.deliver(&envelope{})) // however it ends, it is opened again
	return http.StatusOK
}
