//go:build conformance

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/tools"
)

// form is a question with the given properties, of which required ones are named.
func form(key, message, properties string, required ...string) tools.Question {
	names, _ := json.Marshal(append([]string{}, required...)) // strings always encode
	return tools.Form(key, message, json.RawMessage(`{"type":"object","properties":{`+properties+`},"required":`+string(names)+`}`))
}

// filled returns what a form says under a name, as text.
func filled(a tools.Answers, key, name string) string {
	_, content := a.Form(key)
	var said map[string]any
	if json.Unmarshal(content, &said) != nil {
		return ""
	}
	return fmt.Sprint(said[name])
}

// asking is a tool that asks questions and makes its result of the answers.
func asking(name, summary string, result func(tools.Answers) string, questions ...tools.Question) tools.Tool {
	return fixture(name, summary, noArguments, true, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
		a, err := c.Ask(ctx, questions...)
		if err != nil {
			return nil, err
		}
		return says("%s", result(a)), nil
	})
}

// talkFixtures say and ask something while they run.
func talkFixtures() []tools.Tool {
	const pause = 50 * time.Millisecond
	completed := func(a tools.Answers) string {
		action, content := a.Form("form")
		return fmt.Sprintf("Elicitation completed: action=%s, content=%s", action, content)
	}
	return []tools.Tool{
		fixture("test_tool_with_logging", "Logs three messages.", noArguments, false, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			for i, text := range []string{"Tool execution started", "Tool processing data", "Tool execution completed"} {
				if i > 0 {
					if err := idle(ctx, c, pause); err != nil {
						return nil, err
					}
				}
				c.Log("info", text)
			}
			return says("logged"), nil
		}),
		fixture("test_logging_tool", "Logs a message.", noArguments, false, func(_ context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			c.Log("info", "a message for whoever asked for it")
			return says("logged"), nil
		}),
		fixture("test_tool_with_progress", "Reports progress three times.", noArguments, false, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			for i := range 3 {
				if i > 0 {
					if err := idle(ctx, c, pause); err != nil {
						return nil, err
					}
				}
				c.Progress(float64(50*i), 100, "")
			}
			return says("done"), nil
		}),
		fixture("test_sampling", "Has the client's model answer.", `{"type":"object","properties":{"prompt":{"type":"string"}},"required":["prompt"]}`, true,
			func(ctx context.Context, c *tools.Call, raw json.RawMessage) (*tools.NativeResult, error) {
				var in struct{ Prompt string }
				if err := json.Unmarshal(raw, &in); err != nil {
					return nil, tools.Bad("prompt", "a string", string(raw))
				}
				a, err := c.Ask(ctx, tools.Sample("answer", in.Prompt, 100))
				if err != nil {
					return nil, err
				}
				return says("LLM response: %s", a.Text("answer")), nil
			}),
		fixture("test_elicitation", "Asks the user.", `{"type":"object","properties":{"message":{"type":"string"}},"required":["message"]}`, true,
			func(ctx context.Context, c *tools.Call, raw json.RawMessage) (*tools.NativeResult, error) {
				var in struct{ Message string }
				if err := json.Unmarshal(raw, &in); err != nil {
					return nil, tools.Bad("message", "a string", string(raw))
				}
				a, err := c.Ask(ctx, form("form", in.Message,
					`"username":{"type":"string","description":"User's response"},"email":{"type":"string","description":"User's email address"}`, "username", "email"))
				if err != nil {
					return nil, err
				}
				action, content := a.Form("form")
				return says("User response: action=%s, content=%s", action, content), nil
			}),
		asking("test_elicitation_sep1034_defaults", "Asks with a default of each type.", completed, form("form", "Please check these values.",
			`"name":{"type":"string","default":"John Doe"},"age":{"type":"integer","default":30},"score":{"type":"number","default":95.5},`+
				`"status":{"type":"string","enum":["active","inactive","pending"],"default":"active"},"verified":{"type":"boolean","default":true}`)),
		asking("test_elicitation_sep1330_enums", "Asks with a choice of each form.", completed, form("form", "Please choose.",
			`"untitledSingle":{"type":"string","enum":["option1","option2","option3"]},`+
				`"titledSingle":{"type":"string","oneOf":[{"const":"value1","title":"First Option"},{"const":"value2","title":"Second Option"},{"const":"value3","title":"Third Option"}]},`+
				`"legacyEnum":{"type":"string","enum":["opt1","opt2","opt3"],"enumNames":["Option One","Option Two","Option Three"]},`+
				`"untitledMulti":{"type":"array","items":{"type":"string","enum":["option1","option2","option3"]}},`+
				`"titledMulti":{"type":"array","items":{"anyOf":[{"const":"value1","title":"First Choice"},{"const":"value2","title":"Second Choice"},{"const":"value3","title":"Third Choice"}]}}`)),
		asking("test_missing_capability", "Cannot do without sampling.", func(a tools.Answers) string { return a.Text("answer") },
			tools.Sample("answer", "Say yes.", 10)),
		asking("test_streaming_elicitation", "Asks the user for a name.", func(a tools.Answers) string { return filled(a, "user_name", "name") }, askName),
	}
}

var (
	askName  = form("user_name", "What is your name?", `"name":{"type":"string"}`, "name")
	askRoots = tools.Roots("client_roots")
	askOK    = form("confirm", "Please confirm", `"ok":{"type":"boolean"}`, "ok")
)

// roundFixtures need more than one request under 2026-07-28.
func roundFixtures() []tools.Tool {
	const prefix = "test_input_required_result_"
	hello := func(a tools.Answers) string { return "Hello, " + filled(a, "user_name", "name") + "!" }
	stated := func(tools.Answers) string { return "state-ok" }
	return []tools.Tool{
		asking(prefix+"elicitation", "Asks for a name.", hello, askName),
		asking(prefix+"sampling", "Asks a model.", func(a tools.Answers) string { return a.Text("capital_question") },
			tools.Sample("capital_question", "What is the capital of France?", 100)),
		asking(prefix+"list_roots", "Asks for folders.", func(a tools.Answers) string { return "Roots: " + string(a["client_roots"]) }, askRoots),
		asking(prefix+"request_state", "Keeps a state.", stated, askOK),
		asking(prefix+"tampered_state", "Keeps a state that nobody else can make.", stated, askOK),
		asking(prefix+"multiple_inputs", "Asks three things at once.", func(a tools.Answers) string { return hello(a) + " " + a.Text("greeting") },
			askName, tools.Sample("greeting", "Generate a greeting", 50), askRoots),
		fixture(prefix+"multi_round", "Asks twice.", noArguments, true, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			first, err := c.Ask(ctx, form("step1", "Step 1: What is your name?", `"name":{"type":"string"}`, "name"))
			if err != nil {
				return nil, err
			}
			second, err := c.Ask(ctx, form("step2", "Step 2: What is your favorite color?", `"color":{"type":"string"}`, "color"))
			if err != nil {
				return nil, err
			}
			return says("%s likes %s.", filled(first, "step1", "name"), filled(second, "step2", "color")), nil
		}),
		fixture(prefix+"capabilities", "Asks what the client takes.", noArguments, true, func(ctx context.Context, c *tools.Call, _ json.RawMessage) (*tools.NativeResult, error) {
			var questions []tools.Question
			for _, q := range []tools.Question{askName, tools.Sample("greeting", "Generate a greeting", 50)} {
				if c.Takes(q.Method) {
					questions = append(questions, q)
				}
			}
			if _, err := c.Ask(ctx, questions...); err != nil {
				return nil, err
			}
			return says("asked %d questions", len(questions)), nil
		}),
	}
}
