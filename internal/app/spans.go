package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/lyceum-mcp/lyceum/api"
	"github.com/lyceum-mcp/lyceum/internal/audit"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/mcpserve"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// What a flight recording costs and goes back. At most one a minute is written.
const (
	flightFolder = "flight" // in the data directory
	flightEvery  = time.Minute
	flightWindow = 10 * time.Second
	flightBytes  = 16 << 20
)

// watcher sees every call that is over, for operators without a collector. All of
// it is bounded.
type watcher struct {
	spans       *telemetry.Spans // nil if none are kept
	flight      *telemetry.Flight
	flightAfter time.Duration
	times       *timelines
	tenants     *telemetry.TopK
}

// openWatcher makes what keeps spans and timelines.
func (a *App) openWatcher() {
	t := a.cfg.Telemetry
	a.watcher = &watcher{times: newTimelines(t.Timelines), tenants: telemetry.NewTopK(t.Tenants, t.TopTenants), flightAfter: t.FlightAfter}
	if t.SpanBytes > 0 {
		a.watcher.spans = telemetry.NewSpans(int(t.SpanBytes), t.SlowAfter)
	}
}

// openFlight starts the flight recorder, if it is wanted. A process has one: a
// second server in it goes without.
func (a *App) openFlight() {
	t := a.cfg.Telemetry
	if !t.Flight {
		return
	}
	f, err := telemetry.StartFlight(telemetry.FlightConfig{
		Dir: filepath.Join(a.cfg.Data, flightFolder), Files: t.FlightFiles, Every: flightEvery, Window: flightWindow, MaxBytes: flightBytes, Log: a.log,
	})
	if err != nil {
		a.log.Warn("there is no flight recorder", "error", err)
		return
	}
	a.watcher.flight = f
	a.undo.push("flight recorder", func(context.Context) error { f.Close(); return nil })
}

// Called implements mcpserve.Watcher.
func (w *watcher) Called(r mcpserve.CallReport) {
	w.tenants.Add(r.Tenant, r.Err != nil)
	if failed := r.ServerFault(); !r.Sampled && (failed || w.spans.IsSlow(r.Took)) {
		w.spans.Add(spanOf(&r, failed))
	}
	if w.flightAfter > 0 && r.Took >= w.flightAfter {
		w.flight.Trigger("slow")
	}
	w.times.called(&r)
}

// spanOf is the one span of a call whose trace is not kept.
func spanOf(r *mcpserve.CallReport, failed bool) telemetry.Span {
	s := telemetry.Span{
		Name: "tools/call " + r.Operation, Kind: "server", Start: r.Started, Duration: r.Took, Failed: failed,
		Attributes: []telemetry.SpanAttribute{{Key: "lyceum.operation", Value: r.Operation}, {Key: "lyceum.request.id", Value: r.Request}},
	}
	if r.Span.IsValid() {
		s.Trace, s.ID = r.Span.TraceID().String(), r.Span.SpanID().String()
	}
	if r.Session != "" {
		s.Attributes = append(s.Attributes, telemetry.SpanAttribute{Key: "lyceum.session.ref", Value: r.Session.Ref()})
	}
	if r.Err != nil {
		s.Error = r.Code()
	}
	for name, part := range r.Phases() {
		s.Phases = append(s.Phases, telemetry.SpanPhase{Name: name, Offset: part.Offset, Duration: part.Duration})
	}
	return s
}

// Spans returns the newest spans of a list.
func (m *monitor) Spans(kind telemetry.SpanKind, limit int) ([]telemetry.Span, uint64) {
	return m.app.watcher.spans.List(kind, limit)
}

// Fly writes a flight recording.
func (m *monitor) Fly(ctx context.Context) (file telemetry.FlightFile, err error) {
	flight := m.app.watcher.flight
	if flight == nil {
		return file, &fault.Error{Kind: fault.NotFound, Code: "flight_off", Public: "there is no flight recorder: set telemetry.flight"}
	}
	err = m.app.audit.act(ctx, "flight", func(r *audit.Record) error {
		file, err = flight.Write("asked")
		r.Reason = fmt.Sprintf("file %q, %d bytes", file.Name, file.Bytes)
		if soon, ok := errors.AsType[*telemetry.TooSoonError](err); ok {
			return &fault.Error{Kind: fault.RateLimited, Code: "flight_too_soon", Public: soon.Error(), RetryAfter: soon.After}
		}
		return err
	})
	return file, err
}

// Timeline returns the latest events and calls of a session, the oldest first.
func (m *monitor) Timeline(ref string) ([]api.Happening, bool) { return m.app.watcher.times.of(ref) }
