package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// inspector is MCP Inspector's command line with a home of its own.
type inspector struct {
	t    *testing.T
	url  string
	env  []string
	base []string
}

func (p *proc) inspector(t *testing.T, env []string, args ...string) *inspector {
	t.Helper()
	return &inspector{t: t, url: p.url + "/mcp", env: append([]string{"HOME=" + t.TempDir()}, env...), base: args}
}

// run returns what the program printed on stdout and stderr.
func (i *inspector) run(args ...string) (stdout, stderr string, err error) {
	i.t.Helper()
	all := append([]string{"node_modules/.bin/mcp-inspector", "--cli", "--server-url", i.url, "--transport", "http", "--format", "json"}, i.base...)
	cmd := nodeCommand(i.t, i.env, append(all, args...)...)
	var errOut syncBuffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if stackTrace.MatchString(errOut.String()) || stackTrace.Match(out) {
		i.t.Errorf("a stack trace:\n%s%s", out, errOut.String())
	}
	return string(out), errOut.String(), err
}

// tools lists the tools with Inspector's lint, which finds nothing that is an error.
func (i *inspector) tools(args ...string) {
	i.t.Helper()
	out, lint, err := i.run(append(args, "-q", "--method", "tools/list", "--strict")...)
	var r struct {
		Result struct{ Tools []struct{ Name string } }
	}
	if err != nil || json.Unmarshal([]byte(out), &r) != nil || len(r.Result.Tools) != 8 || r.Result.Tools[0].Name != "clear_thought" || strings.Contains(out+lint, "schemaFindings") {
		i.t.Errorf("tools/list: %v\n%s%s", err, out, lint)
	}
	if strings.Contains(lint, "Error:") {
		i.t.Errorf("the lint: %s", lint)
	}
}

// MCP Inspector with a token, in both eras.
func TestInspector(t *testing.T) {
	t.Parallel()
	p := serve(t)
	for _, era := range []string{"legacy", "modern"} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			p := p.in(t)
			i := p.inspector(t, nil, "--header", "Authorization: Bearer "+p.token("--sub", "inspector"), "--protocol-era", era)
			i.tools()
			out, errOut, err := i.run("-q", "--method", "tools/call", "--tool-name", "clear_thought", "--tool-args-json",
				`{"operation":"decision_framework","parameters":{"options":[{"name":"A","attributes":{"cost":9}},{"name":"B","attributes":{"cost":3}}],"criteria":[{"name":"cost","weight":1,"type":"minimize"}]}}`)
			var r struct {
				Result struct {
					StructuredContent struct {
						Result struct{ Recommendation string }
					}
				}
			}
			if err != nil || json.Unmarshal([]byte(out), &r) != nil || r.Result.StructuredContent.Result.Recommendation != "B" {
				t.Errorf("tools/call: %v\n%s%s", err, out, errOut)
			}
		})
	}
}

// A whole login in a browser, which serves later runs too.
func TestInspectorLogin(t *testing.T) {
	t.Parallel()
	document, certificate := clientSite(t)
	p := serveTrusting(t, certificate)
	for _, tc := range []struct{ name, era, user, document string }{
		{"legacy registers", "legacy", "alice", ""},
		{"modern registers", "modern", "bob", ""},
		{"document", "modern", "carol", document},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := p.in(t)
			b := newBrowser(t, 0, visit{User: tc.user})
			args := []string{"--protocol-era", tc.era, "--callback-url", fmt.Sprintf("http://127.0.0.1:%d/oauth/callback", freePort(t))}
			if tc.document != "" {
				args = append(args, "--client-metadata-url", tc.document)
			}
			i := p.inspector(t, b.env, args...)

			// Nobody has logged in, and nobody may be asked.
			_, errOut, err := i.run("-q", "--stored-auth-only", "--method", "tools/list")
			if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 3 || !strings.Contains(errOut, `"code":"auth_required"`) || len(b.pages()) != 0 {
				t.Errorf("without a login: %v\n%s", err, errOut)
			}
			out, errOut, err := i.run("--relogin", "--method", "tools/call", "--tool-name", "session_create", "--tool-args-json", `{"name":"mine"}`)
			if err != nil || !strings.Contains(errOut, "Authorization complete.") {
				t.Fatalf("the login: %v\n%s%s", err, out, errOut)
			}
			var r struct {
				Result struct {
					StructuredContent struct {
						Result struct{ SessionID, Name string }
					}
				}
			}
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Result.StructuredContent.Result.Name != "mine" {
				t.Fatalf("the call: %v\n%s", err, out)
			}
			p.wantOwner(r.Result.StructuredContent.Result.SessionID, tc.user)
			pages := b.pages()
			if len(pages) != 1 || !strings.Contains(pages[0].Page, "scope=reason&") || (tc.document != "") != strings.Contains(pages[0].Page, "client.json") {
				t.Errorf("pages %+v", pages)
			}
			// The login is stored: it serves the other era too.
			i.tools("--stored-auth-only")
			out, errOut, err = i.run("-q", "--stored-auth-only", "--method", "resources/read", "--uri", "lyceum://guide")
			if err != nil || !strings.Contains(out, "# Lyceum") {
				t.Errorf("resources/read: %v\n%s%s", err, out, errOut)
			}
			if n := len(b.pages()); n != 1 {
				t.Errorf("%d logins", n)
			}
		})
	}
}
