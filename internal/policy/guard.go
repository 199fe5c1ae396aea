package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// Bounds of guards.
const (
	maxSource    = 4096     // characters of one
	maxNodes     = 1000     // of its tree, macros expanded
	maxDepth     = 50       // of its tree
	maxNesting   = 2        // of comprehensions, such as all and exists
	maxRegex     = 100      // instructions of a regular expression
	maxParams    = 64 << 10 // bytes of parameters that a guard can look at
	maxCost      = 100_000  // of one evaluation, in the units of CEL: some milliseconds
	interruptsAt = 100      // steps of a comprehension between two looks at the context
)

// Variables are what a guard may look at, by name, with their types.
func Variables() map[string]string {
	return map[string]string{
		"operation": "string", "family": "string", "tenant": "string", "subject": "string", "clientId": "string",
		"scopes": "list(string)", "params": "dyn", "now": "timestamp",
	}
}

// environment is what guards are compiled in. It costs milliseconds to make and
// nothing to share.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	text := func(name string) cel.EnvOption { return cel.Variable(name, cel.StringType) }
	return cel.NewEnv(
		text("operation"), text("family"), text("tenant"), text("subject"), text("clientId"),
		cel.Variable("scopes", cel.ListType(cel.StringType)), cel.Variable("params", cel.DynType), cel.Variable("now", cel.TimestampType),
		cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(maxSource), cel.ExpressionNodeLimit(maxNodes), cel.ParserRecursionLimit(maxDepth), cel.RegexProgramSizeLimit(maxRegex),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting)),
	)
})

// GuardError says where a guard's source is wrong.
type GuardError struct {
	Guard        string // its name
	Line, Column int    // from 1; 0 is the whole
	Text         string
}

// Error returns the place and what is wrong there.
func (e *GuardError) Error() string {
	if e.Line == 0 {
		return "guard " + e.Guard + ": " + e.Text
	}
	return fmt.Sprintf("guard %s, line %d, column %d: %s", e.Guard, e.Line, e.Column, e.Text)
}

// CheckGuard returns what is wrong with g, or nil. It costs about 0.1 ms.
func CheckGuard(g Guard) *GuardError {
	_, err := compileGuard(g)
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*GuardError](err); ok {
		return e
	}
	return &GuardError{Guard: g.Name, Text: err.Error()}
}

// guard is one that was compiled.
type guard struct {
	name, message string
	program       cel.Program
}

func compileGuard(g Guard) (*guard, error) {
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("policy: the environment of guards: %w", err)
	}
	ast, issues := env.Compile(g.When)
	if issues.Err() != nil {
		first := issues.Errors()[0]
		return nil, &GuardError{Guard: g.Name, Line: max(first.Location.Line(), 1), Column: max(first.Location.Column()+1, 1), Text: first.Message}
	}
	if t := ast.OutputType(); t != cel.BoolType {
		return nil, &GuardError{Guard: g.Name, Line: 1, Column: 1, Text: fmt.Sprintf("is of type %s, not bool: compare it with something", t)}
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.InterruptCheckFrequency(interruptsAt))
	if err != nil {
		return nil, &GuardError{Guard: g.Name, Text: err.Error()}
	}
	return &guard{name: g.Name, message: g.Message, program: program}, nil
}

// deny evaluates the guard.
func (g *guard) deny(ctx context.Context, f *facts) (bool, error) {
	out, _, err := g.program.ContextEval(ctx, f)
	if err != nil {
		return false, err
	}
	b, ok := out.(types.Bool)
	if !ok {
		return false, errors.New("no such overload: not a bool")
	}
	return bool(b), nil
}

// facts are the variables of one decision. They are worked out when a guard asks
// for them, once. It is a cel.Activation and belongs to one goroutine.
type facts struct {
	who *identity.Principal
	op  Operation
	now time.Time

	read   bool // params is known
	params any
	unread error // why the arguments cannot be read
}

// ResolveName implements cel.Activation.
func (f *facts) ResolveName(name string) (any, bool) {
	switch name {
	case "operation":
		return f.op.Name, true
	case "family":
		return f.op.Family, true
	case "tenant":
		return f.who.Tenant, true
	case "subject":
		return f.who.Subject, true
	case "clientId":
		return f.who.ClientID, true
	case "scopes":
		return f.who.Scopes, true
	case "now":
		return f.now, true
	case "params":
		if !f.read {
			f.params, f.read = f.readParams(), true
		}
		return f.params, true
	}
	return nil, false
}

// Parent implements cel.Activation.
func (f *facts) Parent() cel.Activation { return nil }

var errTooLarge = fmt.Errorf("the parameters have more than %d bytes, which no guard looks at", maxParams)

// readParams returns the parameters, or a CEL error. No parameters are an empty
// object.
func (f *facts) readParams() any {
	if f.op.Arguments == nil {
		return map[string]any{}
	}
	raw, err := f.op.Arguments.Parameters()
	if err != nil {
		f.unread = err
		return types.WrapErr(err)
	}
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) == 0 || string(raw) == "null":
		return map[string]any{}
	case len(raw) > maxParams:
		return types.WrapErr(errTooLarge)
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		return types.WrapErr(errors.New("the parameters are not JSON"))
	}
	return v
}

// reasons are what a guard's failure can be called in a log: CEL's own texts may
// quote what the caller sent.
var reasons = []struct{ part, text string }{
	{"no such key", "the parameters lack a key that it reads: ask has() first"},
	{"no such overload", "a parameter is of another type than it expects"},
	{"no such attribute", "the parameters lack something that it reads"},
	{"cost limit", "it takes too long for these parameters"},
	{"interrupted", "the call ended meanwhile"},
	{errTooLarge.Error(), errTooLarge.Error()},
	{"not JSON", "the parameters are not JSON"},
}

func reason(err error) string {
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.part) {
			return r.text
		}
	}
	return "its expression failed"
}
