package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// account is who the bridge is for one endpoint. Tokens are fetched in rounds: one
// at a time in this process, and under a lock file among processes. A round is not
// cut by the end of the request that began it: hosts give up sooner than people
// log in.
type account struct {
	endpoint string
	login    Login
	web      web
	cache    cache
	log      io.Writer
	wg       sync.WaitGroup // rounds

	proven string // the client that the authorization server took; owned by the running round

	mu      sync.Mutex
	now     *entry          // never changed once it is here; nil before the first
	read    bool            // the cache was looked at
	running *round          // nil if there is none
	asked   map[string]bool // scopes of steps up that a user was asked for
}

// want is why a token is needed.
type want struct {
	used      string // the access token that was not good, "" if there was none
	challenge challenge
	raise     bool // more scopes
	stale     bool // used came from a refresh, so that another one is of no use
	quiet     bool // nobody is to be asked
}

// round is one attempt to get a token.
type round struct {
	done chan struct{}
	err  error // once done is closed
}

// Why a round ends without a token and without a failure.
var (
	errAskNobody = errors.New("a login is needed")
	errNoMore    = errors.New("these scopes were asked for and not granted")
)

// loginError is why there is no token, for the host to show.
type loginError struct{ err error }

func (e *loginError) Error() string { return "login: " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

func newAccount(cfg Config, endpoint string) (*account, error) {
	if err := cfg.Login.check(); err != nil {
		return nil, err
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%q: want an absolute URL", endpoint)
	}
	a := &account{
		endpoint: canonical(endpoint), login: *cfg.Login, log: cfg.Log, asked: map[string]bool{},
		web: web{local: loopback(u.Hostname()), client: &http.Client{
			Transport: cfg.Transport, Timeout: 30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}},
	}
	if a.log == nil {
		a.log = io.Discard
	}
	if a.login.Wait <= 0 {
		a.login.Wait = DefaultLoginWait
	}
	if err := a.web.safe(a.endpoint); err != nil {
		return nil, fmt.Errorf("no login: %w", err)
	}
	a.cache, err = newCache(a.login.CacheDir, a.endpoint)
	return a, err
}

// stored reads the cache. A login that cannot be used is said and passed over.
func (a *account) stored() *entry {
	e, err := a.cache.read()
	if err != nil {
		a.say("the login that was kept is not used: %v", err)
		return nil
	}
	if e == nil || e.URL != a.endpoint || e.Configured != a.login.ClientID || e.Machine != a.login.Machine {
		return nil
	}
	return e
}

// present returns the login that was used last, from the cache at first.
func (a *account) present() *entry {
	a.mu.Lock()
	read := a.read
	now := a.now
	a.mu.Unlock()
	if read {
		return now
	}
	stored := a.stored()
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.read {
		a.read, a.now = true, stored
	}
	return a.now
}

// token returns an access token to try, "" if there is none: then the server's
// challenge says how to get one. An expired one is refreshed first. life bounds
// what is begun here and may outlive ctx.
func (a *account) token(ctx, life context.Context) (string, error) {
	e := a.present()
	if e == nil {
		return "", nil
	}
	if e.valid() {
		return e.AccessToken, nil
	}
	token, err := a.obtain(ctx, life, want{used: e.AccessToken, quiet: true})
	if errors.Is(err, errAskNobody) {
		return "", nil
	}
	return token, err
}

// obtain gets another token than the one that was used. If a round is running, it
// waits for its end first, and shares its failure.
func (a *account) obtain(ctx, life context.Context, w want) (string, error) {
	for {
		a.mu.Lock()
		r, mine := a.running, a.running == nil
		if mine {
			r = &round{done: make(chan struct{})}
			a.running = r
			a.wg.Go(func() { a.finish(r, a.work(life, &w)) })
		}
		a.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
		e := a.present()
		switch {
		case r.err != nil && (mine || !errors.Is(r.err, errAskNobody) && !errors.Is(r.err, errNoMore)):
			return "", &loginError{r.err}
		case e.serves(&w):
			return e.AccessToken, nil
		case mine:
			return "", &loginError{errNoMore}
		}
	}
}

// finish ends a round.
func (a *account) finish(r *round, err error) {
	a.mu.Lock()
	a.running = nil
	a.mu.Unlock()
	r.err = err
	close(r.done)
}

// serves reports whether the login is an answer to w.
func (e *entry) serves(w *want) bool {
	return e.valid() && e.AccessToken != w.used && (!w.raise || e.covers(w.challenge.scopes()))
}

// work is one round. What another process did meanwhile is looked at first, with
// the lock held, so that a refresh token is used once and a user is asked once.
func (a *account) work(ctx context.Context, w *want) error {
	unlock, err := lockFile(ctx, a.cache.lockPath(), func() {
		if !w.quiet {
			a.say("another lyceum is logging in: waiting for it")
		}
	})
	if err != nil {
		return err
	}
	defer unlock()
	e := a.stored()
	if e.serves(w) {
		a.put(e)
		return nil
	}
	if a.login.Machine {
		return a.workAlone(ctx, w, e)
	}
	if e != nil && e.RefreshToken != "" && !w.raise && !w.stale && !a.moved(ctx, w, e) {
		fresh, err := a.refresh(ctx, e)
		if err != nil {
			return err
		}
		if fresh != nil {
			a.put(fresh)
			return a.keep(fresh)
		}
		if _, err := a.cache.remove(); err != nil {
			return err
		}
		a.put(nil)
	}
	if w.quiet {
		return errAskNobody
	}
	if w.raise && !a.mayAsk(e, w.challenge.scopes()) {
		return errNoMore
	}
	fresh, err := a.interact(ctx, w, e)
	if err != nil {
		a.say("no login: %v", err)
		return err
	}
	a.put(fresh)
	return a.keep(fresh)
}

// workAlone is a round in which nobody is asked.
func (a *account) workAlone(ctx context.Context, w *want, old *entry) error {
	if w.raise && !a.mayAsk(old, w.challenge.scopes()) {
		return errNoMore
	}
	fresh, err := a.alone(ctx, w, old)
	if err != nil {
		a.say("no token: %v", err)
		return err
	}
	a.put(fresh)
	return a.keep(fresh)
}

// mayAsk reports whether a step up may ask the user: not for what was granted
// already and still is not enough, and only once for the same scopes.
func (a *account) mayAsk(e *entry, need []string) bool {
	if len(need) == 0 || e != nil && e.covers(need) {
		return false
	}
	key := strings.Join(need, " ")
	a.mu.Lock()
	defer a.mu.Unlock()
	again := a.asked[key]
	a.asked[key] = true
	return !again
}

func (a *account) put(e *entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.read, a.now = true, e
}

// keep writes the login for the next process. This one can go on without.
func (a *account) keep(e *entry) error {
	if err := a.cache.write(e); err != nil {
		a.say("the login is not kept: %v", err)
	}
	return nil
}

// refreshed reports whether a token came from a refresh in this process.
func (a *account) refreshed(token string) bool {
	e := a.present()
	return e != nil && e.refreshed && e.AccessToken == token
}

// wanted tells from an answer what token the server wants instead.
func wanted(resp *http.Response, used string) (w want, ok bool) {
	c, _ := bearer(resp.Header)
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return want{used: used, challenge: c}, true
	case http.StatusForbidden:
		return want{used: used, challenge: c, raise: true}, c.params["error"] == "insufficient_scope"
	}
	return w, false
}

