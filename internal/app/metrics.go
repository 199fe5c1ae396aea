package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/job"
	"github.com/lyceum-mcp/lyceum/internal/limit"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
	"github.com/lyceum-mcp/lyceum/internal/work"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
)

// MetricsVersion is that of the contract in docs/metrics.md. A name, unit or label
// that changes or goes is a new one; additions are not.
const MetricsVersion = "1"

// meterName is the scope of what this package measures.
const meterName = "github.com/lyceum-mcp/lyceum/internal/app"

// shedCode is that of refusals because calls wait too long.
const shedCode = "shedding"

// meters are the instruments of the server's parts. Those that count anyway are
// read when somebody asks.
type meters struct {
	meter  metric.Meter
	tracer trace.Tracer

	lives        metric.Float64Histogram
	storeLatency metric.Float64Histogram

	addressLimited, tokenLimited atomic.Uint64
}

// openMeters makes the instruments that record as things happen.
func openMeters(mp metric.MeterProvider, tp trace.TracerProvider) (*meters, error) {
	m := &meters{meter: mp.Meter(meterName, metric.WithInstrumentationVersion(MetricsVersion)), tracer: tp.Tracer(meterName)}
	var err, err2 error
	m.lives, err = m.meter.Float64Histogram("mcp.server.session.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of an MCP transport session."))
	m.storeLatency, err2 = m.meter.Float64Histogram("lyceum.store.latency", metric.WithUnit("s"),
		metric.WithDescription("Time that a call of the session store took."))
	return m, errors.Join(err, err2)
}

// lived records the end of a transport session. The revision is a negotiated one.
func (m *meters) lived(e session.Ending) {
	set := []attribute.KeyValue{attribute.String("mcp.protocol.version", e.Client.Revision), attribute.String("network.protocol.name", "http")}
	if evicted(e.Reason) {
		set = append(set, attribute.String("error.type", string(e.Reason)))
	}
	m.lives.Record(context.Background(), e.At.Sub(e.Opened).Seconds(), metric.WithAttributeSet(attribute.NewSet(set...)))
}

func evicted(why session.Reason) bool {
	return why == session.ReasonOwnerCap || why == session.ReasonTenantCap || why == session.ReasonGlobalCap
}

// refused counts requests that a rate limit at the door refused.
func (m *meters) refused(err error) {
	switch fault.From(err).Code {
	case "address_rate_limited":
		m.addressLimited.Add(1)
	case "token_rate_limited":
		m.tokenLimited.Add(1)
	}
}

// picture is what one reading of the metrics is made of.
type picture struct {
	work                 work.Stats
	sessions, transports session.Stats
	jobs                 job.Stats
	gate                 middleware.GateStats
	limits               limit.Stats
	tenants              []telemetry.TopCount
}

func (a *App) picture() *picture {
	return &picture{
		work: a.scheduler.Stats(), sessions: a.sessions.Stats(), transports: a.transports.Stats(), jobs: a.jobs.Stats(),
		gate: a.gate.Stats(), limits: a.limits.Stats(), tenants: a.watcher.tenants.Counts(),
	}
}

// table collects the instruments that are read.
type table struct {
	meter metric.Meter
	all   []metric.Observable
	reads []func(metric.Observer, *picture)
	err   error
}

// tell is how an instrument says a value, with labels in pairs.
type tell func(v int64, labels ...string)

func (t *table) gauge(name, unit, text string, read func(*picture, tell)) {
	g, err := t.meter.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(text))
	t.add(g, err, read)
}

func (t *table) counter(name, unit, text string, read func(*picture, tell)) {
	c, err := t.meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
	t.add(c, err, read)
}

func (t *table) add(i metric.Int64Observable, err error, read func(*picture, tell)) {
	if err != nil {
		t.err = errors.Join(t.err, err)
		return
	}
	t.all = append(t.all, i)
	t.reads = append(t.reads, func(o metric.Observer, p *picture) {
		read(p, func(v int64, labels ...string) {
			set := make([]attribute.KeyValue, 0, len(labels)/2)
			for i := 0; i < len(labels); i += 2 {
				set = append(set, attribute.String(labels[i], labels[i+1]))
			}
			o.ObserveInt64(i, v, metric.WithAttributes(set...))
		})
	})
}

// measure makes the metrics of the finished server. They cost nothing until
// somebody reads them.
func (a *App) measure() error {
	t := &table{meter: a.meters.meter}
	a.measureServer(t)
	a.measureWork(t)
	a.measureSessions(t)
	a.measureTenants(t)
	if t.err != nil {
		return fmt.Errorf("measure the server: %w", t.err)
	}
	registered, err := a.meters.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		p := a.picture()
		for _, read := range t.reads {
			read(o, p)
		}
		return nil
	}, t.all...)
	if err != nil {
		return fmt.Errorf("measure the server: %w", err)
	}
	a.undo.push("metrics", func(context.Context) error { return registered.Unregister() })
	return nil
}

