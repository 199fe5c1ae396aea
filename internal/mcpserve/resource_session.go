package mcpserve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/jsonscan"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

type contents struct {
	Contents []content `json:"contents"`
}

type content struct {
	URI      string `json:"uri"` // as it was asked for
	MIMEType string `json:"mimeType"`
	Text     string `json:"text"`
}

// exportPage is how many bytes of the document a page of an export has: as text
// in JSON in text in JSON it is at most four times as long.
const exportPage = 128 << 10

// maxSlotLines is how many objects the resource of a session names.
const maxSlotLines = 500

// readResource reads one resource. A read of a session's resource is a call in
// flight while it lasts, so the session cannot be evicted under it, and is counted
// as one; but it only looks, so it does not slide the idle TTL.
func (s *Server) readResource(ctx context.Context, q *query) (*contents, *hint, error) {
	raw := q.m.param("uri")
	if !isString(raw) {
		return nil, nil, badParams("params.uri must be a string")
	}
	asked := jsonscan.String(raw)
	u, ok := parseURI(asked)
	if !ok {
		return nil, nil, errNoResource
	}
	q.in.client.Target = uriTemplates[u.kind] // of our own making, so it may be a label
	if !u.private() {
		text, mime, err := s.fixed.read(ctx, q, u)
		if err != nil {
			return nil, nil, err
		}
		return &contents{[]content{{asked, mime, text}}}, forAll, nil
	}
	body, mime, err := s.readSession(ctx, q, u)
	if err != nil {
		return nil, nil, err
	}
	if len(body) > s.cfg.MaxOutputBytes {
		return nil, nil, &fault.Error{
			Kind: fault.TooLarge, Code: "output_too_large",
			Public: fmt.Sprintf("the resource has %d bytes; the limit is %d: read the export, which comes in pages", len(body), s.cfg.MaxOutputBytes),
		}
	}
	return &contents{[]content{{asked, mime, string(body)}}}, forOne, nil
}

// readSession reads what a private URI leads to, and says what it is.
func (s *Server) readSession(ctx context.Context, q *query, u resourceURI) (body []byte, mime string, err error) {
	if err := policy.Require(q.in.principal, policy.Reason); err != nil {
		return nil, "", err
	}
	h, err := s.Sessions.Acquire(ctx, q.in.owner, u.session)
	if err != nil {
		return nil, "", err
	}
	defer h.Release()
	h.Look()
	switch u.kind {
	case uriView, uriViewPage:
		return s.viewBody(ctx, q, h, u)
	case uriSlot:
		body, err = slotBody(h, u.part)
	case uriExport:
		body, err = exportBody(h, "")
	case uriExportPage:
		body, err = exportBody(h, u.part)
	default:
		body, err = s.sessionBody(ctx, q, h)
	}
	return body, mimeJSON, err
}

type sessionBody struct {
	Session   json.RawMessage `json:"session"` // what session_info reports
	Export    string          `json:"export"`  // the URI of the export
	SlotCount int             `json:"slotCount"`
	Slots     []slotLine      `json:"slots"` // at most maxSlotLines, by name
}

type slotLine struct {
	Slot    string `json:"slot"`
	URI     string `json:"uri"`
	Version uint64 `json:"version"` // of the session at the slot's last commit
	Bytes   int    `json:"bytes"`
	Drawing string `json:"drawing,omitempty"` // its URI, of what is a tree or a graph
}

func (s *Server) sessionBody(ctx context.Context, q *query, h *session.Handle) ([]byte, error) {
	info, err := sessions.Info.Invoke(ctx, &tools.Call{Principal: q.in.principal, Session: h}, nil)
	if err != nil {
		return nil, err
	}
	snapshot, err := h.Snapshot()
	if err != nil {
		return nil, err
	}
	out := sessionBody{
		Session: info, Export: resourceURI{kind: uriExport, session: h.ID()}.String(), SlotCount: len(snapshot.Cells), Slots: []slotLine{},
	}
	for _, c := range snapshot.Cells[:min(len(snapshot.Cells), maxSlotLines)] {
		line := slotLine{Slot: c.Name, URI: slotURI(h.ID(), c.Name), Version: c.Version, Bytes: len(c.Data)}
		if s.drawer(c.Name) != nil {
			line.Drawing = viewURI(h.ID(), c.Name, formSVG)
		}
		out.Slots = append(out.Slots, line)
	}
	return encodeJSON(out)
}

type slotContent struct {
	SessionID session.ID      `json:"sessionId"`
	Slot      string          `json:"slot"`
	Version   uint64          `json:"version"` // of the session at the slot's last commit
	Schema    int             `json:"schema"`
	Data      json.RawMessage `json:"data"`
}

// slotBody reads one object of a session, as it was committed.
func slotBody(h *session.Handle, name string) ([]byte, error) {
	snapshot, err := h.Snapshot()
	if err != nil {
		return nil, err
	}
	c := cellOf(snapshot.Cells, name)
	if c == nil {
		return nil, errNoResource
	}
	out := slotContent{SessionID: h.ID(), Slot: name, Version: c.Version}
	if err := json.Unmarshal(c.Data, &out); err != nil { // the envelope has schema and data only
		return nil, fmt.Errorf("read slot %s: %w", name, err)
	}
	return encodeJSON(out)
}

type exportContent struct {
	sessions.ExportOutput
	Next string `json:"next,omitempty"` // the URI of the next page
}

// exportBody reads a page of what session_export gives in the form document.
func exportBody(h *session.Handle, cursor string) ([]byte, error) {
	page, err := sessions.ExportPage(h, sessions.ExportInput{Cursor: cursor, MaxBytes: exportPage, Form: sessions.FormDocument})
	if _, bad := errors.AsType[*tools.BadArguments](err); bad {
		return nil, errNoResource // there is no page of that name
	}
	if err != nil {
		return nil, err
	}
	out := exportContent{ExportOutput: page}
	if next := page.Page.NextCursor; next != "" {
		out.Next = sessionURI(h.ID()) + "/export/" + url.PathEscape(next)
	}
	return encodeJSON(out)
}
