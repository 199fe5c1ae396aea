package main

import (
	"encoding/json"
	"encoding/pem"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	loginURL    = regexp.MustCompile(`(?m)^http://\S+/authorize\?\S+$`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// loginPages returns the login URLs on stderr once there are n, in order.
func (h *host) loginPages(n int) []string {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if pages := loginURL.FindAllString(h.err.String(), -1); len(pages) >= n {
			return pages
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("no login page %d:\n%s", n, h.err)
		}
	}
}

// logIn does what a person does in a browser.
func logIn(t *testing.T, page, user string) {
	t.Helper()
	resp, err := http.Get(page)
	if err != nil {
		t.Fatal(err)
	}
	var b syncBuffer
	err = b.readFrom(resp)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"user": {user}}
	for _, f := range hiddenField.FindAllStringSubmatch(b.String(), -1) {
		form.Add(html.UnescapeString(f[1]), html.UnescapeString(f[2]))
	}
	u, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	u.RawQuery = ""
	if resp, err = http.PostForm(u.String(), form); err != nil { // follows to the callback
		t.Fatal(err)
	}
	var last syncBuffer
	if err := last.readFrom(resp); err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(last.String(), "go back to your program") {
		t.Fatalf("the last page: status %d, %v\n%s", resp.StatusCode, err, last.String())
	}
}

func (s *syncBuffer) readFrom(resp *http.Response) error {
	defer resp.Body.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.b.ReadFrom(resp.Body)
	return err
}

const loginInit = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"host","version":"1"}}}`

// A login, its use by other processes, a refresh, and the end of it.
func TestStdioLogin(t *testing.T) {
	p := serve(t)
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	args := []string{"--url", p.url + "/mcp"}
	// Two at once: one of them asks.
	one, two := startHost(t, args...), startHost(t, args...)
	one.send(loginInit)
	page := one.loginPages(1)[0]
	two.send(loginInit)
	bad, err := url.Parse(page)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(bad.Query().Get("redirect_uri") + "?code=x&state=wrong")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a wrong state: status %d", resp.StatusCode)
	}
	logIn(t, page, "alice")
	var wg sync.WaitGroup
	for _, h := range []*host{one, two} {
		wg.Go(func() {
			if !h.out.Scan() || !strings.Contains(h.out.Text(), `"2025-06-18"`) {
				t.Errorf("initialize: %s\n%s", h.out.Text(), h.err)
			}
		})
	}
	wg.Wait()
	if n := len(loginURL.FindAllString(two.err.String(), -1)); n != 0 {
		t.Errorf("the second process asked %d times", n)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "login", "*.json"))
	if err != nil || len(files) != 1 {
		files, err = filepath.Glob(filepath.Join(dir, "*", "*", "lyceum", "login", "*.json"))
	}
	if err != nil || len(files) != 1 {
		t.Fatalf("cache files %q, %v", files, err)
	}
	if info, err := os.Stat(files[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the cache file: %v, %v", info.Mode(), err)
	}
	two.end()
	one.end()
	// An expired token is refreshed without asking.
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	old := regexp.MustCompile(`"expires": "[^"]*"`).ReplaceAllString(string(text), `"expires": "2020-01-01T00:00:00Z"`)
	if err := os.WriteFile(files[0], []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	three := startHost(t, args...)
	three.send(loginInit)
	if m := three.next(); m.Error != nil {
		t.Errorf("after the refresh: %s\n%s", three.out.Text(), three.err)
	}
	three.end()
	if now, err := os.ReadFile(files[0]); err != nil || strings.Contains(string(now), "2020-01-01") || loginURL.MatchString(three.err.String()) {
		t.Errorf("no silent refresh: %v\n%s", err, three.err)
	}
	out, err := exec.Command(binary, append([]string{"stdio", "--logout"}, args...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "logged out") {
		t.Errorf("logout: %v %s", err, out)
	}
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("the login is still there")
	}
}

// A client that a document describes logs in without a registration.
func TestStdioLoginByDocument(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	site := httptest.NewUnstartedServer(nil)
	site.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"client_id": site.URL + r.URL.Path, "client_name": "Ours", "redirect_uris": []string{"http://127.0.0.1/callback"},
			"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
		}) // a client that left is not our failure
	})
	site.StartTLS()
	defer site.Close()
	root := filepath.Join(dir, "root.pem")
	if err := os.WriteFile(root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SSL_CERT_FILE", root)
	p := serve(t)
	t.Setenv("LYCEUM_CLIENT_METADATA_URL", site.URL+"/client.json")
	h := startHost(t, "--url", p.url+"/mcp")
	h.send(loginInit)
	page := h.loginPages(1)[0]
	if !strings.Contains(page, "client_id="+url.QueryEscape(site.URL+"/client.json")) {
		t.Errorf("the page: %s", page)
	}
	logIn(t, page, "alice")
	if m := h.next(); m.Error != nil {
		t.Errorf("after the login: %s\n%s", h.out.Text(), h.err)
	}
	h.end()
	if files, err := filepath.Glob(filepath.Join(dir, "lyceum", "client", "*.json")); err != nil || len(files) != 0 {
		t.Errorf("registered: %q, %v", files, err)
	}
}
