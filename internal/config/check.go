package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/lyceum-mcp/lyceum/session/filestore"
)

// rule is a check of several settings against each other.
type rule struct {
	uses     []string // the settings that it looks at; not checked when one of them is wrong by itself
	listener bool     // matters only to a process that listens
	broken   func(*Config) []Problem
}

// check returns what the rules find wrong. failed holds the settings that are
// wrong by themselves: what follows from them would only be noise.
func (c *Config) check(listens bool, failed map[string]bool) Problems {
	var found Problems
next:
	for _, r := range slices.Concat(rules, tlsRules, authRules, limitRules, policyRules, alertRules) {
		if r.listener && !listens {
			continue
		}
		for _, path := range r.uses {
			if failed[path] {
				continue next
			}
		}
		for _, p := range r.broken(c) {
			p.Origin = c.Origin(p.Path)
			if s := settings.byPath[p.Path]; s != nil && p.Value == "" {
				p.Value = plain(s, c)
			}
			found = append(found, p)
		}
	}
	return found
}

// rules are dangerous or pointless combinations, refused at the start.
var rules = []rule{
	{[]string{"dev", "addr"}, true, func(c *Config) []Problem {
		return when(c.Dev && !loopbackAddr(c.Addr), Problem{
			Path: "addr", Reason: "is reachable from other machines, and dev hands a token to whoever asks",
			Allowed: "with dev a loopback address, such as 127.0.0.1:8383",
			Mend:    "listen on a loopback address, or set dev to false and name an issuer",
		})
	}},
	{[]string{"dev", "oidc_issuer", "auth.issuers", "auth.introspection", "auth.tokens"}, true, func(c *Config) []Problem {
		return when(!c.believesSomebody(), Problem{
			Path: "auth.issuers", Reason: "nobody's tokens would be accepted",
			Allowed: "at least one issuer",
			Mend:    "set oidc_issuer (--oidc-issuer URL), list auth.issuers, or try the server with --dev",
		})
	}},
	{[]string{"dev", "addr", "insecure", "public_url", "http.trusted_proxies", "tls.cert_file"}, true, func(c *Config) []Problem {
		proxied := !c.Insecure && !c.TLS.On() && len(c.HTTP.TrustedProxies) > 0
		return when(!c.Dev && proxied && !loopbackAddr(c.Addr) && scheme(c.PublicURL) != "https", Problem{
			Path: "public_url", Reason: "tokens would travel in the clear: addr is reachable from other machines",
			Allowed: "with such an addr an https URL, served by a proxy that terminates TLS",
			Mend:    "set public_url to the https URL that clients use, or insecure to true on a trusted network",
		})
	}},
	{[]string{"insecure", "public_url"}, true, func(c *Config) []Problem {
		u, err := url.Parse(c.PublicURL)
		return when(err == nil && loopbackAddr(c.Addr) && u.Scheme == "http" && !c.Insecure && !isLoopback(u.Hostname()), Problem{
			Path: "public_url", Reason: "tokens would travel in the clear",
			Allowed: "https, or http to a loopback host",
			Mend:    "use https, or set insecure to true on a trusted network",
		})
	}},
	{[]string{"dev", "oidc_audience", "public_url", "auth.issuers", "oidc_issuer"}, true, func(c *Config) []Problem {
		for i, issuer := range c.Issuers() {
			if !c.Dev && issuer.Audience == "" {
				return []Problem{{
					Path: "oidc_audience", Reason: fmt.Sprintf("the audience of issuer %d (%s) is not known", i+1, issuer.Issuer),
					Allowed: "the audience that tokens for this server name",
					Mend:    "set public_url (the audience is then public_url followed by /mcp) or oidc_audience",
				}}
			}
		}
		return nil
	}},
	{[]string{"auth.issuers", "oidc_issuer", "oidc_audience", "public_url"}, true, duplicateIssuers},
	{[]string{"http.trusted_proxies"}, true, func(c *Config) []Problem {
		var all []Problem
		for i, p := range c.HTTP.TrustedProxies {
			all = append(all, when(p.Bits() == 0, Problem{
				Path: fmt.Sprintf("http.trusted_proxies[%d]", i), Value: p.String(), Reason: "would believe everybody's word for their address",
				Allowed: "the networks of your own proxies", Mend: "name them, such as 10.0.0.0/8",
			})...)
		}
		return all
	}},
	{[]string{"admin.addr", "addr"}, true, func(c *Config) []Problem {
		return when(c.Admin.Addr != "" && c.Admin.Addr == c.Addr && port(c.Addr) != "0", Problem{
			Path: "admin.addr", Reason: "is the address of the main listener",
			Allowed: "another address, or nothing",
			Mend:    "leave it empty to serve the administration on the main listener",
		})
	}},
	{[]string{"sessions.idle_ttl", "sessions.max_ttl"}, false, func(c *Config) []Problem {
		return atMost("sessions.idle_ttl", c.Sessions.IdleTTL, "sessions.max_ttl", c.Sessions.MaxTTL)
	}},
	{[]string{"sessions.max_per_owner", "sessions.max_per_tenant"}, false, func(c *Config) []Problem {
		return atMost("sessions.max_per_owner", c.Sessions.MaxPerOwner, "sessions.max_per_tenant", c.Sessions.MaxPerTenant)
	}},
	{[]string{"sessions.max_per_tenant", "sessions.max_total"}, false, func(c *Config) []Problem {
		return atMost("sessions.max_per_tenant", c.Sessions.MaxPerTenant, "sessions.max_total", c.Sessions.MaxTotal)
	}},
	{[]string{"sessions.max_bytes", "sessions.max_bytes_per_owner"}, false, func(c *Config) []Problem {
		return atMost("sessions.max_bytes", c.Sessions.MaxBytes, "sessions.max_bytes_per_owner", c.Sessions.MaxBytesPerOwner)
	}},
	{[]string{"sessions.max_bytes_per_owner", "sessions.max_bytes_per_tenant"}, false, func(c *Config) []Problem {
		return atMost("sessions.max_bytes_per_owner", c.Sessions.MaxBytesPerOwner, "sessions.max_bytes_per_tenant", c.Sessions.MaxBytesPerTenant)
	}},
	{[]string{"sessions.max_bytes_per_tenant", "sessions.max_bytes_total"}, false, func(c *Config) []Problem {
		return atMost("sessions.max_bytes_per_tenant", c.Sessions.MaxBytesPerTenant, "sessions.max_bytes_total", c.Sessions.MaxBytesTotal)
	}},
	{[]string{"jobs.retention", "jobs.max_ttl"}, false, func(c *Config) []Problem {
		return atMost("jobs.retention", c.Jobs.Retention, "jobs.max_ttl", c.Jobs.MaxTTL)
	}},
	{[]string{"work.tenants"}, false, func(c *Config) []Problem {
		seen := map[string]bool{}
		var all []Problem
		for i, t := range c.Work.Tenants {
			all = append(all, when(seen[t.Tenant], Problem{
				Path: fmt.Sprintf("work.tenants[%d].tenant", i), Value: t.Tenant, Reason: "is listed twice",
				Allowed: "each tenant once", Mend: "remove one of the two",
			})...)
			seen[t.Tenant] = true
		}
		return all
	}},
	{[]string{"http.max_body_bytes", "http.max_body_bytes_in_flight"}, true, func(c *Config) []Problem {
		most := c.HTTP.MaxBodyBytesInFlight / 2
		return when(c.HTTP.MaxBodyBytes > most, Problem{
			Path: "http.max_body_bytes", Reason: "is above half of http.max_body_bytes_in_flight: one request could take all that is left of it",
			Allowed: "at most " + formatSize(most) + " with this http.max_body_bytes_in_flight",
			Mend:    "lower http.max_body_bytes or raise http.max_body_bytes_in_flight",
		})
	}},
	{[]string{"work.adaptive_min", "work.adaptive_max"}, false, func(c *Config) []Problem {
		if c.Work.AdaptiveMax == 0 {
			return nil
		}
		return atMost("work.adaptive_min", c.Work.AdaptiveMin, "work.adaptive_max", c.Work.AdaptiveMax)
	}},
	{[]string{"storage.key"}, false, func(c *Config) []Problem {
		_, err := filestore.ParseKeys(c.Storage.Key.Reveal())
		return when(err != nil, Problem{
			Path: "storage.key", Value: c.Storage.Key.String(), Reason: "is not a list of keys",
			Allowed: "32 bytes in base64 or hexadecimal", Mend: "make one with: openssl rand -base64 32",
		})
	}},
	{[]string{"storage.key", "storage.key_file"}, false, func(c *Config) []Problem {
		return when(c.Storage.Key.Reveal() != "" && c.Storage.KeyFile != "", Problem{
			Path: "storage.key_file", Reason: "is set, and so is storage.key",
			Allowed: "one of the two", Mend: "remove storage.key or storage.key_file",
		})
	}},
	{[]string{"transport.max_per_owner", "sessions.max_per_tenant"}, false, func(c *Config) []Problem {
		return atMost("transport.max_per_owner", c.Transport.MaxPerOwner, "sessions.max_per_tenant", c.Sessions.MaxPerTenant)
	}},
	{[]string{"work.max_queued_per_tenant", "work.max_queued"}, false, func(c *Config) []Problem {
		return atMost("work.max_queued_per_tenant", c.Work.MaxQueuedPerTenant, "work.max_queued", c.Work.MaxQueued)
	}},
	{[]string{"audit.keep_files"}, false, func(c *Config) []Problem {
		return when(c.Audit.KeepFiles == 0, Problem{
			Path: "audit.keep_files", Reason: "the file that is being written is one of those kept",
			Allowed: "at least 1, or -1 for all", Mend: "set audit.keep_files to the number of files to keep",
		})
	}},
	{[]string{"tools.max_millis", "work.call_timeout"}, false, func(c *Config) []Problem {
		return atMost("tools.max_millis", time.Duration(c.Tools.MaxMillis)*time.Millisecond, "work.call_timeout", c.Work.CallTimeout)
	}},
}

