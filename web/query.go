package web

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxQuery = 200 // bytes of the filter
	maxTerms = 16  // words of the filter
)

// query is which rows are wanted and in which order: what the address of the
// page says. It is made by parseQuery.
type query struct {
	text string
	sort string // key of a column
	desc bool

	terms []term
}

// term is one word of the filter. All of them must fit.
type term struct{ field, word string } // field "" is any; word is lower case

// parseQuery reads an address or a form. What makes no sense is left out: a
// person has typed it, and sees what came of it.
func parseQuery(v url.Values) query {
	q := query{text: strings.TrimSpace(plain(v.Get("q"))), sort: v.Get("sort")}
	if len(q.text) > maxQuery {
		n := maxQuery
		for !utf8.RuneStart(q.text[n]) {
			n--
		}
		q.text = q.text[:n]
	}
	at := columnAt(q.sort)
	if at < 0 {
		q.sort = defaultSort
		at = columnAt(q.sort)
	}
	q.desc = columns[at].desc
	switch v.Get("dir") {
	case "asc":
		q.desc = false
	case "desc":
		q.desc = true
	}
	for w := range strings.FieldsSeq(strings.ToLower(q.text)) {
		t := term{word: w}
		if field, word, ok := strings.Cut(w, ":"); ok && fields[field] != nil && word != "" {
			t = term{field, word}
		}
		if q.terms = append(q.terms, t); len(q.terms) == maxTerms {
			break
		}
	}
	return q
}

// direction writes the order of q for an address, "" for the default one.
func (q query) direction() string {
	switch {
	case q.sort == defaultSort && q.desc == columns[columnAt(defaultSort)].desc:
		return ""
	case q.desc:
		return "desc"
	}
	return "asc"
}

// suffix writes q as the query of an address, "" for the default view.
func (q query) suffix() string {
	v := url.Values{}
	if q.text != "" {
		v.Set("q", q.text)
	}
	if dir := q.direction(); dir != "" {
		v.Set("sort", q.sort)
		v.Set("dir", dir)
	}
	if len(v) == 0 {
		return ""
	}
	return "?" + v.Encode()
}

// fields are what "field:word" may name.
var fields = map[string]func(*row) string{
	"ref":       func(r *row) string { return r.Ref },
	"kind":      func(r *row) string { return r.Kind },
	"tenant":    func(r *row) string { return r.Tenant },
	"issuer":    func(r *row) string { return r.Issuer },
	"subject":   func(r *row) string { return r.Subject },
	"name":      func(r *row) string { return r.Name },
	"client":    func(r *row) string { return r.Client + " " + r.Version },
	"revision":  func(r *row) string { return r.Revision },
	"transport": func(r *row) string { return r.Transport },
	"state":     func(r *row) string { return r.State },
}

// anyField is where a bare word is looked for.
var anyField = []string{"ref", "kind", "tenant", "subject", "name", "client", "revision", "transport", "state"}

// matches reports whether every word is in the row. Case makes no difference.
func (q *query) matches(r *row) bool {
	for _, t := range q.terms {
		has := func(field string) bool { return strings.Contains(strings.ToLower(fields[field](r)), t.word) }
		if t.field != "" {
			if !has(t.field) {
				return false
			}
		} else if !slices.ContainsFunc(anyField, has) {
			return false
		}
	}
	return true
}

// column is a column of the table, in its order.
type column struct {
	key     string
	title   string
	hint    string // what it means, where the title does not say
	numeric bool
	desc    bool // the order that is wanted first
	compare func(a, b *row) int
}

const defaultSort = "age"

var columns = []column{
	{"owner", "Owner", "subject @ tenant", false, false, func(a, b *row) int {
		return cmp.Or(strings.Compare(a.Subject, b.Subject), strings.Compare(a.Tenant, b.Tenant))
	}},
	{"kind", "Kind", "reasoning state, or a connection of an older protocol revision", false, false, func(a, b *row) int { return strings.Compare(a.Kind, b.Kind) }},
	{"client", "Client", "as it describes itself", false, false, func(a, b *row) int {
		return cmp.Or(strings.Compare(a.Client, b.Client), strings.Compare(a.Version, b.Version))
	}},
	{"revision", "Protocol", "revision of MCP", false, true, func(a, b *row) int { return strings.Compare(a.Revision, b.Revision) }},
	{"transport", "Via", "transport", false, false, func(a, b *row) int { return strings.Compare(a.Transport, b.Transport) }},
	{"state", "State", "", false, false, func(a, b *row) int { return strings.Compare(a.State, b.State) }},
	{"age", "Age", "since it began", true, false, func(a, b *row) int { return cmp.Compare(b.began, a.began) }},
	{"used", "Active", "since its last call was completed", true, false, func(a, b *row) int { return cmp.Compare(b.Used, a.Used) }},
	{"in_flight", "In flight", "calls, and open streams", true, true, func(a, b *row) int {
		return cmp.Or(cmp.Compare(a.InFlight, b.InFlight), cmp.Compare(a.Streams, b.Streams))
	}},
	{"calls", "Calls", "completed", true, true, func(a, b *row) int { return cmp.Compare(a.Calls, b.Calls) }},
	{"errors", "Errors", "calls that failed", true, true, func(a, b *row) int { return cmp.Compare(a.Errors, b.Errors) }},
	{"bytes", "Size", "of its committed state", true, true, func(a, b *row) int { return cmp.Compare(a.Bytes, b.Bytes) }},
	{"ref", "Ref", "names the session without being its id", false, false, func(a, b *row) int { return strings.Compare(a.Ref, b.Ref) }},
}

// columnAt returns the place of a column, or -1.
func columnAt(key string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.key == key })
}

// order compares two rows as the query wants them. Rows that are equal in the
// chosen column stand by age and then by reference, so that they keep still.
func (q *query) order() func(a, b *row) int {
	by, sign := columns[columnAt(q.sort)].compare, 1
	if q.desc {
		sign = -1
	}
	return func(a, b *row) int {
		return cmp.Or(sign*by(a, b), cmp.Compare(b.began, a.began), strings.Compare(a.Ref, b.Ref))
	}
}
