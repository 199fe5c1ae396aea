package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/lyceum-mcp/lyceum/tools"
)

// More is what a server offers beside the prompts and resources that come from
// its operations. It is the same for everybody who may call.
type More struct {
	Prompts   []Prompt
	Resources []Resource
}

// Prompt is one that is not the prompt of a family.
type Prompt struct {
	Name, Title, Description string
	Arguments                []PromptArgument
	// Get returns the messages for arguments, of which none that is required is
	// missing. It may ask the client something; see tools.Call.Ask.
	Get func(ctx context.Context, ask tools.Line, arguments map[string]string) ([]mcp.PromptMessage, error)
}

// PromptArgument is an argument of a Prompt.
type PromptArgument struct {
	Name, Description string
	Required          bool
}

// Resource is one that is not of ours. A URI with one {variable} is a template.
type Resource struct {
	URI, Name, Description, MIMEType string
	// Read returns the contents under the URI that was asked for.
	Read func(uri, variable string) (mcp.ResourceContents, error)
}

// native reports whether a tool makes the result of the protocol itself.
func native(t tools.Tool) bool {
	_, ok := t.(tools.Native)
	return ok
}

// nativeFailure is the result of a native tool that failed.
func nativeFailure(text string) []byte {
	return append(appendJSON([]byte(`{"content":[{"type":"text","text":`), text), `}],"isError":true}`...)
}

// sealNative is seal for a native tool.
func sealNative(c *tools.Call, spec *tools.Spec, result json.RawMessage, err error) ([]byte, error) {
	if err != nil {
		return nativeFailure(c.Envelope(spec, nil, err).Error.Message), err
	}
	return result, nil
}

// template splits the URI of a template around its variable.
func (r *Resource) template() (before, after string, ok bool) {
	before, rest, ok := strings.Cut(r.URI, "{")
	if !ok {
		return "", "", false
	}
	_, after, ok = strings.Cut(rest, "}")
	return before, after, ok
}

// at returns the resource of a URI and what its variable is there.
func (m *More) at(uri string) (r *Resource, variable string) {
	for i := range m.Resources {
		r := &m.Resources[i]
		before, after, ok := r.template()
		switch {
		case !ok && r.URI == uri:
			return r, ""
		case ok && len(uri) > len(before)+len(after) && strings.HasPrefix(uri, before) && strings.HasSuffix(uri, after):
			if v := uri[len(before) : len(uri)-len(after)]; !strings.Contains(v, "/") {
				return r, v
			}
		}
	}
	return nil, ""
}

func (m *More) prompt(name string) *Prompt {
	i := slices.IndexFunc(m.Prompts, func(p Prompt) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Prompts[i]
}

// entries are the resources as they are listed.
func (m *More) entries() (fixed []resourceEntry, templates []templateEntry) {
	for _, r := range m.Resources {
		if _, _, ok := r.template(); ok {
			templates = append(templates, templateEntry{Template: r.URI, Name: r.Name, Description: r.Description, MIMEType: r.MIMEType})
			continue
		}
		fixed = append(fixed, resourceEntry{URI: r.URI, Name: r.Name, Description: r.Description, MIMEType: r.MIMEType})
	}
	return fixed, templates
}

func (m *More) promptEntries() []promptEntry {
	var out []promptEntry
	for _, p := range m.Prompts {
		e := promptEntry{Name: p.Name, Title: p.Title, Description: p.Description, Arguments: []promptArgument{}}
		for _, a := range p.Arguments {
			e.Arguments = append(e.Arguments, promptArgument{Name: a.Name, Description: a.Description, Required: a.Required})
		}
		out = append(out, e)
	}
	return out
}

type moreContents struct {
	Contents []mcp.ResourceContents `json:"contents"`
}

type morePrompt struct {
	Description string              `json:"description"`
	Messages    []mcp.PromptMessage `json:"messages"`
}

// answeredMore serves resources/read and prompts/get of what there is more, and
// reports whether the message was about that.
func (s *Server) answeredMore(ctx context.Context, x *exchange, q *query) bool {
	var result any
	var keep *hint
	var err error
	switch q.m.method {
	case "resources/read":
		r, variable := s.More.at(q.m.uri)
		if r == nil {
			return false
		}
		var c mcp.ResourceContents
		c, err = r.Read(q.m.uri, variable)
		result, keep = moreContents{[]mcp.ResourceContents{c}}, forOne
	case "prompts/get":
		p := s.More.prompt(q.m.name)
		if p == nil {
			return false
		}
		if q.modern {
			s.answerRound(ctx, x, q, p)
			return true
		}
		result, err = s.moreMessages(ctx, q, p, s.lineOf(q.m, x, q.in.session, q.in.transport))
	default:
		return false
	}
	if err != nil {
		s.failQuery(ctx, x, q, err)
		return true
	}
	s.sendQuery(ctx, x, q, result, keep)
	return true
}

// answerRound serves a prompts/get that may end with questions.
func (s *Server) answerRound(ctx context.Context, x *exchange, q *query, p *Prompt) {
	rd, bad := s.roundOf(q.in.owner, q.m)
	if bad != nil {
		s.failQuery(ctx, x, q, bad)
		return
	}
	q.m.round = rd
	l := s.lineOf(q.m, x, "", nil)
	l.tasks = false
	result, err := s.moreMessages(ctx, q, p, l)
	if ask, ok := errors.AsType[*tools.InputRequired](err); ok {
		body, stateErr := s.inputRequired(q.in, q.m, l, ask, "", nil)
		if stateErr == nil {
			x.answer(body)
			return
		}
		err = stateErr
	}
	if need, ok := errors.AsType[*tools.Undeclared](err); ok {
		err = undeclared(need)
	}
	if err != nil {
		s.failQuery(ctx, x, q, err)
		return
	}
	s.sendQuery(ctx, x, q, result, nil)
}

func (s *Server) moreMessages(ctx context.Context, q *query, p *Prompt, l *callLine) (*morePrompt, error) {
	q.in.client.Target = p.Name
	given, err := textMembers(q.m.param("arguments"), "params.arguments")
	if err != nil {
		return nil, err
	}
	for _, a := range p.Arguments {
		if _, ok := given[a.Name]; a.Required && !ok {
			return nil, badParams("params.arguments." + a.Name + " is required: " + a.Description)
		}
	}
	messages, err := p.Get(ctx, l, given)
	if err != nil {
		return nil, err
	}
	return &morePrompt{p.Description, messages}, nil
}

// unknownResource is the answer to a URI that leads nowhere: it names what was
// asked for, and nothing else.
func unknownResource(q *query) *rpcError {
	e := &rpcError{status: 200, code: codeNoResource, message: errNoResource.Public}
	if q.modern {
		e.code = codeInvalidParams
	}
	if q.m.method == "resources/read" && q.m.uri != "" {
		e.data = map[string]string{"uri": q.m.uri}
	}
	return e
}

// isMore reports whether a URI is of a resource that there is more.
func (s *Server) isMore(uri string) bool {
	r, _ := s.More.at(uri)
	return r != nil
}

// wrapNative puts the result of a native tool into a response.
func (c *toolCall) wrapNative(result []byte) []byte {
	b := append(c.x.appendHead(make([]byte, 0, len(result)+len(c.s.meta)+64)), result...)
	if c.in.client.Revision != rev2026 {
		return append(b, '}')
	}
	return append(append(b[:len(b)-1], c.s.meta...), '}')
}
