package main

import (
	"context"
	"fmt"
	"net/http"
	"os/user"

	"github.com/lyceum-mcp/lyceum/internal/app"
	"github.com/lyceum-mcp/lyceum/internal/bridge"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
)

type stdioCmd struct {
	settings
	URL   string `help:"MCP endpoint of a remote server; without it the server runs in this process." placeholder:"URL" env:"LYCEUM_URL"`
	Token string `help:"Bearer token for --url." placeholder:"TOKEN" env:"LYCEUM_TOKEN"`
}

func (c *stdioCmd) run(ctx context.Context, p process, given map[string][]string) error {
	if c.URL != "" {
		return bridge.Run(ctx, p.stdin, p.stdout, bridge.Config{URL: c.URL, Transport: http.DefaultTransport, Token: c.Token, Log: p.stderr})
	}
	cfg, err := c.load(p, given, true)
	if err != nil {
		return err
	}
	a, err := app.New(ctx, cfg, app.Options{Log: p.stderr, Env: p.env, Process: true, Local: true})
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan error, 1)
	go func() { stopped <- a.Run(serving) }()
	err = bridge.Run(ctx, p.stdin, p.stdout, bridge.Config{URL: "http://localhost/mcp", Transport: a.Local(localUser()), Log: p.stderr})
	stop()
	if runErr := <-stopped; runErr != nil {
		return fmt.Errorf("stop the server: %w", runErr)
	}
	if ctx.Err() != nil { // asked to stop: that is no failure
		return nil
	}
	return err
}

// localUser is who a host on this machine is: the user who started it, with
// every right over what is theirs.
func localUser() *identity.Principal {
	name := "local"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return &identity.Principal{
		Tenant: "local", Issuer: "local", Subject: name, Name: name,
		Scopes: []string{string(policy.Code), string(policy.Reason)},
	}
}
