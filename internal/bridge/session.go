package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// maxKept bounds how many subscriptions are made again in a new transport session.
const maxKept = 1000

// opened notes the transport session that initialize opened, and how it was asked
// for.
func (b *bridge) opened(session string, opening []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.session, b.opening, b.kept = session, opening, nil
}

func (b *bridge) versionNow() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.version
}

// remember keeps what a host set up in its transport session: the level of the log
// and the subscriptions. The owner is read.
func (b *bridge) remember(text []byte, e *envelope) {
	if e.modern() {
		return
	}
	key := ""
	switch e.Method {
	case "logging/setLevel":
		key = e.Method
	case "resources/subscribe", "resources/unsubscribe":
		key = "resource " + e.Params.URI
	default:
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = slices.DeleteFunc(b.kept, func(k kept) bool { return k.key == key })
	if e.Method != "resources/unsubscribe" && len(b.kept) < maxKept {
		b.kept = append(b.kept, kept{key, text})
	}
}

// kept is a message that is sent again in a new transport session.
type kept struct {
	key  string
	text []byte
}

// renew opens a transport session like the one that is over. Whoever comes
// meanwhile waits for the same one.
func (b *bridge) renew(ctx, life context.Context, old string) error {
	b.mu.Lock()
	if b.session != old {
		b.mu.Unlock()
		return nil
	}
	r := b.renewal
	if r == nil {
		r = &round{done: make(chan struct{})}
		b.renewal = r
		b.wg.Go(func() {
			r.err = b.reopen(life)
			b.mu.Lock()
			b.renewal = nil
			b.mu.Unlock()
			close(r.done)
		})
	}
	b.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reopen says again what the host said when it began. The host was told what the
// old session can do, so a server that answers with another version is refused.
func (b *bridge) reopen(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, b.cfg.Patience)
	defer cancel()
	b.mu.Lock()
	opening, version, list, listening := b.opening, b.version, slices.Clone(b.kept), b.hangUp != nil
	b.mu.Unlock()
	answer, session, err := b.ask(ctx, life, opening, "", "")
	if err != nil {
		return err
	}
	if now := negotiated(answer); now != version {
		return fmt.Errorf("the server now speaks %q, and the host %q", now, version)
	}
	if _, _, err := b.ask(ctx, life, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`), session, version); err != nil {
		return err
	}
	for _, k := range list {
		if _, _, err := b.ask(ctx, life, k.text, session, version); err != nil {
			b.say("in the new transport session, %s: %v", k.key, err)
		}
	}
	b.mu.Lock()
	b.session = session
	b.mu.Unlock()
	b.say("the server has forgotten the transport session: a new one goes on in its place")
	if listening {
		b.listen(life)
	}
	return nil
}

// ask sends a message of the bridge's own and returns the answer and the session
// that it came with, or nil if nothing was asked.
func (b *bridge) ask(ctx, life context.Context, text []byte, session, version string) ([]byte, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.cfg.URL, bytes.NewReader(text))
	if err != nil {
		return nil, "", err
	}
	b.cfg.addHeaders(req.Header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		req.Header.Set("Mcp-Session-Id", session)
	}
	if version != "" {
		req.Header.Set("Mcp-Protocol-Version", version)
	}
	return b.answerTo(life, req)
}

// answerTo sends a request of the bridge's own and reads the one answer to it.
func (b *bridge) answerTo(life context.Context, req *http.Request) ([]byte, string, error) {
	resp, err := b.authorized(life, req, true)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	session := resp.Header.Get("Mcp-Session-Id")
	if resp.StatusCode == http.StatusAccepted || resp.StatusCode == http.StatusNoContent {
		return nil, session, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("status %d", resp.StatusCode)
	}
	var answer []byte
	if isStream(resp) {
		_, err = (&cursor{}).events(resp.Body, b.cfg.MaxLine*eventOverhead, func(data []byte) bool {
			m, _ := parse(data)
			answer = data
			return m.answers()
		})
	} else {
		answer, err = readAll(resp, b.cfg.MaxLine*eventOverhead)
	}
	if err != nil {
		return nil, "", err
	}
	switch m, _ := parse(answer); {
	case m.Error != nil:
		return nil, "", fmt.Errorf("error %.200s", strings.TrimSpace(string(m.Error)))
	case !m.answers():
		return nil, "", errors.New("no answer came")
	}
	return answer, session, nil
}
