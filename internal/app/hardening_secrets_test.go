package app_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// collector takes spans, as bytes.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans bytes.Buffer // owned by mu
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, _ = io.Copy(&c.spans, r.Body)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans.String()
}

// vaulted is a configuration with a secret of each kind, as a file that is loaded.
func vaulted(t *testing.T, introspection string) (cfg *config.Config, secrets map[string]string, token string) {
	t.Helper()
	dir := t.TempDir()
	token, hash := identity.NewStaticToken()
	secrets = map[string]string{
		"storage.key":        base64.StdEncoding.EncodeToString([]byte("thirty-two-bytes-of-a-storage-ke")),
		"client_secret":      "introspection-secret-4711",
		"client_secret_file": "introspection-secret-in-a-file-4712",
		"static token":       token,
	}
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, []byte(secrets["client_secret_file"]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "lyceum.yaml")
	text := `
dev: true
addr: 127.0.0.1:0
oidc_audience: urn:lyceum:test
log: {level: debug}
telemetry: {sample_ratio: 1}
storage: {key: "` + secrets["storage.key"] + `"}
auth:
  introspection:
    - {issuer: "https://a.example", endpoint: "` + introspection + `/a", client_id: me, client_secret: "` + secrets["client_secret"] + `", tenant: acme}
    - {issuer: "https://b.example", endpoint: "` + introspection + `/b", client_id: me, client_secret_file: "` + secretFile + `", tenant: acme}
  tokens:
    - {hash: ` + hash + `, tenant: acme, subject: robot}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{File: file, Flags: map[string][]string{"data": {filepath.Join(dir, "data")}}})
	if err != nil {
		t.Fatal(err)
	}
	return cfg, secrets, token
}

// Nothing that lets somebody in, and nothing that a caller said, is in logs at the
// most talkative level, in spans, metrics, errors, the audit log or the printed
// configuration.
func TestNoSecretIsTold(t *testing.T) {
	spans := newCollector(t)
	// An endpoint that repeats what it is asked, in a failure, and one that knows nobody.
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/a" {
			_, _ = io.WriteString(w, `{"active":false}`)
			return
		}
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write(append(body, r.Header.Get("Authorization")...))
	}))
	t.Cleanup(echo.Close)
	cfg, secrets, static := vaulted(t, echo.URL)
	s := startWith(t, cfg, app.Options{Env: func(name string) (string, bool) {
		if name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			return spans.URL, true
		}
		return "", false
	}})
	secrets["dev token"] = s.token(devidp.TokenRequest{Sub: "alice"})
	secrets["operator's token"] = s.token(devidp.TokenRequest{Sub: "op", Scope: "admin.read admin.write reason"})
	secrets["expired token"], _ = s.app.Issuer().Forge(nil, map[string]any{"exp": 1})
	forged := secrets["dev token"][:len(secrets["dev token"])-8] + "AAAAAAAA"
	secrets["forged token"] = forged

	var told bytes.Buffer // every answer to a request that fails
	try := func(method, path, body string, head ...string) {
		resp, b := (&user{site: s}).do(method, path, body, head...)
		if resp.StatusCode >= 400 {
			_ = resp.Header.Write(&told)
			told.Write(b)
		}
	}
	for name, auth := range map[string]string{
		"opaque": "Bearer opaque-token-4713", "basic": "Basic " + base64.StdEncoding.EncodeToString([]byte("user:password-4714")), "forged": "Bearer " + forged,
		"expired": "Bearer " + secrets["expired token"], "two": "Bearer first-4715, Bearer second-4716", "dpop": "DPoP " + secrets["dev token"], "not a token": `Bearer "quoted-4717"`,
	} {
		secrets["credential: "+name] = auth[strings.LastIndexByte(auth, ' ')+1:]
		try("POST", "/mcp", ping, append([]string{"Authorization", auth, "Dpop", "proof-4718"}, discover...)...)
		try("GET", "/api/v1/status", "", "Authorization", auth)
	}
	for _, text := range []string{
		"first-4715", "proof-4718", "query-4719", "cookie-4720", "session-4721", "argument-4722", "prompt-4723", "key-4724", "code-4725", "refresh-4726", "logout-4727",
		"password-4714", "host-4728", "verifier-4730",
	} {
		secrets[text] = text
	}
	alice := []string{"Authorization", "Bearer " + secrets["dev token"]}
	try("POST", "/mcp?access_token=query-4719", ping, alice...)
	try("POST", "/mcp", ping, append([]string{"Cookie", "__Host-lyceum=cookie-4720; lyceum_session=cookie-4720"}, alice...)...)
	try("GET", "/admin/?code=code-4725&state=code-4725", "", "Cookie", "__Host-lyceum=cookie-4720; lyceum=cookie-4720")
	try("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, append([]string{"Mcp-Session-Id", "session-4721"}, alice...)...)
	try("DELETE", "/mcp", "", append([]string{"Mcp-Session-Id", "session-4721"}, alice...)...)
	try("POST", "/mcp", `{"jsonrpc":"2.0","id":"id","method":"tools/call","params":{"name":"key-4724"}}`, append([]string{"X-Api-Key", "key-4724"}, alice...)...)
	try("POST", "/dev/idp/token", "grant_type=authorization_code&code=code-4725&code_verifier=verifier-4730&client_id=x", "Content-Type", "application/x-www-form-urlencoded")
	try("POST", "/dev/idp/token", "grant_type=refresh_token&refresh_token=refresh-4726&client_id=x", "Content-Type", "application/x-www-form-urlencoded")
	try("POST", "/auth/backchannel-logout", "logout_token=logout-4727", "Content-Type", "application/x-www-form-urlencoded")
	try("GET", "/healthz", "", "Host", "host-4728.example", "Authorization", "Bearer "+static)
	try("POST", "/mcp", ping, append([]string{"Authorization", "Bearer " + static}, discover...)...)
	(&user{site: s, token: secrets["operator's token"]}).do("GET", "/api/v1/sessions", "")

	u := s.user("alice")
	secrets["another dev token"] = u.token
	for _, call := range []string{
		`{"operation":"sequential_thinking","prompt":"prompt-4723","parameters":{"apiKey":"argument-4722"}}`,
		`{"operation":"sequential_thinking","sessionId":"argument-4722","prompt":"prompt-4723"}`,
		`{"operation":"mcts","prompt":"prompt-4723","parameters":{"iterations":"argument-4722"}}`,
		`{"operation":"argument-4722"}`,
	} {
		if e, _ := u.call(`"id"`, call); e.SessionID != "" {
			secrets["session handle"] = e.SessionID
		}
	}
	u.initialize()
	secrets["transport session"] = u.session
	u.call("2", `{"operation":"sequential_thinking","prompt":"prompt-4723"}`)
	_, metrics := u.do("GET", "/metrics", "")
	var printed bytes.Buffer
	if err := cfg.Print(&printed); err != nil {
		t.Fatal(err)
	}
	_, badKey := config.Load(config.Source{Local: true, Env: func(name string) (string, bool) {
		if name == "LYCEUM_STORAGE_KEY" {
			return "no-key-4731", true
		}
		return "", false
	}})
	if badKey == nil {
		t.Fatal("a key that is none is accepted")
	}
	secrets["a bad key"] = "no-key-4731"
	s.stop()
	err := <-s.done // spans and the audit log are written out
	s.done <- err

	places := map[string]string{
		"the log": s.log.String(), "the spans": spans.text(), "the metrics": string(metrics), "an error": told.String(),
		"the printed configuration": printed.String(), "a problem of the configuration": badKey.Error(), "the audit log": auditLog(t, cfg.Data),
	}
	for name, least := range map[string]int{"the log": 10_000, "the spans": 1000, "the metrics": 1000, "an error": 1000, "the printed configuration": 1000, "the audit log": 500} {
		if len(places[name]) < least {
			t.Errorf("%s has only %d bytes: %s", name, len(places[name]), places[name])
		}
	}
	own := map[string]bool{"an error": true} // what the caller sent may come back to itself, in an error of its own
	for name, secret := range secrets {
		if secret == "" {
			t.Fatalf("%s is empty", name)
		}
		encoded, _ := json.Marshal(secret)
		for place, text := range places {
			if own[place] && strings.HasPrefix(secret, "argument-") {
				continue
			}
			for _, form := range []string{secret, string(encoded[1 : len(encoded)-1]), base64.StdEncoding.EncodeToString([]byte(secret)), strings.ToUpper(secret)} {
				if at := strings.Index(text, form); at >= 0 {
					t.Errorf("%s tells %s: …%s…", place, name, text[max(0, at-300):min(len(text), at+60)])
					break
				}
			}
		}
	}
}

// auditLog returns the files of the audit log below dir, keys excepted.
func auditLog(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.Contains(path, "audit/") {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
