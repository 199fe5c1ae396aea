package load

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
)

// The revisions of the protocol that a run can speak. They differ in whether a
// connection is initialized and has a session.
const (
	Era2025 = "2025-11-25"
	Era2026 = "2026-07-28"
)

// Defaults of Plan and Group.
const (
	DefaultTool        = "clear_thought"
	DefaultConnections = 8
	DefaultDuration    = 10 * time.Second
	DefaultTimeout     = 30 * time.Second
	DefaultMaxCalls    = 1_000_000
	DefaultLateAfter   = 10 * time.Millisecond
)

// The bounds of a plan.
const (
	MaxGroups      = 64
	MaxConnections = 4096        // of all groups
	MaxShares      = 32          // of one mix
	MaxRate        = 100_000     // calls a second, of all groups
	MaxCalls       = 100_000_000 // in one phase
	MaxDuration    = time.Hour   // of one phase, warm-up included
	MaxTimeout     = 10 * time.Minute
	MaxArguments   = 1 << 20 // bytes of one call
)

// Plan says what a run does.
type Plan struct {
	URL         string // of the MCP endpoint
	AllowRemote bool   // the target may be another machine than this one
	Era         string // Era2025 or Era2026; "" is Era2026
	Tool        string // which tool the calls are for; "" is DefaultTool

	Groups []Group // at least one; with Fairness at least two

	Warmup    time.Duration // load that is not measured, before what is
	Duration  time.Duration // during which calls are begun and measured; 0 is DefaultDuration
	Timeout   time.Duration // of one call; 0 is DefaultTimeout
	MaxCalls  int           // in one phase, warm-up included; 0 is DefaultMaxCalls
	LateAfter time.Duration // a call of an open loop sent later than this counts as late; 0 is DefaultLateAfter

	Poisson bool   // arrivals of open loops are a Poisson process, not evenly spaced
	Seed    uint64 // of arrivals and mixes: the same seed makes the same calls at the same times

	Progress    bool // ask for progress notifications
	Retry       bool // come back after refusals and lost connections, until a call's time is over
	NewSessions bool // never send the sessionId of an earlier answer

	// Fairness plays the quiet group alone and then all groups at once.
	Fairness bool
	// Quiet names the quiet group; "" is the one called "quiet", or the first.
	Quiet string

	Checks []Check // what must hold at the end

	// dial connects instead of TCP, for tests.
	dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Group is clients that are alike.
type Group struct {
	Name        string
	Tokens      []string // bearer tokens, dealt to the connections in turn; none: no authentication
	Connections int      // 0 is DefaultConnections
	Rate        float64  // arrivals a second of an open loop; 0 is a closed loop
	Mix         []Share  // which calls; none is the class light
}

// Share is a call and how often it is made in proportion to the others of a mix.
type Share struct {
	Call   Call
	Weight int // at least 1
}

// Call is a named call of the plan's tool.
type Call struct {
	Name      string
	Arguments json.RawMessage // a JSON object
}

var nameForm = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)

// totalName is how reports call all groups together.
const totalName = "total"

func (p Plan) withDefaults() Plan {
	if p.Era == "" {
		p.Era = Era2026
	}
	if p.Tool == "" {
		p.Tool = DefaultTool
	}
	orElse(&p.Duration, DefaultDuration)
	orElse(&p.Timeout, DefaultTimeout)
	orElse(&p.MaxCalls, DefaultMaxCalls)
	orElse(&p.LateAfter, DefaultLateAfter)
	p.Groups = slices.Clone(p.Groups)
	for i := range p.Groups {
		g := &p.Groups[i]
		orElse(&g.Connections, DefaultConnections)
		if len(g.Mix) == 0 {
			g.Mix = []Share{{Call: Classes()[0], Weight: 1}}
		}
	}
	if p.Quiet == "" && len(p.Groups) > 0 {
		p.Quiet = p.Groups[0].Name
		if slices.ContainsFunc(p.Groups, func(g Group) bool { return g.Name == "quiet" }) {
			p.Quiet = "quiet"
		}
	}
	return p
}