// authorized sends a request with the account's token. A refusal of the token is
// answered with another one, and a missing scope with a step up, once each; only
// where the other one came from a refresh, a login follows. quiet leaves the user
// in peace.
func (b *bridge) authorized(life context.Context, req *http.Request, quiet bool) (*http.Response, error) {
	if b.account == nil {
		return b.try(req, b.cfg.Token)
	}
	token, err := b.account.token(req.Context(), life)
	if err != nil {
		return nil, err
	}
	renewed, raised := false, false
	for {
		resp, err := b.try(req, token)
		if err != nil {
			return nil, err
		}
		w, ok := wanted(resp, token)
		w.quiet, w.stale = quiet, renewed
		if !ok || w.raise && raised || !w.raise && renewed && !b.account.refreshed(token) {
			return resp, nil
		}
		renewed, raised = renewed || !w.raise, raised || w.raise
		if err := hold(resp); err != nil {
			return nil, err
		}
		token, err = b.account.obtain(req.Context(), life, w)
		if errors.Is(err, errNoMore) || errors.Is(err, errAskNobody) {
			return resp, nil // the refusal itself says it best
		}
		if err != nil {
			return nil, err
		}
	}
}

// hold takes an answer off its connection, so that it can wait for a person.
func hold(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument))
	_ = resp.Body.Close() // it was read
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return err
}

// try sends a request once.
func (b *bridge) try(req *http.Request, token string) (*http.Response, error) {
	again := req.Clone(req.Context())
	if req.GetBody != nil {
		body, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	if token != "" {
		again.Header.Set("Authorization", "Bearer "+token)
	}
	return b.client.Do(again)
}
