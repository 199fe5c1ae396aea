package mcpserve

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
)

// resourcePage is how many entries a page of a list has at most.
const resourcePage = 100

// MIME types of what we give.
const (
	mimeMarkdown = "text/markdown"
	mimeJSON     = "application/json"
	mimeSchema   = "application/schema+json"
	mimeMermaid  = "application/vnd.mermaid"
	mimeDOT      = "text/vnd.graphviz"
	mimeSVG      = "image/svg+xml"
)

type resourceEntry struct {
	URI         string `json:"uri"`
	Name        string `json:"name"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description,omitempty"`
	MIMEType    string `json:"mimeType"`
	Size        int    `json:"size,omitempty"` // in bytes
}

type resourceList struct {
	Resources  []resourceEntry `json:"resources"`
	NextCursor string          `json:"nextCursor,omitempty"`
}

type templateEntry struct {
	Template    string `json:"uriTemplate"`
	Name        string `json:"name"`
	Title       string `json:"title,omitempty"`
	Description string `json:"description"`
	MIMEType    string `json:"mimeType,omitempty"`
}

type templateList struct {
	Templates []templateEntry `json:"resourceTemplates"`
}

// Places in the list of resources, by their first byte: an index into the fixed
// ones, or the session after which it goes on.
const (
	placeFixed   = 'f'
	placeSession = 's'
)

// listResources lists what is the same for everybody and then the sessions that the
// caller owns or was granted, oldest first, each with its export. The order has no room for
// anything new but at its end, so a session that lives through the whole listing
// is in it exactly once. The objects of a session are not listed here: its own
// resource names them. It costs a look at the owner's sessions and reads no
// state.
func (s *Server) listResources(q *query) (*resourceList, error) {
	place, err := s.place(q)
	if err != nil {
		return nil, err
	}
	out := &resourceList{Resources: []resourceEntry{}}
	from := 0
	var after []byte
	switch {
	case len(place) == 5 && place[0] == placeFixed:
		from = int(binary.BigEndian.Uint32(place[1:]))
	case len(place) > 9 && place[0] == placeSession:
		from, after = len(s.fixed.entries), place[1:]
	case place != nil:
		return nil, errBadCursor
	}
	if from < len(s.fixed.entries) {
		end := min(from+resourcePage, len(s.fixed.entries))
		out.Resources = append(out.Resources, s.fixed.entries[from:end]...)
		if end < len(s.fixed.entries) {
			out.NextCursor = s.cursors.seal(q.in.owner, q.m.method, binary.BigEndian.AppendUint32([]byte{placeFixed}, uint32(end)))
		}
	}
	if out.NextCursor == "" && policy.Allows(q.in.principal, policy.Reason) {
		s.listSessions(q, out, after)
	}
	if !q.titled() {
		for i := range out.Resources {
			out.Resources[i].Title = ""
		}
	}
	return out, nil
}

// listSessions adds the sessions that the caller may use from the place after on, as many as
// there is room for.
func (s *Server) listSessions(q *query, out *resourceList, after []byte) {
	all := s.Sessions.List(q.in.owner)
	own := len(all)
	for _, shared := range s.Sessions.Granted(q.in.owner) {
		all = append(all, shared.Info)
	}
	granted := map[session.ID]bool{}
	for _, info := range all[own:] {
		granted[info.ID] = true
	}
	slices.SortFunc(all, func(a, b session.Info) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	for i, info := range all {
		if after != nil && slices.Compare(sessionPlace(info), after) <= 0 {
			continue
		}
		if len(out.Resources)+2 > resourcePage {
			// The page ends with the session before. Where it holds none, the fixed
			// ones have filled it: the next begins with the first.
			place := binary.BigEndian.AppendUint32([]byte{placeFixed}, uint32(len(s.fixed.entries)))
			if i > 0 {
				place = append([]byte{placeSession}, sessionPlace(all[i-1])...)
			}
			out.NextCursor = s.cursors.seal(q.in.owner, q.m.method, place)
			return
		}
		whose := "One of your sessions"
		if granted[info.ID] {
			whose = "A session that somebody shares with you"
		}
		out.Resources = append(out.Resources, resourceEntry{
			URI: sessionURI(info.ID), Name: "session " + string(info.ID), Title: info.Name, MIMEType: mimeJSON,
			Description: whose + ": its counts, its expiry, and the URI of each object in it.",
		}, resourceEntry{
			URI: resourceURI{kind: uriExport, session: info.ID}.String(), Name: "export of session " + string(info.ID), MIMEType: mimeJSON,
			Description: "The whole of this session as a document with a digest, which session_import takes; in pages where it is large.",
		})
	}
}

// sessionPlace orders sessions by their opening, and those of one moment by id.
func sessionPlace(i session.Info) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(i.Created.UnixNano())), i.ID...)
}

// templates are the URIs with variables, in the order of their kinds.
var templates = []templateEntry{
	{uriTemplates[uriOperation], "operation", "Guide to an operation", "What an operation computes, its method and source, its parameters and its errors.", mimeMarkdown},
	{uriTemplates[uriSchema], "operation_schema", "Schema of an operation", "JSON Schema of an operation's parameters and of its result.", mimeSchema},
	{uriTemplates[uriExamples], "operation_examples", "Examples of an operation", "Calls that work as they stand, with the results that this server computed for them.", mimeJSON},
	{uriTemplates[uriSession], "session", "A session", "One of your sessions: its counts, its expiry, and the URI of each object in it.", mimeJSON},
	{uriTemplates[uriSlot], "session_object", "An object of a session", "One object of one of your sessions, such as a tree, a chain or a decision, with its version.", mimeJSON},
	{uriTemplates[uriView], "session_object_view", "A drawing of an object", "A tree or graph of one of your sessions as mermaid, dot or svg, of 200 nodes at most, or whole as json-graph.", ""},
	{uriTemplates[uriViewPage], "session_object_graph_page", "Page of a graph", "A further page of a json-graph: the page before names its cursor.", mimeJSON},
	{uriTemplates[uriExport], "session_export", "Export of a session", "The whole of one of your sessions as a document with a digest; in pages where it is large.", mimeJSON},
	{uriTemplates[uriExportPage], "session_export_page", "Page of an export", "A further page of an export: the page before names its cursor.", mimeJSON},
}

func (s *Server) listTemplates(q *query) (*templateList, error) {
	if err := s.whole(q); err != nil {
		return nil, err
	}
	_, more := s.More.entries()
	out := &templateList{Templates: slices.Concat(templates, more)}
	if !q.titled() {
		for i := range out.Templates {
			out.Templates[i].Title = ""
		}
	}
	return out, nil
}
