package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// codeBlock is a block of docs/clients.md: its language and text.
var codeBlock = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")

// docsServer is where docs/clients.md has the server.
const docsServer = "http://127.0.0.1:8383"

// docsReader is somebody who does what docs/clients.md says.
type docsReader struct {
	t     *testing.T
	p     *proc
	token string
	bin   string // where its commands are
	env   []string
}

// TestClientDocs runs the commands, configurations and programs of docs/clients.md
// as they stand, but for the server's port and how long a person takes.
func TestClientDocs(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t)
	ran := map[string]int{}
	for n, block := range codeBlock.FindAllStringSubmatch(string(doc), -1) {
		language, text := block[1], strings.ReplaceAll(block[2], docsServer, p.url)
		ran[language]++
		t.Run(fmt.Sprintf("%s %d", language, n), func(t *testing.T) {
			t.Parallel()
			r := newDocsReader(t, p.in(t))
			switch language {
			case "sh":
				r.shell(text)
			case "js":
				r.node(text)
			case "json":
				r.configuration(text)
			case "text": // what only a desktop can run
			default:
				t.Errorf("nobody knows how to run %s", language)
			}
		})
	}
	if ran["sh"] != 2 || ran["js"] != 2 || ran["json"] != 7 || ran["text"] != 1 {
		t.Errorf("blocks %v", ran)
	}
}

func newDocsReader(t *testing.T, p *proc) *docsReader {
	t.Helper()
	b := newBrowser(t, browserDelay, visit{User: "bob"})
	dir := filepath.Dir(b.log) // it is in the PATH
	if err := os.Symlink(clientFile(t, "npx.sh"), filepath.Join(dir, "npx")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(dir, "lyceum")); err != nil {
		t.Fatal(err)
	}
	token := p.token("--sub", "bob")
	env := append(b.env, "LYCEUM_TOKEN="+token, fmt.Sprintf("MCP_OAUTH_CALLBACK_URL=http://127.0.0.1:%d/oauth/callback", freePort(t)))
	return &docsReader{t: t, p: p, token: token, bin: dir, env: env}
}

// shell runs a block that prints the tools.
func (r *docsReader) shell(text string) {
	r.t.Helper()
	out, err := clientCommand(r.t, r.env, "/bin/sh", "-euc", text).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "clear_thought") || stackTrace.Match(out) {
		r.t.Errorf("%v\n%s\n%s", err, text, out)
	}
}

func (r *docsReader) node(text string) {
	r.t.Helper()
	out, err := nodeCommand(r.t, r.env, "--input-type=module", "-e", text).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "'clear_thought'") || stackTrace.Match(out) {
		r.t.Errorf("%v\n%s\n%s", err, text, out)
	}
}

// inputs are what programs fill in.
var inputs = regexp.MustCompile(`\$\{(env:LYCEUM_TOKEN|LYCEUM_TOKEN|input:lyceum-token)\}`)

// configuration uses each server of a host's configuration.
func (r *docsReader) configuration(text string) {
	r.t.Helper()
	type server struct {
		Type, URL, Command string
		Headers, Env       map[string]string
		Args               []string
	}
	var c struct{ MCPServers, Servers map[string]server }
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		r.t.Fatalf("%v\n%s", err, text)
	}
	if len(c.MCPServers)+len(c.Servers) != 1 {
		r.t.Fatalf("want one server\n%s", text)
	}
	for _, servers := range []map[string]server{c.MCPServers, c.Servers} {
		for _, s := range servers {
			switch {
			case s.Command != "":
				env := slices.Clone(r.env)
				for k, v := range s.Env {
					env = append(env, k+"="+inputs.ReplaceAllLiteralString(v, r.token))
				}
				r.stdio(env, s.Command, s.Args)
			case s.Type != "http" || s.URL != r.p.url+"/mcp":
				r.t.Errorf("want the type http and the server's URL\n%s", text)
			case s.Headers != nil:
				header := inputs.ReplaceAllLiteralString(s.Headers["Authorization"], r.token)
				token, ok := strings.CutPrefix(header, "Bearer ")
				if out := r.p.call(token, "session_list", `{}`); !ok || len(s.Headers) != 1 || !strings.Contains(out, `"sessions"`) {
					r.t.Errorf("with the header %q: %s", header, out)
				}
			}
		}
	}
}

// stdio uses a server as a host does that starts it.
func (r *docsReader) stdio(env []string, command string, args []string) {
	r.t.Helper()
	h := startClient(r.t, clientCommand(r.t, env, filepath.Join(r.bin, command), args...))
	session := h.converse()
	if slices.Contains(args, r.p.url+"/mcp") { // else it computed by itself
		r.p.wantOwner(session, "bob")
	}
}
