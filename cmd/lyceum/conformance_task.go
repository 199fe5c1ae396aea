//go:build conformance

package main

import (
	"context"
	"encoding/json"
	"time"

	"github.com/lyceum-mcp/lyceum/tools"
)

// taskFixtures become tasks, each in its own way.
func taskFixtures() []tools.Tool {
	const fileSchema = `{"type":"object","properties":{"filename":{"type":"string"}}}`
	return []tools.Tool{
		fixture("greet", "Says hello, at once.", `{"type":"object","properties":{"name":{"type":"string"}}}`, false,
			func(_ context.Context, _ *tools.Call, raw json.RawMessage) (*tools.NativeResult, error) {
				var in struct{ Name string }
				if err := json.Unmarshal(raw, &in); err != nil {
					return nil, tools.Bad("name", "a string", string(raw))
				}
				return says("Hello, %s!", in.Name), nil
			}),
		fixture("slow_compute", "Takes as long as it is told.",
			`{"type":"object","properties":{"seconds":{"type":"number","minimum":0,"maximum":60},"label":{"type":"string"}}}`, false, slowCompute),
		fixture("failing_job", "Is a task that fails.", noArguments, false,
			func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
				if err := c.NeedBackground(ctx); err != nil {
					return nil, err
				}
				if err := idle(ctx, c, time.Second); err != nil {
					return nil, err
				}
				return nil, failedFixture
			}),
		fixture("protocol_error_job", "Is a task whose server fails.", noArguments, false,
			func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
				c.Background(ctx)
				return nil, errFixture
			}),
		fixture("confirm_delete", "Is a task that asks.", fileSchema, true,
			func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
				c.Background(ctx)
				a, err := c.Ask(ctx, form("confirm", "Delete the file?", `"confirm":{"type":"boolean"}`, "confirm"))
				if err != nil {
					return nil, err
				}
				return says("confirmed: %s", filled(a, "confirm", "confirm")), nil
			}),
		fixture("multi_input", "Is a task that asks two things at once.", noArguments, true,
			func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
				c.Background(ctx)
				a, err := c.Ask(ctx, form("name", "What is your name?", `"name":{"type":"string"}`, "name"),
					form("confirm", "Are you sure?", `"confirm":{"type":"boolean"}`, "confirm"))
				if err != nil {
					return nil, err
				}
				return says("%s: %s", filled(a, "name", "name"), filled(a, "confirm", "confirm")), nil
			}),
		fixture("test_tool_with_task", "Asks, and then is a task.", noArguments, true,
			func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
				a, err := c.Ask(ctx, askName)
				if err != nil {
					return nil, err
				}
				if err := c.NeedBackground(ctx); err != nil {
					return nil, err
				}
				return says("Hello, %s!", filled(a, "user_name", "name")), nil
			}),
	}
}

func slowCompute(ctx context.Context, c *tools.Call, raw json.RawMessage) (*tools.NativeResult, error) {
	var in struct {
		Seconds float64
		Label   string
	}
	if err := json.Unmarshal(raw, &in); err != nil || in.Seconds < 0 || in.Seconds > 60 {
		return nil, tools.Bad("seconds", "a number from 0 to 60", string(raw))
	}
	if in.Seconds > 0 {
		c.Background(ctx)
		if err := idle(ctx, c, time.Duration(in.Seconds*float64(time.Second))); err != nil {
			return nil, err
		}
	}
	return says("computed %s for %g s", in.Label, in.Seconds), nil
}
