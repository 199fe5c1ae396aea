package tools

import (
	"context"
	"encoding/json"
	"fmt"
)

// Native is a tool whose result is not an envelope: it makes the result of the
// protocol itself, of texts, images, sounds and resources. Such a tool is called
// by its own name, not through a facade.
type Native interface {
	Tool
	native()
}

// NativeFunc is what a native tool does. arguments are an object, not decoded. A
// failure that is nobody's but the server's becomes an error of the protocol.
type NativeFunc func(ctx context.Context, c *Call, arguments json.RawMessage) (*NativeResult, error)

// DefineNative makes a native tool; schema is what clients see, byte for byte.
func DefineNative(spec Spec, schema json.RawMessage, fn NativeFunc) Tool {
	return &nativeTool{spec, schema, fn}
}

type nativeTool struct {
	spec   Spec
	schema json.RawMessage
	fn     NativeFunc
}

func (t *nativeTool) native()                       {}
func (t *nativeTool) Spec() *Spec                   { return &t.spec }
func (t *nativeTool) InputSchema() json.RawMessage  { return t.schema }
func (t *nativeTool) OutputSchema() json.RawMessage { return json.RawMessage(`{"type":"object"}`) }

func (t *nativeTool) Invoke(ctx context.Context, c *Call, arguments json.RawMessage) (json.RawMessage, error) {
	if len(arguments) == 0 || string(arguments) == "null" {
		arguments = json.RawMessage("{}")
	}
	if arguments[0] != '{' {
		return nil, Bad(root, "an object", string(arguments[:1]))
	}
	r, err := t.fn(ctx, c, arguments)
	if err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the result of %s: %w", t.spec.Name, err)
	}
	return b, nil
}
