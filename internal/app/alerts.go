package app

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
	"github.com/lyceum-mcp/lyceum/internal/build"
	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/egress"
	"github.com/lyceum-mcp/lyceum/middleware"
	"github.com/lyceum-mcp/lyceum/session"
)

// alertKind is what the store calls the outbox of alerts.
const alertKind = "alerts"

// alerts watches the server for its operators.
type alerts struct {
	app     *App
	manager *alert.Manager
	outages atomic.Uint64 // requests whose token nobody could judge
	limit   uint64        // of memory, in bytes; 0 is none

	stopping time.Time // since when the server drains; the manager's goroutine owns it
}

// openAlerts begins to watch. It stands last: it looks at everything. A local
// server has somebody in front of it and is not watched.
func (a *App) openAlerts(ctx context.Context) error {
	if a.listener == nil {
		return nil
	}
	w := &alerts{app: a, limit: memoryLimit(cgroupLimit)}
	cfg := alert.Config{
		Rules: a.cfg.Alerts.AlertRules(), Interval: a.cfg.Alerts.Interval, Source: w.sample, Log: a.log,
		Origin: alert.Origin{Instance: a.baseURL, Page: a.AdminURL() + "#alerts", Runbooks: a.cfg.Alerts.Runbooks},
	}
	if a.cfg.Alerts.WebhookURL != "" {
		hook, err := webhook(a.cfg.Alerts)
		if err != nil {
			return fmt.Errorf("alerts: %w", err)
		}
		a.undo.push("webhook's connections", func(context.Context) error { hook.Client.CloseIdleConnections(); return nil })
		cfg.Webhook = hook
		if a.store != nil {
			cfg.Store = outbox{a.store}
		} else {
			a.log.WarnContext(ctx, "notifications of alerts that were not delivered end with the process", "mend", "use store file")
		}
	}
	var err error
	if w.manager, err = alert.New(ctx, cfg); err != nil {
		return err
	}
	a.alerts = w
	watching, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.manager.Run(watching) })
	a.undo.push("alerts", func(context.Context) error { cancel(); wg.Wait(); return nil })
	return nil
}

// snapshot returns how the alerts stand, or nil where nobody watches.
func (w *alerts) snapshot() *alert.Snapshot {
	if w == nil {
		return nil
	}
	return w.manager.Snapshot()
}

// refusal counts requests that were refused because nobody could judge their token:
// an issuer's keys could not be fetched, or it did not answer.
func (w *alerts) refusal(r middleware.Refusal) {
	if w != nil && r.Status == http.StatusServiceUnavailable {
		w.outages.Add(1)
	}
}

// sample measures what the rules look at. It costs a lock of each part.
func (w *alerts) sample() alert.Sample {
	a := w.app
	queue, gate, log, sessions := a.scheduler.Stats(), a.gate.Stats(), a.audit.sink.Stats(), a.sessions.Stats()
	s := alert.Sample{
		alert.QueueWait:       queue.Waits.P99.Seconds(),
		alert.QueueOldest:     queue.OldestWait.Seconds(),
		alert.LostWorkers:     float64(queue.Lost),
		alert.StoreErrors:     float64(sessions.StoreErrors + a.jobs.Stats().StoreErrors),
		alert.AuditFailing:    0,
		alert.AuditLost:       float64(log.Lost + log.Refused),
		alert.IdentityOutages: float64(w.outages.Load()),
		alert.QuotaErrors:     float64(a.limits.Stats().SourceFailures),
		alert.DrainShare:      w.drained(queue.Draining, time.Now()),
		alert.SessionShare: max(
			float64(sessions.Sessions)/float64(max(1, a.cfg.Sessions.MaxTotal)),
			float64(sessions.Bytes)/float64(max(1, a.cfg.Sessions.MaxBytesTotal))),
	}
	if log.Failing {
		s[alert.AuditFailing] = 1
	}
	// What one tenant has too much of is its own affair, and a server that stops
	// refuses on purpose.
	refused := queue.Refused["queue_full"] + queue.Refused["queue_timeout"]
	offered := gate.Admitted
	for code, n := range gate.Refused {
		offered += n
		switch code {
		case "too_many_in_flight", "too_many_streams", "bodies_in_flight", "shedding":
			refused += n
		}
	}
	s[alert.Offered], s[alert.Refused] = float64(offered), float64(refused)
	if w.limit > 0 {
		s[alert.MemoryShare] = float64(memoryUsed()) / float64(w.limit)
	}
	return s
}

