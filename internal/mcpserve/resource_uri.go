package mcpserve

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/session"
)

// uriScheme is how every URI of ours begins.
const uriScheme = "lyceum://"

// maxURI is how long a URI may be, in bytes.
const maxURI = 1024

// uriKind is what a URI leads to.
type uriKind uint8

// The kinds. Those from uriSession on belong to an owner.
const (
	uriGuide uriKind = iota + 1
	uriOperations
	uriOperation
	uriSchema
	uriExamples
	uriSession
	uriSlot
	uriView
	uriViewPage
	uriExport
	uriExportPage
)

// Templates of the URIs that have variables, by kind.
var uriTemplates = map[uriKind]string{
	uriOperation:  "lyceum://operations/{name}",
	uriSchema:     "lyceum://operations/{name}/schema",
	uriExamples:   "lyceum://operations/{name}/examples",
	uriSession:    "lyceum://sessions/{sessionId}",
	uriSlot:       "lyceum://sessions/{sessionId}/slots/{slot}",
	uriView:       "lyceum://sessions/{sessionId}/slots/{slot}/{format}",
	uriViewPage:   "lyceum://sessions/{sessionId}/slots/{slot}/json-graph/{cursor}",
	uriExport:     "lyceum://sessions/{sessionId}/export",
	uriExportPage: "lyceum://sessions/{sessionId}/export/{cursor}",
}

// resourceURI is a URI taken apart. Two spellings of one resource are equal.
type resourceURI struct {
	kind    uriKind
	name    string     // of an operation
	session session.ID // whose it is, only a look-up tells
	part    string     // the slot, or the cursor of a page
	view    string     // of the slot: its form, or the cursor of a page of it
}

// private reports whether what the URI leads to depends on who asks.
func (u resourceURI) private() bool { return u.kind >= uriSession }

// ofSlot reports whether the URI is about one object, as it is now.
func (u resourceURI) ofSlot() bool { return u.kind == uriSlot || u.kind == uriView }

// paged reports whether the URI leads to a page of one version, which never changes.
func (u resourceURI) paged() bool { return u.kind == uriExportPage || u.kind == uriViewPage }

// parseURI takes a URI apart, or returns false: what it leads to, if to
// anything, is not asked here. A slot's name may hold slashes, written as they
// are or as %2F; but before the name of a form, one as it is ends the slot's name.
func parseURI(text string) (resourceURI, bool) {
	rest, ok := strings.CutPrefix(text, uriScheme)
	if !ok || len(text) > maxURI || strings.ContainsAny(rest, "?#") {
		return resourceURI{}, false
	}
	head, rest, more := strings.Cut(rest, "/")
	switch {
	case head == "guide" && !more:
		return resourceURI{kind: uriGuide}, true
	case head == "operations" && !more:
		return resourceURI{kind: uriOperations}, true
	case head == "operations":
		return parseOperation(rest)
	case head == "sessions" && more:
		return parseSession(rest)
	}
	return resourceURI{}, false
}

func parseOperation(rest string) (resourceURI, bool) {
	name, view, more := strings.Cut(rest, "/")
	u := resourceURI{kind: uriOperation}
	switch {
	case !more:
	case view == "schema":
		u.kind = uriSchema
	case view == "examples":
		u.kind = uriExamples
	default:
		return resourceURI{}, false
	}
	var ok bool
	u.name, ok = segment(name)
	return u, ok
}

func parseSession(rest string) (u resourceURI, ok bool) {
	id, view, more := strings.Cut(rest, "/")
	plain, ok := segment(id)
	if !ok {
		return resourceURI{}, false
	}
	u = resourceURI{kind: uriSession, session: session.ID(plain)}
	if !more {
		return u, true
	}
	view, part, more := strings.Cut(view, "/")
	switch {
	case view == "slots" && more:
		u.kind, part, u.view = parseView(part)
	case view == "export" && more:
		u.kind = uriExportPage
	case view == "export":
		u.kind = uriExport
		return u, true
	default:
		return resourceURI{}, false
	}
	if u.part, ok = segment(part); !ok {
		return resourceURI{}, false
	}
	return u, true
}

// parseView takes the form off what follows "slots/".
func parseView(rest string) (kind uriKind, slot, view string) {
	head, last, ok := cutLast(rest)
	if ok && slices.Contains(viewForms, last) {
		return uriView, head, last
	}
	if ok && isCursor(last) {
		if slot, form, ok := cutLast(head); ok && form == formGraph {
			return uriViewPage, slot, last
		}
	}
	return uriSlot, rest, ""
}

// cutLast cuts at the last slash.
func cutLast(s string) (head, last string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// segment decodes a part of a path: text that is not empty and has no control
// characters.
func segment(s string) (string, bool) {
	plain, err := url.PathUnescape(s)
	if err != nil || plain == "" || !utf8.ValidString(plain) || strings.ContainsFunc(plain, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return "", false
	}
	return plain, true
}

// String returns the one way in which we write the URI: what it leads to, with
// every variable percent-encoded as the templates say.
func (u resourceURI) String() string {
	switch u.kind {
	case uriGuide:
		return uriScheme + "guide"
	case uriOperations:
		return uriScheme + "operations"
	}
	if !u.private() {
		base := uriScheme + "operations/" + url.PathEscape(u.name)
		switch u.kind {
		case uriSchema:
			return base + "/schema"
		case uriExamples:
			return base + "/examples"
		}
		return base
	}
	base := uriScheme + "sessions/" + url.PathEscape(string(u.session))
	switch u.kind {
	case uriSlot:
		return base + "/slots/" + url.PathEscape(u.part)
	case uriView:
		return base + "/slots/" + url.PathEscape(u.part) + "/" + u.view
	case uriViewPage:
		return base + "/slots/" + url.PathEscape(u.part) + "/" + formGraph + "/" + u.view
	case uriExport:
		return base + "/export"
	case uriExportPage:
		return base + "/export/" + url.PathEscape(u.part)
	}
	return base
}

func sessionURI(id session.ID) string { return resourceURI{kind: uriSession, session: id}.String() }

func slotURI(id session.ID, slot string) string {
	return resourceURI{kind: uriSlot, session: id, part: slot}.String()
}

func viewURI(id session.ID, slot, form string) string {
	return resourceURI{kind: uriView, session: id, part: slot, view: form}.String()
}
