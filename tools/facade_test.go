package tools

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

type echoInput struct {
	Text  string `json:"text" required:"true"`
	Times int    `json:"times" default:"1"`
}

type echoOutput struct {
	Said string `json:"said"`
}

func echoTool(name string) Tool {
	return Define(Spec{
		Name: name, Family: "test", Title: "Echo", Summary: "Says it again.", Scope: policy.Reason, Lane: work.Inline, Effect: ReadOnly, Method: "echo",
		Examples: []Example{{Title: "Say a", Arguments: `{"operation":"` + name + `","parameters":{"text":"a"}}`}},
	}, func(_ context.Context, _ *Call, in echoInput) (echoOutput, error) {
		return echoOutput{strings.Repeat(in.Text, in.Times)}, nil
	})
}

func testFacade(t *testing.T) *Facade {
	t.Helper()
	r, err := NewRegistry(echoTool("echo"), echoTool("decision_framework"))
	if err != nil {
		t.Fatal(err)
	}
	return NewFacade(r)
}

func TestFacadeDecode(t *testing.T) {
	f := testFacade(t)
	tests := []struct {
		name, args string
		parameters string
		warnings   []string
	}{
		{"plain", `{"operation":"echo","prompt":"p","parameters":{"text":"a"}}`, `{"text":"a"}`, nil},
		{"parameters in a string", `{"operation":"echo","parameters":"{\"text\":\"a\"}"}`, `"{\"text\":\"a\"}"`, nil},
		{"parameters beside", `{"operation":"echo","text":"a","parameters":{"times":2}}`, `{"text":"a","times":2}`, []string{"moved_parameter"}},
		{"a stray one does not win", `{"operation":"echo","text":"b","parameters":{"text":"a"}}`, `{"text":"a"}`, nil},
		{"advanced that means nothing here", `{"operation":"echo","advanced":{"autoProgress":true,"saveToSession":false}}`, ``, []string{"not_applicable"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := f.Decode(json.RawMessage(tt.args))
			if err != nil {
				t.Fatal(err)
			}
			if r.NoNext {
				t.Error("follow-ups are off though nobody said so")
			}
			if string(r.Parameters) != tt.parameters {
				t.Errorf("parameters %s, want %s", r.Parameters, tt.parameters)
			}
			var codes []string
			for _, w := range r.Warnings {
				codes = append(codes, w.Code)
			}
			if strings.Join(codes, " ") != strings.Join(tt.warnings, " ") {
				t.Errorf("warnings %v, want %v", r.Warnings, tt.warnings)
			}
		})
	}
}

func TestFacadeRefusals(t *testing.T) {
	f := testFacade(t)
	tests := []struct{ name, args, code, path, expected string }{
		{"no operation", `{}`, "", "arguments.operation", "a string"},
		{"unknown operation", `{"operation":"decision_framwork"}`, "unknown_operation", "arguments.operation", "did you mean decision_framework?"},
		{"not an object", `[1]`, "", "arguments", "an object"},
		{"version is no number", `{"operation":"echo","expectedVersion":"x"}`, "", "arguments.expectedVersion", "a whole number"},
		{"parameters that take nothing in", `{"operation":"echo","parameters":5,"text":"a"}`, "", "arguments.parameters", "an object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := f.Decode(json.RawMessage(tt.args))
			bad, ok := errors.AsType[*BadArguments](err)
			if !ok {
				t.Fatalf("error %v, want bad arguments", err)
			}
			if bad.Code != tt.code || bad.Issues[0].Path != tt.path || !strings.Contains(bad.Issues[0].Expected, tt.expected) {
				t.Errorf("got %q %+v", bad.Code, bad.Issues)
			}
		})
	}
}

func TestDescriptionFitsTheStrictestHost(t *testing.T) {
	if n := len(testFacade(t).Description()); n > 1000 {
		t.Errorf("%d characters, want at most 1000", n)
	}
}

