package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lyceum-mcp/lyceum/internal/fault"
	"github.com/lyceum-mcp/lyceum/internal/identity"
)

// ClientAuth is how we say at an introspection endpoint who we are.
type ClientAuth string

// The ways (RFC 6749 §2.3.1).
const (
	AuthBasic ClientAuth = "basic"
	AuthPost  ClientAuth = "post"
)

const (
	// MaxIntrospectionAge is how long an answer counts at most: a revoked token is
	// good that much longer.
	MaxIntrospectionAge = time.Minute

	maxAnswer   = 64 << 10 // bytes of an answer
	maxAsking   = 64       // questions to one endpoint at once
	busyRetry   = time.Second
	maxEndpoint = 16 // endpoints that one token may be shown to
)

// IntrospectionConfig describes one introspection endpoint (RFC 7662).
type IntrospectionConfig struct {
	// Rules say what a token must be for; JWKSURL, Algorithms, Typ and what concerns
	// keys do not matter. Rules.Issuer is who its principals are known by, and what
	// the answer's iss must be if it has one. An answer without aud is refused.
	Rules Config

	Endpoint     string     // https, or http on a loopback host
	Auth         ClientAuth // "" means AuthBasic
	ClientID     string     // who we are there
	ClientSecret string
	Prefix       string        // only tokens that begin so are shown to it; "" is every token
	MaxAge       time.Duration // how long an answer counts, ≤ MaxIntrospectionAge, which 0 means
}

// Validate reports everything that is wrong with c, joined.
func (c IntrospectionConfig) Validate() error {
	errs := []error{c.Rules.Validate()}
	if err := checkURL(c.Endpoint); err != nil {
		errs = append(errs, fmt.Errorf("endpoint: %w", err))
	}
	if a := orDefault(c.Auth, AuthBasic); a != AuthBasic && a != AuthPost {
		errs = append(errs, fmt.Errorf("auth %q: want %q or %q", a, AuthBasic, AuthPost))
	}
	if c.ClientID == "" || c.ClientSecret == "" {
		errs = append(errs, errors.New("client id and secret: want both, an endpoint must not answer everybody"))
	}
	if c.MaxAge < 0 || c.MaxAge > MaxIntrospectionAge {
		errs = append(errs, fmt.Errorf("max age %s: want 0 to %s", c.MaxAge, MaxIntrospectionAge))
	}
	return errors.Join(errs...)
}

// Introspector is an identity.Verifier that asks an issuer about each token. It
// remembers nothing itself: the Recheck of its principals bounds how long an
// identity.Cached in front of it does. A bounded number of questions is open at
// once, and an endpoint that fails is left alone for a while.
type Introspector struct {
	config  IntrospectionConfig
	client  *http.Client
	asking  chan struct{} // one place for each open question
	breaker breaker
}

// NewIntrospector returns a verifier. Of client the transport is used; nil means
// the standard library's. Redirects are not followed: the token and our secret
// are for one place.
func NewIntrospector(config IntrospectionConfig, client *http.Client) (*Introspector, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	config.Rules = config.Rules.withDefaults()
	config.Auth = orDefault(config.Auth, AuthBasic)
	config.MaxAge = orDefault(config.MaxAge, MaxIntrospectionAge)
	var c http.Client
	if client != nil {
		c.Transport = client.Transport
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Introspector{config: config, client: &c, asking: make(chan struct{}, maxAsking)}, nil
}

// Verify implements identity.Verifier.
func (i *Introspector) Verify(ctx context.Context, token string) (*identity.Principal, error) {
	if err := i.takes(token); err != nil {
		return nil, err
	}
	answer, err := i.ask(ctx, token)
	if err != nil {
		return nil, err
	}
	p, err := i.judge(answer, time.Now())
	if err != nil {
		return nil, err
	}
	p.TokenKey = identity.TokenKey(ctx, token)
	return p, nil
}

// takes refuses what cannot be a token of this endpoint without asking.
func (i *Introspector) takes(token string) error {
	switch {
	case !strings.HasPrefix(token, i.config.Prefix):
		return identity.NotMine("another_prefix", nil)
	case len(token) > i.config.Rules.MaxTokenBytes:
		return identity.Refuse("token_too_long", nil)
	case !isToken(token):
		return identity.Refuse(identity.ReasonMalformed, errors.New("not a token of RFC 6750 §2.1"))
	}
	return nil
}

// isToken reports whether s is a b64token: what fits into the header.
func isToken(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && !strings.ContainsFunc(body, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-._~+/", r)
	})
}

// ask returns the endpoint's answer about a token.
func (i *Introspector) ask(ctx context.Context, token string) (object, error) {
	select {
	case i.asking <- struct{}{}:
		defer func() { <-i.asking }()
	default:
		return nil, i.unavailable(fmt.Errorf("%d questions are open", maxAsking), busyRetry)
	}
	trial, wait := i.breaker.enter(time.Now())
	if wait > 0 {
		return nil, i.unavailable(errors.New("it failed again and again"), wait)
	}
	answer, err := i.post(ctx, token)
	switch {
	case err == nil:
		i.breaker.leave(trial, worked, time.Now())
		return answer, nil
	case ctx.Err() != nil:
		i.breaker.leave(trial, givenUp, time.Now())
		return nil, ctx.Err()
	}
	i.breaker.leave(trial, failed, time.Now())
	return nil, i.unavailable(err, busyRetry)
}

