package mcpserve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
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
	unread := rec.status >= 400 || isBatch(body)
	rev := g.revision(r, rec, body)
	for _, m := range rec.messages() {
		var id struct {
			ID json.RawMessage `json:"id"`
		}
		_ = json.Unmarshal(m, &id)
		if err := g.schemas[rev].message(m, asked[string(id.ID)], unread); err != nil {
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
	status int // 0 until the header is written
	body   bytes.Buffer
	failed bool
}

func (r *tee) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
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

// schemaText reads the schema of a revision. That of the oldest is made of the one
// after it: testdata/schema/README.md says why.
func schemaText(rev string) ([]byte, error) {
	dir := filepath.Join("testdata", "schema")
	if rev != rev2024 {
		return os.ReadFile(filepath.Join(dir, rev+".json"))
	}
	newer, err := os.ReadFile(filepath.Join(dir, rev202503+".json"))
	if err != nil {
		return nil, err
	}
	patch, err := os.ReadFile(filepath.Join(dir, rev2024+".patch.json"))
	if err != nil {
		return nil, err
	}
	return patched(newer, patch)
}

// patched applies a JSON Patch (RFC 6902) of removals, and of tests of what is
// removed.
func patched(raw, patch []byte) ([]byte, error) {
	var doc any
	var ops []struct {
		Op, Path string
		Value    any
	}
	if err := errors.Join(json.Unmarshal(raw, &doc), json.Unmarshal(patch, &ops)); err != nil {
		return nil, err
	}
	for _, op := range ops {
		path := strings.Split(op.Path, "/")[1:]
		here, err := valueAt(doc, path)
		switch {
		case err != nil:
			return nil, err
		case op.Op == "test" && !reflect.DeepEqual(here, op.Value):
			return nil, fmt.Errorf("at %s: %v, want %v", op.Path, here, op.Value)
		case op.Op == "remove":
			doc = without(doc, path)
		case op.Op != "test":
			return nil, fmt.Errorf("%s: want test or remove", op.Op)
		}
	}
	return json.Marshal(doc)
}

// valueAt returns what lies at a path.
func valueAt(node any, path []string) (any, error) {
	for n, key := range path {
		switch x := node.(type) {
		case map[string]any:
			if sub, ok := x[key]; ok {
				node = sub
				continue
			}
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(x) {
				node = x[i]
				continue
			}
		}
		return nil, fmt.Errorf("nothing at %s", strings.Join(path[:n+1], "/"))
	}
	return node, nil
}

// without returns node without what lies at a path, which something does.
func without(node any, path []string) any {
	switch x := node.(type) {
	case map[string]any:
		if len(path) == 1 {
			delete(x, path[0])
		} else {
			x[path[0]] = without(x[path[0]], path[1:])
		}
	case []any:
		i, _ := strconv.Atoi(path[0]) // valueAt has read it
		if len(path) == 1 {
			return slices.Delete(x, i, i+1)
		}
		x[i] = without(x[i], path[1:])
	}
	return node
}
