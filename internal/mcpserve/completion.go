package mcpserve

import (
	"context"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
)

// maxValues is how many values a completion has at most.
const maxValues = 100

type completeResult struct {
	Completion completion `json:"completion"`
}

type completion struct {
	Values  []string `json:"values"`
	Total   int      `json:"total"`
	HasMore bool     `json:"hasMore"`
}

// complete completes an argument of a prompt or a variable of a template.
// Sessions and what is in them are only ever the caller's own: there is nothing to
// complete in anybody else's, as in one that is not there.
func (s *Server) complete(ctx context.Context, q *query) (*completeResult, error) {
	ref, argument := q.m.param("ref"), q.m.param("argument")
	if !isString(memberOf(ref, "type")) || !isString(memberOf(argument, "name")) || !isString(memberOf(argument, "value")) {
		return nil, badParams("params needs ref.type, argument.name and argument.value, all strings")
	}
	known, err := textMembers(memberOf(q.m.param("context"), "arguments"), "params.context.arguments")
	if err != nil {
		return nil, err
	}
	name, value := jsonscan.String(memberOf(argument, "name")), jsonscan.String(memberOf(argument, "value"))
	var all []string
	switch jsonscan.String(memberOf(ref, "type")) {
	case "ref/prompt":
		all, err = s.completePrompt(q, jsonscan.String(memberOf(ref, "name")), name, known)
	case "ref/resource":
		all, err = s.completeTemplate(ctx, q, jsonscan.String(memberOf(ref, "uri")), name, known)
	default:
		err = badParams(`params.ref.type must be "ref/prompt" or "ref/resource"`)
	}
	if err != nil {
		return nil, err
	}
	return &completeResult{match(all, value)}, nil
}

// match ranks the values that begin with what was typed before those that hold it
// elsewhere, and keeps their order otherwise. Upper and lower case are one.
func match(all []string, typed string) completion {
	typed = strings.ToLower(typed)
	first, then := []string{}, []string{}
	for _, v := range all {
		switch i := strings.Index(strings.ToLower(v), typed); {
		case i == 0:
			first = append(first, v)
		case i > 0:
			then = append(then, v)
		}
	}
	found := append(first, then...)
	n := min(len(found), maxValues)
	return completion{Values: found[:n:n], Total: len(found), HasMore: n < len(found)}
}

func (s *Server) completePrompt(q *query, prompt, argument string, known map[string]string) ([]string, error) {
	f := s.prompt(prompt)
	if f == nil && s.More.prompt(prompt) != nil {
		return nil, nil // its arguments are free text
	}
	if f == nil {
		return nil, badParams("unknown prompt")
	}
	i := slices.IndexFunc(f.args, func(a promptArgument) bool { return a.Name == argument })
	switch {
	case i < 0:
		return nil, badParams("the prompt has no such argument")
	case argument == argSession:
		return s.ownSessions(q), nil
	case i < 3:
		return f.args[i].values, nil
	}
	// An enumeration: of the operation that is chosen already, if one is.
	for _, t := range f.tools {
		if t.Spec().Name != known[argOperation] {
			continue
		}
		choices, err := choicesOf(t)
		if err != nil {
			return nil, err
		}
		for _, c := range choices {
			if c.Name == argument {
				return c.values, nil
			}
		}
		return nil, nil
	}
	return f.args[i].values, nil
}

func (s *Server) completeTemplate(ctx context.Context, q *query, template, variable string, known map[string]string) ([]string, error) {
	if !slices.ContainsFunc(templates, func(t templateEntry) bool { return t.Template == template }) {
		return nil, badParams("unknown resource template")
	}
	if !strings.Contains(template, "{"+variable+"}") {
		return nil, badParams("the template has no such variable")
	}
	switch variable {
	case "name":
		return s.Registry.Names(), nil
	case "sessionId":
		return s.ownSessions(q), nil
	case "slot":
		names, err := s.ownSlots(ctx, q, session.ID(known["sessionId"]))
		if template != uriTemplates[uriSlot] { // views
			names = slices.DeleteFunc(names, func(n string) bool { return s.drawer(n) == nil })
		}
		return names, err
	case "format":
		return viewForms, nil
	default: // cursors are told by the page before
		return nil, nil
	}
}

// ownSessions returns the ids of the caller's sessions, newest first, then of those
// that were granted to it.
func (s *Server) ownSessions(q *query) []string {
	if !policy.Allows(q.in.principal, policy.Reason) {
		return nil
	}
	var ids []string
	for _, i := range s.Sessions.List(q.in.owner) {
		ids = append(ids, string(i.ID))
	}
	for _, i := range s.Sessions.Granted(q.in.owner) {
		ids = append(ids, string(i.ID))
	}
	return ids
}

// ownSlots returns the names of the objects in one of the caller's sessions.
func (s *Server) ownSlots(ctx context.Context, q *query, id session.ID) ([]string, error) {
	if id == "" || !policy.Allows(q.in.principal, policy.Reason) {
		return nil, nil
	}
	h, err := s.Sessions.Acquire(ctx, q.in.owner, id)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer h.Release()
	h.Look()
	snapshot, err := h.Snapshot()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(snapshot.Cells))
	for _, c := range snapshot.Cells {
		names = append(names, c.Name)
	}
	return names, nil
}
