package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// AccessLog writes one record per request when it is over: what was asked, by
// whom, how it went and why not. It never writes tokens, arguments or handles.
// Health checks are not worth a line unless they fail.
func AccessLog(log *slog.Logger) Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			if !log.Enabled(ctx, slog.LevelInfo) {
				next.ServeHTTP(w, r)
				return
			}
			rec := record(w)
			returned := false
			defer func() { // a panic leaves a record too, on its way to Recover
				write(log, r, rec, returned)
			}()
			next.ServeHTTP(rec, r)
			returned = true
		})
	}
}

var errPanicked = errors.New("the handler panicked")

// write writes the record of r. returned is false when its handler panicked.
func write(log *slog.Logger, r *http.Request, rec *recorder, returned bool) {
	ctx := r.Context()
	status := sent(ctx, rec, returned)
	quiet := r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics"
	if quiet && status < 400 {
		return
	}
	c := client.FromContext(ctx)
	attrs := make([]slog.Attr, 0, 15)
	attrs = append(attrs, slog.String("http_method", methodName(r.Method)), slog.String("path", clipPath(r.URL.Path)),
		slog.Int("status", status), slog.Int64("bytes", rec.bytes),
		slog.Duration("duration", time.Since(c.Started)), slog.String("remote", c.Remote))
	if c.Certificate != "" {
		attrs = append(attrs, slog.String("client_certificate", c.Certificate))
	}
	if p := c.Principal; p != nil {
		attrs = append(attrs, slog.String("tenant", p.Tenant), slog.String("subject", p.Subject))
	}
	if c.Method != "" {
		attrs = append(attrs, slog.String("mcp_method", c.Method), slog.String("target", c.Target), slog.String("revision", c.Revision))
	}
	err := c.Outcome()
	if !returned {
		err = errPanicked
	}
	level := slog.LevelInfo
	if err != nil {
		e := fault.From(err)
		attrs = append(attrs, slog.String("code", e.MachineCode()))
		if e.Kind == fault.Internal || e.Kind == fault.Unavailable {
			level = slog.LevelError
		}
		if e.Err != nil {
			attrs = append(attrs, slog.String("error", e.Err.Error()))
		}
	}
	log.LogAttrs(ctx, level, requestMessage, attrs...)
}

// requestMessage is the message by which the log knows this record from those it
// may leave out.
const requestMessage = telemetry.RequestMessage

// sent returns the status that the caller gets. Where nothing was written, it is
// what the server or Recover will write, or 499 when nobody is there to read it.
func sent(ctx context.Context, rec *recorder, returned bool) int {
	switch {
	case rec.Status() != 0:
		return rec.Status()
	case !returned:
		return http.StatusInternalServerError
	case ctx.Err() != nil:
		return reply.Status(fault.Canceled)
	}
	return http.StatusOK
}

func clipPath(p string) string {
	if len(p) > 128 {
		return p[:128]
	}
	return p
}

// fail renders err, notes it for the log and tells whoever hears of refusals. It
// is the one way in which this package refuses.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	if c := client.FromContext(r.Context()); c != nil {
		c.Fail(err)
		if c.OnRefusal != nil {
			c.OnRefusal(r.Context(), err)
		}
	}
	reply.Deadline(w, refusalTime)
	failer(w, r, err)
}
