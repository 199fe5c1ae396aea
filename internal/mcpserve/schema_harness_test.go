package mcpserve

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// schemaGuard stands between a test's server and its clients, and holds every
// message that the server sends against the schema of the revision spoken.
type schemaGuard struct {
	t       testing.TB
	next    http.Handler
	schemas map[string]*schema

	mu       sync.Mutex
	sessions map[string]string // revision by transport session
}

// guarded returns a handler that does what next does and fails the test when a
// message does not fit.
func guarded(t testing.TB, next http.Handler) http.Handler {
	t.Helper()
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	return &schemaGuard{t: t, next: next, schemas: all, sessions: map[string]string{}}
}

func (g *schemaGuard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
	rest := r.Body
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), rest}
	rec := &tee{ResponseWriter: w}
	g.next.ServeHTTP(rec, r)
	if err != nil || rec.failed {
		return // the client went away amid a message
	}
	asked := askedIn(body)
	rev := g.revision(r, rec, body)
	for _, m := range rec.messages() {
		var id struct {
			ID json.RawMessage `json:"id"`
		}
		_ = json.Unmarshal(m, &id)
		if err := g.schemas[rev].message(m, asked[string(id.ID)]); err != nil {
			g.t.Errorf("revision %s, %s %s: %v\n%.600s", rev, r.Method, asked[string(id.ID)], err, m)
		}
	}
}

// revision tells what was spoken: by the body, by the session, or by the header.
func (g *schemaGuard) revision(r *http.Request, rec *tee, body []byte) string {
	var hello struct {
		Result struct {
			ProtocolVersion string `json:"protocolVersion"`
		} `json:"result"`
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if id := rec.Header().Get(headerSession); id != "" && json.Unmarshal(rec.body.Bytes(), &hello) == nil && hello.Result.ProtocolVersion != "" {
		g.sessions[id] = hello.Result.ProtocolVersion
		return hello.Result.ProtocolVersion
	}
	header := r.Header.Get(headerVersion)
	if bytes.Contains(body, []byte(metaVersion)) || header == rev2026 {
		return rev2026
	}
	if rev := g.sessions[r.Header.Get(headerSession)]; rev != "" {
		return rev
	}
	if g.schemas[header] != nil {
		return header
	}
	return rev202503
}

// askedIn maps the ids of a body's requests to their methods.
func askedIn(body []byte) map[string]string {
	type request struct {
		ID     json.RawMessage `json:"id"`
		Method string          `json:"method"`
	}
	var list []request
	if json.Unmarshal(body, &list) != nil {
		list = make([]request, 1)
		_ = json.Unmarshal(body, &list[0])
	}
	out := map[string]string{}
	for _, m := range list {
		out[string(m.ID)] = m.Method
	}
	return out
}

// tee keeps what a handler writes. One request has one writer at a time.
type tee struct {
	http.ResponseWriter
	body   bytes.Buffer
	failed bool
}

func (r *tee) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.body.Write(b[:n])
	r.failed = r.failed || err != nil
	return n, err
}

func (r *tee) Flush() {
	if err := http.NewResponseController(r.ResponseWriter).Flush(); err != nil {
		r.failed = true
	}
}

func (r *tee) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// messages returns the JSON-RPC messages of the body.
func (r *tee) messages() (out [][]byte) {
	body := r.body.Bytes()
	switch kind := r.Header().Get("Content-Type"); {
	case strings.HasPrefix(kind, "text/event-stream"):
		for line := range bytes.Lines(body) {
			if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok && len(bytes.TrimSpace(data)) > 0 {
				out = append(out, unbatched(bytes.TrimSpace(data))...)
			}
		}
	case strings.HasPrefix(kind, "application/json") && len(body) > 0:
		out = unbatched(body)
	}
	return out
}

func unbatched(raw []byte) (out [][]byte) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return [][]byte{raw}
	}
	for _, m := range list {
		out = append(out, m)
	}
	return out
}
