package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"golang.org/x/oauth2"
)

// modern is the first revision without initialize.
const modern = "2026-07-28"

// goSDK is the official library.
type goSDK struct {
	*user
	session  *mcp.ClientSession
	tokens   *tokenSource
	logLevel string // asked for, where a request says it
}

var _ sdk = (*goSDK)(nil)

// tokenSource is the one of the library, which can be told that its token has
// expired.
type tokenSource struct {
	ctx    context.Context // of the login, as the library wants it
	config *oauth2.Config

	mu  sync.Mutex
	now oauth2.TokenSource
}

func (s *tokenSource) Token() (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Token()
}

func (s *tokenSource) expire() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.now.Token()
	if err != nil {
		return err
	}
	s.now = s.config.TokenSource(s.ctx, &oauth2.Token{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, Expiry: time.Now().Add(-time.Hour)})
	return nil
}

func (g *goSDK) open(ctx context.Context) (string, string, error) {
	transport := &mcp.StreamableClientTransport{Endpoint: g.url, HTTPClient: g.tap.client()}
	if g.desk != nil {
		h, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
			DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
				ClientName: "goclients", RedirectURIs: []string{g.desk.url}, TokenEndpointAuthMethod: "none",
				GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
			}},
			AuthorizationCodeFetcher: func(ctx context.Context, a *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
				q, err := g.desk.login(ctx, a.URL)
				return &auth.AuthorizationResult{Code: q.Get("code"), State: q.Get("state"), Iss: q.Get("iss")}, err
			},
			Client: g.tap.client(),
			NewTokenSource: func(ctx context.Context, c *oauth2.Config, t *oauth2.Token) (oauth2.TokenSource, error) {
				g.tokens = &tokenSource{ctx: ctx, config: c, now: c.TokenSource(ctx, t)}
				return g.tokens, nil
			},
		})
		if err != nil {
			return "", "", err
		}
		transport.OAuthHandler = h
	}
	client := mcp.NewClient(&mcp.Implementation{Name: "goclients", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
			g.inbox.onProgress(r.Params.ProgressToken, r.Params.Progress)
		},
		ResourceUpdatedHandler: func(_ context.Context, r *mcp.ResourceUpdatedNotificationRequest) { g.inbox.onUpdate(r.Params.URI) },
		LoggingMessageHandler:  func(_ context.Context, r *mcp.LoggingMessageRequest) { g.inbox.onLog(string(r.Params.Level)) },
	})
	s, err := client.Connect(ctx, transport, &mcp.ClientSessionOptions{ProtocolVersion: g.rev})
	if err != nil {
		return "", "", err
	}
	g.session = s
	hello := s.InitializeResult()
	if hello.ServerInfo == nil {
		return hello.ProtocolVersion, "", errors.New("the server does not say who it is")
	}
	return hello.ProtocolVersion, hello.ServerInfo.Name, nil
}

func (g *goSDK) modern() bool { return g.session.InitializeResult().ProtocolVersion >= modern }

func (g *goSDK) tools(ctx context.Context) (names []string, err error) {
	for t, err := range g.session.Tools(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, t.Name)
	}
	return names, nil
}

func (g *goSDK) call(ctx context.Context, tool string, arguments map[string]any, token string) (string, bool, error) {
	p := &mcp.CallToolParams{Name: tool, Arguments: arguments}
	if token != "" {
		p.SetProgressToken(token)
	}
	if g.logLevel != "" {
		if p.Meta == nil {
			p.Meta = mcp.Meta{}
		}
		p.Meta["io.modelcontextprotocol/logLevel"] = g.logLevel
	}
	r, err := g.session.CallTool(ctx, p)
	if err != nil {
		return "", false, err
	}
	if len(r.Content) == 0 {
		return "", r.IsError, errors.New("the result has no content")
	}
	text, ok := r.Content[0].(*mcp.TextContent)
	if !ok {
		return "", r.IsError, fmt.Errorf("the content is %T", r.Content[0])
	}
	return text.Text, r.IsError, nil
}

func (g *goSDK) resources(ctx context.Context) (n int, err error) {
	for _, err := range g.session.Resources(ctx, nil) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (g *goSDK) templates(ctx context.Context) (n int, err error) {
	for _, err := range g.session.ResourceTemplates(ctx, nil) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

func (g *goSDK) read(ctx context.Context, uri string) (string, string, error) {
	r, err := g.session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
	if err != nil {
		return "", "", err
	}
	if len(r.Contents) == 0 {
		return "", "", errors.New("the resource has no contents")
	}
	return r.Contents[0].MIMEType, r.Contents[0].Text, nil
}

func (g *goSDK) subscribe(ctx context.Context, uri string) error {
	if err := g.session.Subscribe(ctx, &mcp.SubscribeParams{URI: uri}); err != nil {
		return err
	}
	return g.listening(ctx)
}

func (g *goSDK) prompts(ctx context.Context) (names []string, err error) {
	for p, err := range g.session.Prompts(ctx, nil) {
		if err != nil {
			return nil, err
		}
		names = append(names, p.Name)
	}
	return names, nil
}

func (g *goSDK) prompt(ctx context.Context, name string, arguments map[string]string) (string, error) {
	r, err := g.session.GetPrompt(ctx, &mcp.GetPromptParams{Name: name, Arguments: arguments})
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range r.Messages {
		if t, ok := m.Content.(*mcp.TextContent); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String(), nil
}

func (g *goSDK) complete(ctx context.Context, prompt, template, argument, value string) ([]string, error) {
	ref := &mcp.CompleteReference{Type: "ref/prompt", Name: prompt}
	if template != "" {
		ref = &mcp.CompleteReference{Type: "ref/resource", URI: template}
	}
	r, err := g.session.Complete(ctx, &mcp.CompleteParams{Ref: ref, Argument: mcp.CompleteParamsArgument{Name: argument, Value: value}})
	if err != nil {
		return nil, err
	}
	return r.Completion.Values, nil
}

func (g *goSDK) ping(ctx context.Context) error { return g.session.Ping(ctx, nil) }

func (g *goSDK) level(ctx context.Context, level string) error {
	if g.modern() { // has no such request: each call says it
		g.logLevel = level
		return nil
	}
	return g.session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: mcp.LoggingLevel(level)})
}

func (g *goSDK) cancels() bool { return true }

func (g *goSDK) expire() {
	if err := g.tokens.expire(); err != nil {
		panic(err) // the token was good a moment ago
	}
}

func (g *goSDK) close() error { return g.session.Close() }
