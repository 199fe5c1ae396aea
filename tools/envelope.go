package tools

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
)

// Envelope is the result of every tool: as structured content, and as the same
// JSON in a text block, because some hosts show a model only the one and some
// only the other.
type Envelope struct {
	Operation     string          `json:"operation"`
	ToolOperation string          `json:"toolOperation"` // the same value, for clients of the ancestor
	SessionID     string          `json:"sessionId,omitempty"`
	Version       *uint64         `json:"version,omitempty"` // of the session's state, for expectedVersion
	ExpiresAt     *time.Time      `json:"expiresAt,omitempty"`
	Result        json.RawMessage `json:"result,omitempty"`
	Error         *Failure        `json:"error,omitempty"`
	Basis         Basis           `json:"basis,omitempty"`
	Method        string          `json:"method,omitempty"`
	Source        string          `json:"source,omitempty"`
	Seed          *uint64         `json:"seed,omitempty"`
	Budget        *Budget         `json:"budget,omitempty"`
	Warnings      []Warning       `json:"warnings,omitempty"`
	Next          []Next          `json:"next,omitempty"`
	Resource      string          `json:"resource,omitempty"`

	flat bool // see Spec.Flat
}

// Budget says what a computation used, what it was allowed, and which limit
// stopped it, if any.
type Budget struct {
	Used  Amounts `json:"used"`
	Limit Amounts `json:"limit"`
	Hit   string  `json:"hit,omitempty"` // maxMillis, maxSteps or maxNodes; absent: it ran to its end
}

// Amounts are quantities of a budget. Milliseconds are of running, not waiting.
type Amounts struct {
	Millis float64 `json:"millis,omitempty"`
	Steps  int64   `json:"steps,omitempty"`
	Nodes  int64   `json:"nodes,omitempty"`
}

// Failure is the machine-readable half of a result with isError. It holds all
// that a model needs to repair its call.
type Failure struct {
	Code         string          `json:"code"`
	Message      string          `json:"message"`
	Issues       []Issue         `json:"issues,omitempty"`
	Example      json.RawMessage `json:"example,omitempty"` // minimal valid arguments
	Recover      string          `json:"recover,omitempty"` // the tool that gets the caller going again
	RetryAfterMS int64           `json:"retryAfterMs,omitempty"`
}

// Envelope returns the envelope of a finished call: of result when err is nil,
// else of err. It never fails; a failure that nobody classified is "internal".
func (c *Call) Envelope(s *Spec, result json.RawMessage, err error) *Envelope {
	e := &Envelope{Operation: s.Name, ToolOperation: s.Name, Warnings: c.warnings}
	if err != nil {
		e.Error = failure(s, err)
		return e
	}
	if h := c.Session; h != nil {
		e.SessionID, e.Version = string(h.ID()), new(h.Version())
		e.ExpiresAt = new(h.Expires().UTC().Truncate(time.Second))
	}
	e.Result, e.Next, e.Resource, e.flat = result, c.next, c.resource, s.Flat
	e.Basis, e.Method, e.Source = c.basis, c.method, c.source
	if e.Basis == "" {
		e.Basis = Computed
	}
	if e.Method == "" {
		e.Method, e.Source = s.Method, s.Source
	}
	e.Seed = c.seed
	if m := c.meter; m != nil {
		e.Budget = spent(m)
	}
	return e
}

func spent(m *budget.Meter) *Budget {
	steps, nodes := m.Used()
	l := m.Limits()
	return &Budget{
		Used:  Amounts{Millis: float64(m.Elapsed().Microseconds()) / 1000, Steps: steps, Nodes: nodes},
		Limit: Amounts{Millis: float64(l.Time.Milliseconds()), Steps: l.Steps, Nodes: l.Nodes},
		Hit:   string(m.Hit()),
	}
}

func failure(s *Spec, err error) *Failure {
	if bad, ok := errors.AsType[*BadArguments](err); ok {
		f := &Failure{Code: bad.Code, Message: bad.Error(), Issues: bad.Issues}
		if f.Code == "" {
			f.Code = "invalid_arguments"
		}
		if len(s.Examples) > 0 {
			f.Example = json.RawMessage(s.Examples[0].Arguments)
		}
		return f
	}
	e := fault.From(err)
	f := &Failure{Code: e.MachineCode(), Message: e.Public, RetryAfterMS: e.RetryAfter.Milliseconds()}
	if f.Code == "session_unavailable" {
		f.Recover = "session_create"
	}
	return f
}

// Encode writes the envelope as compact JSON without HTML escapes.
func (e *Envelope) Encode() ([]byte, error) {
	if n := len(e.Result); e.flat && n > len("{}") && e.Result[0] == '{' {
		rest := *e
		rest.flat, rest.Result = false, nil
		b, err := rest.Encode()
		if err != nil {
			return nil, err
		}
		return slices.Concat(e.Result[:n-1], []byte{','}, b[1:]), nil
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
