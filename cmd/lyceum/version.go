package main

import (
	"context"
	"fmt"

	"github.com/lyceum-mcp/lyceum/internal/build"
)

type versionCmd struct{}

func (*versionCmd) run(_ context.Context, p process, _ map[string][]string) error {
	_, err := fmt.Fprintln(p.stdout, build.Current())
	return err
}
