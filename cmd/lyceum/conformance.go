//go:build conformance

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/mcpserve"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/tools"
)

// conformance returns what the scenarios of the official suite call, by the names
// that it gives.
func conformance() ([]tools.Tool, mcpserve.More) {
	return slices.Concat(contentFixtures(), talkFixtures(), roundFixtures(), taskFixtures()),
		mcpserve.More{Prompts: promptFixtures(), Resources: resourceFixtures()}
}

// What the fixtures show: one red pixel, and a tenth of a millisecond of silence.
const (
	pngPixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
	wavTick  = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA=="
)

const noArguments = `{"type":"object","properties":{},"additionalProperties":false}`

// fixture defines a tool of the suite. Those that ask set asks.
func fixture(name, summary, schema string, asks bool, fn tools.NativeFunc) tools.Tool {
	return tools.DefineNative(tools.Spec{
		Name: name, Family: "conformance", Title: name, Summary: summary, Scope: policy.Reason, Lane: work.Interactive,
		Effect: tools.ReadOnly, Stateless: true, Asks: asks, Method: "fixture",
		Examples: []tools.Example{{Title: name, Arguments: "{}"}},
	}, json.RawMessage(schema), fn)
}

func says(format string, args ...any) *tools.NativeResult {
	return tools.NewNativeResult(tools.TextContent(fmt.Sprintf(format, args...)))
}

// fixed is a tool that always has the same result.
func fixed(name, summary string, result *tools.NativeResult) tools.Tool {
	return fixture(name, summary, noArguments, false, func(context.Context, *tools.Call, json.RawMessage) (*tools.NativeResult, error) {
		return result, nil
	})
}

func embedded(uri, mime, text string) tools.Content {
	return tools.EmbeddedContent(tools.TextResource(uri, mime, text))
}

// idle waits without a turn on the CPU.
func idle(ctx context.Context, c *tools.Call, d time.Duration) error {
	return c.Ticket.Aside(ctx, func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	})
}

