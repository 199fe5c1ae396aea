// Package bridge carries MCP messages between a local host's stdin and stdout
// and the HTTP endpoint of a server.
//
// Each line is one request of its own: it goes through the same chain as any
// other client's, in this process or on another machine, and whatever comes
// back, JSON or events, goes out as lines. The bridge adds what the stdio side
// does not have: the session id, the version and the standing stream of the older
// revisions, the routing headers of 2026-07-28, JSON-RPC errors where HTTP only
// has a status, and, for a server elsewhere, a login.
//
// bridge.go reads, send.go sends, and again where that does no harm; answer.go
// copies what comes back, resume.go fetches the rest of a stream that broke.
// session.go opens a transport session again that the server has forgotten,
// updates.go keeps the standing stream, mirror.go repeats arguments in headers.
//
// account.go owns the token of a login: login.go gets it, client.go finds out who
// the bridge is for an authorization server, discover.go which one that is,
// callback.go takes the browser's answer, cache.go and lock.go share it all with
// other processes.
package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// Config says where messages go and within which bounds.
type Config struct {
	URL         string            // of the MCP endpoint
	Transport   http.RoundTripper // how it is reached
	Token       string            // bearer token; empty for a server in this process
	Headers     http.Header       // for every request to the endpoint, checked by ParseHeader
	Login       *Login            // how to get a token; nil, or a Token, means that nobody logs in
	MaxLine     int               // bytes of one message; 0 is DefaultMaxLine
	MaxInFlight int               // requests at a time; 0 is DefaultMaxInFlight
	Grace       time.Duration     // for calls in flight after the end of input; 0 is DefaultGrace
	Patience    time.Duration     // with a server that is gone, before a request fails; 0 is DefaultPatience
	Quiet       func()            // called when nothing has come or gone for a second; may be nil
	Log         io.Writer         // what went wrong, for a person; never stdout
}

// Defaults of Config.
const (
	DefaultMaxLine     = 4 << 20
	DefaultMaxInFlight = 64
	DefaultGrace       = 30 * time.Second
	DefaultPatience    = 10 * time.Second
)

// linesAhead is how many lines are read before they are wanted, so that the end of
// the input is seen behind them.
const linesAhead = 4

