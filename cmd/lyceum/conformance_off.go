//go:build !conformance

package main

import (
	"github.com/lyceum-mcp/lyceum/internal/mcpserve"
	"github.com/lyceum-mcp/lyceum/tools"
)

// conformance returns the fixtures of the official suite: there are none in the
// program that is shipped.
func conformance() ([]tools.Tool, mcpserve.More) { return nil, mcpserve.More{} }
