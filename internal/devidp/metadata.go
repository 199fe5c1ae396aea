package devidp

import (
	"encoding/json"
	"net/http"
	"strings"
)

// document is the issuer's metadata: OpenID Connect Discovery §3 and RFC 8414 §2
// in one.
type document struct {
	Issuer                string   `json:"issuer"`
	AuthorizationEndpoint string   `json:"authorization_endpoint"`
	TokenEndpoint         string   `json:"token_endpoint"`
	RegistrationEndpoint  string   `json:"registration_endpoint"`
	RevocationEndpoint    string   `json:"revocation_endpoint"`
	IntrospectionEndpoint string   `json:"introspection_endpoint"`
	JWKSURI               string   `json:"jwks_uri"`
	Scopes                []string `json:"scopes_supported"`
	ResponseTypes         []string `json:"response_types_supported"`
	ResponseModes         []string `json:"response_modes_supported"`
	GrantTypes            []string `json:"grant_types_supported"`
	SubjectTypes          []string `json:"subject_types_supported"`
	IDTokenAlgorithms     []string `json:"id_token_signing_alg_values_supported"`
	TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
	RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
	IntrospectionMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	ChallengeMethods      []string `json:"code_challenge_methods_supported"`
	IssInResponse         bool     `json:"authorization_response_iss_parameter_supported"`
	ClientDocuments       bool     `json:"client_id_metadata_document_supported"`
	Claims                []string `json:"claims_supported"`
}

func (i *Issuer) metadata(w http.ResponseWriter, _ *http.Request) {
	issuer, _ := i.identity()
	methods := []string{"none", "client_secret_basic", "client_secret_post"}
	writeJSON(w, http.StatusOK, document{
		Issuer:                issuer,
		AuthorizationEndpoint: issuer + "/authorize",
		TokenEndpoint:         issuer + "/token",
		RegistrationEndpoint:  issuer + "/register",
		RevocationEndpoint:    issuer + "/revoke",
		IntrospectionEndpoint: issuer + "/introspect",
		JWKSURI:               issuer + "/jwks",
		Scopes:                append([]string{scopeOpenID}, i.config.Scopes...),
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		GrantTypes:            []string{grantCode, grantRefresh, grantClient},
		SubjectTypes:          []string{"public"},
		IDTokenAlgorithms:     []string{i.keys.signing().Algorithm},
		TokenAuthMethods:      methods,
		RevocationAuthMethods: methods,
		IntrospectionMethods:  methods[1:],
		ChallengeMethods:      []string{"S256"},
		IssInResponse:         true,
		ClientDocuments:       true,
		Claims:                []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name", "preferred_username", TenantClaim},
	})
}

func (i *Issuer) jwks(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	writeJSON(w, http.StatusOK, i.PublicKeys())
}

// oauthError is an answer of RFC 6749 §5.2.
type oauthError struct {
	status int
	code   string
	text   string
}

func badRequest(code, text string) *oauthError {
	return &oauthError{status: http.StatusBadRequest, code: code, text: text}
}

func fail(w http.ResponseWriter, e *oauthError) {
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="development issuer"`)
	}
	writeJSON(w, e.status, map[string]string{"error": e.code, "error_description": plain(e.text)})
}

// plain keeps to the characters that an error_description may have.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '\\':
			return '\''
		case r < ' ' || r > '~':
			return ' '
		}
		return r
	}, s)
}

// writeJSON writes v. What is not meant for caches must not stay in one.
func writeJSON(w http.ResponseWriter, status int, v any) {
	doc, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be written", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(doc, '\n')) // a client that left is not our failure
}
