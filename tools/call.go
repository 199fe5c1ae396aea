package tools

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"reflect"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/reason/budget"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

// Basis says where the numbers of a result come from.
type Basis string

// The bases.
const (
	Computed       Basis = "computed"        // by the named method, from what the client gave
	ClientSupplied Basis = "client_supplied" // stored and given back
	Template       Basis = "template"        // a fixed text that is the same for everybody
)

const (
	maxWarnings = 64
	maxNext     = 8
)

// Next is a follow-up call with its arguments ready to send.
type Next struct {
	Operation  string         `json:"operation"`
	Why        string         `json:"why"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// Common are the parameters that every operation understands.
type Common struct {
	Seed      *uint64 `json:"seed" doc:"Seed of every random choice; the same seed gives the same result. Omitted: a random one, reported back."`
	MaxMillis *int64  `json:"maxMillis" doc:"Stop after this many milliseconds of running and return the best so far." min:"1"`
	MaxSteps  *int64  `json:"maxSteps" doc:"Stop after this many elementary steps and return the best so far." min:"1"`
	MaxNodes  *int64  `json:"maxNodes" doc:"Keep at most this many nodes in memory." min:"1"`
}

var commonPlan = planFor(reflect.TypeFor[Common]())

// Call is one call of a tool: who calls, what state it has, what it may use,
// and what it has to say besides its result. It belongs to the goroutine that
// runs the tool.
type Call struct {
	Principal *identity.Principal
	Session   *session.Handle // nil for a Stateless tool
	Prompt    string          // the facade's "prompt"
	Context   string          // the facade's "context"

	// Limits are the server's ceilings; a request may only ask for less.
	Limits budget.Limits
	// Ticket is the turn on the CPU; nil when the tool runs inline.
	Ticket *work.Ticket
	// Durable is the call's life beyond its request; nil when it has none.
	Durable Durable
	// Line leads back to the client; nil when there is none. See Ask.
	Line Line
	// OnProgress, which may be nil, gets every report of progress.
	OnProgress func(done, total float64, message string)
	// SeedHint is the facade's "seed"; a seed among the parameters wins.
	SeedHint *uint64

	seed     *uint64
	meter    *budget.Meter
	basis    Basis
	method   string
	source   string
	warnings []Warning
	next     []Next
	resource string
	objects  int // ids made by ObjectID
}

// Seed returns the seed of this call. It is random, and reported, when the
// client gave none.
func (c *Call) Seed() uint64 {
	if c.seed == nil {
		c.seed = c.SeedHint
	}
	if c.seed == nil {
		var b [8]byte
		_, _ = rand.Read(b[:]) // crypto/rand.Read never fails
		// Below 2^53, so that a client whose numbers are floats can send it back.
		c.seed = new(binary.LittleEndian.Uint64(b[:]) >> 11)
	}
	return *c.seed
}

// Meter returns the call's budget, made on first use. It gives the CPU to other
// callers at the end of each quantum.
func (c *Call) Meter(ctx context.Context) *budget.Meter {
	if c.meter == nil {
		c.meter = budget.New(ctx, c.Limits, c.Ticket.Yield)
	}
	return c.meter
}

// Progress reports that done of total is finished; total 0 means unknown.
func (c *Call) Progress(done, total float64, message string) {
	if c.OnProgress != nil {
		c.OnProgress(done, total, message)
	}
}

// Warn adds a warning to the result.
func (c *Call) Warn(code, format string, args ...any) {
	if len(c.warnings) < maxWarnings {
		c.warnings = append(c.warnings, Warning{Code: code, Message: fmt.Sprintf(format, args...)})
	}
}

// Next proposes a follow-up call.
func (c *Call) Next(operation, why string, parameters map[string]any) {
	if len(c.next) < maxNext {
		c.next = append(c.next, Next{Operation: operation, Why: why, Parameters: parameters})
	}
}

// Basis sets where the result's numbers come from; Computed if never called.
func (c *Call) Basis(b Basis) { c.basis = b }

// Method sets the method of the result and its source (author, year).
func (c *Call) Method(method, source string) { c.method, c.source = method, source }

// Resource names the resource that holds the whole of a result that was cut.
func (c *Call) Resource(uri string) { c.resource = uri }

// apply takes the common parameters of the request, lowered to the ceilings.
func (c *Call) apply(in Common) {
	if in.Seed != nil {
		c.seed = in.Seed
	}
	if in.MaxMillis != nil {
		asked := time.Duration(min(*in.MaxMillis, int64(24*time.Hour/time.Millisecond))) * time.Millisecond
		if c.Limits.Time > 0 && asked > c.Limits.Time {
			c.Warn("limit_lowered", "maxMillis %d is above the server's limit of %d", *in.MaxMillis, c.Limits.Time.Milliseconds())
		} else {
			c.Limits.Time = asked
		}
	}
	c.lower("maxSteps", &c.Limits.Steps, in.MaxSteps)
	c.lower("maxNodes", &c.Limits.Nodes, in.MaxNodes)
}

func (c *Call) lower(name string, limit, asked *int64) {
	switch {
	case asked == nil:
	case *limit > 0 && *asked > *limit:
		c.Warn("limit_lowered", "%s %d is above the server's limit of %d", name, *asked, *limit)
	default:
		*limit = *asked
	}
}
