package mcpserve

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"

	"github.com/lyceum-mcp/lyceum/tools"
)

// toolEntry is a tool as tools/list shows it.
type toolEntry struct {
	Name         string          `json:"name"`
	Title        string          `json:"title,omitempty"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  *tools.Hints    `json:"annotations,omitempty"`
}

type toolList struct {
	Tools json.RawMessage `json:"tools"`
}

// toolLists are the lists of tools as they are sent, one for all revisions that
// show the same members. Each is written when it is first asked for.
type toolLists struct {
	mu   sync.Mutex
	kept map[toolMembers]json.RawMessage
}

// toolMembers are the members of a tool that a revision has.
type toolMembers struct{ titled, annotated bool }

// listTools lists the tools by name, on one page. Neither who asks nor what was
// called before changes the list, so a host may keep it in its prompt. Members that
// came with a later revision are left out.
func (s *Server) listTools(q *query) (*toolList, error) {
	if err := s.whole(q); err != nil {
		return nil, err
	}
	l := &s.fixed.tools
	has := toolMembers{titled: q.titled(), annotated: q.in.client.Revision != rev2024}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kept[has] == nil {
		all, err := encodeJSON(s.toolEntries(has))
		if err != nil {
			return nil, err
		}
		if l.kept == nil {
			l.kept = map[toolMembers]json.RawMessage{}
		}
		l.kept[has] = all
	}
	return &toolList{l.kept[has]}, nil
}

func (s *Server) toolEntries(has toolMembers) []toolEntry {
	out := make([]toolEntry, 0, len(s.direct))
	for _, name := range slices.Sorted(maps.Keys(s.direct)) {
		d := s.direct[name]
		e := toolEntry{Name: name}
		var hints tools.Hints
		if f := d.facade; f != nil {
			e.Title, e.Description, e.InputSchema, e.OutputSchema, hints = f.Title(), f.Description(), f.InputSchema(), f.OutputSchema(), f.Hints()
		} else {
			spec := d.tool.Spec()
			e.Title, e.Description, e.InputSchema, hints = spec.Title, spec.Summary, d.tool.InputSchema(), spec.Hints()
		}
		if !has.titled { // output schemas came with titles
			e.Title, e.OutputSchema = "", nil
		}
		if has.annotated {
			e.Annotations = &hints
		}
		out = append(out, e)
	}
	return out
}
