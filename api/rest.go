package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/session"
)

// openapi.yaml is the source of the REST interface: types, binding of
// parameters and writing of answers are generated from it.
//
//go:generate go tool -modfile=../internal/lint/go.mod oapi-codegen -config oapi-codegen.yaml ../openapi.yaml
//go:generate go run stamp.go

// Monitor is what the REST interface shows and ends.
type Monitor interface {
	// Sessions yields every live session, of all owners and both kinds.
	Sessions() iter.Seq[session.Info]
	// EndSession ends the session with that reference; NotFound if there is none.
	EndSession(ctx context.Context, ref string) error
	// Work returns a picture of the queue.
	Work() work.Stats
	// InFlight returns the number of calls that run or wait.
	InFlight() int
	// Server says which build runs, and since when.
	Server() (version string, since time.Time)
	Keeper
	Observed
}

// rest answers the operations of openapi.yaml.
type rest struct{ *server }

var _ StrictServerInterface = rest{}

// restRoutes are the rows of openapi.yaml; a test holds the two against each
// other.
func (s *server) restRoutes() []route {
	w := &ServerInterfaceWrapper{
		Handler: NewStrictHandlerWithOptions(rest{s}, nil, StrictHTTPServerOptions{
			RequestErrorHandlerFunc: badRequest, ResponseErrorHandlerFunc: fail,
		}),
		ErrorHandlerFunc: badRequest,
	}
	return []route{
		{http.MethodGet, "/api/v1/sessions", policy.AdminRead, only(w.ListSessions, "tenant", "subject", "kind", "state", "limit", "cursor")},
		{http.MethodGet, "/api/v1/sessions/{ref}", policy.AdminRead, only(w.GetSession)},
		{http.MethodDelete, "/api/v1/sessions/{ref}", policy.AdminWrite, only(w.EndSession, "reason")},
		{http.MethodGet, "/api/v1/sessions/{ref}/timeline", policy.AdminRead, only(w.GetTimeline)},
		{http.MethodGet, "/api/v1/spans", policy.AdminRead, only(w.ListSpans, "kind", "limit")},
		{http.MethodPost, "/api/v1/flight", policy.AdminWrite, only(w.RecordFlight)},
		{http.MethodGet, "/api/v1/backup", policy.AdminWrite, only(w.GetBackup)},
		{http.MethodPost, "/api/v1/restore", policy.AdminWrite, only(w.RestoreBackup)},
		{http.MethodPost, "/api/v1/purge", policy.AdminWrite, only(w.PurgeSubject)},
		{http.MethodGet, "/api/v1/deny", policy.AdminRead, only(w.ListDenials)},
		{http.MethodPost, "/api/v1/deny", policy.AdminWrite, only(w.AddDenial)},
		{http.MethodDelete, "/api/v1/deny/{id}", policy.AdminWrite, only(w.RemoveDenial)},
		{http.MethodGet, "/api/v1/alerts", policy.AdminRead, only(w.ListAlerts)},
		{http.MethodGet, "/api/v1/status", policy.AdminRead, only(w.GetStatus)},
	}
}

// want says of each parameter what it has to be.
var want = map[string]string{
	"tenant":  fmt.Sprintf("a tenant of at most %d bytes", maxFilter),
	"subject": fmt.Sprintf("a subject of at most %d bytes", maxFilter),
	"kind":    fmt.Sprintf("%s or %s", Reasoning, Transport),
	"state":   fmt.Sprintf("%s, %s or %s", Active, Idle, Draining),
	"limit":   fmt.Sprintf("a whole number from 1 to %d", maxLimit),
	"cursor":  "the next_cursor of the page before, unchanged",
	"reason":  fmt.Sprintf("at most %d characters, none of them a control character", maxReason),
	"id":      "the id of a denial, as it is listed",
	"ref":     "the 16 hexadecimal digits of a session's ref, which is not its id",
}

// bad refuses the value of a parameter. The value is not repeated: it could be
// an id that was mistaken for a reference.
func bad(parameter string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_parameter", Public: "parameter " + parameter + ": want " + want[parameter]}
}

// only lets a request through when it has no query parameters but these, each
// at most once. Answers are the operator's alone and of this moment.
func only(next http.HandlerFunc, parameters ...string) http.Handler {
	allowed := "none"
	if len(parameters) > 0 {
		allowed = strings.Join(parameters, ", ")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		for name, values := range r.URL.Query() {
			switch {
			case !slices.Contains(parameters, name):
				fail(w, r, &fault.Error{
					Kind: fault.Invalid, Code: "unknown_parameter",
					Public: fmt.Sprintf("there is no parameter %.40q here: want %s", name, allowed),
				})
				return
			case len(values) > 1:
				fail(w, r, &fault.Error{Kind: fault.Invalid, Code: "invalid_parameter", Public: "parameter " + name + ": want it once"})
				return
			}
		}
		next(w, r)
	})
}

// badRequest answers what the generated code could not read.
func badRequest(w http.ResponseWriter, r *http.Request, err error) {
	if e, ok := errors.AsType[*InvalidParamFormatError](err); ok {
		fail(w, r, bad(e.ParamName))
		return
	}
	fail(w, r, fault.Wrap(fault.Invalid, err, "the request cannot be read"))
}

// fail renders err and notes it for the log.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	if c := client.FromContext(r.Context()); c != nil {
		c.Fail(err)
	}
	reply.Fail(w, r, err)
}
