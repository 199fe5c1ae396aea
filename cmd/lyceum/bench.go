package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/load"
)

type benchCmd struct {
	URL         string `help:"MCP endpoint (${default}). Another machine than this one needs --allow-remote." default:"http://127.0.0.1:8383/mcp" placeholder:"URL" env:"LYCEUM_URL"`
	AllowRemote bool   `help:"The endpoint may be on another machine: one that you are allowed to load."`
	Token       string `help:"Bearer token, or @FILE with one in each line, dealt to the connections in turn." placeholder:"TOKEN|@FILE" env:"LYCEUM_TOKEN"`
	Era         string `help:"Revision of the protocol: ${enum} (${default})." enum:"2026-07-28,2025-11-25" default:"2026-07-28"`
	Tool        string `help:"Tool to call (${default})." default:"clear_thought" placeholder:"NAME"`

	Connections int      `help:"Connections, each with one call at a time (${default})." default:"8" placeholder:"N"`
	Rate        float64  `help:"Open loop: so many calls a second, whether earlier ones are answered or not. Without it, a closed loop: calls back to back." placeholder:"N"`
	Arrivals    string   `help:"How calls of an open loop are spaced: ${enum} (${default})." enum:"even,poisson" default:"even"`
	Mix         string   `help:"Which calls with which weights (${default}). There are light, describe, compute, heavy, and those of --call." default:"light" placeholder:"NAME=N,..."`
	Call        []string `help:"A call of your own: the tool's arguments, as JSON. May be repeated." sep:"none" placeholder:"NAME=STR|@FILE"`
	Group       []string `help:"A group of clients. What is not given is as in the flags of the same names. May be repeated." sep:"none" placeholder:"NAME:token=T,connections=N,rate=N,mix=A=9+B=1"`
	Fairness    bool     `help:"Measure the group called quiet, or the first, alone and then beside the others."`

	Warmup      time.Duration `help:"Load before what is measured (${default})." default:"2s"`
	Duration    time.Duration `help:"For how long calls are made and measured, up to 1h (${default})." default:"10s"`
	Timeout     time.Duration `help:"For one call (${default})." default:"30s"`
	LateAfter   time.Duration `help:"A call of an open loop sent later than this counts as late (${default})." default:"10ms"`
	MaxCalls    int           `help:"End after so many calls (${default})." default:"1000000" placeholder:"N"`
	Seed        uint64        `help:"Of arrivals and mixes (${default})." default:"1" placeholder:"N"`
	Progress    bool          `help:"Ask for progress notifications."`
	Retry       bool          `help:"Come back after refusals and lost connections as a patient client does, until a call's --timeout is over."`
	NewSessions bool          `help:"Never go on with the session of an earlier answer."`

	MaxP99    []string `help:"Fail if the p99 latency of good answers is longer." sep:"none" placeholder:"[GROUP=]DURATION" name:"max-p99"`
	MaxErrors []string `help:"Fail if a greater share of the calls got no good answer." sep:"none" placeholder:"[GROUP=]SHARE"`
	MinRate   []string `help:"Fail if there are fewer good answers a second." sep:"none" placeholder:"[GROUP=]N"`
	MaxRatio  []string `help:"With --fairness: fail if the quiet group's p99 beside the others is more than so many times that alone." sep:"none" placeholder:"N"`

	JSON bool `help:"Print the report as JSON." name:"json"`
}

// run measures a server. A check that failed ends the process with status 1, and
// so does a run without any good answer: nothing was measured then.
func (c *benchCmd) run(ctx context.Context, p process, _ map[string][]string) error {
	plan, err := c.plan()
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, plan)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(report)
	} else {
		err = report.Print(p.stdout)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !report.Passed() || !report.Answered() {
		return errSaid
	}
	return nil
}

// plan reads the flags. Files are read here; what the plan may be is checked by
// load.Run.
func (c *benchCmd) plan() (load.Plan, error) {
	p := load.Plan{
		URL: c.URL, AllowRemote: c.AllowRemote, Era: c.Era, Tool: c.Tool,
		Warmup: c.Warmup, Duration: c.Duration, Timeout: c.Timeout, MaxCalls: c.MaxCalls, LateAfter: c.LateAfter,
		Poisson: c.Arrivals == "poisson", Seed: c.Seed, Progress: c.Progress, NewSessions: c.NewSessions, Retry: c.Retry, Fairness: c.Fairness,
	}
	calls, err := c.calls()
	if err != nil {
		return p, err
	}
	base := load.Group{Name: "all", Connections: c.Connections, Rate: c.Rate}
	if base.Mix, err = load.ParseMix(c.Mix, calls); err != nil {
		return p, err
	}
	if c.Token != "" {
		base.Tokens = []string{c.Token}
	}
	p.Groups = []load.Group{base}
	if len(c.Group) > 0 {
		p.Groups = nil
	}
	for _, text := range c.Group {
		g, err := load.ParseGroup(text, base, calls)
		if err != nil {
			return p, err
		}
		p.Groups = append(p.Groups, g)
	}
	for i := range p.Groups {
		if p.Groups[i].Tokens, err = tokens(p.Groups[i].Tokens); err != nil {
			return p, err
		}
	}
	for _, check := range []struct {
		what  string
		texts []string
	}{{load.MaxP99, c.MaxP99}, {load.MaxErrors, c.MaxErrors}, {load.MinRate, c.MinRate}, {load.MaxRatio, c.MaxRatio}} {
		for _, text := range check.texts {
			parsed, err := load.ParseCheck(check.what, text)
			if err != nil {
				return p, err
			}
			p.Checks = append(p.Checks, parsed)
		}
	}
	return p, nil
}

// calls returns the built-in calls and those of --call.
func (c *benchCmd) calls() ([]load.Call, error) {
	calls := load.Classes()
	for _, text := range c.Call {
		name, arguments, ok := strings.Cut(text, "=")
		if !ok {
			return nil, fmt.Errorf("--call %q must be NAME=JSON or NAME=@FILE", text)
		}
		if slices.ContainsFunc(calls, func(known load.Call) bool { return known.Name == name }) {
			return nil, fmt.Errorf("--call %s: there is a call of this name already", name)
		}
		body := []byte(arguments)
		if file, ok := strings.CutPrefix(arguments, "@"); ok {
			var err error
			if body, err = os.ReadFile(file); err != nil {
				return nil, fmt.Errorf("read the arguments of the call %s: %w", name, err)
			}
		}
		calls = append(calls, load.Call{Name: name, Arguments: body})
	}
	return calls, nil
}

// tokens replaces every @FILE by the tokens in it.
func tokens(given []string) ([]string, error) {
	var out []string
	for _, t := range given {
		file, ok := strings.CutPrefix(t, "@")
		if !ok {
			out = append(out, t)
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read the tokens: %w", err)
		}
		found := strings.Fields(string(text))
		if len(found) == 0 {
			return nil, fmt.Errorf("there is no token in %s", file)
		}
		out = append(out, found...)
	}
	return out, nil
}
