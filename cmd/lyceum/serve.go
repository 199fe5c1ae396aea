package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
)

type serveCmd struct{ settings }

func (c *serveCmd) run(ctx context.Context, p process, given map[string][]string) error {
	cfg, err := c.load(p, given, false)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, app.Options{
		Log: p.stderr, Env: p.env, Process: true,
		OnReady: func(a *app.App) { fmt.Fprintf(p.stderr, "lyceum: ready %s\n", a.ListenURL()) },
	})
	if err != nil {
		return err
	}
	if cfg.Dev {
		if err := welcome(p.stdout, a); err != nil {
			return err
		}
	}
	return a.Run(ctx)
}

// devTokenTTL is how long the token that serve --dev prints is good: a day of
// work.
const devTokenTTL = 12 * time.Hour

// welcome prints what a developer needs to go on: a token, what to paste into a
// client, and the page.
func welcome(w io.Writer, a *app.App) error {
	token, err := a.Issuer().Token(devidp.TokenRequest{Sub: "alice", TTL: devTokenTTL})
	if err != nil {
		return fmt.Errorf("make a development token: %w", err)
	}
	url := a.URL() + "/mcp"
	_, err = fmt.Fprintf(w, `Lyceum in development mode: anybody on this machine can log in as anybody.

  MCP endpoint  %[1]s
  admin page    %[2]s

An access token of alice, good for %[4]s (make others with lyceum token):

  export LYCEUM_TOKEN=%[3]s

Claude Code:

  claude mcp add --transport http lyceum %[1]s --header "Authorization: Bearer $LYCEUM_TOKEN"

VS Code (.vscode/mcp.json), with LYCEUM_TOKEN in its environment:

  {"servers":{"lyceum":{"type":"http","url":"%[1]s","headers":{"Authorization":"Bearer ${env:LYCEUM_TOKEN}"}}}}

Any other client:

  {"mcpServers":{"lyceum":{"type":"http","url":"%[1]s","headers":{"Authorization":"Bearer %[3]s"}}}}

`, url, a.AdminURL(), token, strings.TrimSuffix(devTokenTTL.String(), "0m0s"))
	return err
}
