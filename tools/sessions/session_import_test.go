package sessions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/session"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/sessions"
)

var importAny = sessions.NewImport()

// exported returns the document of a session, got in pages of maxBytes if it is
// larger, as parameters of an import.
func exported(t *testing.T, d *session.Directory, id session.ID, maxBytes int) (parameters string, pages int) {
	t.Helper()
	var all []session.DocumentPage
	cursor := ""
	for {
		out, e, err := call[sessions.ExportOutput](t, d, id, sessions.Export, fmt.Sprintf(`{"form":"document","maxBytes":%d,"cursor":%q}`, maxBytes, cursor))
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Slots) != 0 || !strings.HasPrefix(out.Digest, "sha256:") {
			t.Fatalf("got %+v", out)
		}
		if out.Document != nil {
			if !out.Page.Complete || out.Page.NextCursor != "" || out.DocumentPage != nil {
				t.Fatalf("page %+v", out.Page)
			}
			return fmt.Sprintf(`"document":%s`, out.Document), 1
		}
		all = append(all, *out.DocumentPage)
		cursor = out.Page.NextCursor
		if cursor == "" {
			raw, err := json.Marshal(all)
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprintf(`"pages":%s`, raw), len(all)
		}
		if next := e.Next[0].Parameters; next["form"] != "document" || next["cursor"] != cursor {
			t.Fatalf("next %v", next)
		}
	}
}

func TestExportAndImport(t *testing.T) {
	d, from := open(t)
	with(t, d, from, func(h *session.Handle) {
		fillSession(t, h)
		set(t, h, notes, map[string]string{"long": strings.Repeat("Größe 🎈 \"x\" ", 1000)})
	})
	whole, _ := exported(t, d, from, 1<<20)
	pages, n := exported(t, d, from, 1024)
	if n < 10 {
		t.Errorf("%d pages", n)
	}
	document := strings.TrimPrefix(whole, `"document":`)
	quoted, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	var want sessions.ExportOutput
	if want, _, err = call[sessions.ExportOutput](t, d, from, sessions.Export, `{}`); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{whole, pages, `"document":` + string(quoted)} {
		d2, to := open(t)
		if out, _, err := call[sessions.ImportOutput](t, d2, to, importAny, `{"dryRun":true,`+source+`}`); err != nil || !out.DryRun || !out.Changed || len(out.Created) != 5 {
			t.Fatalf("dry run: %+v, %v", out, err)
		}
		out, e, err := call[sessions.ImportOutput](t, d2, to, importAny, `{`+source+`}`)
		if err != nil || len(out.Created) != 5 || out.Version != 1 || *e.Version != 1 {
			t.Fatalf("%+v, %v: want one commit after the dry run", out, err)
		}
		got, _, err := call[sessions.ExportOutput](t, d2, to, sessions.Export, `{}`)
		if err != nil || got.Digest != want.Digest {
			t.Errorf("digest %s, want %s (%v)", got.Digest, want.Digest, err)
		}
		if out, _, err = call[sessions.ImportOutput](t, d2, to, importAny, `{`+source+`}`); err != nil || out.Changed || out.Version != 1 {
			t.Errorf("the second time: %+v, %v", out, err)
		}
	}
}

func TestImportRefusals(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) { fillSession(t, h) })
	whole, _ := exported(t, d, id, 1<<20)
	for _, parameters := range []string{`{}`, `{"document":null}`, `{"document":{},"pages":[{"page":1}]}`, `{"mode":"x",` + whole + `}`} {
		_, _, err := call[sessions.ImportOutput](t, d, id, importAny, parameters)
		if _, ok := errors.AsType[*tools.BadArguments](err); !ok {
			t.Errorf("%.60s: %v", parameters, err)
		}
	}
	for parameters, code := range map[string]string{
		`{"document":{}}`: "document_invalid",
		`{` + strings.Replace(whole, "plans", "plots", 1) + `}`:                  "document_corrupted",
		`{"pages":[{"page":1,"pages":2,"bytes":5,"digest":"x","text":"hello"}]}`: "document_pages",
	} {
		_, _, err := call[sessions.ImportOutput](t, d, id, importAny, parameters)
		if fault.From(err).Code != code {
			t.Errorf("%.60s: %v, want %s", parameters, err, code)
		}
	}
	_, _, err := call[sessions.ImportOutput](t, d, id, sessions.NewImport(notes.Type()), `{`+whole+`}`)
	if fault.From(err).Code != "document_slot_unknown" {
		t.Errorf("a slot that is not known: %v", err)
	}
	with(t, d, id, func(h *session.Handle) {
		if h.Version() != 5 {
			t.Error("a refused import changed the session")
		}
	})
}

func TestDocumentCursors(t *testing.T) {
	d, id := open(t)
	with(t, d, id, func(h *session.Handle) { set(t, h, notes, map[string]string{"a": strings.Repeat("x", 3000)}) })
	for _, cursor := range []string{"1.1.1000.d", "1.9.9216.d"} {
		_, _, err := call[sessions.ExportOutput](t, d, id, sessions.Export, fmt.Sprintf(`{"form":"document","maxBytes":1024,"cursor":%q}`, cursor))
		if _, ok := errors.AsType[*tools.BadArguments](err); !ok {
			t.Errorf("cursor %q: got %v", cursor, err)
		}
	}
}
