package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// seenByGo is what test/clients/go prints: its report.go says what the members
// are.
type seenByGo struct {
	Negotiated, Server string
	Session            bool
	Tools              []string
	Progress           struct {
		Client []float64
		Wire   []string
		Best   string
	}
	Cancel struct {
		Error, By               string
		FreedMillis, NextMillis int64
	}
	Resources struct {
		Listed, Templates int
		Type              string
		Length            int
	}
	Update struct {
		Subscribed, Told string
		Read             bool
	}
	Prompts struct {
		Names []string
		Text  bool
	}
	Completion       struct{ Prompt, Resource []string }
	Ping, Level, Log string
	Parallel         struct {
		Right, Foreign, Missing int
		Wrong                   []string
	}
	OAuth struct {
		Registered, Logins, Refreshes int
		Challenge, Scope, Resource    string
		Verifier, NewToken            bool
	}
	Close struct {
		Error         string
		Delete, After int
	}
}

// goClient is one way to use the server from Go.
type goClient struct {
	sdk, rev string // rev "" leaves it to the library
	login    bool   // with OAuth, else with a token
}

func (c goClient) String() string {
	auth := "bearer"
	if c.login {
		auth = "oauth"
	}
	rev := c.rev
	if rev == "" {
		rev = "default"
	}
	return fmt.Sprintf("%s/%s/%s", c.sdk, rev, auth)
}

// Both Go libraries, in each revision, with a token and with a login of their own:
// everything a client does, from the handshake to the end of the session.
func TestGoClients(t *testing.T) {
	program := filepath.Join(t.TempDir(), "goclients")
	for _, args := range [][]string{{"build", "-mod=readonly", "-o", program, "."}, {"vet", "-mod=readonly", "."}} {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = filepath.Join(clients, "go"), append(os.Environ(), "GOWORK=off", "GOFLAGS=")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", args[0], err, out)
		}
	}
	p := serve(t)
	token := p.token("--sub", "gopher")
	runs := 0
	for _, sdk := range []string{"gosdk", "mcpgo"} {
		for _, rev := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", ""} {
			for _, login := range []bool{false, true} {
				c := goClient{sdk, rev, login}
				runs++
				t.Run(c.String(), func(t *testing.T) { c.check(t, c.run(t, program, p.url+"/mcp", token), p.url) })
			}
		}
	}
	// Each of them has given up one call, and the server has stopped exactly those.
	if want := fmt.Sprintf("lyceum_jobs_ended_total{outcome=\"canceled\"} %d\n", runs); !strings.Contains(p.metrics(), want) {
		t.Errorf("the metrics lack %s", want)
	}
}

func (p *proc) metrics() string {
	p.t.Helper()
	resp, err := http.Get(p.url + "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		p.t.Fatalf("metrics: %s %v", resp.Status, err)
	}
	return string(body)
}

