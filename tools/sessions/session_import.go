package sessions

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
)

// maxDocument is how large a document may be that a call brings, in bytes.
const maxDocument = 8 << 20

// NewImport returns the operation session_import. known are the slots that a
// document may hold, each of which judges its values, so that a forged document
// brings nothing that an operation could not have written; without any, whatever
// has the form of a slot is taken.
func NewImport(known ...session.SlotType) tools.Tool {
	return tools.Define(tools.Spec{
		Name: "session_import", Family: "sessions", Title: "Import a session",
		Summary: "Brings a document of session_export into the session, whole or not at all, and reports what was created, replaced and given a new id.",
		Scope:   policy.Reason, Lane: work.Interactive, Effect: tools.Mutates, Removes: true, // a large document takes many milliseconds
		Method: "SHA-256 over canonical JSON", Source: "RFC 8785 (2020); FIPS 180-4 (2015)",
		Examples: []tools.Example{
			{Title: "See what an import would do", Arguments: `{"operation":"session_import","parameters":{"dryRun":true,"document":` + emptyDocument + `}}`},
		},
	}, importer{known}.run)
}

// emptyDocument is the document of a session that holds nothing.
const emptyDocument = `{"created":"2026-01-01T00:00:00Z","digest":"sha256:8c1b6c38b6caa5351f9364b2448829dceeec92acc64f88c84d3fe8104cb18251",` +
	`"format":"lyceum-session","sessionVersion":0,"slots":{},"version":1}`

// ImportInput brings a document.
type ImportInput struct {
	Document json.RawMessage        `json:"document" doc:"A document of session_export, as an object or as its text. Give this or pages."`
	Pages    []session.DocumentPage `json:"pages" maxItems:"8192" doc:"All documentPage of an export in pages, in any order."`
	Mode     string                 `json:"mode" enum:"merge|replace" default:"merge" doc:"merge: what the session holds besides stays. replace: the session then holds what the document holds."`
	Remap    bool                   `json:"remap" default:"true" doc:"Merging, give an object a new id where the session has another object of that id; false: the document's object replaces it."`
	DryRun   bool                   `json:"dryRun" doc:"Only report what the import would do."`
}

// ImportOutput is the report of an import.
type ImportOutput struct {
	session.ImportReport
	DryRun  bool `json:"dryRun"`
	Changed bool `json:"changed"` // the session is another now, or would be
}

type importer struct{ known []session.SlotType }

func (i importer) run(ctx context.Context, c *tools.Call, in ImportInput) (ImportOutput, error) {
	c.Basis(tools.ClientSupplied)
	text, err := in.text()
	if err != nil {
		return ImportOutput{}, err
	}
	doc, err := session.DecodeDocument(text, session.DocumentLimits{Bytes: maxDocument, Known: i.known})
	if err != nil {
		return ImportOutput{}, err
	}
	report, err := c.Session.Import(ctx, doc, session.ImportOptions{
		Mode: session.ImportMode(in.Mode), Remap: in.Remap, Known: i.known, DryRun: in.DryRun,
	})
	if err != nil {
		return ImportOutput{}, err
	}
	if len(report.Unlinked) > 0 {
		c.Warn("unlinked", "texts that refer to %s were left as they are: these ids could be ordinary words", strings.Join(report.Unlinked[:min(len(report.Unlinked), 8)], ", "))
	}
	return ImportOutput{
		ImportReport: report, DryRun: in.DryRun,
		Changed: len(report.Created)+len(report.Replaced)+len(report.Removed) > 0,
	}, nil
}

// text returns the document's text, from whichever form it came in.
func (in *ImportInput) text() ([]byte, error) {
	doc := bytes.TrimSpace(in.Document)
	given := len(doc) > 0 && string(doc) != "null"
	if given == (len(in.Pages) > 0) {
		return nil, tools.Badf("parameters.document", "want either document or pages")
	}
	if !given {
		return session.JoinPages(in.Pages, maxDocument)
	}
	if doc[0] == '"' {
		var text string
		if err := json.Unmarshal(doc, &text); err != nil {
			return nil, tools.Badf("parameters.document", "want a document of session_export: %v", err)
		}
		return []byte(text), nil
	}
	return doc, nil
}
