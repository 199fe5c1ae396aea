package web

import (
	"fmt"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// alertRow is one alert as the page shows it; also the script's view of it. Rows
// are compared with == to see what changed.
type alertRow struct {
	Name     string `json:"name"`
	Severity string `json:"severity"`
	State    string `json:"state"`
	Summary  string `json:"summary"`
	Value    string `json:"value"` // with what is too much; in words
	Runbook  string `json:"runbook"`
	Since    int64  `json:"since"`
}

// alertPage is what the template of an alert needs.
type alertPage struct {
	alertRow
	Now int64
}

// alertRows are the alerts that are not inactive, firing ones first; nil where
// nobody watches.
func alertRows(s *alert.Snapshot) []alertRow {
	if s == nil {
		return nil
	}
	rows := []alertRow{}
	for _, a := range s.Alerts {
		if a.State == alert.Inactive {
			continue
		}
		rows = append(rows, alertRow{
			Name: a.Rule.Name, Severity: string(a.Rule.Severity), State: string(a.State), Summary: a.Rule.Summary, Value: measured(a),
			Runbook: linkable(s.Runbook(a.Rule.Name)), Since: a.Since.UnixMilli(),
		})
	}
	return rows
}

// measured says what was measured, and what would be too much.
func measured(a alert.Alert) string {
	number := func(v float64) string {
		switch a.Rule.Unit {
		case "ratio":
			return fmt.Sprintf("%.1f %%", 100*v)
		case "s":
			return fmt.Sprintf("%.3g s", v)
		}
		return fmt.Sprintf("%.6g %s", v, a.Rule.Unit)
	}
	now := "not measured"
	if a.Known {
		now = number(a.Value)
	}
	return fmt.Sprintf("%s, too much above %s", now, number(a.Rule.Above))
}

// linkable lets only links to the web into the page: the script sets them without
// the template's own check.
func linkable(url string) string {
	if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
		return url
	}
	return ""
}

// firing counts the alerts that fire.
func firing(rows []alertRow) (n int) {
	for _, r := range rows {
		if r.State == string(alert.Firing) {
			n++
		}
	}
	return n
}

// said is how many alerts fire, in words. The script says the same.
func said(rows []alertRow) string {
	switch n := firing(rows); n {
	case 0:
		return "No alert is firing"
	case 1:
		return "1 alert is firing"
	default:
		return fmt.Sprintf("%d alerts are firing", n)
	}
}