func (a *App) measureServer(t *table) {
	t.gauge("lyceum.info", "", "1, with what runs in its labels.", func(_ *picture, tell tell) {
		tell(1, "version", build.Version(), "go", runtime.Version(), "metrics", MetricsVersion)
	})
	t.gauge("lyceum.drain", "", "1 while the server stops.", func(_ *picture, tell tell) {
		tell(one(a.mcp.Draining()))
	})
	t.gauge("lyceum.calls.in_flight", "{call}", "Tool calls that run or wait.", func(_ *picture, tell tell) { tell(int64(a.mcp.InFlight())) })
	t.gauge("lyceum.calls.overrun", "{call}", "Calls whose tool ignores its deadline and still computes.", func(_ *picture, tell tell) {
		now, _ := a.mcp.Overruns()
		tell(now)
	})
	t.gauge("lyceum.streams.open", "{stream}", "Standing event streams.", func(_ *picture, tell tell) { tell(int64(a.mcp.Streams())) })
	listeners := func(each func(name string, s connStats)) {
		for name, ln := range map[string]net.Listener{"main": a.listener, "admin": a.adminLn} {
			if l, ok := ln.(*limitListener); ok {
				each(name, l.stats())
			}
		}
	}
	t.gauge("lyceum.connections", "{connection}", "Open connections.", func(_ *picture, tell tell) {
		listeners(func(name string, s connStats) { tell(int64(s.Open), "listener", name) })
	})
	t.counter("lyceum.connections.refused", "{connection}", "Connections over a bound.", func(_ *picture, tell tell) {
		listeners(func(name string, s connStats) { tell(int64(s.Refused), "listener", name) })
	})
	t.gauge("lyceum.gate.requests", "{request}", "Requests inside the gate.", func(p *picture, tell tell) {
		tell(int64(p.gate.Ordinary), "place", "ordinary")
		tell(int64(p.gate.Reserved), "place", "reserved")
		tell(int64(p.gate.Streams), "place", "stream")
	})
	t.gauge("lyceum.gate.bodies", "By", "Bodies of requests inside the gate.", func(p *picture, tell tell) { tell(p.gate.Bodies) })
	t.counter("lyceum.rejections", "{request}", "Requests and calls that were refused for lack of room or budget.", a.rejections)
	t.counter("lyceum.ratelimit.decisions", "{decision}", "What each budget decided.", func(p *picture, tell tell) {
		for _, l := range p.limits.Limits {
			tell(int64(l.Allowed), "limit", l.Name, "outcome", "allowed")
			tell(int64(l.Refused), "limit", l.Name, "outcome", "refused")
		}
	})
}

// rejections tells who refused, and by which code.
func (a *App) rejections(p *picture, tell tell) {
	for code, n := range p.gate.Refused {
		reason := "gate"
		if code == shedCode {
			reason = "shed"
		}
		tell(int64(n), "reason", reason, "code", code)
	}
	for code, n := range p.work.Refused {
		tell(int64(n), "reason", "queue", "code", code)
	}
	var budget uint64
	for _, l := range p.limits.Limits {
		budget += l.Refused
	}
	tell(int64(budget), "reason", "budget", "code", "budget")
	tell(int64(a.meters.addressLimited.Load()), "reason", "rate_limit", "code", "address_rate_limited")
	tell(int64(a.meters.tokenLimited.Load()), "reason", "rate_limit", "code", "token_rate_limited")
}

func (a *App) measureWork(t *table) {
	lanes := func(read func(work.LaneStats) int) func(*picture, tell) {
		return func(p *picture, tell tell) {
			for _, l := range p.work.Lanes {
				tell(int64(read(l)), "lane", l.Lane.String())
			}
		}
	}
	t.gauge("lyceum.work.tickets", "{call}", "Calls that may compute at once.", func(p *picture, tell tell) { tell(int64(p.work.Tickets)) })
	t.gauge("lyceum.work.running", "{call}", "Calls that compute.", lanes(func(l work.LaneStats) int { return l.Running }))
	t.gauge("lyceum.queue.depth", "{call}", "Calls that wait for their first turn.", lanes(func(l work.LaneStats) int { return l.Queued }))
	t.gauge("lyceum.queue.resuming", "{call}", "Calls that have given way and wait to go on.", lanes(func(l work.LaneStats) int { return l.Resuming }))
	t.gauge("lyceum.queue.oldest_wait", "ms", "How long the call has waited that waits longest.", func(p *picture, tell tell) { tell(p.work.OldestWait.Milliseconds()) })
	t.counter("lyceum.work.granted", "{call}", "First turns of calls.", func(p *picture, tell tell) {
		for _, l := range p.work.Lanes {
			tell(int64(l.Granted), "lane", l.Lane.String())
		}
	})
	t.counter("lyceum.work.yields", "{turn}", "Turns given up to another call.", func(p *picture, tell tell) { tell(int64(p.work.Yields)) })
	t.counter("lyceum.work.pushed_out", "{call}", "Calls that were pushed out of the full queue.", func(p *picture, tell tell) { tell(int64(p.work.PushedOut)) })
	t.gauge("lyceum.work.lost_workers", "{call}", "Calls that hold a turn although their time is over.", func(p *picture, tell tell) { tell(int64(p.work.Lost)) })
	t.counter("lyceum.work.lost", "{call}", "Calls that have done so.", func(p *picture, tell tell) { tell(int64(p.work.LostTotal)) })
	t.gauge("lyceum.jobs", "{job}", "Runs and jobs.", func(p *picture, tell tell) {
		tell(int64(p.jobs.Running), "state", "running")
		tell(int64(p.jobs.Queued), "state", "queued")
		tell(int64(p.jobs.Retained), "state", "retained")
	})
	t.counter("lyceum.jobs.ended", "{job}", "Runs and jobs that are over.", func(p *picture, tell tell) {
		tell(int64(p.jobs.Completed), "outcome", "completed")
		tell(int64(p.jobs.Failed), "outcome", "failed")
		tell(int64(p.jobs.Canceled), "outcome", "canceled")
	})
	t.counter("lyceum.jobs.store_errors", "{error}", "Failures of the store of jobs.", func(p *picture, tell tell) { tell(int64(p.jobs.StoreErrors)) })
}

