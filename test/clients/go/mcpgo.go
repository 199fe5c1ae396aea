package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// mcpGo is the library of mark3labs.
type mcpGo struct {
	*user
	client *client.Client
	tokens *tokenStore
	stop   func() // ends the listen stream
}

var _ sdk = (*mcpGo)(nil)

// tokenStore keeps the token and can be told that it has expired.
type tokenStore struct {
	mu    sync.Mutex
	token *transport.Token
}

func (s *tokenStore) GetToken(context.Context) (*transport.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == nil {
		return nil, transport.ErrNoToken
	}
	t := *s.token
	return &t, nil
}

func (s *tokenStore) SaveToken(_ context.Context, t *transport.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = t
	return nil
}

func (g *mcpGo) expire() {
	g.tokens.mu.Lock()
	defer g.tokens.mu.Unlock()
	t := *g.tokens.token
	t.ExpiresAt = time.Now().Add(-time.Hour)
	g.tokens.token = &t
}

func (g *mcpGo) open(ctx context.Context) (string, string, error) {
	options := []transport.StreamableHTTPCOption{transport.WithHTTPBasicClient(g.tap.client())}
	if g.rev != "" && g.rev < modern {
		options = append(options, transport.WithContinuousListening())
	}
	if g.desk != nil {
		g.tokens = &tokenStore{}
		options = append(options, transport.WithHTTPOAuth(transport.OAuthConfig{
			RedirectURI: g.desk.url, TokenStore: g.tokens, PKCEEnabled: true, HTTPClient: g.tap.client(), Scopes: []string{"reason"},
		}))
	}
	t, err := transport.NewStreamableHTTP(g.url, options...)
	if err != nil {
		return "", "", err
	}
	g.client = client.NewClient(t, client.WithProtocolVersion(g.rev))
	g.client.OnNotification(g.notified)
	if err := g.client.Start(ctx); err != nil {
		return "", "", err
	}
	hello, err := g.initialize(ctx)
	if client.IsOAuthAuthorizationRequiredError(err) && g.desk != nil {
		if err := g.login(ctx, client.GetOAuthHandler(err)); err != nil {
			return "", "", err
		}
		hello, err = g.initialize(ctx)
	}
	if err != nil {
		return "", "", err
	}
	return g.client.ProtocolVersion(), hello.ServerInfo.Name, nil
}

func (g *mcpGo) initialize(ctx context.Context) (*mcp.InitializeResult, error) {
	var r mcp.InitializeRequest
	r.Params.ProtocolVersion = g.rev
	r.Params.ClientInfo = mcp.Implementation{Name: "goclients", Version: "1"}
	return g.client.Initialize(ctx, r)
}

func (g *mcpGo) login(ctx context.Context, h *transport.OAuthHandler) error {
	if err := h.RegisterClient(ctx, "goclients"); err != nil {
		return err
	}
	verifier, err := client.GenerateCodeVerifier()
	if err != nil {
		return err
	}
	state, err := client.GenerateState()
	if err != nil {
		return err
	}
	page, err := h.GetAuthorizationURL(ctx, state, client.GenerateCodeChallenge(verifier))
	if err != nil {
		return err
	}
	q, err := g.desk.login(ctx, page)
	if err != nil {
		return err
	}
	return h.ProcessAuthorizationResponse(ctx, q.Get("code"), q.Get("state"), verifier)
}

func (g *mcpGo) notified(n mcp.JSONRPCNotification) {
	fields := n.Params.AdditionalFields
	switch n.Method {
	case "notifications/progress":
		done, _ := fields["progress"].(float64)
		g.inbox.onProgress(fields["progressToken"], done)
	case "notifications/resources/updated":
		uri, _ := fields["uri"].(string)
		g.inbox.onUpdate(uri)
	case "notifications/message":
		level, _ := fields["level"].(string)
		g.inbox.onLog(level)
	}
}

func (g *mcpGo) modern() bool { return g.client.ProtocolVersion() >= modern }

func (g *mcpGo) tools(ctx context.Context) (names []string, err error) {
	r, err := g.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return nil, err
	}
	for _, t := range r.Tools {
		names = append(names, t.Name)
	}
	return names, nil
}

