package app

import (
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/identity"
)

func (a *App) page(identity.Verifier) (http.Handler, error) { return nil, nil }
