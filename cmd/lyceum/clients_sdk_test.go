package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// sdkModes are the official TypeScript SDKs, and what each negotiates.
var sdkModes = []struct{ sdk, mode, revision string }{
	{"v1", "legacy", "2025-11-25"},
	{"v2", "legacy", "2025-11-25"},
	{"v2", "auto", "2026-07-28"},
	{"v2", "2026-07-28", "2026-07-28"},
}

// sdkTold is what test/clients/sdk.mjs prints.
type sdkTold struct {
	Protocol, Server, Instructions        string
	Capabilities, Tools, Prompts, Updates []string
	Call                                  struct {
		IsError           bool
		Content           []struct{ Type, Text string }
		StructuredContent json.RawMessage
	}
	Progress []struct {
		Progress, Total float64
		Message         string
	}
	Ping                             map[string]any
	Resources, Templates, Completion []string
	Guide, Prompt                    string
	State                            struct {
		Session struct {
			SessionID string
			Client    struct{ Name, Revision string }
		}
	}
	Missing struct {
		Code    int
		Message string
	}
	Subscribed struct{ ResourceSubscriptions []string }
	Busy, Idle int
	Canceled   string
	// StoppedAfter is when the server computed no longer, in milliseconds.
	StoppedAfter float64
	AfterEnd     int
	Logs         []struct {
		Level string
		Data  struct{ Code string }
	}
	Mine     string
	Sessions []string
	Account  struct {
		Registrations int
		Visits        []string
		Issued        []struct {
			Sub, Scope, Client string
			Lives              int
		}
		Client string
	}
}

// runSDK runs sdk.mjs with a plan. It must print one JSON object and nothing else.
func runSDK(t *testing.T, plan map[string]any) (told sdkTold) {
	t.Helper()
	raw, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var stderr syncBuffer
	cmd := nodeCommand(t, nil, "sdk.mjs", string(raw))
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.String() != "" {
		t.Fatalf("%v\n%s%s", err, out, stderr.String())
	}
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return told
}

// The official TypeScript SDKs use everything that the server offers.
func TestTypeScriptSDK(t *testing.T) {
	t.Parallel()
	p := serve(t)
	other := p.token("--sub", "somebody else")
	p.call(other, "session_create", `{"name":"not yours"}`)
	for _, m := range sdkModes {
		t.Run(m.sdk+" "+m.mode, func(t *testing.T) {
			t.Parallel()
			p := p.in(t)
			told := runSDK(t, map[string]any{
				"sdk": m.sdk, "mode": m.mode, "url": p.url + "/mcp", "scene": "tour", "token": p.token("--sub", m.sdk+m.mode),
			})
			told.check(t, "sdk-"+m.sdk, m.revision)
			if m.revision < "2026" {
				told.checkLegacy(t)
			} else {
				told.checkModern(t)
			}
		})
	}
}

