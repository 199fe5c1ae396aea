package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// Payload is the body of a notification, in the shape of Prometheus Alertmanager's
// webhook, version 4, so that what receives those receives these. A group is one
// rule, and so has one alert.
type Payload struct {
	Version           string            `json:"version"`
	GroupKey          string            `json:"groupKey"`
	TruncatedAlerts   int               `json:"truncatedAlerts"`
	Status            string            `json:"status"` // firing or resolved
	Receiver          string            `json:"receiver"`
	GroupLabels       map[string]string `json:"groupLabels"`
	CommonLabels      map[string]string `json:"commonLabels"`
	CommonAnnotations map[string]string `json:"commonAnnotations"`
	ExternalURL       string            `json:"externalURL"`
	Alerts            []PayloadAlert    `json:"alerts"`
}

// PayloadAlert is one alert of a Payload.
type PayloadAlert struct {
	Status       string            `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"` // zero while it fires
	GeneratorURL string            `json:"generatorURL"`
	Fingerprint  string            `json:"fingerprint"`
}

// Origin says where notifications come from.
type Origin struct {
	Instance string // which server, such as its public URL
	Page     string // URL of the admin page; may be empty
	Runbooks string // URL that a rule's name and .md is appended to
}

// Runbook returns the URL of the page about a rule.
func (o Origin) Runbook(rule string) string { return o.Runbooks + rule + ".md" }

// notification makes what is told about an alert that fires or is resolved. Its id
// follows from which alert it is, when that began, and whether it is over: told
// twice, it is the same notification.
func (o Origin) notification(a Alert, now time.Time) (Notification, error) {
	status := string(a.State)
	labels := map[string]string{"alertname": a.Rule.Name, "severity": string(a.Rule.Severity), "service": "lyceum", "instance": o.Instance}
	annotations := map[string]string{"summary": a.Rule.Summary, "runbook_url": o.Runbook(a.Rule.Name)}
	if a.Known {
		annotations["value"] = strconv.FormatFloat(a.Value, 'g', 6, 64)
		annotations["threshold"] = strconv.FormatFloat(a.Rule.Above, 'g', 6, 64)
		annotations["unit"] = a.Rule.Unit
	}
	p := Payload{
		Version: "4", GroupKey: fmt.Sprintf("{}:{alertname=%q}", a.Rule.Name), Status: status, Receiver: "lyceum",
		GroupLabels: map[string]string{"alertname": a.Rule.Name}, CommonLabels: labels, CommonAnnotations: annotations, ExternalURL: o.Page,
		Alerts: []PayloadAlert{{
			Status: status, Labels: maps.Clone(labels), Annotations: maps.Clone(annotations),
			StartsAt: a.Started.UTC(), EndsAt: a.Ended.UTC(), GeneratorURL: o.Page, Fingerprint: digest(a.Rule.Name, o.Instance)[:16],
		}},
	}
	body, err := json.Marshal(p)
	if err != nil {
		return Notification{}, fmt.Errorf("write the notification of %s: %w", a.Rule.Name, err)
	}
	id := "msg_" + digest(a.Rule.Name, o.Instance, strconv.FormatInt(a.Started.UnixNano(), 10), status)[:32]
	return Notification{ID: id, Rule: a.Rule.Name, Status: a.State, Created: now.UTC(), Body: body}, nil
}

// digest is the SHA-256 of the parts, in hexadecimal.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
