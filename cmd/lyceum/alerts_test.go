package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// pager is who is told of alerts: an HTTP server that checks signatures.
type pager struct {
	t      *testing.T
	url    string
	secret string

	mu sync.Mutex
	// Owned by mu.
	down  bool
	tries int
	told  []alert.Payload
	ids   []string
}

func newPager(t *testing.T) *pager {
	t.Helper()
	p := &pager{t: t, secret: "whsec_bHljZXVtLWx5Y2V1bS1seWNldW0tbHljZXVtLTEyMw=="}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.url = s.URL
	return p
}

func (p *pager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tries++
	if p.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	secrets, err := alert.ParseSecrets(p.secret)
	if err != nil {
		p.t.Error(err)
		return
	}
	if err := alert.Verify(secrets[0], r.Header, body, time.Now()); err != nil {
		p.t.Error(err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var told alert.Payload
	if err := json.Unmarshal(body, &told); err != nil || told.Version != "4" || len(told.Alerts) != 1 {
		p.t.Errorf("told %s: %v", body, err)
	}
	p.told = append(p.told, told)
	p.ids = append(p.ids, r.Header.Get(alert.HeaderID))
}

func (p *pager) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// stalled is the rule that these tests make fire.
const stalled = "LyceumQueueStalled"

// heard returns what was told about that rule: its statuses, and the last of it.
func (p *pager) heard() (statuses []string, last alert.PayloadAlert, tries int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.told {
		if t.GroupLabels["alertname"] == stalled {
			statuses, last = append(statuses, t.Status), t.Alerts[0]
		}
	}
	return statuses, last, p.tries
}

// settings writes a configuration with one core, a short fuse and the pager.
func (p *pager) settings(extra string) string {
	p.t.Helper()
	file := filepath.Join(p.t.TempDir(), "lyceum.yaml")
	text := `
log: {level: warn}
work: {tickets: 1}
alerts:
  interval: 100ms
  webhook_url: ` + p.url + `/hook
  webhook_secret: ` + p.secret + `
  rules:
    - {rule: LyceumQueueStalled, above: 0.3, clear: 0.1, for: 500ms, hold: 500ms}
` + extra
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return file
}

// flood calls with more clients than there are cores, for a third of a second of
// computing each time, until it is stopped.
func (p *proc) flood(token string) (stop func()) {
	p.t.Helper()
	var call struct{ Parameters map[string]any }
	if err := json.Unmarshal(fmt.Appendf(nil, search, 1_000_000, ""), &call); err != nil {
		p.t.Fatal(err)
	}
	call.Parameters["maxMillis"] = 300
	arguments, err := json.Marshal(call.Parameters)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(p.t.Context())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for ctx.Err() == nil {
				var out, errOut bytes.Buffer
				var c callCmd
				c.Operation, c.URL, c.Token = "mcts", p.url+"/mcp", token
				c.JSON = string(arguments)
				_ = c.run(ctx, process{stdout: &out, stderr: &errOut}, nil) // refused or canceled: it comes again
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

// alert asks the server how that rule stands. All but the memory, which may have no
// limit, are measured.
func (p *proc) alert(token string) (state string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.url+"/api/v1/alerts", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	var list struct {
		Alerts []struct {
			Name, State string
			Value       *float64
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil || resp.StatusCode != http.StatusOK || len(list.Alerts) != len(alert.Standard()) {
		p.t.Fatalf("%d, %+v, %v", resp.StatusCode, list, err)
	}
	for _, a := range list.Alerts {
		if a.Value == nil && a.Name != "LyceumMemoryNearLimit" {
			p.t.Errorf("%s is not measured", a.Name)
		}
		if a.Name == stalled {
			state = a.State
		}
	}
	return state
}

// soon waits until ok holds.
func (p *proc) soon(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s did not come to be\n%s", what, p.stderr)
		}
	}
}

// TestAlertOfAFlood floods a server: the alert is pending, fires and is told, once,
// although the first attempt fails; the flood ends, and that is told too.
func TestAlertOfAFlood(t *testing.T) {
	pager := newPager(t)
	pager.set(true)
	p := serve(t, "--config", pager.settings(""))
	operator := p.token("--sub", "root", "--scope", "admin.read")
	if state := p.alert(operator); state != "inactive" {
		t.Fatalf("it begins %s", state)
	}
	seen := []string{"inactive"}
	watch := func(want string) func() bool {
		return func() bool {
			state := p.alert(operator)
			if seen[len(seen)-1] != state {
				seen = append(seen, state)
			}
			return state == want
		}
	}
	stop := p.flood(p.token("--sub", "alice"))
	p.soon("firing", watch("firing"))
	p.soon("a failed attempt", func() bool { _, _, tries := pager.heard(); return tries > 0 })
	pager.set(false)
	p.soon("the message that it fires", func() bool { all, _, _ := pager.heard(); return len(all) == 1 })
	_, fires, _ := pager.heard()
	stop()
	p.soon("resolved", watch("resolved"))
	p.soon("the message that it is over", func() bool { all, _, _ := pager.heard(); return len(all) == 2 })

	if !slices.Equal(seen, []string{"inactive", "pending", "firing", "resolved"}) {
		t.Errorf("it went through %v", seen)
	}
	all, over, _ := pager.heard()
	if !slices.Equal(all, []string{"firing", "resolved"}) || !over.StartsAt.Equal(fires.StartsAt) || !over.EndsAt.After(over.StartsAt) || over.Fingerprint != fires.Fingerprint {
		t.Errorf("told %v: %+v and %+v", all, fires, over)
	}
	if fires.Labels["severity"] != "critical" || !strings.HasSuffix(fires.Annotations["runbook_url"], "/docs/runbooks/"+stalled+".md") || fires.Labels["instance"] != p.url {
		t.Errorf("%+v", fires)
	}
	pager.mu.Lock()
	ids := slices.Clone(pager.ids)
	pager.mu.Unlock()
	slices.Sort(ids)
	if len(slices.Compact(ids)) != len(pager.told) {
		t.Error("a notification came twice")
	}
	if log := p.stderr.String(); !strings.Contains(log, `"msg":"alert changed","alert":"`+stalled+`","state":"firing"`) || strings.Contains(log, pager.secret) {
		t.Errorf("the log:\n%s", log)
	}
	if code := p.request(http.MethodGet, "/api/v1/alerts", p.token("--sub", "alice"), ""); code != http.StatusForbidden {
		t.Errorf("alice, no operator, got %d", code)
	}
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestAlertSurvivesKill: what could not be told before a power failure is told
// after it, and so is the end of what fired then.
func TestAlertSurvivesKill(t *testing.T) {
	pager := newPager(t)
	pager.set(true)
	data, settings := t.TempDir(), pager.settings("")
	p := serveIn(t, data, "--config", settings)
	stop := p.flood(p.token("--sub", "alice"))
	p.soon("a failed attempt", func() bool { _, _, tries := pager.heard(); return tries > 0 })
	p.kill()
	stop()
	pager.set(false)
	p = serveIn(t, data, "--config", settings)
	p.soon("both messages", func() bool {
		all, _, _ := pager.heard()
		return slices.Equal(all, []string{"firing", "resolved"})
	})
	if code := p.stop(); code != 0 {
		t.Errorf("exit status %d", code)
	}
}

// TestRunbookCommands: the program's commands that runbooks tell people to type
// exist, with their flags.
func TestRunbookCommands(t *testing.T) {
	pages, err := filepath.Glob("../../docs/runbooks/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatal(err, pages)
	}
	command := regexp.MustCompile(`(?m)^lyceum ([a-z]+(?: [a-z]+)?)(.*)$`)
	flag := regexp.MustCompile(`--[a-z-]+`)
	help := map[string]string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range command.FindAllStringSubmatch(string(text), -1) {
			if help[m[1]] == "" {
				out, err := lyceum(append(strings.Fields(m[1]), "--help")...)
				if err != nil {
					t.Errorf("%s: lyceum %s: %v", page, m[1], err)
				}
				help[m[1]] = out + " "
			}
			for _, f := range flag.FindAllString(m[2], -1) {
				if !strings.Contains(help[m[1]], f) {
					t.Errorf("%s: lyceum %s has no %s", page, m[1], f)
				}
			}
		}
	}
	if len(help) < 4 {
		t.Errorf("only %d commands: %v", len(help), help)
	}
}