func (told *sdkTold) check(t *testing.T, name, revision string) {
	t.Helper()
	if told.Protocol != revision || told.Server != "lyceum" || !strings.HasPrefix(told.Instructions, "Lyceum computes") {
		t.Errorf("connected to %q with %q, told %q", told.Server, told.Protocol, told.Instructions)
	}
	want := "[completions logging prompts resources tools]"
	if revision > "2026" {
		want = "[completions extensions logging prompts resources tools]"
	}
	if fmt.Sprint(told.Capabilities) != want {
		t.Errorf("capabilities %v, want %s", told.Capabilities, want)
	}
	if want := "[clear_thought job_cancel job_list job_result sequentialthinking session_create session_delete session_list]"; fmt.Sprint(told.Tools) != want {
		t.Errorf("tools %v, want %s", told.Tools, want)
	}
	session := told.checkCall(t)
	uri := "lyceum://sessions/" + session
	for _, want := range []string{"lyceum://guide", "lyceum://operations", "lyceum://operations/mcts", uri, uri + "/export"} {
		if !slices.Contains(told.Resources, want) {
			t.Errorf("no resource %s in %v", want, told.Resources)
		}
	}
	if !slices.Contains(told.Templates, "lyceum://sessions/{sessionId}") || !strings.HasPrefix(told.Guide, "# Lyceum\n") {
		t.Errorf("templates %v, guide %q", told.Templates, told.Guide)
	}
	if s := told.State.Session; s.SessionID != session || s.Client.Name != name || s.Client.Revision != revision {
		t.Errorf("the session's resource: %+v", s)
	}
	if !strings.Contains(told.Missing.Message, "Resource not found") {
		t.Errorf("a session that is not there: %+v", told.Missing)
	}
	if !slices.Contains(told.Prompts, "search") || !strings.Contains(told.Prompt, "<task>\nWhich opening move is best?\n</task>") {
		t.Errorf("prompts %v, prompt %q", told.Prompts, told.Prompt)
	}
	if !slices.Equal(told.Completion, []string{"decision_framework"}) {
		t.Errorf("completion %v", told.Completion)
	}
	if !slices.Contains(told.Updates, uri) {
		t.Errorf("updates %v, want %s", told.Updates, uri)
	}
	// While the call computes, it and the reading are in flight; it would take 25 s.
	if told.Busy != 2 || told.Idle != 1 || !strings.Contains(told.Canceled, "enough") || told.StoppedAfter > 15_000 {
		t.Errorf("canceled: %q, %d then %d in flight, after %g ms", told.Canceled, told.Busy, told.Idle, told.StoppedAfter)
	}
	if !slices.Equal(told.Sessions, []string{session}) {
		t.Errorf("sessions %v, want only %s", told.Sessions, session)
	}
}

// checkCall looks at the result of the call, whose true answer is known: in nim with
// 3, 4 and 5, taking 2 from the first heap makes the sum 0 (Bouton 1901).
func (told *sdkTold) checkCall(t *testing.T) (session string) {
	t.Helper()
	var envelope struct {
		Operation, SessionID, Basis string
		Seed                        int
		Result                      struct {
			BestAction string
			Search     struct{ Value float64 }
		}
		Warnings []struct{ Code string }
	}
	if err := json.Unmarshal(told.Call.StructuredContent, &envelope); err != nil {
		t.Fatal(err)
	}
	e := envelope
	if told.Call.IsError || e.Operation != "mcts" || e.Basis != "computed" || e.Seed != 1 || e.Result.BestAction != "take 2 from heap 1" || e.Result.Search.Value != 1 {
		t.Errorf("the call: %+v", e)
	}
	if len(e.Warnings) != 1 || e.Warnings[0].Code != "limit_lowered" {
		t.Errorf("warnings %v", e.Warnings)
	}
	var fromText, structured any
	if len(told.Call.Content) != 1 || json.Unmarshal([]byte(told.Call.Content[0].Text), &fromText) != nil ||
		json.Unmarshal(told.Call.StructuredContent, &structured) != nil || fmt.Sprint(fromText) != fmt.Sprint(structured) {
		t.Errorf("the text is not the structured content: %.300v", told.Call.Content)
	}
	last := 0.0
	for _, n := range told.Progress {
		if n.Progress <= last || n.Total != 200_000 || !strings.Contains(n.Message, "best so far") {
			t.Errorf("progress %+v after %g", n, last)
		}
		last = n.Progress
	}
	if last == 0 {
		t.Error("no progress")
	}
	return e.SessionID
}

func (told *sdkTold) checkLegacy(t *testing.T) {
	t.Helper()
	if told.Ping == nil || len(told.Ping) != 0 {
		t.Errorf("ping: %v", told.Ping)
	}
	if len(told.Logs) != 1 || told.Logs[0].Level != "warning" || told.Logs[0].Data.Code != "limit_lowered" {
		t.Errorf("log messages %v", told.Logs)
	}
	if told.AfterEnd != 404 {
		t.Errorf("after the end of the session: status %d", told.AfterEnd)
	}
}

