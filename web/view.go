package web

import (
	"bytes"
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/session"
)

// row is a session as the page shows it. Times are milliseconds since 1970.
type row struct {
	Ref       string `json:"ref"`
	Kind      string `json:"kind"` // reasoning or transport
	Subject   string `json:"subject"`
	Tenant    string `json:"tenant"`
	Issuer    string `json:"issuer"`
	Name      string `json:"name"`
	Client    string `json:"client"`
	Revision  string `json:"revision"`
	Transport string `json:"transport"`
	State     string `json:"state"`
	Created   int64  `json:"created"`
	LastUsed  int64  `json:"lastUsed"`
	Expires   int64  `json:"expires"`
	InFlight  int    `json:"inFlight"`
	Streams   int    `json:"streams"`
	Calls     uint64 `json:"calls"`
	Errors    uint64 `json:"errors"`
	Bytes     int64  `json:"bytes"`
}

func rowOf(i session.Info) row {
	kind := "reasoning"
	if strings.HasPrefix(string(i.ID), "ts_") {
		kind = "transport"
	}
	return row{
		Ref: i.Ref, Kind: kind, Subject: i.Owner.Subject, Tenant: i.Owner.Tenant, Issuer: i.Owner.Issuer, Name: i.Name,
		Client: strings.TrimSpace(i.Client.Name + " " + i.Client.Version), Revision: i.Client.Revision, Transport: i.Client.Transport,
		State: string(i.State), Created: i.Created.UnixMilli(), LastUsed: i.LastUsed.UnixMilli(), Expires: i.Expires.UnixMilli(),
		InFlight: i.InFlight, Streams: i.Streams, Calls: i.Calls, Errors: i.Errors, Bytes: i.Bytes,
	}
}

// head is what stands above the table.
type head struct {
	Version  string `json:"version"`
	Since    int64  `json:"since"`
	Ready    bool   `json:"ready"`
	Sessions int    `json:"sessions"`
	Shown    int    `json:"shown"`
	InFlight int    `json:"inFlight"`
	Running  int    `json:"running"`
	Queued   int    `json:"queued"`
	Tickets  int    `json:"tickets"`
}

// look takes a picture: the newest sessions first, at most maxRows of them.
func (p *page) look() (head, []row) {
	rows := []row{}
	total := 0
	for info := range p.Monitor.Sessions() {
		total++
		rows = append(rows, rowOf(info))
		if len(rows) >= 4*maxRows { // a bound on memory, not on what is newest
			rows = newest(rows)
		}
	}
	rows = newest(rows)
	version, since := p.Monitor.Server()
	st := p.Monitor.Work()
	return head{
		Version: version, Since: since.UnixMilli(), Ready: p.Monitor.Ready() == nil, Sessions: total, Shown: len(rows),
		InFlight: p.Monitor.InFlight(), Running: st.Running, Queued: st.Queued, Tickets: st.Tickets,
	}, rows
}

func newest(rows []row) []row {
	slices.SortFunc(rows, func(a, b row) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.Ref, b.Ref))
	})
	return rows[:min(len(rows), maxRows)]
}

type indexView struct {
	Head     head
	Rows     []row
	Me       string
	CanEnd   bool
	Filter   string
	Rendered int64
}

// index shows the page. It is whole without the script, which only keeps it up
// to date and lets one act.
func (p *page) index(w http.ResponseWriter, r *http.Request) {
	who := p.who(r)
	if who == nil {
		http.Redirect(w, r, "/admin/login", http.StatusSeeOther)
		return
	}
	h, rows := p.look()
	filter := r.URL.Query().Get("q")
	if filter != "" {
		rows = slices.DeleteFunc(rows, func(x row) bool { return !x.matches(filter) })
	}
	p.render(w, r, http.StatusOK, "page.html", indexView{
		Head: h, Rows: rows, Me: who.Name, CanEnd: policy.Allows(who, policy.AdminWrite), Filter: filter, Rendered: time.Now().UnixMilli(),
	})
}

// matches tells whether every word of the filter is somewhere in the row.
func (x row) matches(filter string) bool {
	text := strings.ToLower(strings.Join([]string{x.Ref, x.Kind, x.Subject, x.Tenant, x.Issuer, x.Name, x.Client, x.Revision, x.Transport, x.State}, " "))
	for word := range strings.FieldsSeq(strings.ToLower(filter)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

func (p *page) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := p.templates.ExecuteTemplate(&b, name, data); err != nil {
		deny(w, r, fmt.Errorf("render %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // the browser is gone: nobody is left to tell
}

// ago writes how long before now a time in milliseconds was.
func ago(ms int64) string {
	d := time.Since(time.UnixMilli(ms))
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh %dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

// size writes bytes for people.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
