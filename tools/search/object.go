package search

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/reason/problem"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxObjects bounds the objects of one kind in one session. Calls that start one
// at the same moment may exceed it by their number.
const maxObjects = 50

// shelf is where one kind of object lies in a session, each under its own id.
type shelf[T any] struct {
	operation string // that works on them
	parameter string // that holds the id
	noun      string
	prefix    string // of the ids
	slot      session.Slot[T]
	empty     func(*T) bool // of a value that was never stored
}

func (s *shelf[T]) slotType() session.SlotType { return s.slot.Type().Keyed(s.prefix, maxObjects) }

// create stores what build makes under a new id, which build gets, and returns
// the id. What an attempt of the same call before this one has stored stays.
func (s *shelf[T]) create(ctx context.Context, c *tools.Call, build func(id string) (*T, error)) (string, error) {
	if n := len(c.Session.Keys(s.slot.Name())); n >= maxObjects {
		return "", &fault.Error{
			Kind: fault.TooLarge, Code: "too_many_objects",
			Public: fmt.Sprintf("this session keeps %d objects of %s, the most it may: delete one (action delete with its %s)", n, s.operation, s.parameter),
		}
	}
	id := c.ObjectID(s.prefix)
	v, err := build(id)
	if err != nil {
		return "", err
	}
	return id, s.slot.Key(id).Update(ctx, c.Session, func(stored *T) error {
		if s.empty(stored) {
			*stored = *v
		}
		return nil
	})
}

// named refuses a call that names no object.
func (s *shelf[T]) named(id string) error {
	if id == "" {
		return tools.Bad("parameters."+s.parameter, fmt.Sprintf("the id of a %s in this session, as action start returned it", s.noun), "nothing")
	}
	return nil
}

func (s *shelf[T]) unknown(id string) error {
	return tools.Bad("parameters."+s.parameter, fmt.Sprintf("the id of a %s in this session; action list shows them", s.noun), id)
}

// update changes an object. The error of fn becomes bad arguments where it says
// what is wrong with them.
func (s *shelf[T]) update(ctx context.Context, c *tools.Call, id string, fn func(*T) error) error {
	return flaws(s.slot.Key(id).Update(ctx, c.Session, func(v *T) error {
		if s.empty(v) {
			return s.unknown(id)
		}
		return fn(v)
	}), inParameters)
}

// read returns a copy of an object.
func (s *shelf[T]) read(c *tools.Call, id string) (*T, error) {
	v, ok, err := s.slot.Key(id).Read(c.Session)
	if err == nil && !ok {
		err = s.unknown(id)
	}
	return &v, err
}

// remove deletes an object.
func (s *shelf[T]) remove(ctx context.Context, c *tools.Call, id string) error {
	if _, err := s.read(c, id); err != nil {
		return err
	}
	return s.slot.Key(id).Delete(ctx, c.Session)
}

// each calls fn for a copy of every object, in the order of their ids.
func (s *shelf[T]) each(c *tools.Call, fn func(id string, v *T)) error {
	for _, id := range c.Session.Keys(s.slot.Name()) {
		v, ok, err := s.slot.Key(id).Read(c.Session)
		if err != nil {
			return err
		}
		if ok { // not deleted since
			fn(id, &v)
		}
	}
	return nil
}

// next proposes an action on an object; more are further parameters, each a name
// and a value.
func (s *shelf[T]) next(c *tools.Call, id, action, why string, more ...any) {
	p := map[string]any{"action": action, s.parameter: id}
	for i := 0; i+1 < len(more); i += 2 {
		p[more[i].(string)] = more[i+1]
	}
	c.Next(s.operation, why, p)
}

// inParameters names the place of a flaw in what the client sent.
func inParameters(path string) string { return "parameters." + strings.TrimPrefix(path, "tell.") }

// flaws turns what a package of internal/reason found wrong into bad arguments;
// at gives each one's path. Other errors stay as they are.
func flaws(err error, at func(path string) string) error {
	found, ok := errors.AsType[problem.Flaws](err)
	if !ok {
		return err
	}
	bad := &tools.BadArguments{}
	for _, f := range found {
		bad.Issues = append(bad.Issues, tools.Issue{Path: at(f.Path), Expected: strings.TrimSpace(f.Expected), Got: f.Problem})
	}
	return bad
}

// Tickets are the parameters by which work is handed out and taken back.
type Tickets struct {
	N       int    `json:"n" default:"1" min:"1" max:"64" doc:"ask: how many tickets."`
	Seconds int    `json:"ticketSeconds" default:"900" min:"1" max:"86400" doc:"ask: when a ticket that was not told expires."`
	Ticket  string `json:"ticket" maxLen:"128" doc:"tell, abandon: the ticket."`
}

