package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

//go:embed templates static
var files embed.FS

// pages are the templates and the static files, ready to be served.
type pages struct {
	html   *template.Template
	static map[string]asset
}

type asset struct {
	mime string
	etag string
	body []byte
}

// mimes are the kinds of static files there are.
var mimes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func newPages() (*pages, error) {
	html, err := template.New("").Funcs(template.FuncMap{"ago": ago, "size": size, "stamp": stamp, "iso": iso, "short": short, "clock": clock}).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, err
	}
	p := &pages{html: html, static: make(map[string]asset)}
	entries, err := fs.ReadDir(files, "static")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		body, err := files.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, err
		}
		mime, ok := mimes[path.Ext(e.Name())]
		if !ok {
			return nil, fmt.Errorf("static file %s: its kind is not known", e.Name())
		}
		sum := sha256.Sum256(body)
		p.static[e.Name()] = asset{mime, `"` + hex.EncodeToString(sum[:12]) + `"`, body}
	}
	return p, nil
}

// static serves what belongs to no session: style, script and icon.
func (s *site) static(w http.ResponseWriter, r *http.Request) error {
	a, ok := s.pages.static[r.PathValue("file")]
	if !ok {
		return fault.Newf(fault.NotFound, "there is nothing at this path")
	}
	h := w.Header()
	h.Set("Content-Type", a.mime)
	h.Set("Cache-Control", "no-cache") // kept, but asked about
	h.Set("ETag", a.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.body))
	return nil
}

// tablePage is what the template of the table needs.
type tablePage struct {
	Who       string // name of the person
	Write     bool   // may end sessions
	Now       int64
	Status    status
	Watched   bool // there are alerts to show
	Alerts    []alertPage
	Said      string    // about them
	NoAlert   alertPage // of the template that the script copies
	Columns   []heading
	Facets    []facet
	Rows      []rowPage
	Blank     rowPage // of the template that the script copies
	Matching  int
	Text      string // of the filter box
	Sort, Dir string // "" for the default order
	Home      string // the address without filter
	MaxReason int
	MaxQuery  int
}

// rowPage is what the template of a row needs.
type rowPage struct {
	*row
	Now   int64
	Write bool
}

// heading is the head of a column and the link that sorts by it.
type heading struct {
	Key, Title, Hint, Link string
	Numeric                bool
	Sorted                 string // "", "ascending" or "descending"
}

// facet is a number that is also a filter.
type facet struct {
	Key, Title string
	Filter     string // text of the filter box
	Link       string
	Count      int
	On         bool
}

// table is the page itself, or the login page for somebody who has not logged
// in.
func (s *site) table(w http.ResponseWriter, r *http.Request) error {
	q := parseQuery(r.URL.Query())
	_, p, err := s.who(r)
	switch {
	case fault.KindOf(err) == fault.Unauthenticated:
		return s.render(w, http.StatusOK, "login.html", s.loginPage(r, q, ""))
	case err != nil:
		return err
	}
	return s.render(w, http.StatusOK, "table.html", s.tablePage(q, p))
}

func (s *site) tablePage(q query, p *identity.Principal) tablePage {
	pic := s.board.picture()
	v := pic.view(q, s.cfg.MaxRows)
	now, write := pic.taken.UnixMilli(), policy.Allows(p, policy.AdminWrite)
	page := tablePage{
		Who: plain(nameOf(p)), Write: write, Now: now, Status: pic.status, Watched: pic.alerts != nil, Said: said(pic.alerts), Blank: rowPage{&row{}, now, write},
		Facets: facets(q, pic.status.Counts), Matching: v.matching, Text: q.text, Home: Prefix + withText(q, "").suffix(),
		MaxReason: maxReason, MaxQuery: maxQuery,
	}
	for _, a := range pic.alerts {
		page.Alerts = append(page.Alerts, alertPage{a, now})
	}
	for _, r := range v.rows {
		page.Rows = append(page.Rows, rowPage{r, now, write})
	}
	if dir := q.direction(); dir != "" {
		page.Sort, page.Dir = q.sort, dir
	}
	for _, c := range columns {
		h := heading{Key: c.key, Title: c.title, Hint: c.hint, Numeric: c.numeric}
		to := q
		to.sort, to.desc = c.key, c.desc
		if q.sort == c.key {
			to.desc = !q.desc
			h.Sorted = "ascending"
			if q.desc {
				h.Sorted = "descending"
			}
		}
		h.Link = Prefix + to.suffix()
		page.Columns = append(page.Columns, h)
	}
	return page
}

