package mcpserve

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// Bounds of prompts.
const (
	maxTask    = 8000 // bytes of the argument "task"
	maxChoices = 8    // arguments that a family's enumerations become
)

// family is the prompt of a family of operations.
type family struct {
	name  string
	tool  string // what calls the operations
	tools []tools.Tool
	args  []promptArgument
}

type promptArgument struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"required,omitempty"`

	values []string // that it may have; nil: any text
	of     []string // the operations whose parameter it is; nil: it is the prompt's own
}

type promptEntry struct {
	Name        string           `json:"name"`
	Title       string           `json:"title,omitempty"`
	Description string           `json:"description"`
	Arguments   []promptArgument `json:"arguments"`
}

type promptList struct {
	Prompts []promptEntry `json:"prompts"`
}

type promptResult struct {
	Description string          `json:"description"`
	Messages    []promptMessage `json:"messages"`
}

type promptMessage struct {
	Role    string      `json:"role"`
	Content textContent `json:"content"`
}

type textContent struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// Names of the arguments that every prompt has.
const (
	argTask      = "task"
	argOperation = "operation"
	argSession   = "sessionId"
)

// newFamilies groups the operations of r in the order in which their families
// first appear.
func newFamilies(r *tools.Registry, surface string) ([]*family, error) {
	var out []*family
	for _, t := range r.All() {
		name := t.Spec().Family
		i := slices.IndexFunc(out, func(f *family) bool { return f.name == name })
		if i < 0 {
			f := &family{name: name, tool: tools.FacadeName}
			if surface == "families" {
				f.tool = "lyceum_" + name
			}
			i, out = len(out), append(out, f)
		}
		out[i].tools = append(out[i].tools, t)
	}
	for _, f := range out {
		if err := f.describe(); err != nil {
			return nil, fmt.Errorf("the prompt of family %s: %w", f.name, err)
		}
	}
	return out, nil
}

// describe makes the arguments: the task, the operation, the session, and the
// enumerations that the operations have as parameters.
func (f *family) describe() error {
	var names []string
	for _, t := range f.tools {
		names = append(names, t.Spec().Name)
	}
	f.args = []promptArgument{
		{Name: argTask, Description: "What is to be found out, in words, with the facts that are known.", Required: true},
		{Name: argOperation, Description: "The operation to use; without it the text says when to use which.", values: names},
		{Name: argSession, Description: "One of your sessions, to go on where it ended."},
	}
	for _, t := range f.tools {
		choices, err := choicesOf(t)
		if err != nil {
			return err
		}
		for _, c := range choices {
			i := slices.IndexFunc(f.args, func(a promptArgument) bool { return a.Name == c.Name })
			switch {
			case i < 0 && len(f.args) < 3+maxChoices:
				c.values = slices.Clone(c.values)
				f.args = append(f.args, c)
			case i >= 3:
				f.args[i].of = append(f.args[i].of, c.of...)
				for _, v := range c.values {
					if !slices.Contains(f.args[i].values, v) {
						f.args[i].values = append(f.args[i].values, v)
					}
				}
			}
		}
	}
	for i := range f.args[3:] {
		a := &f.args[3+i]
		a.Description = strings.TrimSpace(fmt.Sprintf("parameters.%s of %s: one of %s. %s",
			a.Name, strings.Join(a.of, ", "), strings.Join(a.values, ", "), a.Description))
	}
	return nil
}

// choicesOf returns the parameters of an operation that are enumerations, in the
// order of its schema.
func choicesOf(t tools.Tool) ([]promptArgument, error) {
	var out []promptArgument
	for name, value := range jsonscan.Members(memberOf(t.InputSchema(), "properties")) {
		var p property
		if err := json.Unmarshal(value, &p); err != nil {
			return nil, err
		}
		if len(p.Enum) > 0 {
			out = append(out, promptArgument{Name: string(name), Description: p.Description, values: p.Enum, of: []string{t.Spec().Name}})
		}
	}
	return out, nil
}

func (f *family) entry() promptEntry {
	var names []string
	for _, t := range f.tools {
		names = append(names, t.Spec().Name)
	}
	return promptEntry{
		Name: f.name, Title: "Lyceum: " + f.name, Arguments: f.args,
		Description: "Work on a task with the operations of the family " + f.name + ": " + strings.Join(names, ", ") + ".",
	}
}

func (s *Server) listPrompts(q *query) (*promptList, error) {
	if err := s.whole(q); err != nil {
		return nil, err
	}
	out := &promptList{Prompts: []promptEntry{}}
	for _, f := range s.families {
		e := f.entry()
		if !q.titled() {
			e.Title = ""
		}
		out.Prompts = append(out.Prompts, e)
	}
	out.Prompts = append(out.Prompts, s.More.promptEntries()...)
	return out, nil
}

// prompt returns the family of that name, or nil.
func (s *Server) prompt(name string) *family {
	i := slices.IndexFunc(s.families, func(f *family) bool { return f.name == name })
	if i < 0 {
		return nil
	}
	return s.families[i]
}

func (s *Server) getPrompt(q *query) (*promptResult, error) {
	f := s.prompt(q.m.name)
	if f == nil {
		return nil, badParams("unknown prompt")
	}
	q.in.client.Target = f.name
	given, err := textMembers(q.m.param("arguments"), "params.arguments")
	if err != nil {
		return nil, err
	}
	if err := f.check(given); err != nil {
		return nil, err
	}
	if id := given[argSession]; id != "" && !s.owns(q.in.owner, session.ID(id)) {
		return nil, badParams("params.arguments.sessionId: Session not found or expired. Leave it out to begin a new one.")
	}
	text, err := f.text(given)
	if err != nil {
		return nil, err
	}
	return &promptResult{f.entry().Description, []promptMessage{{"user", textContent{"text", text}}}}, nil
}

// owns reports whether a session is one of the owner's. It is no use of it.
func (s *Server) owns(o session.Owner, id session.ID) bool {
	return slices.ContainsFunc(s.Sessions.List(o), func(i session.Info) bool { return i.ID == id })
}

// textMembers reads an object whose members are texts.
func textMembers(raw json.RawMessage, where string) (map[string]string, error) {
	out := map[string]string{}
	if raw == nil {
		return out, nil
	}
	if !jsonscan.IsObject(raw) {
		return nil, badParams(where + " must be an object")
	}
	for key, value := range jsonscan.Members(raw) {
		if !isString(value) {
			return nil, badParams(fmt.Sprintf("%s.%.64s must be a string", where, key))
		}
		out[string(key)] = jsonscan.String(value)
	}
	return out, nil
}

// check refuses arguments that the prompt does not have, lacks, or that have a
// value which they may not have.
func (f *family) check(given map[string]string) error {
	for _, a := range f.args {
		v, there := given[a.Name]
		switch {
		case a.Required && v == "":
			return badParams("params.arguments." + a.Name + " is required: " + a.Description)
		case there && a.values != nil && !slices.Contains(a.values, v):
			return badParams("params.arguments." + a.Name + " must be one of " + strings.Join(a.values, ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(f.args, func(a promptArgument) bool { return a.Name == name }) {
			return badParams(fmt.Sprintf("params.arguments.%.64s is not an argument of this prompt", name))
		}
	}
	if len(given[argTask]) > maxTask {
		return badParams(fmt.Sprintf("params.arguments.task has %d bytes; the limit is %d", len(given[argTask]), maxTask))
	}
	return nil
}
