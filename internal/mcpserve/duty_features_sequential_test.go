package mcpserve

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// wireResult is what the well-known server returns, and what ours has beside it.
type wireResult struct {
	ThoughtNumber        *float64  `json:"thoughtNumber"`
	TotalThoughts        *float64  `json:"totalThoughts"`
	NextThoughtNeeded    *bool     `json:"nextThoughtNeeded"`
	Branches             *[]string `json:"branches"`
	ThoughtHistoryLength *float64  `json:"thoughtHistoryLength"`

	SessionID string `json:"sessionId"`
}

func (r *wireResult) String() string {
	if r.ThoughtNumber == nil || r.TotalThoughts == nil || r.NextThoughtNeeded == nil || r.Branches == nil || r.ThoughtHistoryLength == nil {
		return fmt.Sprintf("lacks members: %+v", *r)
	}
	return fmt.Sprint(*r.ThoughtNumber, *r.TotalThoughts, *r.NextThoughtNeeded, *r.Branches, *r.ThoughtHistoryLength)
}

// thinks calls sequentialthinking in a session, "" for that of the connection or a
// new one, and returns what a client of the well-known server reads: the text, and
// the structured content where there is one, which must be the same.
func (p *peer) thinks(session, arguments string) (out wireResult, bad bool) {
	p.w.t.Helper()
	if session != "" {
		arguments = strings.Replace(arguments, "{", `{"sessionId":"`+session+`",`, 1)
	}
	a := p.call("1", "sequentialthinking", arguments, "")
	var r struct {
		Result struct {
			IsError bool `json:"isError"`
			Content []struct {
				Type string `json:"type"`
				Text string `json:"text"`
			} `json:"content"`
		} `json:"result"`
	}
	if err := json.Unmarshal(a.body, &r); err != nil || len(r.Result.Content) != 1 || r.Result.Content[0].Type != "text" {
		p.w.t.Fatalf("%d %s (%v)", a.status, a.body, err)
	}
	text := r.Result.Content[0].Text
	if s := a.structured(); s != nil && string(s) != text {
		p.w.t.Errorf("text and structured content differ:\n%s\n%s", text, s)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		p.w.t.Fatalf("%v: %s", err, text)
	}
	return out, r.Result.IsError
}

// The input is that of the well-known server, name by name, and the handle of the
// session, which it does not need.
func TestDutySequentialThinkingSchema(t *testing.T) {
	want := map[string]string{
		"thought": "string", "nextThoughtNeeded": "boolean", "thoughtNumber": "integer", "totalThoughts": "integer", "isRevision": "boolean",
		"revisesThought": "integer", "branchFromThought": "integer", "branchId": "string", "needsMoreThoughts": "boolean", "sessionId": "string",
	}
	w := shippedWorld(t, "facade")
	for _, revision := range allRevisions {
		list := listedAs(t, w.speaking("alice", revision))
		i := slices.IndexFunc(list, func(tool map[string]json.RawMessage) bool { return string(tool["name"]) == `"sequentialthinking"` })
		var in struct {
			Properties map[string]struct {
				Type string `json:"type"`
			} `json:"properties"`
			Required []string `json:"required"`
		}
		if i < 0 || json.Unmarshal(list[i]["inputSchema"], &in) != nil {
			t.Fatalf("%s: it is not listed", revision)
		}
		got := map[string]string{}
		for name, p := range in.Properties {
			got[name] = p.Type
		}
		slices.Sort(in.Required)
		if !maps.Equal(got, want) || strings.Join(in.Required, " ") != "nextThoughtNeeded thought thoughtNumber totalThoughts" {
			t.Errorf("%s: %v, required %v", revision, got, in.Required)
		}
		// The well-known one costs some 921 tokens, which its users complain of.
		if whole, err := json.Marshal(list[i]); err != nil || len(whole)/4 > 450 {
			t.Errorf("%s: about %d tokens (%v)", revision, len(whole)/4, err)
		}
	}
}