// Run copies messages until in ends or ctx does, and returns when the last
// answer is out. At the end of input standing streams are cut at once and calls
// in flight get a grace period.
func Run(ctx context.Context, in io.Reader, out io.Writer, cfg Config) error {
	if cfg.MaxLine <= 0 {
		cfg.MaxLine = DefaultMaxLine
	}
	if cfg.MaxInFlight <= 0 {
		cfg.MaxInFlight = DefaultMaxInFlight
	}
	if cfg.Grace <= 0 {
		cfg.Grace = DefaultGrace
	}
	if cfg.Patience <= 0 {
		cfg.Patience = DefaultPatience
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Token != "" || cfg.Headers.Get("Authorization") != "" {
		cfg.Login = nil
	}
	var a *account
	if cfg.Login != nil {
		if err := cfg.Login.check(); err != nil {
			return err
		}
		var err error
		if a, err = newAccount(cfg, cfg.URL); err != nil {
			fmt.Fprintln(cfg.Log, "lyceum stdio: going on without a login:", err)
			a = nil
		}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	b := &bridge{
		account: a,
		cfg:     cfg, client: &http.Client{Transport: cfg.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		out: out, slots: make(chan struct{}, cfg.MaxInFlight), flying: map[string]*flight{}, stirred: make(chan struct{}, 1),
	}
	var watching sync.WaitGroup
	if cfg.Quiet != nil {
		watching.Go(func() { watch(ctx, b.stirred, cfg.Quiet) })
	}
	err := b.read(ctx, in, cancel)
	b.land(cancel)
	b.bye()
	defer watching.Wait()
	defer cancel(errInputEnded)
	if a != nil {
		cancel(errInputEnded)
		a.wg.Wait()
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// errInputEnded is why calls stop that outlive the input.
var errInputEnded = errors.New("the input ended")

type bridge struct {
	cfg     Config
	account *account // nil if nobody logs in
	client  *http.Client
	slots   chan struct{} // one for each request that may be in flight
	wg      sync.WaitGroup
	mirrors mirrors
	stirred chan struct{} // see watch

	outMu sync.Mutex // serialises lines on out
	out   io.Writer

	mu      sync.Mutex
	session string // of the older revisions, from initialize
	version string // which initialize negotiated
	opening []byte // the initialize that opened the session
	kept    []kept // what was set up in it
	renewal *round // nil if no session is being opened again
	flying  map[string]*flight
	hangUp  context.CancelFunc // ends the standing stream; nil without one
	landing bool               // the input ended: no more standing streams
}

// read sends one line after the other. initialize is waited for: what follows
// needs the session that it opens.
func (b *bridge) read(life context.Context, in io.Reader, giveUp context.CancelCauseFunc) error {
	lines := make(chan line, linesAhead)
	stop := make(chan struct{})
	defer close(stop)
	ended := &endReader{Reader: in, end: make(chan struct{})}
	go readLines(ended, b.cfg.MaxLine, lines, stop) // ends with in, or at its next line: a blocked read cannot be interrupted
	for {
		var l line
		select {
		case <-life.Done():
			return context.Cause(life)
		case l = <-lines:
		}
		switch {
		case l.err != nil:
			return l.err
		case l.tooLong:
			b.refuse(nil, -32700, fmt.Sprintf("a message may have %d bytes", b.cfg.MaxLine))
			continue
		case len(l.text) == 0:
			continue
		}
		var e envelope
		if json.Unmarshal(l.text, &e) != nil && !json.Valid(l.text) {
			b.refuse(nil, -32700, "the line is not valid JSON")
			continue
		}
		if b.cancels(&e) {
			continue
		}
		select {
		case b.slots <- struct{}{}:
		case <-life.Done():
			return context.Cause(life)
		}
		b.remember(l.text, &e)
		done := make(chan struct{})
		ctx, f, landed := b.takeOff(life, &e)
		b.wg.Go(func() {
			defer func() { landed(); <-b.slots; close(done) }()
			b.stir()
			b.send(ctx, life, f, l.text, &e)
		})
		if e.modern() || e.Method != "initialize" && len(e.ID) > 0 {
			continue
		}
		// Order matters for what is not answered.
		if !b.settled(done, ended.end) {
			giveUp(errInputEnded)
			<-done
			return io.EOF
		}
		if e.Method == "notifications/initialized" {
			b.listen(life)
		}
	}
}

// settled waits for a message that the next ones must not overtake, but, once the
// input ended, for no more than the grace period: it may be waiting for a login.
func (b *bridge) settled(done, ended <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ended:
	}
	t := time.NewTimer(b.cfg.Grace)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
		return false
	}
}

// land waits for what is in flight after the input ended.
func (b *bridge) land(cancel context.CancelCauseFunc) {
	b.mu.Lock()
	b.landing = true
	for _, f := range b.flying {
		if f.standing {
			f.cancel()
		}
	}
	if b.hangUp != nil {
		b.hangUp()
	}
	b.mu.Unlock()
	landed := make(chan struct{})
	go func() { b.wg.Wait(); close(landed) }()
	t := time.NewTimer(b.cfg.Grace)
	defer t.Stop()
	select {
	case <-landed:
	case <-t.C:
		cancel(errInputEnded)
		<-landed
	}
}

// bye ends the transport session, so that the server need not wait for it to
// expire.
func (b *bridge) bye() {
	if b.session == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, b.cfg.URL, http.NoBody)
	if err != nil {
		return
	}
	b.cfg.addHeaders(req.Header)
	req.Header.Set("Mcp-Session-Id", b.session)
	if resp, err := b.authorized(ctx, req, true); err == nil {
		_ = resp.Body.Close()
	}
}
