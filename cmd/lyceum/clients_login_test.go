package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// visit is a login as test/clients/browser.mjs plays it.
type visit struct {
	User  string `json:"user"`
	Scope string `json:"scope,omitempty"` // what is granted instead of what was asked for
	TTL   int    `json:"ttl,omitempty"`   // of access tokens, in seconds
}

// browser is the browser of programs that open one.
type browser struct {
	t   *testing.T
	log string
	env []string
}

// newBrowser plays the visits in order; the last one is repeated. It answers after
// delay.
func newBrowser(t *testing.T, delay time.Duration, visits ...visit) *browser {
	t.Helper()
	dir, script := t.TempDir(), clientFile(t, "browser.sh")
	if err := os.Symlink(script, filepath.Join(dir, "xdg-open")); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, log: filepath.Join(dir, "log")}
	plan, err := json.Marshal(map[string]any{"visits": visits, "delay": delay.Milliseconds(), "log": b.log})
	if err != nil {
		t.Fatal(err)
	}
	b.env = []string{
		"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "BROWSER=" + script, "BROWSER_PLAN=" + string(plan),
		"MCP_AUTO_OPEN_ENABLED=true", // Inspector's own switch
	}
	return b
}

// opened is a page that a program opened.
type opened struct {
	Page, End, Text, Error string
	Status                 int
}

// pages returns the pages that were opened so far. Each must have led to a page of
// the program, without an error.
func (b *browser) pages() []opened {
	b.t.Helper()
	raw, err := os.ReadFile(b.log)
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	var pages []opened
	for line := range bytes.Lines(raw) {
		var o opened
		if err := json.Unmarshal(line, &o); err != nil {
			b.t.Fatal(err)
		}
		if o.Error != "" || o.Status != http.StatusOK || !strings.HasPrefix(o.End, "http://127.0.0.1:") {
			b.t.Errorf("the browser ended at %s with status %d: %s%s", o.End, o.Status, o.Error, o.Text)
		}
		pages = append(pages, o)
	}
	return pages
}

// freePort returns a port that nobody listens on, for programs that have to be
// told one.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// clientSite is a web site with the metadata document of a client.
func clientSite(t *testing.T) (document, certificate string) {
	t.Helper()
	var self string
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":%q,"client_name":"A program","redirect_uris":["http://127.0.0.1/callback","http://127.0.0.1/oauth/callback"],
			"grant_types":["authorization_code","refresh_token"],"response_types":["code"],"token_endpoint_auth_method":"none"}`, self+r.URL.Path)
	}))
	t.Cleanup(s.Close)
	self = s.URL
	certificate = filepath.Join(t.TempDir(), "site.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return self + "/client.json", certificate
}

// serveTrusting is serve of a process that trusts the authority in a file, and no
// other.
func serveTrusting(t *testing.T, certificate string) *proc {
	t.Helper()
	program := filepath.Join(t.TempDir(), "lyceum.sh")
	script := fmt.Sprintf("#!/bin/sh\nSSL_CERT_FILE='%s' SSL_CERT_DIR=/nowhere exec '%s' \"$@\"\n", certificate, binary)
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	return serveProgram(t, program, t.TempDir())
}

// in is the process for a part of a test.
func (p *proc) in(t *testing.T) *proc {
	part := *p
	part.t = t
	return &part
}

// registered returns a client that has registered with the server's development
// issuer.
func (p *proc) registered(metadata string) (id, secret string) {
	p.t.Helper()
	resp, err := http.Post(p.url+"/dev/idp/register", "application/json", strings.NewReader(metadata))
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var c struct {
		ID     string `json:"client_id"`
		Secret string `json:"client_secret"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&c); err != nil || c.ID == "" || resp.StatusCode != http.StatusCreated {
		p.t.Fatalf("register: status %d, %v", resp.StatusCode, err)
	}
	return c.ID, c.Secret
}

// wantOwner fails unless the session is the user's and nobody else's.
func (p *proc) wantOwner(session, user string) {
	p.t.Helper()
	for _, sub := range []string{"alice", "bob", "carol"} {
		args := []string{"--sub", sub}
		if sub == "carol" { // as the development issuer has it
			args = append(args, "--tenant", "other")
		}
		listed := strings.Contains(p.call(p.token(args...), "session_list", `{}`), session)
		if listed != (sub == user) {
			p.t.Errorf("the session %s of %s is listed for %s: %v", session, user, sub, listed)
		}
	}
}

// The suite's scenarios for authorization servers, against the development issuer.
func TestAuthorizationConformance(t *testing.T) {
	t.Parallel()
	p := serve(t)
	for _, tc := range []struct{ name, resource string }{{"no resource", ""}, {"resource", p.url + "/mcp"}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			id, _ := p.in(t).registered(`{"redirect_uris":["http://127.0.0.1/callback"],"token_endpoint_auth_method":"none"}`)
			dir := t.TempDir()
			args := []string{
				"node_modules/@modelcontextprotocol/conformance/dist/index.js", "authorization",
				"--url", p.url + "/dev/idp", "--client-id", id, "-p", strconv.Itoa(freePort(t)), "-o", dir,
			}
			if tc.resource != "" {
				args = append(args, "--resource", tc.resource)
			}
			playAuthorization(t, nodeCommand(t, nil, args...), p.url+"/dev/idp/authorize?")
			wantChecks(t, dir, "authorization-server-metadata", "authorization-server-metadata-cimd", "authorization-code-grant")
		})
	}
}

// playAuthorization runs the suite and opens the page that it prints.
func playAuthorization(t *testing.T, cmd *exec.Cmd, page string) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var printed, stderr syncBuffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pages := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&printed, lines.Text())
		if strings.HasPrefix(lines.Text(), page) {
			pages++
			if out, err := node(t, []string{`BROWSER_PLAN={"visits":[{"user":"bob"}]}`}, "browser.mjs", lines.Text()); err != nil {
				t.Errorf("the login: %v\n%s", err, out)
			}
		}
	}
	if err := cmd.Wait(); err != nil || pages != 1 || stderr.String() != "" || stackTrace.MatchString(printed.String()) {
		t.Errorf("%v, %d pages\n%s%s", err, pages, printed.String(), stderr.String())
	}
}

// wantChecks fails unless these checks of the suite have passed, and no other was
// made.
func wantChecks(t *testing.T, dir string, want ...string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*", "checks.json"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var checks []struct{ ID, Status, ErrorMessage string }
		if err := json.Unmarshal(raw, &checks); err != nil {
			t.Fatal(err)
		}
		for _, c := range checks {
			got[c.ID] = strings.TrimSpace(c.Status + " " + c.ErrorMessage)
		}
	}
	for _, id := range want {
		if got[id] != "SUCCESS" {
			t.Errorf("%s: %q", id, got[id])
		}
	}
	if len(got) != len(want) {
		t.Errorf("checks %v, want %v", got, want)
	}
}
