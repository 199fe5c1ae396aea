package middleware

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/lyceum-mcp/lyceum/internal/client"
	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
	"github.com/lyceum-mcp/lyceum/internal/policy"
	"github.com/lyceum-mcp/lyceum/internal/reply"
	"github.com/lyceum-mcp/lyceum/internal/telemetry"
)

// maxToken bounds a token before anybody looks into it.
const maxToken = 16 << 10

// Auth says how requests are authenticated.
type Auth struct {
	Verifier identity.Verifier
	Metadata string         // URL of the protected resource metadata that challenges name
	Baseline []policy.Scope // what a newcomer should ask for
	Proofs   Proofs         // nil without DPoP
	// OnRefusal, which may be nil, is called for every request that is refused,
	// before the answer is written. It may wait for a moment, but the request waits
	// with it.
	OnRefusal func(ctx context.Context, r Refusal)
}

// Proofs is what a challenge says about proofs of possession (RFC 9449 §7.1).
type Proofs interface {
	// Algorithms returns the signatures that a proof may have.
	Algorithms() []string
	// Nonce returns the nonce that proofs should carry now, "" for none.
	Nonce() string
}

// Refusal is a request that was not authenticated. It holds nothing secret and
// nothing that the caller chose, so it may be logged and counted; who it was is in
// the request's client.Context.
type Refusal struct {
	Status int    // of the answer
	Code   string // the error of the challenge; "" when no credential came, or during an outage
	Scheme string // Bearer, DPoP, or "" when no credential came
	Reason string // why, for operators: see identity.Reason; never for the caller
}

// Authenticate is Auth without DPoP and without anybody who hears of refusals.
func Authenticate(v identity.Verifier, metadata string, baseline []policy.Scope) Middleware {
	return Auth{Verifier: v, Metadata: metadata, Baseline: baseline}.Middleware()
}

// Middleware lets a request through when its token is good, with the principal in
// its context. It stands before anything of the request is processed, and it
// judges every request anew: neither a session nor an earlier request counts.
//
// A principal that is in the context already was put there by the stdio host in
// this process: no header can do that.
func (a Auth) Middleware() Middleware {
	c := challenger{metadata: a.Metadata, baseline: a.Baseline}
	if a.Proofs != nil {
		c.algs = strings.Join(a.Proofs.Algorithms(), " ")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if identity.FromContext(r.Context()) != nil {
				next.ServeHTTP(w, r)
				return
			}
			cred, err := credentialOf(r, a.Proofs != nil)
			if cred.dpop {
				if nonce := a.Proofs.Nonce(); nonce != "" {
					w.Header().Set("DPoP-Nonce", nonce)
				}
			}
			var p *identity.Principal
			if err == nil {
				p, err = a.verify(r, cred)
			}
			if err != nil {
				refusal := c.refuse(w, err, cred)
				if a.OnRefusal != nil {
					a.OnRefusal(r.Context(), refusal)
				}
				fail(w, r, err)
				return
			}
			ctx := telemetry.WithTenant(r.Context(), p.Tenant) // for the records of what follows
			next.ServeHTTP(w, r.WithContext(identity.NewContext(ctx, p)))
		})
	}
}

// verify asks the verifier. A token that is not bound to a key is not taken under
// the scheme that says it is: the client believes in a protection that is not
// there.
func (a Auth) verify(r *http.Request, cred credential) (*identity.Principal, error) {
	ctx := r.Context()
	if cred.dpop {
		ctx = identity.WithProof(ctx, identity.Proof{JWT: cred.proof, Method: r.Method, Path: r.URL.EscapedPath()})
	}
	p, err := a.Verifier.Verify(ctx, cred.token)
	if err == nil && cred.dpop && p.KeyThumbprint == "" {
		return nil, identity.Refuse("not_sender_constrained", nil)
	}
	return p, err
}

// credential is what a request shows.
type credential struct {
	dpop  bool
	token string
	proof string // of DPoP
}

// errNoCredential is a request without a token: the challenge then has no error
// code, which tells a client to start logging in (RFC 6750 §3.1).
var errNoCredential = &fault.Error{Kind: fault.Unauthenticated, Code: "no_credential", Public: "this needs a bearer token"}

