package web

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

const (
	maxReason = 200 // characters
	refLen    = 16
)

// result is what came of ending a session.
type result struct {
	Ref      string `json:"ref"`
	Ended    bool   `json:"ended"` // false: it ends when its calls and streams have stopped
	InFlight int    `json:"in_flight"`
	Streams  int    `json:"streams"`
	Why      string `json:"why"`
}

// end ends one session. The log has who did it and the reason given.
func (s *site) end(w http.ResponseWriter, r *http.Request) error {
	_, p, err := s.who(r)
	if err != nil {
		return err
	}
	if err := policy.Require(p, policy.AdminWrite); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(fault.Invalid, err, "the form cannot be read")
	}
	reason := strings.TrimSpace(r.PostForm.Get("reason"))
	if !utf8.ValidString(reason) || utf8.RuneCountInString(reason) > maxReason || strings.ContainsFunc(reason, unicode.IsControl) {
		return fault.Newf(fault.Invalid, "the reason: want at most %d characters, none of them a control character", maxReason)
	}
	ref := r.PathValue("ref")
	if !isRef(ref) {
		return fault.Newf(fault.Invalid, "want the %d hexadecimal digits of a session's ref", refLen)
	}
	n, now := note{by: plain(nameOf(p)), reason: plain(reason)}, time.Now()
	s.notes.put(ref, n, now.Add(noteTTL), now) // before the pages hear of the end
	if c := client.FromContext(r.Context()); c != nil {
		c.Reason = reason
	}
	if err := s.mon.EndSession(r.Context(), ref); err != nil {
		s.notes.take(ref, now)
		return err
	}
	s.deps.Log.InfoContext(r.Context(), "operator ended a session", "ref", ref, "operator", p.Subject, "operator_issuer", p.Issuer, "reason", reason)
	s.board.fresh()
	res := result{Ref: ref, Ended: true, Why: n.String()}
	for info := range s.mon.Sessions() {
		if info.Ref == ref {
			res.Ended, res.InFlight, res.Streams = false, info.InFlight, info.Streams
			break
		}
	}
	reply.JSON(w, http.StatusOK, res)
	return nil
}
