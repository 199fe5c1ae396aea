package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lyceum-mcp/lyceum/internal/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is who is told, without a network: a bubble of synctest has none.
type receiver struct {
	t      *testing.T
	secret Secret

	mu sync.Mutex
	// Owned by mu.
	down   error
	status int
	asked  string // Retry-After
	tries  []time.Time
	told   []Payload
	ids    []string // of all good attempts
}

func (r *receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries = append(r.tries, time.Now())
	if r.down != nil {
		return nil, r.down
	}
	if err := Verify(r.secret, req.Header, body, time.Now()); err != nil {
		r.t.Error(err)
	}
	answer := &http.Response{StatusCode: r.status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("thanks"))}
	if r.asked != "" {
		answer.Header.Set("Retry-After", r.asked)
	}
	if r.status/100 == 2 {
		var p Payload
		if err := json.Unmarshal(body, &p); err != nil {
			r.t.Error(err)
		}
		r.told = append(r.told, p)
		r.ids = append(r.ids, req.Header.Get(HeaderID))
	}
	return answer, nil
}

func (r *receiver) set(down error, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.status = down, status
}

func (r *receiver) statuses() (all []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.told {
		all = append(all, p.Status)
	}
	return all
}

// disk is a Store that can fail.
type disk struct {
	mu   sync.Mutex
	data []byte // owned by mu
	fail error  // owned by mu
}

func (d *disk) Load(context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return bytes.Clone(d.data), d.fail
}

func (d *disk) Save(ctx context.Context, data []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fail == nil && ctx.Err() == nil {
		d.data = bytes.Clone(data)
	}
	return errors.Join(d.fail, ctx.Err())
}

// watch is a manager and what is around it.
type watch struct {
	*Manager
	to   *receiver
	disk *disk
	log  *bytes.Buffer
	stop func()
}

func newWatch(t *testing.T, d *disk, value func() float64, change func(*Config)) *watch {
	t.Helper()
	w := &watch{to: &receiver{t: t, secret: Secret(strings.Repeat("k", 32)), status: 204}, disk: d, log: new(bytes.Buffer)}
	cfg := Config{
		Rules: []Rule{{
			Name: "LyceumQueueWait", Severity: Critical, Summary: "Calls wait.", Unit: "s",
			Measure: Measure{Of: QueueWait}, Above: 2, Clear: 1, For: 10 * time.Second, Hold: 20 * time.Second,
		}},
		Source:  func() Sample { return Sample{QueueWait: value()} },
		Log:     slog.New(slog.NewJSONHandler(w.log, nil)),
		Origin:  Origin{Instance: "https://lyceum.example", Page: "https://lyceum.example/admin/", Runbooks: "https://docs.example/runbooks/"},
		Webhook: &Webhook{URL: "https://receiver.example/secret-path", Secrets: []Secret{w.to.secret}, Client: &http.Client{Transport: w.to}},
		Store:   d,
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	w.Manager = m
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { m.Run(ctx) })
	w.stop = func() { cancel(); wg.Wait() }
	return w
}

// TestOverload: a flood makes the wait long; the alert is pending, fires, the
// receiver is down and gets it later, the flood ends, and it is told so.
func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		// The flood lasts for a minute, then the queue drains within seconds.
		wait := func() float64 {
			switch at := time.Since(began); {
			case at < 5*time.Second || at > 65*time.Second:
				return 0.01
			default:
				return 4
			}
		}
		bus := new(event.Bus[Transition])
		w := newWatch(t, new(disk), wait, func(c *Config) { c.Bus = bus })
		var heard []State
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		changes := bus.Subscribe(ctx)
		wg.Go(func() {
			for c := range changes {
				heard = append(heard, c.Alert.State)
			}
		})
		state := func(after time.Duration, want State) {
			t.Helper()
			time.Sleep(time.Until(began.Add(after)))
			synctest.Wait()
			if a := w.Snapshot().Alerts[0]; a.State != want {
				t.Errorf("after %v: %s, want %s", after, a.State, want)
			}
		}
		w.to.set(errors.New("connection refused"), 0)
		state(3*time.Second, Inactive)
		state(6*time.Second, Pending)
		state(16*time.Second, Firing)
		if d := w.Snapshot().Delivery; d.Waiting != 1 || d.Failed == 0 || d.Problem == "" || d.Delivered != 0 {
			t.Errorf("while the receiver is down: %+v", d)
		}
		w.to.set(nil, 204)
		state(50*time.Second, Firing)
		if got := w.to.statuses(); !slices.Equal(got, []string{"firing"}) {
			t.Errorf("told %v, want firing once", got)
		}
		state(80*time.Second, Firing) // good, but not yet for long enough
		state(95*time.Second, Resolved)
		cancel()
		w.stop()
		wg.Wait()

		if got := w.to.statuses(); !slices.Equal(got, []string{"firing", "resolved"}) {
			t.Errorf("told %v", got)
		}
		if !slices.Equal(heard, []State{Pending, Firing, Resolved}) {
			t.Errorf("the bus heard %v", heard)
		}
		p := w.to.told[1]
		a := p.Alerts[0]
		if p.Version != "4" || p.GroupLabels["alertname"] != "LyceumQueueWait" || p.CommonLabels["severity"] != "critical" || p.ExternalURL != "https://lyceum.example/admin/" ||
			a.Annotations["runbook_url"] != "https://docs.example/runbooks/LyceumQueueWait.md" || !a.EndsAt.After(a.StartsAt) || a.Fingerprint != w.to.told[0].Alerts[0].Fingerprint {
			t.Errorf("%+v", p)
		}
		if !w.to.told[0].Alerts[0].EndsAt.IsZero() {
			t.Error("what fires has an end")
		}
		log := w.log.String()
		for _, want := range []string{`"level":"ERROR","msg":"alert changed","alert":"LyceumQueueWait","state":"firing"`, `"level":"INFO","msg":"alert changed","alert":"LyceumQueueWait","state":"resolved"`, `"msg":"a notification could not be delivered yet"`} {
			if !strings.Contains(log, want) {
				t.Errorf("the log lacks %s:\n%s", want, log)
			}
		}
		if strings.Contains(log, "secret-path") {
			t.Error("the log has the receiver's URL")
		}
	})
}

