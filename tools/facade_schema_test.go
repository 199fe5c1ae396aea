package tools

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// A family's schema says once what all its operations take, and the types of what
// they return; nothing is lost on the way but what describe tells.
func TestFamilySchemasSayThingsOnce(t *testing.T) {
	type shout struct {
		Text string `json:"text" required:"true"`
		Loud bool   `json:"loud"`
	}
	type nested struct {
		Deep struct {
			Said string `json:"said"`
		} `json:"deep"`
		Many []echoOutput `json:"many"`
	}
	spec := *echoTool("shout").Spec()
	other := Define(spec, func(context.Context, *Call, shout) (nested, error) { return nested{}, nil })
	r, err := NewRegistry(echoTool("echo"), other)
	if err != nil {
		t.Fatal(err)
	}
	f := NewFamilies(r)[0]
	var in struct {
		Properties struct {
			Parameters struct {
				Properties map[string]json.RawMessage `json:"properties"`
				AnyOf      []struct {
					Properties map[string]json.RawMessage `json:"properties"`
					Required   []string                   `json:"required"`
				} `json:"anyOf"`
			} `json:"parameters"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(f.InputSchema(), &in); err != nil {
		t.Fatal(err)
	}
	p := in.Properties.Parameters
	for name, want := range map[string]string{"text": `{"type":"string"}`, "seed": `"integer"`, "maxMillis": `"integer"`, "maxSteps": `"integer"`, "maxNodes": `"integer"`} {
		if !strings.Contains(string(p.Properties[name]), want) {
			t.Errorf("%s is said to be %s", name, p.Properties[name])
		}
	}
	if len(p.Properties) != 5 || len(p.AnyOf) != 2 || len(p.AnyOf[0].Properties) != 1 || p.AnyOf[0].Properties["times"] == nil ||
		len(p.AnyOf[1].Properties) != 1 || p.AnyOf[1].Properties["loud"] == nil || p.AnyOf[1].Required[0] != "text" {
		t.Errorf("%s", f.InputSchema())
	}
	const want = `"result":{"anyOf":[{"type":"object","properties":{"said":{"type":"string"}}},{"type":"object","properties":{"deep":{"type":"object"},"many":{"type":["array","null"]}}}]}`
	if !strings.Contains(string(f.OutputSchema()), want) {
		t.Errorf("%s", f.OutputSchema())
	}
}

// A tool's hints are true of each of its operations: one that adds makes the whole
// not idempotent, whatever else one can do.
func TestHintsOfSeveralOperations(t *testing.T) {
	with := func(name string, e Effect, removes bool) Tool {
		s := *echoTool(name).Spec()
		s.Effect, s.Removes = e, removes
		return Define(s, func(context.Context, *Call, echoInput) (echoOutput, error) { return echoOutput{}, nil })
	}
	read, add, remove, both := with("read", ReadOnly, false), with("add", Mutates, false), with("remove", Deletes, false), with("both", Mutates, true)
	for _, c := range []struct {
		of   []Tool
		want Hints
	}{
		{[]Tool{read}, Hints{ReadOnly: true, Idempotent: true}},
		{[]Tool{read, add}, Hints{}},
		{[]Tool{read, remove}, Hints{Destructive: true, Idempotent: true}},
		{[]Tool{add, remove}, Hints{Destructive: true}},
		{[]Tool{read, both}, Hints{Destructive: true}},
	} {
		r, err := NewRegistry(c.of...)
		if err != nil {
			t.Fatal(err)
		}
		if got := NewFacade(r).Hints(); got != c.want {
			t.Errorf("%v: %+v, want %+v", r.Names(), got, c.want)
		}
	}
}

// A flat result stands beside the members of the envelope; a failure has none.
func TestFlatEnvelope(t *testing.T) {
	s := *echoTool("echo").Spec()
	s.Flat = true
	var c Call
	for _, r := range []struct {
		result string
		err    error
		want   string
	}{
		{`{"said":"<a>"}`, nil, `{"said":"<a>","operation":"echo","toolOperation":"echo","basis":"computed","method":"echo"}`},
		{`{}`, nil, `{"operation":"echo","toolOperation":"echo","result":{},"basis":"computed","method":"echo"}`},
		{``, context.Canceled, `{"operation":"echo","toolOperation":"echo","error":{"code":"canceled","message":"`},
	} {
		b, err := c.Envelope(&s, json.RawMessage(r.result), r.err).Encode()
		if err != nil || !json.Valid(b) || !strings.HasPrefix(string(b), r.want) {
			t.Errorf("%s (%v), want %s", b, err, r.want)
		}
	}
}

// Plain tools show no common parameters.
func TestPlainSchema(t *testing.T) {
	s := *echoTool("echo").Spec()
	s.Plain = true
	plain := Define(s, func(context.Context, *Call, echoInput) (echoOutput, error) { return echoOutput{}, nil })
	if schema := string(plain.InputSchema()); strings.Contains(schema, "seed") || strings.Contains(schema, "max") || !strings.Contains(schema, `"times"`) {
		t.Errorf("%s", schema)
	}
}