func contentFixtures() []tools.Tool {
	image := tools.ImageContent(pngPixel, "image/png")
	failed := says("This tool intentionally returns an error for testing")
	failed.IsError = true
	ok := func(context.Context, *tools.Call, json.RawMessage) (*tools.NativeResult, error) {
		return says("ok"), nil
	}
	return []tools.Tool{
		fixed("test_simple_text", "Returns a text.", says("This is a simple text response for testing.")),
		fixed("test_image_content", "Returns an image.", tools.NewNativeResult(image)),
		fixed("test_audio_content", "Returns a sound.", tools.NewNativeResult(tools.AudioContent(wavTick, "audio/wav"))),
		fixed("test_embedded_resource", "Returns a resource.", tools.NewNativeResult(
			embedded("test://embedded-resource", "text/plain", "This is an embedded resource content."))),
		fixed("test_multiple_content_types", "Returns a text, an image and a resource.", tools.NewNativeResult(
			tools.TextContent("Multiple content types test:"), image,
			embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`))),
		fixed("test_error_handling", "Always fails.", failed),
		fixture("json_schema_2020_12_tool", "Tool with JSON Schema 2020-12 features", schema2020, false, ok),
		fixture("test_custom_header", "Has an argument that comes in a header too.",
			`{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}},"additionalProperties":false}`, false, ok),
		fixture("test_reconnection", "Loses its connection and is resumed.", noArguments, false, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			if line, ok := c.Line.(interface{ Disconnect() }); ok {
				line.Disconnect()
			}
			if err := idle(ctx, c, 200*time.Millisecond); err != nil {
				return nil, err
			}
			return says("Reconnection test completed"), nil
		}),
	}
}

const schema2020 = `{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object",` +
	`"$defs":{"address":{"$anchor":"addressDef","type":"object","properties":{"street":{"type":"string"},"city":{"type":"string"}}}},` +
	`"properties":{"name":{"type":"string"},"address":{"$ref":"#/$defs/address"},"contactMethod":{"type":"string","enum":["phone","email"]},` +
	`"phone":{"type":"string"},"email":{"type":"string"}},` +
	`"allOf":[{"anyOf":[{"required":["phone"]},{"required":["email"]}]}],` +
	`"if":{"properties":{"contactMethod":{"const":"phone"}},"required":["contactMethod"]},"then":{"required":["phone"]},"else":{"required":["email"]},` +
	`"additionalProperties":false}`

func resourceFixtures() []mcpserve.Resource {
	text := func(mime, body string) func(string, string) (tools.ResourceContents, error) {
		return func(uri, _ string) (tools.ResourceContents, error) {
			return tools.TextResource(uri, mime, body), nil
		}
	}
	return []mcpserve.Resource{
		{
			URI: "test://static-text", Name: "static-text", Description: "A text.", MIMEType: "text/plain",
			Read: text("text/plain", "This is the content of the static text resource."),
		},
		{
			URI: "test://static-binary", Name: "static-binary", Description: "An image.", MIMEType: "image/png",
			Read: func(uri, _ string) (tools.ResourceContents, error) {
				return tools.BlobResource(uri, "image/png", pngPixel), nil
			},
		},
		{
			URI: "test://watched-resource", Name: "watched-resource", Description: "A text to subscribe to.", MIMEType: "text/plain",
			Read: text("text/plain", "This resource can be watched."),
		},
		{
			URI: "test://template/{id}/data", Name: "template-data", Description: "Data by id.", MIMEType: "application/json",
			Read: func(uri, id string) (tools.ResourceContents, error) {
				body, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
				return tools.TextResource(uri, "application/json", string(body)), err
			},
		},
	}
}

func promptFixtures() []mcpserve.Prompt {
	user := func(all ...tools.Content) (out []tools.PromptMessage) {
		for _, c := range all {
			out = append(out, tools.UserMessage(c))
		}
		return out
	}
	type given = map[string]string
	return []mcpserve.Prompt{
		{
			Name: "test_simple_prompt", Description: "A text.",
			Get: func(context.Context, tools.Line, given) ([]tools.PromptMessage, error) {
				return user(tools.TextContent("This is a simple prompt for testing.")), nil
			},
		},
		{
			Name: "test_prompt_with_arguments", Description: "A text with two arguments.",
			Arguments: []mcpserve.PromptArgument{
				{Name: "arg1", Description: "First test argument", Required: true}, {Name: "arg2", Description: "Second test argument", Required: true},
			},
			Get: func(_ context.Context, _ tools.Line, a given) ([]tools.PromptMessage, error) {
				return user(tools.TextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", a["arg1"], a["arg2"]))), nil
			},
		},
		{
			Name: "test_prompt_with_embedded_resource", Description: "A resource and a text.",
			Arguments: []mcpserve.PromptArgument{{Name: "resourceUri", Description: "URI of the resource to embed", Required: true}},
			Get: func(_ context.Context, _ tools.Line, a given) ([]tools.PromptMessage, error) {
				return user(embedded(a["resourceUri"], "text/plain", "Embedded resource content for testing."),
					tools.TextContent("Please process the embedded resource above.")), nil
			},
		},
		{
			Name: "test_prompt_with_image", Description: "An image and a text.",
			Get: func(context.Context, tools.Line, given) ([]tools.PromptMessage, error) {
				return user(tools.ImageContent(pngPixel, "image/png"), tools.TextContent("Please analyze the image above.")), nil
			},
		},
		{
			Name: "test_input_required_result_prompt", Description: "Asks for a context.",
			Get: func(ctx context.Context, line tools.Line, _ given) ([]tools.PromptMessage, error) {
				a, err := line.Ask(ctx, []tools.Question{form("user_context", "What context should the prompt use?", `"context":{"type":"string"}`, "context")})
				if err != nil {
					return nil, err
				}
				return user(tools.TextContent("Context: " + filled(a, "user_context", "context"))), nil
			},
		},
	}
}

// errFixture is a failure that is nobody's but the server's.
var errFixture = errors.New("a failure of the server, on purpose")

// failedFixture is a failure of a tool.
var failedFixture = fault.Newf(fault.Invalid, "this job fails on purpose")
