package api

import (
	"context"
	"iter"

	"github.com/lyceum-mcp/lyceum/session"
)

// Monitor is what the REST interface shows and ends.
type Monitor interface {
	Sessions() iter.Seq[session.Info]
	EndSession(ctx context.Context, ref string) error
}

func (s *server) restRoutes() []route { return nil }