func (g *mcpGo) call(ctx context.Context, tool string, arguments map[string]any, token string) (string, bool, error) {
	var q mcp.CallToolRequest
	q.Params.Name, q.Params.Arguments = tool, arguments
	if token != "" {
		q.Params.Meta = &mcp.Meta{ProgressToken: token}
	}
	r, err := g.client.CallTool(ctx, q)
	if err != nil {
		return "", false, err
	}
	if len(r.Content) == 0 {
		return "", r.IsError, errors.New("the result has no content")
	}
	text, ok := mcp.AsTextContent(r.Content[0])
	if !ok {
		return "", r.IsError, fmt.Errorf("the content is %T", r.Content[0])
	}
	return text.Text, r.IsError, nil
}

func (g *mcpGo) resources(ctx context.Context) (int, error) {
	r, err := g.client.ListResources(ctx, mcp.ListResourcesRequest{})
	if err != nil {
		return 0, err
	}
	return len(r.Resources), nil
}

func (g *mcpGo) templates(ctx context.Context) (int, error) {
	r, err := g.client.ListResourceTemplates(ctx, mcp.ListResourceTemplatesRequest{})
	if err != nil {
		return 0, err
	}
	return len(r.ResourceTemplates), nil
}

func (g *mcpGo) read(ctx context.Context, uri string) (string, string, error) {
	var q mcp.ReadResourceRequest
	q.Params.URI = uri
	r, err := g.client.ReadResource(ctx, q)
	if err != nil {
		return "", "", err
	}
	if len(r.Contents) == 0 {
		return "", "", errors.New("the resource has no contents")
	}
	text, ok := r.Contents[0].(mcp.TextResourceContents)
	if !ok {
		return "", "", fmt.Errorf("the contents are %T", r.Contents[0])
	}
	return text.MIMEType, text.Text, nil
}

func (g *mcpGo) subscribe(ctx context.Context, uri string) error {
	if g.modern() {
		// Its own Subscribe only notes the URI for the next Listen.
		stop, err := g.client.ListenAsync(ctx, mcp.SubscriptionFilter{ResourceSubscriptions: []string{uri}}, nil)
		if err != nil {
			return err
		}
		g.stop = stop
	} else {
		var q mcp.SubscribeRequest
		q.Params.URI = uri
		if err := g.client.Subscribe(ctx, q); err != nil {
			return err
		}
	}
	return g.listening(ctx)
}

func (g *mcpGo) prompts(ctx context.Context) (names []string, err error) {
	r, err := g.client.ListPrompts(ctx, mcp.ListPromptsRequest{})
	if err != nil {
		return nil, err
	}
	for _, p := range r.Prompts {
		names = append(names, p.Name)
	}
	return names, nil
}

func (g *mcpGo) prompt(ctx context.Context, name string, arguments map[string]string) (string, error) {
	var q mcp.GetPromptRequest
	q.Params.Name, q.Params.Arguments = name, arguments
	r, err := g.client.GetPrompt(ctx, q)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, m := range r.Messages {
		if t, ok := mcp.AsTextContent(m.Content); ok {
			b.WriteString(t.Text)
		}
	}
	return b.String(), nil
}

func (g *mcpGo) complete(ctx context.Context, prompt, template, argument, value string) ([]string, error) {
	var q mcp.CompleteRequest
	q.Params.Ref = mcp.PromptReference{Type: "ref/prompt", Name: prompt}
	if template != "" {
		q.Params.Ref = mcp.ResourceReference{Type: "ref/resource", URI: template}
	}
	q.Params.Argument = mcp.CompleteArgument{Name: argument, Value: value}
	r, err := g.client.Complete(ctx, q)
	if err != nil {
		return nil, err
	}
	return r.Completion.Values, nil
}

func (g *mcpGo) ping(ctx context.Context) error { return g.client.Ping(ctx) }

func (g *mcpGo) level(ctx context.Context, level string) error {
	var q mcp.SetLevelRequest
	q.Params.Level = mcp.LoggingLevel(level)
	return g.client.SetLevel(ctx, q)
}

// cancels is false where the protocol wants a notification: the library sends
// none over HTTP, and drops the connection, which is not the same.
func (g *mcpGo) cancels() bool { return g.modern() }

func (g *mcpGo) close() error {
	if g.stop != nil {
		g.stop()
	}
	return g.client.Close()
}
