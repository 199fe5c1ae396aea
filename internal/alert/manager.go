package alert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/event"
)

// DefaultInterval is the time between two samples.
const DefaultInterval = 5 * time.Second

// saveWithin bounds one write of the outbox.
const saveWithin = 5 * time.Second

// Store keeps the outbox, one document of at most a few hundred kilobytes, beyond
// the process. One manager at a time writes to it.
type Store interface {
	Load(ctx context.Context) ([]byte, error) // nothing if nothing was saved
	Save(ctx context.Context, data []byte) error
}

// Config is what a manager works with. Only Source and Log are needed.
type Config struct {
	Rules    []Rule
	Interval time.Duration // 0 is DefaultInterval
	Source   func() Sample // takes a sample, which is the manager's from then on; called from its goroutine
	Log      *slog.Logger
	Bus      *event.Bus[Transition] // hears of every change; may be nil
	Origin   Origin
	Webhook  *Webhook // nil tells nobody
	Store    Store    // of the outbox; nil forgets it with the process
}

// Snapshot is a picture of all alerts at one moment. It is never changed.
type Snapshot struct {
	At       time.Time // of the last sample; zero before the first
	Alerts   []Alert   // firing ones first, then pending, resolved and inactive ones, by name
	Delivery Delivery
	Runbooks string // what links to runbooks begin with
}

// Delivery is how telling goes.
type Delivery struct {
	On        bool   // there is somebody to tell
	Waiting   int    // notifications
	Delivered uint64 // since the start
	Failed    uint64 // attempts, since the start
	Dropped   uint64 // notifications that were given up, since the start
	Problem   string // of the last attempt; "" if it went well
}

// Manager evaluates rules and tells what changes.
type Manager struct {
	cfg    Config
	picked atomic.Pointer[Snapshot]

	// Owned by the goroutine of Run.
	evaluator *Evaluator
	out       *outbox
	delivery  Delivery
	at        time.Time
	dirty     bool         // the store does not have out as it is
	sending   bool         // an attempt is under way
	sent      chan outcome // of it
	inherited []Transition // that an earlier process left to tell
}

// New returns a manager. With a store, it takes over what an earlier process left:
// what was not told yet, and what fired. What is stored but cannot be understood is
// logged and left behind.
func New(ctx context.Context, cfg Config) (*Manager, error) {
	if cfg.Source == nil || cfg.Log == nil {
		return nil, errors.New("alerts: want a source and a log")
	}
	if w := cfg.Webhook; w != nil && (w.URL == "" || w.Client == nil || len(w.Secrets) == 0) {
		return nil, errors.New("alerts: want a webhook with a URL, a client and a secret")
	}
	cfg.Interval = cmp.Or(cfg.Interval, DefaultInterval)
	evaluator, err := NewEvaluator(cfg.Rules)
	if err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	m := &Manager{cfg: cfg, evaluator: evaluator, sent: make(chan outcome, 1), out: &outbox{Version: outboxVersion}}
	m.delivery.On = cfg.Webhook != nil
	if cfg.Store != nil && cfg.Webhook != nil {
		if err := m.inherit(ctx); err != nil {
			return nil, fmt.Errorf("alerts: %w", err)
		}
	}
	m.show()
	return m, nil
}

// inherit takes over what an earlier process left. An alert that fired then and has
// no rule any more is over.
func (m *Manager) inherit(ctx context.Context) error {
	data, err := m.cfg.Store.Load(ctx)
	if err != nil {
		return fmt.Errorf("load the outbox: %w", err)
	}
	if m.out, err = decodeOutbox(data); err != nil {
		m.cfg.Log.ErrorContext(ctx, "notifications of the last process are lost", "error", err)
		return nil
	}
	now := time.Now()
	for _, r := range slices.Clone(m.out.Firing) {
		if m.evaluator.Resume(r.Rule, r.Started) {
			continue
		}
		gone := Alert{
			Rule:  Rule{Name: r.Rule, Severity: Warning, Summary: "The rule of this alert is no longer evaluated."},
			State: Resolved, Since: now, Started: r.Started, Ended: now,
		}
		m.inherited = append(m.inherited, Transition{gone, Firing, now})
	}
	return nil
}

// Snapshot returns how all alerts stand. It costs nothing.
func (m *Manager) Snapshot() *Snapshot { return m.picked.Load() }

// Run samples and tells until ctx ends. What was not told by then is stored.
func (m *Manager) Run(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(m.cfg.Interval)
	defer tick.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	m.tell(ctx, m.inherited)
	m.step(ctx, time.Now())
	for {
		m.save(ctx)
		m.send(ctx, &wg, retry)
		m.show()
		select {
		case <-ctx.Done():
			wg.Wait()
			select {
			case o := <-m.sent:
				m.settle(ctx, o, time.Now())
			default:
			}
			m.save(context.WithoutCancel(ctx))
			m.show()
			return
		case <-tick.C:
			m.step(ctx, time.Now())
		case o := <-m.sent:
			m.settle(ctx, o, time.Now())
		case <-retry.C:
		}
	}
}