func (a *App) measureSessions(t *table) {
	both := func(p *picture, each func(kind string, s *session.Stats)) {
		each(reasoning, &p.sessions)
		each(transport, &p.transports)
	}
	t.gauge("lyceum.sessions", "{session}", "Live sessions.", func(p *picture, tell tell) {
		both(p, func(kind string, s *session.Stats) {
			tell(int64(s.Sessions-s.Idle-s.Draining), "kind", kind, "state", "active")
			tell(int64(s.Idle), "kind", kind, "state", "idle")
			tell(int64(s.Draining), "kind", kind, "state", "draining")
		})
	})
	t.counter("lyceum.sessions.opened", "{session}", "Sessions that were opened.", func(p *picture, tell tell) {
		both(p, func(kind string, s *session.Stats) { tell(int64(s.Opened), "kind", kind) })
	})
	t.counter("lyceum.sessions.ended", "{session}", "Sessions that are over.", func(p *picture, tell tell) {
		both(p, func(kind string, s *session.Stats) {
			for why, n := range s.Ended {
				tell(int64(n), "kind", kind, "reason", string(why))
			}
		})
	})
	t.counter("lyceum.evictions", "{session}", "Sessions that ended to make room.", func(p *picture, tell tell) {
		both(p, func(kind string, s *session.Stats) {
			for why, n := range s.Ended {
				if evicted(why) {
					tell(int64(n), "kind", kind, "reason", string(why))
				}
			}
		})
	})
	t.gauge("lyceum.sessions.state", "By", "Committed state of reasoning sessions.", func(p *picture, tell tell) { tell(p.sessions.Bytes) })
	t.gauge("lyceum.sessions.resident", "By", "Of that, in memory.", func(p *picture, tell tell) { tell(p.sessions.ResidentBytes) })
	t.gauge("lyceum.sessions.unflushed", "{session}", "Sessions of which the store does not know the last use or the end.", func(p *picture, tell tell) { tell(int64(p.sessions.Unflushed)) })
	t.counter("lyceum.store.errors", "{error}", "Failures of the session store.", func(p *picture, tell tell) { tell(int64(p.sessions.StoreErrors)) })
	t.gauge("lyceum.spans.bytes", "By", "Memory of the spans that are kept in the process.", func(_ *picture, tell tell) { tell(int64(a.watcher.spans.Bytes())) })
}

// measureTenants tells of those tenants that the settings or their calls give a
// label; the others are one.
func (a *App) measureTenants(t *table) {
	t.counter("lyceum.tenant.calls", "{call}", "Tool calls by tenant.", func(p *picture, tell tell) {
		for _, c := range p.tenants {
			tell(int64(c.Calls), "tenant", c.Label)
		}
	})
	t.counter("lyceum.tenant.errors", "{call}", "Of these, failed.", func(p *picture, tell tell) {
		for _, c := range p.tenants {
			tell(int64(c.Failed), "tenant", c.Label)
		}
	})
	sums := func(read func(work.TenantStats) int) func(*picture, tell) {
		return func(p *picture, tell tell) {
			n := map[string]int64{}
			for _, c := range p.tenants {
				n[c.Label] = 0
			}
			for _, s := range p.work.Tenants {
				label := s.Tenant
				if _, shown := n[label]; !shown {
					label = telemetry.Other
				}
				n[label] += int64(read(s))
			}
			for label, v := range n {
				tell(v, "tenant", label)
			}
		}
	}
	t.gauge("lyceum.tenant.running", "{call}", "Calls of a tenant that compute.", sums(func(s work.TenantStats) int { return s.Running }))
	t.gauge("lyceum.tenant.queued", "{call}", "Calls of a tenant that wait for a turn.", sums(func(s work.TenantStats) int { return s.Queued }))
}

func one(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