func TestDescribe(t *testing.T) {
	f := testFacade(t)
	ask := func(args string) (describeOutput, error) {
		r, err := f.Decode(json.RawMessage(args))
		if err != nil {
			t.Fatal(err)
		}
		var c Call
		r.Start(&c)
		raw, err := r.Tool.Invoke(t.Context(), &c, r.Parameters)
		var out describeOutput
		if err == nil && json.Unmarshal(raw, &out) != nil {
			t.Fatalf("not JSON: %s", raw)
		}
		return out, err
	}
	all, err := ask(`{"operation":"describe"}`)
	if err != nil || len(all.Operations) != 2 || all.Operations[0].Name != "echo" {
		t.Fatalf("list: %+v, %v", all, err)
	}
	for _, args := range []string{`{"operation":"describe","parameters":{"operation":"echo"}}`, `{"operation":"describe","prompt":" echo "}`} {
		one, err := ask(args)
		if err != nil || one.Operation == nil || one.Operation.Name != "echo" {
			t.Fatalf("%s: %+v, %v", args, one, err)
		}
		var schema struct {
			Required   []string                   `json:"required"`
			Properties map[string]json.RawMessage `json:"properties"`
		}
		if json.Unmarshal(one.Operation.Parameters, &schema) != nil || len(schema.Required) != 1 || schema.Properties["seed"] == nil {
			t.Errorf("parameters %s", one.Operation.Parameters)
		}
	}
	if _, err := ask(`{"operation":"describe","parameters":{"operation":"nope"}}`); err == nil {
		t.Error("an unknown operation was described")
	}
}

func TestEnvelope(t *testing.T) {
	s := echoTool("echo").Spec()
	var c Call
	c.Warn("w", "look")
	c.Next("echo", "again", map[string]any{"text": "b"})
	ok := c.Envelope(s, json.RawMessage(`{"said":"<a>"}`), nil)
	b, err := ok.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"operation":"echo","toolOperation":"echo","result":{"said":"<a>"},"basis":"computed","method":"echo","warnings":[{"code":"w","message":"look"}],"next":[{"operation":"echo","why":"again","parameters":{"text":"b"}}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	bad, _ := c.Envelope(s, nil, Bad("parameters.text", "a string", 5)).Encode()
	wantBad := `{"operation":"echo","toolOperation":"echo","error":{"code":"invalid_arguments","message":"parameters.text: expected a string, got 5","issues":[{"path":"parameters.text","expected":"a string","got":"5"}],"example":{"operation":"echo","parameters":{"text":"a"}}},"warnings":[{"code":"w","message":"look"}]}`
	if string(bad) != wantBad {
		t.Errorf("got  %s\nwant %s", bad, wantBad)
	}
	secret, _ := c.Envelope(s, nil, errors.New("disk /secret is full")).Encode()
	if strings.Contains(string(secret), "secret") || !strings.Contains(string(secret), `"code":"internal"`) {
		t.Errorf("an unclassified failure shows its text: %s", secret)
	}
}

func TestRegistryReportsEveryMistake(t *testing.T) {
	bad := Define(Spec{Name: "Bad Name"}, func(context.Context, *Call, echoInput) (echoOutput, error) { return echoOutput{}, nil })
	_, err := NewRegistry(echoTool("echo"), echoTool("echo"), bad)
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"used twice", "not allowed", "summary", "no example", "family"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not mention %q: %v", want, err)
		}
	}
}

func FuzzFacade(f *testing.F) {
	f.Add(`{"operation":"echo","parameters":{"text":"a"}}`)
	f.Add(`{"operation":"echo","parameters":"{}","x":1}`)
	f.Add(`{"operation":5}`)
	r, err := NewRegistry(echoTool("echo"))
	if err != nil {
		f.Fatal(err)
	}
	fc := NewFacade(r)
	f.Fuzz(func(t *testing.T, text string) {
		req, err := fc.Decode(json.RawMessage(text))
		if err == nil && req.Tool == nil {
			t.Fatal("decoded without a tool")
		}
	})
}
