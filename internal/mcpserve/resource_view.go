package mcpserve

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reason/graph"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// The forms in which an object that is a tree or a graph can be read.
const (
	formMermaid = string(graph.Mermaid)
	formDOT     = string(graph.DOT)
	formSVG     = string(graph.SVG)
	formGraph   = "json-graph"
)

var viewForms = []string{formMermaid, formDOT, formSVG, formGraph}

var viewTypes = map[string]string{formMermaid: mimeMermaid, formDOT: mimeDOT, formSVG: mimeSVG}

// viewPage is how many bytes of nodes and edges a page of a graph has, one part
// more at most.
const viewPage = 128 << 10

// drawer returns what shows the slot of that name, or nil.
func (s *Server) drawer(slot string) *tools.Drawer {
	base, _, _ := strings.Cut(slot, "/")
	i := slices.IndexFunc(s.Drawers, func(d tools.Drawer) bool { return d.Slot == base })
	if i < 0 {
		return nil
	}
	return &s.Drawers[i]
}

// viewBody draws one object of a session, as it was committed. That computes, so
// it waits for a turn like a call of the reader's.
func (s *Server) viewBody(ctx context.Context, q *query, h *session.Handle, u resourceURI) (body []byte, mime string, err error) {
	snapshot, err := h.Snapshot()
	if err != nil {
		return nil, "", err
	}
	d := s.drawer(u.part)
	if d == nil || cellOf(snapshot.Cells, u.part) == nil {
		return nil, "", errNoResource
	}
	p := q.in.principal
	ticket, err := s.Scheduler.Acquire(ctx, work.Claim{
		Tenant: p.Tenant, Subject: p.Issuer + "\x00" + p.Subject, Session: string(h.ID()), Lane: work.Interactive,
	})
	if err != nil {
		return nil, "", err
	}
	defer ticket.Release()
	_, key, _ := strings.Cut(u.part, "/")
	g, version, err := d.Graph(h, key)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("draw slot %s: %w", u.part, err)
	case version == 0: // removed since, or a name without its key
		return nil, "", errNoResource
	}
	if form := viewTypes[u.view]; form != "" {
		text, _, err := g.Draw(graph.Format(u.view), graph.DefaultNodes)
		if err != nil { // none of the reader's making: whatever it is there, here it is internal
			return nil, "", fault.Wrap(fault.Internal, fmt.Errorf("draw slot %s: %w", u.part, err), "the object cannot be drawn")
		}
		return []byte(text), form, nil
	}
	from := viewPlace{version: version}
	if u.kind == uriViewPage {
		from, _ = parsePlace(u.view)
	}
	body, err = graphBody(h.ID(), u.part, &g, version, from)
	return body, mimeJSON, err
}

// graphContent is a page of a graph: its nodes in their order, then its edges.
type graphContent struct {
	SessionID session.ID   `json:"sessionId"`
	Slot      string       `json:"slot"`
	Version   uint64       `json:"version"` // of the session at the slot's last commit
	NodeCount int          `json:"nodeCount"`
	EdgeCount int          `json:"edgeCount"`
	Nodes     []graph.Node `json:"nodes"`
	Edges     []graph.Edge `json:"edges"`
	Next      string       `json:"next,omitempty"` // the URI of the next page
}

// graphBody returns the page of g that begins at a place.
func graphBody(id session.ID, slot string, g *graph.Graph, version uint64, from viewPlace) ([]byte, error) {
	all := len(g.Nodes) + len(g.Edges)
	switch {
	case from.version != version:
		return nil, &fault.Error{
			Kind: fault.Conflict, Code: "version_conflict",
			Public: fmt.Sprintf("the graph was read at version %d and is at %d now: begin again at %s", from.version, version, viewURI(id, slot, formGraph)),
		}
	case from.offset > 0 && from.offset >= all:
		return nil, errNoResource // there is no page of that name
	}
	out := graphContent{SessionID: id, Slot: slot, Version: version, NodeCount: len(g.Nodes), EdgeCount: len(g.Edges), Nodes: []graph.Node{}, Edges: []graph.Edge{}}
	size, at := 0, from.offset
	for ; at < all && size < viewPage; at++ {
		if at < len(g.Nodes) {
			n := g.Nodes[at]
			out.Nodes = append(out.Nodes, n)
			size += 64 + len(n.ID) + len(n.Label) + len(n.Kind)
			for k, v := range n.Attrs {
				size += 8 + len(k) + len(v)
			}
		} else {
			e := g.Edges[at-len(g.Nodes)]
			out.Edges = append(out.Edges, e)
			size += 64 + len(e.From) + len(e.To) + len(e.Label) + len(e.Kind)
		}
	}
	if at < all {
		out.Next = resourceURI{kind: uriViewPage, session: id, part: slot, view: viewPlace{version, at}.String()}.String()
	}
	return encodeJSON(out)
}

// viewPlace is where a page of a graph begins, and in which version of it.
type viewPlace struct {
	version uint64
	offset  int // into its nodes and then its edges
}

// String returns the one way in which a place is written.
func (p viewPlace) String() string { return fmt.Sprintf("%d.%d", p.version, p.offset) }

func parsePlace(text string) (viewPlace, bool) {
	version, offset, _ := strings.Cut(text, ".")
	v, err := strconv.ParseUint(version, 10, 64)
	n, bad := strconv.ParseUint(offset, 10, 31)
	p := viewPlace{v, int(n)}
	return p, err == nil && bad == nil && p.String() == text
}

// isCursor reports whether text may be a cursor of a page of a graph.
func isCursor(text string) bool {
	_, ok := parsePlace(text)
	return ok
}
