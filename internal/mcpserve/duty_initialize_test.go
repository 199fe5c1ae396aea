package mcpserve

import (
	"strings"
	"testing"
)

// The older revisions are told of nothing that only a later one has: extensions are
// of 2026-07-28, the server's title came with 2025-06-18.
func TestDutyInitializeKeepsToItsRevision(t *testing.T) {
	w := shippedWorld(t, "facade")
	for _, revision := range legacyRevisions {
		a := (&peer{w: w, who: "alice"}).do("POST", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+revision+`","capabilities":{},"clientInfo":{"name":"p","version":"1"}}}`)
		if titled := revision != rev2024 && revision != rev202503; strings.Contains(string(a.body), `"title"`) != titled || strings.Contains(string(a.body), `"extensions"`) {
			t.Errorf("%s: %s", revision, a.body)
		}
	}
}
