package oidc

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// firstRetry is the pause after one failed fetch. It doubles with each further
// one, up to the cooldown for unknown keys.
const firstRetry = time.Second

// remoteKeys keeps the keys of an issuer on the network. They are fetched when a
// token needs them, by one goroutine at a time that close waits for:
//
//   - with no usable keys, a token waits for the fetch;
//   - with keys past their freshness, tokens are verified with them while a fetch
//     runs; if fetches fail, that goes on for StaleFor;
//   - a kid that is not in the set waits for a fetch only if the last one is
//     UnknownKidCooldown ago: a set that young is proof enough that the kid does
//     not exist. So the cooldown is also the negative cache of every kid, and
//     takes no memory that random kids could fill.
//
// A bad signature never causes a fetch: whoever knows a kid could cause any
// number of them.
type remoteKeys struct {
	config  Config
	fetcher *fetcher // used by the running fetch only
	stop    context.CancelFunc
	life    context.Context // of fetches; ends with close
	fetches sync.WaitGroup

	mu sync.Mutex

	// owned by mu
	set      keySet
	fresh    time.Time // until then set needs no refresh
	good     time.Time // until then set may be used
	next     time.Time // no fetch starts before
	failures int       // fetches that failed since the last good one
	failure  error     // of the last fetch; nil if it was good
	flight   *fetch    // running, or nil
	closed   bool
}

// fetch is one fetch in progress.
type fetch struct{ done chan struct{} }

func newRemoteKeys(config Config, client *http.Client) *remoteKeys {
	r := &remoteKeys{config: config, fetcher: newFetcher(config, client)}
	r.life, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *remoteKeys) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.stop()
	r.fetches.Wait()
}

// candidates implements keySource. It waits for at most one fetch.
func (r *remoteKeys) candidates(ctx context.Context, kid, alg string) ([]key, error) {
	found, wait, err := r.look(kid, alg)
	if wait == nil {
		return found, err
	}
	select {
	case <-wait.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	found, wait, err = r.look(kid, alg)
	if wait != nil { // a fetch so short of breath that the next one runs already
		return nil, r.unavailable(errors.New("the key is not in the set"), firstRetry)
	}
	return found, err
}

// look returns the keys, or why there are none, or the fetch that may bring them.
func (r *remoteKeys) look(kid, alg string) ([]key, *fetch, error) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.set != nil && now.Before(r.good) {
		if found, known, err := r.set.find(kid, alg); known {
			if !now.Before(r.fresh) {
				r.refreshLocked(now)
			}
			return found, nil, err
		}
	}
	if f := r.refreshLocked(now); f != nil {
		return nil, f, nil
	}
	switch {
	case r.closed:
		return nil, nil, r.unavailable(errors.New("the verifier is closed"), 0)
	case r.failure != nil:
		return nil, nil, r.unavailable(r.failure, r.next.Sub(now))
	}
	return nil, nil, unknownKey(kid)
}

// refreshLocked returns the running fetch, or starts one if it is time for it.
// It returns nil if it is not.
func (r *remoteKeys) refreshLocked(now time.Time) *fetch {
	if r.flight == nil && !r.closed && !now.Before(r.next) {
		f := &fetch{done: make(chan struct{})}
		r.flight = f
		r.fetches.Go(func() { r.run(f) })
	}
	return r.flight
}

// run fetches and takes over what came. Keys are never dropped because a fetch
// failed.
func (r *remoteKeys) run(f *fetch) {
	defer close(f.done)
	set, freshFor, err := r.fetcher.keys(r.life)
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flight = nil
	r.failure = err
	if err != nil {
		pause := min(firstRetry<<min(r.failures, 16), r.config.UnknownKidCooldown)
		r.failures++
		r.next = now.Add(pause)
		return
	}
	r.set, r.failures = set, 0
	r.fresh = now.Add(freshFor)
	r.good = r.fresh.Add(r.config.StaleFor)
	r.next = now.Add(r.config.UnknownKidCooldown)
}

func (r *remoteKeys) unavailable(cause error, after time.Duration) error {
	return &fault.Error{
		Kind:       fault.Unavailable,
		Code:       "issuer_unavailable",
		Public:     "the keys of the token's issuer cannot be had at the moment",
		RetryAfter: max(after, firstRetry),
		Err:        cause,
	}
}