func (in *Tickets) ttl() time.Duration { return time.Duration(in.Seconds) * time.Second }

func (in *Tickets) named() error {
	if in.Ticket == "" {
		return tools.Bad("parameters.ticket", "a ticket that action ask returned", "nothing")
	}
	return nil
}

// Drawing are the parameters of action export.
type Drawing struct {
	Format string `json:"format" enum:"json|mermaid|dot|svg" default:"mermaid" doc:"export: the form."`
	Limit  int    `json:"limit" default:"200" min:"1" max:"1000" doc:"export: draw at most this many nodes."`
}

// Export is an object in another form.
type Export struct {
	Format  string         `json:"format"`
	Content string         `json:"content"`
	Omitted *graph.Omitted `json:"omitted,omitempty"` // what the drawing leaves out
}

// export returns v in the form that was asked for.
func (in *Drawing) export(c *tools.Call, v interface{ Graph() graph.Graph }) (*Export, error) {
	c.Basis(tools.ClientSupplied)
	if in.Format == "json" {
		text, err := json.Marshal(v)
		return &Export{Format: in.Format, Content: string(text)}, err
	}
	text, left, err := v.Graph().Draw(graph.Format(in.Format), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &Export{Format: in.Format, Content: text}
	if left != (graph.Omitted{}) {
		out.Omitted = &left
		c.Warn("drawn_in_part", "%d nodes and %d edges were left out: raise limit, or take format json", left.Nodes, left.Edges)
	}
	return out, nil
}

// Chain are parameters of the ancestor that belong to sequential_thinking.
type Chain struct {
	CreateNotebook    json.RawMessage `json:"createNotebook" doc:"Old parameter: no notebook is made."`
	ThoughtNumber     json.RawMessage `json:"thoughtNumber" doc:"Old parameter, of sequential_thinking."`
	TotalThoughts     json.RawMessage `json:"totalThoughts" doc:"Old parameter, of sequential_thinking."`
	NextThoughtNeeded json.RawMessage `json:"nextThoughtNeeded" doc:"Old parameter, of sequential_thinking."`
	NeedsMoreThoughts json.RawMessage `json:"needsMoreThoughts" doc:"Old parameter, of sequential_thinking."`
}

func (in *Chain) legacy(c *tools.Call) {
	if string(in.CreateNotebook) == "true" {
		obsolete(c, "createNotebook", "no notebook is made; the object itself can be exported")
	}
	var given []string
	for _, p := range []struct {
		name string
		raw  json.RawMessage
	}{{"thoughtNumber", in.ThoughtNumber}, {"totalThoughts", in.TotalThoughts}, {"nextThoughtNeeded", in.NextThoughtNeeded}, {"needsMoreThoughts", in.NeedsMoreThoughts}} {
		if len(p.raw) > 0 {
			given = append(given, p.name)
		}
	}
	if len(given) > 0 {
		c.Warn("obsolete_parameter", "%s: ignored; thoughts are recorded by sequential_thinking", strings.Join(given, ", "))
	}
}

// obsolete says that an old parameter was ignored, and why.
func obsolete(c *tools.Call, name, why string) {
	c.Warn("obsolete_parameter", "parameters.%s was ignored: %s", name, why)
}

// result warns about an old parameter that is a result now, if it was given.
func result(c *tools.Call, name string, raw json.RawMessage) {
	if len(raw) > 0 && !slices.Contains([]string{"null", "[]", "{}", `""`}, string(raw)) {
		obsolete(c, name, "it is a result")
	}
}

// bare says that a call of an old client has been taken as far as it goes.
func bare(c *tools.Call, what string) {
	c.Basis(tools.Template)
	c.Warn("nothing_computed", "the prompt alone says nothing that could be computed: %s; the calls in next are ready to be filled in", what)
}

// quote returns a text in quotes, shortened.
func quote(text string) string {
	const most = 60
	r := []rune(text)
	if len(r) > most {
		r = append(r[:most-1:most-1], '…')
	}
	return fmt.Sprintf("%q", string(r))
}

// texted reads a value that is a text, or an object that fits v. It reports
// whether it was a text.
func texted(raw json.RawMessage, v any) (text string, is bool, err error) {
	if json.Unmarshal(raw, &text) == nil {
		return text, true, nil
	}
	if len(raw) == 0 || raw[0] != '{' {
		return "", false, errors.New("neither a text nor an object")
	}
	return "", false, json.Unmarshal(raw, v)
}
