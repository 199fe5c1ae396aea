package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
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
	fixtures, more := conformance()
	a, err := app.New(ctx, cfg, app.Options{
		Log: p.stderr, Env: p.env, Process: true, Tools: fixtures, More: more,
		OnReady: func(a *app.App) { fmt.Fprintf(p.stderr, "lyceum: ready %s\n", a.ListenURL()) },
	})
	if err != nil {
		return err
	}
	if d := cfg.Work.ThreadSlice; d > 0 {
		if err := sliceThreads(d); err != nil {
			a.Log().WarnContext(ctx, "the system does not let threads have shorter slices: calls may be slower beside others", "setting", "work.thread_slice", "error", err)
		}
	}
	if cfg.Dev {
		if err := welcome(p.stdout, a); err != nil {
			return err
		}
	}
	defer c.reloadOnHangup(ctx, a, p, given)()
	return a.Run(ctx)
}

// reloadOnHangup reads the settings again at each SIGHUP and gives the server
// those that can change while it runs. What is wrong with them is logged, and
// nothing changes. stop ends that and waits for it.
func (c *serveCmd) reloadOnHangup(ctx context.Context, a *app.App, p process, given map[string][]string) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-hangups:
			}
			cfg, err := c.load(p, given, false)
			if err != nil {
				a.ReloadFailed(err)
			} else {
				_, err = a.Reload(ctx, cfg)
			}
			if err != nil {
				a.Log().ErrorContext(ctx, "the settings are as they were: reading them again failed", "error", err)
			}
		}
	})
	return func() {
		signal.Stop(hangups)
		close(done)
		wg.Wait()
	}
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