func (i *Introspector) post(ctx context.Context, token string) (object, error) {
	ctx, cancel := context.WithTimeout(ctx, i.config.Rules.FetchTimeout)
	defer cancel()
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	if i.config.Auth == AuthPost {
		form.Set("client_id", i.config.ClientID)
		form.Set("client_secret", i.config.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, i.config.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	if i.config.Auth == AuthBasic { // RFC 6749 §2.3.1: both parts are form-encoded first
		r.SetBasicAuth(url.QueryEscape(i.config.ClientID), url.QueryEscape(i.config.ClientSecret))
	}
	answer, err := i.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, &statusError{i.config.Endpoint, answer.StatusCode}
	}
	doc, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	return parseAnswer(doc)
}

// parseAnswer reads an introspection answer. One that says neither active nor
// inactive says nothing: it is an outage, never a refusal.
func parseAnswer(doc []byte) (object, error) {
	if len(doc) > maxAnswer {
		return nil, fmt.Errorf("more than %d bytes", maxAnswer)
	}
	o, err := parseObject(doc)
	if err != nil {
		return nil, err
	}
	if active := string(o["active"]); active != "true" && active != "false" {
		return nil, errors.New("active is neither true nor false")
	}
	return o, nil
}

// judge holds an answer to the rules.
func (i *Introspector) judge(answer object, now time.Time) (*identity.Principal, error) {
	c := &i.config.Rules
	if string(answer["active"]) != "true" {
		return nil, identity.Refuse("inactive_token", nil)
	}
	if iss, err := answer.optionalText("iss"); err != nil || answer.has("iss") && iss != c.Issuer {
		return nil, identity.Refuse("unknown_issuer", errors.New("iss "+quote(iss)))
	}
	if err := checkAnswerKind(answer); err != nil {
		return nil, identity.Refuse("not_an_access_token", err)
	}
	if err := checkAudience(answer, c.Audiences); err != nil {
		return nil, err
	}
	expires, err := c.checkAnswerTimes(answer, now)
	if err != nil {
		return nil, err
	}
	p, err := c.principal(answer)
	if err != nil {
		return nil, err
	}
	p.Issuer, p.Expires, p.Recheck = c.Issuer, expires, now.Add(i.config.MaxAge)
	return p, nil
}

// checkAnswerKind refuses answers about refresh and ID tokens, which some
// endpoints call active too.
func checkAnswerKind(answer object) error {
	for _, name := range idTokenClaims {
		if answer.has(name) {
			return fmt.Errorf("it has %s", name)
		}
	}
	for _, claim := range [...]string{"token_type", "typ"} {
		kind, err := answer.optionalText(claim)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"", "bearer", "dpop", "access_token", string(TypAccessToken)}, strings.ToLower(kind)) {
			return fmt.Errorf("%s %.*q", claim, maxDetail, kind)
		}
	}
	return nil
}

// checkAnswerTimes is checkTimes for an answer, where exp may be missing
// (RFC 7662 §2.2): the endpoint is asked again soon.
func (c *Config) checkAnswerTimes(answer object, now time.Time) (time.Time, error) {
	if answer.has("exp") {
		return c.checkTimes(answer, now)
	}
	lasting := object{"exp": []byte("99999999999")}
	for _, past := range [...]string{"nbf", "iat"} {
		if answer.has(past) {
			lasting[past] = answer[past]
		}
	}
	_, err := c.checkTimes(lasting, now)
	return time.Time{}, err
}

func (i *Introspector) unavailable(cause error, after time.Duration) error {
	return &fault.Error{
		Kind:       fault.Unavailable,
		Code:       "issuer_unavailable",
		Public:     "the token's issuer cannot be asked at the moment",
		RetryAfter: max(after, busyRetry),
		Err:        fmt.Errorf("introspection at %s: %w", i.config.Endpoint, cause),
	}
}

// Introspectors asks several endpoints, in order, until one says that the token
// is active. Nothing in an opaque token tells whose it is; a Prefix keeps a token
// from being shown to the wrong one. An endpoint that cannot be asked makes the
// answer Unavailable only if no other one knows the token.
type Introspectors []*Introspector

// Verify implements identity.Verifier.
func (all Introspectors) Verify(ctx context.Context, token string) (*identity.Principal, error) {
	refused, outage := identity.NotMine("no_endpoint", nil), error(nil)
	for _, i := range all[:min(len(all), maxEndpoint)] {
		p, err := i.Verify(ctx, token)
		switch {
		case err == nil:
			return p, nil
		case fault.KindOf(err) != fault.Unauthenticated:
			outage = errors.Join(outage, err)
		case identity.Reason(err) != "another_prefix":
			refused = err
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if outage != nil {
		return nil, outage
	}
	return nil, refused
}
