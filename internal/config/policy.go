package config

import (
	"fmt"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/nearest"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/tools"
	"github.com/lyceum-mcp/lyceum/tools/catalog"
)

// Policy says what is forbidden although a token's scopes would allow it.
type Policy struct {
	Tenants []TenantPolicy `key:"tenants" maxItems:"1000" default:"" doc:"tenants that may not use everything; a flag or variable takes the list as YAML or JSON"`
	Guards  []Guard        `key:"guards" maxItems:"100" default:"" doc:"conditions under which a call is refused, written in CEL"`
}

// TenantPolicy is what one tenant may use.
type TenantPolicy struct {
	Tenant         string   `key:"tenant" required:"true" format:"word" doc:"the tenant, as its tokens name it"`
	Allow          []string `key:"allow" format:"word" maxItems:"200" default:"" doc:"operations and families that it may use; empty is all"`
	Deny           []string `key:"deny" format:"word" maxItems:"200" default:"" doc:"operations and families that it may not use, whatever allow says"`
	MaxMillis      int64    `key:"max_millis" default:"0" min:"0" max:"3600000" doc:"milliseconds of computing in one of its calls; 0 is tools.max_millis"`
	MaxSteps       int64    `key:"max_steps" default:"0" min:"0" max:"1000000000000" doc:"elementary steps of one of its calls; 0 is tools.max_steps"`
	MaxNodes       int64    `key:"max_nodes" default:"0" min:"0" max:"1000000000" doc:"objects that one of its calls may keep in memory; 0 is tools.max_nodes"`
	MaxOutputBytes int64    `key:"max_output_bytes" unit:"bytes" default:"0" min:"0" max:"64MiB" doc:"result of one of its calls; 0 is tools.max_output_bytes"`
	MaxSessions    int      `key:"max_sessions" default:"0" min:"0" max:"1000000" doc:"reasoning sessions of one of its subjects; 0 is sessions.max_per_owner"`
}

// Guard is a condition under which calls are refused.
type Guard struct {
	Name    string `key:"name" required:"true" format:"word" doc:"what refusals and the log call it"`
	When    string `key:"when" required:"true" doc:"CEL of type bool over operation, family, tenant, subject, clientId, scopes, params and now"`
	Effect  string `key:"effect" enum:"deny" default:"deny" doc:"what becomes of a call for which it is true; one for which it cannot be evaluated is refused as well"`
	Message string `key:"message" default:"" doc:"what the caller is told"`
}

// Rules returns the policy as package policy takes it.
func (p Policy) Rules() policy.Config {
	var c policy.Config
	for _, t := range p.Tenants {
		c.Tenants = append(c.Tenants, policy.Tenant{
			Tenant: t.Tenant, Allow: t.Allow, Deny: t.Deny,
			Ceilings: policy.Ceilings{
				Time: time.Duration(t.MaxMillis) * time.Millisecond, Steps: t.MaxSteps, Nodes: t.MaxNodes,
				OutputBytes: int(t.MaxOutputBytes), Sessions: t.MaxSessions,
			},
		})
	}
	for _, g := range p.Guards {
		c.Guards = append(c.Guards, policy.Guard{Name: g.Name, When: g.When, Message: g.Message})
	}
	return c
}

// upkeep are the tools of the protocol side, which are in no catalogue.
var upkeep = []string{"session", "session_create", "session_list", "session_delete", "job", "job_list", "job_result", "job_cancel"}

// PolicyNames returns every operation and family that a list of a policy may
// name.
func PolicyNames() []string {
	names := append([]string{tools.Describe}, upkeep...)
	for _, t := range slices.Concat(catalog.All(), catalog.Direct()) {
		s := t.Spec()
		names = append(names, s.Name, s.Family)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// policyRules check the policy. A name that means nothing is refused: as an entry
// of deny it would forbid nothing, and nobody would notice.
var policyRules = []rule{
	{[]string{"policy.tenants"}, false, func(c *Config) []Problem {
		var all []Problem
		seen := map[string]bool{}
		names := PolicyNames()
		for i, t := range c.Policy.Tenants {
			at := fmt.Sprintf("policy.tenants[%d].", i)
			all = append(all, when(seen[t.Tenant], Problem{
				Path: at + "tenant", Value: t.Tenant, Reason: "is listed twice", Allowed: "each tenant once", Mend: "remove one of the two",
			})...)
			seen[t.Tenant] = true
			all = append(all, unheardOf(at+"allow", t.Allow, names)...)
			all = append(all, unheardOf(at+"deny", t.Deny, names)...)
		}
		return all
	}},
	{[]string{"policy.guards"}, false, func(c *Config) []Problem {
		var all []Problem
		seen := map[string]bool{}
		for i, g := range c.Policy.Guards {
			at := fmt.Sprintf("policy.guards[%d].", i)
			all = append(all, when(seen[g.Name], Problem{
				Path: at + "name", Value: g.Name, Reason: "is listed twice", Allowed: "each guard once", Mend: "remove or rename one of the two",
			})...)
			seen[g.Name] = true
			if e := policy.CheckGuard(policy.Guard{Name: g.Name, When: g.When}); e != nil {
				all = append(all, Problem{
					Path: at + "when", Value: g.When, Reason: fmt.Sprintf("at line %d, column %d: %s", e.Line, e.Column, e.Text),
					Allowed: "CEL of type bool, such as operation == \"mcts\" && now.getHours() < 6",
				})
			}
		}
		return all
	}},
}

// unheardOf returns a problem for each entry of the list at path that is not
// among names.
func unheardOf(path string, list, names []string) []Problem {
	var all []Problem
	for i, name := range list {
		if slices.Contains(names, name) {
			continue
		}
		p := Problem{
			Path: fmt.Sprintf("%s[%d]", path, i), Value: name, Reason: "is neither an operation nor a family",
			Allowed: "a name of the catalogue, or of a family of it",
		}
		if near := nearest.Of(name, names, max(2, len(name)/3)); near != "" {
			p.Mend = "did you mean " + near + "?"
		}
		all = append(all, p)
	}
	return all
}
