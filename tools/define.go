package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
)

// root is the path of the parameters of an operation, as errors name them.
const root = "parameters"

// Define makes a tool of a description and a function. In must be a struct; its
// tags are described in the package's plan. Out is what encoding/json writes as
// the envelope's result. Define panics on a type that has no schema: tools are
// package variables, so a mistake shows at start-up.
func Define[In, Out any](spec Spec, fn func(ctx context.Context, c *Call, in In) (Out, error)) Tool {
	p := planFor(reflect.TypeFor[In]())
	if p.kind != kindStruct || p.pointer {
		panic(fmt.Sprintf("tools: %s: the input must be a struct", spec.Name))
	}
	return &tool[In, Out]{
		spec: spec, plan: p, fn: fn,
		in: inputSchema(p, spec.Plain), out: outputSchema(reflect.TypeFor[Out]()),
	}
}

type tool[In, Out any] struct {
	spec    Spec
	plan    *plan
	fn      func(context.Context, *Call, In) (Out, error)
	in, out json.RawMessage
}

func (t *tool[In, Out]) Spec() *Spec                   { return &t.spec }
func (t *tool[In, Out]) InputSchema() json.RawMessage  { return t.in }
func (t *tool[In, Out]) OutputSchema() json.RawMessage { return t.out }

func (t *tool[In, Out]) Invoke(ctx context.Context, c *Call, parameters json.RawMessage) (json.RawMessage, error) {
	var in In
	if err := t.decode(c, parameters, &in); err != nil {
		return nil, err
	}
	out, err := t.fn(ctx, c, in)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		return nil, fmt.Errorf("encode the result of %s: %w", t.spec.Name, err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func (t *tool[In, Out]) decode(c *Call, raw json.RawMessage, in *In) error {
	var common Common
	if err := t.read(c, raw, in, &common); err != nil {
		return err
	}
	c.apply(common)
	return nil
}

// read decodes raw into the parameters of the tool and those that all tools have.
func (t *tool[In, Out]) read(c *Call, raw json.RawMessage, in *In, common *Common) error {
	var d decoder
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		raw = json.RawMessage("{}")
	}
	if err := jsonscan.Check(raw); err != nil {
		d.issue(root, "valid JSON: "+err.Error(), raw)
	} else if inner, ok := d.unwrapObject(t.plan, raw, root); ok {
		left := d.fill(t.plan, jsonscan.Members(inner), reflect.ValueOf(in).Elem(), root)
		if len(left) > 0 {
			left = d.fill(commonPlan, each(left), reflect.ValueOf(common).Elem(), root)
		}
		d.leftover(t.plan, left, root)
	}
	for _, w := range d.unknown {
		if len(c.warnings) < maxWarnings {
			c.warnings = append(c.warnings, w)
		}
	}
	if len(d.issues) == 0 {
		if check, ok := any(in).(Checker); ok {
			var found Issues
			check.Check(&found)
			d.issues = found.list
		}
	}
	if len(d.issues) > 0 {
		sortIssues(d.issues)
		return &BadArguments{Issues: d.issues}
	}
	return nil
}
