package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/lyceum-mcp/lyceum/internal/alert"
	"github.com/lyceum-mcp/lyceum/internal/config"
)

const (
	rulesFile     = "../../deploy/prometheus/rules.yml"
	dashboardFile = "../../deploy/grafana/lyceum.json"
	runbooks      = "../../docs/runbooks"
)

// promtool runs Prometheus' own checker.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("no promtool: run scripts/test-setup.sh, or install Prometheus (Debian: package prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

type promRule struct {
	Alert, Record, Expr string
	Labels, Annotations map[string]string
}

func promRules(t *testing.T) (all []promRule) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Groups []struct {
			Name  string
			Rules []promRule
		}
	}
	if err := yaml.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	for _, g := range doc.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 20 {
		t.Fatalf("%d rules", len(all))
	}
	return all
}

func TestPrometheusRules(t *testing.T) {
	promtool(t, "check", "rules", rulesFile)
	promtool(t, "test", "rules", "../../deploy/prometheus/rules_test.yml")
}

// TestRunbooks: every alert, of the server's own and of Prometheus, has its page, the
// link to it is right, the page says what it must, and there is no other.
func TestRunbooks(t *testing.T) {
	base := config.Default().Alerts.Runbooks
	names := map[string]bool{}
	for _, r := range alert.Standard() {
		names[r.Name] = true
	}
	severities := map[string]string{}
	for _, r := range promRules(t) {
		if r.Alert == "" {
			continue
		}
		names[r.Alert] = true
		if got, want := r.Annotations["runbook_url"], base+r.Alert+".md"; got != want {
			t.Errorf("%s links to %s, want %s", r.Alert, got, want)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s does not say what it is", r.Alert)
		}
		severities[r.Alert] = r.Labels["severity"]
		if s := alert.Severity(severities[r.Alert]); s != alert.Warning && s != alert.Critical {
			t.Errorf("%s has severity %q", r.Alert, s)
		}
	}
	doc, err := os.ReadFile("../../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range alert.Standard() {
		if s, both := severities[r.Name]; both && s != string(r.Severity) {
			t.Errorf("%s is %s in the server and %s in Prometheus", r.Name, r.Severity, s)
		}
		row := fmt.Sprintf(" | %v | %v | %s | %s |\n", r.Above, r.Clear, short(r.For.String()), short(r.Hold.String()))
		if line := regexp.MustCompile(`(?m)^\| .` + r.Name + `. \| ` + string(r.Severity) + ` \|.*\n`).FindString(string(doc)); !strings.HasSuffix(line, row) {
			t.Errorf("docs/alerts.md has\n%sof %s, want it to end in\n%s", line, r.Name, row)
		}
	}
	link := regexp.MustCompile(`\]\((Lyceum\w+)\.md\)`)
	for name := range names {
		page, err := os.ReadFile(filepath.Join(runbooks, name+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, part := range []string{"# " + name + "\n", "\n## Meaning\n", "\n## Likely causes\n", "\n## What to do\n", "\n## How to see that it is mended\n", "```sh\n"} {
			if !bytes.Contains(page, []byte(part)) {
				t.Errorf("the runbook of %s lacks %q", name, part)
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(page), -1) {
			if !names[m[1]] {
				t.Errorf("the runbook of %s leads to %s, which is none", name, m[1])
			}
		}
		if !bytes.Contains(doc, []byte("`"+name+"`")) {
			t.Errorf("docs/alerts.md does not name %s", name)
		}
	}
	pages, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil || len(pages) != len(names) {
		t.Errorf("%d runbooks for %d alerts (%v): %v", len(pages), len(names), err, pages)
	}
}

// short writes a duration as settings do: 1m0s is 1m.
func short(d string) string {
	return strings.TrimSuffix(d, "m0s") + strings.Repeat("m", strings.Count(d, "m0s"))
}

// dashboard returns the queries of the dashboard, after looking at how it is laid out.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		UID, Title string
		Templating struct{ List []struct{ Name string } }
		Panels     []struct {
			ID          int
			Type, Title string
			GridPos     struct{ X, Y, W, H int }
			Datasource  struct{ UID string }
			Targets     []struct{ Expr, RefID string }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.UID != "lyceum" || doc.Title == "" || len(doc.Templating.List) != 3 {
		t.Errorf("%s, %s, %v", doc.UID, doc.Title, doc.Templating)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range doc.Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: its number is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if other := cells[at]; other != "" || at[0] >= 24 {
					t.Fatalf("panel %q lies over %q, or beside the page", p.Title, other)
				}
				cells[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if p.Datasource.UID != "${datasource}" || len(p.Targets) == 0 {
			t.Errorf("panel %q has source %q and %d queries", p.Title, p.Datasource.UID, len(p.Targets))
		}
		for _, q := range p.Targets {
			queries = append(queries, q.Expr)
		}
	}
	return queries
}

// TestDashboard lets promtool read the queries, as rules.
func TestDashboard(t *testing.T) {
	variables := strings.NewReplacer("$__rate_interval", "5m", "$job", ".*", "$instance", ".*")
	var rules []map[string]string
	for i, q := range dashboard(t) {
		rules = append(rules, map[string]string{"record": fmt.Sprintf("panel:%d", i), "expr": variables.Replace(q)})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "check", "rules", file)
}

// TestMetricsOfRules: whatever rules, dashboard and runbooks look at is measured by a
// running server, or recorded by a rule.
func TestMetricsOfRules(t *testing.T) {
	s := start(t, nil)
	alice := s.user("alice")
	alice.initialize()
	for i, body := range []string{
		`{"operation":"sequential_thinking","prompt":"17*23=391"}`,
		`{"operation":"mcts","parameters":{"action":"run","domain":"nim","heaps":[3,4,5],"simulations":100,"seed":1}}`,
		`{"operation":"mcts","parameters":{"action":"nonsense"}}`,
	} {
		if _, resp := alice.call(fmt.Sprint(i), body); resp.StatusCode != 200 {
			t.Fatalf("%s: %d", body, resp.StatusCode)
		}
	}
	_, page := s.user("alice").do("GET", "/metrics", "")
	measured := map[string]bool{"up": true, "ALERTS": true}
	for _, m := range regexp.MustCompile(`(?m)^([a-z_0-9]+)[{ ]`).FindAllSubmatch(page, -1) {
		measured[string(m[1])] = true
	}
	// Budgets are in the metrics when there are some, which there are not by default.
	contract, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllSubmatch(contract, -1) {
		measured[string(m[1])] = true
	}
	used := map[string]string{}
	name := regexp.MustCompile(`\b(?:lyceum|mcp|go|process)[a-z_]*:?[a-z_0-9:]*\b`)
	words := regexp.MustCompile(`\{(?:[^"}]|"[^"]*")*\}|"[^"]*"|(?:by|on|without|group_left|group_right)\s*\([^)]*\)`)
	collect := func(where, expr string) {
		for _, n := range name.FindAllString(words.ReplaceAllString(expr, ""), -1) {
			used[n] = where
		}
	}
	for _, r := range promRules(t) {
		if r.Record != "" {
			measured[r.Record] = true
		}
		collect(r.Alert+r.Record, r.Expr)
	}
	for _, q := range dashboard(t) {
		collect("the dashboard", q)
	}
	if len(used) < 40 {
		t.Errorf("only %d names are used: %v", len(used), slices.Sorted(maps.Keys(used)))
	}
	for n, where := range used {
		if !measured[n] {
			t.Errorf("%s uses %s, which nobody measures", where, n)
		}
	}
}