func orElse[T int | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

// quiet returns the quiet group, which validate has found.
func (p *Plan) quiet() Group {
	i := slices.IndexFunc(p.Groups, func(g Group) bool { return g.Name == p.Quiet })
	return p.Groups[i]
}

// invalid collects what is wrong with a plan.
type invalid []error

func (v *invalid) addf(format string, args ...any) {
	*v = append(*v, fault.Newf(fault.Invalid, format, args...))
}

func (p *Plan) validate() error {
	var bad invalid
	p.checkTarget(&bad)
	if p.Era != Era2025 && p.Era != Era2026 {
		bad.addf("era %q: it must be %s or %s", p.Era, Era2025, Era2026)
	}
	if p.Tool != strings.TrimSpace(p.Tool) || strings.ContainsFunc(p.Tool, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		bad.addf("tool %q: the name must be plain ASCII", p.Tool)
	}
	if p.Warmup < 0 || p.Duration < 0 || p.Warmup+p.Duration > MaxDuration {
		bad.addf("warm-up %s and duration %s: together they may take up to %s", p.Warmup, p.Duration, MaxDuration)
	}
	if p.Timeout < time.Millisecond || p.Timeout > MaxTimeout {
		bad.addf("timeout %s: it must be from 1ms to %s", p.Timeout, MaxTimeout)
	}
	if p.MaxCalls < 1 || p.MaxCalls > MaxCalls {
		bad.addf("max calls %d: it must be from 1 to %d", p.MaxCalls, MaxCalls)
	}
	if p.LateAfter < 0 {
		bad.addf("late after %s: it must not be negative", p.LateAfter)
	}
	p.checkGroups(&bad)
	p.checkChecks(&bad)
	return errors.Join(bad...)
}

// checkTarget refuses what is not clearly this machine. Whatever a name resolves
// to is looked at again when it is dialed.
func (p *Plan) checkTarget(bad *invalid) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		bad.addf("url %q: it must be like http://127.0.0.1:8383/mcp", p.URL)
		return
	}
	if u.User != nil {
		bad.addf("url: credentials belong into a token, not into the address")
	}
	if !p.AllowRemote && !loopbackName(u.Hostname()) {
		bad.addf("url %q: %s is not a loopback address; load on another machine needs its owner's leave and must be allowed explicitly (--allow-remote)", p.URL, u.Hostname())
	}
}

func loopbackName(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().IsLoopback()
	}
	return strings.EqualFold(host, "localhost")
}

func (p *Plan) checkGroups(bad *invalid) {
	if n := len(p.Groups); n < 1 || n > MaxGroups {
		bad.addf("%d groups: there must be from 1 to %d", n, MaxGroups)
	}
	if p.Fairness && len(p.Groups) == 1 {
		bad.addf("1 group: fairness needs a quiet group and at least one other")
	}
	seen := map[string]bool{totalName: true}
	connections, rate := 0, 0.0
	for i := range p.Groups {
		g := &p.Groups[i]
		if !nameForm.MatchString(g.Name) || seen[g.Name] {
			bad.addf("group %q: names are lower-case words, each used once, and not %q", g.Name, totalName)
		}
		seen[g.Name] = true
		g.validate(bad)
		connections += max(0, g.Connections)
		rate += g.Rate
	}
	if connections > MaxConnections {
		bad.addf("%d connections: all groups together may have %d", connections, MaxConnections)
	}
	if rate > MaxRate {
		bad.addf("%g calls a second: all groups together may have %d", rate, MaxRate)
	}
	if n := math.Ceil(rate * (p.Warmup + p.Duration).Seconds()); n > 0 && n > float64(p.MaxCalls) {
		bad.addf("%g calls a second for %s are %.0f calls: that is more than the limit of %d calls", rate, p.Warmup+p.Duration, n, p.MaxCalls)
	}
	if p.Quiet != "" && !slices.ContainsFunc(p.Groups, func(g Group) bool { return g.Name == p.Quiet }) {
		bad.addf("quiet group %q: there is no such group", p.Quiet)
	}
}

func (g *Group) validate(bad *invalid) {
	if g.Connections < 1 {
		bad.addf("group %s: %d connections: there must be at least 1", g.Name, g.Connections)
	}
	if g.Rate < 0 || math.IsNaN(g.Rate) || math.IsInf(g.Rate, 0) || g.Rate > 0 && g.Rate < 0.001 {
		bad.addf("group %s: rate %g: it must be at least 0.001 calls a second, or 0 for a closed loop", g.Name, g.Rate)
	}
	for _, t := range g.Tokens {
		if t == "" || strings.ContainsFunc(t, func(r rune) bool { return r <= 0x20 || r > 0x7e }) {
			bad.addf("group %s: a token is empty or has characters that no token has", g.Name)
		}
	}
	if len(g.Mix) > MaxShares {
		bad.addf("group %s: a mix of %d calls: it may have %d", g.Name, len(g.Mix), MaxShares)
	}
	seen := map[string]bool{}
	for _, s := range g.Mix {
		var members map[string]json.RawMessage
		switch {
		case !nameForm.MatchString(s.Call.Name) || seen[s.Call.Name]:
			bad.addf("group %s: call %q: names are lower-case words, each used once in a mix", g.Name, s.Call.Name)
		case s.Weight < 1 || s.Weight > maxWeight:
			bad.addf("group %s: call %s: weight %d: it must be from 1 to %d", g.Name, s.Call.Name, s.Weight, maxWeight)
		case len(s.Call.Arguments) > MaxArguments:
			bad.addf("group %s: call %s: %d bytes of arguments: there may be %d", g.Name, s.Call.Name, len(s.Call.Arguments), MaxArguments)
		case json.Unmarshal(s.Call.Arguments, &members) != nil || members == nil:
			bad.addf("group %s: call %s: the arguments must be a JSON object", g.Name, s.Call.Name)
		}
		seen[s.Call.Name] = true
	}
}
