package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// What cannot be sent is tried again after firstTry, and after twice as long each
// time, up to mostTry, for Config.Patience in all.
const (
	firstTry = 100 * time.Millisecond
	mostTry  = 2 * time.Second
)

// ending is how one attempt to send a message ended.
type ending struct {
	done bool   // the host has its answer, or waits for none
	ran  bool   // the server may have acted on the message
	gone bool   // the transport session is over
	from string // that session
	bare []byte // the server's refusal, if it misses headers that the tool's schema asks for
	why  string // for the host, if this was the last attempt
}

// send delivers one message and copies what comes back. What the server has not
// seen is sent again while there is patience; what it may have acted on only if
// that is harmless (see envelope.repeatable). A transport session that is over is
// opened again, once.
func (b *bridge) send(ctx, life context.Context, f *flight, text []byte, e *envelope) {
	var until time.Time // the end of the patience, from the first failure on
	pause, renewed, mirrored := firstTry, false, false
	for {
		end := b.attempt(ctx, life, f, text, e)
		if end.done || f.abandoned.Load() {
			return
		}
		if until.IsZero() {
			until = time.Now().Add(b.cfg.Patience)
		}
		switch {
		case ctx.Err() != nil || end.ran && !e.repeatable():
		case end.bare != nil:
			if again := !mirrored && b.lookUp(ctx, life, text, e); again {
				mirrored = true
				continue
			}
			b.pass(end.bare, e)
			return
		case end.gone && !e.asks():
			return // whoever it was for is gone too
		case end.gone && !renewed:
			renewed = true
			err := b.renew(ctx, life, end.from)
			if err == nil {
				continue
			}
			end.why = "the transport session is over and could not be opened again: " + err.Error()
		case end.gone:
		case time.Now().Add(pause).Before(until):
			if rest(ctx, pause) {
				pause = min(2*pause, mostTry)
				continue
			}
		}
		b.broken(ctx, e, end.why)
		return
	}
}

// rest waits for about d, or for less than that if ctx ends: then it returns false.
// The spread keeps the clients of a server that restarts from coming all at once.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d + rand.N(d/4+1))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// unsent reports whether a request failed before a connection was there.
func unsent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// attempt makes the request of one message once and copies what comes back.
func (b *bridge) attempt(ctx, life context.Context, f *flight, text []byte, e *envelope) ending {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.cfg.URL, bytes.NewReader(text))
	if err != nil {
		return ending{ran: true, why: "cannot make a request: " + err.Error()}
	}
	session := b.headers(req, e)
	resp, err := b.authorized(life, req, false)
	if refused, ok := errors.AsType[*loginError](err); ok {
		b.broken(ctx, e, refused.Error())
		return ending{done: true}
	}
	if err != nil {
		if ctx.Err() == nil {
			b.say("%v", err)
		}
		end := ending{ran: !unsent(err), why: "the server cannot be reached"}
		if end.ran && e.asks() {
			end.why = "the connection was lost before the answer began: " + fate(e)
		}
		return end
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound && session != "" {
		return ending{gone: true, from: session, why: "the transport session is over"}
	}
	if e.Method == "initialize" && !e.modern() && resp.StatusCode == http.StatusOK {
		b.opened(resp.Header.Get("Mcp-Session-Id"), text)
	}
	return b.receive(ctx, life, f, resp, e, session)
}

// fate says what became of a call whose answer is lost.
func fate(e *envelope) string {
	if e.modern() {
		return "in " + e.Params.Meta.Version + " that cancels the call"
	}
	return "the call may have been carried out"
}

// headers puts the protocol's headers on a request, and the configured ones, and
// returns the transport session that it names.
func (b *bridge) headers(req *http.Request, e *envelope) (session string) {
	h := req.Header
	b.cfg.addHeaders(h)
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	if e.modern() {
		h.Set("Mcp-Protocol-Version", e.Params.Meta.Version)
		h.Set("Mcp-Method", e.Method)
		if target := e.target(); target != "" {
			h.Set("Mcp-Name", headerValue(target))
		}
		if e.Method == "tools/call" {
			b.mirrors.put(h, e)
		}
		return ""
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == "" || e.Method == "initialize" {
		return ""
	}
	h.Set("Mcp-Session-Id", b.session)
	if b.version != "" {
		h.Set("Mcp-Protocol-Version", b.version)
	}
	return b.session
}

// line writes one message. A host that closed its end ends the bridge by closing
// our input; there is nobody to tell. The text is line's to use.
func (b *bridge) line(text []byte) {
	b.stir()
	if bytes.ContainsAny(text, "\r\n") {
		var compact bytes.Buffer
		if json.Compact(&compact, text) != nil {
			return
		}
		text = compact.Bytes()
	}
	b.outMu.Lock()
	defer b.outMu.Unlock()
	if cap(text) > len(text) {
		_, _ = b.out.Write(append(text, '\n'))
		return
	}
	_, _ = b.out.Write(text) // not moved to where a line break fits behind it: it may be large
	_, _ = io.WriteString(b.out, "\n")
}

func (b *bridge) fail(e *envelope, text string) {
	if len(e.ID) > 0 && string(e.ID) != "null" {
		b.refuse(e.ID, -32603, text)
		return
	}
	b.say("%s: %s", e.Method, text)
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

func (b *bridge) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.cfg.Log, "lyceum stdio: "+format+"\n", args...) // nobody may be reading
}