func (told *sdkTold) checkModern(t *testing.T) {
	t.Helper()
	if want := []string{"lyceum://sessions/" + told.State.Session.SessionID}; !slices.Equal(told.Subscribed.ResourceSubscriptions, want) {
		t.Errorf("the acknowledged subscription is %v, want %v", told.Subscribed, want)
	}
	if len(told.Logs) != 0 { // nobody asked for any
		t.Errorf("log messages %v", told.Logs)
	}
}

// The SDKs log in by themselves: with a client that they register, with one that has
// a document, as themselves with a secret; and they get a new token when the old one
// has expired, or when its scope does not suffice.
func TestTypeScriptLogin(t *testing.T) {
	t.Parallel()
	document, certificate := clientSite(t)
	p := serveTrusting(t, certificate)
	id, secret := p.registered(`{"grant_types":["client_credentials"]}`)
	for _, m := range sdkModes {
		run := func(t *testing.T, more map[string]any) sdkTold {
			t.Helper()
			t.Parallel()
			plan := map[string]any{"sdk": m.sdk, "mode": m.mode, "url": p.url + "/mcp", "scene": "login"}
			maps.Copy(plan, more)
			told := runSDK(t, plan)
			if !slices.Contains(told.Sessions, told.Mine) {
				t.Errorf("the session %s is not in %v", told.Mine, told.Sessions)
			}
			return told
		}
		t.Run(m.sdk+" "+m.mode+"/registers and refreshes", func(t *testing.T) {
			told := run(t, map[string]any{"visits": []visit{{User: "bob", TTL: 2}}})
			a := told.Account
			if a.Registrations != 1 || fmt.Sprint(a.Visits) != "[reason]" || len(a.Issued) < 2 { // more on a slow machine
				t.Fatalf("%+v", a)
			}
			for _, token := range a.Issued {
				if token.Sub != "bob" || token.Scope != "reason" || token.Lives != 2 || token.Client != a.Client || !strings.HasPrefix(a.Client, "dyn-") {
					t.Errorf("token %+v of %s", token, a.Client)
				}
			}
			p.in(t).wantOwner(told.Mine, "bob")
		})
		t.Run(m.sdk+" "+m.mode+"/document", func(t *testing.T) {
			told := run(t, map[string]any{"visits": []visit{{User: "carol"}}, "document": document})
			if a := told.Account; a.Registrations != 0 || len(a.Issued) != 1 || a.Issued[0].Client != document || a.Issued[0].Sub != "carol" {
				t.Errorf("%+v", a)
			}
			p.in(t).wantOwner(told.Mine, "carol")
		})
		t.Run(m.sdk+" "+m.mode+"/step-up", func(t *testing.T) {
			// Without refresh tokens: v1 has a defect there, see docs/clients.md.
			told := run(t, map[string]any{"visits": []visit{{User: "alice", Scope: "code"}, {User: "alice"}}, "refresh": m.sdk != "v1"})
			a := told.Account
			want := map[string]string{"v1": "[reason reason]", "v2": "[reason code reason]"}[m.sdk]
			if a.Registrations != 1 || fmt.Sprint(a.Visits) != want || len(a.Issued) != 2 || a.Issued[0].Scope != "code" ||
				!slices.Contains(strings.Fields(a.Issued[1].Scope), "reason") {
				t.Errorf("%+v", a)
			}
			p.in(t).wantOwner(told.Mine, "alice")
		})
		t.Run(m.sdk+" "+m.mode+"/credentials", func(t *testing.T) {
			told := run(t, map[string]any{"credentials": map[string]string{"id": id, "secret": secret, "issuer": p.url + "/dev/idp"}})
			p.in(t).wantOwner(told.Mine, "nobody of these")
			if list := p.in(t).call(p.in(t).token("--sub", id), "session_list", `{}`); !strings.Contains(list, told.Mine) {
				t.Errorf("the client's own sessions: %s", list)
			}
		})
	}
}
