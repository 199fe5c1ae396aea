package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// TasksExtension is the protocol extension under which a call goes on as a task.
const TasksExtension = "io.modelcontextprotocol/tasks"

// Methods of questions: what the client does with one.
const (
	AskForm   = "elicitation/create"     // shows a form to its user
	AskSample = "sampling/createMessage" // has its model write
	AskRoots  = "roots/list"             // lists the folders that its user works in
)

// Question is something that a call has to know before it can go on.
type Question struct {
	// Key names the answer. It is unique in the call and the same in each attempt.
	Key string
	// Method is one of AskForm, AskSample and AskRoots.
	Method string
	// Params is the object that the protocol says for Method.
	Params json.RawMessage
}

// Form asks the user to fill in a form: schema is a flat object of strings,
// numbers, booleans and choices. Never ask for a secret.
func Form(key, message string, schema json.RawMessage) Question {
	params, _ := json.Marshal(struct {
		Message string          `json:"message"`
		Schema  json.RawMessage `json:"requestedSchema"`
	}{message, schema}) // fails only on a schema that is no JSON, which no client would take either
	return Question{key, AskForm, params}
}

// Sample asks the client's model to answer a text in at most maxTokens tokens.
func Sample(key, text string, maxTokens int) Question {
	params, _ := json.Marshal(map[string]any{
		"messages":  []any{map[string]any{"role": "user", "content": map[string]string{"type": "text", "text": text}}},
		"maxTokens": maxTokens,
	}) // texts and numbers always encode
	return Question{key, AskSample, params}
}

// Roots asks for the folders that the user works in.
func Roots(key string) Question { return Question{key, AskRoots, json.RawMessage("{}")} }

// Answers are results of the protocol, by the key of their question. Each has
// been checked against its question.
type Answers map[string]json.RawMessage

// Form returns what the user did with a form (accept, decline or cancel), and
// what it said: an object, nil unless accepted.
func (a Answers) Form(key string) (action string, content json.RawMessage) {
	var r struct {
		Action  string          `json:"action"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(a[key], &r) != nil || r.Action != "accept" {
		return r.Action, nil
	}
	return r.Action, r.Content
}

// Text returns the text that the client's model has written.
func (a Answers) Text(key string) string {
	var r struct {
		Content json.RawMessage `json:"content"`
	}
	type block struct{ Type, Text string }
	if json.Unmarshal(a[key], &r) != nil {
		return ""
	}
	var one block
	if json.Unmarshal(r.Content, &one) == nil {
		return one.Text
	}
	var many []block
	_ = json.Unmarshal(r.Content, &many) // neither form: there is no text
	var b strings.Builder
	for _, m := range many {
		b.WriteString(m.Text)
	}
	return b.String()
}

// Line is a call's way back to the client that made it.
type Line interface {
	// Ask returns an answer to every question, or why there are none.
	Ask(ctx context.Context, questions []Question) (Answers, error)
	// Takes reports whether the client has declared that it takes such questions.
	Takes(method string) bool
	// Background makes the call a task, see Call.Background, or says why it is none.
	Background(ctx context.Context) error
	// Log sends a log message of a level of the protocol, if the client asked for it.
	Log(level string, data any)
}

// Ask puts questions to the client and returns the answers. The client must
// have declared that it takes each of them.
//
// How they travel depends on the client. Up to 2025-11-25 they go out on the
// stream of the call, and a task shows them to whoever looks after it: Ask
// waits, without its turn on the CPU. Otherwise the call ends with the
// questions, and the client makes it again with the answers: then Ask returns an
// InputRequired, which the tool must return as it is, and the next attempt runs
// from the beginning with the same arguments, session and seed. So a tool that
// asks sets Spec.Asks, asks before it has any effect, and comes to the same
// questions each time.
func (c *Call) Ask(ctx context.Context, questions ...Question) (Answers, error) {
	if c.Line == nil {
		return nil, fault.Newf(fault.Invalid, "this operation has to ask its user something, and nobody can be asked here")
	}
	return c.Line.Ask(ctx, questions)
}

// Takes reports whether the client takes questions of that method.
func (c *Call) Takes(method string) bool { return c.Line != nil && c.Line.Takes(method) }

// Background says that from here on the call is worth a task of its own. Where
// the client knows tasks its request is answered with one, and Background
// returns true as soon as it is stored; else it returns false, and the call goes
// on as it is. Calls that take long become tasks by themselves.
func (c *Call) Background(ctx context.Context) bool { return c.NeedBackground(ctx) == nil }

// NeedBackground is Background for a call that cannot be made without a task.
func (c *Call) NeedBackground(ctx context.Context) error {
	if c.Line != nil {
		return c.Line.Background(ctx)
	}
	return NeedsTasks()
}

// NeedsTasks is the failure of a call that needs a client which knows tasks.
func NeedsTasks() *Undeclared {
	return &Undeclared{Needs: map[string]any{"extensions": map[string]any{TasksExtension: map[string]any{}}}}
}

// Log sends the client a log message, if it asked for that level.
func (c *Call) Log(level string, data any) {
	if c.Line != nil {
		c.Line.Log(level, data)
	}
}

// InputRequired ends an attempt of a call whose client is to make it again, with
// the answers.
type InputRequired struct{ Questions []Question }

func (e *InputRequired) Error() string {
	return fmt.Sprintf("the call waits for %d answers", len(e.Questions))
}

// Unwrap classifies the error for whoever does not know it.
func (e *InputRequired) Unwrap() error {
	return &fault.Error{Kind: fault.Invalid, Code: "input_required", Public: "the operation needs input that cannot be asked for here"}
}

// Undeclared says that a call needs something of its client that the client has
// not declared.
type Undeclared struct{ Needs map[string]any } // as client capabilities

func (e *Undeclared) Error() string {
	b, _ := json.Marshal(e.Needs) // plain maps always encode
	return "the client has not declared a capability that this call needs: " + string(b)
}

// Unwrap classifies the error.
func (e *Undeclared) Unwrap() error {
	return &fault.Error{Kind: fault.Invalid, Code: "missing_client_capability", Public: e.Error()}
}
