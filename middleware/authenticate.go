package middleware

import (
	"errors"
	"net/http"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// maxToken bounds a token before anybody looks into it.
const maxToken = 16 << 10

// Authenticate lets a request through when its bearer token is good, with the
// principal in its context. It stands before anything of the request is
// processed, and it judges every request anew: neither a session nor an earlier
// request counts. metadata is the URL of the protected resource metadata that
// challenges name; baseline is the scope a newcomer should ask for.
//
// A principal that is in the context already was put there by the stdio host in
// this process: no header can do that.
func Authenticate(v identity.Verifier, metadata string, baseline []policy.Scope) Middleware {
	c := challenger{metadata: metadata, baseline: baseline}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if identity.FromContext(r.Context()) != nil {
				next.ServeHTTP(w, r)
				return
			}
			token, err := bearer(r)
			if err != nil {
				c.refuse(w, r, err)
				return
			}
			p, err := v.Verify(r.Context(), token)
			if err != nil {
				c.refuse(w, r, err)
				return
			}
			ctx := telemetry.WithTenant(r.Context(), p.Tenant) // for the records of what follows
			next.ServeHTTP(w, r.WithContext(identity.NewContext(ctx, p)))
		})
	}
}

// errNoCredential is a request without a token: the challenge then has no error
// code, which tells a client to start logging in (RFC 6750 §3.1).
var errNoCredential = &fault.Error{Kind: fault.Unauthenticated, Code: "no_credential", Public: "this needs a bearer token"}

// bearer returns the request's one token.
func bearer(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if r.URL.RawQuery != "" && strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token") {
		return "", malformed("a token in the query is not accepted; send it in the Authorization header")
	}
	switch len(values) {
	case 0:
		return "", errNoCredential
	case 1:
	default:
		return "", malformed("more than one Authorization header")
	}
	scheme, token, found := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoCredential
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case !found || token == "":
		return "", malformed("the Authorization header has no token")
	case len(token) > maxToken:
		return "", malformed("the token is longer than 16 KiB")
	case strings.ContainsAny(token, " ,\t\""):
		return "", malformed("the Authorization header holds more than a token")
	}
	return token, nil
}

func malformed(text string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Public: text}
}

// challenger writes the WWW-Authenticate header of RFC 6750 and RFC 9728.
type challenger struct {
	metadata string
	baseline []policy.Scope
}

func (c challenger) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var code string
	switch e := fault.From(err); e.Kind {
	case fault.Unauthenticated:
		if !errors.Is(err, errNoCredential) {
			code = "invalid_token"
		}
		c.challenge(w, code, e.Public, c.baseline)
	case fault.Invalid:
		c.challenge(w, "invalid_request", e.Public, c.baseline)
	}
	fail(w, r, err)
}

func (c challenger) challenge(w http.ResponseWriter, code, description string, scopes []policy.Scope) {
	var b strings.Builder
	b.WriteString(`Bearer realm="lyceum"`)
	if code != "" {
		b.WriteString(`, error="` + code + `", error_description="` + quotable(description) + `"`)
	}
	if len(scopes) > 0 {
		b.WriteString(`, scope="` + policy.Join(scopes) + `"`)
	}
	if c.metadata != "" {
		b.WriteString(`, resource_metadata="` + c.metadata + `"`)
	}
	w.Header().Set("WWW-Authenticate", b.String())
}

// quotable keeps to the characters that RFC 6750 allows in a description.
func quotable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '"' || r == '\\' || r < 0x20 || r > 0x7e {
			return '\''
		}
		return r
	}, s)
}

// Forbid returns a function that answers a Forbidden failure with the step-up
// challenge: it names every scope that the operation needs. Package mcpserve
// calls it before it writes anything else.
func Forbid(metadata string) func(w http.ResponseWriter, err error) {
	c := challenger{metadata: metadata}
	return func(w http.ResponseWriter, err error) {
		if m, ok := errors.AsType[*policy.MissingScope](err); ok {
			c.challenge(w, "insufficient_scope", fault.From(err).Public, m.Need)
		}
	}
}

// Client opens the request's client.Context for its principal and ends it when
// the handler returns. It stands just inside Authenticate.
func Client() Middleware {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := client.FromContext(r.Context())
			c.Principal = identity.FromContext(r.Context())
			defer c.End()
			next.ServeHTTP(w, r)
		})
	}
}

// RequireScope lets a request through when its principal has the scope, and
// answers with the step-up challenge otherwise. It is for whole routes; tools
// have their own.
func RequireScope(metadata string, need policy.Scope) Middleware {
	forbid := Forbid(metadata)
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := policy.Require(identity.FromContext(r.Context()), need); err != nil {
				forbid(w, err)
				fail(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}
