package session

import (
	"fmt"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// MinDocumentPage is the smallest size of a page, in bytes.
const MinDocumentPage = 16

// DocumentPage is one part of a document's text.
type DocumentPage struct {
	Page   int    `json:"page"` // from 1
	Pages  int    `json:"pages"`
	Bytes  int    `json:"bytes"`  // of the whole document
	Digest string `json:"digest"` // SHA-256 of the whole document's text
	Text   string `json:"text"`
}

// Pages cuts a document into parts of at most size bytes, none of which tears a
// character apart. An empty document is one empty page.
func Pages(doc []byte, size int) ([]DocumentPage, error) {
	if size < MinDocumentPage {
		return nil, fault.Newf(fault.Invalid, "the page size is %d: want at least %d bytes", size, MinDocumentPage)
	}
	if !utf8.Valid(doc) {
		return nil, unreadable("it is not UTF-8")
	}
	var pages []DocumentPage
	sum := digestOf(doc)
	for begin := 0; begin < len(doc) || pages == nil; {
		end := min(begin+size, len(doc))
		for end < len(doc) && !utf8.RuneStart(doc[end]) {
			end--
		}
		pages = append(pages, DocumentPage{Page: len(pages) + 1, Bytes: len(doc), Digest: sum, Text: string(doc[begin:end])})
		begin = end
	}
	for i := range pages {
		pages[i].Pages = len(pages)
	}
	return pages, nil
}

// JoinPages puts a document of at most limit bytes together from all its pages,
// in whatever order they come. It refuses a page that is missing, doubled or of
// another document, and a text that does not have the digest that they name.
func JoinPages(pages []DocumentPage, limit int) ([]byte, error) {
	wrong := func(format string, args ...any) ([]byte, error) {
		return nil, coded(fault.Invalid, "document_pages", "the pages do not make a document: "+format, args...)
	}
	if len(pages) == 0 {
		return wrong("there are none")
	}
	first := &pages[0]
	if first.Bytes > limit {
		return nil, coded(fault.TooLarge, "document_too_large", "the document has %d bytes: the limit is %d", first.Bytes, limit)
	}
	parts := make([]*DocumentPage, len(pages))
	total := 0
	for i := range pages {
		p := &pages[i]
		switch {
		case p.Pages != first.Pages || p.Bytes != first.Bytes || p.Digest != first.Digest:
			return wrong("page %d is of another document than page %d", p.Page, first.Page)
		case p.Page < 1 || p.Page > p.Pages:
			return wrong("page %d of %d", p.Page, p.Pages)
		case p.Page > len(parts):
			return wrong("there are %d of %d", len(pages), p.Pages)
		case parts[p.Page-1] != nil:
			return wrong("page %d is there twice", p.Page)
		}
		parts[p.Page-1] = p
		total += len(p.Text)
	}
	if len(pages) != first.Pages {
		return wrong("there are %d of %d", len(pages), first.Pages)
	}
	if total != first.Bytes {
		return wrong("they have %d bytes together, want %d", total, first.Bytes)
	}
	doc := make([]byte, 0, total)
	for _, p := range parts {
		doc = append(doc, p.Text...)
	}
	if sum := digestOf(doc); sum != first.Digest {
		return nil, coded(fault.Invalid, "document_corrupted", "the pages are damaged: %s", fmt.Sprintf("their digest is %.80q, their text has %s", first.Digest, sum))
	}
	return doc, nil
}
