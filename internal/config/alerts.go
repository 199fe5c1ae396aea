package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/alert"
)

// Alerts says what counts as trouble and who is told.
type Alerts struct {
	Interval          time.Duration  `key:"interval" default:"5s" min:"100ms" max:"5m" doc:"time between two looks at what the rules watch"`
	WebhookURL        string         `key:"webhook_url" format:"url" default:"" doc:"where alerts are posted, in the shape of Alertmanager's webhook; empty tells nobody"`
	WebhookSecret     Secret         `key:"webhook_secret" default:"" doc:"key that signs what is posted: at least 16 bytes, or base64 after whsec_; after a comma, older keys that sign too"`
	WebhookSecretFile string         `key:"webhook_secret_file" format:"file_or_empty" default:"" doc:"file with such keys, one a line, instead of webhook_secret"`
	PrivateNetworks   []netip.Prefix `key:"private_networks" maxItems:"100" default:"" doc:"networks that are not public and that webhook_url may lead to"`
	Runbooks          string         `key:"runbooks" format:"url" default:"https://github.com/lyceum-mcp/lyceum/blob/main/docs/runbooks/" doc:"URL that links to runbooks begin with; the rule's name and .md follow"`
	Rules             []AlertRule    `key:"rules" maxItems:"64" default:"" doc:"rules that are not as they ship; a flag or variable takes the list as YAML or JSON"`
}

// AlertRule is what is other about one rule. A negative value leaves that as it is.
type AlertRule struct {
	Rule     string        `key:"rule" required:"true" format:"word" doc:"the rule, as in docs/alerts.md"`
	Disabled bool          `key:"disabled" default:"false" doc:"it is not evaluated"`
	Above    float64       `key:"above" default:"-1" min:"-1" max:"1000000000" doc:"it is too much above this"`
	Clear    float64       `key:"clear" default:"-1" min:"-1" max:"1000000000" doc:"and good again at this or below"`
	For      time.Duration `key:"for" default:"-1s" min:"-1s" max:"24h" doc:"time for which it must be too much to fire"`
	Hold     time.Duration `key:"hold" default:"-1s" min:"-1s" max:"24h" doc:"time for which it must be good to be over"`
}

// AlertRules returns the rules that are evaluated.
func (a Alerts) AlertRules() []alert.Rule {
	all := alert.Standard()
	for _, o := range a.Rules {
		i := slices.IndexFunc(all, func(r alert.Rule) bool { return r.Name == o.Rule })
		switch {
		case i < 0:
		case o.Disabled:
			all = slices.Delete(all, i, i+1)
		default:
			o.change(&all[i])
		}
	}
	return all
}

func (o AlertRule) change(r *alert.Rule) {
	if o.Above >= 0 {
		r.Above = o.Above
	}
	if o.Clear >= 0 {
		r.Clear = o.Clear
	}
	if o.For >= 0 {
		r.For = o.For
	}
	if o.Hold >= 0 {
		r.Hold = o.Hold
	}
}

// alertRules check the alerts.
var alertRules = []rule{
	{[]string{"alerts.webhook_secret"}, false, func(c *Config) []Problem {
		_, err := alert.ParseSecrets(c.Alerts.WebhookSecret.Reveal())
		return when(err != nil, Problem{
			Path: "alerts.webhook_secret", Value: c.Alerts.WebhookSecret.String(), Reason: fmt.Sprint("cannot sign: ", err),
			Allowed: "at least 16 bytes", Mend: "make one with: echo whsec_$(openssl rand -base64 32)",
		})
	}},
	{[]string{"alerts.webhook_url", "alerts.webhook_secret", "alerts.webhook_secret_file"}, false, func(c *Config) []Problem {
		return when(c.Alerts.WebhookURL != "" && c.Alerts.WebhookSecret.Reveal() == "" && c.Alerts.WebhookSecretFile == "", Problem{
			Path: "alerts.webhook_secret", Value: "nothing", Reason: "is no key, and alerts.webhook_url is set: its receiver could not tell our alerts from anybody's",
			Allowed: "at least 16 bytes", Mend: "set it, or webhook_secret_file; make one with: echo whsec_$(openssl rand -base64 32)",
		})
	}},
	{[]string{"alerts.webhook_secret", "alerts.webhook_secret_file"}, false, func(c *Config) []Problem {
		return when(c.Alerts.WebhookSecret.Reveal() != "" && c.Alerts.WebhookSecretFile != "", Problem{
			Path: "alerts.webhook_secret_file", Reason: "is set, and so is alerts.webhook_secret",
			Allowed: "one of the two", Mend: "remove alerts.webhook_secret or alerts.webhook_secret_file",
		})
	}},
	{[]string{"alerts.rules"}, false, func(c *Config) []Problem {
		var all []Problem
		standard := alert.Standard()
		seen := map[string]bool{}
		for i, o := range c.Alerts.Rules {
			at := fmt.Sprintf("alerts.rules[%d].", i)
			j := slices.IndexFunc(standard, func(r alert.Rule) bool { return r.Name == o.Rule })
			switch {
			case j < 0:
				all = append(all, Problem{Path: at + "rule", Value: o.Rule, Reason: "is no rule", Allowed: "a rule of docs/alerts.md", Mend: "use the name of the rule, such as " + standard[0].Name})
			case seen[o.Rule]:
				all = append(all, Problem{Path: at + "rule", Value: o.Rule, Reason: "is listed twice", Allowed: "each once", Mend: "remove one of the two"})
			default:
				r := standard[j]
				o.change(&r)
				all = append(all, when(r.Clear > r.Above, Problem{
					Path: at + "clear", Value: fmt.Sprint(r.Clear), Reason: fmt.Sprintf("is above what is too much, which is %v", r.Above),
					Allowed: fmt.Sprintf("at most %v", r.Above), Mend: "lower clear or raise above",
				})...)
			}
			seen[o.Rule] = true
		}
		return all
	}},
}