// duplicateIssuers finds issuers with two sets of rules.
func duplicateIssuers(c *Config) []Problem {
	short := len(c.Issuers()) - len(c.Auth.Issuers)
	seen := map[string]bool{}
	var all []Problem
	for i, issuer := range c.Issuers() {
		all = append(all, when(seen[issuer.Issuer], Problem{
			Path: fmt.Sprintf("auth.issuers[%d].issuer", i-short), Value: issuer.Issuer, Reason: "is listed twice",
			Allowed: "one entry for each issuer, with all its audiences", Mend: "remove one of them; oidc_issuer counts too",
		})...)
		seen[issuer.Issuer] = true
	}
	return all
}

// when returns p if it holds.
func when(broken bool, p Problem) []Problem {
	if broken {
		return []Problem{p}
	}
	return nil
}

// atMost returns a problem if the setting low is above the setting high.
func atMost[T int | int64 | time.Duration](low string, a T, high string, b T) []Problem {
	return when(a > b, Problem{
		Path: low, Reason: "is above " + high + ", which is " + shown(b),
		Allowed: "at most " + shown(b) + " with this " + high,
		Mend:    "lower " + low + " or raise " + high,
	})
}

// shown writes a bound as its setting does: an int64 is a number of bytes.
func shown[T int | int64 | time.Duration](v T) string {
	switch v := any(v).(type) {
	case time.Duration:
		return formatDuration(v)
	case int64:
		return formatSize(v)
	}
	return fmt.Sprint(v)
}

func scheme(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme
}

func port(hostport string) string {
	if _, p, err := net.SplitHostPort(hostport); err == nil {
		return p
	}
	if a, err := netip.ParseAddrPort(hostport); err == nil {
		return fmt.Sprint(a.Port())
	}
	return ""
}
