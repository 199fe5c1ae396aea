package api

import (
	"net/http"

	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
)

// resourceMetadata is the RFC 9728 document. It is built from the configured
// URL, never from a request: a Host header must not decide whom clients trust.
type resourceMetadata struct {
	Resource      string   `json:"resource"`
	AuthServers   []string `json:"authorization_servers,omitempty"`
	Scopes        []string `json:"scopes_supported"` // the baseline; more comes by challenge
	Methods       []string `json:"bearer_methods_supported"`
	ProofAlgs     []string `json:"dpop_signing_alg_values_supported,omitempty"`
	Name          string   `json:"resource_name"`
	Documentation string   `json:"resource_documentation,omitempty"`
}

// metadataURL is what challenges name: the place for /mcp, by path insertion.
func (s *server) metadataURL() string {
	return s.Config.BaseURL + "/.well-known/oauth-protected-resource" + MCPPath
}

func (s *server) metadata(w http.ResponseWriter, _ *http.Request) {
	h := w.Header()
	if h.Get("Access-Control-Allow-Origin") == "" {
		h.Set("Access-Control-Allow-Origin", "*") // public, and the same for everybody
	}
	h.Set("Cache-Control", "public, max-age=300")
	doc := resourceMetadata{
		Resource: s.Config.BaseURL + MCPPath, AuthServers: s.Config.AuthServers,
		Scopes: []string{string(policy.Reason)}, Methods: []string{"header"}, Name: "Lyceum",
	}
	if s.Proofs != nil {
		doc.ProofAlgs = s.Proofs.Algorithms()
	}
	reply.JSON(w, http.StatusOK, doc)
}