// credentialOf returns the request's one credential. The scheme DPoP is another
// scheme like Basic unless proofs are accepted.
func credentialOf(r *http.Request, proofs bool) (cred credential, err error) {
	values := r.Header["Authorization"]
	if r.URL.RawQuery != "" && strings.Contains(r.URL.RawQuery, "access_token") && r.URL.Query().Has("access_token") {
		return cred, malformed("a token in the query is not accepted; send it in the Authorization header")
	}
	switch len(values) {
	case 0:
		return cred, errNoCredential
	case 1:
	default:
		return cred, malformed("more than one Authorization header")
	}
	scheme, token, found := strings.Cut(values[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
	case strings.EqualFold(scheme, "DPoP") && proofs:
		cred.dpop = true
	default:
		return cred, errNoCredential
	}
	cred.token = strings.TrimLeft(token, " ")
	switch {
	case !found || cred.token == "":
		return cred, malformed("the Authorization header has no token")
	case len(cred.token) > maxToken:
		return cred, malformed("the token is longer than 16 KiB")
	case !tokenSyntax(cred.token):
		return cred, malformed("the Authorization header holds more than a token")
	}
	if cred.dpop {
		switch proofs := r.Header["Dpop"]; len(proofs) {
		case 0:
			return cred, identity.RefuseProof("no_proof", nil)
		case 1:
			cred.proof = proofs[0]
		default:
			return cred, identity.RefuseProof("several_proofs", nil)
		}
	}
	return cred, nil
}

// tokenSyntax reports whether s is a b64token (RFC 6750 §2.1), which every token
// in this header is.
func tokenSyntax(s string) bool {
	end := len(s)
	for end > 0 && s[end-1] == '=' {
		end--
	}
	for i := range end {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return end > 0
}

func malformed(text string) error {
	return &fault.Error{Kind: fault.Invalid, Code: "invalid_request", Public: text}
}

// challenger writes the WWW-Authenticate headers of RFC 6750, RFC 9449 and
// RFC 9728.
type challenger struct {
	metadata string
	baseline []policy.Scope
	algs     string // of proofs; "" without DPoP
}

// refuse writes the challenges for a failure and says what they are.
func (c challenger) refuse(w http.ResponseWriter, err error, cred credential) Refusal {
	e := fault.From(err)
	refusal := Refusal{Status: reply.Status(e.Kind), Reason: identity.Reason(err), Scheme: cred.scheme()}
	if refusal.Reason == "" {
		refusal.Reason = e.MachineCode()
	}
	scheme := refusal.Scheme
	switch {
	case errors.Is(err, errNoCredential):
		scheme = ""
	case e.Kind == fault.Unauthenticated:
		refusal.Code = "invalid_token"
		if e.Code == identity.CodeInvalidProof || e.Code == identity.CodeUseNonce {
			refusal.Code = e.Code
		}
	case e.Kind == fault.Invalid:
		refusal.Code = "invalid_request"
	default:
		return refusal // an outage is no reason to log in again
	}
	if scheme != "DPoP" {
		c.challenge(w, "Bearer", refusal.Code, e.Public, c.baseline)
	}
	switch {
	case c.algs == "":
	case scheme == "Bearer": // the other way is open too (RFC 9449 §7.2)
		c.challenge(w, "DPoP", "", "", c.baseline)
	default:
		c.challenge(w, "DPoP", refusal.Code, e.Public, c.baseline)
	}
	return refusal
}

func (c credential) scheme() string {
	switch {
	case c.dpop:
		return "DPoP"
	case c.token != "":
		return "Bearer"
	}
	return ""
}

// challenge adds the challenge of one scheme, with an error unless code is "".
func (c challenger) challenge(w http.ResponseWriter, scheme, code, description string, scopes []policy.Scope) {
	var b strings.Builder
	b.WriteString(scheme + ` realm="lyceum"`)
	if code != "" {
		b.WriteString(`, error="` + code + `", error_description="` + quotable(description) + `"`)
	}
	if len(scopes) > 0 {
		b.WriteString(`, scope="` + policy.Join(scopes) + `"`)
	}
	if scheme == "DPoP" {
		b.WriteString(`, algs="` + c.algs + `"`)
	}
	if c.metadata != "" {
		b.WriteString(`, resource_metadata="` + c.metadata + `"`)
	}
	w.Header().Add("WWW-Authenticate", b.String())
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
			c.challenge(w, "Bearer", "insufficient_scope", fault.From(err).Public, m.Need)
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