// drained returns the share of the time to drain that has passed.
func (w *alerts) drained(now bool, at time.Time) float64 {
	switch {
	case !now:
		return 0
	case w.stopping.IsZero():
		w.stopping = at
	}
	if w.app.cfg.Drain.Timeout <= 0 {
		return 0
	}
	return at.Sub(w.stopping).Seconds() / w.app.cfg.Drain.Timeout.Seconds()
}

// cgroupLimit is the memory limit of the process's control group, as a container
// sees it.
const cgroupLimit = "/sys/fs/cgroup/memory.max"

// memoryLimit returns how much memory the process may have: the lower of the
// runtime's soft limit and its control group's in file, 0 where there is neither.
func memoryLimit(file string) uint64 {
	limit := uint64(0)
	if soft := debug.SetMemoryLimit(-1); soft < 1<<62 {
		limit = uint64(soft)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return limit
	}
	hard, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || hard == 0 { // "max" is no limit
		return limit
	}
	return min(hard, cmp.Or(limit, hard))
}

// memoryUsed returns the bytes that the runtime has from the system.
func memoryUsed() uint64 {
	all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(all)
	return all[0].Value.Uint64() - all[1].Value.Uint64()
}

// webhook is where alerts go. The address was written down by an operator, so it may
// be on this machine, or in the networks that were written down too.
func webhook(c config.Alerts) (*alert.Webhook, error) {
	text := c.WebhookSecret.Reveal()
	if c.WebhookSecretFile != "" {
		var err error
		if text, err = secretLines(c.WebhookSecretFile); err != nil {
			return nil, fmt.Errorf("secret of the webhook: %w", err)
		}
	}
	secrets, err := alert.ParseSecrets(text)
	if err == nil && len(secrets) == 0 {
		err = errors.New("there is none")
	}
	if err != nil {
		return nil, fmt.Errorf("secret of the webhook: %w", err)
	}
	client := egress.New(egress.Config{Configured: []string{c.WebhookURL}, Networks: c.PrivateNetworks})
	return &alert.Webhook{URL: c.WebhookURL, Secrets: secrets, Client: client, Agent: "lyceum/" + build.Version()}, nil
}

// secretLines returns the lines of a file with secrets, joined by commas.
func secretLines(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	limited := &io.LimitedReader{R: f, N: maxSecretFile + 1}
	var all []string
	lines := bufio.NewScanner(limited)
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" {
			all = append(all, line)
		}
	}
	if limited.N == 0 {
		return "", fmt.Errorf("%s: more than %d bytes", path, maxSecretFile)
	}
	return strings.Join(all, ","), lines.Err()
}

// outbox keeps what has still to be told in the store, as one object.
type outbox struct{ store session.Store }

// outboxKey names that object. It belongs to no owner.
var outboxKey = session.ObjectKey{Kind: alertKind, ID: "outbox"}

func (o outbox) Load(ctx context.Context) ([]byte, error) {
	object, err := o.store.LoadObject(ctx, outboxKey)
	if errors.Is(err, session.ErrNoRecord) {
		return nil, nil
	}
	return object.Data, err
}

func (o outbox) Save(ctx context.Context, data []byte) error {
	return o.store.PutObject(ctx, session.Object{ObjectKey: outboxKey, Data: data})
}
