package web

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// update is one event: the whole picture first, then what changed, at most once
// a second.
type update struct {
	Type string   `json:"type"` // snapshot, delta or end
	Head *head    `json:"head,omitempty"`
	Rows []row    `json:"rows,omitempty"` // new or changed
	Gone []string `json:"gone,omitempty"` // references
}

const writeTimeout = 10 * time.Second

// events keeps a page up to date until it is closed, its login ends or the
// server stops.
func (p *page) events(w http.ResponseWriter, r *http.Request) {
	if p.who(r) == nil {
		deny(w, r, errLoggedOut)
		return
	}
	select {
	case p.watchers <- struct{}{}:
		defer func() { <-p.watchers }()
	default:
		deny(w, r, &fault.Error{Kind: fault.Overloaded, RetryAfter: 5 * time.Second, Public: "too many pages are open"})
		return
	}
	st := reply.NewStream(w, writeTimeout)
	defer st.Close()
	send := func(u update) bool {
		b, err := json.Marshal(u)
		return err == nil && st.Send(b) == nil
	}
	h, rows := p.look()
	if !send(update{Type: "snapshot", Head: &h, Rows: rows}) {
		return
	}
	seen := make(map[string]row, len(rows))
	for _, x := range rows {
		seen[x.Ref] = x
	}
	beat := time.NewTicker(tick)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
		}
		if p.who(r) == nil || p.Monitor.Ready() != nil {
			send(update{Type: "end"})
			return
		}
		now, rows := p.look()
		u := update{Type: "delta"}
		fresh := make(map[string]row, len(rows))
		for _, x := range rows {
			fresh[x.Ref] = x
			if old, ok := seen[x.Ref]; !ok || old != x {
				u.Rows = append(u.Rows, x)
			}
		}
		for ref := range seen {
			if _, ok := fresh[ref]; !ok {
				u.Gone = append(u.Gone, ref)
			}
		}
		if now != h {
			u.Head = &now
		}
		h, seen = now, fresh
		if u.Head == nil && u.Rows == nil && u.Gone == nil {
			if st.KeepAlive(15*time.Second) != nil {
				return
			}
			continue
		}
		if !send(u) {
			return
		}
	}
}

const maxReason = 200

// end ends a session for the operator, who says why.
func (p *page) end(w http.ResponseWriter, r *http.Request) {
	who := p.who(r)
	if who == nil {
		deny(w, r, errLoggedOut)
		return
	}
	if err := policy.Require(who, policy.AdminWrite); err != nil {
		deny(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	if len(reason) > maxReason {
		deny(w, r, fault.Newf(fault.Invalid, "the reason has %d characters; at most %d are kept", len(reason), maxReason))
		return
	}
	ref := r.PathValue("ref")
	err := p.Monitor.EndSession(r.Context(), ref)
	p.Log.InfoContext(r.Context(), "operator ended a session", "ref", ref, "subject", who.Subject, "issuer", who.Issuer, "reason", reason, "ok", err == nil)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = fault.Newf(fault.NotFound, "that session is over already")
		}
		deny(w, r, err)
		return
	}
	reply.JSON(w, http.StatusOK, map[string]string{"ended": ref})
}
