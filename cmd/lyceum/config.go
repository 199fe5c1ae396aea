package main

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/config"
)

type configCmd struct {
	Check  configCheck  `cmd:"" help:"Report everything that is wrong with the configuration."`
	Print  configPrint  `cmd:"" help:"Print the effective configuration and where each value is from."`
	Schema configSchema `cmd:"" help:"Print the JSON Schema of the configuration file."`
}

type configCheck struct{ settings }

func (c *configCheck) run(_ context.Context, p process, given map[string][]string) error {
	if _, err := c.load(p, given, false); err != nil {
		return err
	}
	_, err := fmt.Fprintln(p.stdout, "the configuration is valid")
	return err
}

type configPrint struct{ settings }

func (c *configPrint) run(_ context.Context, p process, given map[string][]string) error {
	cfg, err := c.load(p, given, false)
	if err != nil {
		return err
	}
	return cfg.Print(p.stdout)
}

type configSchema struct{}

func (*configSchema) run(_ context.Context, p process, _ map[string][]string) error {
	_, err := p.stdout.Write(config.Schema())
	return err
}