// step takes a sample.
func (m *Manager) step(ctx context.Context, now time.Time) {
	s := m.cfg.Source()
	if s == nil {
		s = Sample{}
	}
	m.giveUp(ctx, m.out.age(now), "it is too old")
	s[WebhookLag] = m.out.lag(now).Seconds()
	m.at = now
	m.tell(ctx, m.evaluator.Step(now, s))
}

// tell logs and publishes what changed, and puts into the outbox what the receiver
// has to know.
func (m *Manager) tell(ctx context.Context, changed []Transition) {
	for _, t := range changed {
		a := t.Alert
		level := slog.LevelDebug
		switch {
		case a.State == Firing && a.Rule.Severity == Critical:
			level = slog.LevelError
		case a.State == Firing:
			level = slog.LevelWarn
		case a.State == Resolved:
			level = slog.LevelInfo
		}
		m.cfg.Log.Log(ctx, level, "alert changed", "alert", a.Rule.Name, "state", string(a.State), "severity", string(a.Rule.Severity), "was", string(t.From),
			"value", a.Value, "above", a.Rule.Above, "clear", a.Rule.Clear, "runbook", m.cfg.Origin.Runbook(a.Rule.Name), "summary", a.Rule.Summary)
		if m.cfg.Bus != nil {
			m.cfg.Bus.Publish(t)
		}
		if m.cfg.Webhook == nil || a.State != Firing && a.State != Resolved {
			continue
		}
		n, err := m.cfg.Origin.notification(a, t.At)
		if err != nil {
			m.cfg.Log.ErrorContext(ctx, "an alert cannot be told", "alert", a.Rule.Name, "error", err)
			continue
		}
		m.out.note(a)
		m.giveUp(ctx, m.out.add(n), "too many wait")
		m.dirty = true
	}
}

// giveUp notes what will never be told.
func (m *Manager) giveUp(ctx context.Context, gone []Notification, why string) {
	for _, n := range gone {
		m.dirty = true
		m.cfg.Log.ErrorContext(ctx, "a notification is given up", "alert", n.Rule, "status", string(n.Status), "attempts", n.Attempts, "reason", why)
	}
}

// send begins an attempt if one is due, or sets the timer for when it will be. One
// at a time, in order: a receiver never hears of an end before its beginning.
func (m *Manager) send(ctx context.Context, wg *sync.WaitGroup, retry *time.Timer) {
	if m.cfg.Webhook == nil || m.sending {
		return
	}
	now := time.Now()
	n, due := m.out.due(now)
	if !due {
		if len(m.out.Queue) > 0 {
			retry.Reset(m.out.next.Sub(now))
		}
		return
	}
	m.sending = true
	wg.Go(func() { m.sent <- m.cfg.Webhook.post(ctx, n) })
}

// settle takes note of how an attempt ended.
func (m *Manager) settle(ctx context.Context, o outcome, now time.Time) {
	m.sending, m.dirty = false, true
	if o.err == nil {
		m.delivery.Delivered++
		m.delivery.Problem = ""
		m.out.remove(o.id)
		return
	}
	if ctx.Err() != nil {
		return // we broke it off ourselves; the next process tries again
	}
	m.delivery.Failed++
	m.delivery.Problem = o.err.Error()
	if o.final {
		for _, n := range m.out.Queue {
			if n.ID == o.id {
				m.out.dropped++
				m.giveUp(ctx, []Notification{n}, o.err.Error())
			}
		}
		m.out.remove(o.id)
		return
	}
	m.out.postpone(o.id, now, o.asked)
	m.cfg.Log.WarnContext(ctx, "a notification could not be delivered yet", "waiting", len(m.out.Queue), "next", m.out.next.Sub(now).Round(time.Millisecond), "error", o.err)
}

// save stores the outbox if it changed. What cannot be stored now is stored later,
// and sent meanwhile.
func (m *Manager) save(ctx context.Context) {
	if !m.dirty || m.cfg.Store == nil || m.cfg.Webhook == nil {
		return
	}
	data, err := m.out.encode()
	if err == nil {
		within, cancel := context.WithTimeout(ctx, saveWithin)
		err = m.cfg.Store.Save(within, data)
		cancel()
	}
	if err != nil {
		if ctx.Err() == nil {
			m.cfg.Log.WarnContext(ctx, "the outbox of alerts is not stored", "error", err)
		}
		return
	}
	m.dirty = false
}

// show makes the picture that others see.
func (m *Manager) show() {
	s := &Snapshot{At: m.at, Alerts: m.evaluator.Alerts(), Delivery: m.delivery, Runbooks: m.cfg.Origin.Runbooks}
	s.Delivery.Waiting, s.Delivery.Dropped = len(m.out.Queue), m.out.dropped
	slices.SortFunc(s.Alerts, func(a, b Alert) int {
		return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), cmp.Compare(a.Rule.Name, b.Rule.Name))
	})
	m.picked.Store(s)
}

func rank(s State) int { return slices.Index([]State{Firing, Pending, Resolved, Inactive}, s) }

// Runbook returns the URL of the page about a rule.
func (s *Snapshot) Runbook(rule string) string { return Origin{Runbooks: s.Runbooks}.Runbook(rule) }
