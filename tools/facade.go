package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/nearest"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// Names of the facade and of its built-in operation.
const (
	FacadeName = "clear_thought"
	Describe   = "describe"
)

// Facade is one tool that leads to several operations: clear_thought to all of
// them, a family's tool to those of its family.
type Facade struct {
	name, title, description string

	registry *Registry
	describe Tool // nil in a family's tool
	only     string
	plan     *plan
	input    json.RawMessage
	output   json.RawMessage
}

// Request is a decoded call of the facade.
type Request struct {
	Tool            Tool
	Prompt          string
	Context         string
	SessionID       string
	Parameters      json.RawMessage
	NoNext          bool // advanced.generateNextSteps was false
	Batch           bool // advanced.lane was batch: the call makes way for those of the interactive lane
	IdempotencyKey  string
	ExpectedVersion *uint64
	Seed            *uint64
	Warnings        []Warning
}

// facadeInput has the parameter names and defaults of the ancestor.
type facadeInput struct {
	Operation  string          `json:"operation" required:"true" maxLen:"64" doc:"What to compute. \"describe\" explains an operation."`
	Prompt     string          `json:"prompt" doc:"The question or thought, in words."`
	Context    string          `json:"context" doc:"Background, in words."`
	SessionID  string          `json:"sessionId" maxLen:"128" doc:"Handle of the reasoning session; omitted: a new one, returned in the result."`
	Parameters json.RawMessage `json:"parameters" doc:"The operation's own parameters; see operation \"describe\"."`
	Advanced   advanced        `json:"advanced"`

	IdempotencyKey  string  `json:"idempotencyKey" maxLen:"128" doc:"Repeating a call with the same key returns the stored result."`
	ExpectedVersion *uint64 `json:"expectedVersion" doc:"Refuse the call unless the session is at this version."`
	Seed            *uint64 `json:"seed" doc:"Seed of every random choice."`
}

type advanced struct {
	AutoProgress      bool `json:"autoProgress" default:"false"`
	SaveToSession     bool `json:"saveToSession" default:"true"`
	GenerateNextSteps bool `json:"generateNextSteps" default:"true" doc:"Propose follow-up calls."`

	Lane string `json:"lane" default:"interactive" enum:"interactive|batch" doc:"batch: compute when nobody waits who is in a hurry."`
}

// NewFacade returns clear_thought for r.
func NewFacade(r *Registry) *Facade {
	f := &Facade{
		name: FacadeName, title: "Clear thought", registry: r, describe: describeTool(r),
		description: "Computes exact, reproducible answers for reasoning steps: tree search, decision analysis, statistics and validated chains of thought. " +
			"Pick an operation and give its parameters; call operation \"describe\" with parameters {\"operation\": NAME} for its schema and an example. " +
			"Results carry the session handle (pass it as sessionId to continue), the basis and method of every number, warnings, and ready-made next calls. " +
			"Nothing is guessed: missing data is reported as not assessable. A session lives until it has been idle too long; session_create and session_list manage them.",
	}
	f.build()
	return f
}

// NewFamilies returns a typed tool for each family of r, in the order in which
// the families first appear.
func NewFamilies(r *Registry) []*Facade {
	var out []*Facade
	seen := map[string]bool{}
	for _, t := range r.all {
		family := t.Spec().Family
		if seen[family] {
			continue
		}
		seen[family] = true
		sub := &Registry{byName: map[string]Tool{}}
		for _, u := range r.all {
			if s := u.Spec(); s.Family == family {
				sub.all, sub.names = append(sub.all, u), append(sub.names, s.Name)
				sub.byName[s.Name] = u
			}
		}
		f := &Facade{name: "lyceum_" + family, title: "Lyceum: " + family, registry: sub}
		if len(sub.names) == 1 {
			f.only = sub.names[0]
		}
		var b strings.Builder
		for _, u := range sub.all {
			fmt.Fprintf(&b, "%s: %s ", u.Spec().Name, u.Spec().Summary)
		}
		f.description = strings.TrimSpace(b.String())
		f.build()
		out = append(out, f)
	}
	return out
}

func (f *Facade) build() {
	f.plan = planFor(reflect.TypeFor[facadeInput]())
	if f.only != "" { // the one operation need not be named
		op := &f.plan.fields[f.plan.byName["operation"]]
		op.required, op.defText, op.def = false, `"`+f.only+`"`, reflect.ValueOf(f.only)
	}
	f.input, f.output = f.inputSchema(), f.outputSchema()
}

// Name is the tool's name.
func (f *Facade) Name() string { return f.name }

// Title is the tool's name for people.
func (f *Facade) Title() string { return f.title }

// Description is what a model reads about the facade: at most 1,000 characters,
// which is what the strictest provider accepts.
func (f *Facade) Description() string { return f.description }

// InputSchema returns the schema of the tool's arguments.
func (f *Facade) InputSchema() json.RawMessage { return f.input }

