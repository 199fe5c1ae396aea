package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// records runs one request through AccessLog and returns its records.
func records(t *testing.T, r *http.Request, h http.HandlerFunc) []map[string]any {
	t.Helper()
	log, written := logged()
	func() {
		defer func() { _ = recover() }() // the server's part
		serve(h, r, AccessLog(log))
	}()
	var all []map[string]any
	for line := range strings.Lines(written.String()) {
		var rec map[string]any
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Fatal(err)
		}
		all = append(all, rec)
	}
	return all
}

func one(t *testing.T, all []map[string]any) map[string]any {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%d records, want 1: %v", len(all), all)
	}
	return all[0]
}

func TestAccessLogRecord(t *testing.T) {
	p := &identity.Principal{Tenant: "acme", Subject: "alice", TokenKey: "tk"}
	r := request("POST", "/mcp?access=query-secret", "Authorization", "Bearer token-secret", "Mcp-Session-Id", "handle-secret")
	r.Body = io.NopCloser(strings.NewReader("body-secret"))
	rec := one(t, records(t, r, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c := clientOf(t, r)
		c.Principal, c.Method, c.Target, c.Revision = p, "tools/call", "mcts", "2026-07-28"
		_, _ = io.WriteString(w, "answer-secret")
	}))
	want := map[string]any{
		"level": "INFO", "msg": "request", "http_method": "POST", "path": "/mcp", "status": 200.0, "bytes": 13.0, "remote": "192.0.2.1",
		"tenant": "acme", "subject": "alice", "mcp_method": "tools/call", "target": "mcts", "revision": "2026-07-28",
	}
	for k, v := range want {
		if rec[k] != v {
			t.Errorf("%s is %v, want %v", k, rec[k], v)
		}
	}
	if text := fmt.Sprint(rec); strings.Contains(text, "secret") || rec["duration"] == nil || rec["error"] != nil {
		t.Errorf("record %s", text)
	}
}

func TestAccessLogOutcomes(t *testing.T) {
	private := errors.New("disk 7 is full")
	failing := func(err error) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fail(w, r, err) }
	}
	for _, c := range []struct {
		name, level string
		status      float64
		code, cause any
		h           http.HandlerFunc
	}{
		{"the deepest cause", "ERROR", 503, "store_out", "writing slot: disk 7 is full", failing(&fault.Error{
			Kind: fault.Unavailable, Code: "store_out", Public: "try later", Err: fmt.Errorf("writing slot: %w", private),
		})},
		{"unclassified", "ERROR", 500, "internal", "disk 7 is full", failing(private)},
		{"the caller's fault", "INFO", 400, "invalid", nil, failing(fault.Newf(fault.Invalid, "no"))},
		{"the caller left", "INFO", 499, "canceled", "context canceled", failing(context.Canceled)},
		{"the first cause stays", "INFO", 404, "conflict", nil, func(w http.ResponseWriter, r *http.Request) {
			client.FromContext(r.Context()).Fail(fault.Newf(fault.Conflict, "first"))
			fail(w, r, fault.Newf(fault.NotFound, "second"))
		}},
		{"nothing said", "INFO", 200, nil, nil, func(http.ResponseWriter, *http.Request) {}},
		{"a panic", "ERROR", 500, "internal", "the handler panicked", func(http.ResponseWriter, *http.Request) { panic("boom") }},
		{"a late panic", "ERROR", 200, "internal", "the handler panicked", func(w http.ResponseWriter, r *http.Request) { ok(w, r); panic("boom") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			rec := one(t, records(t, request("GET", "/x"), c.h))
			if rec["level"] != c.level || rec["status"] != c.status || rec["code"] != c.code || rec["error"] != c.cause {
				t.Errorf("level %v status %v code %v error %v; want %v %v %v %v", rec["level"], rec["status"], rec["code"], rec["error"], c.level, c.status, c.code, c.cause)
			}
		})
	}
}

// A handler that gives up because its caller went away has answered nobody.
func TestAccessLogCallerLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := one(t, records(t, request("GET", "/x").WithContext(ctx), func(http.ResponseWriter, *http.Request) { cancel() }))
	if rec["status"] != 499.0 {
		t.Errorf("status %v, want 499", rec["status"])
	}
}

func TestAccessLogKeepsQuietAboutHealth(t *testing.T) {
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		if all := records(t, request("GET", path), ok); len(all) != 0 {
			t.Errorf("%s left a record: %v", path, all)
		}
		rec := one(t, records(t, request("GET", path), func(w http.ResponseWriter, r *http.Request) {
			reply.Fail(w, r, fault.Newf(fault.Unavailable, "starting"))
		}))
		if rec["status"] != 503.0 {
			t.Errorf("%s: %v, want a record of the failure", path, rec)
		}
	}
}

func TestAccessLogClipsWhatCallersChoose(t *testing.T) {
	rec := one(t, records(t, request("BREW", "/"+strings.Repeat("a", 5000)), ok))
	if p, _ := rec["path"].(string); len(p) != 128 || rec["http_method"] != "_OTHER" {
		t.Errorf("method %v, path of %d bytes", rec["http_method"], len(p))
	}
}

func TestAccessLogThatIsOff(t *testing.T) {
	serve(func(w http.ResponseWriter, r *http.Request) {
		if _, wrapped := w.(*recorder); wrapped {
			t.Error("the writer was wrapped although nobody reads the log")
		}
		ok(w, r)
	}, request("GET", "/"),

		AccessLog(slog.New(slog.DiscardHandler)))
}
