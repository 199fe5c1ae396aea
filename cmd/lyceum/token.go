package main

import (
	"context"
	"fmt"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/config"
	"github.com/lyceum-mcp/lyceum/internal/devidp"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// tokenCmd has one command that stands without a name, so that "lyceum token
// --sub NAME" is the short way.
type tokenCmd struct {
	Dev  tokenDevCmd  `cmd:"" default:"withargs" help:"Print an access token of the development identity provider."`
	Hash tokenHashCmd `cmd:"" help:"Print a new static token, and its hash for auth.tokens."`
}

type tokenDevCmd struct {
	Data   string        `help:"Data directory of the server (default lyceum-data)." placeholder:"DIR" env:"LYCEUM_DATA"`
	Sub    string        `help:"Subject: who the token is for." required:"" placeholder:"NAME"`
	Tenant string        `help:"Tenant of the subject." placeholder:"NAME"`
	Name   string        `help:"Name for people." placeholder:"NAME"`
	Scope  string        `help:"Scopes, separated by spaces (default \"reason code\")." placeholder:"SCOPES"`
	TTL    time.Duration `help:"How long the token is good (${default})." default:"1h"`
}

func (c *tokenDevCmd) run(_ context.Context, p process, _ map[string][]string) error {
	if c.Data == "" {
		c.Data = config.Default().Data
	}
	token, err := devidp.MintFromDir(c.Data, devidp.TokenRequest{Sub: c.Sub, Tenant: c.Tenant, Name: c.Name, Scope: c.Scope, TTL: c.TTL})
	if err != nil {
		return fmt.Errorf("make a token: %w", err)
	}
	_, err = fmt.Fprintln(p.stdout, token)
	return err
}

type tokenHashCmd struct{}

// run prints the token, which nothing keeps, and below it the hash that the
// server needs.
func (c *tokenHashCmd) run(_ context.Context, p process, _ map[string][]string) error {
	token, hash := identity.NewStaticToken()
	_, err := fmt.Fprintf(p.stdout, "token: %s\nhash:  %s\n", token, hash)
	return err
}