// OutputSchema returns the schema of the envelope, or nil for clear_thought,
// whose results are too different for one to say anything.
func (f *Facade) OutputSchema() json.RawMessage { return f.output }

// Effect is the strongest effect that an operation of the tool can have.
func (f *Facade) Effect() Effect {
	strongest := ReadOnly
	for _, t := range f.registry.all {
		strongest = max(strongest, t.Spec().Effect)
	}
	return strongest
}

// Hints returns what is true of every operation of the tool.
func (f *Facade) Hints() Hints {
	all := Hints{ReadOnly: true, Idempotent: true}
	for _, t := range f.registry.all {
		h := t.Spec().Hints()
		all.ReadOnly, all.Idempotent = all.ReadOnly && h.ReadOnly, all.Idempotent && h.Idempotent
		all.Destructive = all.Destructive || h.Destructive
	}
	return all
}

func (f *Facade) operations() []string {
	if f.describe == nil {
		return f.registry.Names()
	}
	return append(f.registry.Names(), Describe)
}

func (f *Facade) outputSchema() json.RawMessage {
	if f.describe != nil {
		return nil
	}
	var w schemaWriter
	w.WriteString(`{"type":"object","properties":{"operation":{"type":"string"},"sessionId":{"type":"string"},"version":{"type":"integer"},` +
		`"basis":{"type":"string"},"method":{"type":"string"},"seed":{"type":"integer"},"error":{"type":"object"},"result":{"anyOf":[`)
	for i, t := range f.registry.all {
		if i > 0 {
			w.WriteByte(',')
		}
		w.outline(t.OutputSchema())
	}
	w.WriteString(`]}},"required":["operation"]}`)
	return w.Bytes()
}

func (f *Facade) inputSchema() json.RawMessage {
	fields := slices.Clone(f.plan.fields)
	for i := range fields {
		switch fields[i].name {
		case "operation":
			fields[i].enum, fields[i].maxLen = f.operations(), -1
		case "parameters":
			fields[i].plan = &plan{kind: kindMap, elem: &plan{kind: kindAny}}
			if f.describe == nil {
				fields[i].plan = &plan{kind: kindGiven, given: anyOf(f.registry.all)}
			}
		}
	}
	var w schemaWriter
	w.plan(&plan{kind: kindStruct, fields: fields}, nil)
	return w.Bytes()
}

// Operation returns the tool that arguments name, without looking at the rest
// of them, or nil: the transport asks before it takes anything on. The text must
// have passed jsonscan.Check.
func (f *Facade) Operation(arguments json.RawMessage) Tool {
	for key, value := range jsonscan.Members(unwrap(arguments, '{')) {
		if string(key) == "operation" {
			return f.lookup(jsonscan.String(value))
		}
	}
	return f.lookup("")
}

func (f *Facade) lookup(name string) Tool {
	if name == "" {
		name = f.only
	}
	if name == Describe && f.describe != nil {
		return f.describe
	}
	return f.registry.Lookup(name)
}

// Decode reads the arguments of a call. Parameters that were put beside
// "parameters" instead of into it are moved there: models do that, and what
// they mean is plain.
func (f *Facade) Decode(arguments json.RawMessage) (*Request, error) {
	var d decoder
	var in facadeInput
	arguments = bytes.TrimSpace(arguments)
	if len(arguments) == 0 || string(arguments) == "null" {
		arguments = json.RawMessage("{}")
	}
	if err := jsonscan.Check(arguments); err != nil {
		return nil, Bad("arguments", "valid JSON: "+err.Error(), string(arguments))
	}
	var stray []member
	if inner, ok := d.unwrapObject(f.plan, arguments, "arguments"); ok {
		stray = d.fill(f.plan, jsonscan.Members(inner), reflect.ValueOf(&in).Elem(), "arguments")
	}
	if len(d.issues) > 0 {
		sortIssues(d.issues)
		return nil, &BadArguments{Issues: d.issues}
	}
	t := f.lookup(in.Operation)
	if t == nil {
		return nil, f.unknown(in.Operation)
	}
	r := &Request{
		Tool: t, Prompt: in.Prompt, Context: in.Context, SessionID: in.SessionID,
		Parameters: in.Parameters, NoNext: !in.Advanced.GenerateNextSteps, Batch: in.Advanced.Lane == "batch",
		IdempotencyKey: in.IdempotencyKey, ExpectedVersion: in.ExpectedVersion, Seed: in.Seed,
		Warnings: d.unknown,
	}
	if !in.Advanced.SaveToSession && t.Spec().Effect != ReadOnly {
		r.warn("not_applicable", "advanced.saveToSession=false has no effect here: keeping state is what %s does", t.Spec().Name)
	}
	if in.Advanced.AutoProgress {
		r.warn("not_applicable", "advanced.autoProgress has no effect: progress is sent when the request carries a progress token")
	}
	return r, r.adopt(stray)
}