// TestRestart: neither what waits to be told nor what has to be resolved is lost
// with the process.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := newWatch(t, d, func() float64 { return 9 }, nil)
		w.to.set(errors.New("down"), 0)
		time.Sleep(time.Minute)
		w.stop()
		if got := w.to.statuses(); got != nil {
			t.Fatalf("told %v", got)
		}

		// The next process finds it still firing, and tells it once.
		w = newWatch(t, d, func() float64 { return 9 }, nil)
		time.Sleep(time.Minute)
		w.stop()
		if got := w.to.statuses(); !slices.Equal(got, []string{"firing"}) {
			t.Errorf("told %v", got)
		}
		first := w.to.told[0].Alerts[0]

		// The one after it finds all well, and tells that.
		w = newWatch(t, d, func() float64 { return 0 }, nil)
		if a := w.Snapshot().Alerts[0]; a.State != Firing || !a.Started.Equal(first.StartsAt) {
			t.Errorf("resumed as %+v", a)
		}
		time.Sleep(time.Minute)
		w.stop()
		if got := w.to.statuses(); !slices.Equal(got, []string{"resolved"}) || !w.to.told[0].Alerts[0].StartsAt.Equal(first.StartsAt) {
			t.Errorf("told %v", got)
		}

		// And then there is nothing left to tell.
		w = newWatch(t, d, func() float64 { return 0 }, nil)
		time.Sleep(time.Minute)
		w.stop()
		if got := w.to.statuses(); got != nil {
			t.Errorf("told %v again", got)
		}
	})
}

// TestRuleIsGone: an alert whose rule was switched off while it fired is told to
// be over.
func TestRuleIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := newWatch(t, d, func() float64 { return 9 }, nil)
		time.Sleep(time.Minute)
		w.stop()
		w = newWatch(t, d, func() float64 { return 9 }, func(c *Config) { c.Rules = nil })
		time.Sleep(time.Second)
		w.stop()
		if got := w.to.statuses(); !slices.Equal(got, []string{"resolved"}) {
			t.Errorf("told %v", got)
		}
		var o outbox
		if err := json.Unmarshal(d.data, &o); err != nil || len(o.Firing)+len(o.Queue) != 0 {
			t.Errorf("stored %s, %v", d.data, err)
		}
	})
}

// TestDiskFails: notifications are sent although they cannot be stored, and stored
// as soon as they can.
func TestDiskFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := newWatch(t, d, func() float64 { return 9 }, nil)
		d.mu.Lock()
		d.fail = errors.New("no space left")
		d.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := w.to.statuses(); !slices.Equal(got, []string{"firing"}) {
			t.Errorf("told %v", got)
		}
		d.mu.Lock()
		d.fail = nil
		d.mu.Unlock()
		time.Sleep(DefaultInterval)
		synctest.Wait()
		if !strings.Contains(string(d.data), `"firing":[{"rule":"LyceumQueueWait"`) {
			t.Errorf("stored %s", d.data)
		}
		w.stop()
		if !strings.Contains(w.log.String(), "the outbox of alerts is not stored") {
			t.Error("nobody was told")
		}
	})
}

func TestDamagedStore(t *testing.T) {
	for _, data := range []string{"{", `{"version":99}`, `[]`} {
		synctest.Test(t, func(t *testing.T) {
			w := newWatch(t, &disk{data: []byte(data)}, func() float64 { return 9 }, nil)
			time.Sleep(time.Minute)
			w.stop()
			if got := w.to.statuses(); !slices.Equal(got, []string{"firing"}) || !strings.Contains(w.log.String(), "notifications of the last process are lost") {
				t.Errorf("%s: told %v, log %s", data, got, w.log)
			}
		})
	}
	if _, err := New(t.Context(), Config{
		Source: func() Sample { return nil }, Log: slog.New(slog.DiscardHandler), Store: &disk{fail: errors.New("broken")},
		Webhook: &Webhook{URL: "x", Client: http.DefaultClient, Secrets: []Secret{{1}}},
	}); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a store that cannot be read: %v", err)
	}
	for _, c := range []Config{
		{},
		{Source: func() Sample { return nil }},
		{Source: func() Sample { return nil }, Log: slog.New(slog.DiscardHandler), Webhook: &Webhook{URL: "x", Client: http.DefaultClient}},
		{Source: func() Sample { return nil }, Log: slog.New(slog.DiscardHandler), Rules: []Rule{{}}},
	} {
		if _, err := New(t.Context(), c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

// TestWithoutWebhook: the page and the log know, nobody is told.
func TestWithoutWebhook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(disk)
		w := newWatch(t, d, func() float64 { return 9 }, func(c *Config) { c.Webhook = nil })
		time.Sleep(time.Minute)
		w.stop()
		if s := w.Snapshot(); s.Alerts[0].State != Firing || s.Delivery.On || len(w.to.tries) != 0 || d.data != nil {
			t.Errorf("%+v", s)
		}
	})
}