// facets are the counts of the head. One that is on leads back to everything.
func facets(q query, c counts) []facet {
	all := []facet{
		{Key: "total", Title: "All", Count: c.Total},
		{Key: "active", Title: "Active", Filter: "state:active", Count: c.Active},
		{Key: "idle", Title: "Idle", Filter: "state:idle", Count: c.Idle},
		{Key: "draining", Title: "Draining", Filter: "state:draining", Count: c.Draining},
		{Key: "reasoning", Title: "Reasoning", Filter: "kind:reasoning", Count: c.Reasoning},
		{Key: "transport", Title: "Transport", Filter: "kind:transport", Count: c.Transport},
	}
	for i := range all {
		f := &all[i]
		f.On = q.text == f.Filter
		f.Link = Prefix + withText(q, f.Filter).suffix()
	}
	return all
}

func withText(q query, text string) query { q.text = text; return q }

// loginPage is what the template of the login needs.
type loginPage struct {
	Title    string
	Problem  string
	Provider *Provider
	Button   string
	Issuers  []string
	API      string // address of the REST interface
	Text     string
	Sort     string
	Dir      string
	Version  string
	Again    bool // somebody is logged in and may log out
	Back     bool // what was asked for is not there; the sessions are
}

func (s *site) loginPage(r *http.Request, q query, problem string) loginPage {
	version, _ := s.mon.Server()
	l := loginPage{
		Title: "Log in", Problem: problem, Provider: s.cfg.Provider, Issuers: s.cfg.Issuers, API: s.origin(r) + "/api/v1", Text: q.text, Version: version,
	}
	if dir := q.direction(); dir != "" {
		l.Sort, l.Dir = q.sort, dir
	}
	if p := s.cfg.Provider; p != nil {
		if l.Button = p.Button; l.Button == "" {
			l.Button = "Log in"
		}
	}
	return l
}

// failPage answers a person: the login page with what went wrong.
func (s *site) failPage(w http.ResponseWriter, r *http.Request, err error) {
	blame(r, err)
	e := fault.From(err)
	l := s.loginPage(r, parseQuery(nil), e.Public)
	if e.Kind == fault.Forbidden {
		l.Again = s.visited(r)
	}
	if e.Kind == fault.NotFound && s.visited(r) {
		l.Title, l.Back = "Not found", true
	}
	if rerr := s.render(w, reply.Status(e.Kind), "login.html", l); rerr != nil {
		reply.Fail(w, r, err)
	}
}

// visited reports whether r comes from a browser in which somebody has logged in.
func (s *site) visited(r *http.Request) bool {
	_, err := r.Cookie(s.cookieName(visitCookie))
	return err == nil
}

// render writes a page whole or not at all.
func (s *site) render(w http.ResponseWriter, code int, name string, data any) error {
	var b bytes.Buffer
	if err := s.pages.html.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(b.Bytes()) // the person left: nobody is left to tell
	return nil
}

// ago writes the time from then to now, both in milliseconds, as people say it.
// The script does the same.
func ago(now, then int64) string {
	s := max(0, now-then) / 1000
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		return fmt.Sprintf("%d h %02d", s/3600, s%3600/60)
	}
	return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
}

// size writes a number of bytes in units of 1000.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	v, unit := float64(n), 0
	for v >= 999.5 && unit < 4 {
		v /= 1000
		unit++
	}
	if v < 9.95 {
		return fmt.Sprintf("%.1f %cB", v, " kMGT"[unit])
	}
	return fmt.Sprintf("%.0f %cB", v, " kMGT"[unit])
}

func stamp(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05 UTC") }

func iso(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// short is the part of a reference that the table shows.
func short(ref string) string { return ref[:min(8, len(ref))] }

// clock is the time of a day, UTC.
func clock(ms int64) string { return time.UnixMilli(ms).UTC().Format("01-02 15:04:05.000") }
