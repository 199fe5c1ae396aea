package app

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/metric"

	"github.com/lyceum-mcp/lyceum/internal/audit"
)

// measureAudit makes the log's counters metrics. They are read when somebody asks.
func (a *App) measureAudit(provider metric.MeterProvider) error {
	meter := provider.Meter("github.com/lyceum-mcp/lyceum/internal/app")
	var all []metric.Observable
	var reads []func(metric.Observer, *audit.Stats)
	var failed error
	counter := func(name, unit, text string, read func(*audit.Stats) uint64) {
		c, err := meter.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(text))
		if err != nil {
			failed = err
			return
		}
		all = append(all, c)
		reads = append(reads, func(o metric.Observer, s *audit.Stats) { o.ObserveInt64(c, int64(read(s))) })
	}
	gauge := func(name, text string, read func(*audit.Stats) int64) {
		g, err := meter.Int64ObservableGauge(name, metric.WithDescription(text))
		if err != nil {
			failed = err
			return
		}
		all = append(all, g)
		reads = append(reads, func(o metric.Observer, s *audit.Stats) { o.ObserveInt64(g, read(s)) })
	}
	counter("lyceum.audit.append", "{record}", "Audit records written.", func(s *audit.Stats) uint64 { return s.Appended })
	counter("lyceum.audit.refused", "{record}", "Audit records that were refused, and their calls with them.", func(s *audit.Stats) uint64 { return s.Refused })
	counter("lyceum.audit.lost", "{record}", "Audit records that were dropped under the policy degrade.", func(s *audit.Stats) uint64 { return s.Lost })
	counter("lyceum.audit.write", "{write}", "Writes to the audit log.", func(s *audit.Stats) uint64 { return s.Writes })
	counter("lyceum.audit.write.errors", "{write}", "Writes to the audit log that failed.", func(s *audit.Stats) uint64 { return s.WriteErrors })
	counter("lyceum.audit.sync", "{sync}", "Times the audit log was forced to the disk.", func(s *audit.Stats) uint64 { return s.Syncs })
	counter("lyceum.audit.sync.time", "ms", "Time spent in that.", func(s *audit.Stats) uint64 { return uint64(s.SyncTime.Milliseconds()) })
	gauge("lyceum.audit.queue", "Audit records that wait to be written.", func(s *audit.Stats) int64 { return int64(s.Queue) })
	gauge("lyceum.audit.seq", "Number of the audit log's last line.", func(s *audit.Stats) int64 { return int64(s.Seq) })
	gauge("lyceum.audit.failing", "1 while the audit log cannot be written.", func(s *audit.Stats) int64 {
		if s.Failing {
			return 1
		}
		return 0
	})
	if failed != nil {
		return fmt.Errorf("measure the audit log: %w", failed)
	}
	_, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		s := a.audit.sink.Stats()
		for _, read := range reads {
			read(o, &s)
		}
		return nil
	}, all...)
	if err != nil {
		return fmt.Errorf("measure the audit log: %w", err)
	}
	return nil
}