// A client of the well-known server finds in the result what it looks for, where it
// looks: in every revision, and whichever way it writes numbers and booleans.
func TestDutySequentialThinkingOnTheWire(t *testing.T) {
	w := shippedWorld(t, "facade")
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		session := ""
		for _, step := range []struct{ arguments, want string }{
			{`{"thought":"a","thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true}`, "1 3 true [] 1"},
			{`{"thought":"b","thoughtNumber":"2","totalThoughts":"3","nextThoughtNeeded":"true","isRevision":"false","needsMoreThoughts":false}`, "2 3 true [] 2"},
			{`{"thought":"c","thoughtNumber":3,"totalThoughts":2,"nextThoughtNeeded":true}`, "3 3 true [] 3"}, // the estimate grows
			{`{"thought":"d","thoughtNumber":4,"totalThoughts":5,"nextThoughtNeeded":true,"isRevision":true,"revisesThought":2}`, "4 5 true [] 4"},
			{`{"thought":"e","thoughtNumber":3,"totalThoughts":5,"nextThoughtNeeded":true,"branchFromThought":2,"branchId":"other"}`, "3 5 true [other] 5"},
			{`{"thought":"f","thoughtNumber":4,"totalThoughts":5,"nextThoughtNeeded":false,"branchFromThought":2,"branchId":"other"}`, "4 5 false [other] 6"},
			{`{"thought":"g","thoughtNumber":1,"totalThoughts":1,"nextThoughtNeeded":false}`, "1 1 false [other] 7"}, // a new line of thoughts
		} {
			got, bad := p.thinks(session, step.arguments)
			if bad || got.String() != step.want || !strings.HasPrefix(got.SessionID, "rs_") {
				t.Errorf("%s: %s: %s in %q, isError %v; want %s", revision, step.arguments, &got, got.SessionID, bad, step.want)
			}
			if revision == rev2026 { // before, the connection has a session
				session = got.SessionID
			}
		}
		// It is the chain of the operation.
		env, bad := p.call("1", "clear_thought", `{"operation":"sequential_thinking","parameters":{"action":"branches"}`+inSession(session)+`}`, "").result(t)
		if bad || !strings.Contains(string(env.Result), `"other"`) {
			t.Errorf("%s: %s", revision, env.Result)
		}
	}
}

func inSession(id string) string {
	if id == "" {
		return ""
	}
	return `,"sessionId":"` + id + `"`
}

// What is wrong is a result with isError, and leaves the chain as it was.
func TestDutySequentialThinkingErrors(t *testing.T) {
	w := shippedWorld(t, "facade")
	for _, revision := range allRevisions {
		p := w.speaking("alice", revision)
		first, _ := p.thinks("", `{"thought":"a","thoughtNumber":1,"totalThoughts":3,"nextThoughtNeeded":true}`)
		session := ""
		if revision == rev2026 {
			session = first.SessionID
		}
		for _, arguments := range []string{
			`{"thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":true}`,
			`{"thought":"b","totalThoughts":3,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":2,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":2,"totalThoughts":3}`,
			`{"thought":7.5,"thoughtNumber":[],"totalThoughts":3,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":"two","totalThoughts":3,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":0,"totalThoughts":3,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":"perhaps"}`,
			`{"thought":"b","thoughtNumber":9,"totalThoughts":9,"nextThoughtNeeded":true}`,
			`{"thought":"b","thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":true,"isRevision":true,"revisesThought":99}`,
			`{"thought":"b","thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":true,"branchFromThought":99,"branchId":"x"}`,
		} {
			if got, bad := p.thinks(session, arguments); !bad {
				t.Errorf("%s: %s was taken: %s", revision, arguments, &got)
			}
		}
		if got, bad := p.thinks(session, `{"thought":"b","thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":false}`); bad || got.String() != "2 3 false [] 2" {
			t.Errorf("%s: afterwards: %s, isError %v", revision, &got, bad)
		}
		if got, bad := p.thinks(session, `{"thought":"b","thoughtNumber":2,"totalThoughts":3,"nextThoughtNeeded":false}`); !bad {
			t.Errorf("%s: the same again: %s", revision, &got)
		}
	}
}

// A chain belongs to its session and its owner: conversations do not run into each
// other, as they do where one process has one history.
func TestDutySequentialThinkingKeepsApart(t *testing.T) {
	w := shippedWorld(t, "facade")
	const first = `{"thought":"a","thoughtNumber":1,"totalThoughts":2,"nextThoughtNeeded":true}`
	for _, revision := range allRevisions {
		one, _ := w.speaking("alice", revision).thinks("", first)
		for _, p := range []*peer{w.speaking("alice", revision), w.speaking("bob", revision)} {
			if got, bad := p.thinks("", first); bad || got.String() != "1 2 true [] 1" || got.SessionID == one.SessionID {
				t.Errorf("%s, %s: %s in the session of another conversation", revision, p.who, &got)
			}
		}
		bob := w.speaking("bob", revision)
		call := func(id string) string {
			return string(bob.call("1", "sequentialthinking", strings.Replace(first, "{", `{"sessionId":"`+id+`",`, 1), "").body)
		}
		if got, want := call(one.SessionID), call("rs_"+strings.Repeat("a", 26)); got != want || !strings.Contains(got, "session_unavailable") {
			t.Errorf("%s: %s, of none %s", revision, got, want)
		}
	}
	// A handle goes on in every revision.
	p := w.modern("alice")
	a, _ := p.thinks("", first)
	b, bad := w.legacy("alice", rev202506).thinks(a.SessionID, `{"thought":"b","thoughtNumber":2,"totalThoughts":2,"nextThoughtNeeded":false}`)
	if bad || b.SessionID != a.SessionID || b.String() != "2 2 false [] 2" {
		t.Errorf("%s in %s, want %s", &b, b.SessionID, a.SessionID)
	}
}