func (c goClient) run(t *testing.T, program, url, token string) seenByGo {
	t.Helper()
	args := []string{"-sdk", c.sdk, "-rev", c.rev, "-timeout", "30s", "-auth", "bearer:" + token, url}
	if c.login {
		args[len(args)-2] = "oauth"
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var seen seenByGo
	if jsonErr := json.Unmarshal(out.Bytes(), &seen); err != nil || jsonErr != nil {
		t.Fatalf("%v %v\n%s%s", err, jsonErr, out.Bytes(), errOut.Bytes())
	}
	return seen
}

func (c goClient) check(t *testing.T, s seenByGo, url string) {
	rev := c.rev
	if rev == "" {
		rev = "2026-07-28" // the newest of both libraries, and ours
	}
	modern := rev == "2026-07-28"
	same := func(what string, got, want any) {
		t.Helper()
		if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
			t.Errorf("%s: %s, want %s", what, g, w)
		}
	}
	same("revision", s.Negotiated, rev)
	same("server", s.Server, "lyceum")
	same("transport session", s.Session, !modern)
	same("tools", s.Tools, "[clear_thought job_cancel job_list job_result sequentialthinking session_create session_delete session_list]")

	same("best move", s.Progress.Best, "column 4")
	last := len(s.Progress.Wire) - 1
	if last < 1 || s.Progress.Wire[last] != "answer" || slices.ContainsFunc(s.Progress.Wire[:last], func(e string) bool { return e != "notifications/progress" }) {
		t.Errorf("the stream of the call: %v, want progress, then the answer", s.Progress.Wire)
	}
	if len(s.Progress.Client) != last || !slices.IsSorted(s.Progress.Client) || len(slices.Compact(slices.Clone(s.Progress.Client))) != last {
		t.Errorf("progress as the library handed it on: %v of %d, want it growing", s.Progress.Client, last)
	}

	same("a call given up", s.Cancel.Error, "context canceled")
	if s.Cancel.NextMillis > 2000 {
		t.Errorf("the call after one that was given up took %d ms", s.Cancel.NextMillis)
	}
	if s.Resources.Listed < 40 || s.Resources.Templates != 9 || s.Resources.Type != "text/markdown" || s.Resources.Length < 1000 {
		t.Errorf("resources: %+v", s.Resources)
	}
	if s.Update.Subscribed == "" || s.Update.Told != s.Update.Subscribed || !s.Update.Read {
		t.Errorf("a change of what is subscribed to: %+v", s.Update)
	}
	same("prompts", s.Prompts.Names, "[sequence search decide sample sessions guide]")
	same("the task in the prompt", s.Prompts.Text, true)
	same("completion of a prompt", s.Completion.Prompt, "[mcts beam_search]")
	same("completion of a template", s.Completion.Resource, "[beam_search]")
	same("log level", s.Level, "")
	same("log message", s.Log, "warning")
	same("parallel calls", []any{s.Parallel.Right, s.Parallel.Foreign, s.Parallel.Missing, s.Parallel.Wrong}, "[32 0 0 []]")

	oauth := s.OAuth
	if !c.login {
		same("login", oauth.Logins, 0)
	} else {
		same("registration", oauth.Registered, http.StatusCreated)
		same("login", []any{oauth.Logins, oauth.Challenge, oauth.Verifier, oauth.Scope, oauth.Resource}, "[1 S256 true reason "+url+"/mcp]")
		same("refresh", []any{oauth.Refreshes, oauth.NewToken}, "[1 true]")
	}
	c.checkOwnWays(t, s, modern, same)
}

// checkOwnWays is about what the libraries do differently. The expectations that
// name a fault are there to tell when it is gone.
func (c goClient) checkOwnWays(t *testing.T, s seenByGo, modern bool, same func(what string, got, want any)) {
	t.Helper()
	// Over HTTP mcp-go 1.2.1 sends no notifications/cancelled: up to 2025-11-25 its
	// call goes on as a job.
	by := "context"
	if c.sdk == "mcpgo" && !modern {
		by = "job_cancel"
	}
	same("what stopped the call", s.Cancel.By, by)
	same("close", s.Close.Error, "")
	switch {
	case modern: // has no sessions
		same("end of the session", []int{s.Close.Delete, s.Close.After}, "[0 0]")
	case c.sdk == "mcpgo" && c.login:
		// mcp-go 1.2.1 sends its DELETE without the token of the login.
		same("end of the session", []int{s.Close.Delete, s.Close.After}, "[401 200]")
	default:
		same("end of the session", []int{s.Close.Delete, s.Close.After}, "[204 404]")
	}
	if c.sdk == "gosdk" && modern {
		// go-sdk 1.8.0 sends a ping, which this revision does not have, without _meta.
		if !strings.Contains(s.Ping, "params._meta must have") {
			t.Errorf("ping: %q", s.Ping)
		}
		return
	}
	same("ping", s.Ping, "")
}
