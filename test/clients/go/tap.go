package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// event is one message of an event stream.
type event struct {
	Method string          `json:"method"`
	ID     json.RawMessage `json:"id"`
	Params struct {
		Token json.RawMessage `json:"progressToken"`
		Level string          `json:"level"`
	} `json:"params"`
}

// exchange is one HTTP request and what came back.
type exchange struct {
	http, path string
	rpc        string          // method in the body
	token      json.RawMessage // progress token in the body
	form       url.Values      // of a form
	auth       string
	session    string
	status     int
	events     []event
}

// tap lies below a library and sees what goes over the wire. It adds the bearer
// token, if there is one, as a RoundTripper of a real program would.
type tap struct {
	bearer string
	next   *http.Transport

	mu  sync.Mutex
	all []*exchange
}

func newTap() *tap {
	return &tap{next: &http.Transport{MaxIdleConnsPerHost: 64}}
}

func (t *tap) client() *http.Client { return &http.Client{Transport: t} }

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	x := &exchange{http: r.Method, path: r.URL.Path, session: r.Header.Get("Mcp-Session-Id")}
	if r.Body != nil {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		if err != nil {
			return nil, err
		}
		_ = r.Body.Close() // it is read
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
		x.readBody(r.Header.Get("Content-Type"), body)
	}
	if t.bearer != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+t.bearer)
	}
	x.auth = r.Header.Get("Authorization")
	t.mu.Lock()
	t.all = append(t.all, x)
	t.mu.Unlock()
	resp, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	x.status = resp.StatusCode
	if id := resp.Header.Get("Mcp-Session-Id"); id != "" {
		x.session = id
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		resp.Body = &tapBody{ReadCloser: resp.Body, tap: t, x: x}
	}
	return resp, nil
}

func (x *exchange) readBody(kind string, body []byte) {
	if strings.HasPrefix(kind, "application/x-www-form-urlencoded") {
		x.form, _ = url.ParseQuery(string(body)) // the server judges it
		return
	}
	var m struct {
		Method string `json:"method"`
		Params struct {
			Meta struct {
				Token json.RawMessage `json:"progressToken"`
			} `json:"_meta"`
		} `json:"params"`
	}
	if json.Unmarshal(body, &m) == nil {
		x.rpc, x.token = m.Method, m.Params.Meta.Token
	}
}

// tapBody notes the events of a stream as the library reads them.
type tapBody struct {
	io.ReadCloser
	tap  *tap
	x    *exchange
	line []byte
}

func (b *tapBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.tap.mu.Lock()
	defer b.tap.mu.Unlock()
	b.line = append(b.line, p[:n]...)
	for {
		line, rest, ok := bytes.Cut(b.line, []byte("\n"))
		if !ok {
			return n, err
		}
		b.line = rest
		var e event
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && json.Unmarshal(data, &e) == nil {
			b.x.events = append(b.x.events, e)
		}
	}
}

// find returns copies of the exchanges that fit.
func (t *tap) find(fits func(*exchange) bool) []exchange {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []exchange
	for _, x := range t.all {
		if fits(x) {
			out = append(out, *x)
		}
	}
	return out
}

// called returns the call that has the progress token, which must be a string.
func (t *tap) called(token string) (exchange, error) {
	want, _ := json.Marshal(token) // a string always can be
	found := t.find(func(x *exchange) bool { return x.rpc == "tools/call" && bytes.Equal(x.token, want) })
	if len(found) != 1 {
		return exchange{}, fmt.Errorf("%d calls have the progress token %s", len(found), token)
	}
	return found[0], nil
}

// lastAuth is the newest Authorization header of a request for MCP.
func (t *tap) lastAuth() string {
	auth := ""
	for _, x := range t.find(func(x *exchange) bool { return x.rpc != "" && x.auth != "" }) {
		auth = x.auth
	}
	return auth
}

// patience bounds the wait for something that must come by itself.
const patience = 10 * time.Second

// until waits for something to become true.
func until(ctx context.Context, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s", what, patience)
		}
	}
	return nil
}
