package load

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"time"
)

const (
	retryFirst = 50 * time.Millisecond // before the first attempt that follows a broken connection
	retryMost  = time.Second           // between two such attempts
	afterMost  = time.Minute           // that is waited because a server said so
)

// persist makes a call as a client does that comes back when it is asked to: it
// waits out refusals, connects again, and opens a new session where its own is
// gone, until the call's time is over. All attempts of a call have one
// idempotency key, so that a call whose answer was lost is not made twice.
func (k *conn) persist(ctx context.Context, c *prepared) answer {
	if k.secret == "" {
		k.secret = rand.Text()
	}
	k.calls++
	k.key = k.secret + "-" + strconv.FormatUint(k.calls, 10)
	defer func() { k.key = "" }()
	backoff := retryFirst
	for retries := 0; ; retries++ {
		a := k.attempt(ctx, c)
		a.retries = retries
		wait := a.after
		switch {
		case a.outcome == transportErr:
			wait = backoff
			backoff = min(2*backoff, retryMost)
		case a.status == http.StatusNotFound && k.lost:
		case a.outcome.refused():
			wait = min(max(wait, retryFirst), afterMost)
		default:
			return a
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return a
		}
	}
}

// afterOf returns how long a Retry-After in seconds asks to wait, 0 if it is
// something else.
func afterOf(v string) time.Duration {
	n, err := strconv.ParseUint(v, 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Second
}