// adopt moves stray members into the parameters.
func (r *Request) adopt(stray []member) error {
	if len(stray) == 0 {
		return nil
	}
	into := map[string]json.RawMessage{}
	if raw := unwrap(bytes.TrimSpace(r.Parameters), '{'); len(raw) > 0 && string(raw) != "null" {
		if json.Unmarshal(raw, &into) != nil {
			return Bad("arguments.parameters", "an object", string(raw))
		}
	}
	var names []string
	for _, m := range stray {
		if _, taken := into[m.key]; !taken {
			into[m.key] = m.value
			names = append(names, clip(m.key))
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		r.warn("moved_parameter", "%s belongs into parameters and was read from there", strings.Join(names, ", "))
	}
	var err error
	r.Parameters, err = json.Marshal(into)
	return err
}

func (r *Request) warn(code, format string, args ...any) {
	r.Warnings = append(r.Warnings, Warning{Code: code, Message: fmt.Sprintf(format, args...)})
}

func (f *Facade) unknown(name string) error {
	expected := "one of " + strings.Join(f.operations(), ", ")
	if near := nearest.Of(name, f.registry.names, 3); near != "" {
		expected = fmt.Sprintf("%s (did you mean %s?)", expected, near)
	}
	return &BadArguments{Code: "unknown_operation", Issues: []Issue{{Path: "arguments.operation", Expected: expected, Got: clip(name)}}}
}

// Named returns the request of a tool that is called by its own name: its session
// is its argument sessionId. The text must have passed jsonscan.Check.
func Named(t Tool, arguments json.RawMessage) *Request {
	r := &Request{Tool: t, Parameters: arguments}
	for key, value := range jsonscan.Members(unwrap(bytes.TrimSpace(arguments), '{')) {
		if string(key) == "sessionId" {
			r.SessionID = jsonscan.String(value)
		}
	}
	return r
}

// Start copies the request into c.
func (r *Request) Start(c *Call) {
	c.Prompt, c.Context, c.SeedHint = r.Prompt, r.Context, r.Seed
	c.warnings = append(c.warnings, r.Warnings...)
}

// Finish drops from e what the request did not want.
func (r *Request) Finish(e *Envelope) {
	if r.NoNext {
		e.Next = nil
	}
}

type describeInput struct {
	Operation string `json:"operation" doc:"The operation to explain; omitted: all of them, a line each." maxLen:"64"`
}

type describeOutput struct {
	Operations []operationLine `json:"operations,omitempty"`
	Operation  *operationPage  `json:"operation,omitempty"`
}

type operationLine struct {
	Name    string `json:"name"`
	Family  string `json:"family"`
	Summary string `json:"summary"`
}

type operationPage struct {
	operationLine
	Title      string          `json:"title"`
	Scope      policy.Scope    `json:"scope"`
	Lane       string          `json:"lane"`
	Method     string          `json:"method"`
	Source     string          `json:"source,omitempty"`
	Parameters json.RawMessage `json:"parameters"`
	Result     json.RawMessage `json:"result"`
	Examples   []exampleCall   `json:"examples"`
}

type exampleCall struct {
	Title     string          `json:"title"`
	Arguments json.RawMessage `json:"arguments"`
}

func describeTool(r *Registry) Tool {
	return Define(Spec{
		Name: Describe, Family: "guide", Title: "Describe an operation",
		Summary: "Explains one operation: parameters, result, method, source and worked examples; or lists all of them.",
		Scope:   policy.Reason, Lane: work.Inline, Effect: ReadOnly, Stateless: true, Method: "catalogue",
		Examples: []Example{{Title: "List the operations", Arguments: `{"operation":"describe"}`}},
	}, func(_ context.Context, c *Call, in describeInput) (describeOutput, error) {
		c.Basis(Template)
		name := in.Operation
		if name == "" && r.Lookup(strings.TrimSpace(c.Prompt)) != nil {
			name = strings.TrimSpace(c.Prompt)
		}
		var out describeOutput
		if name == "" {
			for _, t := range r.all {
				s := t.Spec()
				out.Operations = append(out.Operations, operationLine{s.Name, s.Family, s.Summary})
			}
			return out, nil
		}
		t := r.Lookup(name)
		if t == nil {
			return out, Bad("parameters.operation", "one of "+strings.Join(r.names, ", "), name)
		}
		out.Operation = page(t)
		return out, nil
	})
}

func page(t Tool) *operationPage {
	s := t.Spec()
	p := &operationPage{
		operationLine: operationLine{s.Name, s.Family, s.Summary}, Title: s.Title, Scope: s.Scope, Lane: s.Lane.String(),
		Method: s.Method, Source: s.Source, Parameters: t.InputSchema(), Result: t.OutputSchema(),
	}
	for _, e := range s.Examples {
		p.Examples = append(p.Examples, exampleCall{Title: e.Title, Arguments: json.RawMessage(e.Arguments)})
	}
	return p
}
