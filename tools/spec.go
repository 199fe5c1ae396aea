package tools

import (
	"context"
	"encoding/json"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
)

// Effect says what a tool does to the caller's session. It becomes the tool
// annotations that hosts use to decide whether to ask the user.
type Effect uint8

// The effects.
const (
	ReadOnly Effect = iota // computes or reads; changes nothing
	Mutates                // adds to or changes the session's state
	Deletes                // removes something the caller stored
)

// Changed names the resource of what a call that Mutates has changed, unless the
// tool has named one itself.
func (c *Call) Changed(uri string) {
	if c.resource == "" {
		c.resource = uri
	}
}

// Spec describes a tool. Everything a client, a document or a page says about
// the tool comes from here.
type Spec struct {
	Name    string // snake_case, unique
	Family  string // the folder it lives in
	Title   string // for people
	Summary string // one sentence, at most 200 characters: what it computes

	Scope  policy.Scope // what the token must grant
	Lane   work.Lane    // work.Inline takes microseconds and never waits
	Effect Effect

	// Removes tools can also take away or replace what the caller stored, by an
	// action of theirs. What Deletes does so anyway.
	Removes bool

	// Stateless tools neither need nor mint a reasoning session. One that is not, and
	// is called by its own name, takes the session's handle as its argument sessionId.
	Stateless bool

	// Plain tools take neither a seed nor a budget: their schema does not show the
	// common parameters, which every client would pay for with each list of tools.
	Plain bool

	// Flat results are told as another server tells them: their members stand beside
	// those of the envelope, which has no "result". They must share no name.
	Flat bool

	// Asks tools may ask their client something: their deadline leaves time for
	// people to answer. See Call.Ask.
	Asks bool

	Method string // default method of the result, such as "UCT"
	Source string // where the method is from: author, year

	Examples []Example // at least one; each is executed by a test
}

// Example is a call that works as it stands.
type Example struct {
	Title     string
	Arguments string // JSON: the arguments of the facade, "operation" included
}

// Tool is an operation ready to be called.
type Tool interface {
	// Spec returns the description. It must not be changed.
	Spec() *Spec
	// InputSchema returns the JSON Schema of the parameters, an object.
	InputSchema() json.RawMessage
	// OutputSchema returns the JSON Schema of the result.
	OutputSchema() json.RawMessage
	// Invoke decodes parameters, runs the tool and returns the result as JSON.
	// A bad argument is a *BadArguments, every other failure a fault.
	Invoke(ctx context.Context, c *Call, parameters json.RawMessage) (json.RawMessage, error)
}

// Hints is what hosts are told of a tool's effect, to decide whether to ask the
// user.
type Hints struct {
	ReadOnly    bool `json:"readOnlyHint"`
	Destructive bool `json:"destructiveHint"` // not only adds
	Idempotent  bool `json:"idempotentHint"`  // the same call again changes nothing more
	OpenWorld   bool `json:"openWorldHint"`   // never: nothing outside the server is touched
}

// Hints returns what is true of every call of the tool.
func (s *Spec) Hints() Hints {
	return Hints{
		ReadOnly: s.Effect == ReadOnly, Destructive: s.Effect == Deletes || s.Removes, Idempotent: s.Effect != Mutates,
	}
}
