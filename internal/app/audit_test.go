package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

// eventually waits for what the server does by itself a little later.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

const listCall = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"session_list","arguments":{},` + modernMeta + `}}`

func (u *user) list() (int, string) {
	resp, body := u.do("POST", "/mcp", listCall, "Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "session_list")
	return resp.StatusCode, string(body)
}

// While the log cannot be written, the policy says what comes first: calls and what
// operators do are refused, or done without a record. The server says that it is
// degraded and not that it is not ready, and mends itself.
func TestAuditFails(t *testing.T) {
	for _, policy := range []string{"refuse", "degrade"} {
		t.Run(policy, func(t *testing.T) {
			var dir string
			s := start(t, nil, func(c *config.Config) {
				c.Audit.OnFull, c.Audit.MaxFileBytes = policy, 4<<10
				dir = filepath.Join(c.Data, "audit")
			})
			alice := s.user("alice")
			olga := &user{site: s, token: s.token(devidp.TokenRequest{Sub: "olga", Scope: "admin.write"})}
			get := func(path string) (int, string) {
				resp, body := (&user{site: s}).do("GET", path, "")
				return resp.StatusCode, string(body)
			}
			purge := func() int {
				resp, _ := olga.do("POST", "/api/v1/purge", `{"tenant":"dev","subject":"nobody"}`)
				return resp.StatusCode
			}
			if code, body := get("/readyz"); code != 200 || !strings.Contains(body, `"ready"`) {
				t.Errorf("ready: %d %s", code, body)
			}
			if err := os.RemoveAll(dir); err != nil { // no file can begin there
				t.Fatal(err)
			}
			eventually(t, "the log to fail", func() bool {
				alice.list()
				code, body := get("/readyz")
				return code == 200 && strings.Contains(body, `"degraded":["audit"]`)
			})
			code, body := alice.list()
			switch policy {
			case "refuse":
				if code != 503 || !strings.Contains(body, "audit_failing") || strings.Contains(body, dir) {
					t.Errorf("a call: %d %s", code, body)
				}
				if code := purge(); code != 503 {
					t.Errorf("a purge: %d", code)
				}
				if _, err := s.app.Reload(t.Context(), config.Default()); err == nil {
					t.Error("a reload passed")
				}
			case "degrade":
				if code != 200 || purge() != 200 {
					t.Errorf("a call: %d %s", code, body)
				}
			}
			if _, body := get("/metrics"); !strings.Contains(body, "lyceum_audit_failing 1") || !strings.Contains(body, "lyceum_audit_append") {
				t.Errorf("metrics: %.300s", body)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the log to work again", func() bool {
				code, _ := alice.list()
				_, body := get("/readyz")
				return code == 200 && strings.Contains(body, `"ready"`)
			})
		})
	}
}

// Without a directory the log is in memory, which is said, unless nobody can
// expect otherwise.
func TestAuditInMemory(t *testing.T) {
	s := start(t, nil, func(c *config.Config) { c.Store = "memory" })
	if code, body := s.user("alice").list(); code != 200 {
		t.Errorf("a call: %d %s", code, body)
	}
	if !strings.Contains(s.log.String(), "the audit log is kept in memory") {
		t.Error("the log does not say that records end with the process")
	}
	dir := filepath.Join(t.TempDir(), "log")
	kept := start(t, nil, func(c *config.Config) { c.Store, c.Audit.Dir, c.Audit.Fsync = "memory", dir, "always" })
	if code, body := kept.user("alice").list(); code != 200 {
		t.Errorf("a call: %d %s", code, body)
	}
	found := 0
	for e, err := range audit.Query(t.Context(), dir, audit.Filter{Kind: audit.Call, Operation: "session_list"}) {
		if err != nil || e.Subject != "alice" || e.TraceID == "" || e.RequestID == "" || e.Digest == "" || e.Address != "127.0.0.1" {
			t.Errorf("%v %s", err, e.Line)
		}
		found++
	}
	if found != 1 {
		t.Errorf("%d records of an answered call", found)
	}
}
