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
// bridge.go reads and sends, answer.go copies what comes back, updates.go keeps
// the standing stream. account.go owns the token of a login: login.go gets it,
// discover.go finds out where, callback.go takes the browser's answer, cache.go
// and lock.go share it with other processes.
package bridge

import (
	"bytes"
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
	Login       *Login            // how to get a token; nil, or a Token, means that nobody logs in
	MaxLine     int               // bytes of one message; 0 is DefaultMaxLine
	MaxInFlight int               // requests at a time; 0 is DefaultMaxInFlight
	Grace       time.Duration     // for calls in flight after the end of input; 0 is DefaultGrace
	Log         io.Writer         // what went wrong, for a person; never stdout
}

// Defaults of Config.
const (
	DefaultMaxLine     = 4 << 20
	DefaultMaxInFlight = 64
	DefaultGrace       = 30 * time.Second
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
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Token != "" {
		cfg.Login = nil
	}
	var a *account
	if cfg.Login != nil {
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
		out: out, slots: make(chan struct{}, cfg.MaxInFlight), flying: map[string]*flight{},
	}
	err := b.read(ctx, in, cancel)
	b.land(cancel)
	b.bye()
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

	outMu sync.Mutex // serialises lines on out
	out   io.Writer

	mu      sync.Mutex
	session string // of the older revisions, from initialize
	version string // which initialize negotiated
	flying  map[string]*flight
	hangUp  context.CancelFunc // ends the standing stream; nil without one
}

// flight is a request in flight, by its id as written.
type flight struct {
	cancel   context.CancelFunc
	modern   bool
	standing bool // a stream that would never end by itself
}

// envelope is what the bridge needs to know of a message.
type envelope struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		URI       string          `json:"uri"`
		TaskID    string          `json:"taskId"`
		RequestID json.RawMessage `json:"requestId"`
		Meta      struct {
			Version string `json:"io.modelcontextprotocol/protocolVersion"`
		} `json:"_meta"`
	} `json:"params"`
}

// modern tells the era of a message as the server would.
func (e *envelope) modern() bool { return e.Params.Meta.Version != "" }

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
		done := make(chan struct{})
		ctx, landed := b.takeOff(life, &e)
		b.wg.Go(func() {
			defer func() { landed(); <-b.slots; close(done) }()
			b.send(ctx, life, l.text, &e)
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

// cancels handles notifications/cancelled of 2026-07-28, where on HTTP closing
// the response is the cancellation.
func (b *bridge) cancels(e *envelope) bool {
	if e.Method != "notifications/cancelled" || len(e.Params.RequestID) == 0 {
		return false
	}
	b.mu.Lock()
	f, ok := b.flying[string(e.Params.RequestID)]
	legacy := b.session != ""
	b.mu.Unlock()
	if !ok {
		return !legacy // nothing to cancel here, and nobody to forward it to
	}
	if f.modern {
		f.cancel()
	}
	return f.modern
}

// takeOff returns the context of one message's request and what to call when it
// is over. The flight is on the list before the next line is read, so that a
// cancel or the end of the input right behind it finds it.
func (b *bridge) takeOff(ctx context.Context, e *envelope) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	id := string(e.ID)
	if id == "" {
		return ctx, cancel
	}
	f := &flight{cancel: cancel, modern: e.modern(), standing: e.Method == "subscriptions/listen"}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.flying[id] = f
	return ctx, func() {
		cancel()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.flying[id] == f { // a host may have used the id again
			delete(b.flying, id)
		}
	}
}

// send makes the request of one message and copies what comes back.
func (b *bridge) send(ctx, life context.Context, text []byte, e *envelope) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.cfg.URL, bytes.NewReader(text))
	if err != nil {
		b.fail(e, "cannot make a request: "+err.Error())
		return
	}
	b.headers(req, e)
	resp, err := b.authorized(life, req, false)
	if refused, ok := errors.AsType[*loginError](err); ok {
		b.broken(ctx, e, refused.Error())
		return
	}
	if err != nil {
		if ctx.Err() == nil {
			fmt.Fprintln(b.cfg.Log, "lyceum stdio:", err)
		}
		b.broken(ctx, e, "the server cannot be reached")
		return
	}
	defer resp.Body.Close()
	if e.Method == "initialize" && resp.StatusCode == http.StatusOK {
		b.mu.Lock()
		b.session = resp.Header.Get("Mcp-Session-Id")
		b.mu.Unlock()
	}
	b.receive(ctx, resp, e)
}

func (b *bridge) headers(req *http.Request, e *envelope) {
	h := req.Header
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	if e.modern() {
		h.Set("Mcp-Protocol-Version", e.Params.Meta.Version)
		h.Set("Mcp-Method", e.Method)
		if target := e.target(); target != "" {
			h.Set("Mcp-Name", headerValue(target))
		}
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != "" && e.Method != "initialize" {
		h.Set("Mcp-Session-Id", b.session)
		if b.version != "" {
			h.Set("Mcp-Protocol-Version", b.version)
		}
	}
}

func (e *envelope) target() string {
	switch e.Method {
	case "tools/call", "prompts/get":
		return e.Params.Name
	case "resources/read":
		return e.Params.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		return e.Params.TaskID
	}
	return ""
}

// line writes one message. A host that closed its end ends the bridge by
// closing our input; there is nobody to tell.
func (b *bridge) line(text []byte) {
	var compact bytes.Buffer
	if bytes.ContainsAny(text, "\r\n") {
		if json.Compact(&compact, text) != nil {
			return
		}
		text = compact.Bytes()
	}
	b.outMu.Lock()
	defer b.outMu.Unlock()
	_, _ = b.out.Write(append(bytes.Clone(text), '\n'))
}

func (b *bridge) fail(e *envelope, text string) {
	if len(e.ID) > 0 && string(e.ID) != "null" {
		b.refuse(e.ID, -32603, text)
		return
	}
	fmt.Fprintf(b.cfg.Log, "lyceum stdio: %s: %s\n", e.Method, text)
}

func (b *bridge) refuse(id json.RawMessage, code int, text string) {
	if id == nil {
		id = json.RawMessage("null")
	}
	msg, _ := json.Marshal(text) // a string always encodes
	b.line(fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%s}}`, id, code, msg))
}

// broken tells why there is no answer, unless the host does not want one any
// more.
func (b *bridge) broken(ctx context.Context, e *envelope, text string) {
	switch {
	case ctx.Err() == nil:
		b.fail(e, text)
	case errors.Is(context.Cause(ctx), errInputEnded):
		b.fail(e, "the input ended before the answer was there")
	}
}

// land waits for what is in flight after the input ended.
func (b *bridge) land(cancel context.CancelCauseFunc) {
	b.mu.Lock()
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
	req.Header.Set("Mcp-Session-Id", b.session)
	if resp, err := b.authorized(ctx, req, true); err == nil {
		_ = resp.Body.Close()
	}
}
